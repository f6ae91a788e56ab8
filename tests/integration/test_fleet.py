"""The fleet at its work: mih-worker between the real broker, the real database and a sink that notes every request."""
import json
import pathlib
import re
import signal
import time

import guard
import shared
from services import wait_until

CREATED = r"\core\event\user_created"
VIEWED = r"\core\event\course_viewed"
ONCE = {"max_retries": 0, "long_retries": 0, "cb_failure_threshold": 999}      # what fails is a dead letter


def event(eventname, **more):
    """The body of an event of this name."""
    return json.dumps({"eventname": eventname, "component": "core", "objectid": 7, "userid": 2, "courseid": 3, "timecreated": 1763800000,
                       "other": None, **more})


class Delivery(shared.HubTest):
    """From the exchange to the service."""

    @shared.smoke
    def test_real_events_arrive_once_at_each_rule_that_wants_them(self):
        """Exact names, wildcards, two rules of one service, two services for one event."""
        hub = self.hub()
        fast, slow = hub.service(), hub.service(hub.sink.url + "/wait-20")
        for service, name in ((fast, VIEWED), (fast, VIEWED), (fast, r"\mod_quiz\event\*"), (slow, CREATED), (slow, VIEWED)):
            hub.rule(service, name)
        hub.start()
        hub.publish(1433)
        hub.wait_done()
        self.assert_balanced(hub.balance())
        self.assertEqual(0, hub.fleet.stop())

    @shared.smoke
    def test_the_request_is_the_one_that_the_rule_describes(self):
        """Method, URL, body, authorization, id, time and trace."""
        hub = self.hub()
        service = hub.service(hub.sink.url + "/body/fast/", auth_token="secret-4711")
        rule = hub.rule(service, CREATED, "/users/{{objectid}}", http_method="PUT", payload_template='{"id": {{objectid}}, "none": {{other}}}')
        hub.start()
        message = hub.raw(CREATED, event(CREATED))
        hub.wait_delivered(1)
        request = hub.arrivals[0]
        self.assertEqual(("PUT", "/body/fast/users/7"), (request["method"], request["uri"]))
        self.assertEqual({"id": 7, "none": None}, json.loads(request["body"]))
        self.assertEqual("Bearer secret-4711", request["authorization"])
        self.assertEqual(f"{message}:{rule}", request["id"])
        self.assertAlmostEqual(request["at"], int(request["timestamp"]), delta=5)
        self.assertEqual(message.replace("-", ""), request["traceparent"].split("-")[1])
        self.assertNotIn("secret-4711", guard.tail(hub.fleet.log, 1000))

    @shared.smoke
    def test_a_new_rule_takes_effect_without_a_restart_and_within_two_seconds(self):
        """From the COMMIT to the binding, by the broker's own count; a rule that goes away stops its events."""
        hub = self.hub()
        service = hub.service()
        hub.rule(service, VIEWED)
        hub.start()
        children = set(hub.fleet.children())
        for number in range(5):
            rule = hub.rule(service, CREATED, f"/{number}")
            committed = time.monotonic()
            wait_until(lambda: not hub.rabbit.raw(hub.exchange, "core.user_created", event(CREATED), type=CREATED)["returned"], 20,
                       "the exchange to route the new rule's event", every=0.05)
            took = time.monotonic() - committed
            wait_until(lambda: [r for r in hub.sink.new_requests() if r["uri"] == f"/fast/{number}"], 10, "the new rule's request")
            self.assertLess(took, 2.0, "seconds until the broker routed a new rule's event")
            hub.database.query(f"DELETE FROM mdl_local_integrationhub_rules WHERE id = {rule}")
            wait_until(lambda: hub.rabbit.raw(hub.exchange, "core.user_created", event(CREATED), type=CREATED)["returned"], 20,
                       "the exchange to forget the rule", every=0.1)
        self.assertEqual(children, set(hub.fleet.children()))

    @shared.smoke
    def test_headers_of_ours_on_an_event_mean_nothing(self):
        """Anybody who may publish events can set them: only what the fleet itself sent again carries them rightly."""
        hub = self.hub(processes=1)
        service = hub.service(hub.sink.url, **ONCE)
        good = [hub.rule(service, VIEWED, f"/fast/{number}") for number in range(2)]
        bad = hub.rule(service, VIEWED, "/status-500/")
        hub.start()
        message = hub.raw(VIEWED, event(VIEWED), headers=[f"x-mih-rule={good[0]}", "x-mih-attempt:=9223372036854775807", "x-mih-first:=-5"])
        hub.wait_done()
        balance = hub.balance()
        self.assert_balanced(balance)
        self.assertEqual({f"{message}:{rule}" for rule in good}, balance.delivered)
        letter = hub.dead_messages()[0]
        self.assertEqual((str(bad), 1), (letter["headers"]["x-mih-rule"], letter["headers"]["x-mih-attempt"]))

    def test_a_new_service_is_consumed_and_a_disabled_one_waits(self):
        """A disabled service's events stay in its queue; enabled again, all arrive."""
        hub = self.hub()
        hub.start()
        service = hub.service()
        hub.rule(service, VIEWED)
        hub.wait_bound()
        hub.publish(500)
        hub.wait_done()
        hub.database.query(f"UPDATE mdl_local_integrationhub_svc SET enabled = 0 WHERE id = {service}")
        wait_until(lambda: hub.rabbit.consumers(hub.fleet.queue(service)) == 0, 10, "the consumers to leave")
        before = len(hub.delivered())
        hub.publish(500)
        waiting = hub.waiting()
        self.assertEqual(len(hub.wanted()) - before, len(waiting))
        self.assertGreater(len(waiting), 0)
        hub.database.query(f"UPDATE mdl_local_integrationhub_svc SET enabled = 1 WHERE id = {service}")
        hub.wait_done()
        self.assert_balanced(hub.balance())

    @shared.smoke
    def test_what_no_rule_wants_never_reaches_a_worker(self):
        """The workers' own counters: received is what the rules ask for, nothing is skipped."""
        hub = self.hub()
        service = hub.service()
        hub.rule(service, CREATED)
        hub.start()
        hub.publish(1433)
        hub.wait_done()
        wanted = len(hub.wanted())
        self.assertGreater(wanted, 0)
        self.assertLess(wanted, 1433)
        wait_until(lambda: hub.counters()["delivered"] == wanted, 15, "the counters of the worker table")
        self.assertEqual({"received": wanted, "delivered": wanted, "skipped": 0, "dead": 0}, hub.counters())

    def test_a_message_for_a_rule_that_has_gone_is_skipped_and_counted(self):
        """A stale binding costs a discarded message and nothing else."""
        hub = self.hub()
        service = hub.service()
        hub.rule(service, VIEWED)
        hub.start()
        hub.rabbit.declare("--queue", hub.fleet.queue(service), "--argument", "x-queue-type=quorum", "--argument", "x-delivery-limit:=20",
                           "--argument", f"x-dead-letter-exchange={hub.fleet.namespace}.dead", "--argument", f"x-dead-letter-routing-key={service}",
                           "--argument", "x-dead-letter-strategy=at-least-once", "--argument", "x-overflow=reject-publish",
                           "--bind", f"{hub.exchange}:core.user_created")
        hub.rabbit.raw(hub.exchange, "core.user_created", event(CREATED), type=CREATED)
        wait_until(lambda: hub.counters()["skipped"] == 1, 15, "the skipped message in the worker table")
        hub.publish(200)
        hub.wait_done()
        self.assert_balanced(hub.balance())

    def test_every_process_goes_by_the_program_s_name(self):
        """As ps, top and killall see it: a child is started through /proc/self/exe."""
        hub = self.hub()
        hub.start()
        wait_until(lambda: len(hub.fleet.children()) == 2, 10, "both processes")
        pids = [hub.fleet.process.pid, *hub.fleet.children()]
        wait_until(lambda: {pathlib.Path(f"/proc/{pid}/comm").read_text(encoding="ascii") for pid in pids} == {"mih-worker\n"}, 10,
                   "every process to have its name")

    def test_several_sites_share_a_broker_by_namespace(self):
        """Each site's events reach its own services alone."""
        one, two = self.hub(processes=1), self.hub(processes=1)
        for hub in (one, two):
            hub.rule(hub.service(), VIEWED)
            hub.start()
        one.publish(700)
        two.publish(300)
        for hub in (one, two):
            hub.wait_done()
            self.assert_balanced(hub.balance())

    def test_a_service_gets_as_many_requests_at_once_as_it_allows(self):
        """max_concurrency bounds the requests under way, per process."""
        hub = self.hub(processes=1)
        service = hub.service(hub.sink.url + "/wait-200", max_concurrency=3)
        hub.rule(service, VIEWED)
        hub.start()
        hub.publish(400)
        hub.wait_done()
        balance = hub.balance()
        self.assert_balanced(balance)
        # The sink's times are whole milliseconds: a request that follows an answer at once may seem to overlap it by one or two.
        edges = sorted([(r["arrived"] + 0.005, 1) for r in hub.arrivals] + [(r["at"], -1) for r in hub.arrivals])
        most = at_once = 0
        for _, change in edges:
            at_once += change
            most = max(most, at_once)
        self.assertEqual(3, most)

    def test_a_slow_service_delays_no_other(self):
        """Bulkhead: while one service hangs with a full queue, the other one's events go through."""
        hub = self.hub(processes=1)
        hanging = hub.service("http://127.0.0.1:1/", timeout=60)
        hub.database.query(f"UPDATE mdl_local_integrationhub_svc SET base_url = '{hub.sink.url}/wait-200', max_concurrency = 1 WHERE id = {hanging}")
        fast = hub.service()
        hub.rule(hanging, VIEWED)
        hub.rule(fast, VIEWED)
        hub.start()
        hub.publish(1433)
        of_fast = [d for d in hub.wanted() if hub.rules.service_of[int(d.rpartition(":")[2])] == fast]
        wait_until(lambda: set(of_fast) <= set(hub.delivered()), 20, "all events at the fast service")
        self.assertLess(len(set(hub.arrivals and [r["id"] for r in hub.arrivals])), len(hub.wanted()), "the slow one still works")


