"""The same message twice: a copy that is flagged as a possible repeat is sent to no rule that has it already, and nothing else is ever held back."""
import os
import re
import signal
import socket
import threading
import time

import fleet
import guard
import services
import shared
from services import wait_until

CREATED = r"\core\event\user_created"
VIEWED = r"\core\event\course_viewed"
BODY = '{"eventname": "\\\\core\\\\event\\\\user_created"}'
FLAG = ["x-mih-republished:=1"]
BROKER_SETTLED_S = 5.5      # RabbitMQ 3.10 loses a quorum queue that is killed within moments of its declaration


class Dedup(shared.HubTest):
    """What is asked of every hub here."""

    seconds = 400

    def two_rules(self, path="/fast", **options):
        """A hub with two rules of one service for the same event."""
        hub = self.hub(**options)
        service = hub.service(hub.sink.url + path)
        self.rules = [hub.rule(service, CREATED), hub.rule(service, CREATED)]
        return hub.start()

    @staticmethod
    def log(hub):
        """The fleet's log."""
        with open(hub.fleet.log, encoding="utf-8", errors="replace") as stream:
            return stream.read()

    def not_sent(self, hub):
        """How many requests the processes left out as repeats, as they have told so far."""
        return sum(int(count) for count in re.findall(r'msg="delivered before[^\n]* repeats=(\d+)', self.log(hub)))

    def wait_not_sent(self, hub, count, seconds=30):
        """Waits until so many are left out."""
        wait_until(lambda: self.not_sent(hub) >= count, seconds, f"{count} requests not to be sent")

    def assert_each_once(self, hub):
        """Every wanted delivery has arrived, and none twice."""
        self.assert_balanced(hub.balance(), duplicates=0)
        self.assertEqual(hub.wanted(), set(hub.delivered()))


class Copies(Dedup):
    """One event, published twice."""

    @shared.smoke
    def test_a_flagged_copy_is_delivered_once_to_each_of_two_rules(self):
        """The second copy is left out for both rules; so is a third one."""
        hub = self.two_rules()
        message = hub.raw(CREATED, BODY)
        hub.wait_delivered(2)
        for copies in (1, 2):
            hub.raw(CREATED, BODY, id=message, headers=FLAG)
            self.wait_not_sent(hub, 2 * copies)
        self.assert_each_once(hub)
        self.assertEqual({f"{message}:{rule}" for rule in self.rules}, set(hub.delivered()))

    @shared.smoke
    def test_what_only_looks_like_a_copy_is_delivered(self):
        """Equal bodies, ids that differ in one digit, ids that are no UUID, a flag at the first time: nothing is ever left out."""
        hub = self.two_rules()
        first = hub.raw(CREATED, BODY, headers=FLAG)
        hub.wait_delivered(2)
        others = [first[:-1] + ("0" if first[-1] != "0" else "1"), ("0" if first[0] != "0" else "1") + first[1:], first.upper(), "order-4711"]
        for number, identifier in enumerate(others, 2):
            hub.raw(CREATED, BODY, id=identifier, headers=FLAG)
            hub.wait_delivered(2 * number)
        for identifier in others[2:]:       # cannot be told apart, so they are sent again
            hub.raw(CREATED, BODY, id=identifier, headers=FLAG)
        wait_until(lambda: len(hub.delivered()) == 14, 20, "the ids that are no UUID to be sent twice")
        self.assertEqual(0, self.not_sent(hub))

    def test_a_copy_without_a_flag_is_sent(self):
        """Only what is flagged is looked up: somebody may send an event again on purpose."""
        hub = self.two_rules()
        message = hub.raw(CREATED, BODY)
        hub.wait_delivered(2)
        hub.raw(CREATED, BODY, id=message)
        wait_until(lambda: len(hub.delivered()) == 4, 20, "both deliveries again")
        self.assertEqual(2, len(set(hub.delivered())))

    def test_only_the_rule_that_lacks_the_message_gets_the_copy(self):
        """One rule has it, the other one failed for good: the copy goes to the other one alone."""
        hub = self.hub()
        service = hub.service(hub.sink.url)
        hub.rule(service, CREATED, "/fast/x")
        bad = hub.rule(service, CREATED, "/status-400/x")
        hub.start()
        message = hub.raw(CREATED, BODY)
        wait_until(lambda: hub.dead_count() == 1, 20, "the dead letter")
        hub.raw(CREATED, BODY, id=message, headers=FLAG)
        wait_until(lambda: hub.dead_count() == 2, 20, "the second dead letter")
        self.wait_not_sent(hub, 1)
        self.assertEqual(1, len(hub.delivered()))
        self.assertEqual(2, sum(request["id"] == f"{message}:{bad}" for request in hub.arrivals))
        self.assertEqual([None, 1], sorted((letter["headers"].get("x-mih-republished") for letter in hub.dead_messages()), key=bool))

    def test_copies_that_meet_are_sent_once(self):
        """20 events, each with three copies right behind it, to a slow service: the one waits until the other's outcome is known."""
        hub = self.two_rules("/wait-200")
        for _ in range(20):
            message = hub.raw(CREATED, BODY, headers=FLAG)
            for _ in range(3):
                hub.raw(CREATED, BODY, id=message, headers=FLAG)
        self.wait_not_sent(hub, 20 * 3 * 2, 60)
        self.assert_each_once(hub)


