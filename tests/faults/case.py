"""What every case of the fault suite has: hubs full of canary secrets, an eye on their processes, and the sums at the end.

    @case(1, "kill -9 of one worker, again and again", short=True)
    def one_worker(trial):
        hub = trial.loaded()
        ...
        trial.cleared()                         # from here on it should heal
        trial.finish(hub, repeats=128)

`finish` counts: published = delivered + dead + waiting, nothing lost, repeats only as many as the case allows and only with the id of the first try;
no process above 64 MiB; no secret in a log, in a command line or in the headers of a dead letter.  What belongs to parts that do not exist yet is
registered with `later` and listed as such.
"""
import json
import secrets
import threading
import time

import guard
import meter
import shared
from services import wait_until

VIEWED = r"\core\event\course_viewed"
CREATED = r"\core\event\user_created"
MEMORY_MIB = 64
IDLE_CPU = 0.05             # of one core, for a process that can do nothing
SETTLED_S = 5.5             # RabbitMQ 3.10 loses a quorum queue whose broker is killed within moments of its declaration
LINES = 1433                # events in the file of real events
HELD = (16 + 2 * 32) * 4    # deliveries that one process of `loaded` holds at most: two rules of the slow service want the same event

REGISTERED = []


class CaseError(Exception):
    """An invariant does not hold; the message says which and by how much."""


class NotProduced(Exception):
    """The fault did not come about, so that nothing is known of what it does; the message says what was tried."""


class Entry:
    """One registered case; `work` is None for what comes later."""

    def __init__(self, number, fault, work, short=False, why="", seconds=300):
        self.number, self.fault, self.work, self.short, self.why, self.seconds = str(number), fault, work, short, why, seconds


def case(number, fault, short=False, seconds=300):
    """Registers a function as the case with this number of the list of faults; `short`: it is in the short form too."""
    def register(work):
        REGISTERED.append(Entry(number, fault, work, short, seconds=seconds))
        return work
    return register


def later(number, fault, why):
    """Registers a case that cannot be run yet."""
    REGISTERED.append(Entry(number, fault, None, why=why))


def check(holds, text):
    """Raises CaseError unless the condition holds."""
    if not holds:
        raise CaseError(text)


class Watch:
    """Looks at the processes of the trial's fleets all the time: the highest memory of any worker, and secrets in command lines."""

    def __init__(self, trial):
        self.peak_mib = 0.0
        self.told = ""
        self._trial = trial
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._ended.wait(0.2):
            for hub in list(self._trial.hubs):
                if hub.fleet.process is not None:
                    self._look(hub)

    def _look(self, hub):
        try:
            pids = hub.fleet.children()
        except OSError:
            return
        for pid in pids:
            try:
                self.peak_mib = max(self.peak_mib, meter.status_kib(pid, "VmHWM") / 1024)
                with open(f"/proc/{pid}/cmdline", "rb") as stream:
                    line = stream.read().decode(errors="replace")
            except (OSError, StopIteration):
                continue                # it has just ended
            if any(secret in line for secret in self._trial.canaries(hub)):
                self.told = line

    def close(self):
        """Ends it."""
        self._ended.set()
        self._thread.join(5)


class WatchedHub(shared.Hub):
    """A hub whose dead letters are told apart even where no worker of ours wrote them: the broker's own dead-lettering adds no rule."""

    def dead_messages(self):
        """All dead letters, one for each rule of the service when the message names none."""
        found = []
        for service in self.services:
            for message in self.rabbit.drain(self.fleet.dead_queue(service), peek=True):
                rules = [message["headers"].get("x-mih-rule")]
                if rules == [None]:
                    rules = [rule for rule in self.rules.wanting(message["properties"].get("type")) if self.rules.service_of[rule] == service]
                found += [dict(message, headers=dict(message["headers"], **{"x-mih-rule": rule})) for rule in rules]
        return found


