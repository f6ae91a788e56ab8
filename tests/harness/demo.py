"""./run-demo: real Moodle events through a real broker and the real fleet to three services, and the sums at the end.

Everything is private to the run: servers on free loopback ports, data in temporary folders, and nothing is left when it ends.
"""
import argparse
import json
import os
import subprocess
import sys
import time

import account
import fleet
import guard
from demo_report import Screen, Summary, bar
from rabbit import Rabbit, RabbitError
from services import MariaDB, RabbitMQ, ServiceError, free_port
from sink import Sink

DATA = os.path.join(fleet.TOP, "tests", "data", "moodle-events.jsonl")
DEFAULT_EVENTS = 3 * 1433
STALL_SECONDS = 60
OUTBOX_ROWS = 50
EXCHANGE = "moodle.events"


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(prog="run-demo", description="Runs the hub end to end on real Moodle events: installs what is missing, builds, "
                                     "starts a private RabbitMQ and MariaDB, three services (one answers, one is slow, one is down) and a fleet of two "
                                     "worker processes, publishes, and shows what became of every event.  Exits with 0 only when nothing was lost.")
    parser.add_argument("--events", type=int, default=DEFAULT_EVENTS, metavar="N", help=f"how many events to publish (default {DEFAULT_EVENTS})")
    parser.add_argument("--keep", action="store_true", help="leave everything running and say how to look around")
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object, and only that, on standard output")
    parser.add_argument("--moodle", metavar="DIR", help="use a real Moodle: a folder with its source code")
    options = parser.parse_args()
    if options.events < 1:
        parser.error("--events: at least 1")
    if options.moodle and not os.path.isfile(os.path.join(options.moodle, "version.php")):
        parser.error(f"--moodle: {options.moodle} holds no Moodle (version.php is missing)")
    return options


def build(screen):
    """Compiles the programs; two runs in the same clone take turns."""
    started = time.monotonic()
    folder = guard.folder("mih-build-")
    build_folder = fleet.build_folder()
    script = ('exec 9>"$2/.lock"; flock 9; cmake -S "$1" -B "$2" -G Ninja -DCMAKE_BUILD_TYPE=Release && '
              'ninja -C "$2" mih-worker mih-test-rabbit')
    os.makedirs(build_folder, exist_ok=True)
    process = guard.Process(["bash", "-c", script, "build", fleet.TOP, build_folder], os.path.join(folder, "build.log"))
    if process.wait(1800) != 0:
        raise DemoError("The build failed:\n" + guard.tail(process.log, 60))
    screen.say(f"Built the programs ({time.monotonic() - started:.0f} s).")


