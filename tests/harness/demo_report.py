"""What the demo shows: progress while it works, and the summary at its end."""
import json
import re
import shutil
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
            self.stream.write(text[:max(20, shutil.get_terminal_size((100, 24)).columns - 1)])
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

    `services`: {id: name}; `arrivals`: sink requests (dicts) in order; `published`: {message id: unix ms at which it happened};
    `relayed`: ids of the messages that the relay published out of Moodle's outbox; `replayed`: deliveries of dead letters that were sent again.
    """

    def __init__(self, services, rules, balance, arrivals, published, relayed=(), replayed=()):
        self.services = services
        self.rules = rules
        self.balance = balance
        self.published = published
        self.relayed = relayed
        self.replayed = replayed
        self.first = {}
        for request in arrivals:
            self.first.setdefault(request["id"], request["arrived"])
        self.latency = {service: [] for service in services}
        self.relay_latency = []
        for delivery, arrived in self.first.items():
            happened = account.milliseconds_of(delivery)
            if happened is not None and delivery not in replayed:
                self._add_latency(delivery, max(0.0, arrived * 1000 - happened))
        for values in self.latency.values():
            values.sort()
        self.relay_latency.sort()
        self.all_latency = sorted(self.relay_latency + [value for values in self.latency.values() for value in values])
        self.seconds = self._seconds()

    def _add_latency(self, delivery, milliseconds):
        """What came out of the outbox has waited there on purpose, and is told apart."""
        service = self.rules.service_of.get(account.rule_of(delivery))
        if delivery[:36] in self.relayed:
            self.relay_latency.append(milliseconds)
        elif service in self.latency:
            self.latency[service].append(milliseconds)

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

    def tell(self, say):
        """The summary for people."""
        balance = self.balance
        wanting = len({delivery[:36] for delivery in balance.wanted})
        say("")
        say(f"Published   {len(self.published):>8,} events that reached the broker"
            + (f"; {len(self.relayed):,} of them came out of Moodle's outbox table" if self.relayed else ""))
        say(f"Matched     {wanting:>8,} events by at least one rule: {len(balance.wanted):,} deliveries wanted; "
            "the broker kept the others from the fleet")
        for word, count in (("Delivered", len(balance.delivered)), ("Dead", len(balance.dead)), ("Waiting", len(balance.waiting)),
                            ("Lost", len(balance.lost)), ("Repeated", balance.duplicates)):
            say(f"{word:<12}{count:>8,}"
                + (f", {len(self.replayed):,} of them dead letters that were replayed" if word == "Delivered" and self.replayed else ""))
        say("")
        say(f"{'Service':<22}{'wanted':>8}{'delivered':>11}{'dead':>7}   {'latency p50':>11}{'p95':>10}{'p99':>10}")
        for service, name in self.services.items():
            self._tell_service(say, service, name)
        self._tell_reasons(say)
        say("")
        say(f"Throughput: {self.per_second():,.0f} deliveries a second, over {self.seconds:.1f} s from the first event to the last arrival.")
        say("Latency: from the event to its arrival at the service; a backlog counts, a replay does not.")
        if self.relay_latency:
            say(f"What came out of the outbox is not in these columns: it arrived {_time(account.percentile(self.relay_latency, 0.50))} (p50) to "
                f"{_time(self.relay_latency[-1])} (longest) after the event.")

    def _tell_service(self, say, service, name):
        def of_service(deliveries):
            return sum(1 for delivery in deliveries if self.rules.service_of.get(account.rule_of(delivery)) == service)
        times = [_time(account.percentile(self.latency[service], share)) for share in (0.50, 0.95, 0.99)]
        say(f"{name:<22}{of_service(self.balance.wanted):>8,}{of_service(self.balance.delivered):>11,}{of_service(self.balance.dead):>7,}   "
            f"{times[0]:>11}{times[1]:>10}{times[2]:>10}")

    def _tell_reasons(self, say):
        if not self.balance.dead:
            return
        say("")
        say("Dead letters, kept at the broker with their reason:")
        groups = Counter((self.services.get(self.rules.service_of.get(account.rule_of(delivery)), "?"), re.sub(r"after \d+ ms", "after N ms", reason))
                         for delivery, reason in self.balance.dead.items())
        for (name, reason), count in groups.most_common(12):
            say(f"  {count:>7,}  {name}: {reason}")
        if len(groups) > 12:
            say(f"           and {len(groups) - 12} more reasons")


def _rounded(value):
    return None if value is None else round(value, 1)


def _time(value):
    if value is None:
        return "-"
    return f"{value:,.0f} ms" if value < 10000 else f"{value / 1000:,.1f} s"
