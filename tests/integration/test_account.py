"""The sums by which the demo and the fleet's tests judge: an error in them would hide a loss."""
import json
import unittest

import account
from demo_report import Summary, bar

RULES = account.Rules([
    {"id": 1, "serviceid": 10, "eventname": r"\core\event\user_created"},
    {"id": 2, "serviceid": 20, "eventname": r"\core\event\user_created"},
    {"id": 3, "serviceid": 20, "eventname": r"\mod_quiz\event\*"},
    {"id": 4, "serviceid": 10, "eventname": r"\mod_quiz\event\attempt_submitted"},
])
FIRST = "0190d5a8-7c3b-7000-8000-000000000001"
SECOND = "0190d5a8-7c3c-7000-8000-000000000002"
MS = 0x0190d5a87c3b


def balance(arrivals, dead=None, waiting=(), wanted=(f"{FIRST}:1", f"{FIRST}:2")):
    """A Balance of two wanted deliveries, unless told otherwise."""
    return account.Balance(set(wanted), list(arrivals), dead or {}, waiting)


class Rules(unittest.TestCase):
    """Which rules want an event."""

    def test_an_event_goes_to_every_rule_that_names_it_and_to_wildcards_of_its_component(self):
        for name, wanting in ((r"\core\event\user_created", {1, 2}), (r"\mod_quiz\event\attempt_submitted", {3, 4}),
                              (r"\mod_quiz\event\course_module_viewed", {3}), (r"\mod_quizzes\event\attempt_submitted", set()),
                              (r"\core\event\user_created2", set()), (r"\core\event\*", set())):
            with self.subTest(name):
                self.assertEqual(wanting, set(RULES.wanting(name)))

    def test_the_keys_to_bind_are_those_of_the_broker(self):
        names = {1: r"\core\event\user_created", 3: r"\mod_quiz\event\*"}
        self.assertEqual({(10, "core.user_created"), (20, "mod_quiz.#")}, RULES.keys(names))

    def test_a_delivery_is_wanted_for_each_pair_of_message_and_rule(self):
        messages = [(FIRST, r"\core\event\user_created"), (SECOND, r"\core\event\course_viewed")]
        self.assertEqual({f"{FIRST}:1", f"{FIRST}:2"}, account.wanted_deliveries(RULES, messages))


class Balance(unittest.TestCase):
    """published = delivered + dead + waiting, and what does not add up."""

    def test_all_delivered_is_no_fault(self):
        self.assertEqual([], balance([f"{FIRST}:1", f"{FIRST}:2"]).faults())

    def test_delivered_dead_and_waiting_together_are_no_fault(self):
        wanted = [f"{FIRST}:1", f"{FIRST}:2", f"{SECOND}:1"]
        sums = balance([f"{FIRST}:1"], {f"{FIRST}:2": "HTTP 400"}, [f"{SECOND}:1"], wanted)
        self.assertEqual(([], {f"{SECOND}:1"}, 0), (sums.faults(), sums.waiting, sums.duplicates))

    def test_a_lost_delivery_is_named(self):
        sums = balance([f"{FIRST}:1"])
        self.assertEqual({f"{FIRST}:2"}, sums.lost)
        self.assertEqual([f"1 lost, such as {FIRST}:2"], sums.faults())

    def test_a_repeat_does_not_stand_for_a_lost_one(self):
        sums = balance([f"{FIRST}:1", f"{FIRST}:1"])
        self.assertEqual((1, {f"{FIRST}:2"}), (sums.duplicates, sums.lost))
        self.assertTrue(sums.faults())

    def test_every_further_arrival_is_a_repeat(self):
        self.assertEqual(3, balance([f"{FIRST}:1", f"{FIRST}:2"] + [f"{FIRST}:2"] * 3).duplicates)

    def test_a_delivery_that_nobody_asked_for_is_a_fault(self):
        for arrivals, dead in (([f"{FIRST}:1", f"{FIRST}:2", f"{FIRST}:4"], {}), ([f"{FIRST}:1", f"{FIRST}:2"], {f"{SECOND}:1": "?"}),
                               ([f"{FIRST}:1", f"{FIRST}:2", ""], {})):
            with self.subTest(arrivals=arrivals, dead=dead):
                self.assertEqual(1, len(balance(arrivals, dead).unexpected))
                self.assertIn("no rule asked", balance(arrivals, dead).faults()[0])

    def test_both_delivered_and_dead_is_a_fault(self):
        self.assertIn("both", balance([f"{FIRST}:1", f"{FIRST}:2"], {f"{FIRST}:2": "HTTP 500"}).faults()[0])

    def test_what_has_arrived_waits_no_more(self):
        self.assertEqual(set(), balance([f"{FIRST}:1", f"{FIRST}:2"], waiting=[f"{FIRST}:2"]).waiting)

    def test_a_dead_letter_is_known_by_message_and_rule(self):
        letters = [{"properties": {"message_id": FIRST}, "headers": {"x-mih-rule": 2, "x-mih-reason": "HTTP 400"}},
                   {"properties": {}, "headers": {}}]
        self.assertEqual({f"{FIRST}:2": "HTTP 400", "?:None": "(no reason given)"}, account.dead_letters(letters))
        self.assertIn("no rule asked", balance([f"{FIRST}:1"], account.dead_letters(letters)).faults()[0])


