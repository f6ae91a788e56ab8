"""What the fleet counts, beside what the receiver, the broker and the test itself count."""
import collections
import json
import os
import random
import signal
import time
import uuid

import fleet
import guard
import services
import shared
from services import wait_until
from tcpproxy import Proxy

VIEWED = r"\core\event\course_viewed"
EVENTS = 6000
OFTEN = {"statistics": {"interval": "200ms", "backlog_interval": "300ms"}}
BUCKETS = 19
SUMS = ("delivered", "retried", "dead", "skipped", "held")
LOST_AT_A_KILL = 1      # a process may die between what it does and its counting it; some instructions long


def often(more=None):
    """Settings of a fleet that writes often."""
    settings = {section: dict(values) for section, values in OFTEN.items()}
    for section, values in (more or {}).items():
        settings.setdefault(section, {}).update(values)
    return settings


class Case(shared.HubTest):
    """Sums over the table."""

    seconds = 400

    def sums(self, hub, where="1 = 1"):
        """The sums of all rows, and of all buckets as `requests`."""
        buckets = " + ".join(f"h{k}" for k in range(BUCKETS))
        columns = [*SUMS, "latencysum", buckets]
        row = hub.database.query(f"SELECT {', '.join(f'COALESCE(SUM({column}), 0)' for column in columns)} FROM mdl_local_integrationhub_stat"
                                 f" WHERE {where}")[0]
        return dict(zip((*SUMS, "latencysum", "requests"), map(int, row)))

    def delivered_by_rule(self, hub):
        """Rule -> delivered."""
        return {int(rule): int(count) for rule, count in hub.database.query(
            "SELECT ruleid, SUM(delivered) FROM mdl_local_integrationhub_stat GROUP BY ruleid HAVING SUM(delivered) > 0")}

    def wait_sums(self, hub, seconds=30, **wanted):
        """Waits until the sums are these, and looks whether they stay so."""
        def equal():
            found = self.sums(hub)
            return {name: found[name] for name in wanted} == wanted
        try:
            wait_until(equal, seconds, "the sums", every=0.1)
            wait_until(lambda: not equal(), 1.5, "nothing", every=0.3)
        except TimeoutError:
            pass
        found = self.sums(hub)
        self.assertEqual(wanted, {name: found[name] for name in wanted})
        return found

    def expected_by_rule(self, hub):
        """What the receiver accepted, once for each delivery, by rule."""
        return dict(collections.Counter(int(delivery.rpartition(":")[2]) for delivery in set(hub.delivered())))


