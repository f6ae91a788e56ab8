"""The fleet while its parts die: every event is counted, nothing may be lost, and a repeat carries the id of the first try."""
import os
import signal
import threading
import time

import fleet
import guard
import services
import shared
from services import wait_until

VIEWED = r"\core\event\course_viewed"
EVENTS = 20_000
UNDER_WAY = 16 + 32         # requests at once of one process: the max_concurrency of both services
BROKER_SETTLED_S = 5.5      # RabbitMQ 3.10 loses a quorum queue that is killed within moments of its declaration


class Case(shared.HubTest):
    """A hub with two services, and a stream of real events through it."""

    seconds = 400

    def stream(self, hub, rate=4000):
        """Publishes EVENTS in the background, about five seconds long, and waits until the fleet has begun."""
        publication = hub.publish(EVENTS, wait=False, rate=rate)
        hub.wait_delivered(100)
        return publication

    def finish(self, hub, duplicates):
        """All is delivered, with at most so many repeats."""
        hub.wait_done()
        balance = hub.balance()
        self.assert_balanced(balance, duplicates)
        return balance


class Killed(Case):
    """SIGKILL, where it hurts."""

    def test_one_worker_after_the_other_is_killed(self):
        """Again and again in the middle of 20,000 events; repeats at most the requests that each had under way."""
        hub = self.loaded()
        publication = self.stream(hub)
        kills = 0
        while publication.running():
            children = hub.fleet.children()
            os.kill(children[kills % len(children)], signal.SIGKILL)
            kills += 1
            wait_until(lambda: len(hub.fleet.children()) == 2, 20, "the child to be started again")
        self.assertGreaterEqual(kills, 2)
        self.finish(hub, duplicates=kills * UNDER_WAY)

    def test_the_supervisor_is_killed(self):
        """Its children drain and end; the next supervisor carries on."""
        hub = self.loaded()
        self.stream(hub)
        children = hub.fleet.children()
        hub.fleet.process.signal(signal.SIGKILL)
        wait_until(lambda: not any(_runs(pid) for pid in children), 30, "the orphans to end")
        hub.fleet.start()
        self.finish(hub, duplicates=0)

    def test_the_whole_fleet_is_killed(self):
        """All processes at once; a new fleet takes up what they held, and knows from a file what they had delivered."""
        hub = self.loaded(settings={"worker": {"seen_file": os.path.join(guard.folder("mih-seen-"), "seen")}})
        self.stream(hub)
        hub.fleet.close()
        hub.fleet.start()
        self.finish(hub, duplicates=2 * UNDER_WAY)

    @shared.long
    def test_services_take_turns_when_requests_go_one_at_a_time(self):
        """After a crash that could be of any message: no service waits for the backlog of another to be done."""
        hub = self.hub(processes=1)
        for _ in range(2):
            hub.rule(hub.service(hub.sink.url + "/wait-950", max_concurrency=2), VIEWED)
        hub.start()
        for _ in range(16):
            hub.raw(VIEWED, '{"eventname": "\\\\core\\\\event\\\\course_viewed"}')
        hub.wait_delivered(4)
        os.kill(hub.fleet.children()[0], signal.SIGSEGV)
        before = len(hub.delivered())
        wait_until(lambda: len(hub.delivered()) >= before + 16, 60, "deliveries of the next process")
        served = [request["id"].rpartition(":")[2] for request in hub.arrivals[before:before + 16]]
        # The first four were under way at the crash, and the next one may come before the other service has messages.
        self.assertTrue(all(one != next_one for one, next_one in zip(served[5:], served[6:])), served)

    def test_a_stopped_worker_keeps_nothing_from_the_others(self):
        """SIGSTOP: the supervisor replaces it, the broker gives its messages to the others."""
        hub = self.loaded(settings={"worker": {"watchdog": "3s"}})
        self.stream(hub)
        child = hub.fleet.children()[0]
        os.kill(child, signal.SIGSTOP)
        wait_until(lambda: not _runs(child), 40, "the stopped child to be killed")
        self.finish(hub, duplicates=UNDER_WAY)


