#!/usr/bin/env python3
"""REST services of every kind against real servers: nginx with TLS, HTTP/2, passwords and client certificates, a forward proxy, token endpoints.

The fleet's secrets stand in the database as Moodle encrypts them.  Prints the matrix of what was tried and what came of it.
"""
import base64
import collections
import glob
import hashlib
import hmac
import json
import os
import pathlib
import shutil
import time
import unittest

import fleet
import guard
import shared
from destinations import USER, Doors, Tinyproxy, Vault, bundle
from matrix import Matrix
from services import wait_until
from stub import Certificates, Stub

CREATED = r"\core\event\user_created"
VIEWED = r"\core\event\course_viewed"
ONCE = {"max_retries": 0, "long_retries": 0, "cb_failure_threshold": 999}
TEMPLATE = '{"user": {{userid}}, "text": "{{other.text}}"}'
RAW = "{{userid}};{{other.text}}\n"
TEXT = "año \"2026\" & más/😀"
TOKEN, PASSWORD, KEY, CLIENT_SECRET = "canary-bearer", "canary-password", "canary-api-key", "canary-client secret/+"
PROXY_PASSWORD = "canary-proxy"
NO_ROWS = {"table cb", "table replay", "table outbox"}      # they have no part in this
SIGNING = ["whsec_" + base64.b64encode(text.encode()).decode() for text in ("canary-signing-secret-new", "canary-signing-secret-old")]
BODIES = {
    "json": json.dumps({"user": 2, "text": TEXT}, separators=(",", ":")).replace("/", "\\/"),
    "form": "user=2&text=a%C3%B1o+%222026%22+%26+m%C3%A1s%2F%F0%9F%98%80",
    "raw": f"2;{TEXT}\n",
}
TYPES = {"json": "application/json", "form": "application/x-www-form-urlencoded", "raw": "text/csv; charset=utf-8"}
NODE = pathlib.Path(__file__).resolve().parent / "node"


def event(eventname=CREATED):
    """The body of an event."""
    return json.dumps({"eventname": eventname, "component": "core", "objectid": 7, "userid": 2, "courseid": 3, "timecreated": 1763800000,
                       "other": {"text": TEXT}})


def client_of(identity, secret):
    """What the stub knows of a client."""
    return hashlib.sha256(f"{identity}:{secret}".encode()).hexdigest()


class World:
    """The servers, and certificates for them."""

    def __init__(self, test):
        self.folder = pathlib.Path(guard.folder("mih-world-"))
        self.certificates = Certificates(self.folder)
        for name in ("server", "client-a", "client-b"):
            self.certificates.signed(name, "DNS:localhost,IP:127.0.0.1,IP:::1")
        self.certificates.selfsigned("foreign")
        self.doors = Doors(self.certificates, "server", PASSWORD)
        self.foreign = Doors(self.certificates, "foreign", PASSWORD)
        self.proxy = Tinyproxy(PROXY_PASSWORD)
        self.stub = Stub(self.folder, "tokens")
        self.vault = Vault(self.folder / "secret")
        for server in (self.doors, self.foreign, self.proxy):
            test.addCleanup(server.close)
        test.addCleanup(self.stub.stop)

    def settings(self, **http):
        """Of the fleet."""
        return {"worker": {"ca_file": self.certificates.ca}, "security": {"moodle_key_file": self.vault.path, "proxy_enforces_egress": "yes"},
                "http": {"proxy": self.proxy.url(), "no_proxy": "127.0.0.1, ::1", **http}}


