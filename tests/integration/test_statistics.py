"""What the fleet counts, beside what the receiver, the broker and the test itself count."""
import collections
import os
import random
import signal
import time

import fleet
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
        service = hub.service(hub.sink.url + "/status-503", max_retries=2, retry_backoff=1, cb_failure_threshold=100000, long_retries=0)
        hub.rule(service, VIEWED)
        hub.start()
        for number in range(5):
            hub.raw(VIEWED, '{"eventname": "\\\\core\\\\event\\\\course_viewed", "userid": %d}' % number)
        hub.wait_done(stall=60)
        self.wait_sums(hub, delivered=0, retried=10, dead=5, requests=15, held=0)

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
        publication = hub.publish(20_000, wait=False, rate=3000)
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
            time.sleep(5)               # longer than its time-outs: batches were given up, unclear
        finally:
            os.kill(self.database.process.pid, signal.SIGCONT)
        self.wait_sums(hub, seconds=60, delivered=len(set(hub.delivered())), requests=len(hub.arrivals))
        self.assertEqual(self.expected_by_rule(hub), self.delivered_by_rule(hub))

    def test_an_answer_that_is_lost_doubles_nothing(self):
        """Again and again the connection breaks somewhere between a batch and the answer to its commit."""
        proxy = Proxy(self.database.port)
        self.addCleanup(proxy.close)
        hub = self.loaded(database=self.database, settings=often({"database": {"io_timeout": "1s", "connect_timeout": "1s", "port": proxy.port},
                                                                  "statistics": {"interval": "100ms"}}))
        publication = hub.publish(20_000, wait=False, rate=1500)
        random.seed(1)
        cuts = 0
        while publication.running():
            time.sleep(random.uniform(0.2, 0.6))
            proxy.hold(up=False, down=True)     # statements arrive, answers do not
            time.sleep(random.uniform(0.0, 0.3))
            proxy.cut()
            proxy.release()
            cuts += 1
        hub.wait_done()
        self.assertGreater(cuts, 10)
        self.wait_sums(hub, seconds=60, delivered=len(set(hub.delivered())), requests=len(hub.arrivals))
        self.assertEqual(self.expected_by_rule(hub), self.delivered_by_rule(hub))
        print(f"{cuts} cuts, {len(hub.arrivals)} requests; batches: {hub.database.value('SELECT SUM(number) FROM mdl_local_integrationhub_batch')}",
              flush=True)
