"""What the plugin costs a Moodle site: microseconds added to a page request and to $event->trigger(), in a real Moodle under php-fpm.

    MOODLE_DIR=... moodle_cost.py [--rounds N] [--requests N] [--json]

Two sites stand side by side on one database server, one without the plugin and one with it.  Requests go to them in turn, one at a time, so
that whatever slows the machine slows both.  The site with the plugin goes through no rule, 1 rule and 5 rules for the event, in mode safe and
direct, round after round.  The broker holds a quorum queue that is bound as the fleet would bind it; no fleet runs, so that it costs nothing here.

A figure counts only when every event that a rule wants was at the broker afterwards and none was left in the outbox.
"""
import argparse
import json
import os
import shutil
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(os.path.dirname(HERE), "harness"))

import fleet                                            # noqa: E402  pylint: disable=wrong-import-position
import guard                                            # noqa: E402  pylint: disable=wrong-import-position
from account import percentile                          # noqa: E402  pylint: disable=wrong-import-position
from moodle import Moodle, MoodleError                  # noqa: E402  pylint: disable=wrong-import-position
from rabbit import Rabbit, RabbitError                  # noqa: E402  pylint: disable=wrong-import-position
from services import MariaDB, RabbitMQ, ServiceError, wait_until   # noqa: E402  pylint: disable=wrong-import-position

CASES = [(mode, rules) for mode in ("safe", "direct") for rules in (0, 1, 5)]
EVENTS_PER_REQUEST = 20
REQUESTS = 15
WARM_UP = 3
CONFIRM_MS = 5000       # a disk that others keep busy must not turn publishing into something else; the user never waits for it
EVENT = r"\core\event\course_viewed"
KEY = "core.course_viewed"
QUEUE = "cost"
BOUND, UNBOUND = "cost.events", "cost.nothing"      # exchanges: with the queue, and without any as where no rule wants the event
# What version 2.0.0 of the PHP-only Integration Hub adds to trigger(), p50, wall and CPU microseconds, by number of rules; measured elsewhere.
PREDECESSOR = {0: (146 - 68, 83 - 53), 1: (1227 - 68, 438 - 53), 5: (2948 - 68, 709 - 53)}


class CostError(Exception):
    """A measurement that does not count."""


TROUBLE = (CostError, MoodleError, ServiceError, RabbitError, guard.GuardError, TimeoutError, OSError)


class Site:
    """One Moodle, with a logged-in student and the measuring script."""

    def __init__(self, tree, database, prefix, plugin):
        self.moodle = Moodle(tree, database, prefix)
        self.moodle.install(plugin=plugin)
        self.world = self.moodle.make_world(students=1)
        shutil.copy(os.path.join(HERE, "moodle_cost.php"), os.path.join(self.moodle.dir, "mihcost.php"))
        self.moodle.serve(children=2)
        student = self.world["students"][0]
        self.browser = self.moodle.login(student["username"], self.world["password"])
        self.script = f"/mihcost.php?course={self.world['course']}&user={student['id']}&n={EVENTS_PER_REQUEST}"

    def cpu(self):
        """CPU nanoseconds that php-fpm's processes have used."""
        used = 0
        for pid in self.moodle.fpm.process.children():
            with open(f"/proc/{pid}/schedstat", encoding="ascii") as stream:
                used += int(stream.read().split()[0])
        return used

    def quiet(self):
        """Waits until PHP does nothing any more (it publishes after the response); returns cpu()."""
        def still():
            before = self.cpu()
            time.sleep(0.002)
            return before if self.cpu() == before else None
        return wait_until(still, 30, "php-fpm to be idle", every=0)

    def request(self, path):
        """(text, wall microseconds, CPU microseconds with what PHP does after the response)."""
        before = self.quiet()
        began = time.perf_counter()
        text = self.browser.get(path)
        wall = (time.perf_counter() - began) * 1e6
        return text, wall, (self.quiet() - before) / 1e3

    def page(self):
        """One course page: raises one event."""
        text, wall, cpu = self.request(f"/course/view.php?id={self.world['course']}")
        if "page-course-view" not in text:
            raise CostError("the course page is no course page")
        return {"wall": wall, "cpu": cpu}

    def triggers(self):
        """One request that raises many events."""
        text, _, cpu = self.request(self.script)
        answer = json.loads(text)
        times = [nanoseconds / 1e3 for nanoseconds in answer["ns"]]
        return {"first": times[0], "times": times[1:], "cpu": answer["cpu"] / len(times), "all": cpu / len(times)}


