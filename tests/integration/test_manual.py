"""What docs/ tells: its receivers are run as they stand there, and take real deliveries; its queries are asked."""
import base64
import hashlib
import hmac
import http.client
import json
import os
import re
import time
import unittest

import fleet
import guard
import shared
from services import free_port, listens, wait_until, write_file

SECRETS = ["whsec_" + base64.b64encode(bytes(range(start, start + 32))).decode() for start in (1, 101)]      # the new one, the old one
EVENT = r"\core\event\user_created"
# How the manual says that each is run, and which of the two secrets it has.
PROGRAMS = {"php": ("receive.php", ["php", "-S", "127.0.0.1:{port}", "{file}"], 1),
            "python": ("receive.py", ["python3", "{file}", "{port}"], 0),
            "javascript": ("receive.js", ["node", "{file}", "{port}"], 0)}


def read(page):
    """A page of the manual."""
    with open(os.path.join(fleet.TOP, "docs", page), encoding="utf-8") as stream:
        return stream.read()


def blocks(page):
    """The marked blocks of a page: (language, text)."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", read(page), re.M | re.S)


class Sample:
    """One receiver of the manual, as a process."""

    def __init__(self, language, text):
        name, command, secret = PROGRAMS[language]
        self.folder = guard.folder("mih-sample-")
        self.port, self.log = free_port(), os.path.join(self.folder, "log")
        self.secret = SECRETS[secret]
        values = {"port": self.port, "file": write_file(os.path.join(self.folder, name), text)}
        environment = {**os.environ, "WEBHOOK_SECRET": self.secret, "TMPDIR": self.folder}
        self.process = guard.Process([word.format(**values) for word in command], self.log, env=environment)
        wait_until(lambda: listens(self.port), 20, f"{name} to listen")

    def events(self):
        """How many events it has handled."""
        with open(self.log, encoding="utf-8") as stream:
            return len(re.findall(rf"\bevent {re.escape(EVENT)}$", stream.read(), re.M))

    def post(self, identifier, sent, signatures, body):
        """The status of its answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("POST", "/", body, {"webhook-id": identifier, "webhook-timestamp": sent, "webhook-signature": signatures})
        status = connection.getresponse().status
        connection.close()
        return status

    def sign(self, identifier, sent, body):
        """As Standard Webhooks says."""
        digest = hmac.new(base64.b64decode(self.secret[len("whsec_"):]), f"{identifier}.{sent}.".encode() + body, hashlib.sha256).digest()
        return "v1," + base64.b64encode(digest).decode()


class Examples(unittest.TestCase):
    """The administrator's templates and conditions, in both languages, as the worker takes them."""

    def render(self, **rule):
        """(exit code, what mihctl says) of an event of the shared cases."""
        case, folder = os.path.join(fleet.TOP, "tests", "cases", "enrichment"), guard.folder("mih-manual-")
        rule = {"id": 7, "eventname": r"\core\event\user_graded", "serviceid": 3, "endpoint": "/x", "http_method": "POST", "enabled": 1, **rule}
        path = write_file(os.path.join(folder, "rule.json"), json.dumps(rule))
        event = {"eventname": rule["eventname"], "userid": 7, "relateduserid": 7, "courseid": 2, "timecreated": 1795341950,
                 "other": {"finalgrade": 60}}
        words = ["--event", write_file(os.path.join(folder, "event.json"), json.dumps(event)), "--rule", path]
        status, output, errors = guard.run([fleet.program("mihctl"), "render", "--json", "--service", os.path.join(case, "service.json"), *words,
                                            "--data", os.path.join(case, "data.json")])
        return status, (output + errors).decode()

    def test_templates_and_conditions_of_the_guide_are_taken(self):
        for page in ("administrator.md", "administrator.es.md"):
            templates, conditions = re.findall(r"^    (\{.*\})$", read(page), re.M), re.findall(r"^\| `(\{.*\})` \|", read(page), re.M)
            self.assertEqual((3, 3), (len(templates), len(conditions)))
            for template in templates:
                status, said = self.render(payload_template=template)
                self.assertEqual(0, status, said)
                self.assertNotIn("{{", json.loads(said)["body"])
            for condition in conditions:
                status, said = self.render(filter=condition)
                self.assertEqual(0, status, said)
        self.assertEqual(65, self.render(filter="{\"courseid\": {\"$nothing\": 1}}")[0])


