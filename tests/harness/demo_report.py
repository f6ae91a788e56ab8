"""What the demo shows: progress while it works, and the summary at its end."""
import json
import sys
import time
from collections import Counter

import account


class Screen:
    """Where words go: standard output, or standard error when the summary is JSON.  On a terminal the progress is one line that changes."""

    def __init__(self, json_summary):
        self.stream = sys.stderr if json_summary else sys.stdout
        self.live = self.stream.isatty()
        self._shown = False
        self._last = 0.0

    def say(self, text=""):
        """One line for good."""
        self._clear()
        print(text, file=self.stream, flush=True)

    def progress(self, text, final=False):
        """The state of things: replaces the line on a terminal, else prints it every two seconds."""
        now = time.monotonic()
        if self.live:
            self._clear()
            self.stream.write(text[:118])
            self.stream.flush()
            self._shown = True
        elif final or now - self._last >= 2:
            self._last = now
            print(text, file=self.stream, flush=True)

    def _clear(self):
        if self._shown:
            self.stream.write("\r\033[K")
            self._shown = False


def bar(done, total, width=24):
    """[#####-----]"""
    filled = width if total == 0 else min(width, width * done // total)
    return "[" + "#" * filled + "-" * (width - filled) + "]"


class Summary:
    """The figures of one run.

    `services`: {id: name}; `arrivals`: sink requests (dicts) in order; `published`: {message id: unix ms of the first publication}.
    """

    def __init__(self, services, rules, balance, arrivals, published):
        self.services = services
        self.rules = rules
        self.balance = balance
        self.published = published
        self.first = {}
        for request in arrivals:
            self.first.setdefault(request["id"], request["arrived"])
        self.latency = {service: [] for service in services}
        for delivery, arrived in self.first.items():
            rule = int(delivery.rpartition(":")[2])
            service = rules.service_of.get(rule)
            if service in self.latency:
                self.latency[service].append(max(0.0, arrived * 1000 - account.milliseconds_of(delivery)))
        for values in self.latency.values():
            values.sort()
        self.all_latency = sorted(value for values in self.latency.values() for value in values)
        self.seconds = self._seconds()

    def _seconds(self):
        """From the first publication to the last arrival."""
        if not self.first or not self.published:
            return 0.0
        return max(self.first.values()) - min(self.published.values()) / 1000

    def per_second(self):
        """Deliveries per second over the whole run."""
        return len(self.balance.delivered) / self.seconds if self.seconds > 0 else 0.0

    def as_json(self):
        """One line with the keys that programs read."""
        balance = self.balance
        return json.dumps({
            "published": len(self.published), "wanted": len(balance.wanted), "delivered": len(balance.delivered), "dead": len(balance.dead),
            "waiting": len(balance.waiting), "lost": len(balance.lost), "duplicates": balance.duplicates,
            "p50_ms": _rounded(account.percentile(self.all_latency, 0.50)), "p99_ms": _rounded(account.percentile(self.all_latency, 0.99)),
            "per_second": _rounded(self.per_second())})

    def tell(self, say, relayed):
        """The summary for people."""
        balance = self.balance
        wanting = len({delivery[:36] for delivery in balance.wanted})
        say("")
        say(f"Published   {len(self.published):>8,} events, each confirmed by the broker"
            + (f"; {relayed} of them came out of Moodle's outbox table" if relayed else ""))
        say(f"Matched     {wanting:>8,} of them by at least one rule: {len(balance.wanted):,} deliveries wanted; "
            "the broker kept the others from the fleet")
        say(f"Delivered   {len(balance.delivered):>8,}")
        say(f"Dead        {len(balance.dead):>8,}")
        say(f"Waiting     {len(balance.waiting):>8,}")
        say(f"Lost        {len(balance.lost):>8,}")
        say(f"Repeated    {balance.duplicates:>8,}")
        say("")
        say(f"{'Service':<22}{'wanted':>8}{'delivered':>11}{'dead':>7}   {'latency p50':>11}{'p95':>10}{'p99':>10}")
        for service, name in self.services.items():
            self._tell_service(say, service, name)
        self._tell_reasons(say)
        say("")
        say(f"Throughput: {self.per_second():,.0f} deliveries a second, over {self.seconds:.1f} s from the first publication to the last arrival.")
        say("Latency: from the moment an event was published to its arrival at the service; a backlog counts.")

    def _tell_service(self, say, service, name):
        def of_service(deliveries):
            return sum(1 for delivery in deliveries if self.rules.service_of.get(_rule(delivery)) == service)
        values = self.latency[service]
        times = [account.percentile(values, share) for share in (0.50, 0.95, 0.99)]
        say(f"{name:<22}{of_service(self.balance.wanted):>8,}{len(values):>11,}{of_service(self.balance.dead):>7,}   "
            f"{_time(times[0]):>11}{_time(times[1]):>10}{_time(times[2]):>10}")

    def _tell_reasons(self, say):
        if not self.balance.dead:
            return
        say("")
        say("Dead letters, kept at the broker with their reason:")
        groups = Counter((self.services.get(self.rules.service_of.get(_rule(delivery)), "?"), reason)
                         for delivery, reason in self.balance.dead.items())
        for (name, reason), count in groups.most_common(12):
            say(f"  {count:>7,}  {name}: {reason}")
        if len(groups) > 12:
            say(f"           and {len(groups) - 12} more reasons")


def _rule(delivery):
    rule = delivery.rpartition(":")[2]
    return int(rule) if rule.isdigit() else None


def _rounded(value):
    return None if value is None else round(value, 1)


def _time(value):
    if value is None:
        return "-"
    return f"{value:,.0f} ms" if value < 10000 else f"{value / 1000:,.1f} s"
