"""./run-bench: the fleet beside the limit (a bare C loop), the sink alone (wrk), Node.js, Symfony Messenger and Celery, in turn, on one machine.

All take the same 561-byte Moodle events from a preloaded queue and POST about 300 bytes of JSON to the same nginx, which answers at once, after
20 ms or after 200 ms.  Only ratios within one run count.  Timings never decide the exit code: it is 1 only when something failed to do its work.
"""
import argparse
import json
import os
import sys
import time

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bench"))

import bulkhead                                 # noqa: E402  pylint: disable=wrong-import-position
import contest                                  # noqa: E402  pylint: disable=wrong-import-position
import guard                                    # noqa: E402  pylint: disable=wrong-import-position
import meter                                    # noqa: E402  pylint: disable=wrong-import-position
import moodle_cost                              # noqa: E402  pylint: disable=wrong-import-position
import render                                   # noqa: E402  pylint: disable=wrong-import-position
import report                                   # noqa: E402  pylint: disable=wrong-import-position
import soap_calls                               # noqa: E402  pylint: disable=wrong-import-position
import statistics_cost                          # noqa: E402  pylint: disable=wrong-import-position
from contestants import ALL, CONCURRENCY, Workers  # noqa: E402  pylint: disable=wrong-import-position
from lab import HERE, ROOT, Lab                 # noqa: E402  pylint: disable=wrong-import-position
from services import ServiceError               # noqa: E402  pylint: disable=wrong-import-position

KINDS = ("fleet", "bare", "wrk", "node", "symfony", "celery", "flat", "moodle")
TROUBLE = (contest.ContestError, ServiceError, guard.GuardError, RuntimeError, TimeoutError, OSError)
FLAT_MESSAGES = (20_000, 200_000)


