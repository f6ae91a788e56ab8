"""What the supervisor tells Prometheus and those who ask for its health, beside what receiver, broker and test count."""
import collections
import json
import os
import re
import signal
import socket
import struct
import time
import unittest

import fleet
import guard
import services
import shared
from scraper import Pages
from services import wait_until

VIEWED = r"\core\event\course_viewed"
PROMTOOL = "promtool"
OFTEN = {"interval": "200ms", "backlog_interval": "300ms"}
CONNECTIONS = 16        # at once, as worker/scrape.h says
DEADLINE_S = 10         # likewise
ALERTS = os.path.join(fleet.TOP, "deploy", "prometheus", "mih-alerts.yml")


def read(path):
    """A text file."""
    with open(path, encoding="utf-8") as file:
        return file.read()


def dashboard_queries():
    """What the panels ask for."""
    board = json.loads(read(os.path.join(fleet.TOP, "deploy", "grafana", "mih-dashboard.json")))
    return [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]


class Case(shared.HubTest):
    """One hub for the tests of a class, in the order of their names."""

    seconds = 300

    def metered(self, **options):
        """A hub whose supervisor serves its metrics; not started."""
        port = services.free_port()
        hub = self.hub(settings={"statistics": OFTEN, "metrics": {"listen": port}}, **options)
        hub.pages = Pages(port)
        return hub

    def wait_value(self, hub, wanted, name, seconds=20, **labels):
        """Waits until the sum of these series is that."""
        try:
            wait_until(lambda: hub.pages.figures().value(name, **labels) == wanted, seconds, name, every=0.1)
        except TimeoutError:
            self.assertEqual(wanted, hub.pages.figures().value(name, **labels), f"{name} {labels}")