class Trial:
    """One run of one case, and its row in the table."""

    def __init__(self, entry, short):
        self.entry = entry
        self.short = short
        self.events = 1000 if short else 5000
        self.hubs = []
        self.notes = []
        self.row = {"number": entry.number, "fault": entry.fault, "events": 0, "delivered": 0, "repeated": 0, "dead": 0, "waiting": 0, "lost": 0,
                    "recovered": None}
        self.token = "canary-" + secrets.token_hex(12)
        self._closing = []
        self._cleared = None
        self._watch = Watch(self)

    # ---- what a case starts with ----

    def also_close(self, thing):
        """Closes it at the end of the case; returns it."""
        self._closing.append(thing.close if hasattr(thing, "close") else thing.stop)
        return thing

    def own(self, kind):
        """A server of the case's own, because it will be hurt."""
        return self.also_close(kind())

    def folder(self):
        """A temporary folder."""
        return guard.folder("mih-fault-")

    def hub(self, **options):
        """A hub, watched and closed at the end."""
        hub = WatchedHub(**options)
        self._closing.append(hub.close)
        self.hubs.append(hub)
        return hub

    def service(self, hub, base_url=None, **columns):
        """A service with a canary as its token."""
        return hub.service(base_url, auth_token=self.token, **columns)

    def loaded(self, processes=2, prepare=None, **options):
        """A hub at work: a fast service and one that answers after 20 ms, wildcard and exact rules.  `prepare(hub)` comes before the start."""
        hub = self.hub(processes=processes, **options)
        fast, slow = self.service(hub), self.service(hub, hub.sink.url + "/wait-20", max_concurrency=32)
        for service, name in ((fast, VIEWED), (fast, r"\mod_quiz\event\*"), (fast, CREATED), (slow, VIEWED), (slow, r"\core\event\*")):
            hub.rule(service, name)
        if prepare:
            prepare(hub)
        return hub.start()

    def settle(self, hub):
        """Waits until the new queues survive a kill of the broker (a fact of RabbitMQ 3.10, not a condition that can be asked)."""
        time.sleep(SETTLED_S)
        check(hub.fleet.alive(), "the fleet has ended")

    def stream(self, hub, seconds=3.0, begun=50):
        """Publishes the case's events in the background, over so many seconds, and waits until the fleet has begun."""
        publication = hub.publish(self.events, wait=False, rate=max(1, int(self.events / seconds)))
        hub.wait_delivered(begun)
        return publication

    def canaries(self, hub):
        """The secrets that must appear nowhere."""
        return (self.token, hub.account.password, hub.broker.password)

    # ---- what it tells ----

    def note(self, text):
        """A remark under the table."""
        self.notes.append(text)

    def cleared(self):
        """The fault is over (or has just struck, for what must go on in spite of it): recovery counts from here."""
        self._cleared = time.time()

    def idle_cpu(self, hub, seconds=5.0):
        """The largest part of one core that any worker uses while nothing can be done."""
        before = meter.cpu_seconds(hub.fleet.children())
        time.sleep(seconds)
        after = meter.cpu_seconds([pid for pid in hub.fleet.children() if pid in before])
        return max(((after[pid] - before[pid]) / seconds for pid in after), default=0.0)

    # ---- the sums ----

    def finish(self, hub, repeats=0, stall=60, waiting=None, dead=None, of=None):
        """Waits until everything is decided and checks every invariant; `waiting` are deliveries that may still lie at the broker, `dead` is how many
        dead letters the case wants (None: none), `of` the service whose first delivery tells the recovery."""
        if waiting is None:
            hub.wait_done(stall=stall)
        balance = hub.balance(waiting or ())
        self.account(hub, balance, of)
        check(not balance.faults(), "; ".join(balance.faults()))
        check(waiting is not None or not balance.waiting, f"{len(balance.waiting)} still wait")
        check(len(balance.dead) == (dead or 0), f"{len(balance.dead)} dead letters, {dead or 0} expected, such as {list(balance.dead.items())[:1]}")
        check(balance.duplicates <= repeats, f"{balance.duplicates} repeats, at most {repeats} allowed, such as {repeated(hub)}")
        self.invariants(hub)
        return balance

    def account(self, hub, balance, of=None):
        """Adds the sums of a hub to the row."""
        self.row["events"] += len(balance.wanted)
        self.row["delivered"] += len(balance.delivered)
        self.row["repeated"] += balance.duplicates
        self.row["dead"] += len(balance.dead)
        self.row["waiting"] += len(balance.waiting)
        self.row["lost"] += len(balance.lost)
        if self._cleared is not None and self.row["recovered"] is None:
            after = [request["at"] for request in hub.arrivals if request["status"] < 300 and request["at"] > self._cleared and
                     (of is None or hub.rules.service_of.get(int(request["id"].rpartition(":")[2])) == of)]
            if after:
                self.row["recovered"] = round(min(after) - self._cleared, 2)

    def invariants(self, hub):
        """Memory and secrets."""
        check(self._watch.peak_mib <= MEMORY_MIB, f"a worker has used {self._watch.peak_mib:.1f} MiB")
        check(not self._watch.told, f"a secret in a command line: {self._watch.told}")
        with open(hub.fleet.log, encoding="utf-8", errors="replace") as stream:
            text = stream.read()
        headers = str([message["headers"] for message in hub.dead_messages()])
        for secret in self.canaries(hub):
            check(secret not in text, "a secret in the log")
            check(secret not in headers, "a secret in the headers of a dead letter")

    @property
    def peak_mib(self):
        """The highest memory of any worker so far."""
        return self._watch.peak_mib

    def close(self):
        """Ends everything the case started, the last first."""
        self._watch.close()
        for close in reversed(self._closing):
            try:
                close()
            except Exception as error:  # pylint: disable=broad-except
                self.note(f"{self.entry.number}: while ending: {error}")