class Figures(unittest.TestCase):
    """Percentiles and rates."""

    def test_percentiles_are_nearest_rank(self):
        hundred = list(range(1, 101))
        for values, share, expected in ((hundred, 0.50, 50), (hundred, 0.95, 95), (hundred, 0.99, 99), ([7], 0.99, 7), ([1, 2], 0.5, 1),
                                        ([1, 2, 3], 0.5, 2), ([], 0.5, None)):
            with self.subTest(values=len(values), share=share):
                self.assertEqual(expected, account.percentile(values, share))

    def test_the_time_is_read_from_the_id(self):
        self.assertEqual(MS, account.milliseconds_of(f"{FIRST}:1"))
        for delivery in ("", ":1", "garbage:1", FIRST.replace("-7000", "-4000") + ":1"):
            self.assertIsNone(account.milliseconds_of(delivery), delivery)

    def test_the_bar_is_never_longer_than_itself(self):
        self.assertEqual(["[----]", "[##--]", "[####]", "[####]", "[####]"], [bar(*pair, 4) for pair in ((0, 2), (1, 2), (2, 2), (3, 2), (0, 0))])

    def summary(self, arrivals, relayed=()):
        requests = [{"id": identifier, "arrived": (MS + after) / 1000} for identifier, after in arrivals]
        sums = balance([identifier for identifier, _ in arrivals])
        return Summary({10: "fast", 20: "slow"}, RULES, sums, requests, {FIRST: MS}, relayed)

    def test_latency_is_from_the_event_to_its_first_arrival(self):
        found = json.loads(self.summary([(f"{FIRST}:1", 20), (f"{FIRST}:2", 300), (f"{FIRST}:1", 900)]).as_json())
        self.assertEqual({"published": 1, "wanted": 2, "delivered": 2, "dead": 0, "waiting": 0, "lost": 0, "duplicates": 1,
                          "p50_ms": 20.0, "p99_ms": 300.0, "per_second": round(2 / 0.3, 1)}, found)

    def test_the_outbox_counts_in_all_figures_and_is_told_apart_from_the_services(self):
        summary = self.summary([(f"{FIRST}:1", 5000), (f"{FIRST}:2", 5100)], {FIRST})
        self.assertEqual(5100.0, json.loads(summary.as_json())["p99_ms"])
        lines = []
        summary.tell(lines.append)
        text = "\n".join(lines)
        self.assertRegex(text, r"fast +1 +1 +0 +- +- +-\n")
        self.assertIn("arrived 5,000 ms (p50) to 5,100 ms (longest)", text)

    def test_an_arrival_without_a_proper_id_is_a_fault_and_no_crash(self):
        summary = self.summary([(f"{FIRST}:1", 20), (f"{FIRST}:2", 30), ("", 40), ("x:y", 50), ("x:1", 50)])
        self.assertIn("3 delivered or dead though no rule asked", summary.balance.faults()[0])
        self.assertIn('"p99_ms": 30', summary.as_json())


if __name__ == "__main__":
    unittest.main()
