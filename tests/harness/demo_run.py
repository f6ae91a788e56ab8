"""One run of the demo: its servers, its fleet, and the counts of what became of every event.

Demo publishes the recorded events of tests/data; demo_moodle.py derives from it the run with a real Moodle.  The sums come from outside of the fleet:
what was published, what the services received, what lies in the broker's queues.
"""
import json
import os
import shlex
import time

import account
import fleet
import guard
import moodle_tables
from demo_report import Summary, bar
from mailbox import Mailbox
from rabbit import Rabbit
from services import MariaDB, RabbitMQ, free_port, wait_until
from sink import Sink
from soap import SoapServer

DATA = os.path.join(fleet.TOP, "tests", "data", "moodle-events.jsonl")
STALL_SECONDS = 60
OUTBOX_ROWS = 50
CHAT_DOWN_SECONDS = 6
REPLAY_RATE = 1000
BREAKER_WORDS = {"open": "open: nothing is sent, its events wait in the broker", "halfopen": "half-open: one request is sent to see",
                 "closed": "closed: its backlog is sent, slowly at first"}
EXCHANGE = "moodle.events"
LIBRARY_QUEUE = "hub.students"    # as in services.json


class Demo:
    """The run with recorded events: schema.sql in place of a Moodle, and a publisher in place of its users."""

    may_repeat = False          # nothing is broken on purpose, so nothing may come twice

    def __init__(self, options, screen):
        self.options = options
        self.screen = screen
        self.arrivals = []      # requests at the services, in order
        self.expected = 0       # deliveries that the events ask for
        self.outbox = {}        # message id -> (event name, ms): rows inserted as Moodle leaves them
        self.publication = None
        self.chat_state, self.chat_down = "closed", time.monotonic()
        self.replayed = set()   # deliveries of dead letters that were sent again

    # ---- setting up ----

    def start(self):
        """Servers, tables, services, rules, fleet: everything but the events."""
        self.start_servers()
        self.load_tables()
        self.start_fleet()

    def start_servers(self):
        """Broker, database, sink."""
        started = time.monotonic()
        self.folder = guard.folder("mih-demo-")
        self.broker = RabbitMQ()
        self.database = MariaDB()
        self.sink = Sink()
        self.rabbit = Rabbit(fleet.program("mih-test-rabbit"), self.broker.url)
        self.chat, self.chat_port = None, free_port()
        library = self.broker.add_vhost("library")
        # The same as the hub declares: who comes first does not matter, and so the consumer is there before the first message.
        Rabbit(self.rabbit.program, library).declare("--queue", LIBRARY_QUEUE, "--argument", "x-dead-letter-exchange=", "--argument",
                                                     "x-dead-letter-routing-key=hub.rejected")
        self.mailbox = Mailbox(self.rabbit.program, library, LIBRARY_QUEUE)
        self.registry = SoapServer()
        self.places = {"{library}": library, "{registry}": self.registry.url, "{sink}": self.sink.url, "{down}": f"http://127.0.0.1:{self.chat_port}",
                       "{token}": "demo-" + os.urandom(8).hex()}
        self.screen.say(f"Started RabbitMQ, MariaDB and the services ({time.monotonic() - started:.0f} s): campus-gateway answers at once, "
                        "learning-analytics takes 200 ms, old-portal refuses everything, class-chat is down at first, library is a "
                        "queue of the broker, student-registry a SOAP service in PHP.")

    def load_tables(self):
        """schema.sql, the people and courses of the recording, the services and rules of tests/demo, and the fleet's database user."""
        self.database.load(os.path.join(fleet.TOP, "schema.sql"))
        moodle_tables.load(self.database)
        ids = {}
        for service in read_demo("services.json", self.places):
            ids[service["name"]] = fleet.add_service(self.database, **service)
        rows = []
        for rule in read_demo("rules.json"):
            rule["serviceid"] = ids[rule.pop("service")]
            rule["id"] = fleet.add_rule(self.database, **rule)
            rows.append(rule)
        self.take_rules(ids, rows)
        self.account = fleet.Account(self.database)

    def take_rules(self, ids, rows):
        """Remembers the services ({name: id}) and rules that the sums go by."""
        self.services = {identifier: name for name, identifier in ids.items()}
        self.rules = account.Rules(rows)
        self.keys = self.rules.keys({row["id"]: row["eventname"] for row in rows})

    def start_fleet(self):
        """mih-worker with two processes; returns when every rule is bound at the broker."""
        self.fleet = fleet.Fleet(self.broker.url, self.database, self.account).start()
        self.wait_bound("2 worker processes")

    def wait_bound(self, processes):
        """Waits for the bindings and says so."""
        self.fleet.wait_bound(self.database, self.keys)
        self.chat_down = time.monotonic()
        self.screen.say(f"Started the fleet: {processes}, {len(self.services)} services, {len(self.rules.service_of)} rules.")

    # ---- the events ----

    def play(self):
        """Has the events happen and waits for what becomes of them; returns whether all is done (false: nothing moves any more)."""
        self.screen.say(f"Publishing {self.options.events:,} real Moodle events (from tests/data, each with a new id).")
        self.publish()
        done = self.wait_done() and self.replay()
        self.settle()
        return done

    def publish(self):
        """Starts the publisher; some wanted events go through the outbox instead, as when PHP died before it could publish."""
        rows = min(OUTBOX_ROWS, self.options.events // 10)
        direct = self.options.events - rows
        self.publication = self.rabbit.publish(self.folder, EXCHANGE, DATA, direct, app_id="demo")
        if rows:
            self.fill_outbox(rows)
        names = account.event_names(DATA)
        self.expected = sum(len(self.rules.wanting(names[i % len(names)])) for i in range(direct))
        self.expected += sum(len(self.rules.wanting(name)) for name, _ in self.outbox.values())

    def fill_outbox(self, count):
        """Inserts wanted events as rows of the outbox."""
        with open(DATA, encoding="utf-8") as stream:
            wanted = [(json.loads(line)["eventname"], line.strip()) for line in stream if line.strip()]
        wanted = [(name, body) for name, body in wanted if self.rules.wanting(name)]
        rows = []
        for i in range(count):
            name, body = wanted[i * len(wanted) // count]
            now = int(time.time() * 1000)
            identifier = uuid7(now)
            self.outbox[identifier] = (name, now)
            rows.append({"messageid": identifier, "eventname": name, "payload": body, "timecreated": now // 1000})
        fleet.insert(self.database, "outbox", rows)

    def still_publishing(self):
        """Whether more deliveries may become expected."""
        return self.publication.running()

    # ---- watching ----

    def delivered(self):
        """Takes in what has arrived; returns how many different deliveries there are."""
        fresh = self.sink.new_requests() + (self.chat.new_requests() if self.chat else []) + self.mailbox.new_messages()
        fresh += self.registry.new_requests()
        self.arrivals += [request for request in fresh if request["status"] < 300]
        return len({request["id"] for request in self.arrivals})

    def watch_chat(self):
        """Says what becomes of class-chat's breaker; starts the service some seconds after the breaker has opened."""
        state = self.database.value("SELECT cb.state FROM mdl_local_integrationhub_cb cb JOIN mdl_local_integrationhub_svc s "
                                    "ON s.id = cb.serviceid WHERE s.name = 'class-chat'") or "closed"
        if state != self.chat_state:
            self.screen.say(f"class-chat: breaker {BREAKER_WORDS[state]}")
            self.chat_state = state
        if self.chat is None and state != "closed" and time.monotonic() - self.chat_down > CHAT_DOWN_SECONDS:
            self.chat = Sink(port=self.chat_port)
            self.screen.say("class-chat: the service has come up.")

    def start_chat(self):
        """Where its breaker had no reason to open, class-chat comes up when all else is done."""
        if self.chat is None and time.monotonic() - self.chat_down > 2 * CHAT_DOWN_SECONDS:
            self.chat = Sink(port=self.chat_port)
            self.screen.say("class-chat: the service has come up.")

    def dead_count(self):
        """Dead letters at the broker."""
        counts = self.rabbit.count([self.fleet.dead_queue(service) for service in self.services])
        return sum(count or 0 for count in counts.values())

    def dead_letters(self):
        """{delivery: reason}"""
        return account.dead_letters([message for service in self.services
                                     for message in self.rabbit.drain(self.fleet.dead_queue(service), peek=True)])

    def wait_done(self):
        """Until every wanted delivery has arrived or is a dead letter; gives up when nothing moves for STALL_SECONDS.  Returns whether it is done."""
        moved, before, first = time.monotonic(), None, time.monotonic()
        while True:
            running = self.still_publishing()
            self.watch_chat()
            self.start_chat()
            state = delivered, dead = self.delivered(), self.dead_count()
            if delivered + dead >= self.expected:
                dead = len(self.dead_letters())     # each once: one that came twice must not stand for another
            done = delivered + dead >= self.expected and not running
            seconds = time.monotonic() - first
            self.screen.progress(f"{bar(delivered + dead, self.expected)} {delivered:,} delivered, {dead:,} dead of {self.expected:,} wanted, "
                                 f"{seconds:.0f} s", final=done)
            if done:
                return True
            self.check_fleet()
            if state != before:
                moved, before = time.monotonic(), state
            if time.monotonic() - moved > STALL_SECONDS:
                self.screen.say(f"Nothing has moved for {STALL_SECONDS} s.")
                return False
            time.sleep(0.25)

    def replay(self):
        """Mends the service that refuses everything and has half of its dead letters sent again; returns whether they have arrived."""
        portal = next((service for service, name in self.services.items() if name == "old-portal"), None)
        before = {delivery for delivery in self.dead_letters() if self.rules.service_of.get(account.rule_of(delivery)) == portal}
        limit = len(before) // 2
        if not limit:
            return True
        self.screen.say(f"old-portal: mended. Half of its {len(before):,} dead letters are replayed:")
        self.screen.say(f"  mih-replayer replay --service old-portal --limit {limit} --rate {REPLAY_RATE} --canary")
        read = self.rules_read()
        self.database.query(f"UPDATE mdl_local_integrationhub_svc SET base_url = '{self.sink.url}/fast', timemodified = UNIX_TIMESTAMP() "
                            f"WHERE id = {portal}")
        wait_until(lambda: all(count > read.get(pid, 0) for pid, count in self.rules_read().items()), 20, "the fleet to read the service")
        delivered = self.delivered()
        status, output, errors = guard.run([fleet.program("mih-replayer"), "--config", self.fleet.configuration, "replay", "--service",
                                            "old-portal", "--limit", str(limit), "--rate", str(REPLAY_RATE), "--canary", "--json"])
        if status != 0:
            self.screen.say(f"The replay ended with {status}: {(output + errors).decode(errors='replace').strip()}")
            return False
        wait_until(lambda: self.delivered() >= delivered + limit, STALL_SECONDS, "the replayed dead letters to arrive")
        self.replayed = before - self.dead_letters().keys()
        self.screen.say(f"old-portal: {len(self.replayed):,} replayed and delivered, {len(before) - len(self.replayed):,} left.")
        return True

    def rules_read(self):
        """How often each process has read the rules anew, as its log says."""
        with open(self.fleet.log, encoding="utf-8", errors="replace") as log:
            lines = [line for line in log if 'msg="rules read"' in line]
        return {pid: sum(f"pid={pid} " in line for line in lines) for pid in self.fleet.children()}

    def check_fleet(self):
        """A fleet that has ended ends the demo."""
        if not self.fleet.alive():
            raise self.fleet.failure(f"ended, exit code {self.fleet.process.wait(1)}")

    def settle(self):
        """A repeat would come late: waits until no request has come for a second."""
        quiet = time.monotonic()
        while time.monotonic() - quiet < 1:
            seen = len(self.arrivals)
            self.delivered()
            if len(self.arrivals) != seen:
                quiet = time.monotonic()
            time.sleep(0.1)

    # ---- the sums ----

    def facts(self):
        """What happened, for the sums: see Facts."""
        self.publication.wait()
        left = {row[0] for row in self.database.query("SELECT messageid FROM mdl_local_integrationhub_outbox")}
        facts = Facts()
        for identifier, milliseconds, name, outcome in self.publication.messages():
            if outcome in ("confirmed", "returned"):
                facts.happened[identifier] = name
                facts.published[identifier] = milliseconds
        for identifier, (name, milliseconds) in self.outbox.items():
            facts.happened[identifier] = name
            if identifier in left:
                facts.in_outbox[identifier] = name
            else:
                facts.published[identifier] = milliseconds
                facts.relayed.add(identifier)
        return facts

    def waiting(self, in_outbox):
        """Deliveries still in the service queues, the delay queues or the outbox.  The fleet must have stopped: it holds nothing then."""
        found = account.wanted_deliveries(self.rules, in_outbox.items())
        for service in self.services:
            for message in self.rabbit.drain(self.fleet.queue(service), peek=True):
                properties, rule = message["properties"], message["headers"].get("x-mih-rule")
                rules = [rule] if rule else [wanted for wanted in self.rules.wanting(properties["type"]) if self.rules.service_of[wanted] == service]
                found |= {f"{properties['message_id']}:{wanted}" for wanted in rules}
        names = self.broker.ctl("list_queues", "-p", self.broker.vhost, "name").splitlines()
        for queue in (name for name in names if name.startswith(f"{self.fleet.namespace}.delay.")):
            found |= {f"{message['properties']['message_id']}:{message['headers']['x-mih-rule']}"
                      for message in self.rabbit.drain(queue, peek=True)}
        return found

    def sum_up(self, done):
        """The summary of the run; the fleet is stopped when it is not done, so that what waits can be counted."""
        if not done:
            self.fleet.stop()
            self.delivered()
        facts = self.facts()
        waiting = set() if done else self.waiting(facts.in_outbox)
        wanted = account.wanted_deliveries(self.rules, facts.happened.items())
        balance = account.Balance(wanted, [request["id"] for request in self.arrivals], self.dead_letters(), waiting)
        return Summary(self.services, self.rules, balance, self.arrivals, facts.published, facts.relayed, self.replayed)

    def faults(self, summary, done):
        """What must not be, in words."""
        faults = summary.balance.faults()
        if not self.may_repeat and summary.balance.duplicates:
            faults.append(f"{summary.balance.duplicates} deliveries arrived more than once, though nothing was interrupted")
        if not done:
            faults.append(f"{len(summary.balance.waiting)} deliveries still wait, and nothing moves")
        return faults

    def tell_more(self, say):
        """What a kind of run adds to the summary."""

    def show_payload(self, say):
        """A payload with names, as its service got it."""
        bodies = [request["body"] for request in self.arrivals if '"learner":{' in request.get("body", "")]
        if bodies:
            say(f"\nA payload, as learning-analytics got it:\n  {json.dumps(json.loads(bodies[-1]), ensure_ascii=False)}")

    def how_to_look(self):
        """Lines for --keep: commands to copy."""
        tool = from_here(fleet.program("mih-test-rabbit"))
        queues = " ".join(f"--queue {name(service)}" for service in self.services for name in (self.fleet.queue, self.fleet.dead_queue))
        replayer = f"{from_here(fleet.program('mih-replayer'))} --config {self.fleet.configuration}"
        with_broker = f"MIH_BROKER_URL={self.broker.url} {tool}"    # not exported: it would rule later programs of the shell too
        return [f"  {with_broker} count {queues}",
                f"  {with_broker} drain --peek --queue {self.fleet.dead_queue(max(self.services))} | head -n 3",
                f"  {with_broker} publish --exchange {EXCHANGE} --file {from_here(DATA)} --events 1433",
                f"  {replayer} list --limit 3",
                f"  {replayer} replay --service old-portal --limit 10",
                f"  mariadb --no-defaults --socket={self.database.socket} -u root {self.database.database}",
                "    select id, name, base_url, enabled from mdl_local_integrationhub_svc;",
                "    select id, eventname, endpoint, enabled from mdl_local_integrationhub_rules;",
                "    select pid, received, delivered, skipped, dead from mdl_local_integrationhub_worker;",
                f"  tail -f {self.sink.requests_log}",
                f"  tail -f {self.mailbox.log}",
                f"  tail -f {self.fleet.log}",
                f"  cat {self.fleet.configuration}"]


class Facts:
    """What happened in a run.

    `happened` {message id: event name}: every event that counts; `published` {message id: unix ms}: those that reached the broker;
    `in_outbox` {message id: event name}: those that have not yet; `relayed`: ids of those that the relay published out of the outbox.
    """

    def __init__(self):
        self.happened, self.published, self.in_outbox, self.relayed = {}, {}, {}, set()


def read_demo(name, places=None):
    """A file of tests/demo without its comments, `places` filled in."""
    with open(os.path.join(fleet.TOP, "tests", "demo", name), encoding="utf-8") as stream:
        text = stream.read()
    for place, value in (places or {}).items():
        text = text.replace(place, value)
    return [{key: value for key, value in row.items() if key != "comment"} for row in json.loads(text)]


def uuid7(milliseconds):
    """A version 7 UUID, as the plugin makes them."""
    tail = bytearray(os.urandom(10))
    tail[0] = 0x70 | tail[0] & 0x0F
    tail[2] = 0x80 | tail[2] & 0x3F
    text = f"{milliseconds:012x}{tail.hex()}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def from_here(path):
    """The path as one would type it in the current folder, quoted for the shell."""
    relative = os.path.relpath(path)
    return shlex.quote(path if relative.startswith("..") else relative)
