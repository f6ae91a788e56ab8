"""Dead letters and replays as the worker sees them: the index of dead letters, what a replay carries, and the rule that a 410 disables."""
import json
import os
import time

import guard
import shared
from services import wait_until

CREATED = r"\core\event\user_created"
VIEWED = r"\core\event\course_viewed"
ONCE = {"max_retries": 0, "long_retries": 0, "cb_failure_threshold": 999}      # what fails is a dead letter
COLUMNS = ("eventname", "serviceid", "payload", "error_message", "timecreated", "messageid", "ruleid", "endpoint", "http_method", "attempts",
           "http_status", "response", "state", "timefirst", "timemodified", "replayid")
EARLIER = "2026-11-24T01:00:00Z attempts=13 status=503 HTTP 503 Service Unavailable\n"
REINDEX = "run mih-replayer reindex"


def event(eventname, **more):
    """The body of an event of this name."""
    return json.dumps({"eventname": eventname, "objectid": 7, "userid": 2, **more})


class Case(shared.HubTest):
    """What the tests share."""

    def rows(self, hub, message=None):
        """The rows of the index, as dicts."""
        where = f"WHERE messageid = '{message}'" if message else ""
        found = hub.database.query(f"SELECT {', '.join(COLUMNS)} FROM mdl_local_integrationhub_dlq {where} ORDER BY id")
        return [dict(zip(COLUMNS, row)) for row in found]

    def row(self, hub, message, seconds=10, **columns):
        """The only row of a message, once it says so."""
        def found():
            rows = self.rows(hub, message)
            return rows if rows and all(rows[0][name] == value for name, value in columns.items()) else None
        try:
            rows = wait_until(found, seconds, f"the row of {message} with {columns}")
        except TimeoutError as error:
            raise AssertionError(f"{error}; there is {self.rows(hub, message)}") from error
        self.assertEqual(1, len(rows), rows)
        return rows[0]

    def letter(self, hub, count=1):
        """The last dead letter, once there are so many."""
        wait_until(lambda: hub.dead_count() >= count, 30, f"{count} dead letters")
        letters = hub.dead_messages()
        self.assertEqual(count, len(letters))
        return letters[-1]

    def redeliver(self, hub, service, body, message, *headers):
        """Publishes as the replayer does."""
        answer = hub.rabbit.raw(f"{hub.fleet.namespace}.redeliver", str(service), body, type=CREATED, id=message, headers=list(headers))
        self.assertFalse(answer["returned"])

    def change_rule(self, hub, rule, **columns):
        """Changes a rule and waits until every process has read it."""
        reads = self.reads(hub)
        sets = ", ".join(f"{name} = '{value}'" for name, value in columns.items())
        hub.database.query(f"UPDATE mdl_local_integrationhub_rules SET {sets} WHERE id = {rule}")
        wait_until(lambda: self.reads(hub) >= reads + len(hub.fleet.children()), 10, "every process to read the rule")

    @staticmethod
    def reads(hub):
        """How often a process has read new rules."""
        return guard.tail(hub.fleet.log, 2000).count("rules read")

    @staticmethod
    def requests(hub):
        """Everything that has arrived at the sink, accepted or not."""
        hub.delivered()
        return hub.arrivals