# ---- small things that several cases need ----

def log_of(hub):
    """The whole log of a fleet."""
    with open(hub.fleet.log, encoding="utf-8", errors="replace") as stream:
        return stream.read()


def repeated(hub):
    """A delivery that arrived more than once, with the times and places of its arrivals."""
    seen = {}
    for request in hub.arrivals:
        if request["status"] < 300:
            seen.setdefault(request["id"], []).append(f"{request['at']:.3f} {request['uri']}")
    return next(((identifier, places) for identifier, places in seen.items() if len(places) > 1), None)


def wait_log(hub, text, seconds=30, times=1):
    """Waits until a text stands in the fleet's log so many times."""
    wait_until(lambda: log_of(hub).count(text) >= times, seconds, f"'{text}' in the log of the fleet", every=0.1)


def runs(pid):
    """Whether a process runs (one that has ended and was not collected does not)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def breaker(hub, service, column="state"):
    """A column of a service's breaker."""
    return hub.database.value(f"SELECT {column} FROM mdl_local_integrationhub_cb WHERE serviceid = {service}")


def set_service(hub, service, **columns):
    """Changes a service."""
    sets = ", ".join(f"{name} = {repr(value) if isinstance(value, str) else value}" for name, value in columns.items())
    hub.database.query(f"UPDATE mdl_local_integrationhub_svc SET {sets} WHERE id = {service}")


def reset_breaker(hub, service):
    """What an administrator's reset does."""
    hub.database.query(f"UPDATE mdl_local_integrationhub_cb SET state = 'closed', failure_count = 0, trips = 0 WHERE serviceid = {service}")


def delay_queues(hub):
    """The names of the queues in which retries wait."""
    names = hub.broker.ctl("list_queues", "-p", hub.broker.vhost, "name").splitlines()
    return [name for name in names if name.startswith(f"{hub.fleet.namespace}.delay.")]


def delayed(hub):
    """{deliveries that wait for a retry: milliseconds of their queue}."""
    counts = hub.rabbit.count(delay_queues(hub))
    return {f"{message['properties']['message_id']}:{message['headers'].get('x-mih-rule')}": int(queue.rpartition(".")[2])
            for queue, count in counts.items() if count for message in hub.rabbit.drain(queue, peek=True)}


def event(eventname, **more):
    """The body of an event."""
    return json.dumps({"eventname": eventname, "component": "core", "objectid": 7, "userid": 2, "courseid": 3, "timecreated": 1763800000,
                       "other": None, **more})