class Sums(Case):
    """Equal to the receiver's own counts."""

    @shared.smoke
    def test_they_are_what_the_receiver_counted(self):
        """By service and rule: delivered; and dead, skipped, retried and requests as broker and sink know them."""
        hub = self.hub(settings=often())
        fast, slow = hub.service(), hub.service(hub.sink.url + "/wait-20", max_concurrency=32)
        refusing = hub.service(hub.sink.url + "/status-400")
        for service, name in ((fast, VIEWED), (fast, r"\mod_quiz\event\*"), (slow, r"\core\event\*"), (refusing, r"\mod_forum\event\*")):
            hub.rule(service, name)
        picky = fleet.add_rule(hub.database, serviceid=fast, eventname=VIEWED, endpoint="/picky", filter='{"userid": {"$lt": 0}}')
        hub.start()
        hub.publish(EVENTS)
        hub.wait_done()
        dead, arrived = hub.dead_count(), self.expected_by_rule(hub)
        viewed = sum(name == VIEWED for _, name in hub.published())
        found = self.wait_sums(hub, delivered=sum(arrived.values()), dead=dead, retried=0, held=0, skipped=viewed,
                               requests=len(hub.arrivals))
        self.assertEqual(arrived, self.delivered_by_rule(hub))
        self.assertGreater(dead, 0)
        self.assertEqual(viewed, self.sums(hub, f"ruleid = {picky} AND serviceid = {fast}")["skipped"])
        self.assertEqual(dead, self.sums(hub, f"serviceid = {refusing}")["dead"])
        # What took 20 ms at the receiver stands in the buckets above 16 ms.
        slow_rows = hub.database.query("SELECT SUM(h0 + h1 + h2 + h3 + h4 + h5), SUM(delivered), MAX(latencymax), SUM(latencysum) FROM"
                                       f" mdl_local_integrationhub_stat WHERE serviceid = {slow}")[0]
        early, count, slowest, total = map(int, slow_rows)
        self.assertEqual(0, early)
        self.assertGreaterEqual(slowest, 20_000)
        self.assertGreaterEqual(total, 20_000 * count)
        self.assertLessEqual(total, found["latencysum"])

    def test_retries_and_holds_are_counted(self):
        """A service that fails is tried again twice, then it is dead: each request, retry and dead letter is there once."""
        hub = self.hub(settings=often(), processes=1)
        service = hub.service(hub.sink.url + "/status-503", max_retries=2, retry_backoff=1, cb_failure_threshold=30000, long_retries=0)
        hub.rule(service, VIEWED)
        hub.start()
        for number in range(3):     # the breaker opens at ten failures of the last twenty
            hub.raw(VIEWED, '{"eventname": "\\\\core\\\\event\\\\course_viewed", "userid": %d}' % number)
        hub.wait_done(stall=60)
        self.wait_sums(hub, delivered=0, retried=6, dead=3, requests=9, held=0)

    def test_a_clean_end_writes_everything(self):
        """Though the interval is five minutes."""
        hub = self.loaded(settings=often({"statistics": {"interval": "300s"}}))
        hub.publish(EVENTS)
        hub.wait_done()
        arrived = self.expected_by_rule(hub)
        self.assertEqual(0, hub.fleet.stop())
        self.assertEqual(arrived, self.delivered_by_rule(hub))
        self.assertEqual([], hub.database.query("SELECT 1 FROM mdl_local_integrationhub_worker"))

    def test_without_them_nothing_is_written(self):
        """[statistics] enabled = no."""
        hub = self.loaded(settings=often({"statistics": {"enabled": "no"}}))
        hub.publish(500)
        hub.wait_done()
        self.assertEqual(0, hub.fleet.stop())
        for table in ("stat", "batch", "log"):
            self.assertEqual([], hub.database.query(f"SELECT 1 FROM mdl_local_integrationhub_{table}"), table)


class Deaths(Case):
    """Of processes."""

    def test_a_kill_loses_no_count(self):
        """SIGKILL again and again in the middle of a stream: each delivery is counted once, though some were sent twice."""
        hub = self.loaded(settings=often({"statistics": {"interval": "1s"}}))
        publication = hub.publish(15_000, wait=False, rate=3000)
        hub.wait_delivered(100)
        kills = 0
        while publication.running():
            children = hub.fleet.children()
            os.kill(children[kills % len(children)], signal.SIGKILL)
            kills += 1
            wait_until(lambda: len(hub.fleet.children()) == 2, 20, "the child to be started again")
        hub.wait_done()
        self.assertGreaterEqual(kills, 3)
        arrived = len(set(hub.delivered()))
        try:
            wait_until(lambda: self.sums(hub)["delivered"] == arrived, 30, "the sums")
        except TimeoutError:
            self.assertIn(arrived - self.sums(hub)["delivered"], range(kills * LOST_AT_A_KILL + 1))
        print(f"{kills} kills, {arrived} deliveries, {self.sums(hub)['delivered']} counted, {len(hub.arrivals) - arrived} sent twice", flush=True)