class Poison(shared.HubTest):
    """Bad input is a dead letter that names the fault, in one pass, and the good messages around it are delivered."""

    CASES = (
        ("not JSON", "{not json", r"not JSON.*byte 1"),
        ("empty", "", r"empty|not JSON"),
        ("a list", "[1, 2]", r"not.*object|object"),
        ("a number", "5", r"object"),
        ("2 MiB", json.dumps({"eventname": VIEWED, "fill": "x" * (2 << 20)}), r"bytes, more than the accepted 1048576"),
        ("200 levels deep", '{"eventname": "x", "other": ' + "[" * 200 + "]" * 200 + "}", r"deep|depth|level|nest"),
        ("not UTF-8", b'{"eventname": "' + VIEWED.encode().replace(b"\\", b"\\\\") + b'", "other": "\xff\xfe"}', r"UTF-8"),
        ("a NUL byte", b'{"eventname": "a\x00b"}', r"not JSON"),
        ("no eventname", '{"component": "core"}', r"no eventname"),
        ("an eventname that is no text", '{"eventname": 5}', r"eventname is not a text"),
        ("an integer beyond 64 bits", json.dumps({"eventname": VIEWED, "objectid": 10 ** 30}), r"integer|number|64"),
        ("NaN", '{"eventname": "x", "objectid": NaN}', r"not JSON"),
        ("trailing bytes", event(VIEWED) + " x", r"not JSON"),
    )

    @shared.smoke
    def test_bad_events_among_good_ones(self):
        """Each bad body lies in the dead letters once, unchanged, with a reason that names what is wrong; the worker goes on."""
        hub = self.hub(processes=1)
        service = hub.service()
        hub.rule(service, VIEWED)
        hub.start()
        children = hub.fleet.children()
        bad = {}
        for name, body, pattern in self.CASES:
            hub.publish(100)
            identifier = hub.rabbit.raw(hub.exchange, "core.course_viewed", body, type=VIEWED)["message_id"] if body else self._empty(hub)
            bad[identifier] = (name, body if isinstance(body, bytes) else body.encode(), pattern)
        wait_until(lambda: hub.dead_count() == len(bad), 30, "the dead letters")
        good = hub.wanted()
        wait_until(lambda: set(hub.delivered()) == good, 30, "the good events")
        letters = {letter["properties"]["message_id"]: letter for letter in hub.dead_messages()}
        self.assertEqual(set(bad), set(letters))
        for identifier, (name, body, pattern) in bad.items():
            with self.subTest(name):
                letter = letters[identifier]
                self.assertRegex(letter["headers"]["x-mih-reason"], r"^poison: ")
                self.assertRegex(letter["headers"]["x-mih-reason"], pattern)
                self.assertEqual(str(service), letter["headers"]["x-mih-service"])
                self.assertEqual(body, _bytes(letter["body"]))
                self.assertNotIn("x-mih-rendered", letter["headers"])
        self.assertEqual(children, hub.fleet.children(), "no process has ended")
        self.assertEqual(len(good), len(hub.arrivals), "no repeats")

    def _empty(self, hub):
        path = guard.folder("mih-empty-") + "/body"
        with open(path, "wb"):
            pass
        answer = hub.rabbit._run("raw", "--exchange", hub.exchange, "--key", "core.course_viewed", "--type", VIEWED, "--file", path)
        return json.loads(answer)["message_id"]

    @shared.smoke
    def test_bad_rules_among_good_ones(self):
        """A template that is not valid, an endpoint with CR/LF, a URL that is none: dead letters name the rule and the fault."""
        hub = self.hub(processes=1)
        good, wrong = hub.service(), hub.service("ftp://example.org/")
        rules = {
            hub.rule(good, VIEWED, payload_template='{"id": {{objectid}'): r"payload, line 1, column",
            hub.rule(good, VIEWED, "/a\r\nX-Evil: 1"): r"endpoint",
            hub.rule(good, VIEWED, payload_template='{"id": {{objectid | nosuch}}}'): r"nosuch",
            hub.rule(good, VIEWED, "/../../admin"): r"endpoint",
            hub.rule(good, VIEWED, http_method="TRACE"): r"TRACE",
            hub.rule(wrong, VIEWED): r"base_url|http",
        }
        fine = hub.rule(good, VIEWED, "/fine")
        hub.start()
        hub.publish(300)
        hub.wait_done()
        balance = hub.balance()
        self.assert_balanced(balance)
        events = len([name for _, name in hub.published() if name == VIEWED])
        self.assertEqual({f"{message}:{fine}" for message, name in hub.published() if name == VIEWED}, balance.delivered)
        for rule, pattern in rules.items():
            reasons = [reason for delivery, reason in balance.dead.items() if delivery.endswith(f":{rule}")]
            self.assertEqual(events, len(reasons))
            self.assertEqual(1, len(set(reasons)))
            self.assertRegex(reasons[0], pattern)
            self.assertRegex(reasons[0], r"^policy: ")
            self.assertNotIn("\r", reasons[0])

    @shared.smoke
    def test_refused_and_failed_deliveries_keep_what_was_sent(self):
        """Status, reason, attempts, rule and the rendered body are with the dead letter."""
        hub = self.hub(processes=1)
        service = hub.service(hub.sink.url, **ONCE)
        rows = {status: hub.rule(service, CREATED, f"/status-{status}/x", payload_template='{"id": {{objectid}}}') for status in (400, 404, 500, 503)}
        down = hub.rule(hub.service("http://127.0.0.1:1/", **ONCE), CREATED)
        hub.start()
        message = hub.raw(CREATED, event(CREATED))
        wait_until(lambda: hub.dead_count() == 5, 20, "the dead letters")
        letters = {letter["headers"]["x-mih-rule"]: letter for letter in hub.dead_messages()}
        for status, rule in rows.items():
            headers = letters[str(rule)]["headers"]
            self.assertEqual((status, 1, '{"id":7}'), (headers["x-mih-status"], headers["x-mih-attempt"], headers["x-mih-rendered"]))
            self.assertIn(str(status), headers["x-mih-reason"])
            self.assertAlmostEqual(time.time(), headers["x-mih-first"], delta=30)
            self.assertEqual(event(CREATED), letters[str(rule)]["body"])
            self.assertEqual((message, CREATED), tuple(letters[str(rule)]["properties"][key] for key in ("message_id", "type")))
        self.assertEqual(0, letters[str(down)]["headers"]["x-mih-status"])
        self.assertRegex(letters[str(down)]["headers"]["x-mih-reason"], re.compile("connect", re.I))