class Figures(Case):
    """Of everything that a fleet does."""

    @shared.smoke
    def test_they_are_what_happened_and_promtool_finds_no_fault(self):
        """Deliveries, dead letters, what filters left out, latencies, a backlog, a death, a broken breaker."""
        hub = self.metered()
        fast, slow = hub.service(), hub.service(hub.sink.url + "/wait-20", name='sl"ow\\', max_concurrency=32)
        refusing = hub.service(hub.sink.url + "/status-400")
        for service, name in ((fast, VIEWED), (slow, r"\core\event\*"), (refusing, r"\mod_forum\event\*")):
            hub.rule(service, name)
        fleet.add_rule(hub.database, serviceid=fast, eventname=VIEWED, endpoint="/picky", filter='{"userid": {"$lt": 0}}')
        hub.start()
        hub.publish(3000)
        hub.wait_done()
        arrived = collections.Counter(int(delivery.rpartition(":")[2]) for delivery in hub.delivered())
        rules = {row["id"]: row["serviceid"] for row in hub.rows}
        for service in (fast, slow):
            count = sum(number for rule, number in arrived.items() if rules[rule] == service)
            self.wait_value(hub, count, "mih_deliveries_total", service=str(service), transport="rest", verdict="delivered")
        self.wait_value(hub, hub.dead_count(), "mih_deliveries_total", service=str(refusing), verdict="dead")
        self.wait_value(hub, hub.dead_count(), "mih_dead_letters", service=str(refusing))
        viewed = sum(name == VIEWED for _, name in hub.published())
        self.wait_value(hub, viewed, "mih_deliveries_total", service=str(fast), verdict="skipped")
        self.wait_value(hub, 0, "mih_in_flight_requests")       # which is told once a second
        self.wait_value(hub, 0, "mih_outbox_events")
        figures = hub.pages.figures()
        self.assertEqual(len(hub.arrivals), figures.value("mih_request_duration_seconds_count"))
        self.assertEqual(len(hub.arrivals), figures.value("mih_request_duration_seconds_bucket", le="+Inf"))
        self.assertEqual(0, figures.value("mih_request_duration_seconds_bucket", service=str(slow), le="0.016"))
        self.assertEqual([({"service": str(slow), "transport": "rest", "name": 'sl\\"ow\\\\'}, 1)],
                         figures.series("mih_service_info", service=str(slow)))
        self.assertEqual(3, figures.value("mih_breaker_state", state="closed"))
        self.wait_value(hub, 2, "mih_consumers", service=str(fast))
        self.wait_value(hub, 1, "mih_child_elected")
        self.wait_value(hub, 6, "mih_child_connected")
        connects = hub.pages.figures().value("mih_child_connects_total")
        self.assertGreaterEqual(connects, 6)        # the broker may close a connection that consumes from a queue which is just being declared
        self.assertGreater(figures.value("mih_child_cpu_seconds_total"), 0)
        self.assertGreater(figures.value("mih_child_resident_memory_bytes", child="0"), 1 << 20)
        self.lint(hub)
        self.survive_a_kill(hub, arrived.total(), connects)

    def lint(self, hub):
        """promtool check metrics; and nothing in deploy/ asks for what is not there."""
        text = hub.pages.figures().text
        status, output, errors = guard.run([PROMTOOL, "check", "metrics"], data=text.encode())
        self.assertEqual((0, b"", b""), (status, output, errors))
        there = set(re.findall(r"^# TYPE (\S+) ", text, re.M))
        asked = set(re.findall(r"\b(?:mih|process)_\w+", " ".join(dashboard_queries()) + read(ALERTS)))
        self.assertEqual(set(), {re.sub("_(bucket|sum|count)$", "", name) for name in asked} - there)

    def survive_a_kill(self, hub, delivered, connects):
        """Counters of a process outlive it."""
        os.kill(hub.fleet.children()[0], signal.SIGKILL)
        self.wait_value(hub, 3, "mih_child_starts_total")
        self.wait_value(hub, 2, "mih_child_ready")
        self.assertEqual(delivered, hub.pages.figures().value("mih_deliveries_total", verdict="delivered"))
        self.wait_value(hub, connects + 3, "mih_child_connects_total")

    def test_a_service_that_fails_and_one_that_waits(self):
        """Retries, an open breaker, the backlog and since when; what comes out of Moodle's outbox."""
        hub = self.metered(processes=1)
        failing = hub.service(hub.sink.url + "/status-503", cb_failure_threshold=3, cb_cooldown=600, max_retries=5, retry_backoff=1)
        paused = hub.service(paused=1)
        hub.rule(failing, VIEWED)
        hub.rule(paused, VIEWED)
        hub.start()
        began = int(time.time())
        for number in range(5):
            hub.raw(VIEWED, '{"eventname": "\\\\core\\\\event\\\\course_viewed", "userid": %d}' % number)
        self.wait_value(hub, 1, "mih_breaker_state", service=str(failing), state="open")
        self.wait_value(hub, 5, "mih_backlog_messages", service=str(paused))
        figures = hub.pages.figures()
        self.assertGreaterEqual(figures.value("mih_deliveries_total", service=str(failing), verdict="retried"), 3)
        self.assertIn(figures.value("mih_backlog_oldest_timestamp_seconds", service=str(paused)), range(began - 2, int(time.time()) + 1))
        self.assertEqual(0, figures.value("mih_consumers_wanted"))
        fleet.insert(hub.database, "outbox", [{"messageid": "00000000-0000-7000-8000-000000000001", "eventname": VIEWED,
                                               "payload": '{"eventname": "x"}', "timecreated": began - 60}])
        self.wait_value(hub, 1, "mih_outbox_events_relayed_total", result="published")
        self.wait_value(hub, 6, "mih_backlog_messages", service=str(paused))
        self.lint(hub)


