"""Filters, and payloads with what Moodle's tables hold: names, courses, activities; with the database at hand, hung, and away."""
import json
import os
import re
import time

import guard
import moodle_tables
import shared
from services import wait_until

VIEWED = r"\mod_forum\event\course_module_viewed"
CREATED = r"\core\event\user_created"
UPDATED = r"\core\event\user_updated"
ALL = json.dumps({
    "actor": ["{{user.firstname}} {{user.lastname}}", "{{user.email}}", "{{user.country}}"],
    "student": "{{relateduser.firstname}}", "number": "{{relateduser.profile.studentid}}", "unset": "{{relateduser.profile.unset}}",
    "course": {"name": "{{course.fullname}}", "category": "{{course.category.name}}", "site": "{{site.fullname}}"},
    "activity": ["{{cm.modname}}", "{{cm.name}}"],
}).replace('"{{user.country}}"', "{{user.country}}").replace('"{{relateduser.profile.unset}}"', "{{relateduser.profile.unset}}")


def event(eventname=VIEWED, **more):
    """The body of an event in forum 1 of course 2."""
    return json.dumps({"eventname": eventname, "component": "mod_forum", "objecttable": "forum", "objectid": 1, "contextlevel": 70,
                       "contextinstanceid": 1, "userid": 2, "relateduserid": None, "courseid": 2, "timecreated": 1763800000, "other": None, **more})


class Enriched(shared.HubTest):
    """A hub whose database has Moodle's tables, and whose worker's user has the rights that deploy/grants.sh gives."""

    def hub(self, **options):
        database = shared.SharedDatabase(f"moodle{time.monotonic_ns()}")
        moodle_tables.load(database)
        database.query("INSERT INTO mdl_user_info_field (id, shortname, name, defaultdata) VALUES (1, 'studentid', 'x', 'none'),"
                       " (2, 'unset', 'y', NULL);"
                       "INSERT INTO mdl_user_info_data (userid, fieldid, data) VALUES (5, 1, 'S-\"5\"')")
        return super().hub(database=PlainSchema(database), **options)

    def bodies(self, hub, count, seconds=30):
        """The bodies of the next requests."""
        hub.wait_delivered(len(hub.arrivals) + count, seconds)
        return [json.loads(request["body"]) for request in hub.arrivals[-count:]]

    def dead(self, hub, count=1):
        """The reasons of the dead letters, when there are so many."""
        wait_until(lambda: hub.dead_count() >= count, 20, f"{count} dead letters")
        return [letter["headers"]["x-mih-reason"] for letter in hub.dead_messages()]


class PlainSchema:
    """A database that has the hub's tables already."""

    def __init__(self, database):
        self.inner = database

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def load(self, path):
        """They are there."""