class Database(Case):
    """While it is away."""

    def setUp(self):
        self.database = services.MariaDB()
        self.addCleanup(self.database.close)

    def test_it_is_stopped_and_comes_back(self):
        """SIGSTOP for longer than its time-outs: deliveries go on, and what was counted is written later, once."""
        hub = self.loaded(database=self.database, settings=often({"database": {"io_timeout": "1s", "connect_timeout": "1s"}}))
        hub.publish(1000)
        hub.wait_done()
        os.kill(self.database.process.pid, signal.SIGSTOP)
        try:
            hub.publish(EVENTS)
            hub.wait_done()             # no delivery waits for it
            time.sleep(3)               # longer than its time-outs: batches were given up, unclear
        finally:
            os.kill(self.database.process.pid, signal.SIGCONT)
        self.wait_sums(hub, seconds=60, delivered=len(set(hub.delivered())), requests=len(hub.arrivals))
        self.assertEqual(self.expected_by_rule(hub), self.delivered_by_rule(hub))

    def test_processes_die_while_it_is_stopped(self):
        """Their successors know what was counted and what was on its way."""
        hub = self.loaded(database=self.database, settings=often({"database": {"io_timeout": "1s", "connect_timeout": "1s"}}))
        hub.publish(1000)
        os.kill(self.database.process.pid, signal.SIGSTOP)
        try:
            hub.wait_done()
            time.sleep(1)               # a batch is on its way, in the socket of the stopped server
            for child in hub.fleet.children():
                os.kill(child, signal.SIGKILL)
            wait_until(lambda: len(hub.fleet.children()) == 2, 20, "the children to be started again")
        finally:
            os.kill(self.database.process.pid, signal.SIGCONT)
        self.wait_sums(hub, seconds=60, delivered=len(set(hub.delivered())))
        self.assertEqual(self.expected_by_rule(hub), self.delivered_by_rule(hub))

    @shared.long
    def test_an_answer_that_is_lost_doubles_nothing(self):
        """Again and again a commit takes effect, and the connection breaks before its answer comes; or somewhere else."""
        proxy = Proxy(self.database.port)
        self.addCleanup(proxy.close)
        hub = self.loaded(database=self.database, settings=often({"database": {"io_timeout": "1s", "connect_timeout": "1s", "port": proxy.port},
                                                                  "statistics": {"interval": "100ms"}}))
        publication = hub.publish(8_000, wait=False, rate=1200)
        random.seed(1)
        unclear = 0
        while publication.running():
            numbers, silenced = self.batches(hub), proxy.silenced
            proxy.silence_after = (b"START TRANSACTION", b"COMMIT")
            wait_until(lambda: proxy.silenced > silenced, 10, "a commit", every=0.01)
            time.sleep(random.uniform(0.05, 0.2))
            unclear += self.batches(hub) > numbers
            proxy.cut()
            proxy.release()
            time.sleep(random.uniform(0.1, 0.4))
            proxy.hold(up=False, down=True)
            proxy.cut()
            proxy.release()
        hub.wait_done()
        print(f"{proxy.silenced} commits without an answer, {unclear} of them of a batch; {len(hub.arrivals)} requests", flush=True)
        self.wait_sums(hub, seconds=60, delivered=len(set(hub.delivered())), requests=len(hub.arrivals))
        self.assertEqual(self.expected_by_rule(hub), self.delivered_by_rule(hub))
        self.assertGreater(unclear, 0)

    def batches(self, hub):
        """How many were written."""
        return int(hub.database.value("SELECT COALESCE(SUM(number), 0) FROM mdl_local_integrationhub_batch"))