class Broker(Case):
    """A broker of the test's own, because it is stopped."""

    def setUp(self):
        self.broker = services.RabbitMQ()
        self.addCleanup(self.broker.close)

    def settle(self, hub):
        """Waits until the new queues have survived their first seconds (a fact of RabbitMQ 3.10, not a condition that can be asked)."""
        time.sleep(BROKER_SETTLED_S)
        self.assertTrue(hub.fleet.alive())

    def test_it_is_restarted_in_an_orderly_way(self):
        """The processes wait, connect again and go on; what the publisher had not confirmed does not count."""
        hub = self.loaded(broker=self.broker)
        self.settle(hub)
        self.stream(hub)
        children = hub.fleet.children()
        self.broker.restart()
        self.finish(hub, duplicates=0)
        self.assertEqual(children, hub.fleet.children(), "no process has ended")

    def test_it_is_killed(self):
        """SIGKILL to the broker: what it confirmed is there again."""
        hub = self.loaded(broker=self.broker)
        self.settle(hub)
        self.stream(hub)
        self.broker.kill9()
        self.broker.start()
        self.finish(hub, duplicates=0)

    @shared.long
    def test_it_hangs_longer_than_the_heartbeat(self):
        """SIGSTOP for 8 s with a heartbeat of 2 s: connections are given up and made anew."""
        hub = self.loaded(broker=self.broker, settings={"broker": {"heartbeat": "2s"}})
        self.settle(hub)
        self.stream(hub)
        self.broker.pause()
        threading.Timer(8, self.broker.resume).start()
        wait_until(lambda: "connection lost" in guard.tail(hub.fleet.log, 500), 20, "the heartbeat to be missed")
        self.finish(hub, duplicates=0)

    def test_a_memory_alarm_stops_no_delivery_and_loses_no_dead_letter(self):
        """The broker blocks publishers: successes are acknowledged, failures go to its own dead-lettering."""
        hub = self.hub(broker=self.broker, processes=1)
        good, bad, first = hub.service(), hub.service(hub.sink.url + "/status-400"), hub.service(hub.sink.url + "/status-400")
        for service in (good, bad, first):
            hub.rule(service, VIEWED)
        hub.start()
        hub.wait_consumed()
        self._enable(hub, 0, good, bad, first)
        wait_until(lambda: all(hub.rabbit.consumers(hub.fleet.queue(s)) == 0 for s in hub.services), 10, "the consumers to leave")
        hub.publish(1433)
        viewed = {message for message, name in hub.published() if name == VIEWED}
        self.broker.ctl("set_vm_memory_high_watermark", "0.0000001")
        # The process hears of the alarm when it publishes: what it has on the wire then is decided when the alarm ends.
        self._enable(hub, 1, first)
        wait_until(lambda: "blocks publishing" in guard.tail(hub.fleet.log, 500), 60, "the process to be blocked")
        self._enable(hub, 1, good, bad)
        wait_until(lambda: len(set(hub.delivered())) == len(viewed), 30, "all deliveries, under the alarm")
        wait_until(lambda: self._dead(hub, bad) == len(viewed), 30, "the refused ones in the dead letters, under the alarm")
        self.broker.ctl("set_vm_memory_high_watermark", "0.4")
        wait_until(lambda: hub.dead_count() == 2 * len(viewed), 30, "all refused ones in the dead letters")
        letters = [letter["properties"]["message_id"] for letter in hub.dead_messages()]
        self.assertEqual(sorted([*viewed, *viewed]), sorted(letters))
        self.assertEqual((len(viewed), 3 * len(viewed)), (len(hub.delivered()), len(hub.arrivals)), "no repeats")
        hub.forget()
        before, explained = hub.dead_count(), self._explained(hub)
        hub.publish(200)
        viewed = {message for message, name in hub.published() if name == VIEWED}
        wait_until(lambda: hub.dead_count() == before + 2 * len(viewed), 30, "dead letters by publishing, after the alarm")
        self.assertEqual(explained + 2 * len(viewed), self._explained(hub))

    @staticmethod
    def _enable(hub, enabled, *services):
        """Enables or disables services."""
        hub.database.query(f"UPDATE mdl_local_integrationhub_svc SET enabled = {enabled} WHERE id IN ({', '.join(map(str, services))})")

    @staticmethod
    def _dead(hub, service):
        """Dead letters of one service."""
        return hub.rabbit.count([hub.fleet.dead_queue(service)])[hub.fleet.dead_queue(service)]

    @staticmethod
    def _explained(hub):
        """How many dead letters carry our reason; the broker's own dead-lettering adds none."""
        return sum("x-mih-reason" in letter["headers"] for letter in hub.dead_messages())

    def test_queues_that_vanish_are_made_again(self):
        """A service queue is deleted under its consumers; the elected process declares it again, and the next events arrive."""
        hub = self.loaded(broker=self.broker)
        for service in hub.services:
            hub.rabbit.delete("--queue", hub.fleet.queue(service))
        wait_until(lambda: all(hub.rabbit.consumers(hub.fleet.queue(s)) for s in hub.services), 20, "queues with consumers")
        wait_until(lambda: not hub.rabbit.raw(hub.exchange, "core.course_viewed", "{}", type=VIEWED)["returned"], 20, "the bindings")
        hub.rabbit.purge(*[hub.fleet.dead_queue(s) for s in hub.services])
        hub.publish(1433)
        hub.wait_done()
        self.assertEqual(set(), hub.balance().lost)