def options():
    """The command line."""
    parser = argparse.ArgumentParser(prog="./run-bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round with a quarter of the messages")
    parser.add_argument("--only", metavar="A,B,...", default="", help=f"only these of: {', '.join(KINDS)}")
    parser.add_argument("--messages", type=int, default=60_000, help="messages for the fast ones at the instant service (default 60000)")
    parser.add_argument("--delay", type=int, choices=meter.DELAYS_MS, action="append", help="only this delay of the service in ms")
    parser.add_argument("--rounds", type=int, default=3, help="times that each is measured, in turn (default 3); the median counts")
    parser.add_argument("--flat", action="store_true", help="only the memory of a child at 20,000 and at 200,000 messages")
    parser.add_argument("--bulkhead", action="store_true", help="only whether a hanging service delays the others: p99 with and without it, in turn")
    parser.add_argument("--render", action="store_true", help="only templates rendered per second, beside PHP's way and the bare print of json-c")
    parser.add_argument("--soap", action="store_true", help="only SOAP calls per second beside PHP's SoapClient with a cached WSDL, in turn")
    parser.add_argument("--statistics", action="store_true", help="only what statistics cost the fleet: with them and without, in turn")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"), help="build folder (default build)")
    chosen = parser.parse_args()
    chosen.kinds = chosen.only.split(",") if chosen.only else ["flat"] if chosen.flat else list(KINDS)
    unknown = set(chosen.kinds) - set(KINDS)
    if unknown:
        parser.error(f"--only: no such contestant: {', '.join(sorted(unknown))}")
    if chosen.messages < 1000 or chosen.rounds < 1:
        parser.error("give at least 1000 messages and one round")
    if chosen.quick:
        chosen.rounds, chosen.messages = 1, max(1000, chosen.messages // 4)
    return chosen


def say(text):
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


class Bench:
    """One run: what takes part, what was found, what was left out or failed."""

    def __init__(self, chosen, lab):
        self.chosen = chosen
        self.lab = lab
        self.seconds = 1.5 if chosen.quick else 3.0
        self.runs = {}          # delay -> key -> list of figures
        self.left_out = []
        self.failed = []
        self.flat = {}
        self.moodle = None
        self.titles = {"wrk": f"sink alone (wrk, {CONCURRENCY} connections)", **{one.key: one.title for one in ALL}}
        self.taking_part = [one for one in ALL if one.key.rstrip("12").replace("classic", "") in chosen.kinds]

    def prepare(self):
        """Gets every contestant ready; one that cannot be is left out and named."""
        for one in list(self.taking_part):
            try:
                one.prepare(self.lab)
            except TROUBLE as error:
                self.taking_part.remove(one)
                self.left_out.append(f"{one.title}: {error}")

    def rounds(self):
        """Everything in turn, round after round."""
        if not self.taking_part and "wrk" not in self.chosen.kinds:
            return
        for number in range(1, self.chosen.rounds + 1):
            for delay in self.chosen.delay or meter.DELAYS_MS:
                say(f"round {number} of {self.chosen.rounds}, service answers after {delay} ms")
                for one in self.taking_part:
                    count = one.messages(self.chosen.messages, delay, self.seconds)
                    self._attempt(delay, one.key, contest.measure, self.lab, one, delay, count)
                if "wrk" in self.chosen.kinds:
                    script = os.path.join(HERE, "wrk", "post.lua")
                    self._attempt(delay, "wrk", contest.measure_wrk, self.lab, delay, CONCURRENCY, script)

    def _attempt(self, delay, key, function, *arguments):
        try:
            figures = function(*arguments)
        except TROUBLE as error:
            self.failed.append(f"{self.titles[key]}, {delay} ms: {error}")
            say(f"  {self.titles[key]:<34} FAILED: {error}")
            return
        self.runs.setdefault(delay, {}).setdefault(key, []).append(figures)
        say(f"  {self.titles[key]:<34}{figures['rate']:>10,.0f}/s{figures['cpu']:>9.4f} CPU s/1000{figures['memory']:>8.1f} MiB"
            f"   {figures['messages']:,} messages")

    def memory(self):
        """The memory of one child after few and after many messages."""
        if "flat" not in self.chosen.kinds:
            return
        one = Workers(1)
        try:
            one.prepare(self.lab)
            for count in FLAT_MESSAGES:
                self.flat[count] = contest.measure_memory(self.lab, one, count)
        except TROUBLE as error:
            self.failed.append(f"memory of a child: {error}")

    def page_cost(self):
        """The cost on the Moodle side."""
        if "moodle" not in self.chosen.kinds:
            return
        if not os.environ.get("MOODLE_DIR"):
            self.left_out.append("cost of a page request in Moodle: MOODLE_DIR is not set")
            return
        self.lab.close()        # what is measured has the machine for itself
        try:
            self.moodle = moodle_cost.measure(os.environ["MOODLE_DIR"], 1 if self.chosen.quick else self.chosen.rounds, moodle_cost.REQUESTS)
        except (*TROUBLE, *moodle_cost.TROUBLE) as error:
            self.failed.append(f"cost of a page request in Moodle: {error}")

    def result(self):
        """Everything found, as one object."""
        medians = {delay: {key: report.median(runs) for key, runs in rows.items()} for delay, rows in self.runs.items()}
        found = report.targets(medians) + (report.flat_targets(self.flat) if len(self.flat) == 2 else [])
        return {"results": medians, "memory": self.flat, "moodle": self.moodle, "targets": found, "left_out": self.left_out,
                "failed": self.failed}


def run_bulkhead(chosen):
    """Only the bulkhead; the exit code tells whether the sound services got everything."""
    try:
        lab = Lab(["mih-test-rabbit", "mih-worker"])
        found = bulkhead.measure(lab, chosen.rounds, 5 if chosen.quick else 10, say)
    except (bulkhead.BulkheadError, *TROUBLE) as error:
        say(f"run-bench: {error}")
        return 1
    finally:
        guard.stop()
    print(json.dumps(found) if chosen.json else "\n".join(bulkhead.lines(found)))
    return 0


def run_render(chosen):
    """Only the templates; the exit code tells whether all made the same payloads."""
    try:
        Lab.make(["mih-bench-render"])
        rates = render.measure(os.environ["MIH_BUILD"], chosen.rounds, 0.5 if chosen.quick else 2, say)
    except TROUBLE as error:
        say(f"run-bench: {error}")
        return 1
    print(json.dumps(rates) if chosen.json else "\n".join(render.table(rates, os.environ["MIH_BUILD"])))
    return 0


def run_soap(chosen):
    """Only SOAP; the exit code tells whether every call was answered."""
    try:
        found = soap_calls.measure(os.environ["MIH_BUILD"], chosen.rounds, 2_000 if chosen.quick else 20_000, say)
    except soap_calls.TROUBLE as error:
        say(f"run-bench: {error}")
        return 1
    finally:
        guard.stop()
    print(json.dumps(found) if chosen.json else "\n".join(soap_calls.lines(found)))
    return 0


def run_statistics(chosen):
    """Only the cost of statistics; the exit code tells whether every turn counted exactly what it delivered."""
    try:
        lab = Lab(["mih-bench-preload", "mih-test-rabbit", "mih-worker"])
        found = statistics_cost.measure(lab, chosen.rounds, chosen.messages, say)
    except TROUBLE as error:
        say(f"run-bench: {error}")
        return 1
    finally:
        guard.stop()
    print(json.dumps(found) if chosen.json else "\n".join(statistics_cost.lines(found)))
    return 0


def show(bench, result, seconds):
    """The result for people."""
    for delay, rows in result["results"].items():
        print("\n".join(report.table(delay, rows, bench.titles)) + "\n")
    for count, row in result["memory"].items():
        print(f"memory of a child after {count:>7,} messages: {row['rss']:.1f} MiB, at most {row['peak']:.1f} MiB")
    if result["moodle"]:
        print("\n" + "\n".join(moodle_cost.lines(result["moodle"])))
    if result["targets"]:
        print("\ntargets of DESIGN.md section 11 (rates and CPU as ratios within this run)")
        print("\n".join(report.target_lines(result["targets"])))
    for line in result["left_out"]:
        print(f"left out: {line}")
    for line in result["failed"]:
        print(f"FAILED: {line}")
    if result["results"]:
        print("\n" + report.disturbance(result["results"]))
    print(f"{bench.chosen.rounds} round{'s' * (bench.chosen.rounds > 1)} in {seconds / 60:.1f} minutes; figures are medians; "
          "'x' columns compare messages/s with the same number of processes.")


def main():
    """Runs the benchmark; the exit code tells whether every contestant did its work."""
    chosen = options()
    began = time.monotonic()
    try:
        os.environ["MIH_BUILD"] = os.path.abspath(chosen.build)
        if chosen.bulkhead:
            return run_bulkhead(chosen)
        if chosen.render:
            return run_render(chosen)
        if chosen.statistics:
            return run_statistics(chosen)
        if chosen.soap:
            return run_soap(chosen)
        ours = ["mih-worker"] if {"fleet", "flat"} & set(chosen.kinds) else []
        bench = Bench(chosen, Lab(["mih-bench-preload", "mih-bench-bare", "mih-test-rabbit", *ours]))
        bench.prepare()
        bench.rounds()
        bench.memory()
        bench.page_cost()
    except (ServiceError, guard.GuardError) as error:
        say(f"run-bench: {error}")
        return 1
    finally:
        guard.stop()
    result = bench.result()
    if chosen.json:
        print(json.dumps(result))
    else:
        show(bench, result, time.monotonic() - began)
    return 1 if result["failed"] else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        say("run-bench: interrupted")
        sys.exit(130)