class Manual(shared.HubTest):
    """The manual and the fleet."""

    def test_receivers_take_what_is_signed_once_and_nothing_else(self):
        found = dict(blocks("receivers.md"))
        self.assertEqual(set(PROGRAMS), set(found))
        running = {language: Sample(language, text) for language, text in found.items()}
        for sample in running.values():
            self.addCleanup(sample.process.kill9)
        hub = self.hub(processes=1)
        for language, sample in running.items():
            service = hub.service(f"http://127.0.0.1:{sample.port}", name=language, signing_secret=SECRETS[0], signing_secret_old=SECRETS[1])
            hub.rule(service, EVENT)
        hub.start()
        with open(shared.DATA, encoding="utf-8") as stream:
            event = json.loads(stream.readline())
        for _ in range(3):
            hub.raw(EVENT, json.dumps(event))
        for language, sample in running.items():
            with self.subTest(language):
                wait_until(lambda sample=sample: sample.events() >= 3, 30, f"three events at it\n{guard.tail(sample.log)}")
                self.assertEqual(0, hub.dead_count())
                self._refuses(sample, json.dumps(event).encode())

    def _refuses(self, sample, body):
        now = str(int(time.time()))
        good = sample.sign("m:1", now, body)
        refused = {"another body": ("m:1", now, good, body.replace(b"created", b"deleted")), "another id": ("m:2", now, good, body),
                   "another time": ("m:1", str(int(now) - 1), good, body), "no signature": ("m:1", now, "", body),
                   "another kind": ("m:1", now, good.replace("v1,", "v2,"), body), "a part of one": ("m:1", now, good[:-4], body)}
        for seconds in (-310, 310):
            sent = str(int(now) + seconds)
            refused[f"{seconds} s away"] = ("m:1", sent, sample.sign("m:1", sent, body), body)
        for sent in ("", "now", "1e9"):
            refused[f"the time {sent!r}"] = ("m:1", sent, sample.sign("m:1", sent, body), body)
        self.assertEqual({}, {what: status for what, request in refused.items() for status in [sample.post(*request)] if status != 401})
        self.assertEqual(3, sample.events())
        for _ in range(2):
            self.assertIn(sample.post("m:1", now, f"v1,AAAA {good}", body), (200, 204))
        wait_until(lambda: sample.events() >= 4, 10, "the event to be handled")
        self.assertEqual(4, sample.events(), "handled once")

    def test_queries_find_what_they_are_for(self):
        hub = self.hub(processes=1)
        service = hub.service(hub.sink.url + "/status-400", name="erp", cb_failure_threshold=2, cb_cooldown=600)
        hub.rule(service, EVENT)
        hub.start()
        hub.raw(EVENT, json.dumps({"eventname": EVENT}))
        wait_until(lambda: hub.database.value("SELECT COUNT(*) FROM mdl_local_integrationhub_dlq") == "1", 20, "the row of the dead letter")
        for change in (f"REPLACE INTO mdl_local_integrationhub_cb (serviceid, state, retryat) VALUES ({service}, 'open', UNIX_TIMESTAMP() + 600)",
                       "UPDATE mdl_local_integrationhub_rules SET timedisabled = 1, disabledreason = 'HTTP 410 Gone'",
                       f"INSERT INTO mdl_local_integrationhub_binding (serviceid, routingkey) VALUES ({service}, 'core.nothing')"):
            hub.database.query(change)
        (_, text), = [block for block in blocks("operating.md") if block[0] == "sql"]
        queries = [query.strip() for query in re.sub(r"^--.*\n", "", text, flags=re.M).split(";") if query.strip()]
        self.assertEqual(8, len(queries))
        answers = [wait_until(lambda query=query: hub.database.query(query), 20, f"an answer of {query}") for query in queries]
        self.assertEqual([1] * 8, [len(rows) for rows in answers], answers)
        self.assertEqual(["erp", "0", "0", "1"], answers[2][0][:4], "one request of the last hour")
        self.assertIn("HTTP 400", answers[4][0][1])
        self.assertEqual("0", answers[5][0][0], "the outbox is empty")