class Redelivered(Dedup):
    """The broker gives a message again, because no acknowledgement has reached it."""

    def own_broker(self):
        """A broker that may be stopped."""
        broker = services.RabbitMQ()
        self.addCleanup(broker.close)
        return broker

    def test_closed_connections_repeat_nothing(self):
        """The broker closes every connection in the middle of 20,000 events: what is under way goes on, and its copies wait for it."""
        hub = self.loaded(broker=self.own_broker())
        hub.database.query("UPDATE mdl_local_integrationhub_svc SET paused = 1")
        wait_until(lambda: not any(hub.rabbit.consumers(hub.fleet.queue(service)) for service in hub.services), 20, "the consumers to leave")
        hub.publish(20_000)
        hub.database.query("UPDATE mdl_local_integrationhub_svc SET paused = 0")
        hub.wait_delivered(100)
        closed = 0
        while closed == 0 or len(set(hub.delivered())) < len(hub.wanted()) // 2:
            hub.broker.ctl("close_all_connections", "--global", "test")
            closed += 1
            wait_until(lambda: self.log(hub).count('msg="consuming connection lost"') == 2 * closed, 20, "both processes to lose it")
            wait_until(lambda: self.log(hub).count('msg="consuming connection open"') == 2 * closed + 2, 60, "both processes to be back")
        hub.wait_done()
        self.assert_balanced(hub.balance(), duplicates=0)

    @shared.long
    def test_acknowledgements_that_a_dying_broker_has_not_read_repeat_nothing(self):
        """The broker hangs, every event that was handed out is delivered, and the broker is killed before it reads one acknowledgement of them."""
        hub = self.hub(broker=self.own_broker())
        hub.rule(hub.service(hub.sink.url + "/wait-200", timeout=30), CREATED)
        hub.start()
        time.sleep(BROKER_SETTLED_S)
        for _ in range(64):
            hub.raw(CREATED, BODY)
        wait_until(lambda: hub.rabbit.count([hub.fleet.queue(hub.services[0])]).popitem()[1] == 0, 20, "all to be handed out", every=0.01)
        left = 64 - len(hub.delivered())
        hub.broker.pause()
        hub.wait_delivered(64)
        hub.broker.kill9()
        hub.broker.start()
        wait_until(lambda: hub.rabbit.consumers(hub.fleet.queue(hub.services[0])) == 2, 60, "the consumers to be back")
        self.wait_not_sent(hub, left - 32)      # some of them were acknowledged before it hung
        self.assert_each_once(hub)