class Cost:
    """The two sites, the broker, and what was measured: `seen` {(mode, rules) or 'absent': {figure: [values]}}."""

    def __init__(self, tree):
        self.broker = RabbitMQ()
        self.rabbit = Rabbit(fleet.program("mih-test-rabbit"), self.broker.url)
        self.rabbit.declare("--exchange", UNBOUND)
        self.rabbit.declare("--exchange", BOUND, "--queue", QUEUE, "--argument", "x-queue-type=quorum", "--bind", f"{BOUND}:{KEY}")
        database = MariaDB()
        say("installing a Moodle without the plugin")
        self.absent = Site(tree, database, "bare_", False)
        say("installing a Moodle with the plugin")
        self.ours = Site(tree, database, "mdl_", True)
        self.ours.moodle.set_config("exchange", UNBOUND)    # before the broker: nothing may be published to an exchange that is not there
        self.ours.moodle.configure_broker(self.broker.url)
        self.ours.moodle.set_config("confirmbudget", CONFIRM_MS)
        self.ours.moodle.cli("service", "--add=cost", "--url=http://127.0.0.1:9/")
        for _ in range(max(rules for _, rules in CASES)):
            self.ours.moodle.cli("rule", f"--add={EVENT}", "--service=cost")
        rules = json.loads(self.ours.moodle.cli("rule", "--list", "--json"))
        self.rules = sorted(int(rule["id"]) for rule in rules)
        self.enabled = len(self.rules)
        self.seen = {}
        self.pairs = {}

    def switch(self, mode, rules):
        """Brings the site with the plugin into one case."""
        moodle = self.ours.moodle
        moodle.set_config("mode", mode)
        moodle.set_config("exchange", BOUND if rules else UNBOUND)
        for number, identifier in enumerate(self.rules):
            if (number < rules) != (number < self.enabled):
                moodle.cli("rule", f"--{'enable' if number < rules else 'disable'}={identifier}")
        self.enabled = rules
        for _ in range(WARM_UP):
            for site in (self.absent, self.ours):
                site.page()
                site.triggers()
        self.rabbit.purge(QUEUE)

    def measure(self, case, requests):
        """So many pages and measuring scripts on each site, in turn, now this one first and now the other."""
        self.switch(*case)
        for number in range(requests):
            found = {}
            for site in (self.absent, self.ours)[::1 if number % 2 else -1]:
                found[site] = site.page(), site.triggers()
            for key, site in (("absent", self.absent), (case, self.ours)):
                self.add(key, *found[site])
            self.pairs.setdefault(case, []).append(found[self.ours][0]["wall"] - found[self.absent][0]["wall"])
        self.check(case, requests * (1 + EVENTS_PER_REQUEST))

    def add(self, key, page, triggers):
        """Keeps the figures of one page and one measuring script."""
        seen = self.seen.setdefault(key, {name: [] for name in ("page", "page_cpu", "trigger", "first", "cpu", "all_cpu")})
        seen["page"].append(page["wall"])
        seen["page_cpu"].append(page["cpu"])
        seen["trigger"] += triggers["times"]
        seen["first"].append(triggers["first"])
        seen["cpu"].append(triggers["cpu"])
        seen["all_cpu"].append(triggers["all"])

    def check(self, case, events):
        """Every wanted event is at the broker, and the plugin had no reason to spare itself the work."""
        expected = events if case[1] else 0
        arrived = self.rabbit.count([QUEUE])[QUEUE]
        left = int(self.ours.moodle.database.value("SELECT COUNT(*) FROM mdl_local_integrationhub_outbox"))
        if left or arrived != expected:
            raise CostError(f"mode {case[0]}, {case[1]} rules: {arrived} of {expected} events reached the broker, {left} are in the outbox")
        shown = self.ours.moodle.cli("broker", "--show")
        if "last failure: -" not in shown:
            raise CostError(f"mode {case[0]}, {case[1]} rules: the plugin could not publish:\n{shown}")

    def result(self):
        """The figures, in microseconds."""
        rows = [{"mode": "absent", "rules": 0, **figures(self.seen["absent"])}]
        for mode, rules in CASES:
            row = {"mode": mode, "rules": rules, **figures(self.seen[mode, rules])}
            row["page_added_us"], row["page_added_from_us"], row["page_added_to_us"] = median_range(self.pairs[mode, rules])
            row["page_cpu_added_us"] = rounded(row["page_cpu_p50_us"] - rows[0]["page_cpu_p50_us"])
            row["trigger_added_us"] = rounded(row["trigger_p50_us"] - rows[0]["trigger_p50_us"])
            row["trigger_cpu_added_us"] = rounded(row["trigger_cpu_p50_us"] - rows[0]["trigger_cpu_p50_us"])
            row["first_trigger_added_us"] = rounded(row["first_trigger_p50_us"] - rows[0]["first_trigger_p50_us"])
            rows.append(row)
        return {"event": EVENT, "requests": len(self.pairs[CASES[0]]), "rows": rows}


