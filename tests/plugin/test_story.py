"""The administrator's whole story against a running fleet, all of it in the browser: connect, see it work, see it fail, replay."""
import json
import os
import time

import fleet
import guard
from demo_moodle import SiteFleet
from services import wait_until
from sink import Sink
from test_pages import PageTest

EVENT = r"\core\event\course_viewed"


class Story(PageTest):
    """In the order of the tests' numbers."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        site = cls.site
        cls.sink = Sink()
        account = fleet.Account(site.database, user="mihstory")
        text = site.moodle.cli("worker_config", f"--user={account.user}", "--password-stdin", stdin=account.password + "\n")
        cls.fleet = SiteFleet(site.database, account, text)
        # One process: what it knows of a rule, the fleet knows.
        cls.fleet.environment.update(MIH_STATISTICS_INTERVAL="500ms", MIH_STATISTICS_BACKLOG_INTERVAL="500ms", MIH_WORKER_PROCESSES="1")
        cls.fleet.start()
        cls.addClassCleanup(cls.fleet.close)
        cls.replayer = guard.Process([fleet.program("mih-replayer"), "--config", cls.fleet.configuration], cls.fleet.log + "-replayer",
                                     env=dict(os.environ, **cls.fleet.environment))
        cls.addClassCleanup(cls.replayer.kill9)
        cls.addClassCleanup(cls.sink.close)
        cls.student = site.moodle.login(site.world["students"][0]["username"], site.world["password"])

    def view(self, times=1):
        """The student opens the course."""
        for _ in range(times):
            self.student.view_course(self.site.world["course"])

    def arrived(self, path, count=1):
        """Waits for so many requests to a path; returns them."""
        found = []

        def look():
            found.extend(request for request in self.sink.new_requests() if request["uri"].startswith(path))
            return len(found) >= count
        wait_until(look, 30, f"{count} requests to {path}")
        return found

    def cell(self, column):
        """An expression: what the dashboard says of our service."""
        return f"(document.querySelector('[data-service=receiver] [data-column={column}]')?.innerText ?? '')"

    def dead_letters(self, count):
        """Waits until the index has so many dead letters."""
        table = self.site.moodle.table("dlq")
        wait_until(lambda: int(self.site.database.value(f"SELECT COUNT(*) FROM {table} WHERE state = 'dead'")) == count, 30,
                   f"{count} dead letters")

    def open_rule(self):
        """Opens the form of our rule."""
        self.go("rules", search="course_viewed")
        self.page.click_text("#ih-rules-table th a", "Course viewed", leaves=True)

    def edit_endpoint(self, endpoint, dead=0):
        """Gives our rule another endpoint, and sends tests until one goes there: then the fleet knows."""
        self.open_rule()
        self.page.fill("#id_endpoint", endpoint)
        self.save()
        self.page.wait_text("has been saved")
        self.open_rule()

        def goes_there():
            self.page.click("[data-action=ih-test]")
            self.page.wait("document.querySelector('#ih-test-answer') && !document.querySelector('[data-action=ih-test]').disabled", 40,
                           "the answer to a test")
            return endpoint in self.page.text("#ih-test-answer code")
        wait_until(goes_there, 60, f"a test that goes to {endpoint}", every=0.1)
        self.dead_letters(dead)             # those of the tests are thrown away again

    def test_0_conditions_are_shown_as_rows_and_written_back(self):
        """JSON, the rows it is shown as, the JSON when a row is touched; no rows: it is left to who wrote it."""
        page = self.page
        self.go("rule")
        page.click("[data-region=ih-builder] summary")
        for text, rows, written in (
                ("", [["", "$eq", ""]], ""),
                ('{"courseid": 2}', [["courseid", "$eq", "2"]], '{ "courseid": { "$eq": 2 } }'),
                ('{"a": null, "b": "null"}', [["a", "$eq", "null"], ["b", "$eq", '"null"']], '{ "a": { "$eq": null }, "b": { "$eq": "null" } }'),
                ('{"a": {"$gt": 1, "$lt": 3}}', [["a", "$gt", "1"], ["a", "$lt", "3"]],
                 '{ "$and": [ { "a": { "$gt": 1 } }, { "a": { "$lt": 3 } } ] }'),
                ('{"$or": [{"a": "x"}, {"b": {"$in": [1, "2"]}}]}', [["a", "$eq", "x"], ["b", "$in", '1, "2"']],
                 '{ "$or": [ { "a": { "$eq": "x" } }, { "b": { "$in": [ 1, "2" ] } } ] }'),
                ('{"a": {"$regex": "^[0-9]"}, "b": {"$exist": false}}', [["a", "$regex", "^[0-9]"], ["b", "$exist", "false"]],
                 '{ "a": { "$regex": "^[0-9]" }, "b": { "$exist": false } }'),
                ('{"a": 12345678901234567890}', None, None),
                ('{"$not": {"a": 1}}', None, None),
                ('{"$or": [{"a": 1, "b": 2}]}', None, None),
                ('{"a": ', None, None)):
            page.js(f"(f => {{ f.value = {json.dumps(text)}; f.dispatchEvent(new Event('input', {{bubbles: true}})); }})"
                    "(document.querySelector('#id_filter'))")
            found = page.js("[...document.querySelectorAll('[data-row]')].map(r => [...r.querySelectorAll('[data-part]')].map(e => e.value))")
            self.assertEqual(rows or [], found, text)
            self.assertEqual(rows is None, page.js("document.querySelector('[data-region=ih-builder-byhand]').checkVisibility()"), text)
            if rows:
                page.js("document.querySelector('[data-part=value]').dispatchEvent(new Event('input', {bubbles: true}))")
                self.assertEqual(written, page.value("#id_filter"))
        page.fill("#id_filter", "")

    def test_1_a_service_and_a_rule_are_made_and_become_active(self):
        page = self.page
        self.go("service", type="rest")
        for field, value in (("name", "receiver"), ("base_url", self.sink.url), ("cb_failure_threshold", "2"), ("cb_cooldown", "1")):
            page.fill(f"#id_{field}", value)
        page.choose("#id_auth_type", "none")
        self.save()
        self.go("rule")
        page.fill("#id_eventname", EVENT)
        page.choose("#id_serviceid", page.js("[...document.querySelectorAll('#id_serviceid option')].find(o => "
                                             "o.text.startsWith('receiver (')).value"))
        page.fill("#id_endpoint", "/body/fast/views")
        page.click("[data-region=ih-builder] summary")
        page.fill("[data-row] [data-part=path]", "courseid")
        page.choose("[data-row] [data-part=operator]", "$gte")
        page.fill("[data-row] [data-part=value]", "2")
        page.js("document.querySelector('[data-row] [data-part=value]').dispatchEvent(new Event('input', {bubbles: true}))")
        self.assertEqual('{ "courseid": { "$gte": 2 } }', page.value("#id_filter"))
        self.look("rule-builder")
        self.save()

        def active():
            self.go("rules", search="course_viewed")
            return "Active" in page.text("#ih-rules-table") and "Not active" not in page.text("#ih-rules-table")
        wait_until(active, 60, "an active rule", every=0.5)
        self.assertEqual(0, page.count("[data-next]"))

    def test_2_d22_a_page_view_arrives_and_the_charts_are_drawn_without_a_reload(self):
        page = self.page
        self.go("index", period="1h")
        page.js("window.mihSame = true")
        before = time.time()
        self.view()
        [request] = self.arrived("/body/fast/views")
        print(f"      a page view has arrived {request['arrived'] - before:.2f} s after the student asked for the page")
        page.wait(self.cell("delivered") + " === '1'", 40, "one delivery on the dashboard")
        page.wait("document.querySelector('[data-chart=deliveries][data-drawn] canvas')", 20, "the chart")
        self.assertTrue(page.js("window.mihSame"))
        page.click("[data-chart=deliveries] summary")
        self.assertRegex(page.text("[data-chart=deliveries] table"), r"\b1\b")
        self.look("dashboard")

    def test_3_a_worker_sends_a_test(self):
        page = self.page
        self.open_rule()
        page.click("[data-action=ih-test]")
        page.wait_text("Delivered", "#ih-test-answer", 40)
        self.assertEqual("200", page.text("#ih-test-answer [data-region=status]"))
        self.arrived("/body/fast/views")
        self.look("rule-test")
        self.edit_endpoint("/status-400/no")
        self.assertIn("HTTP 400", page.text("#ih-test-answer"))
        self.look("rule-test-failed")

    def test_4_the_receiver_stops_and_the_backlog_grows_until_it_is_back(self):
        page = self.page
        self.edit_endpoint("/body/fast/views")
        self.go("index", period="1h")
        self.sink.new_requests()
        self.sink.stop()
        self.view(8)
        page.wait(self.cell("breaker") + ".includes('Open')", 60, "an open breaker")
        page.wait("Number(" + self.cell("waiting") + ".split(/\\s/)[0]) >= 1", 60, "a backlog")
        self.look("dashboard-outage")
        self.sink.start()
        self.arrived("/body/fast/views", 8)
        page.wait(self.cell("breaker") + ".includes('Closed') && " + self.cell("waiting") + ".startsWith('0')", 90, "a drained queue")
        self.look("dashboard-recovered")

    def test_5_a_dead_letter_is_replayed_by_the_mended_rule(self):
        page = self.page
        self.edit_endpoint("/status-400/no")
        self.view(3)
        self.dead_letters(3)
        self.go("queue")
        page.wait_text("HTTP 400", "#ih-dead-table")
        self.look("queue")
        page.click("#ih-dead-table tbody th a", leaves=True)
        page.wait_text(EVENT)
        self.assertIn('"courseid"', page.text("[data-region=payload]"))
        self.assertGreater(page.count("#ih-attempts-table tbody tr"), 0)
        self.look("letter")

        self.edit_endpoint("/body/fast/again", dead=3)
        self.sink.new_requests()
        self.go("queue", reason="HTTP 400")
        page.click("[name=actionall][value=replay]", leaves=True)
        self.look("replay-question")
        page.click("#ih-mode-render")
        page.click("#ih-replay-form .btn-primary", leaves=True)
        page.wait_text("will be sent again: 3")
        self.arrived("/body/fast/again", 3)
        page.wait_text("Done", "#ih-replays-table tbody tr:first-child", 40)
        self.dead_letters(0)
        self.look("queue-replayed")
        table = self.site.moodle.table("dlq")
        wait_until(lambda: self.site.database.value(f"SELECT COUNT(*) FROM {table} WHERE state = 'delivered'") == "3", 30, "delivered letters")

    def test_6_one_letter_is_discarded_and_the_trail_says_who_did_it(self):
        page = self.page
        self.edit_endpoint("/status-400/no")
        self.view()
        self.dead_letters(1)
        self.go("queue")
        page.click("#ih-dead-table tbody input[type=checkbox]")
        page.click("[name=action][value=discard]", leaves=True)
        self.look("discard-question")
        page.click("#ih-replay-form .btn-danger", leaves=True)
        page.wait_text("Done", "#ih-replays-table tbody tr:first-child", 40)
        row = page.text("#ih-replays-table tbody tr:first-child")
        self.assertIn("Admin User", row)
        self.assertIn("Discard", row)
        self.dead_letters(0)

    def test_7_sent_events_are_searched_and_one_is_traced(self):
        page = self.page
        self.go("events")
        page.wait_text("HTTP 400", "#ih-log-table")
        self.look("events")
        page.choose("#ih-search-outcome", "delivered")
        page.fill("#ih-search", "/again")
        page.leave(lambda: page.key("Enter"))
        page.wait("location.search.includes('again') && document.querySelectorAll('#ih-log-table tbody tr:not(.emptyrow)').length > 3",
                  what="the tests and three replays")
        page.click("#ih-log-table tbody th a", leaves=True)
        page.wait_text("Delivered after all", "[data-letter]")
        self.assertEqual(2, page.count("#ih-attempts-table tbody tr"), "the attempt that failed, and the replay")
        self.look("trace")

    def test_8_d5_the_script_of_2_0_0_sends_a_letter_again_as_it_was(self):
        self.edit_endpoint("/status-400/no")
        self.view()
        self.dead_letters(1)
        self.edit_endpoint("/body/fast/script", dead=1)
        self.sink.new_requests()
        letter = self.site.database.value(f"SELECT id FROM {self.site.moodle.table('dlq')} WHERE state = 'dead'")
        text = self.site.moodle.cli("replay_dlq", f"--id={letter}")
        self.assertIn("[SUCCESS] Replayed successfully.", text)
        [request] = self.arrived("/body/fast/script")
        self.assertEqual("POST", request["method"])
        self.assertIn(EVENT.replace("\\", "\\\\"), request["body"])