class Payloads(Enriched):
    """What is inserted."""

    @shared.smoke
    def test_names_come_from_the_tables(self):
        """People, profile fields, course, category, site and activity; who is deleted or unknown is null."""
        hub = self.hub(processes=1)
        hub.rule(hub.service(hub.sink.url + "/body/fast"), VIEWED, "/{{course.shortname}}/{{user.username}}", payload_template=ALL)
        hub.start()
        users = {row["id"]: row for row in moodle_tables.rows("user")}
        courses = {row["id"]: row for row in moodle_tables.rows("course")}
        hub.raw(VIEWED, event(userid="4", relateduserid=5))
        body = self.bodies(hub, 1)[0]
        category = {row["id"]: row["name"] for row in moodle_tables.rows("course_categories")}[courses["2"]["category"]]
        self.assertEqual({
            "actor": [f"{users['4']['firstname']} {users['4']['lastname']}", users["4"]["email"], users["4"]["country"]],
            "student": users["5"]["firstname"], "number": 'S-"5"', "unset": None,
            "course": {"name": courses["2"]["fullname"], "category": category, "site": courses["1"]["fullname"]},
            "activity": ["forum", "forum 1"]}, body)
        self.assertTrue(hub.arrivals[-1]["uri"].endswith(f"/{courses['2']['shortname']}/{users['4']['username']}"), hub.arrivals[-1]["uri"])
        hub.database.query("UPDATE mdl_user SET deleted = 1 WHERE id = 6; DELETE FROM mdl_forum WHERE id = 1")
        hub.raw(VIEWED, event(userid=6, relateduserid=77777, courseid=99999, contextinstanceid=88888))
        body = self.bodies(hub, 1)[0]
        self.assertEqual({"actor": [" ", "", None], "student": "", "number": "", "unset": None, "activity": ["", ""],
                          "course": {"name": "", "category": "", "site": courses["1"]["fullname"]}}, body)
        hub.raw(VIEWED, event(contextlevel=50, userid=0, relateduserid=8))
        body = self.bodies(hub, 1)[0]
        self.assertEqual(([" ", "", None], users["8"]["firstname"], "none", ["", ""]),
                         (body["actor"], body["student"], body["number"], body["activity"]))

    @shared.smoke
    def test_an_event_of_a_change_gets_the_new_values_and_others_the_remembered_ones(self):
        """The cache is never in the way of user_updated."""
        hub = self.hub(processes=1)
        service = hub.service(hub.sink.url + "/body/fast")
        hub.rule(service, VIEWED, payload_template='{"name": "{{user.firstname}}"}')
        hub.rule(service, UPDATED, payload_template='{"name": "{{relateduser.firstname}}"}')
        hub.start()
        hub.raw(VIEWED, event())
        self.assertEqual([{"name": "Admin"}], self.bodies(hub, 1))
        hub.database.query("UPDATE mdl_user SET firstname = 'Second' WHERE id = 2")
        hub.raw(VIEWED, event())
        self.assertEqual([{"name": "Admin"}], self.bodies(hub, 1), "what is remembered serves")
        hub.raw(UPDATED, event(UPDATED, component="core", objecttable="user", objectid=2, relateduserid=2))
        self.assertEqual([{"name": "Second"}], self.bodies(hub, 1), "the event of the change")
        hub.raw(VIEWED, event())
        self.assertEqual([{"name": "Second"}], self.bodies(hub, 1), "what the change brought is remembered")

    def test_what_expires_is_read_anew(self):
        """`[enrichment] expiry`."""
        hub = self.hub(processes=1, settings={"enrichment": {"expiry": "300ms"}})
        hub.rule(hub.service(hub.sink.url + "/body/fast"), VIEWED, payload_template='{"name": "{{course.shortname}}"}')
        hub.start()
        hub.raw(VIEWED, event())
        self.assertEqual([{"name": "STAT101"}], self.bodies(hub, 1))
        hub.database.query("UPDATE mdl_course SET shortname = 'NEW' WHERE id = 2")

        def sees_it():
            hub.raw(VIEWED, event())
            return self.bodies(hub, 1) == [{"name": "NEW"}]
        wait_until(sees_it, 10, "the new name", every=0.1)

    def test_all_real_events_with_a_small_cache(self):
        """More people than the cache holds: every delivery arrives once, with the right name."""
        hub = self.hub(settings={"enrichment": {"cache_entries": 16}})
        hub.rule(hub.service(hub.sink.url + "/body/fast"), r"\core\event\*",
                 payload_template='{"id": {{userid}}, "name": "{{user.firstname}}", "other": "{{relateduser.lastname}}", "r": {{relateduserid}}}')
        hub.start()
        hub.publish(1433)
        hub.wait_done()
        self.assert_balanced(hub.balance())
        users = {int(row["id"]): row for row in moodle_tables.rows("user")}
        for request in hub.arrivals:
            body = json.loads(request["body"])
            user, related = users.get(body["id"] or 0, {}), users.get(body["r"] or 0, {})
            gone = user.get("deleted") == "1", related.get("deleted") == "1"
            self.assertEqual(("" if gone[0] else user.get("firstname", ""), "" if gone[1] else related.get("lastname", "")),
                             (body["name"], body["other"]), body)