class OlderPlugin(Case):
    """Than the worker."""

    TABLES = ("stat", "batch", "backlog")
    COLUMNS = (("log", "messageid"), ("worker", "elected"))
    WARNINGS = ("the statistics could not be written", "the log of requests could not be written", "the backlog could not be looked at",
                "the tables of statistics could not be tidied")

    def rename(self, hub, old, new):
        """Tables and columns from one name to another; %s is what they are called."""
        prefix = "mdl_local_integrationhub_"
        hub.database.query("".join([f"RENAME TABLE {prefix}{old % name} TO {prefix}{new % name};" for name in self.TABLES]
                                   + [f"ALTER TABLE {prefix}{table} RENAME COLUMN {old % name} TO {new % name};" for table, name in self.COLUMNS]))

    def test_tables_that_are_not_there_yet_cost_no_delivery_and_one_warning_each(self):
        """When they come with the plugin's upgrade, what was counted meanwhile is written."""
        hub = self.hub(settings=often({"statistics": {"log_rate": 1000}}), processes=1)
        hub.rule(hub.service(), VIEWED)
        self.rename(hub, "%s", "%s_later")
        hub.start()
        for _ in range(2):
            hub.publish(1000)
            hub.wait_done()
        wait_until(lambda: all(text in guard.tail(hub.fleet.log, 5000) for text in self.WARNINGS), 20, "the warnings")
        wait_until(lambda: hub.database.query("SELECT 1 FROM mdl_local_integrationhub_worker WHERE delivered > 0"), 20, "the process to be seen")
        self.rename(hub, "%s_later", "%s")
        self.wait_sums(hub, delivered=len(hub.wanted()), requests=len(hub.arrivals))
        self.assertEqual([1] * len(self.WARNINGS), [guard.tail(hub.fleet.log, 5000).count(text) for text in self.WARNINGS])