def figures(seen):
    """p50 and p95 of what was seen."""
    out = {}
    for name, key, shares in (("page", "page", (50, 95)), ("page_cpu", "page_cpu", (50,)), ("trigger", "trigger", (50, 95)),
                              ("first_trigger", "first", (50, 95)), ("trigger_cpu", "cpu", (50,)), ("event_cpu", "all_cpu", (50,))):
        for share in shares:
            out[f"{name}_p{share}_us"] = rounded(percentile(sorted(seen[key]), share / 100))
    return out


def rounded(microseconds):
    """A tenth of a microsecond is more than can be told."""
    return round(microseconds, 1)


def median_range(values):
    """The median, and between what the true one lies in 19 of 20 cases (order statistics)."""
    ordered, half = sorted(values), 0.98 * len(values) ** 0.5
    low, high = int(len(values) / 2 - half), int(len(values) / 2 + half)
    return [rounded(value) for value in (percentile(ordered, 0.50), ordered[max(0, low)], ordered[min(len(values) - 1, high)])]


def lines(result):
    """The result for people."""
    yield (f"cost in Moodle of one {result['event']}: {result['requests']} course pages on each of two sites a line, "
           f"and as many scripts with {EVENTS_PER_REQUEST} trigger()")
    yield (f"{'':<18}{'trigger(), us':^24}{'added to trigger(), us':^32}{'predecessor':>14}{'course page, ms':^20}"
           f"{'added to the page, ms':^32}{'CPU':>7}")
    yield (f"{'':<18}{'p50':>8}{'p95':>8}{'first':>8}{'p50':>11}{'first':>10}{'CPU':>11}{'p50, CPU':>14}{'p50':>10}{'p95':>10}"
           f"{'p50 (19 of 20 within)':>32}{'':>7}")
    for row in result["rows"]:
        absent = row["mode"] == "absent"
        title = "plugin absent" if absent else f"{row['mode']}, {row['rules']} rule{'s' * (row['rules'] != 1)}"
        line = (f"{title:<18}{row['trigger_p50_us']:>8,.0f}{row['trigger_p95_us']:>8,.0f}{row['first_trigger_p50_us']:>8,.0f}")
        pages = f"{row['page_p50_us'] / 1000:>10,.1f}{row['page_p95_us'] / 1000:>10,.1f}"
        if absent:
            yield line + " " * 46 + pages
            continue
        before = "{:+,}, {:+,}".format(*PREDECESSOR[row["rules"]])
        spread = "{:+,.1f} ({:+,.1f} to {:+,.1f})".format(*(row[f"page_added_{end}us"] / 1000 for end in ("", "from_", "to_")))
        yield (f"{line}{row['trigger_added_us']:>+11,.0f}{row['first_trigger_added_us']:>+10,.0f}{row['trigger_cpu_added_us']:>+11,.0f}"
               f"{before:>14}{pages}{spread:>32}{row['page_cpu_added_us'] / 1000:>+7,.1f}")
    yield ("first: the first trigger() of a request. Predecessor: what version 2.0.0 of the PHP-only Integration Hub adds, measured elsewhere. "
           "CPU: of trigger(); of the page with the publishing after the response, which the user does not wait for.")


def say(text):
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


def measure(tree, rounds, requests):
    """All cases, round after round; returns the result."""
    cost = Cost(tree)
    for number in range(1, rounds + 1):
        for case in CASES:
            say(f"Moodle, round {number} of {rounds}: mode {case[0]}, rules {case[1]}")
            cost.measure(case, requests)
    return cost.result()


def main():
    """Entry point."""
    parser = argparse.ArgumentParser(prog="moodle_cost.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="times that each case is measured (default 3)")
    parser.add_argument("--requests", type=int, default=REQUESTS, help=f"pages and measuring scripts per case, site and round (default {REQUESTS})")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if options.rounds < 1 or options.requests < 2:
        parser.error("at least one round and two requests")
    if not os.environ.get("MOODLE_DIR"):
        parser.error("MOODLE_DIR must name a folder with Moodle's code")
    try:
        result = measure(os.environ["MOODLE_DIR"], options.rounds, options.requests)
    except TROUBLE as error:
        say(f"moodle_cost.py: {error}")
        return 1
    finally:
        guard.stop()
    print(json.dumps(result) if options.json else "\n".join(lines(result)))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        say("moodle_cost.py: interrupted")
        sys.exit(130)