class Demo:
    """One run: its servers, its fleet and its counts."""

    def __init__(self, options, screen):
        self.options = options
        self.screen = screen
        self.arrivals = []
        self.outbox = {}        # message id -> (event name, ms): rows inserted as Moodle leaves them
        self.publication = None

    # ---- setting up ----

    def start_servers(self):
        """Broker, database with the tables, sink."""
        started = time.monotonic()
        self.broker = RabbitMQ()
        self.database = MariaDB()
        self.sink = Sink()
        self.rabbit = Rabbit(fleet.program("mih-test-rabbit"), self.broker.url)
        self.folder = guard.folder("mih-demo-")
        self.screen.say(f"Started RabbitMQ, MariaDB and the services ({time.monotonic() - started:.0f} s).")

    def load_tables(self):
        """schema.sql, the three services, the rules of tests/demo, and the fleet's database user."""
        self.database.load(os.path.join(fleet.TOP, "schema.sql"))
        self.load_rules()
        self.account = fleet.Account(self.database)

    def load_rules(self):
        """Services and rules from tests/demo into the hub's tables."""
        places = {"{sink}": self.sink.url, "{down}": f"http://127.0.0.1:{free_port()}", "{token}": "demo-" + os.urandom(8).hex()}
        self.services, ids = {}, {}
        for service in read_demo("services.json", places):
            name = service["name"]
            ids[name] = fleet.add_service(self.database, **service)
            self.services[ids[name]] = name
        names, rows = {}, []
        for rule in read_demo("rules.json", {}):
            rule["serviceid"] = ids[rule.pop("service")]
            rule["id"] = fleet.add_rule(self.database, **rule)
            names[rule["id"]] = rule["eventname"]
            rows.append(rule)
        self.rules = account.Rules(rows)
        self.keys = self.rules.keys(names)

    def start_fleet(self):
        """mih-worker with two processes; returns when every rule is bound at the broker."""
        self.fleet = fleet.Fleet(self.broker.url, self.database, self.account).start()
        self.fleet.wait_bound(self.database, self.keys)
        self.screen.say(f"Started the fleet: 2 worker processes, {len(self.services)} services, {len(self.rules.service_of)} rules.")

    # ---- publishing ----

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

    # ---- watching ----

    def look(self):
        """Takes in what has arrived; returns (deliveries seen, dead letters counted)."""
        self.arrivals += self.sink.new_requests()
        counts = self.rabbit.count([self.fleet.dead_queue(service) for service in self.services])
        return len({request["id"] for request in self.arrivals}), sum(count or 0 for count in counts.values())

    def wait_done(self):
        """Until every wanted delivery has arrived or is a dead letter; gives up when nothing moves for STALL_SECONDS.  Returns whether it is done."""
        moved, before, first = time.monotonic(), None, time.monotonic()
        while True:
            delivered, dead = self.look()
            seconds = time.monotonic() - first
            done = delivered + dead >= self.expected and not self.publication.running()
            self.screen.progress(f"{bar(delivered + dead, self.expected)} {delivered:,} delivered, {dead:,} dead of {self.expected:,} wanted, "
                                 f"{delivered / max(seconds, 0.1):,.0f}/s, {seconds:.0f} s", final=done)
            if done:
                return True
            if (delivered, dead) != before:
                moved, before = time.monotonic(), (delivered, dead)
            if not self.fleet.alive():
                raise self.fleet.failure(f"ended, exit code {self.fleet.process.wait(1)}")
            if time.monotonic() - moved > STALL_SECONDS:
                self.screen.say(f"Nothing has moved for {STALL_SECONDS} s.")
                return False
            time.sleep(0.25)

    def settle(self):
        """A repeat would come late: waits until the service queues are empty and no request comes for a second."""
        quiet = time.monotonic()
        while time.monotonic() - quiet < 1:
            fresh = self.sink.new_requests()
            self.arrivals += fresh
            if fresh:
                quiet = time.monotonic()
            time.sleep(0.1)

    # ---- the sums ----

    def messages(self):
        """Every event that is at the broker or was: (message id, event name, ms)."""
        self.publication.wait()
        left = {row[0] for row in self.database.query("SELECT messageid FROM mdl_local_integrationhub_outbox")}
        direct = [(identifier, name, milliseconds) for identifier, milliseconds, name, outcome in self.publication.messages()
                  if outcome in ("confirmed", "returned")]
        relayed = [(identifier, name, milliseconds) for identifier, (name, milliseconds) in self.outbox.items()]
        return direct, [row for row in relayed if row[0] not in left], [row for row in relayed if row[0] in left]

    def waiting(self, left_in_outbox):
        """Deliveries still in the service queues or the outbox.  The fleet must have stopped, so that nothing is held unacknowledged."""
        found = account.wanted_deliveries(self.rules, [(identifier, name) for identifier, name, _ in left_in_outbox])
        for service in self.services:
            for message in self.rabbit.drain(self.fleet.queue(service), peek=True):
                properties, rule = message["properties"], message["headers"].get("x-mih-rule")
                rules = [rule] if rule else [wanted for wanted in self.rules.wanting(properties["type"]) if self.rules.service_of[wanted] == service]
                found |= {f"{properties['message_id']}:{wanted}" for wanted in rules}
        return found

    def sum_up(self, done):
        """The balance of the run, and its summary."""
        direct, relayed, left = self.messages()
        waiting = set()
        if not done:
            self.fleet.stop()
            self.arrivals += self.sink.new_requests()
            waiting = self.waiting(left)
        dead = {}
        for service in self.services:
            dead.update(account.dead_letters(self.rabbit.drain(self.fleet.dead_queue(service), peek=True)))
        published = {identifier: milliseconds for identifier, _, milliseconds in direct + relayed}
        wanted = account.wanted_deliveries(self.rules, [(identifier, name) for identifier, name, _ in direct + relayed + left])
        balance = account.Balance(wanted, [request["id"] for request in self.arrivals], dead, waiting)
        return balance, Summary(self.services, self.rules, balance, self.arrivals, published), len(relayed)