class Services(shared.HubTest):
    """A fleet with services of every kind."""

    def setUp(self):
        self.world = World(self)
        self.services = {}

    def service(self, hub, name, base_url, endpoint=None, rule=None, secrets=(), **columns):
        """A service and its rule; secrets go into the database encrypted, those of services whose name begins with "plain" as they are."""
        for column, text in dict(secrets).items():
            columns[column] = text if name.startswith("plain") else self.world.vault.encrypt(text)[0]
        columns = {"auth_type": "none", "timeout": 5, **ONCE, **columns}
        body = columns.get("body_type", "json")
        columns.setdefault("content_type", TYPES["raw"] if body == "raw" else None)
        identifier = fleet.add_service(hub.database, base_url=base_url, name=name, **columns)
        hub.services.append(identifier)
        rule = {"eventname": CREATED, "payload_template": RAW if body == "raw" else TEMPLATE, **(rule or {})}
        hub.rule(identifier, rule.pop("eventname"), endpoint or f"/ok/{name}", **rule)
        self.services[name] = identifier
        return identifier

    def letter(self, hub, name):
        """The only dead letter of a service; None when there is none."""
        letters = hub.rabbit.drain(hub.fleet.dead_queue(self.services[name]), peek=True)
        self.assertLessEqual(len(letters), 1)
        return letters[0] if letters else None

    def log_with(self, hub, words, times):
        """The fleet's log, once it holds the words so often."""
        log = pathlib.Path(hub.fleet.log).read_text(encoding="utf-8", errors="replace")
        return log if log.count(words) >= times else None

    def arrived(self, name):
        """What nginx has got of a service."""
        return [request for request in self.world.doors.requests() if request["uri"].split("?")[0].rsplit("/", 1)[-1] == name]


