"""What the integration tests share: one broker and one database for a whole run, and a Hub of its own for each test.

    class Something(shared.HubTest):
        @shared.smoke
        def test_it(self):
            hub = self.hub()                        # tables, database user, namespace, exchange, sink: all its own
            service = hub.service(base_url=hub.sink.url + "/fast")
            rule = hub.rule(service, r"\\core\\event\\user_created")
            hub.start()
            hub.publish(1000)
            hub.expect_balance()
"""
import itertools
import os
import time
import unittest

import account
import fleet
import guard
from rabbit import Rabbit
from services import MariaDB, RabbitMQ, wait_until
from sink import Sink

DATA = os.path.join(fleet.TOP, "tests", "data", "moodle-events.jsonl")
_servers = {}
_numbers = itertools.count(1)


def smoke(test):
    """Marks a test that is repeated under the sanitizers."""
    test.smoke = True
    return test


def long(test):
    """Marks a test that takes long: it runs when it is named, and with the whole fault suite (./run-tests --faults)."""
    test.long = True
    return test


def failed(test):
    """Whether a test has failed so far; asked in a clean-up, where the outcome's own `success` is that of the clean-up."""
    result = test._outcome.result
    return any(getattr(other, "test_case", other) is test for other, _ in result.failures + result.errors)


def server(kind):
    """The run's own RabbitMQ, MariaDB or Sink; started at the first call, and again when a test left it dead."""
    instance = _servers.get(kind)
    if instance is None:
        instance = _servers[kind] = kind()
    elif not instance.process.alive():
        instance.start()
    return instance