class Health(Case):
    """/healthz, /readyz, and where they are."""

    def reasons(self, hub):
        """What /readyz says."""
        status, text, _ = hub.pages.get("/readyz")
        self.assertIn((status, text == "ready\n"), ((200, True), (503, False)))
        return text

    def test_ready_is_told_truthfully(self):
        """While the broker is away, while no work is taken, while one process hangs, and at the end."""
        broker = services.RabbitMQ()
        self.addCleanup(broker.close)
        hub = self.metered(broker=broker, processes=2)
        service = hub.service()
        hub.rule(service, VIEWED)
        hub.start()
        wait_until(lambda: self.reasons(hub) == "ready\n", 20, "it to be ready")
        self.assertEqual((200, "ok\n"), hub.pages.get("/healthz")[:2])
        broker.kill9()
        wait_until(lambda: "child 0 has no connection to the broker\nchild 1 has no" in self.reasons(hub), 20, "the broker to be missed")
        self.assertEqual(200, hub.pages.get("/healthz")[0])     # waiting is no illness
        self.assertEqual(0, hub.pages.figures().value("mih_ready"))
        broker.start()
        wait_until(lambda: self.reasons(hub) == "ready\n", 60, "the broker's return")
        hub.fleet.process.signal(signal.SIGTSTP)
        wait_until(lambda: "quiet" in self.reasons(hub), 10, "the quiet")
        hub.fleet.process.signal(signal.SIGCONT)
        wait_until(lambda: self.reasons(hub) == "ready\n", 20, "the end of the quiet")

    def test_other_paths_methods_and_garbage(self):
        """Are answered or cut off, and nothing else happens."""
        hub = self.metered(processes=1)
        hub.fleet.start()
        wait_until(hub.pages.listening, 20, "the supervisor")
        self.assertEqual(404, hub.pages.get("/")[0])
        self.assertEqual(404, hub.pages.get("/metrics/")[0])
        self.assertEqual(405, hub.pages.get("/metrics", method="POST")[0])
        self.assertEqual((200, ""), hub.pages.get("/metrics?x=1", method="HEAD")[:2])
        self.assertEqual("text/plain; version=0.0.4; charset=utf-8", hub.pages.get("/metrics")[2]["Content-Type"])
        for garbage in (b"\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\n\n", b"GET / HTTP/9\r\n\r\n", b"x" * 9000):
            with socket.create_connection(("127.0.0.1", hub.pages.port), 5) as sock:
                sock.sendall(garbage)
                self.assertTrue(sock.recv(100).startswith(b"HTTP/1.1 400 "), garbage[:20])

    def test_it_listens_where_the_settings_say(self):
        """On loopback when only a port is given; somewhere else, or nowhere, after SIGHUP; later, when the port is taken."""
        hub = self.metered(processes=1)
        taken = socket.create_server(("127.0.0.1", hub.pages.port))
        hub.fleet.start()
        wait_until(lambda: "cannot listen" in guard.tail(hub.fleet.log, 500), 20, "the complaint")
        taken.close()
        wait_until(hub.pages.listening, 20, "another try")
        self.assertEqual([f"0100007F:{hub.pages.port:04X}"], self.listeners(hub.fleet.process.pid))
        other = Pages(services.free_port(), "::1")
        children = hub.fleet.children()
        self.reload(hub, f"[::1]:{other.port}")
        wait_until(other.listening, 20, "the new address")
        self.assertFalse(hub.pages.listening())
        self.reload(hub, "")
        wait_until(lambda: not other.listening(), 20, "the end of listening")
        self.assertEqual(children, hub.fleet.children())        # they have nothing to do with it

    def reload(self, hub, listen):
        """SIGHUP with another address."""
        hub.fleet.sections["metrics"]["listen"] = listen
        hub.fleet.write_configuration()
        hub.fleet.process.signal(signal.SIGHUP)

    def listeners(self, pid):
        """Addresses (as /proc tells them) on which the process listens with IPv4."""
        own = set()
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                own.add(os.readlink(f"/proc/{pid}/fd/{name}"))
            except OSError:
                pass
        with open("/proc/net/tcp", encoding="ascii") as table:
            rows = [line.split() for line in table.readlines()[1:]]
        return [row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in own]