# transport, auth, body, door, (columns, secrets), endpoint
AUTHS = {
    "none": ({}, {}),
    "bearer": ({"auth_type": "bearer"}, {"auth_token": TOKEN}),
    "apikey": ({"auth_type": "apikey"}, {"auth_token": KEY}),
    "apikey, own header": ({"auth_type": "apikey", "auth_header": "X-Own-Key"}, {"auth_token": KEY}),
    "basic": ({"auth_type": "basic", "auth_user": USER}, {"auth_token": PASSWORD}),
    "oauth2": ({"auth_type": "oauth2", "auth_user": "mih:client", "auth_scope": "a b"}, {"auth_token": CLIENT_SECRET}),
    "certificate": ({}, {}),
}
EXPECTED = {
    "none": {"authorization": "", "apikey": ""},
    "bearer": {"authorization": f"Bearer {TOKEN}"},
    "apikey": {"apikey": KEY, "authorization": ""},
    "apikey, own header": {"ownkey": KEY, "apikey": ""},
    "basic": {"authorization": "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()},
    "oauth2": {"authorization": "Bearer canary-issued-1"},
    "certificate": {"who": "CN=client-a"},
}
TRANSPORTS = {
    "http": ("http", "127.0.0.1", "HTTP/1.1"),
    "http, IPv6": ("http", "[::1]", "HTTP/1.1"),
    "https, HTTP/2": ("https", "127.0.0.1", "HTTP/2.0"),
    "https, HTTP/1.1": ("http11", "127.0.0.1", "HTTP/1.1"),
    "https, certificate wanted": ("mtls", "127.0.0.1", "HTTP/2.0"),
    "http, proxy": ("http", "localhost", "HTTP/1.1"),
    "https, proxy": ("https", "localhost", "HTTP/2.0"),
}


def good_cells():
    """(transport, auth, body) of what must be delivered."""
    plain = [auth for auth in AUTHS if auth != "certificate"]
    yield from (("http", auth, body) for auth in plain for body in BODIES)
    yield from (("https, HTTP/2", auth, body) for auth in ("none", "bearer", "oauth2") for body in BODIES)
    yield from ((transport, auth, "json") for transport in ("http, IPv6", "https, HTTP/1.1", "http, proxy", "https, proxy")
                for auth in ("none", "basic", "oauth2"))
    yield from (("https, certificate wanted", "certificate", body) for body in BODIES)


class RestMatrix(Services):
    """Transport x auth x body x outcome."""

    def add_good(self, hub, matrix):
        """The services that must be delivered to; returns (cell, name) of each."""
        cells = []
        token = f"{self.world.stub.url}/token?client={client_of('mih:client', CLIENT_SECRET)}"
        for number, (transport, auth, body) in enumerate(good_cells()):
            door, host, _ = TRANSPORTS[transport]
            columns, secrets = AUTHS[auth]
            url = self.world.doors.door(door).replace("127.0.0.1", host)
            name = f"good{number}"
            extra = {"auth_url": token} if auth == "oauth2" else {}
            if auth == "certificate":
                secrets = {"client_cert": bundle(self.world.certificates, "client-a")}
            self.service(hub, name, url, f"/{'basic' if auth == 'basic' else 'ok'}/{name}", secrets=secrets, body_type=body, **columns, **extra)
            cells.append(((transport, auth, body), name))
        return cells

    def check_good(self, cell, request):
        """What nginx says it got."""
        transport, auth, body = cell
        self.assertEqual(request["status"], 200)
        self.assertEqual(request["protocol"], TRANSPORTS[transport][2])
        self.assertEqual((request["type"], request["body"]), (TYPES[body], BODIES[body]), cell)
        for key, value in EXPECTED[auth].items():
            self.assertEqual(request[key], value, (cell, key))

    def add_bad(self, hub):
        """name: (cell, text that the reason of the dead letter contains)."""
        doors, vault = self.world.doors, self.world.vault
        token = f"{self.world.stub.url}/token?client={client_of('mih:client', CLIENT_SECRET)}"
        oauth = {"auth_type": "oauth2", "auth_user": "mih:client"}
        broken = vault.encrypt("canary-broken")[0]
        broken = broken[:-8] + ("AAAA" if broken[-8:-4] != "AAAA" else "BBBB") + broken[-4:]
        rows = [
            (("http", "basic", "json"), "HTTP 401 Unauthorized", doors.door("http"), "/basic/", {"auth_type": "basic", "auth_user": USER},
             {"auth_token": "canary-wrong"}),
            (("http", "none", "json"), "HTTP 404 Not Found", doors.door("http"), "/status-404/", {}, {}),
            (("http", "none", "form"), "HTTP 422 Unprocessable Content", doors.door("http"), "/status-422/", {"body_type": "form"}, {}),
            (("http", "bearer, repeated", "json"), "HTTP 422", doors.door("http"), "/repeat/", {"auth_type": "bearer"}, {"auth_token": TOKEN}),
            (("http", "apikey, repeated", "json"), "HTTP 422", doors.door("http"), "/repeat/", {"auth_type": "apikey"}, {"auth_token": KEY}),
            (("http", "apikey, redirected", "json"), "redirect to http://x.example/****", doors.door("http"), "/lead/", {"auth_type": "apikey"},
             {"auth_token": KEY}),
            (("http", "basic, repeated", "json"), "HTTP 422", doors.door("http"), "/repeat/", {"auth_type": "basic", "auth_user": USER},
             {"auth_token": PASSWORD}),
            (("http", "oauth2, repeated", "json"), "HTTP 422", doors.door("http"), "/repeat/", {**AUTHS["oauth2"][0], "auth_url": token},
             {"auth_token": CLIENT_SECRET}),
            (("http", "none", "raw"), "HTTP 503 Service Unavailable", doors.door("http"), "/status-503/", {"body_type": "raw"}, {}),
            (("https, certificate wanted", "none", "json"), "HTTP 400 Bad Request", doors.door("mtls"), "/ok/", {}, {}),
            (("https, certificate wanted", "foreign certificate", "json"), "HTTP 400 Bad Request", doors.door("mtls"), "/ok/", {},
             {"client_cert": bundle(self.world.certificates, "foreign")}),
            (("https, certificate wanted", "certificate without key", "json"), "policy: the client certificate cannot be used: it holds no private",
             doors.door("mtls"), "/ok/", {}, {"client_cert": self.world.certificates.path("client-a", "pem").read_text()}),
            (("https, server of another authority", "none", "json"), "TLS", self.world.foreign.door("https"), "/ok/", {}, {}),
            (("http", "oauth2, unknown client", "json"), "HTTP 401 Unauthorized: token endpoint 127.0.0.1:", doors.door("http"), "/ok/",
             {**oauth, "auth_url": token}, {"auth_token": "canary-not-this"}),
            (("http", "oauth2, endpoint 500", "json"), "broken answer: token endpoint 127.0.0.1:", doors.door("http"), "/ok/",
             {**oauth, "auth_url": f"{self.world.stub.url}/token?status=500"}, {"auth_token": "canary-s1"}),
            (("http", "oauth2, endpoint 410", "json"), "HTTP 410", doors.door("http"), "/ok/",
             {**oauth, "auth_url": f"{self.world.stub.url}/token?status=410"}, {"auth_token": "canary-s2"}),
            (("http", "oauth2, endpoint's nonsense", "json"), "its answer is no JSON object", doors.door("http"), "/ok/",
             {**oauth, "auth_url": f"{self.world.stub.url}/token?raw=canary-no-json"}, {"auth_token": "canary-s3"}),
            (("http", "oauth2, endpoint away", "json"), "no connection: token endpoint 127.0.0.1:1: ", doors.door("http"), "/ok/",
             {**oauth, "auth_url": "http://127.0.0.1:1/token"}, {"auth_token": "canary-s4"}),
            (("http", "damaged secret", "json"), "policy: the token cannot be decrypted: it is damaged or was encrypted with another key",
             doors.door("http"), "/ok/", {"auth_type": "bearer", "auth_token": broken}, {}),
        ]
        for number, (cell, words, url, path, columns, secrets) in enumerate(rows):
            name = f"bad{number}"
            self.service(hub, name, url, path + name, secrets=secrets, **columns)
            yield name, cell, words

    @shared.smoke
    def test_the_matrix(self):
        hub = self.hub(processes=1, settings=self.world.settings())
        matrix = Matrix("REST")
        good = self.add_good(hub, matrix)
        bad = list(self.add_bad(hub))
        self.service(hub, "plain", self.world.doors.door("http"), auth_type="bearer", secrets={"auth_token": "canary-plain"})
        self.service(hub, "query", self.world.doors.door("https"), rule={"http_method": "GET"}, headers='{"X-Site": "{{userid}}-é"}')
        self.service(hub, "headers", self.world.doors.door("https"), headers='{"X-Site": "{{userid}}/{{component}}", "Accept": "text/csv"}')
        self.service(hub, "signed", self.world.doors.door("https"), secrets={"signing_secret": SIGNING[0], "signing_secret_old": SIGNING[1]})
        hub.start()
        hub.raw(CREATED, event())
        wait_until(lambda: all(self.arrived(name) for _, name in good), 60, "every good service's request")
        wait_until(lambda: hub.dead_count() >= len(bad) + 1, 60, "every bad service's dead letter")
        for cell, name in good:
            requests = self.arrived(name)
            self.assertEqual(len(requests), 1, cell)
            self.check_good(cell, requests[0])
            matrix.cell(*cell, f"delivered, {requests[0]['status']} {requests[0]['protocol']}")
        for name, cell, words in bad:
            reason = self.letter(hub, name)["headers"]["x-mih-reason"]
            self.assertIn(words, reason, cell)
            matrix.cell(*cell, "dead letter, " + reason.split(" (")[0].split(": ")[0][:40])
        matrix.show()
        self.check_special(hub)
        self.check_secrets(hub)

    def check_special(self, hub):
        """The odd ones: plain text, a header that an event breaks, own headers, signatures, the proxy's own log."""
        self.assertEqual(self.arrived("plain")[0]["authorization"], "Bearer canary-plain")
        hub.database.query(f"UPDATE mdl_local_integrationhub_svc SET timeout = 6 WHERE id = {self.services['plain']}")
        log = wait_until(lambda: self.log_with(hub, "rules read", 2), 20, "the changed service to be read")
        warnings = [line for line in log.splitlines() if "is not encrypted" in line]
        self.assertEqual([f"service_id={self.services['plain']} " in line for line in warnings], [True])
        self.assertEqual(self.arrived("query"), [])
        self.assertIn("policy: header X-Site: the value holds the byte 0xc3", self.letter(hub, "query")["headers"]["x-mih-reason"])
        headers = self.arrived("headers")[0]
        self.assertEqual((headers["site"], headers["accept"]), ("2/core", "text/csv"))
        signed = self.arrived("signed")[0]
        made = [base64.b64encode(hmac.new(base64.b64decode(secret[6:]), f"{signed['id']}.{signed['timestamp']}.{signed['body']}".encode(),
                                          hashlib.sha256).digest()).decode() for secret in SIGNING]
        self.assertEqual(signed["signature"], " ".join("v1," + code for code in made))
        proxied = self.world.proxy.seen()
        self.assertIn(f"CONNECT localhost:{self.world.doors.ports['https']}", proxied)
        self.assertIn(f"POST http://localhost:{self.world.doors.port}", proxied)
        self.assertNotIn("127.0.0.1:" + str(self.world.doors.port), proxied)
        self.assertEqual(len(self.world.stub.record("/token?client=")), 2, "one fetch for all services of one client, one of the wrong client")

    def check_secrets(self, hub):
        """No secret of any service stands in anything that was written or can be seen from outside."""
        wait_until(lambda: int(hub.database.value("SELECT COUNT(*) FROM mdl_local_integrationhub_dlq")) >= hub.dead_count(), 20, "the index")
        wait_until(lambda: int(hub.database.value("SELECT COUNT(*) FROM mdl_local_integrationhub_log")) >= hub.dead_count(), 20, "the log")
        seen = {"log of the fleet": pathlib.Path(hub.fleet.log).read_bytes()}
        for table in ("log", "dlq", "worker", "cb", "rules", "binding", "replay", "outbox"):
            seen["table " + table] = repr(hub.database.query(f"SELECT * FROM mdl_local_integrationhub_{table}")).encode()
        answers = [row[0] for row in hub.database.query("SELECT response FROM mdl_local_integrationhub_dlq WHERE response LIKE 'no: %'")]
        self.assertEqual(4, sum("*****" in answer for answer in answers), answers)      # what was repeated is there, without the secret
        seen["dead letters"] = json.dumps(hub.dead_messages()).encode()
        pids = [hub.fleet.process.pid, *hub.fleet.children()]
        for pid in pids:
            for file in ("cmdline", "environ", "comm"):
                seen[f"{file} of {pid}"] = pathlib.Path(f"/proc/{pid}/{file}").read_bytes()
        seen["working folder"] = b"".join(pathlib.Path(path).read_bytes() for path in glob.glob(hub.fleet.folder + "/**", recursive=True)
                                          if os.path.isfile(path) and not path.endswith("mih.conf"))
        plain = [TOKEN, PASSWORD, KEY, CLIENT_SECRET, PROXY_PASSWORD, "canary-", *(secret[6:] for secret in SIGNING), "PRIVATE KEY", "sodium:"]
        coded = [base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode(), "canary-client+secret", base64.b64encode(b"mih%3Aclient").decode()[:14]]
        for place, text in seen.items():
            self.assertTrue(len(text) > len("[]") or place in NO_ROWS, place)
            for secret in plain + coded:
                self.assertNotIn(secret.encode(), text.replace(b"canary-user", b""), place)
        # The search can find: what is configured is in the file, and the key of a service is in nginx's log.
        self.assertIn(PROXY_PASSWORD.encode(), pathlib.Path(hub.fleet.configuration).read_bytes())
        self.assertIn(KEY, json.dumps(self.world.doors.requests()))
        for pid in pids:
            limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
            self.assertRegex(limits, r"Max core file size +0 ")


class RestTokens(Services):
    """OAuth 2.0 over time."""

    def start(self, query="", wait=0, count=1, settings=None, **columns):
        """A hub with services whose token endpoint behaves as the query says."""
        sections = self.world.settings()
        sections["worker"].update(settings or {})
        hub = self.hub(processes=1, settings=sections)
        columns = {"auth_url": f"{self.world.stub.url}/token?client={client_of('id', CLIENT_SECRET)}{query}", **columns}
        for number in range(count):
            self.service(hub, f"tokens{number}", self.world.stub.url, f"/guarded/{number}?wait={wait}", auth_type="oauth2", auth_user="id",
                         secrets={"auth_token": CLIENT_SECRET}, **columns)
        return hub.start()

    def good(self):
        """How many deliveries each token has had, in the order of the tokens."""
        used = collections.Counter(request["headers"]["authorization"] for request in self.world.stub.record("/guarded"))
        return [used[token] for token in sorted(used)]

    @shared.smoke
    def test_all_wait_for_one_fetch_and_nothing_is_lost(self):
        hub = self.start("&wait=700", count=3)
        for _ in range(40):
            hub.raw(CREATED, event())
        wait_until(lambda: sum(self.good()) >= 120, 60, "all deliveries")
        self.assertEqual(len(self.world.stub.record("/token")), 1)
        self.assertEqual(self.good(), [120])
        self.assertEqual(hub.dead_count(), 0)
        wait_until(lambda: int(hub.database.value("SELECT COALESCE(MAX(latency_ms), 0) FROM mdl_local_integrationhub_log")) >= 700, 20,
                   "the log to count the wait for the token")

    @shared.smoke
    def test_a_token_that_is_refused_is_renewed_once(self):
        hub = self.start()
        hub.raw(CREATED, event())
        wait_until(lambda: sum(self.good()) >= 1, 30, "the first delivery")
        guard.run(["curl", "-s", self.world.stub.url + "/revoke"])
        for _ in range(20):
            hub.raw(CREATED, event())
        wait_until(lambda: self.good()[1:] and self.good()[1] >= 20, 30, "the deliveries with the second token")
        wait_until(lambda: hub.counters()["delivered"] == 21, 20, "the counters")
        self.assertEqual(len(self.world.stub.record("/token")), 2)
        self.assertEqual(hub.dead_count(), 0)

    def test_a_token_that_is_never_good_is_asked_for_once_more_and_no_more(self):
        hub = self.hub(processes=1, settings=self.world.settings())
        self.service(hub, "never", self.world.stub.url, "/status/401", auth_type="oauth2", auth_user="id", auth_url=self.world.stub.url + "/token?",
                     secrets={"auth_token": CLIENT_SECRET})
        hub.start()
        hub.raw(CREATED, event())
        wait_until(lambda: hub.dead_count() == 1, 30, "the dead letter")
        self.assertEqual(self.letter(hub, "never")["headers"]["x-mih-reason"], "HTTP 401 Unauthorized")
        self.assertEqual(len(self.world.stub.record("/status/401")), 2)
        self.assertEqual(len(self.world.stub.record("/token")), 2)
        for _ in range(20):
            hub.raw(CREATED, event())
        wait_until(lambda: hub.dead_count() == 21, 30, "the other dead letters")
        self.assertLess(len(self.world.stub.record("/token")), 8, "tokens for 20 messages that are all refused")

    def test_a_token_endpoint_that_is_away_is_a_retry(self):
        hub = self.hub(processes=1, settings=self.world.settings())
        self.service(hub, "later", self.world.stub.url, "/guarded", auth_type="oauth2", auth_user="id", max_retries=3, retry_backoff=1,
                     auth_url=self.world.doors.door("http") + "/status-503/token", secrets={"auth_token": CLIENT_SECRET})
        hub.start()
        hub.raw(CREATED, event())
        log = pathlib.Path(hub.fleet.log)
        wait_until(lambda: "will be tried again" in log.read_text(), 30, "the retry")
        self.assertIn("HTTP 503 Service Unavailable: token endpoint 127.0.0.1:", log.read_text())
        hub.database.query(f"UPDATE mdl_local_integrationhub_svc SET auth_url = '{self.world.stub.url}/token?life=9'")
        wait_until(lambda: sum(self.good()) >= 1, 30, "the delivery by the new endpoint")

    def test_each_waits_for_the_token_as_long_as_it_may(self):
        """Two services of one client: the one's time is over before the token comes, the other's is not, whoever came first."""
        hub = self.hub(processes=1, settings=self.world.settings())
        for name, seconds in (("hasty", 1), ("patient", 60)):
            self.service(hub, name, self.world.stub.url, "/guarded/" + name, auth_type="oauth2", auth_user="id", timeout=seconds,
                         auth_url=self.world.stub.url + "/token?wait=3000", secrets={"auth_token": CLIENT_SECRET})
        hub.start()
        hub.raw(CREATED, event())
        wait_until(lambda: hub.dead_count() == 1 and sum(self.good()) == 1, 30, "a dead letter and a delivery")
        self.assertRegex(self.letter(hub, "hasty")["headers"]["x-mih-reason"],
                         r"^time-out after \d+ ms: token endpoint 127\.0\.0\.1:\d+: no answer yet$")
        self.assertEqual([request["path"] for request in self.world.stub.record("/guarded")], ["/guarded/patient"])
        self.assertEqual(len(self.world.stub.record("/token")), 1)

    def test_an_endpoint_that_failed_is_left_alone_for_a_while(self):
        """One message after the other fails at once, for the reason of the one that asked."""
        hub = self.start("&fail=invalid_client")
        began = time.monotonic()
        for number in range(1, 21):
            hub.raw(CREATED, event())
            wait_until(lambda count=number: hub.dead_count() == count, 30, "the dead letter")
        self.assertLessEqual(len(self.world.stub.record("/token")), 1 + (time.monotonic() - began) / 5)
        reasons = {message["headers"]["x-mih-reason"] for message in hub.dead_messages()}
        self.assertEqual(len(reasons), 1, reasons)
        self.assertIn(": HTTP 400 invalid_client", reasons.pop())
        hub.database.query(f"UPDATE mdl_local_integrationhub_svc SET auth_url = '{self.world.stub.url}/token?life=9'")
        wait_until(lambda: self.log_with(hub, "rules read", 2), 20, "the changed service to be read")
        hub.raw(CREATED, event())
        wait_until(lambda: sum(self.good()) == 1, 30, "the delivery by the new endpoint")

    def test_cancelled_at_the_end_of_the_drain(self):
        """Who waits for a token that does not come goes back to the broker, and is delivered by the next fleet."""
        hub = self.start("&wait=60000", timeout=120, settings={"drain_timeout": "1s"})
        for _ in range(5):
            hub.raw(CREATED, event())
        wait_until(lambda: len(self.world.stub.record("/token")) == 1, 30, "the fetch")
        self.assertEqual(hub.fleet.stop(60), 0)
        self.assertEqual(len(hub.waiting()), 5)


class RestConnections(Services):
    """Who shares a connection with whom."""

    def test_a_connection_belongs_to_one_certificate(self):
        """Two services of one server with different certificates, and one with none, in turn."""
        hub = self.hub(processes=1, settings=self.world.settings())
        for name in ("client-a", "client-b"):
            self.service(hub, name, self.world.doors.door("mtls"), secrets={"client_cert": bundle(self.world.certificates, name)})
        self.service(hub, "client-none", self.world.doors.door("mtls"))
        hub.start()
        for number in range(30):
            hub.raw(CREATED, event())
            if number % 3 == 0:
                wait_until(lambda count=number: len(self.arrived("client-none")) > count, 30, "the requests of the event before")
        wait_until(lambda: all(len(self.arrived(name)) >= 30 for name in ("client-a", "client-b", "client-none")), 30, "all requests")
        for name in ("client-a", "client-b"):
            self.assertEqual({request["who"] for request in self.arrived(name)}, {f"CN={name}"})
            self.assertEqual({request["status"] for request in self.arrived(name)}, {200})
        self.assertEqual({(request["who"], request["status"]) for request in self.arrived("client-none")}, {("", 400)})
        # Kept alive: far fewer connections than requests, and none of them shared.
        connections = {name: {request["connection"] for request in self.arrived(name)} for name in ("client-a", "client-b", "client-none")}
        self.assertLess(len(connections["client-a"] | connections["client-b"]), 40)
        self.assertFalse(connections["client-a"] & connections["client-b"])
        self.assertFalse(connections["client-none"] & (connections["client-a"] | connections["client-b"]))

    def test_one_request_at_a_time_on_a_connection_of_http2(self):
        hub = self.hub(processes=1, settings=self.world.settings())
        self.service(hub, "many", self.world.doors.door("https"), "/slow/many", max_concurrency=8)
        hub.start()
        for _ in range(60):
            hub.raw(CREATED, event())
        wait_until(lambda: len(self.arrived("many")) >= 60, 30, "all requests")
        self.assertEqual({request["protocol"] for request in self.arrived("many")}, {"HTTP/2.0"})
        spans = collections.defaultdict(list)
        for request in self.arrived("many"):
            spans[request["connection"]].append((request["at"] - request["took"], request["at"]))
        self.assertTrue(1 < len(spans) <= 8, len(spans))        # fewer when the events came slower than the answers
        for times in map(sorted, spans.values()):       # nginx rounds to a millisecond
            self.assertTrue(all(later[0] > earlier[1] - 0.01 for earlier, later in zip(times, times[1:])), times)

    def test_a_proxy_that_wants_a_password(self):
        hub = self.hub(processes=1, settings=self.world.settings(proxy=f"http://127.0.0.1:{self.world.proxy.port}"))
        # tinyproxy resets the connection when it has not read a body, so what it says would be lost.
        self.service(hub, "http", self.world.doors.door("http", "localhost"), rule={"http_method": "GET"})
        self.service(hub, "https", self.world.doors.door("https").replace("127.0.0.1", "localhost"))
        hub.start()
        hub.raw(CREATED, event())
        wait_until(lambda: hub.dead_count() == 2, 30, "both dead letters")
        self.assertEqual(self.letter(hub, "http")["headers"]["x-mih-reason"], "HTTP 407 Proxy Authentication Required")
        self.assertEqual(self.letter(hub, "https")["headers"]["x-mih-reason"],
                         "HTTP 407 Proxy Authentication Required: the proxy of [http] proxy answered 407")

    def test_a_proxy_that_does_not_guard_is_not_used(self):
        settings = self.world.settings()
        settings["security"]["proxy_enforces_egress"] = "no"
        hub = self.hub(processes=1, settings=settings)
        self.service(hub, "through", self.world.doors.door("http", "localhost"))
        self.service(hub, "past", self.world.doors.door("http"))
        hub.start()
        hub.raw(CREATED, event())
        wait_until(lambda: hub.dead_count() == 1 and self.arrived("past"), 30, "a dead letter and a delivery")
        self.assertIn("policy: behind a proxy the network guard sees no service's address", self.letter(hub, "through")["headers"]["x-mih-reason"])
        self.assertNotIn("localhost", self.world.proxy.seen())


@unittest.skipUnless(shutil.which("npm"), "needs npm: see tests/packages.txt")
class RestSignatures(Services):
    """Signatures as receivers verify them."""

    def verify(self, lines):
        """What the reference library says to each."""
        folder = guard.folder("mih-node-")
        for name in ("package.json", "package-lock.json", "verify.mjs"):
            shutil.copy(NODE / name, folder)
        status, _, errors = guard.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=folder, seconds=300)
        self.assertEqual(status, 0, errors.decode(errors="replace"))
        status, output, errors = guard.run(["node", "verify.mjs"], cwd=folder, data="".join(json.dumps(line) + "\n" for line in lines).encode())
        self.assertEqual(status, 0, errors.decode(errors="replace"))
        return output.decode().split("\n")[:-1]

    def test_the_reference_library_accepts_them(self):
        """By the package standardwebhooks: with either secret, every method and body, on a retry with its own time, and with no changed byte."""
        hub = self.hub(processes=1, settings=self.world.settings())
        secrets = {"signing_secret": SIGNING[0], "signing_secret_old": SIGNING[1]}
        for name, columns in (("json", {}), ("form", {"body_type": "form"}), ("raw", {"body_type": "raw"})):
            self.service(hub, name, self.world.doors.door("https"), secrets=secrets, **columns)
        self.service(hub, "whole", self.world.doors.door("http"), secrets=secrets, rule={"payload_template": None})
        self.service(hub, "put", self.world.doors.door("http"), secrets={"signing_secret": SIGNING[0]}, rule={"http_method": "PUT"})
        self.service(hub, "again", self.world.doors.door("http"), "/status-503/again", secrets={"signing_secret": SIGNING[0]}, max_retries=2,
                     retry_backoff=1)
        hub.start()
        hub.raw(CREATED, event())
        names = ("json", "form", "raw", "whole", "put")
        wait_until(lambda: all(self.arrived(name) for name in names) and len(self.arrived("again")) == 3, 60, "all requests")
        lines, expected = [], []
        for request in [self.arrived(name)[0] for name in names] + self.arrived("again"):
            headers = {f"webhook-{name}": request[name] for name in ("id", "timestamp", "signature")}
            rotated = " " in request["signature"]
            for secret, body, answer in ((SIGNING[0], request["body"], True), (SIGNING[1], request["body"], rotated),
                                         (SIGNING[0], request["body"] + " ", False)):
                lines.append({"secret": secret, "headers": headers, "body": body})
                expected.append(answer)
        again = self.arrived("again")
        self.assertEqual(len({request["timestamp"] for request in again}), 3)
        self.assertEqual(len({request["id"] for request in again}), 1)
        answers = self.verify(lines)
        self.assertEqual([answer == "ok" for answer in answers], expected, answers)


if __name__ == "__main__":
    unittest.main()
