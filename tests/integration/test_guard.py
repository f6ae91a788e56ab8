"""The network guard and what events may write into a URL: no request reaches an address that is not allowed, however it is spelled or found."""
import itertools
import json
import os
import signal
import unittest
import urllib.parse

import fleet
import guard
import shared
from canary import ANSWER, Canary
from namestub import NameStub
from services import free_port, wait_until
from stub import Stub

CREATED = r"\core\event\user_created"
GOOD = "127.64.0.9"             # allowed in these tests, for there is no public address on a test machine
REFUSED = r"^policy: refused by the network guard: "
METADATA = "169.254.169.254"

# Hosts as a URL may spell them, and what the guard says.
SPELLINGS = [(host, "loopback address 127.0.0.1;") for host in (
    "127.0.0.1", "127.1", "127.0.1", "2130706433", "017700000001", "0x7f000001", "0X7F000001", "0x7f.1", "0x7f.0.0.1", "0177.1", "0177.0.0.1",
    "0177.0.0x0.1", "0000177.0.0.01", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::FFFF:7F00:0001]", "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::127.0.0.1]", "[::7f00:1]", "inside.test", "INSIDE.test", "127.0.0.1.wildcard.test", "good.example.inside.test", "two.inside.test")]
SPELLINGS = [(host, kind if not host.startswith("[") else "loopback address ::") for host, kind in SPELLINGS] + [
    ("localhost", "loopback address"), ("LOCALHOST", "loopback address"), ("LocalHost", "loopback address"), ("[::1]", "loopback address ::1;"),
    ("[0:0:0:0:0:0:0:1]", "loopback address ::1;"), ("[0000::0001]", "loopback address ::1;"), ("127.0.0.2", "loopback address 127.0.0.2;"),
    ("127.255.255.254", "loopback address 127.255.255.254;"), ("v6.inside.test", "loopback address ::1;"), ("0", "unspecified address 0.0.0.0;"),
    ("0.0.0.0", "unspecified address 0.0.0.0;"), ("0x0", "unspecified address 0.0.0.0;"), ("00.0", "unspecified address 0.0.0.0;"),
    ("[::]", "unspecified address ::;"), ("0.0.0.1", "this network's address 0.0.0.1;"), (METADATA, "link-local address"),
    ("2852039166", "link-local address"), ("0xa9fea9fe", "link-local address"), ("0251.0376.0251.0376", "link-local"),
    ("[::ffff:169.254.169.254]", "link-local address ::ffff:169.254.169.254;"), ("metadata.test", "link-local address 169.254.169.254;"),
    ("[fe80::1]", "link-local address fe80::1;"), ("[fd00:ec2::254]", "private address fd00:ec2::254;"), ("10.0.0.1", "private address 10.0.0.1;"),
    ("10.1", "private address 10.0.0.1;"), ("172.16.0.1", "private address"), ("172.31.255.255", "private address"),
    ("192.168.0.1", "private address"), ("0300.0250.1", "private address 192.168.0.1;"), ("192.168.257", "private address 192.168.1.1;"),
    ("100.100.100.200", "shared"), ("192.0.0.192", "reserved address"), ("198.18.0.1", "benchmarking address"),
    ("192.0.2.1", "documentation address"), ("224.0.0.1", "multicast address"), ("240.0.0.1", "reserved address"),
    ("255.255.255.255", "broadcast address"), ("[ff02::1]", "multicast address"), ("[fec0::1]", "site-local address"),
    ("[2002:7f00:1::]", "6to4 address"), ("[64:ff9b::7f00:1]", "NAT64 address"), ("[2001:0:7f00:1::]", "Teredo address"),
    ("[100::1]", "reserved address"), ("private.test", "private address 10.11.12.13;")]

# Texts that are no URL of a service at all.
NO_URLS = ("http://user@127.0.0.1:{port}", "http://user:pw@127.0.0.1:{port}", "http://good.test:80@127.0.0.1:{port}",
           "http://127.0.0.1:{port}#@good.test", "http://good.test\\@127.0.0.1:{port}", "file:///etc/passwd", "ftp://127.0.0.1:{port}",
           "gopher://127.0.0.1:{port}/_x", "dict://127.0.0.1:{port}/", "telnet://127.0.0.1:{port}", "http:/127.0.0.1:{port}", "//127.0.0.1:{port}",
           "127.0.0.1:{port}", "http://127.0.0.1%00.good.test:{port}", "http://127.0.0.1 good.test:{port}", "http://[::1%25lo]:{port}",
           "http://127.0.0.1:{port}:80")

