"""Who should get what, computed from the rules and the events alone, and what became of it: the sums that the demo and the tests check.

A delivery is the text `message id:rule id`, as in the header webhook-id.
"""
import json
import re

UUID7 = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}:")


def routing_key(eventname):
    r"""\core\event\user_created is core.user_created; the wildcard \mod_quiz\event\* is mod_quiz.#"""
    component, _, name = eventname.lstrip("\\").partition("\\event\\")
    return f"{component}.{'#' if name == '*' else name}".replace("\\", ".")


class Rules:
    """The enabled rules of the enabled services, by event name."""

    def __init__(self, rules):
        """`rules`: dicts with id, serviceid, eventname (disabled ones left out)."""
        self.service_of = {rule["id"]: rule["serviceid"] for rule in rules}
        self._exact = {}
        self._prefixes = []
        for rule in rules:
            name = rule["eventname"]
            if name.endswith("\\*"):
                self._prefixes.append((name[:-1], rule["id"]))
            else:
                self._exact.setdefault(name, []).append(rule["id"])

    def wanting(self, eventname):
        """Ids of the rules that want the event."""
        return self._exact.get(eventname, []) + [rule for prefix, rule in self._prefixes if eventname.startswith(prefix)]

    def keys(self, names):
        """The pairs (service id, routing key) that must be bound; `names` maps rule id to event name."""
        return {(self.service_of[rule], routing_key(name)) for rule, name in names.items()}


def wanted_deliveries(rules, messages):
    """The set of deliveries that (message id, event name) pairs ask for."""
    return {f"{message}:{rule}" for message, name in messages for rule in rules.wanting(name)}


def event_names(path):
    """The event name of each line of an events file."""
    with open(path, encoding="utf-8") as stream:
        return [json.loads(line)["eventname"] for line in stream if line.strip()]


def dead_letters(messages):
    """Deliveries found in dead-letter queues with their reasons: {delivery: reason}.  `messages` as drained."""
    found = {}
    for message in messages:
        identifier = message["properties"].get("message_id", "?")
        rule = message["headers"].get("x-mih-rule")
        found[f"{identifier}:{rule}"] = message["headers"].get("x-mih-reason") or "(no reason given)"
    return found


def percentile(values, share):
    """The value below which `share` (0 to 1) of the sorted values lie, nearest rank; None without values."""
    if not values:
        return None
    rank = max(1, -(-len(values) * share // 1))
    return values[int(rank) - 1]


def rule_of(delivery):
    """The rule's id in a delivery's id, or None."""
    rule = delivery.rpartition(":")[2]
    return int(rule) if rule.isdigit() else None


def milliseconds_of(delivery):
    """The unix milliseconds in the UUIDv7 that a delivery's id begins with; None when it begins with none."""
    match = UUID7.match(delivery)
    return int(match[1] + match[2], 16) if match else None


class Balance:
    """published = delivered + dead + waiting, as sets of deliveries."""

    def __init__(self, wanted, arrivals, dead, waiting=()):
        """`arrivals`: webhook-ids in order of arrival, repeats included; `dead`: {delivery: reason}; `waiting`: deliveries still to come."""
        self.wanted = wanted
        self.delivered = set(arrivals)
        self.duplicates = len(arrivals) - len(self.delivered)
        self.dead = dead
        self.waiting = set(waiting) - self.delivered - set(dead)
        self.lost = wanted - self.delivered - set(dead) - self.waiting
        self.unexpected = (self.delivered | set(dead)) - wanted
        self.both = self.delivered & set(dead)

    def faults(self):
        """What does not add up, in words; empty when all is well."""
        out = []
        for name, deliveries in (("lost", self.lost), ("delivered or dead though no rule asked for them", self.unexpected),
                                 ("both delivered and dead", self.both)):
            if deliveries:
                out.append(f"{len(deliveries)} {name}, such as {min(deliveries)}")
        return out