class SharedDatabase:
    """One schema of the shared MariaDB, with the interface of MariaDB that the fleet's helpers use."""

    def __init__(self, name):
        self.server = server(MariaDB)
        self.database = name
        self.folder = self.server.folder
        self.port = self.server.port
        self.server.query(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci", database="")
        self.load(os.path.join(fleet.TOP, "schema.sql"))

    def query(self, sql, database=None, **options):
        """As MariaDB.query, in this schema."""
        return self.server.query(sql, database=self.database if database is None else database, **options)

    def value(self, sql):
        """The first field of the first row, or None."""
        rows = self.query(sql)
        return rows[0][0] if rows else None

    def load(self, path):
        """Runs a file of SQL."""
        with open(path, encoding="utf-8") as stream:
            self.query(stream.read())


class Hub:
    """A hub of one test: services, rules, fleet, and the sums over what became of the published events."""

    def __init__(self, broker=None, database=None, settings=None, processes=2):
        number = next(_numbers)
        self.broker = broker or server(RabbitMQ)
        self.database = database or SharedDatabase(f"hub{number}")
        if database is not None:
            self.database.load(os.path.join(fleet.TOP, "schema.sql"))
        self.sink = Sink()
        self.rabbit = Rabbit(fleet.program("mih-test-rabbit"), self.broker.url)
        self.folder = guard.folder("mih-test-")
        self.exchange = f"events{number}"
        self.account = fleet.Account(self.database, user=f"mih{number}")
        sections = {"broker": {"namespace": f"hub{number}", "events_exchange": self.exchange}}
        for section, values in (settings or {}).items():
            sections.setdefault(section, {}).update(values)
        self.fleet = fleet.Fleet(self.broker.url, self.database, self.account, processes, sections)
        self.services = []
        self.rows = []
        self.publications = []
        self.messages = []              # (id, event name) published by other means than publish()
        self.arrivals = []

    # ---- configuration ----

    def service(self, base_url=None, **columns):
        """Adds a service (by default one that answers at once) and returns its id."""
        columns.setdefault("name", f"service{len(self.services) + 1}")
        columns.setdefault("timeout", 5)
        identifier = fleet.add_service(self.database, base_url=base_url or self.sink.url + "/fast", auth_type="bearer", **columns)
        self.services.append(identifier)
        return identifier

    def rule(self, service, eventname, endpoint="/", **columns):
        """Adds a rule and returns its id."""
        identifier = fleet.add_rule(self.database, serviceid=service, eventname=eventname, endpoint=endpoint, **columns)
        if columns.get("enabled", 1):
            self.rows.append({"id": identifier, "serviceid": service, "eventname": eventname})
        return identifier

    @property
    def rules(self):
        """The rules as the sums need them."""
        return account.Rules(self.rows)

    def start(self):
        """Starts the fleet and waits until everything is bound."""
        self.fleet.start()
        self.wait_bound()
        return self

    def wait_bound(self, seconds=30):
        """Waits until every rule is bound."""
        self.fleet.wait_bound(self.database, self.rules.keys({row["id"]: row["eventname"] for row in self.rows}), seconds)

    def wait_consumed(self, seconds=20):
        """Waits until every process consumes from every service: only then can it be seen to stop."""
        for service in self.services:
            wait_until(lambda queue=self.fleet.queue(service): self.rabbit.consumers(queue) == len(self.fleet.children()), seconds,
                       "the consumers to be there")

    # ---- publishing ----

    def publish(self, events, wait=True, **options):
        """Publishes so many real events; in the background when `wait` is false."""
        publication = self.rabbit.publish(self.folder, self.exchange, options.pop("file", DATA), events, **options)
        self.publications.append(publication)
        if wait:
            publication.wait()
        return publication

    def raw(self, eventname, body, **options):
        """Publishes one body as the named event and returns its message id."""
        options.setdefault("type", eventname)
        answer = self.rabbit.raw(self.exchange, account.routing_key(eventname), body, **options)
        self.messages.append((answer["message_id"], eventname))
        return answer["message_id"]

    def published(self):
        """(id, event name) of everything that the broker confirmed."""
        return self._published("confirmed", "returned") + self.messages

    def _published(self, *outcomes):
        return [(identifier, name) for publication in self.publications for identifier, _, name, outcome in publication.messages()
                if outcome in outcomes]

    def forget(self):
        """Leaves what was published and delivered so far out of later sums."""
        self.delivered()
        self.publications, self.messages, self.arrivals = [], [], []

    def wanted(self):
        """The deliveries that should come of it."""
        return account.wanted_deliveries(self.rules, self.published())

    # ---- what became of it ----

    def delivered(self):
        """Webhook-ids of the accepted requests in order of arrival."""
        self.arrivals += self.sink.new_requests()
        return [request["id"] for request in self.arrivals if request["status"] < 300]

    def dead_count(self):
        """How many dead letters there are."""
        return sum(count or 0 for count in self.rabbit.count([self.fleet.dead_queue(service) for service in self.services]).values())

    def dead_messages(self):
        """All dead letters, as drained."""
        return [message for service in self.services for message in self.rabbit.drain(self.fleet.dead_queue(service), peek=True)]

    def waiting(self):
        """Deliveries that lie ready in the service queues (none while a fleet works)."""
        found = set()
        for service in self.services:
            for message in self.rabbit.drain(self.fleet.queue(service), peek=True):
                name = message["properties"]["type"]
                found |= {f"{message['properties']['message_id']}:{rule}" for rule in self.rules.wanting(name)
                          if self.rules.service_of[rule] == service}
        return found

    def wait_delivered(self, count, seconds=60):
        """Waits until so many different deliveries have arrived."""
        wait_until(lambda: len(set(self.delivered())) >= count, seconds, f"{count} deliveries", every=0.05)

    def wait_done(self, stall=60):
        """Waits until every wanted delivery has arrived or is a dead letter; a stall is a TimeoutError that tells the state."""
        for publication in self.publications:
            publication.wait(failure_allowed=True)
        wanted, moved, before = self.wanted(), time.monotonic(), None
        while True:
            arrived = set(self.delivered())
            state = (len(arrived), self.dead_count())
            # What was published and not confirmed may arrive too, and must not stand for what was.
            if len(wanted - arrived) <= state[1]:
                return
            if state != before:
                moved, before = time.monotonic(), state
            if time.monotonic() - moved > stall:
                counts = self.rabbit.count([self.fleet.queue(service) for service in self.services])
                raise TimeoutError(f"stalled at {state[0]} delivered + {state[1]} dead of {len(wanted)}; queues {counts}\n"
                                   f"{guard.tail(self.fleet.log, 40)}")
            time.sleep(0.1)

    def balance(self, waiting=()):
        """The sums, after a second in which no more requests came."""
        quiet, seen = time.monotonic(), len(self.delivered())
        while time.monotonic() - quiet < 1:
            time.sleep(0.1)
            if len(self.delivered()) != seen:
                quiet, seen = time.monotonic(), len(self.arrivals)
        arrivals, dead = self.delivered(), account.dead_letters(self.dead_messages())
        # What a broken connection left unconfirmed may have reached the broker or not: it counts when it came.
        perhaps = account.wanted_deliveries(self.rules, self._published("open")) & (set(arrivals) | set(dead))
        return account.Balance(self.wanted() | perhaps, arrivals, dead, waiting)

    def counters(self):
        """The sums over the worker table: received, delivered, skipped, dead."""
        row = self.database.query("SELECT COALESCE(SUM(received),0), COALESCE(SUM(delivered),0), COALESCE(SUM(skipped),0), COALESCE(SUM(dead),0) "
                                  "FROM mdl_local_integrationhub_worker")[0]
        return dict(zip(("received", "delivered", "skipped", "dead"), map(int, row)))

    def close(self):
        """Ends the fleet and the sink, and removes the queues."""
        self.fleet.close()
        self.sink.close()
        if self.broker.process.alive():
            queues = [name(service) for service in self.services for name in (self.fleet.queue, self.fleet.dead_queue)]
            present = [queue for queue, count in self.rabbit.count(queues).items() if count is not None]
            self.rabbit.delete(*[word for queue in present for word in ("--queue", queue)])


class HubTest(unittest.TestCase):
    """A test with hubs that end with it."""

    def hub(self, **options):
        """A new hub; see Hub."""
        hub = Hub(**options)
        self.addCleanup(hub.close)
        self.addCleanup(self._tell_log, hub)
        return hub

    def loaded(self, processes=2, **options):
        """A hub that works: two services, five wildcard and exact rules, two processes."""
        hub = self.hub(processes=processes, **options)
        fast, slow = hub.service(), hub.service(hub.sink.url + "/wait-20", max_concurrency=32)
        viewed, created = r"\core\event\course_viewed", r"\core\event\user_created"
        for service, name in ((fast, viewed), (fast, r"\mod_quiz\event\*"), (fast, created), (slow, viewed), (slow, r"\core\event\*")):
            hub.rule(service, name)
        return hub.start()

    def _tell_log(self, hub):
        """Shows the fleet's log when the test fails."""
        if failed(self):
            print(guard.tail(hub.fleet.log, 40), flush=True)

    def assert_balanced(self, balance, duplicates=0):
        """Nothing lost, nothing unexpected, at most so many repeats."""
        self.assertEqual([], balance.faults())
        self.assertEqual(set(), balance.waiting)
        self.assertLessEqual(balance.duplicates, duplicates)