# What only looks like an address, and no name server knows.
NO_NAMES = ("127.0.0.1.", "127.0.0.1.1", "0x7f000001.", "１２７.０.０.１", "①②⑦.0.0.1", "256.0.0.1")

NAMES = {"inside.test": ["127.0.0.1"], "127.0.0.1.wildcard.test": ["127.0.0.1"], "good.example.inside.test": ["127.0.0.1"], "v6.inside.test": ["::1"],
         "two.inside.test": ["127.0.0.1", "::1"], "metadata.test": [METADATA], "private.test": ["10.11.12.13"]}

# What an event may bring, and how it must arrive inside of a path segment and of a query value.
VALUES = ("plain", "a b", "\r\nX-Evil: 1", "a\r\n\r\nGET /evil HTTP/1.1\r\nHost: evil\r\n\r\n", "a\nb", "a\tb", "a\0b", "\x7f", "a#b", "a?b=c&d",
          "@evil.test", "user:pw@evil.test", "//evil.test/", "\\\\evil.test\\", "%0d%0aX-Evil: 1", "%2e%2e%2f", "a;b=c", "a+b", "é ü 漢 😀", "\u2028",
          "http://evil.test/", "{{userid}}", "'\"<>`|^[]", "." * 3, "a..b")
# Segments that would climb: nothing is sent.
CLIMBING = ("..", ".", "../admin", "a/../../b", "..;x", "../../x", "..\\x")


def letter_of(hub, service):
    """The headers of a service's only dead letter, or None."""
    queue = hub.fleet.dead_queue(service)
    count = hub.rabbit.count([queue])[queue]
    return hub.rabbit.drain(queue, peek=True)[0]["headers"] if count else None


def wait_letters(hub, services):
    """{service: headers} once each service has a dead letter."""
    queues = [hub.fleet.dead_queue(service) for service in services]
    wait_until(lambda: all(hub.rabbit.count(queues).values()), 90, f"a dead letter of each of {len(services)} services", every=0.5)
    return {service: letter_of(hub, service) for service in services}


def addresses_by(sequence):
    """The name server's mind: "rebind-N" has another address at every look-up, "both-N" all of them."""
    def addresses(name):
        if name.startswith("rebind-"):
            return next(sequence)
        return ["127.0.0.1", "::1", GOOD] if name.startswith("both-") else NAMES.get(name)
    return addresses


@unittest.skipUnless(os.geteuid() == 0, "needs root for a name server of its own")
class Transport(unittest.TestCase):
    """it_guard: the transport alone."""

    def test_nothing_gets_past_the_guard_in_the_transport(self):
        """Listeners, a kept connection, 1,000 names that change their address while they are looked up, names with several addresses."""
        folder = guard.folder("mih-guard-")
        stub = Stub(folder, "stub")
        self.addCleanup(stub.stop)
        good = Canary(GOOD, port=free_port(), answer=ANSWER)
        self.addCleanup(good.close)
        canary = Canary("127.0.0.1", "::1", port=good.port)
        self.addCleanup(canary.close)
        names = NameStub(folder, addresses=addresses_by(itertools.cycle([[GOOD], ["127.0.0.1"], [GOOD], ["127.0.0.1", "::1"], [GOOD, "127.0.0.1"]])))
        self.addCleanup(names.close)
        environment = dict(os.environ, MIH_TEST_HTTP_URL=stub.url, MIH_TEST_GOOD_PORT=str(good.port))
        status, output, errors = guard.run([*names.wrapper, fleet.program("it_guard")], env=environment)
        self.assertEqual(0, status, (output + errors).decode(errors="replace"))
        print(next(line for line in (output + errors).decode().splitlines() if line.startswith("rebinding:")), flush=True)
        self.assertEqual(0, canary.hits)
        self.assertGreater(good.hits, 250)
        self.assertGreater(names.questions, 1000)
        self.assertEqual(2, len(stub.record("/status/200?kept")))     # before the guard became stricter, and after
        self.assertTrue(canary.is_alive())