def read_demo(name, places):
    """A file of tests/demo without its comments, `places` filled in."""
    with open(os.path.join(fleet.TOP, "tests", "demo", name), encoding="utf-8") as stream:
        text = stream.read()
    for place, value in places.items():
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
    """The path as one would type it in the current folder."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def tell_how_to_look(demo, guard_pid):
    """What --keep leaves, with commands to copy."""
    say = demo.screen.say
    tool = from_here(fleet.program("mih-test-rabbit"))
    queues = " ".join(f"--queue {name(service)}" for service in demo.services for name in (demo.fleet.queue, demo.fleet.dead_queue))
    say("")
    say("Everything is still running. To look around:")
    say(f"  export MIH_BROKER_URL={demo.broker.url}")
    say(f"  {tool} count {queues}")
    say(f"  {tool} drain --peek --queue {demo.fleet.dead_queue(list(demo.services)[-1])} | head -n 3")
    say(f"  {tool} publish --exchange {EXCHANGE} --file {from_here(DATA)} --events 1433")
    say(f"  mariadb --no-defaults --socket={demo.database.socket} -u root {demo.database.database}")
    say("    select id, name, base_url, enabled from mdl_local_integrationhub_svc;")
    say("    select id, eventname, endpoint, enabled from mdl_local_integrationhub_rules;")
    say("    select pid, received, delivered, skipped, dead from mdl_local_integrationhub_worker;")
    say(f"  tail -f {demo.sink.requests_log}")
    say(f"  tail -f {demo.fleet.log}")
    say(f"  cat {demo.fleet.configuration}")
    say(f"To stop everything and remove its data:\n  kill {guard_pid}")


def run(options, screen):
    """The whole demo; returns the exit code."""
    build(screen)
    demo = Demo(options, screen)
    demo.start_servers()
    demo.load_tables()
    demo.start_fleet()
    screen.say(f"Publishing {options.events:,} real Moodle events (from tests/data, each with a new id).")
    demo.publish()
    done = demo.wait_done()
    demo.settle()
    balance, summary, relayed = demo.sum_up(done)
    if options.json:
        print(summary.as_json(), flush=True)
    else:
        summary.tell(screen.say, relayed)
    faults = balance.faults()
    if not done:
        faults.append(f"{len(balance.waiting)} deliveries still wait, and nothing moves")
    for fault in faults:
        screen.say(f"FAULT: {fault}")
    if not faults:
        screen.say(f"\nNothing was lost: {len(balance.wanted):,} wanted = {len(balance.delivered):,} delivered + {len(balance.dead):,} dead "
                   f"+ {len(balance.waiting):,} waiting.")
    if options.keep:
        tell_how_to_look(demo, guard.keep())
    return 1 if faults else 0


def main():
    """Entry point; errors that a user can act on are one message, not a trace."""
    options = arguments()
    screen = Screen(options.json)
    try:
        return run(options, screen)
    except (DemoError, ServiceError, RabbitError, guard.GuardError, TimeoutError, subprocess.TimeoutExpired) as error:
        screen.say(f"run-demo: {error}")
        return 1
    except KeyboardInterrupt:
        screen.say("\nInterrupted: stopping everything.")
        return 130


if __name__ == "__main__":
    sys.exit(main())