class Filters(Enriched):
    """Which events a rule takes."""

    @shared.smoke
    def test_a_filter_takes_some_and_the_others_are_skipped_and_counted(self):
        """Over the event and over what is looked up; the other rule of the message is not touched."""
        hub = self.hub(processes=1)
        service = hub.service(hub.sink.url + "/body/fast")
        for name, condition in (("plain", None), ("event", {"userid": {"$in": [4, 5]}}), ("table", {"user.firstname": "Admin", "courseid": 2}),
                                ("both", {"$or": [{"userid": 4}, {"user": {"username": {"$startsWith": "adm"}}}]})):
            hub.rule(service, VIEWED, payload_template=json.dumps({"rule": name, "user": "{{userid}}"}),
                     filter=condition and json.dumps(condition))
        hub.start()
        for user in (2, "4", 5, 6):
            hub.raw(VIEWED, event(userid=user))
        hub.wait_delivered(9)
        wait_until(lambda: hub.counters()["skipped"] == 7, 15, "the skipped ones in the worker table")
        taken = {name: sorted(int(body["user"]) for body in map(lambda request: json.loads(request["body"]), hub.arrivals) if body["rule"] == name)
                 for name in ("plain", "event", "table", "both")}
        self.assertEqual({"plain": [2, 4, 5, 6], "event": [4, 5], "table": [2], "both": [2, 4]}, taken)
        self.assertEqual(0, hub.dead_count())

    @shared.smoke
    def test_a_filter_that_is_none_makes_dead_letters_that_name_it(self):
        """So does one that takes too long; the other rules go on."""
        hub = self.hub(processes=1)
        service = hub.service(hub.sink.url + "/body/fast")
        bad = hub.rule(service, VIEWED, filter='{"userid": {"$above": 3}}')
        slow = hub.rule(service, VIEWED, filter='{"other.text": {"$regex": "(a+)+[bc]"}}')
        hub.rule(service, VIEWED, payload_template='{"good": 1}', filter='{"courseid": 2}')
        hub.start()
        hub.raw(VIEWED, event(other={"text": "a" * 3000}))
        self.assertEqual([{"good": 1}], self.bodies(hub, 1))
        reasons = sorted(self.dead(hub, 2), key=len, reverse=True)
        self.assertRegex(reasons[0], rf"^policy: filter, line 1, column 13: there is no operator \$above.*rule {bad}, service {service}")
        self.assertRegex(reasons[1], rf"^policy: filter, line 1, column 17: other.text: .*takes too long.*rule {slow}, service {service}")


