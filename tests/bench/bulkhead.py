"""Does a hanging service delay the others?  Three services, each wanting the same 200 events a second; the latency of two of them, in turn with the
third one sound, hanging, and without any events at all.

The latency of an event goes from its publishing (the milliseconds in its id) to the arrival of its request at the sink.  The load is far below what
the fleet can do, so that it is not a backlog that is measured.  Each turn is a fleet of its own with empty queues; the first second does not count.
"""
import json
import os
import statistics
import time

import account
import shared
from services import wait_until

EVENT = "\\core\\event\\course_viewed"
RATE = 200
WARM_S = 2.0
TARGET = 1.2
TURNS = {"sound": "third service sound", "hangs": "third service hangs", "idle": "third service disabled"}


class BulkheadError(Exception):
    """The services that should be sound did not get every event."""


def percentile(latencies, share):
    """In ms, between the whole milliseconds that are noted: what falls into one is taken as spread over it evenly."""
    ordered = sorted(latencies)
    value = account.percentile(ordered, share)
    below = sum(1 for one in ordered if one < value)
    same = sum(1 for one in ordered if one == value)
    return value + (share * len(ordered) - below) / same


class Bulkhead:
    """The fleet with its three services; `turn` measures once."""

    def __init__(self, lab, seconds):
        self.seconds = seconds
        self.hub = shared.Hub(broker=lab.broker, processes=2)
        self.sound = [self.hub.service(timeout=60) for _ in range(2)]
        self.third = self.hub.service(timeout=60, cb_failure_threshold=999)
        self.rules = {self.hub.rule(service, EVENT) for service in self.sound}
        self.hub.rule(self.third, EVENT)
        self.events = os.path.join(self.hub.folder, "viewed.jsonl")
        with open(shared.DATA, encoding="utf-8") as source, open(self.events, "w", encoding="utf-8") as target:
            target.writelines(line for line in source if json.loads(line)["eventname"] == EVENT)

    def turn(self, kind):
        """Runs a fleet under the steady load; returns {"p50", "p99"} of the two sound services in ms."""
        hub = self.hub
        hub.forget()
        where = hub.sink.url + ("/wait-300000" if kind == "hangs" else "/fast")
        hub.database.query(f"UPDATE mdl_local_integrationhub_svc SET base_url = '{where}', enabled = {int(kind != 'idle')} WHERE id = {self.third}")
        hub.start()
        wait_until(lambda: all(hub.rabbit.consumers(hub.fleet.queue(service)) == 2 for service in self.sound), 30, "the consumers")
        try:
            began = time.time()
            hub.publish(int(RATE * (self.seconds + WARM_S)), file=self.events, rate=RATE)
            wanted = {delivery for delivery in hub.wanted() if int(delivery.rpartition(":")[2]) in self.rules}
            wait_until(lambda: wanted <= set(hub.delivered()), 30, "every event at the two sound services")
        except TimeoutError as error:
            raise BulkheadError(f"{TURNS[kind]}: {error}") from error
        finally:
            hub.fleet.close()
            queues = [hub.fleet.queue(service) for service in hub.services]
            wait_until(lambda: all(hub.rabbit.consumers(queue) == 0 for queue in queues), 30, "the broker to forget the fleet")
            hub.rabbit.purge(*queues)
        latencies = [round(request["arrived"] * 1000) - account.milliseconds_of(request["id"]) for request in hub.arrivals
                     if request["id"] in wanted and account.milliseconds_of(request["id"]) >= (began + WARM_S) * 1000]
        return {"p50": percentile(latencies, 0.5), "p99": percentile(latencies, 0.99), "events": len(latencies)}


def measure(lab, rounds, seconds, say):
    """All turns, round after round, each time beginning with another; returns {kind: [figures]}."""
    bulkhead = Bulkhead(lab, seconds)
    found = {kind: [] for kind in TURNS}
    for number in range(rounds):
        kinds = list(TURNS)
        for kind in kinds[number % 3:] + kinds[:number % 3]:
            figures = bulkhead.turn(kind)
            found[kind].append(figures)
            say(f"round {number + 1} of {rounds}, {TURNS[kind]:<24} p50 {figures['p50']:6.2f} ms   p99 {figures['p99']:6.2f} ms   "
                f"{figures['events']} requests")
    bulkhead.hub.close()
    return found


def lines(found):
    """The medians and the ratios as text."""
    middle = {kind: {key: statistics.median(run[key] for run in runs) for key in ("p50", "p99")} for kind, runs in found.items()}
    out = [f"{'the two other services':<28}{'p50 ms':>9}{'p99 ms':>9}"]
    out += [f"{TURNS[kind]:<28}{row['p50']:>9.2f}{row['p99']:>9.2f}" for kind, row in middle.items()]
    for other in ("sound", "idle"):
        ratios = [hangs["p99"] / plain["p99"] for hangs, plain in zip(found["hangs"], found[other])]
        ratio = statistics.median(ratios)
        out.append(f"p99 with the third hanging / {TURNS[other]}: {ratio:.2f} (rounds {min(ratios):.2f} to {max(ratios):.2f}), "
                   f"target at most {TARGET}: {'reached' if ratio <= TARGET else 'NOT reached'}")
    return out