class Guarded(shared.HubTest):
    """The real workers."""

    def services(self, hub, bases, **columns):
        """A service and a rule for each base URL; {service: base}."""
        made = {}
        for base in bases:
            service = hub.service(base, timeout=5, max_retries=0, long_retries=0, cb_failure_threshold=1, cb_cooldown=600, **columns)
            hub.rule(service, CREATED, "/x")
            made[service] = base
        return made

    def name_server(self):
        """A name server that knows NAMES."""
        names = NameStub(guard.folder("mih-guard-"), addresses=addresses_by(itertools.repeat([GOOD])))
        self.addCleanup(names.close)
        return names

    @unittest.skipUnless(os.geteuid() == 0, "needs root for a name server of its own")
    def test_no_spelling_of_an_inner_address_is_called(self):
        """Every row is a dead letter that names host, address and setting; no breaker opens; a canary on loopback sees nobody."""
        names = self.name_server()
        canary = Canary("127.0.0.1", "::1", port=free_port())
        self.addCleanup(canary.close)
        hub = self.hub(processes=1, settings={"security": {"allow_networks": ""}})
        hub.fleet.wrapper = names.wrapper
        spelled = dict(zip(self.services(hub, [f"http://{host}:{canary.port}" for host, _ in SPELLINGS]), SPELLINGS))
        broken = self.services(hub, [text.format(port=canary.port) for text in NO_URLS])
        unknown = self.services(hub, [f"http://{host}:{canary.port}" for host in NO_NAMES])
        hub.start()
        hub.raw(CREATED, json.dumps({"eventname": CREATED}))
        letters = wait_letters(hub, [*spelled, *broken, *unknown])
        for service, (host, words) in spelled.items():
            with self.subTest(host):
                reason = letters[service]["x-mih-reason"]
                self.assertRegex(reason, REFUSED)
                self.assertIn(words, reason)
                self.assertIn(f"guard: {host}:{canary.port} has ", reason)
                self.assertIn("[security] allow_networks", reason)
        for service, base in broken.items():
            with self.subTest(base):
                self.assertRegex(letters[service]["x-mih-reason"], "^policy: ")
        states = dict(hub.database.query("SELECT serviceid, state FROM mdl_local_integrationhub_cb WHERE state <> 'closed'"))
        self.assertEqual(set(), {*spelled, *broken} & set(map(int, states)))
        self.assertEqual(0, canary.hits)
        self.assertTrue(canary.is_alive())
        self.assertGreaterEqual(len(spelled), 60)
        print(f"{len(spelled)} spellings and {len(broken)} texts that are no URL: 0 connections to the canary", flush=True)

    @unittest.skipUnless(os.geteuid() == 0, "needs root for a name server of its own")
    def test_a_name_with_an_allowed_address_among_others_is_called_there(self):
        """The others see nobody."""
        names = self.name_server()
        good = Canary(GOOD, port=free_port(), answer=ANSWER)
        self.addCleanup(good.close)
        canary = Canary("127.0.0.1", "::1", port=good.port)
        self.addCleanup(canary.close)
        hub = self.hub(processes=1, settings={"security": {"allow_networks": f"{GOOD}/32"}})
        hub.fleet.wrapper = names.wrapper
        self.services(hub, [f"http://both-{number}.test:{good.port}" for number in range(3)])
        hub.start()
        hub.raw(CREATED, json.dumps({"eventname": CREATED}))
        wait_until(lambda: good.hits == 3, 30, "three requests to the allowed address")
        self.assertEqual(0, canary.hits + hub.dead_count())
        self.assertTrue(canary.is_alive())

    def test_another_policy_holds_for_connections_that_are_kept(self):
        """SIGHUP: what was allowed is refused at once, and allowed again, without a new process."""
        hub = self.hub(processes=1)
        service = hub.service()
        hub.rule(service, CREATED)
        hub.start()
        body = json.dumps({"eventname": CREATED})
        hub.raw(CREATED, body)
        hub.wait_delivered(1)
        self.reload(hub, "10.0.0.0/8, fd00::/8")
        hub.raw(CREATED, body)
        reason = wait_letters(hub, [service])[service]["x-mih-reason"]
        self.assertRegex(reason, REFUSED + r"127\.0\.0\.1:\d+ has the loopback address 127\.0\.0\.1; \[security\] allow_networks ")
        self.assertEqual(1, len(hub.delivered()))
        self.reload(hub, fleet.LOOPBACK)
        hub.raw(CREATED, body)
        hub.wait_delivered(2)
        self.assertEqual(1, hub.dead_count())

    def reload(self, hub, networks):
        """Other allowed networks in the file, and SIGHUP; returns when the process has them."""
        def count():
            with open(hub.fleet.log, encoding="utf-8") as stream:
                return stream.read().count('msg="settings read again"')
        before, children = count(), hub.fleet.children()
        hub.fleet.sections["security"]["allow_networks"] = networks
        hub.fleet.write_configuration()
        hub.fleet.process.signal(signal.SIGHUP)
        wait_until(lambda: count() > before, 20, "the settings to be read again")
        self.assertEqual(children, hub.fleet.children())

    def test_redirects_are_not_followed(self):
        """Neither to an address that is refused nor to one that is allowed."""
        stub = self.stub()
        canary = Canary("127.0.0.1", port=free_port())
        self.addCleanup(canary.close)
        hub = self.hub(processes=1)
        there = f"http://127.0.0.1:{canary.port}/"
        for status, location in itertools.product((301, 302, 303, 307, 308), (there, there[5:], "file:///etc/passwd", "/elsewhere")):
            service = hub.service(stub.url, max_retries=0, long_retries=0)
            hub.rule(service, CREATED, f"/status/{status}?location={urllib.parse.quote(location)}")
        hub.start()
        hub.raw(CREATED, json.dumps({"eventname": CREATED}))
        for headers in wait_letters(hub, hub.services).values():
            self.assertRegex(headers["x-mih-reason"], r"^HTTP 30\d .*redirect.*never followed")
        self.assertEqual(0, canary.hits)
        self.assertEqual(len(hub.services), len(stub.record()))
        self.assertTrue(canary.is_alive())

    def stub(self):
        """A stub that ends with the test."""
        stub = Stub(guard.folder("mih-guard-"), "stub")
        self.addCleanup(stub.stop)
        return stub

    def test_events_cannot_write_into_url_or_headers(self):
        """What the server received, byte for byte: each value is one segment and one query value, and nothing else is in the request."""
        stub = self.stub()
        hub = self.hub(processes=1)
        service = hub.service(stub.url + "/base", max_retries=0, long_retries=0)
        hub.rule(service, CREATED, "/in/{{other.v}}/end?q={{other.v}}&z=1")
        hub.start()
        sent = {hub.raw(CREATED, json.dumps({"eventname": CREATED, "other": {"v": value}})): value for value in (*VALUES, *CLIMBING)}
        wait_until(lambda: len(stub.record()) + hub.dead_count() >= len(sent), 60, "every event to be sent or refused", every=0.2)
        received = {request["webhook_id"].partition(":")[0]: request for request in stub.record()}
        dead = {message["properties"]["message_id"]: message["headers"]["x-mih-reason"] for message in hub.dead_messages()}
        names = set(next(iter(received.values()))["headers"])
        for message, value in sent.items():
            with self.subTest(repr(value)):
                if value in CLIMBING:
                    self.assertNotIn(message, received)
                    self.assertRegex(dead[message], "^policy: the endpoint")
                    continue
                self.assertNotIn(message, dead)
                coded = urllib.parse.quote(value, safe="-._~")
                self.assertEqual(f"/base/in/{coded}/end?q={coded}&z=1", received[message]["path"])
                self.assertEqual(names, set(received[message]["headers"]))
                self.assertEqual(f"127.0.0.1:{stub.port}", received[message]["headers"]["host"])
        self.assertEqual(len(VALUES), len(stub.record()))

    def test_an_event_cannot_choose_host_or_method(self):
        """An endpoint that is nothing but a value of the event stays behind the base URL."""
        stub = self.stub()
        canary = Canary("127.0.0.1", port=free_port())
        self.addCleanup(canary.close)
        hub = self.hub(processes=1)
        service = hub.service(stub.url + "/base", max_retries=0, long_retries=0)
        hub.rule(service, CREATED, "{{other.v}}")
        hub.start()
        values = [f"http://127.0.0.1:{canary.port}/", f"//127.0.0.1:{canary.port}/", f"@127.0.0.1:{canary.port}/", f":{canary.port}@127.0.0.1",
                  f"\\\\127.0.0.1:{canary.port}\\", f"/\r\nHost: 127.0.0.1:{canary.port}", f"?@127.0.0.1:{canary.port}", f"#@127.0.0.1:{canary.port}"]
        for value in values:
            hub.raw(CREATED, json.dumps({"eventname": CREATED, "other": {"v": value}}))
        wait_until(lambda: len(stub.record()) + hub.dead_count() >= len(values), 60, "every event to be sent or refused", every=0.2)
        self.assertEqual(0, canary.hits + hub.dead_count())
        self.assertEqual({"/base/" + urllib.parse.quote(value, safe="-._~") for value in values}, {request["path"] for request in stub.record()})
        self.assertEqual({"POST"}, {request["method"] for request in stub.record()})
        self.assertTrue(canary.is_alive())


if __name__ == "__main__":
    unittest.main()