class Tidying(Case):
    """Minutes become hours, hours become days, and all is deleted at last, by the elected process."""

    HISTORY = """
        INSERT INTO mdl_local_integrationhub_stat (serviceid, ruleid, width, timestart, delivered, dead, latencysum, latencymax, backlog, h3)
        SELECT 1 + seq MOD 2, 1 + seq DIV 2 MOD {rules}, {width}, {start} + (seq DIV (2 * {rules})) * {width}, seq MOD 7, 1, 1000, seq, 5, seq MOD 7
        FROM seq_0_to_{last}
    """

    def quiet_hub(self, processes=1):
        """The two services that have a history, and nothing to do."""
        hub = self.hub(settings=often(), processes=processes)
        for _ in range(2):
            hub.rule(hub.service(), VIEWED)
        return hub

    def history(self, hub, width, start, rows, rules=3):
        """Inserts rows of two services and some rules, one for each time after the start."""
        hub.database.query(self.HISTORY.format(width=width, start=start, last=rows * 2 * rules - 1, rules=rules))

    def by_rule(self, hub, where="1 = 1"):
        """(service, rule) -> the sums and the greatest."""
        return {tuple(map(int, row[:2])): tuple(map(int, row[2:])) for row in hub.database.query(
            "SELECT serviceid, ruleid, SUM(delivered), SUM(dead), SUM(latencysum), SUM(h3), MAX(latencymax), MAX(backlog) FROM"
            f" mdl_local_integrationhub_stat WHERE {where} GROUP BY serviceid, ruleid")}

    def widths(self, hub):
        """Width -> number of rows."""
        return {int(width): int(count) for width, count in hub.database.query(
            "SELECT width, COUNT(*) FROM mdl_local_integrationhub_stat GROUP BY width")}

    def test_what_is_old_gets_coarser_and_sums_stay(self):
        """Two hours of minutes of three days ago, two days of hours of three weeks ago, and minutes of now."""
        hub = self.quiet_hub()
        now = int(time.time())
        hour, day, minute = now - 3 * 86400 - now % 3600, now - 21 * 86400 - now % 86400, now - 600 - now % 60
        self.history(hub, 60, hour, 120)
        self.history(hub, 3600, day, 48)
        self.history(hub, 60, minute, 5)
        before = self.by_rule(hub)
        hub.start()
        wait_until(lambda: self.widths(hub) == {60: 5 * 6, 3600: 2 * 6, 86400: 2 * 6}, 30, "rolled up rows")
        self.assertEqual(before, self.by_rule(hub))
        starts = {(int(width), int(start)) for width, start in hub.database.query(
            "SELECT DISTINCT width, timestart FROM mdl_local_integrationhub_stat WHERE width > 60")}
        self.assertEqual({(3600, hour), (3600, hour + 3600), (86400, day), (86400, day + 86400)}, starts)
        # What comes late, after an outage say, is added to what is there.
        self.history(hub, 60, hour, 1)
        late = self.by_rule(hub)
        hub.fleet.stop()
        hub.start()
        wait_until(lambda: self.widths(hub) == {60: 5 * 6, 3600: 2 * 6, 86400: 2 * 6}, 30, "rolled up rows")
        self.assertEqual(late, self.by_rule(hub))

    def test_what_is_older_than_90_days_is_deleted(self):
        """Of every width, and writers that are long gone with it; and what stands of a service that is gone."""
        hub = self.quiet_hub()
        now = int(time.time())
        for width in (60, 3600, 86400):
            self.history(hub, width, now - 91 * 86400 - now % 86400 - 3 * width, 3)
        self.history(hub, 86400, now - 89 * 86400 - now % 86400, 1)
        hub.database.query("INSERT INTO mdl_local_integrationhub_batch (writer, number, timemodified) VALUES ('gone', 1, 1),"
                           " ('here', 1, UNIX_TIMESTAMP());"
                           "INSERT INTO mdl_local_integrationhub_stat (serviceid, width, timestart, delivered) VALUES (77, 60, UNIX_TIMESTAMP(), 1);"
                           "INSERT INTO mdl_local_integrationhub_backlog (serviceid, waiting) VALUES (1, 0), (77, 5)")
        hub.start()
        wait_until(lambda: self.widths(hub) == {86400: 6}, 30, "the purge")
        wait_until(lambda: not hub.database.query("SELECT 1 FROM mdl_local_integrationhub_batch WHERE writer = 'gone'"), 30, "the purge of writers")
        self.assertTrue(hub.database.query("SELECT 1 FROM mdl_local_integrationhub_batch WHERE writer = 'here'"))
        wait_until(lambda: not hub.database.query("SELECT 1 FROM mdl_local_integrationhub_backlog WHERE serviceid = 77"), 30, "its backlog to go")
        self.assertTrue(hub.database.query("SELECT 1 FROM mdl_local_integrationhub_backlog WHERE serviceid = 1"))

    def test_a_death_in_the_middle_loses_and_doubles_nothing(self):
        """Sessions and processes are killed in the middle of rolling up, again and again; at any moment all sums are right."""
        hub = self.quiet_hub(processes=2)
        now = int(time.time())
        self.history(hub, 60, now - 5 * 86400 - now % 86400, 1440, rules=20)        # 57,600 rows
        wanted = self.by_rule(hub)
        hub.start()
        killed = {"INSERT": 0, "DELETE": 0, "process": 0}
        deadline = time.monotonic() + 200
        while hub.database.value("SELECT 1 FROM mdl_local_integrationhub_stat WHERE width = 60 LIMIT 1") and time.monotonic() < deadline:
            for verb in ("INSERT", "DELETE"):
                session = hub.database.value(f"SELECT id FROM information_schema.processlist WHERE db = '{hub.database.database}'"
                                             f" AND info LIKE '{verb}%integrationhub_stat%width = %' AND info NOT LIKE '%processlist%'")
                if session and killed[verb] < 5:
                    self.kill_session(hub, session, verb, killed)
                    self.assertEqual(wanted, self.by_rule(hub))
            children = hub.fleet.children()
            if killed["process"] < 1 and sum(killed.values()) > 3 and len(children) == 2:
                for child in children:
                    os.kill(child, signal.SIGKILL)
                killed["process"] += 1
                self.assertEqual(wanted, self.by_rule(hub))
        print(f"killed in the middle: {killed}", flush=True)
        self.assertNotIn(60, self.widths(hub))
        self.assertEqual(wanted, self.by_rule(hub))
        self.assertGreater(killed["INSERT"] + killed["DELETE"], 0)      # both are of one transaction; which of them is met is chance

    def kill_session(self, hub, session, verb, killed):
        """Ends a session of the database's, unless it has ended by itself."""
        try:
            hub.database.query(f"KILL {session}")
            killed[verb] += 1
        except services.ServiceError as error:
            self.assertIn("Unknown thread id", str(error))