class Database(Case):
    """A database of the test's own, because it hangs and dies."""

    def setUp(self):
        self.server = services.MariaDB()
        self.addCleanup(self.server.close)

    def test_a_hanging_database_delays_no_delivery(self):
        """SIGSTOP for 30 s: every event that is published meanwhile is delivered meanwhile; afterwards rules are read again."""
        hub = self.loaded(database=self.server)
        hub.publish(1433)
        hub.wait_done()
        self.server.pause()
        try:
            stopped = time.monotonic()
            for part in range(1, 6):
                hub.publish(1433)
                hub.wait_done(stall=10)
                wait_until(lambda: time.monotonic() - stopped > 6 * part, 40, "its part of the 30 s", every=0.1)
            self.assertGreater(time.monotonic() - stopped, 30)
        finally:
            self.server.resume()
        self.assert_balanced(hub.balance())
        children = hub.fleet.children()
        hub.forget()
        hub.rule(hub.services[0], r"\core\event\user_loggedin")
        hub.wait_bound()
        hub.publish(1433)
        self.finish(hub, duplicates=0)
        self.assertEqual(children, hub.fleet.children())

    def test_a_dead_database_delays_no_delivery(self):
        """SIGKILL; back after a while, the fleet writes and reads again."""
        hub = self.loaded(database=self.server)
        self.server.kill9()
        hub.publish(1433)
        hub.wait_done(stall=10)
        self.assert_balanced(hub.balance())
        self.server.start()
        delivered = len(set(hub.delivered()))
        wait_until(lambda: hub.counters()["delivered"] == delivered, 40, "the counters in the worker table")

    def test_without_a_database_at_the_start_nothing_is_consumed(self):
        """Not ready, alive, and at work within moments of the database's return."""
        hub = self.loaded(database=self.server)
        hub.fleet.stop()
        self.server.kill9()
        hub.fleet.start()
        hub.publish(1433)
        wait_until(lambda: guard.tail(hub.fleet.log, 500).count("database away") >= 2, 30, "both processes to say so")
        self.assertEqual([], hub.delivered())
        self.assertTrue(hub.fleet.alive())
        self.server.start()
        self.finish(hub, duplicates=0)