class Scrapers(Case):
    """That misbehave."""

    def test_those_that_dawdle_are_cut_off_and_disturb_nobody(self):
        """More of them than there are places: some that never ask, some that never end, some that take no answer; deliveries and restarts go on."""
        hub = self.metered(processes=2)
        hub.rule(hub.service(), VIEWED)
        hub.start()
        files = len(os.listdir(f"/proc/{hub.fleet.process.pid}/fd"))
        began = time.monotonic()
        slow = [self.dawdler(hub, asks) for asks in (b"", b"GET /metr", b"GET /metrics HTTP/1.1\r\n\r\n") for _ in range(CONNECTIONS // 2)]
        hub.publish(2000)
        hub.wait_done()
        os.kill(hub.fleet.children()[0], signal.SIGKILL)
        wait_until(lambda: len(hub.fleet.children()) == 2, 20, "the child to be started again")
        self.assertLessEqual(len(os.listdir(f"/proc/{hub.fleet.process.pid}/fd")), files + CONNECTIONS + 2)
        self.assertEqual((200, "ok\n"), hub.pages.get("/healthz", seconds=60)[:2])      # when those before it have been cut off
        self.assertGreater(time.monotonic() - began, DEADLINE_S - 1)
        wait_until(lambda: len(os.listdir(f"/proc/{hub.fleet.process.pid}/fd")) <= files + 1, 60, "all of them to be cut off")
        for sock in slow:
            sock.close()
        self.assert_balanced(hub.balance(), duplicates=16)

    def dawdler(self, hub, asks):
        """A connection that says so much and then nothing more, and reads nothing."""
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.settimeout(5)
        sock.connect(("127.0.0.1", hub.pages.port))
        if asks:
            sock.sendall(asks)
        return sock


class Stalls(Case):
    """Processes that are alive, connected, and get nothing."""

    LOSE_CONSUMERS = """
        {{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"mih">>, queue, <<"{queue}">>)),
        [ra:process_command(amqqueue:get_pid(Q), rabbit_fifo:make_checkout({{element(2, C), element(1, C)}}, cancel, #{{}}))
         || C <- rabbit_amqqueue:consumers(Q)].
    """

    @shared.long
    def test_a_queue_that_forgot_its_consumers_is_consumed_again_within_a_minute(self):
        """Nobody is told: the processes believe that they consume, and nothing comes."""
        hub = self.metered(processes=2)
        service = hub.service()
        hub.rule(service, VIEWED)
        hub.start()
        hub.wait_consumed()
        hub.broker.ctl("eval", self.LOSE_CONSUMERS.format(queue=hub.fleet.queue(service)))
        hub.publish(1000)
        began = time.monotonic()
        waiting = len(hub.wanted())
        self.wait_value(hub, waiting, "mih_backlog_messages")
        self.assertEqual((2, 0), (hub.pages.figures().value("mih_consumers"), len(hub.delivered())))
        hub.wait_done(stall=90)
        took = time.monotonic() - began
        print(f"{took:.0f} s until {waiting} events were delivered that nobody was given", flush=True)
        self.assertLess(took, 60)
        self.assertGreater(hub.pages.figures().value("mih_child_stalls_total"), 0)
        self.assertIn("takes nothing though its queue has work", guard.tail(hub.fleet.log, 500))


class Deployed(unittest.TestCase):
    """What deploy/ has for Prometheus and Grafana."""

    seconds = 60

    def promtool(self, *arguments):
        """It must be content."""
        status, output, errors = guard.run([PROMTOOL, *arguments])
        self.assertEqual(0, status, (output + errors).decode())
        return output.decode()

    def test_alerts_are_raised_when_they_should_be(self):
        self.assertRegex(self.promtool("check", "rules", ALERTS), r"SUCCESS: \d+ rules found")
        self.promtool("test", "rules", os.path.join(fleet.TOP, "tests", "data", "alerts.yml"))

    def test_the_queries_of_the_dashboard_are_queries(self):
        rules = []
        for number, query in enumerate(dashboard_queries()):
            query = query.replace("$__rate_interval", "5m").replace("$instance", ".*").replace("$service", ".*")
            self.assertNotIn("$", query)
            rules.append({"record": f"panel:{number}", "expr": query})
        self.assertGreater(len(rules), 20)
        path = os.path.join(guard.folder("mih-test-"), "queries.yml")
        services.write_file(path, json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
        self.promtool("check", "rules", path)