def _bytes(body):
    """The bytes of a drained body."""
    if isinstance(body, dict):
        import base64
        return base64.b64decode(body["base64"])
    return body.encode()


class Signals(shared.HubTest):
    """Drain, quiet, reload."""

    @shared.smoke
    def test_sigterm_in_the_middle_neither_loses_nor_repeats(self):
        """What has begun is finished and acknowledged; the rest waits at the broker for the next fleet."""
        hub = self.hub()
        hub.rule(hub.service(hub.sink.url + "/wait-20", max_concurrency=4), VIEWED)
        hub.start()
        hub.publish(1433)
        hub.wait_delivered(20)
        self.assertEqual(0, hub.fleet.stop())
        balance = hub.balance(hub.waiting())
        self.assertEqual([], balance.faults())
        self.assertGreater(len(balance.waiting), 0)
        hub.fleet.start()
        hub.wait_done()
        self.assert_balanced(hub.balance())

    def test_many_pauses_in_a_row_leave_every_service_consumed(self):
        """A consumer that is cancelled the moment it was started must not hang between two states."""
        hub = self.hub()
        hub.rule(hub.service(), VIEWED)
        hub.start()
        for _ in range(25):
            hub.fleet.process.signal(signal.SIGTSTP)
            time.sleep(0.03)        # no condition: the point is to hit any moment of the start
            hub.fleet.process.signal(signal.SIGCONT)
            time.sleep(0.03)
        wait_until(lambda: hub.rabbit.consumers(hub.fleet.queue(hub.services[0])) == 2, 25, "both processes to consume again")
        hub.publish(500)
        hub.wait_done()
        self.assert_balanced(hub.balance())

    def test_sigtstp_quiets_and_sigcont_resumes(self):
        """Quiet: nothing new is taken, the process stays."""
        hub = self.hub()
        hub.rule(hub.service(), VIEWED)
        hub.start()
        hub.publish(200)
        hub.wait_done()
        hub.fleet.process.signal(signal.SIGTSTP)
        wait_until(lambda: guard.tail(hub.fleet.log, 200).count("quiet: no new work") >= 2, 10, "both children to be quiet")
        seen = len(hub.delivered())
        hub.publish(1433)
        waiting = hub.waiting()
        self.assertEqual(len(hub.wanted()) - seen, len(waiting))
        hub.fleet.process.signal(signal.SIGCONT)
        hub.wait_done()
        self.assert_balanced(hub.balance())

    def test_sighup_under_load_neither_loses_nor_repeats(self):
        """The processes are replaced one after the other."""
        hub = self.hub()
        hub.rule(hub.service(hub.sink.url + "/wait-20"), VIEWED)
        hub.start()
        before = set(hub.fleet.children())
        hub.publish(20 * 1433, wait=False, rate=4000)
        hub.wait_delivered(200)
        hub.fleet.sections["worker"]["prefetch_factor"] = 2
        hub.fleet.write_configuration()
        hub.fleet.process.signal(signal.SIGHUP)
        wait_until(lambda: len(hub.fleet.children()) == 2 and not before & set(hub.fleet.children()), 60, "new processes")
        hub.wait_done()
        self.assert_balanced(hub.balance())


class Routing(shared.HubTest):
    """Bindings and wildcards as the broker sees them."""

    def test_bindings_are_what_the_rules_ask_and_no_more(self):
        """Only the events exchange's keys of enabled rules; duplicates are one; a disabled rule's goes."""
        hub = self.hub(processes=1)
        service = hub.service()
        hub.rule(service, VIEWED)
        hub.rule(service, VIEWED, "/again")
        hub.rule(service, r"\mod_quiz\event\*")
        off = hub.rule(service, CREATED)
        hub.start()
        self.assertEqual({"core.course_viewed", "core.user_created", "mod_quiz.#"}, self._keys(hub, service))
        hub.database.query(f"UPDATE mdl_local_integrationhub_rules SET enabled = 0 WHERE id = {off}")
        wait_until(lambda: self._keys(hub, service) == {"core.course_viewed", "mod_quiz.#"}, 10, "the binding to go")

    @staticmethod
    def _keys(hub, service):
        lines = hub.broker.ctl("list_bindings", "-p", hub.broker.vhost, "source_name", "destination_name", "routing_key").splitlines()
        rows = [line.split("\t") for line in lines]
        return {row[2] for row in rows if row[0] == hub.exchange and row[1] == hub.fleet.queue(service)}