class Doubt(Case):
    """A process that cannot look at the rules must not judge that nobody wants a message."""

    def test_a_process_without_the_database_loses_no_event_of_a_new_rule(self):
        """One of two processes is cut off from the database while a rule is added: every event is delivered or kept."""
        hub = self.loaded()
        lock = hub.database.value(f"SELECT IS_USED_LOCK('mih.{hub.database.database}.mdl_hub.{hub.fleet.namespace}')")
        ids = {row[0] for row in hub.database.query(f"SELECT id FROM information_schema.processlist WHERE user = '{hub.account.user}'")}
        self.assertEqual(2, len(ids))
        self.assertIn(lock, ids)
        hub.database.query(f"ALTER USER '{hub.account.user}'@'127.0.0.1' ACCOUNT LOCK", database="")
        for other in ids - {lock}:
            hub.database.query(f"KILL {other}")
        wait_until(lambda: "database away" in guard.tail(hub.fleet.log, 500), 20, "the other process to notice")
        name = r"\core\event\user_loggedin"
        hub.rule(hub.services[0], name)
        hub.wait_bound()
        hub.forget()
        ids = [hub.raw(name, '{"eventname": "\\\\core\\\\event\\\\user_loggedin"}') for _ in range(100)]
        wait_until(lambda: set(ids) <= {d.split(":")[0] for d in hub.delivered()} | {m["properties"]["message_id"] for m in hub.dead_messages()}, 90,
                   "every event to be delivered or a dead letter", every=0.5)
        self.assertGreater(len(set(hub.delivered())), 20)
        hub.database.query(f"ALTER USER '{hub.account.user}'@'127.0.0.1' ACCOUNT UNLOCK", database="")

    @shared.long
    def test_unwanted_messages_that_nobody_can_judge_hold_up_no_others(self):
        """The rules cannot be read: wanted events go on being delivered, however many unwanted ones come."""
        hub = self.loaded(processes=1)
        service = hub.services[0]
        hub.database.query(f"REVOKE SELECT ON `{hub.database.database}`.mdl_local_integrationhub_rules FROM '{hub.account.user}'@'127.0.0.1'",
                           database="")
        wait_until(lambda: "rules could not be read" in guard.tail(hub.fleet.log, 500), 20, "the failure to be told")
        for number in range(100):
            hub.rabbit.raw(f"{hub.fleet.namespace}.redeliver", str(service), '{"eventname": "x"}', type="x")
        hub.forget()
        hub.publish(1433)
        hub.wait_done(stall=20)
        self.assertEqual(set(), hub.balance().lost)
        wait_until(lambda: sum("could not be read" in m["headers"].get("x-mih-reason", "") for m in hub.dead_messages()) == 100, 90,
                   "the unwanted ones in the dead letters", every=0.5)


class Relay(Case):
    """What Moodle left in its outbox."""

    def rows(self, hub, count, eventname=VIEWED):
        """Outbox rows as PHP leaves them; returns their ids."""
        now = int(time.time() * 1000)
        ids = [f"01990000-0000-7000-8000-{number:012d}" for number in range(count)]
        body = '{"eventname": "' + eventname.replace("\\", "\\\\") + '", "courseid": 3}'
        hub.messages += [(identifier, eventname) for identifier in ids]
        rows = [{"messageid": i, "eventname": eventname, "payload": body, "timecreated": now // 1000 - 60} for i in ids]
        fleet.insert(hub.database, "outbox", rows)
        return ids

    def test_rows_are_published_once_and_deleted(self):
        """Each arrives at every rule, flagged by nothing but its own id."""
        hub = self.loaded()
        self.rows(hub, 1000)
        self.finish(hub, duplicates=0)
        wait_until(lambda: hub.database.value("SELECT COUNT(*) FROM mdl_local_integrationhub_outbox") == "0", 20, "the outbox to be empty")

    def test_the_relay_is_killed_in_the_middle(self):
        """A row that was published and not deleted is published again: only requests that were under way are repeated."""
        hub = self.loaded(settings={"relay": {"batch": 50}})
        self.rows(hub, 5000)
        hub.wait_delivered(50)
        for pid in hub.fleet.children():
            os.kill(pid, signal.SIGKILL)
        hub.wait_done()
        self.assert_balanced(hub.balance(), duplicates=2 * UNDER_WAY)
        wait_until(lambda: hub.database.value("SELECT COUNT(*) FROM mdl_local_integrationhub_outbox") == "0", 20, "the outbox to be empty")


def _runs(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
