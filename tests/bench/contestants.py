"""The clients that are measured: how each is filled up and started.

A contestant has a key (for --only and the ratios), a title, how many processes send, how many requests those have in flight at most, and how many
messages it gets when the service answers at once, as a part of --messages.  The slow services get as many as `at_once` allows in a few seconds.
"""
import os

import fleet
import guard
from lab import EVENT, EVENTS, HERE, QUEUE, ROOT, SERVICE, run
from services import MariaDB

PYTHON = "/usr/bin/python3"     # Debian's, for which the packages are
CONCURRENCY = 64
PREFETCH = 500

# Renders about 300 bytes of JSON; the alternatives build the same object by hand.
TEMPLATE = ('{"event":"{{eventname}}","action":"{{action}}","target":"{{target}}","component":"{{component}}","objectid":{{objectid}},'
            '"course":{{courseid}},"user":{{userid}},"relateduser":{{relateduserid}},"context":{{contextid}},'
            '"status":"{{other.submissionstatus}}","attempt":{{other.submissionattempt}},"words":{{other.onlinetextwordcount}},'
            '"time":{{timecreated}}}')


class Contestant:
    """One client.  Subclasses give `start` and, where needed, `prepare` (once) and `preload`."""

    share = 1.0
    surplus = 0     # messages beyond the timed ones for each process, as many as it prefetches: so that none runs dry before the clock stops
    queue = QUEUE
    classic = False

    def __init__(self, key, title, processes, at_once):
        self.key = key
        self.title = title
        self.processes = processes
        self.at_once = at_once

    def messages(self, base, delay, seconds):
        """How many messages are timed: at a slow service a whole number of times what it has in flight."""
        return int(base * self.share) if delay == 0 else self.at_once * int(seconds * 1000 / delay)

    def prepare(self, lab):
        """What must be there before the first run."""

    def preload(self, lab, messages):
        """Fills its queue."""
        lab.preload(messages, self.queue, self.classic)

    def start(self, lab, delay):
        """Starts it; returns its processes (guard.Process)."""
        raise NotImplementedError


class Workers(Contestant):
    """The thing itself: mih-worker with a database, one service and one rule with a template."""

    surplus = PREFETCH
    database = None     # one server and one account for both sizes of the fleet
    account = None

    def __init__(self, processes):
        super().__init__(f"fleet{processes}", f"fleet, {processes} process{'es' * (processes > 1)}", processes, CONCURRENCY * processes)

    def prepare(self, lab):
        if Workers.account is not None:
            return
        database = Workers.database = MariaDB()
        database.load(os.path.join(ROOT, "schema.sql"))
        fleet.insert(database, "svc", [{"id": SERVICE, "name": "bench", "type": "rest", "base_url": lab.sink.url, "auth_type": "bearer",
                                        "auth_token": "", "timeout": 60, "max_concurrency": CONCURRENCY, "enabled": 1}])
        fleet.add_rule(database, eventname=EVENT, serviceid=SERVICE, endpoint="/0", http_method="POST", payload_template=TEMPLATE, enabled=1)
        Workers.account = fleet.Account(database)

    def start(self, lab, delay):
        Workers.database.query(f"UPDATE mdl_local_integrationhub_rules SET endpoint = '/{delay}'")
        workers = fleet.Fleet(lab.broker.url, Workers.database, Workers.account, self.processes, name=self.key)
        workers.session = False
        return [workers.start().process]


class Bare(Contestant):
    """The limit: the bare loop in C, one program per process."""

    surplus = PREFETCH

    def __init__(self, processes):
        super().__init__(f"bare{processes}", f"bare C loop, {processes} process{'es' * (processes > 1)}", processes, CONCURRENCY * processes)

    def start(self, lab, delay):
        argv = [fleet.program("mih-bench-bare"), "--url", lab.broker.url, "--queue", self.queue, "--sink", f"{lab.sink.url}/{delay}",
                "--connections", CONCURRENCY, "--prefetch", PREFETCH]
        return [guard.Process(argv, lab.log(self.key), session=False) for _ in range(self.processes)]


class Node(Contestant):
    """Node.js with amqplib and undici."""

    surplus = PREFETCH

    def __init__(self, processes):
        super().__init__(f"node{processes}", f"Node.js, {processes} process{'es' * (processes > 1)}", processes, CONCURRENCY * processes)

    def prepare(self, lab):
        if not os.path.isdir(os.path.join(HERE, "node", "node_modules")):
            run(["npm", "ci", "--no-audit", "--no-fund"], cwd=os.path.join(HERE, "node"))

    def start(self, lab, delay):
        argv = ["node", os.path.join(HERE, "node", "consumer.mjs"), lab.broker.url, self.queue, f"{lab.sink.url}/{delay}"]
        return [guard.Process(argv, lab.log(self.key), session=False) for _ in range(self.processes)]


class Symfony(Contestant):
    """Symfony Messenger, one message at a time.  It fetches with basic.get, which costs a quorum queue a round of its log each time: so it also
    gets the classic queue that it is at its best with."""

    def __init__(self, classic):
        super().__init__("symfonyclassic" if classic else "symfony", f"Symfony Messenger{', classic queue' * classic}", 1, 1)
        self.classic = classic
        self.share = 0.15 if classic else 0.04
        self.queue = "bench.classic" if classic else QUEUE

    def start(self, lab, delay):
        argv = ["php", os.path.join(HERE, "symfony", "worker.php"), lab.broker.url, self.queue, f"{lab.sink.url}/{delay}"]
        return [guard.Process(argv, lab.log(self.key), session=False)]


class Celery(Contestant):
    """Celery with its default pool: as many child processes as there are cores, each with one task at a time."""

    share = 0.08
    queue = "bench.celery"

    def __init__(self):
        cores = len(os.sched_getaffinity(0))
        super().__init__("celery", f"Celery, prefork {cores}", cores, cores)
        self.folder = os.path.join(HERE, "celery")

    def _environment(self, lab, delay):
        return dict(os.environ, BENCH_BROKER=lab.broker.url, BENCH_SINK=f"{lab.sink.url}/{delay}", PYTHONDONTWRITEBYTECODE="1")

    def preload(self, lab, messages):
        with open(EVENTS, encoding="utf-8") as stream:
            wanted = "".join(line for line in stream if EVENT.replace("\\", "\\\\") in line)
        run([PYTHON, "tasks.py", messages], cwd=self.folder, env=self._environment(lab, 0), input=wanted, stdin=None)

    def start(self, lab, delay):
        argv = [PYTHON, "-W", "ignore", "-m", "celery", "-A", "tasks", "worker", "--concurrency", self.processes, "--loglevel", "warning"]
        return [guard.Process(argv, lab.log(self.key), env=self._environment(lab, delay), cwd=self.folder, session=False)]


ALL = [Workers(1), Bare(1), Workers(2), Bare(2), Node(1), Node(2), Symfony(False), Symfony(True), Celery()]