class Log(Case):
    """Recent requests."""

    def rows(self, hub, where="1 = 1"):
        """How many."""
        return int(hub.database.value(f"SELECT COUNT(*) FROM mdl_local_integrationhub_log WHERE {where}"))

    def test_failures_are_all_there_and_successes_are_sampled(self):
        """Five successes a second at most, and every failure with its reason."""
        hub = self.hub(settings=often({"statistics": {"log_rate": 5, "max_log_entries": 0}}), processes=1)
        good, bad = hub.service(), hub.service(hub.sink.url + "/status-400")
        hub.rule(good, VIEWED, endpoint="/x?token=secret")
        failing = hub.rule(bad, r"\mod_forum\event\*")
        hub.start()
        began = time.time()
        hub.publish(EVENTS)
        hub.wait_done()
        took = time.time() - began
        dead = hub.dead_count()
        wait_until(lambda: self.rows(hub, "success = 0") >= dead, 20, "the failures in the log")
        self.assertEqual(dead, self.rows(hub, "success = 0"))
        self.assertIn(self.rows(hub, "success = 1"), range(1, 5 * (int(took) + 3)))
        row = hub.database.query("SELECT serviceid, ruleid, http_status, attempt_count, direction, outcome, http_method, error_message,"
                                 " messageid, eventname, endpoint FROM mdl_local_integrationhub_log WHERE success = 0 LIMIT 1")[0]
        self.assertEqual([str(bad), str(failing), "400", "1", "outbound", "dead", "POST"], row[:7])
        self.assertIn("400", row[7])
        self.assertIn(f"{row[8]}:{failing}", hub.wanted())
        self.assertTrue(row[9].startswith("\\mod_forum\\event\\"))
        self.assertEqual(0, self.rows(hub, "endpoint LIKE '%secret%' OR endpoint = '' OR latency_ms IS NULL"))
        self.assertEqual(self.rows(hub, "success = 1"), self.rows(hub, "outcome = 'delivered' AND error_message IS NULL"))

    def test_what_somebody_waits_for_is_there_when_nothing_else_is(self):
        """A test of a rule is logged at a rate of none; other requests that succeed are not."""
        hub = self.hub(settings=often({"statistics": {"log_rate": 0, "max_log_entries": 0}}), processes=1)
        service = hub.service()
        rule = hub.rule(service, VIEWED)
        hub.start()
        ids = [str(uuid.uuid4()) for _ in range(3)]
        for message, headers in zip(ids, ([], ["x-mih-test:=1", "x-mih-attempt:=20"], [])):
            answer = hub.rabbit.raw(f"{hub.fleet.namespace}.redeliver", str(service), json.dumps({"eventname": VIEWED}), type=VIEWED, id=message,
                                    headers=[f"x-mih-rule={rule}", *headers])
            self.assertFalse(answer["returned"])
        hub.wait_delivered(3)
        wait_until(lambda: self.rows(hub) > 0, 20, "the test in the log")
        self.assertEqual([[ids[1], "1", "21"]],
                         hub.database.query("SELECT messageid, success, attempt_count FROM mdl_local_integrationhub_log"))

    def test_it_keeps_its_newest_entries(self):
        """A hundred, as the settings say, or forty, as Moodle's say."""
        hub = self.hub(settings=often({"statistics": {"log_rate": 100000, "max_log_entries": 100}}), processes=2)
        hub.rule(hub.service(), r"\core\event\*")
        hub.start()
        hub.publish(EVENTS)
        hub.wait_done()
        wanted = len(hub.wanted())
        self.assertGreater(wanted, 1100)    # more than one step of the purge
        wait_until(lambda: int(hub.database.value("SELECT COALESCE(MAX(id), 0) FROM mdl_local_integrationhub_log")) == wanted, 20, "all to be logged")
        wait_until(lambda: self.rows(hub) == 100, 30, "the purge")
        self.assertEqual(wanted, int(hub.database.value("SELECT MAX(id) FROM mdl_local_integrationhub_log")))
        # In a Moodle, its own setting counts, which the workers see through a view.
        hub.database.query("CREATE VIEW mih_mdl_settings AS SELECT 'max_log_entries' AS name, '40' AS value;"
                           f"GRANT SELECT ON mih_mdl_settings TO '{hub.account.user}'@'127.0.0.1'")
        wait_until(lambda: self.rows(hub) == 40, 30, "the purge")


