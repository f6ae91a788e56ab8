"""Events of real page requests, scripts and tasks on their way to the broker."""
import concurrent.futures
import json
import time

import moodle_site
from services import wait_until

COURSE_VIEWED = r"\core\event\course_viewed"


class Pages(moodle_site.SiteTest):
    """Mode safe, the broker well."""

    def test_a_page_request_arrives_with_exactly_these_properties_and_this_body(self):
        site, world = self.site, self.site.world
        student = site.moodle.login(world["students"][0]["username"], world["password"])
        site.fresh()
        before = int(time.time())
        student.view_course(world["course"])
        [message] = site.wait_published(1, COURSE_VIEWED)
        row = self.log_row(COURSE_VIEWED)
        body = json.loads(message["body"])
        self.assertEqual(list(body), ["eventname", "component", "action", "target", "objecttable", "objectid", "crud", "edulevel", "contextid",
                                      "contextlevel", "contextinstanceid", "userid", "courseid", "relateduserid", "anonymous", "other", "timecreated",
                                      "ip", "origin", "realuserid"])
        self.assertEqual({name: text(body[name]) for name in row}, row)
        self.assertEqual(body["ip"], "127.0.0.1")
        self.assertEqual(body["origin"], "web")
        self.assertIsNone(body["realuserid"])
        self.assertGreaterEqual(body["timecreated"], before)
        properties = message["properties"]
        self.assertRegex(properties.pop("message_id"), "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
        site_id = site.database.value("SELECT value FROM mdl_config_plugins WHERE plugin = 'local_integrationhub' AND name = 'siteid'")
        self.assertEqual(properties, {"type": COURSE_VIEWED, "app_id": site_id, "content_type": "application/json", "delivery_mode": 2,
                                      "timestamp": body["timecreated"]})
        self.assertEqual(message["routing_key"], "core.course_viewed")

    def log_row(self, name):
        """Moodle's own log of the newest event of a name, but for what it stores in a form of its own."""
        columns = ("component", "action", "target", "objecttable", "objectid", "crud", "edulevel", "contextid", "contextlevel", "contextinstanceid",
                   "userid", "courseid", "relateduserid", "anonymous", "timecreated", "origin", "ip", "realuserid")
        sql = (f"SELECT {', '.join(columns)} FROM mdl_logstore_standard_log WHERE eventname = '{name}'"
               .replace("\\", "\\\\") + " ORDER BY id DESC LIMIT 1")
        rows = wait_until(lambda: self.site.database.query(sql), 10, "Moodle's log")
        return dict(zip(columns, rows[0]))

    def test_a_wanted_event_has_its_row_inside_the_transaction_and_none_after_the_confirm(self):
        rows = self.site.probe(events=3, transaction="commit")["outbox"]
        self.assertEqual(len(rows), 3)
        messages = self.site.wait_published(3)
        self.assertEqual([message["properties"]["message_id"] for message in messages], rows)
        self.site.wait_outbox(0)

    def test_a_rolled_back_transaction_publishes_nothing_and_leaves_nothing(self):
        self.assertEqual(len(self.site.probe(events=3, others=1, transaction="rollback")["outbox"]), 3)
        self.assertEqual(self.site.outbox(), [])
        self.site.probe(others=1)
        self.assertEqual([name(message) for message in self.site.wait_published(1)], [moodle_site.OTHER])

    def test_a_script_that_ends_inside_its_transaction_publishes_nothing_and_leaves_nothing(self):
        self.assertEqual(len(self.site.probe(events=2, transaction="die")["outbox"]), 2)
        self.site.probe(others=1)
        self.assertEqual([name(message) for message in self.site.wait_published(1)], [moodle_site.OTHER])
        self.assertEqual(self.site.outbox(), [])

    def test_events_that_no_rule_wants_are_published_and_never_stored(self):
        self.assertEqual(self.site.probe(others=5, transaction="commit")["outbox"], [])
        self.assertEqual(len(self.site.wait_published(5)), 5)

    def test_several_rules_make_one_row_and_one_message(self):
        for endpoint in ("/a", "/b"):
            self.site.moodle.cli("rule", r"--add=\core\event\*", "--service=probe", f"--endpoint={endpoint}")
        self.addCleanup(self.delete_rules, r"\core\event\*")
        self.assertEqual(len(self.site.probe(events=1, transaction="commit")["outbox"]), 1)
        self.site.wait_outbox(0)
        self.assertEqual(len(self.site.published()), 1)

    def delete_rules(self, eventname):
        """Deletes the rules of an event name."""
        for rule in json.loads(self.site.moodle.cli("rule", "--list", "--json")):
            if rule["eventname"] == eventname:
                self.site.moodle.cli("rule", f"--delete={rule['id']}")

    def test_a_new_rule_and_a_deleted_one_take_effect_with_the_next_request(self):
        self.assertEqual(self.site.probe(others=1, transaction="commit")["outbox"], [])
        self.site.moodle.cli("rule", f"--add={moodle_site.OTHER}", "--service=probe")
        self.addCleanup(self.delete_rules, moodle_site.OTHER)
        self.assertEqual(len(self.site.probe(others=1, transaction="commit")["outbox"]), 1)
        self.site.wait_outbox(0)
        self.delete_rules(moodle_site.OTHER)
        self.assertEqual(self.site.probe(others=1, transaction="commit")["outbox"], [])

    def test_d12_no_event_costs_a_database_read_and_a_wanted_one_costs_one_write(self):
        others, events = self.site.probe(others=150), self.site.probe(events=150)
        # The names are read again after two seconds; a slow machine may see that more than once, but never for each event.
        self.assertLess(max(others["reads"], events["reads"]), 10)
        # Moodle's log writes 50 events at a time, of either kind.
        self.assertEqual((others["writes"], events["writes"]), (3, 3 + 150))

    def test_events_raised_while_the_request_shuts_down_arrive(self):
        self.site.probe(events=1, late=1)
        messages = self.site.wait_published(4)
        self.assertEqual(sorted(json.loads(message["body"])["other"]["username"] for message in messages),
                         ["probe 0", "probe 1", "probe 2", "probe 3"])
        self.site.wait_outbox(0)

    def test_one_connection_per_process_is_reused_over_requests(self):
        self.site.probe(events=1)
        self.site.wait_published(1)
        first = self.site.connections()
        pids = {self.site.probe(events=1)["pid"] for _ in range(20)}
        self.site.wait_published(20)
        self.assertEqual(len(pids), 1)
        self.assertEqual(len(first), 1)
        self.assertEqual(self.site.connections(), first)

    def test_a_connection_that_the_broker_closed_is_made_anew_and_nothing_waits(self):
        self.site.probe(events=1)
        self.site.wait_published(1)
        before = self.site.connections()
        self.site.broker.ctl("close_all_connections", "--global", "test")
        self.site.probe(events=2)
        self.assertEqual(len(self.site.wait_published(2)), 2)
        self.site.wait_outbox(0)
        self.assertEqual(self.site.connections() & before, set())


class ManyProcesses(moodle_site.SiteTest):
    """Several PHP processes at once."""

    children = 4

    def test_four_processes_hold_four_connections_at_most_and_lose_nothing(self):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            pids = {answer["pid"] for answer in pool.map(lambda _: self.site.probe(events=5), range(40))}
        messages = self.site.wait_published(200)
        self.assertEqual(len({message["properties"]["message_id"] for message in messages}), 200)
        self.site.wait_outbox(0)
        self.assertLessEqual(len(self.site.connections()), len(pids))
        self.assertGreater(len(self.site.connections()), 0)


class Scripts(moodle_site.SiteTest):
    """Without a page: command line and tasks."""

    def test_a_script_on_the_command_line(self):
        code = ("define('CLI_SCRIPT', true); require('config.php'); for ($i = 0; $i < 300; $i++) { "
                "\\core\\event\\user_loggedin::create(['userid' => 2, 'objectid' => 2, 'other' => ['username' => \"cli $i\"]])->trigger(); } "
                "echo 'done';")
        self.assertEqual(self.site.run_php("-r", code), (0, "done", ""))
        messages = self.site.wait_published(300)
        self.assertEqual([json.loads(message["body"])["other"]["username"] for message in messages], [f"cli {i}" for i in range(300)])
        self.assertEqual(json.loads(messages[0]["body"])["origin"], "cli")
        self.assertEqual(self.site.outbox(), [])

    def test_a_scheduled_task(self):
        self.site.database.query("INSERT INTO mdl_user (auth, confirmed, mnethostid, username, password, firstname, lastname, email, timecreated, "
                                 "firstaccess) SELECT 'email', 0, mnethostid, 'neverconfirmed', '', 'N', 'C', 'n@example.com', 1000, 1000 "
                                 "FROM mdl_user WHERE id = 2")
        status, output, errors = self.site.run_php("admin/cli/scheduled_task.php", r"--execute=\core\task\delete_unconfirmed_users_task")
        self.assertEqual((status, errors), (0, ""), output)
        messages = self.site.published(r"\core\event\user_deleted")
        self.assertEqual([json.loads(message["body"])["other"]["username"] for message in messages], ["neverconfirmed"])


def name(message):
    """The event name of a message."""
    return message["properties"]["type"]


def text(value):
    """A value as the database client prints it."""
    return None if value is None else str(value)