class Wire:
    """A broker behind a wire that breaks once: when a retry has gone to the broker, the answer is lost with the connection."""

    def __init__(self, port):
        self.port = port
        self.armed = True
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url_port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        """Takes no more connections."""
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            broker = socket.create_connection(("127.0.0.1", self.port))
            carries_retry = threading.Event()
            threading.Thread(target=self._to_broker, args=(client, broker, carries_retry), daemon=True).start()
            threading.Thread(target=self._to_client, args=(client, broker, carries_retry), daemon=True).start()

    def _to_broker(self, client, broker, carries_retry):
        try:
            while data := client.recv(65536):
                if self.armed and b"x-mih-attempt" in data:
                    self.armed = False
                    carries_retry.set()
                broker.sendall(data)
        except OSError:
            pass
        self._end(client, broker)

    def _to_client(self, client, broker, carries_retry):
        try:
            while data := broker.recv(65536):
                if carries_retry.is_set():
                    break
                client.sendall(data)
        except OSError:
            pass
        self._end(client, broker)

    @staticmethod
    def _end(*ends):
        for end in ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Republished(Dedup):
    """The relay publishes a row of the outbox, and does not come to delete it."""

    def outbox(self, hub, count):
        """So many rows as Moodle leaves them."""
        ids = [f"01990000-0000-7000-8000-{number:012d}" for number in range(count)]
        hub.messages += [(identifier, CREATED) for identifier in ids]
        fleet.insert(hub.database, "outbox",
                     [{"messageid": i, "eventname": CREATED, "payload": BODY, "timecreated": int(time.time()) - 60} for i in ids])

    @staticmethod
    def rows(hub):
        """How many rows there are."""
        return int(hub.database.value("SELECT COUNT(*) FROM mdl_local_integrationhub_outbox"))

    def published_and_not_deleted(self, **options):
        """A hub without the right to delete rows: 100 of them are published, delivered, and still there."""
        hub = self.two_rules(**options)
        table = f"`{hub.database.database}`.mdl_local_integrationhub_outbox"
        hub.database.query(f"REVOKE DELETE ON {table} FROM '{hub.account.user}'@'127.0.0.1'", database="")
        self.outbox(hub, 100)
        hub.wait_delivered(200)
        self.assertEqual(100, self.rows(hub))
        hub.database.query(f"GRANT DELETE ON {table} TO '{hub.account.user}'@'127.0.0.1'", database="")
        return hub

    def test_a_relay_that_is_killed_before_it_deletes_repeats_nothing(self):
        """All children are killed; their successors publish the rows again, and no rule gets one twice."""
        hub = self.published_and_not_deleted()
        for pid in hub.fleet.children():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: self.rows(hub) == 0, 60, "the outbox to be empty")
        self.wait_not_sent(hub, 200)
        self.assert_each_once(hub)

    def test_a_retry_whose_confirm_was_lost_is_delivered_once(self):
        """The broker has the retry, and its confirm is lost: it is published again, flagged, and both come back when they are due."""
        broker = shared.server(services.RabbitMQ)
        wire = Wire(broker.port)
        self.addCleanup(wire.close)
        hub = self.hub(processes=1, settings={"broker": {"url": broker.url.replace(f":{broker.port}", f":{wire.url_port}")}})
        service = hub.service("http://127.0.0.1:1/", retry_backoff=10, cb_failure_threshold=99)
        hub.rule(service, CREATED)
        hub.start()
        hub.raw(CREATED, BODY)
        wait_until(lambda: "no publishing connection" in self.log(hub), 30, "the connection to break")
        wait_until(lambda: self.delayed(hub) == 2, 20, "both copies of the retry in the delay queues")
        hub.database.query(f"UPDATE mdl_local_integrationhub_svc SET base_url = '{hub.sink.url}/fast' WHERE id = {service}")
        self.wait_not_sent(hub, 1, 60)
        self.assert_each_once(hub)

    @staticmethod
    def delayed(hub):
        """How many messages wait in the delay queues."""
        names = hub.broker.ctl("list_queues", "-p", hub.broker.vhost, "name").splitlines()
        return sum(hub.rabbit.count([name for name in names if name.startswith(f"{hub.fleet.namespace}.delay.")]).values())

    def test_copies_that_wait_for_a_paused_service_are_sent_once(self):
        """Both copies of each event lie in the queue of a paused service, and come to the processes almost at the same time."""
        hub = self.two_rules(settings={"relay": {"batch": 20}})
        hub.wait_consumed()
        hub.database.query("UPDATE mdl_local_integrationhub_svc SET paused = 1")
        wait_until(lambda: hub.rabbit.consumers(hub.fleet.queue(hub.services[0])) == 0, 20, "the consumers to leave")
        ids = [hub.raw(CREATED, BODY) for _ in range(30)]
        for identifier in ids:
            hub.raw(CREATED, BODY, id=identifier, headers=FLAG)
        hub.database.query("UPDATE mdl_local_integrationhub_svc SET paused = 0")
        self.wait_not_sent(hub, 60)
        self.assert_each_once(hub)

    def test_a_file_remembers_beyond_the_death_of_the_supervisor(self):
        """kill -9 of the whole fleet: the next one knows from the file what was delivered."""
        path = os.path.join(guard.folder("mih-seen-"), "seen")
        hub = self.published_and_not_deleted(settings={"worker": {"seen_file": path}})
        hub.fleet.close()
        hub.fleet.start()
        wait_until(lambda: self.rows(hub) == 0, 60, "the outbox to be empty")
        self.wait_not_sent(hub, 200)
        self.assert_each_once(hub)

    def test_without_a_file_the_death_of_the_supervisor_makes_it_forget(self):
        """The limit that the README tells: each is repeated once, with the same id."""
        hub = self.published_and_not_deleted()
        hub.fleet.close()
        hub.fleet.start()
        wait_until(lambda: len(hub.delivered()) == 400, 60, "everything a second time")
        self.assertEqual(hub.wanted(), set(hub.delivered()))

    def test_a_file_that_cannot_be_used_stops_nothing(self):
        """Another form: replaced. No such folder: memory. A new size at SIGHUP: replaced. Each is told."""
        folder = guard.folder("mih-seen-")
        path = services.write_file(os.path.join(folder, "seen"), "not what you think\n")
        hub = self.two_rules(settings={"worker": {"seen_file": path}})
        self.assertIn("has another size or form", self.log(hub))
        size = os.path.getsize(path)
        self.assertGreater(size, 24 * 262144)
        message = hub.raw(CREATED, BODY)
        hub.wait_delivered(2)
        hub.raw(CREATED, BODY, id=message, headers=FLAG)
        self.wait_not_sent(hub, 2)
        hub.fleet.sections["worker"]["seen_entries"] = 1024
        self.reload(hub)
        self.assertLess(os.path.getsize(path), size // 100)
        hub.fleet.sections["worker"]["seen_file"] = os.path.join(folder, "nowhere", "seen")
        self.reload(hub)
        self.assertIn("cannot be used", self.log(hub))
        hub.raw(CREATED, BODY, id=message, headers=FLAG)
        wait_until(lambda: len(hub.delivered()) == 4, 20, "the copy, which the new memory does not know")
        hub.raw(CREATED, BODY, id=message, headers=FLAG)
        self.wait_not_sent(hub, 4)
        self.assertEqual(4, len(hub.delivered()))

    def test_what_a_child_had_begun_in_the_store_before_a_reload_does_not_wait_for_the_others(self):
        """A new size replaces the children one after the other. The first one is killed while it drains: the one that still uses the old store
        takes over at once what that had under way, although the new child never gets ready."""
        hub = self.hub(settings={"worker": {"watchdog": "300s"}})
        service = hub.service(hub.sink.url + "/wait-300000", timeout=120)
        hub.rule(service, CREATED)
        hub.start()
        hub.wait_consumed()
        for _ in range(8):
            hub.raw(CREATED, BODY)

        def under_way():
            rows = hub.database.query("SELECT pid, inflight FROM mdl_local_integrationhub_worker")
            return {int(pid): int(requests) for pid, requests in rows}
        wait_until(lambda: sum(under_way().values()) == 8, 20, "all requests to be under way")
        reads = self.log(hub).count("rules read")
        hub.database.query(f"UPDATE mdl_local_integrationhub_svc SET base_url = '{hub.sink.url}/fast' WHERE id = {service}")
        wait_until(lambda: self.log(hub).count("rules read") == reads + 2, 20, "both to know the new address")
        hub.fleet.sections["worker"]["seen_entries"] = 1024
        hub.fleet.write_configuration()
        before = set(hub.fleet.children())
        first = int(re.search(r'msg="child started" child=0 child_pid=(\d+)', self.log(hub))[1])
        count = under_way()[first]
        self.assertGreater(count, 0)
        hub.fleet.process.signal(signal.SIGHUP)
        wait_until(lambda: "replaces the children" in self.log(hub), 10, "the reload")
        os.kill(first, signal.SIGKILL)
        new = wait_until(lambda: set(hub.fleet.children()) - before, 10, "the new child", every=0.002).pop()
        os.kill(new, signal.SIGSTOP)
        try:
            wait_until(lambda: len(hub.delivered()) == count, 20, "the killed child's messages, while the new child is not ready")
        finally:
            os.kill(new, signal.SIGCONT)

    def reload(self, hub):
        """SIGHUP with the new sections, and both children replaced."""
        before = set(hub.fleet.children())
        hub.fleet.write_configuration()
        hub.fleet.process.signal(signal.SIGHUP)
        wait_until(lambda: len(hub.fleet.children()) == 2 and not before & set(hub.fleet.children()), 30, "two new children")
        hub.wait_bound()
        wait_until(lambda: hub.rabbit.consumers(hub.fleet.queue(hub.services[0])) == 2, 30, "both to consume")