class Away(Enriched):
    """The database hangs, or is not there. Nothing is sent with values missing, and nobody else waits."""

    PLAIN = 1000

    def setUp(self):
        self.server = shared.server(shared.MariaDB)

    def burst(self, hub, users):
        """Publishes the file of alternating events and returns when all plain ones have arrived: seconds, and the names that came meanwhile."""
        path = os.path.join(hub.folder, "burst.jsonl")
        with open(path, "w", encoding="utf-8") as file:
            for number in range(self.PLAIN):
                file.write(event(userid=users[number % len(users)]) + "\n" + event(CREATED, component="core") + "\n")
        hub.forget()
        began = time.monotonic()
        hub.publish(2 * self.PLAIN, file=path)
        plain = 0
        names = []
        while plain < self.PLAIN:
            if time.monotonic() - began > 60:
                raise TimeoutError(f"{plain} of {self.PLAIN} plain deliveries in 60 s\n{guard.tail(hub.fleet.log)}")
            hub.delivered()
            bodies = [json.loads(request["body"]) for request in hub.arrivals]
            plain = sum(1 for body in bodies if "name" not in body)
            names = [body["name"] for body in bodies if "name" in body]
            time.sleep(0.02)
        return time.monotonic() - began, names

    def test_a_hung_database_holds_what_needs_it_and_nothing_else(self):
        """SIGSTOP, in the same service: plain rules are delivered all the same; the others come, whole, when the database goes on."""
        hub = self.hub(processes=1)
        service = hub.service(hub.sink.url + "/body/fast", max_concurrency=16)
        hub.rule(service, VIEWED, payload_template='{"name": "{{user.firstname}}"}')
        hub.rule(service, CREATED, payload_template='{"plain": 1}')
        hub.start()
        users = {int(row["id"]): row["firstname"] for row in moodle_tables.rows("user") if row["deleted"] == "0"}
        chosen = sorted(users)[:10]
        hub.raw(VIEWED, event(userid=chosen[0]))
        self.assertEqual(users[chosen[0]], self.bodies(hub, 1)[0]["name"])
        self.server.pause()
        try:
            hung, names = self.burst(hub, chosen)
            self.assertLessEqual(set(names), {users[chosen[0]]}, "only what was known, and never nothing")
            self.assertEqual(0, hub.dead_count())
        finally:
            self.server.resume()
        hub.wait_delivered(2 * self.PLAIN, 120)
        names = sorted(body["name"] for body in (json.loads(request["body"]) for request in hub.arrivals) if "name" in body)
        self.assertEqual(sorted(users[chosen[number % 10]] for number in range(self.PLAIN)), names)
        self.assert_balanced(hub.balance())
        self.assertEqual(0, hub.dead_count())
        well, _ = self.burst(hub, chosen)
        print(f"{self.PLAIN} plain deliveries among as many that need names: {hung:.2f} s with the database hung, {well:.2f} s with it at hand")

    def test_what_cannot_be_had_of_one_holds_up_no_others(self):
        """A profile of more than 1 MiB and a kind of activity that the rights do not name: their own messages wait, and the log says why."""
        hub = self.hub(processes=1)
        hub.rule(hub.service(hub.sink.url + "/body/fast"), VIEWED,
                 payload_template='{"name": "{{user.firstname}}", "number": "{{user.profile.studentid}}", "activity": "{{cm.name}}"}')
        hub.database.query("INSERT INTO mdl_user_info_data (userid, fieldid, data) VALUES (6, 1, REPEAT('x', 1100000));"
                           "DROP VIEW mih_mdl_activities; CREATE VIEW mih_mdl_activities AS SELECT 'assign' AS modname, 0 AS id, NULL AS name;"
                           f"GRANT SELECT ON mih_mdl_activities TO '{hub.account.user}'@'127.0.0.1'")
        hub.start()
        users = {row["id"]: row["firstname"] for row in moodle_tables.rows("user")}
        for identifier in (6, 7, 8):
            hub.raw(VIEWED, event(userid=identifier, contextlevel=50))
        hub.raw(VIEWED, event(userid=9))     # in a forum
        found = sorted(body["name"] for body in self.bodies(hub, 2))
        self.assertEqual(sorted([users["7"], users["8"]]), found)
        causes = "reason=\"(the one with id 6 has more than 1 MiB|activities of the type forum came after deploy/grants.sh was run)"
        wait_until(lambda: re.search(causes, guard.tail(hub.fleet.log, 200)), 20, "the warning")
        self.assertNotIn("nothing can be looked up", guard.tail(hub.fleet.log, 500))
        hub.raw(VIEWED, event(userid=5, contextlevel=50))
        self.assertEqual([users["5"]], [body["name"] for body in self.bodies(hub, 1)])
        self.assertEqual(0, hub.dead_count())

    def test_rights_that_are_missing_are_named_and_given_later(self):
        """A worker newer than its grants holds what needs them, says so, and goes on when deploy/grants.sh was run."""
        hub = self.hub(processes=1)
        hub.rule(hub.service(hub.sink.url + "/body/fast"), VIEWED, payload_template='{"name": "{{cm.name}}"}')
        hub.database.query("DROP VIEW mih_mdl_activities; CREATE VIEW mih_mdl_activities AS SELECT 'assign' AS modname, 0 AS id, NULL AS name;"
                           f"GRANT SELECT ON mih_mdl_activities TO '{hub.account.user}'@'127.0.0.1'")
        hub.start()
        hub.raw(VIEWED, event())
        wait_until(lambda: "activities of the type forum came after deploy/grants.sh was run" in guard.tail(hub.fleet.log, 200), 20, "the warning")
        self.assertEqual([], hub.delivered())
        status, output, _ = guard.run([f"{shared.fleet.TOP}/deploy/grants.sh", "--database", hub.database.database, "--user", hub.account.user,
                                       "--host", "127.0.0.1"])
        self.assertEqual(0, status)
        hub.database.query(output.decode(), database="")
        self.assertEqual([{"name": "forum 1"}], self.bodies(hub, 1, 60))
