"""What statistics cost: the fleet with two processes at a service that answers at once, with them and without, in turn.

With them means everything: counters and histogram, the log, the backlog, written as often as by default.  After each turn with them what was
counted must be what was delivered, to the last one.
"""
import statistics

import contest
import fleet
from contestants import Workers
from services import wait_until

TARGET = 0.95
TURNS = {"with": "with statistics", "without": "without statistics"}
COUNTED = "SELECT COALESCE(SUM(delivered), 0) FROM mdl_local_integrationhub_stat"


class Counting(Workers):
    """The fleet, with them or without."""

    def __init__(self, kind):
        super().__init__(2)
        self.kind = kind
        self.title = f"fleet, 2 processes, {TURNS[kind]}"

    def start(self, lab, delay):
        Workers.database.query(f"UPDATE mdl_local_integrationhub_rules SET endpoint = '/{delay}'")
        workers = fleet.Fleet(lab.broker.url, Workers.database, Workers.account, self.processes,
                              {"statistics": {"enabled": "yes" if self.kind == "with" else "no"}}, name=self.key)
        workers.session = False
        return [workers.start().process]


def counted():
    """What the table says in all."""
    return int(Workers.database.value(COUNTED))


def turn(lab, contestant, messages):
    """One measurement; a ContestError when what was counted is not what was delivered."""
    before = counted()
    figures = contest.measure(lab, contestant, 0, messages)
    delivered = messages + contestant.surplus * contestant.processes if contestant.kind == "with" else 0
    try:
        wait_until(lambda: counted() - before >= delivered, 10, "the counts")
    except TimeoutError:
        pass
    if counted() - before != delivered:
        raise contest.ContestError(f"{contestant.title}: counted {counted() - before} of {delivered}")
    return figures


def measure(lab, rounds, messages, say):
    """Both, round after round, each time beginning with the other one; returns {kind: [figures]}."""
    both = {kind: Counting(kind) for kind in TURNS}
    both["with"].prepare(lab)
    found = {kind: [] for kind in TURNS}
    for number in range(rounds):
        for kind in list(TURNS)[::1 if number % 2 == 0 else -1]:
            figures = turn(lab, both[kind], messages)
            found[kind].append(figures)
            say(f"round {number + 1} of {rounds}, {TURNS[kind]:<20}{figures['rate']:>10,.0f}/s{figures['cpu']:>9.4f} CPU s/1000"
                f"{figures['memory']:>8.1f} MiB")
    return found


def lines(found):
    """The medians and the ratios as text."""
    out = [f"{'':<22}{'messages/s':>12}{'CPU s/1000':>12}{'MiB':>8}"]
    for kind, runs in found.items():
        rate, cpu, memory = (statistics.median(run[key] for run in runs) for key in ("rate", "cpu", "memory"))
        out.append(f"{TURNS[kind]:<22}{rate:>12,.0f}{cpu:>12.4f}{memory:>8.1f}")
    for key, what in (("rate", "messages/s"), ("cpu", "CPU")):
        ratios = [one[key] / other[key] for one, other in zip(found["with"], found["without"])]
        ratio = statistics.median(ratios)
        text = f"{what}, with / without: {ratio:.3f} (rounds {min(ratios):.3f} to {max(ratios):.3f})"
        if key == "rate":
            text += f", target at least {TARGET}: {'reached' if ratio >= TARGET else 'NOT reached'}"
        out.append(text)
    out.append(f"counts exact in every turn: {sum(run['messages'] for run in found['with']):,} messages and those behind them")
    return out