class Backlog(Case):
    """What waits at the broker."""

    def row(self, hub, service):
        """waiting, dead, timeoldest, timeseen."""
        rows = hub.database.query("SELECT waiting, dead, timeoldest, timeseen FROM mdl_local_integrationhub_backlog"
                                  f" WHERE serviceid = {service}")
        return [None if field is None else int(field) for field in rows[0]] if rows else None

    def test_number_and_age_of_what_waits(self):
        """A paused service, and one that refuses."""
        hub = self.hub(settings=often(), processes=2)
        paused, refusing = hub.service(), hub.service(hub.sink.url + "/status-400")
        hub.rule(paused, VIEWED)
        hub.rule(refusing, VIEWED)
        hub.start()
        hub.publish(300)
        hub.wait_done()
        wait_until(lambda: self.row(hub, paused) and self.row(hub, paused)[0] == 0, 20, "an empty queue")
        self.assertIsNone(self.row(hub, paused)[2])
        dead = hub.dead_count()
        wait_until(lambda: self.row(hub, refusing)[1] == dead, 20, "the dead letters")
        hub.database.query(f"UPDATE mdl_local_integrationhub_svc SET paused = 1, timemodified = timemodified + 1 WHERE id = {paused}")
        wait_until(lambda: hub.rabbit.consumers(hub.fleet.queue(paused)) == 0, 30, "the pause")
        seen = self.row(hub, paused)[3]
        wait_until(lambda: self.row(hub, paused)[3] > seen, 20, "another look")
        hub.forget()
        before = int(time.time())
        hub.publish(1433)
        after = time.time()
        waiting = len([1 for _, name in hub.published() if name == VIEWED])
        wait_until(lambda: self.row(hub, paused)[0] == waiting, 20, "the backlog")
        oldest = self.row(hub, paused)[2]
        self.assertIn(oldest, range(before - 3, int(after) + 1))
        seen = self.row(hub, paused)[3]
        wait_until(lambda: self.row(hub, paused)[3] > seen + 1, 20, "more looks")
        self.assertEqual(oldest, self.row(hub, paused)[2])
        self.assertEqual(waiting, int(hub.database.value(f"SELECT MAX(backlog) FROM mdl_local_integrationhub_stat WHERE serviceid = {paused}")))
        hub.database.query(f"UPDATE mdl_local_integrationhub_svc SET paused = 0, timemodified = timemodified + 1 WHERE id = {paused}")
        wait_until(lambda: self.row(hub, paused)[0] == 0 and self.row(hub, paused)[2] is None, 60, "the end of the backlog")

    def test_one_process_is_the_elected_one(self):
        """As the table of workers shows; and the retries are there."""
        hub = self.hub(settings=often(), processes=3)
        hub.rule(hub.service(), VIEWED)
        hub.start()
        wait_until(lambda: hub.database.query("SELECT COUNT(*), SUM(elected) FROM mdl_local_integrationhub_worker") == [["3", "1"]], 20,
                   "one elected of three")