class Index(Case):
    """The table of dead letters."""

    @shared.smoke
    def test_a_dead_letter_becomes_a_complete_row(self):
        """Every column, from what was sent and answered; the broker's letter says the same."""
        hub = self.hub()
        service = hub.service(hub.sink.url, auth_token="secret-4711", **ONCE)
        rule = hub.rule(service, CREATED, "/status-400/users/{{objectid}}?key=secret-4712", http_method="PUT",
                        payload_template='{"name": "{{name}}"}')
        hub.start()
        began = int(time.time())
        message = hub.raw(CREATED, event(CREATED, name="Größe"))
        letter = self.letter(hub)
        row = self.row(hub, message)
        self.assertIn("400", row["error_message"])
        self.assertEqual(letter["headers"]["x-mih-reason"], row["error_message"])
        for column in ("timecreated", "timefirst", "timemodified"):
            self.assertTrue(began <= int(row[column]) <= began + 60, (column, row[column]))
        self.assertEqual((letter["headers"]["x-mih-died"], letter["headers"]["x-mih-first"]), (int(row["timecreated"]), int(row["timefirst"])))
        expected = {"eventname": CREATED, "serviceid": str(service), "payload": letter["headers"]["x-mih-rendered"], "messageid": message,
                    "ruleid": str(rule), "endpoint": hub.sink.url + "/status-400/users/7", "http_method": "PUT", "attempts": "1",
                    "http_status": "400", "response": '{"ok":true}\n', "state": "dead", "replayid": None}
        self.assertEqual(expected, {name: row[name] for name in expected})
        self.assertEqual({"name": "Größe"}, json.loads(row["payload"]))
        self.assertEqual(set(), {"x-mih-history", "x-mih-replay", "x-mih-mode"} & set(letter["headers"]))
        self.assertNotIn("secret-", json.dumps(row) + guard.tail(hub.fleet.log, 1000))

    def test_what_was_never_sent_has_a_row_too(self):
        """An event that is no JSON, with a NUL in it: no rule, no request, its own bytes as payload; a service that does not answer."""
        hub = self.hub()
        poisoned, down = hub.service(**ONCE), hub.service("http://127.0.0.1:1/", **ONCE)
        hub.rule(poisoned, CREATED)
        hub.rule(down, VIEWED, "/x", http_method="GET", payload_template='{"id": {{objectid}}}')
        hub.start()
        message = hub.raw(CREATED, b"not\0json \xff")
        unanswered = hub.raw(VIEWED, event(VIEWED))
        row = self.row(hub, message)
        expected = {"eventname": CREATED, "serviceid": str(poisoned), "payload": "not?json ?", "ruleid": None, "endpoint": None,
                    "http_method": None, "attempts": "0", "http_status": None, "response": "", "state": "dead"}
        self.assertEqual(expected, {name: row[name] for name in expected})
        self.assertRegex(row["error_message"], "^poison: ")
        row = self.row(hub, unanswered)
        expected = {"payload": "id=7", "endpoint": "http://127.0.0.1:1/x", "http_method": "GET", "attempts": "1", "http_status": None,
                    "response": ""}
        self.assertEqual(expected, {name: row[name] for name in expected})
        letters = {letter["properties"]["message_id"]: letter for letter in hub.dead_messages()}
        self.assertEqual("id=7", letters[unanswered]["headers"]["x-mih-rendered"])
        self.assertEqual(b"not\0json \xff".hex(), _bytes(letters[message]["body"]).hex())

    def test_a_hanging_database_holds_up_no_letter_and_gets_all_rows_afterwards(self):
        """SIGSTOP: the letters are at the broker meanwhile; when it goes on, every one has its row."""
        hub = self.hub()
        rule = hub.rule(hub.service(hub.sink.url + "/status-400", **ONCE), VIEWED)
        hub.start()
        server = hub.database.server
        server.pause()
        try:
            hub.publish(1433)
            wanted = len(hub.wanted())
            self.assertGreater(wanted, 100)     # more than one batch
            wait_until(lambda: hub.dead_count() == wanted, 30, "the letters, with the database stopped")
            wait_until(lambda: guard.tail(hub.fleet.log, 500).count("database away") >= 2, 30, "both processes to lose it, batches under way")
        finally:
            server.resume()
        wait_until(lambda: len(self.rows(hub)) == wanted, 30, "the rows")
        letters = {letter["properties"]["message_id"] for letter in hub.dead_messages()}
        self.assertEqual(letters, {row["messageid"] for row in self.rows(hub)})
        self.assertEqual({(str(rule), "dead")}, {(row["ruleid"], row["state"]) for row in self.rows(hub)})
        self.assertNotIn(REINDEX, guard.tail(hub.fleet.log, 2000))

    def test_what_does_not_fit_is_left_out_of_the_index_alone(self):
        """More than the buffer takes, with the database stopped: the broker has all, the log says what to do."""
        hub = self.hub(processes=1)
        hub.rule(hub.service(hub.sink.url + "/status-400", **ONCE), VIEWED)
        hub.start()
        path = os.path.join(hub.folder, "large.jsonl")
        with open(path, "w", encoding="utf-8") as file:
            file.write(event(VIEWED, large="x" * 80_000) + "\n")
        server = hub.database.server
        server.pause()
        try:
            hub.publish(300, file=path)
            wait_until(lambda: hub.dead_count() == 300, 60, "300 letters of 64 KiB")
            wait_until(lambda: REINDEX in guard.tail(hub.fleet.log, 500), 20, "the advice in the log")
        finally:
            server.resume()
        hub.fleet.stop()
        rows = self.rows(hub)
        self.assertTrue(100 <= len(rows) < 300, len(rows))
        self.assertEqual({65536}, {len(row["payload"]) for row in rows})

    def test_letters_that_the_broker_dead_letters_itself_have_rows_too(self):
        """Under a memory alarm what fails is rejected: those letters carry none of our headers, so the index alone knows the reason."""
        hub = self.hub(processes=1)
        first, service = hub.service(hub.sink.url + "/status-400", **ONCE), hub.service(hub.sink.url + "/status-400", **ONCE)
        hub.rule(first, VIEWED)
        hub.rule(service, VIEWED)
        hub.start()
        hub.wait_consumed()
        self.enable(hub, 0, first, service)
        wait_until(lambda: all(hub.rabbit.consumers(hub.fleet.queue(name)) == 0 for name in hub.services), 10, "the consumers to leave")
        hub.publish(1433)
        wanted = len(hub.wanted())
        hub.broker.ctl("set_vm_memory_high_watermark", "0.0000001")
        try:
            self.enable(hub, 1, first)      # the process hears of the alarm when it publishes
            wait_until(lambda: "blocks publishing" in guard.tail(hub.fleet.log, 500), 20, "the process to be blocked")
            self.enable(hub, 1, service)
            wait_until(lambda: hub.rabbit.count([hub.fleet.dead_queue(service)])[hub.fleet.dead_queue(service)] == wanted // 2, 30,
                       "the service's letters, under the alarm")
        finally:
            hub.broker.ctl("set_vm_memory_high_watermark", "0.4")
        wait_until(lambda: hub.dead_count() == wanted and len(self.rows(hub)) == wanted, 30, "all letters and rows")
        letters = [letter for letter in hub.rabbit.drain(hub.fleet.dead_queue(service), peek=True) if "x-mih-reason" not in letter["headers"]]
        self.assertEqual(wanted // 2, len(letters))
        rows = [row for row in self.rows(hub) if row["serviceid"] == str(service)]
        self.assertEqual(wanted // 2, sum("400" in row["error_message"] for row in rows))
        # The key by which replayer and retention find the row: a letter that tells no rule has a row of none.
        self.assertEqual({(letter["properties"]["message_id"], letter["headers"].get("x-mih-rule")) for letter in letters},
                         {(row["messageid"], row["ruleid"]) for row in rows})

    @staticmethod
    def enable(hub, enabled, *services):
        """Enables or disables services."""
        for service in services:
            hub.database.query(f"UPDATE mdl_local_integrationhub_svc SET enabled = {enabled} WHERE id = {service}")

    @shared.smoke
    def test_what_is_buffered_is_written_when_the_fleet_ends(self):
        """Stopped within the second that a batch may wait: every letter has its row."""
        hub = self.hub()
        hub.rule(hub.service(hub.sink.url + "/status-400", **ONCE), VIEWED)
        hub.start()
        hub.publish(1433)
        wait_until(lambda: hub.dead_count() == len(hub.wanted()), 30, "the letters", every=0.02)
        self.assertEqual(0, hub.fleet.stop())
        self.assertEqual(len(hub.wanted()), len(self.rows(hub)))


class Replay(Case):
    """Messages as the replayer publishes them."""

    def dead(self, hub, **columns):
        """A letter of a rule that is to be replayed; returns service, rule, message id and the letter."""
        service = hub.service(hub.sink.url, **(ONCE | columns))
        rule = hub.rule(service, CREATED, "/status-400/x", payload_template='{"old": {{objectid}}}')
        hub.start()
        message = hub.raw(CREATED, event(CREATED))
        letter = self.letter(hub)
        self.row(hub, message, state="dead")
        hub.forget()
        return service, rule, message, letter

    def replay(self, hub, service, letter, number, mode, *headers):
        """Publishes a letter anew."""
        sent = letter["headers"]
        more = [f"x-mih-rendered={sent['x-mih-rendered']}"] if mode == "sent" and "x-mih-rendered" in sent else []
        rule = [f"x-mih-rule={sent['x-mih-rule']}"] if "x-mih-rule" in sent else []
        self.redeliver(hub, service, letter["body"], letter["properties"]["message_id"], f"x-mih-first:={sent['x-mih-first']}",
                       f"x-mih-replay:={number}", f"x-mih-mode={mode}", *rule, *more, *headers)

    @shared.smoke
    def test_as_sent_sends_the_old_body_and_rendered_again_the_new_one(self):
        """Both by today's URL and method; both rows say delivered."""
        hub = self.hub()
        service, rule, message, letter = self.dead(hub)
        self.change_rule(hub, rule, endpoint="/body/fast/y", http_method="PATCH", payload_template='{"new": {{objectid}}}')
        for number, mode, body in ((7, "sent", '{"old":7}'), (8, "render", '{"new":7}')):
            self.replay(hub, service, letter, number, mode)
            hub.wait_delivered(1)
            request = self.requests(hub)[0]
            self.assertEqual(("PATCH", "/body/fast/y", body), (request["method"], request["uri"], request["body"]))
            self.assertEqual(f"{message}:{rule}", request["id"])
            row = self.row(hub, message, state="delivered", replayid=str(number))
            self.assertIn("400", row["error_message"])      # of its death: the row's past stays
            hub.forget()
        self.assertEqual(1, hub.dead_count())

    def test_as_sent_repeats_the_query_of_a_get(self):
        """For GET it is the query that was sent; a body that is none is refused."""
        hub = self.hub()
        service, rule, message, letter = self.dead(hub)
        letter["headers"]["x-mih-rendered"] = "old=7&b%5B%5D=%C3%A9"
        self.change_rule(hub, rule, endpoint="/fast/y", http_method="GET")
        self.replay(hub, service, letter, 7, "sent")
        hub.wait_delivered(1)
        self.assertEqual("/fast/y?old=7&b%5B%5D=%C3%A9", self.requests(hub)[0]["uri"])
        letter["headers"]["x-mih-rendered"] = '{"old": 7}'
        self.replay(hub, service, letter, 8, "sent")
        self.assertRegex(self.letter(hub, 2)["headers"]["x-mih-reason"], "^policy: .*no query")
        row = self.row(hub, message, state="dead", replayid="8")
        self.assertEqual('{"old": 7}', row["payload"])

    @shared.smoke
    def test_a_second_death_carries_history_and_replay(self):
        """Attempts count anew, the earlier death is in the header, the row tells the new one."""
        hub = self.hub()
        service, rule, message, letter = self.dead(hub)
        self.change_rule(hub, rule, endpoint="/status-404/x")
        self.change_service(hub, service, max_retries=0)
        self.replay(hub, service, letter, 9, "sent", f"x-mih-history={EARLIER}")
        again = self.letter(hub, 2)["headers"]
        expected = {"x-mih-history": EARLIER, "x-mih-replay": 9, "x-mih-attempt": 1, "x-mih-status": 404, "x-mih-rendered": '{"old":7}',
                    "x-mih-rule": str(rule), "x-mih-first": letter["headers"]["x-mih-first"]}
        self.assertEqual(expected, {name: again.get(name) for name in expected})
        self.assertGreaterEqual(again["x-mih-died"], letter["headers"]["x-mih-died"])
        row = self.row(hub, message, state="dead", replayid="9")
        self.assertEqual((again["x-mih-reason"], str(again["x-mih-died"]), "404"), (row["error_message"], row["timecreated"], row["http_status"]))

    @staticmethod
    def change_service(hub, service, **columns):
        """Changes a service; takes effect with the next look."""
        sets = ", ".join(f"{name} = '{value}'" for name, value in columns.items())
        hub.database.query(f"UPDATE mdl_local_integrationhub_svc SET {sets} WHERE id = {service}")

    def test_retries_carry_what_the_replay_brought_through_the_delay_queues(self):
        """Three tries with the old body though the template has changed; the letter after them has it all."""
        hub = self.hub()
        service, rule, message, letter = self.dead(hub, max_retries=2, retry_backoff=1)
        self.change_rule(hub, rule, endpoint="/body/status-503/x", payload_template='{"new": 1}')
        body = '{"old":"\u00fc\0\\n"}'.encode()
        letter["headers"].pop("x-mih-rendered")
        self.replay(hub, service, letter, 10, "sent", f"x-mih-rendered%={body.hex()}", f"x-mih-history={EARLIER}")
        again = self.letter(hub, 2)["headers"]
        sent = self.requests(hub)
        self.assertEqual([body.decode()] * 3, [request["body"] for request in sent])
        self.assertEqual([f"{message}:{rule}"] * 3, [request["id"] for request in sent])
        expected = {"x-mih-history": EARLIER, "x-mih-replay": 10, "x-mih-attempt": 3, "x-mih-status": 503, "x-mih-rendered": body.decode()}
        self.assertEqual(expected, {name: again.get(name) for name in expected})
        row = self.row(hub, message, state="dead", replayid="10", attempts="3")
        self.assertEqual(body.decode().replace("\0", "?"), row["payload"])

    def test_a_body_that_is_too_large_for_a_header_is_rendered_again(self):
        """Above 64 KiB the letter goes without it, whole or not at all; the row has its beginning."""
        hub = self.hub()
        service = hub.service(hub.sink.url, **ONCE)
        rule = hub.rule(service, CREATED, "/status-400/x")
        hub.start()
        large = hub.raw(CREATED, event(CREATED, large="x" * 70_000))
        letter = self.letter(hub)
        self.assertNotIn("x-mih-rendered", letter["headers"])
        self.assertEqual(65536, len(self.row(hub, large)["payload"]))
        hub.forget()
        self.change_rule(hub, rule, endpoint="/fast/x", payload_template='{"new": {{objectid}}}')
        self.replay(hub, service, letter, 11, "sent")
        hub.wait_delivered(1)
        self.row(hub, large, state="delivered", replayid="11")

    def test_a_rule_that_is_gone_makes_a_replay_dead_again_and_a_retry_skipped(self):
        """Whoever asked for the replay learns of it; a retry is no news to anybody."""
        hub = self.hub()
        service, rule, message, letter = self.dead(hub)
        self.change_rule(hub, rule, enabled=0)
        self.redeliver(hub, service, letter["body"], message, f"x-mih-rule={rule}", "x-mih-attempt:=1")
        wait_until(lambda: hub.counters()["skipped"] == 1, 15, "the retry to be skipped")
        self.replay(hub, service, letter, 12, "sent", f"x-mih-history={EARLIER}")
        again = self.letter(hub, 2)["headers"]
        expected = {"x-mih-reason": "policy: its rule is gone or disabled", "x-mih-rule": str(rule), "x-mih-replay": 12, "x-mih-attempt": 0,
                    "x-mih-history": EARLIER, "x-mih-rendered": '{"old":7}'}
        self.assertEqual(expected, {name: again.get(name) for name in expected})
        row = self.row(hub, message, state="dead", replayid="12")
        self.assertEqual(expected["x-mih-reason"], row["error_message"])

    def test_the_row_of_a_letter_of_no_rule_tells_of_its_delivery(self):
        """A letter that died before any rule was asked is delivered to the rules of today."""
        hub = self.hub()
        service = hub.service(**ONCE)
        hub.rule(service, CREATED)
        hub.start()
        message = hub.raw(CREATED, "no JSON")
        letter = self.letter(hub)
        self.row(hub, message, ruleid=None)
        hub.forget()
        letter["body"] = event(CREATED)     # no replayer would: it makes the test short
        self.replay(hub, service, letter, 13, "render")
        hub.wait_delivered(1)
        self.row(hub, message, ruleid=None, state="delivered", replayid="13")

    def test_the_row_of_a_letter_of_no_rule_tells_of_a_delivery_by_retry(self):
        """The retry is one rule's, and still the letter that was replayed had none."""
        hub = self.hub()
        service = hub.service(hub.sink.url + "/status-503", max_retries=5, retry_backoff=1, long_retries=0, cb_failure_threshold=999)
        rule = hub.rule(service, CREATED)
        hub.start()
        message = hub.raw(CREATED, "no JSON")
        letter = self.letter(hub)
        self.row(hub, message, ruleid=None)
        hub.forget()
        letter["body"] = event(CREATED)
        self.replay(hub, service, letter, 16, "render")
        wait_until(lambda: len(self.requests(hub)) >= 2, 20, "the first attempt and a retry to fail")
        self.change_service(hub, service, base_url=hub.sink.url + "/fast")
        wait_until(lambda: hub.delivered() == [f"{message}:{rule}"], 30, "a later retry to be delivered")
        self.row(hub, message, ruleid=None, state="delivered", replayid="16")
        self.assertEqual(1, hub.dead_count())

    def test_on_an_event_the_headers_of_a_replay_mean_nothing(self):
        """Anybody who may publish events can set them."""
        hub = self.hub()
        service = hub.service(hub.sink.url, **ONCE)
        hub.rule(service, CREATED, "/body/status-400/x")
        hub.start()
        body = event(CREATED)
        message = hub.raw(CREATED, body, headers=["x-mih-replay:=14", "x-mih-mode=sent", "x-mih-rendered=evil", f"x-mih-history={EARLIER}"])
        letter = self.letter(hub)["headers"]
        self.assertEqual(set(), {"x-mih-history", "x-mih-replay", "x-mih-mode"} & set(letter))
        self.assertEqual(body, self.requests(hub)[0]["body"])
        self.assertIsNone(self.row(hub, message)["replayid"])


class Gone(Case):
    """410: the address is gone for good."""

    COLUMNS = "enabled, disabledreason, timedisabled, timemodified"

    def rule_row(self, hub, rule):
        """What the table says of a rule."""
        return hub.database.query(f"SELECT {self.COLUMNS} FROM mdl_local_integrationhub_rules WHERE id = {rule}")[0]

    def test_exactly_its_rule_is_disabled_in_all_processes(self):
        """The other rule of the service goes on; reason and time are in the table, rule and host in the log, the address of the rule is not."""
        hub = self.hub()
        service = hub.service(hub.sink.url, **ONCE)
        gone = hub.rule(service, CREATED, "/status-410/?key=secret-4713")
        kept = [hub.rule(service, CREATED, "/fast/x"), hub.rule(service, VIEWED, "/fast/y")]
        hub.start()
        message = hub.raw(CREATED, event(CREATED))
        wait_until(lambda: self.rule_row(hub, gone)[0] == "0", 10, "the rule to be disabled", every=0.02)
        disabled, reads = time.monotonic(), self.reads(hub)
        wait_until(lambda: self.reads(hub) >= 4, 10, "both processes to have read the rules anew", every=0.02)
        took = time.monotonic() - disabled
        self.assertLess(took, 2.0, f"seconds until every process knew of it (reads before: {reads})")
        _, reason, when, modified = self.rule_row(hub, gone)
        self.assertRegex(reason, "410 Gone")
        self.assertEqual(when, modified)
        self.assertAlmostEqual(time.time(), int(when), delta=30)
        for rule in kept:
            self.assertEqual(["1", None, None, "0"], self.rule_row(hub, rule))
        log = [line for line in guard.tail(hub.fleet.log, 500).splitlines() if "rule disabled" in line]
        self.assertEqual(1, len(log), log)
        for words in (f"rule={gone} ", f"service_id={service} ", "service=service1", f"host={hub.sink.url.split('/')[2]} ", "level=error"):
            self.assertIn(words, log[0])
        self.assertNotIn("secret-", guard.tail(hub.fleet.log, 500))
        self.assertEqual(2, len(self.requests(hub)))
        row = self.row(hub, message)
        self.assertEqual((str(gone), "410", "dead"), (row["ruleid"], row["http_status"], row["state"]))
        for _ in range(20):     # what waited for the rule, spread over both processes
            self.redeliver(hub, service, event(CREATED), message, f"x-mih-rule={gone}", "x-mih-attempt:=1")
        wait_until(lambda: hub.counters()["skipped"] == 20, 15, "the waiting messages to be skipped")
        self.assertEqual(1, len([request for request in self.requests(hub) if "/status-410/" in request["uri"]]))
        another = hub.raw(VIEWED, event(VIEWED))
        wait_until(lambda: f"{another}:{kept[1]}" in hub.delivered(), 10, "the other rule's delivery")

    def test_a_database_that_is_away_gets_it_later(self):
        """SIGSTOP: tried until it succeeds; told once."""
        hub = self.hub(processes=1)
        gone = hub.rule(hub.service(hub.sink.url, **ONCE), CREATED, "/status-410/x")
        hub.start()
        server = hub.database.server
        server.pause()
        try:
            for _ in range(3):
                hub.raw(CREATED, event(CREATED))
            wait_until(lambda: hub.dead_count() == 3, 20, "the letters")
            wait_until(lambda: "database away" in guard.tail(hub.fleet.log, 200), 20, "the process to notice")
        finally:
            server.resume()
        wait_until(lambda: self.rule_row(hub, gone)[0] == "0", 20, "the rule to be disabled")
        self.assertEqual(1, guard.tail(hub.fleet.log, 500).count("rule disabled"))

    def test_what_was_mended_while_the_request_was_under_way_stays_enabled(self):
        """The process does not know yet: of a new address, in the same second; of a row that was saved; of the service's new address."""
        hub = self.hub(processes=1, settings={"database": {"poll_interval": "60s"}})
        table = {name: f"mdl_local_integrationhub_{name}" for name in ("rules", "svc")}
        mendings = (f"UPDATE {table['rules']} SET endpoint = '/fast/x' WHERE id = {{rule}}",
                    f"UPDATE {table['rules']} SET timemodified = timemodified + 1 WHERE id = {{rule}}",
                    f"UPDATE {table['svc']} SET base_url = '{hub.sink.url}/fast' WHERE id = {{service}}")
        services = [hub.service(hub.sink.url, **ONCE) for _ in mendings]
        rules = [hub.rule(service, CREATED, "/status-410/x", timemodified=1700000000) for service in services]
        gone = hub.rule(hub.service(hub.sink.url, **ONCE), VIEWED, "/status-410/x", timemodified=1700000000)
        hub.start()
        for service, rule, mending in zip(services, rules, mendings):
            hub.database.query(mending.format(service=service, rule=rule))
        hub.raw(CREATED, event(CREATED))
        wait_until(lambda: guard.tail(hub.fleet.log, 500).count("nothing left to disable") == 3, 20, "the rules to be passed over")
        hub.raw(VIEWED, event(VIEWED))
        wait_until(lambda: self.rule_row(hub, gone)[0] == "0", 20, "the rule that nobody mended to be disabled")
        self.assertEqual(["1"] * 3, [self.rule_row(hub, rule)[0] for rule in rules])

    def test_a_rule_that_was_enabled_again_is_disabled_again(self):
        """An administrator was mistaken; the second time counts as much as the first."""
        hub = self.hub(processes=1)
        gone = hub.rule(hub.service(hub.sink.url, **ONCE), CREATED, "/status-410/x")
        hub.start()
        hub.raw(CREATED, event(CREATED))
        wait_until(lambda: self.rule_row(hub, gone)[0] == "0", 20, "the rule to be disabled")
        wait_until(lambda: self.reads(hub) == 2, 10, "the process to know of it")
        self.change_rule(hub, gone, enabled=1)

        def disabled():
            hub.rabbit.raw(hub.exchange, "core.user_created", event(CREATED), type=CREATED)
            return self.rule_row(hub, gone)[0] == "0"
        wait_until(disabled, 20, "the rule to be disabled again", every=0.5)
        self.assertEqual(2, guard.tail(hub.fleet.log, 500).count("rule disabled"))


def _bytes(body):
    """The bytes of a drained body."""
    if isinstance(body, dict):
        import base64
        return base64.b64decode(body["base64"])
    return body.encode()
