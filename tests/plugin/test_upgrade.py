"""The plugin in the place of local_integrationhub 2.0.0: the site goes on with what it had."""
import json
import os
import shutil

import moodle_site

TABLES = ("svc", "cb", "log", "rules", "dlq")
HERE = os.path.dirname(os.path.abspath(__file__))
ROWS = """
INSERT INTO mdl_local_integrationhub_svc (id, name, type, base_url, auth_type, auth_token, timeout, max_retries, retry_backoff, cb_failure_threshold,
    cb_cooldown, response_queue, enabled, timecreated, timemodified) VALUES
    (3, 'crm', 'rest', 'https://crm.example/api', 'bearer', 'plain token', 7, 2, 3, 4, 60, NULL, 1, 1700000000, 1700000001),
    (5, 'Cola del ERP', 'amqp', 'amqp://u:p%2Fw@erp.example/v?exchange=x&routing_key=k', 'none', '', 5, 3, 1, 5, 30, 'my.queue', 1, 1700000000, 0),
    (8, 'alumnos', 'soap', 'https://soap.example/a?wsdl', 'apikey', NULL, 5, 3, 1, 5, 30, '', 0, 0, 0);
INSERT INTO mdl_local_integrationhub_cb (id, serviceid, state, failure_count, last_failure, timemodified) VALUES
    (1, 3, 'open', 5, 1700000500, 1700000500), (2, 5, 'closed', 0, NULL, 0), (4, 8, 'halfopen', 2, 1700000400, 1700000600);
INSERT INTO mdl_local_integrationhub_log (id, serviceid, endpoint, http_method, http_status, latency_ms, attempt_count, success, error_message,
    timecreated, direction) VALUES (10, 3, '/users', 'PUT', 500, 31, 4, 0, 'HTTP 500: ñ', 1700000500, 'outbound'),
    (11, 5, 'webhook', 'INBOUND', NULL, NULL, 1, 1, NULL, 1700000600, 'inbound');
INSERT INTO mdl_local_integrationhub_rules (id, eventname, serviceid, endpoint, http_method, payload_template, enabled, timecreated,
    timemodified) VALUES
    (2, '\\\\core\\\\event\\\\user_created', 3, '/users', 'PUT', '{"id": {{objectid}}}', 1, 1700000000, 0),
    (4, '\\\\core\\\\event\\\\user_loggedin', 5, NULL, 'POST', '', 1, 0, 0),
    (6, '\\\\core\\\\event\\\\user_loggedin', 3, '/off', 'POST', NULL, 0, 0, 0);
INSERT INTO mdl_local_integrationhub_dlq (id, eventname, serviceid, payload, error_message, timecreated) VALUES
    (7, '\\\\core\\\\event\\\\user_created', 3, '{"id":9}', 'OPEN', 1700000700);
UPDATE mdl_task_scheduled SET minute = '17', customised = 1 WHERE component = 'local_integrationhub';
"""
DEVELOP = """
ALTER TABLE mdl_local_integrationhub_svc ADD ip_whitelist LONGTEXT, ADD hmac_secret LONGTEXT, ADD hmac_algo VARCHAR(20) NOT NULL DEFAULT 'sha256',
    ADD hmac_header VARCHAR(100) NOT NULL DEFAULT 'X-Hub-Signature-256', ADD rate_limit_requests BIGINT(10) NOT NULL DEFAULT 0,
    ADD rate_limit_window BIGINT(10) NOT NULL DEFAULT 60, ADD payload_schema LONGTEXT;
CREATE TABLE mdl_local_integrationhub_nonce (id BIGINT(10) NOT NULL AUTO_INCREMENT PRIMARY KEY, serviceid BIGINT(10) NOT NULL,
    nonce VARCHAR(64) NOT NULL DEFAULT '', timestamp BIGINT(10) NOT NULL, timecreated BIGINT(10) NOT NULL DEFAULT 0, UNIQUE KEY (serviceid, nonce))
    DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_unicode_ci;
INSERT INTO mdl_local_integrationhub_nonce (serviceid, nonce, timestamp) VALUES (3, 'n', 1);
UPDATE mdl_local_integrationhub_svc SET hmac_secret = 'h', rate_limit_requests = 9 WHERE id = 3;
"""


class Upgrade(moodle_site.SiteTest):
    """In the order of the tests' numbers: each goes on where the one before has ended."""

    @classmethod
    def setUpClass(cls):
        cls.site = moodle_site.site()
        if cls.site.phpunit.ident:
            cls.site.phpunit.join()         # it runs in the code that is exchanged now
        cls.site.stop_serving()
        cls.fresh_schema = schema(cls.site)
        uninstall(cls.site)
        cls.left_by_uninstall = tables(cls.site)
        cls.site.moodle.copy_plugin(os.path.join(HERE, "old"))
        cls.site.moodle.upgrade()
        cls.site.database.query(ROWS)
        for name, value in (("default_timeout", 7), ("max_log_entries", 0), ("latest_events_limit", 20)):
            cls.site.moodle.set_config(name, value)
        for rule, more in ((2, {}), (2, {"attempts": 3, "eventcontextid": 1}), (4, {}), (6, {}), (99, {})):
            cls.queue_task(rule, more)
        cls.before = rows(cls.site)
        cls.schedule = schedule(cls.site)
        cls.site.moodle.install_plugin()

    @classmethod
    def queue_task(cls, rule, more):
        """A task as 2.0.0 queued it."""
        event = {"eventname": r"\core\event\user_created", "objectid": 9, "other": {"a": ["é/", {"b": None}]}, "timecreated": 1795341950}
        data = json.dumps(dict(more, ruleid=rule, eventdata=event)).replace("\\", "\\\\").replace("'", "''")
        cls.site.database.query("INSERT INTO mdl_task_adhoc (component, classname, nextruntime, faildelay, customdata, timecreated, "
                                "attemptsavailable) VALUES ('local_integrationhub', '\\\\local_integrationhub\\\\task\\\\dispatch_event_task', 1, 0, "
                                f"'{data}', 1, 12)")

    def setUp(self):
        pass                                # nothing is emptied between these tests

    def test_1_all_rows_are_the_same_and_new_columns_have_their_defaults(self):
        self.assertEqual(rows(self.site, self.before), self.before)
        self.assertEqual(self.site.database.query("SELECT DISTINCT max_concurrency FROM mdl_local_integrationhub_svc"), [["16"]])
        self.assertEqual(self.site.database.query("SELECT DISTINCT rate_limit, long_retries, paused FROM mdl_local_integrationhub_svc"),
                         [["0", "0", "0"]])
        self.assertEqual(self.site.database.query("SELECT state, attempts, messageid FROM mdl_local_integrationhub_dlq"), [["dead", "0", None]])
        # Who had no token was open to anybody, and stays so until an administrator closes it.
        self.assertEqual(self.site.database.query("SELECT id, inbound_open FROM mdl_local_integrationhub_svc ORDER BY id"),
                         [["3", "0"], ["5", "1"], ["8", "1"]])
        self.assertEqual(schema(self.site), self.fresh_schema)

    def test_2_settings_schedule_and_capabilities_are_kept(self):
        stored = dict(self.site.database.query("SELECT name, value FROM mdl_config_plugins WHERE plugin = 'local_integrationhub'"))
        self.assertEqual([stored[name] for name in ("default_timeout", "max_log_entries", "latest_events_limit")], ["7", "0", "20"])
        cleanup, kept, health = schedule(self.site)
        self.assertEqual([kept], self.schedule)
        self.assertEqual(kept[:2], ["\\local_integrationhub\\task\\consume_responses_task", "17"])
        self.assertEqual(cleanup[0], "\\local_integrationhub\\task\\cleanup_task")
        self.assertEqual(health[0], "\\local_integrationhub\\task\\health_task")
        names = self.site.database.query("SELECT name FROM mdl_capabilities WHERE component = 'local_integrationhub' ORDER BY name")
        self.assertEqual(names, [[f"local/integrationhub:{name}"] for name in ("manage", "replay", "view")])
        may = [self.site.database.query("SELECT roleid, contextid, permission FROM mdl_role_capabilities "
                                        f"WHERE capability = 'local/integrationhub:{name}' ORDER BY 1, 2") for name in ("manage", "replay")]
        self.assertEqual(may[0], may[1], "who may manage may send dead letters again")

    def test_3_pending_tasks_stay_while_there_is_no_broker(self):
        self.run_tasks()
        # Rules that are gone or disabled are passed over, as 2.0.0 did.
        self.assertEqual(self.pending(), 3)

    def test_4_pending_tasks_go_to_the_broker_over_one_connection(self):
        site = self.site
        site.moodle.configure_broker(site.broker.url)
        site.rabbit.declare("--exchange", "mih.redeliver", "--exchange-type", "direct", "--queue", "old", "--bind", "mih.redeliver:3", "--bind",
                            "mih.redeliver:5")
        site.rabbit.purge("old")
        for _ in range(20):
            self.queue_task(2, {})
        site.database.query("UPDATE mdl_task_adhoc SET nextruntime = 1, faildelay = 0")
        before = self.accepted()
        self.run_tasks()
        self.assertEqual(self.pending(), 0)
        self.assertEqual(self.accepted() - before, 1)
        messages = site.rabbit.drain("old")
        self.assertEqual(len(messages), 23)
        self.assertEqual(len({message["properties"]["message_id"] for message in messages}), 23)
        first = next(message for message in messages if message["routing_key"] == "5")
        self.assertEqual(first["headers"], {"x-mih-rule": "4", "x-mih-republished": 1})     # the task may have died after it had published
        self.assertEqual(json.loads(first["body"]), {"eventname": r"\core\event\user_created", "objectid": 9, "other": {"a": ["é/", {"b": None}]},
                                                     "timecreated": 1795341950, "ip": None, "origin": "cli", "realuserid": None})
        self.assertEqual({message["headers"]["x-mih-rule"] for message in messages if message["routing_key"] == "3"}, {"2"})

        # Moodle 4.5 collects garbage after each task; without that, too, there is one connection.
        before = self.accepted()
        code = ("define('CLI_SCRIPT', true); require('config.php'); for ($i = 0; $i < 10; $i++) { "
                "\\local_integrationhub\\local\\legacy_dispatch::hand_over(2, ['a' => 1], \"t$i\"); }")
        self.assertEqual(site.run_php("-r", code), (0, "", ""))
        self.assertEqual(self.accepted() - before, 1)
        self.assertEqual(len(site.rabbit.drain("old")), 10)

    def run_tasks(self):
        """Has Moodle run the ad hoc tasks that are due."""
        self.site.run_php("admin/cli/adhoc_task.php", "--execute", r"--classname=\local_integrationhub\task\dispatch_event_task", "--force")

    def pending(self):
        """How many tasks wait."""
        return int(self.site.database.value("SELECT COUNT(*) FROM mdl_task_adhoc WHERE component = 'local_integrationhub'"))

    def accepted(self):
        """How many connections the broker has opened since it began."""
        answer = self.site.broker.ctl("eval", "{_, Created, _, _, _, _, _, _} = hd(ets:lookup(connection_churn_metrics, node())), Created.")
        return int(answer)

    def test_5_services_and_rules_go_on_and_can_be_changed(self):
        site = self.site
        self.assertEqual(site.cli("service", "--update=Cola del ERP", "--timeout=9"), (0, "Done.\n", ""))
        self.assertEqual(site.cli("service", "--update=Cola del ERP", "--timeout=5"), (0, "Done.\n", ""))
        site.serve()
        self.addCleanup(site.stop_serving)
        self.assertEqual(len(site.probe(events=1, transaction="commit")["outbox"]), 1)

    def test_6_the_upgrade_run_again_changes_nothing(self):
        self.site.database.query("UPDATE mdl_local_integrationhub_svc SET long_retries = 1 WHERE id = 5")
        before = rows(self.site)
        self.upgrade_from(2026022700)
        self.assertEqual(rows(self.site), before)
        self.assertEqual(schema(self.site), self.fresh_schema)

    def upgrade_from(self, version):
        """Has Moodle upgrade from a version once more."""
        self.site.database.query(f"UPDATE mdl_config_plugins SET value = '{version}' WHERE plugin = 'local_integrationhub' AND name = 'version';"
                                 # By this sum over the code Moodle would see that there is nothing to do.
                                 "UPDATE mdl_config SET value = '' WHERE name = 'allversionshash'")
        self.site.moodle.php("admin/cli/purge_caches.php")
        self.site.moodle.upgrade()
        now = self.site.database.value("SELECT value FROM mdl_config_plugins WHERE plugin = 'local_integrationhub' AND name = 'version'")
        self.assertGreater(int(now), 2026022700, "Moodle has upgraded nothing")

    def test_7_a_site_of_the_develop_branch(self):
        columns = ("max_concurrency", "ip_whitelist", "hmac_secret", "hmac_algo", "hmac_header", "rate_limit_requests", "rate_limit_window",
                   "inbound_max_bytes", "inbound_window", "inbound_open")
        self.site.database.query(f"ALTER TABLE mdl_local_integrationhub_svc {', '.join(f'DROP {name}' for name in columns)};"
                                 + "".join(f"DROP TABLE mdl_local_integrationhub_{name};"
                                           for name in ("outbox", "binding", "worker", "replay", "nonce")) + DEVELOP)
        before = rows(self.site)
        self.upgrade_from(2026021900)
        self.assertEqual(rows(self.site, before), before)
        service = self.site.database.query("SELECT hmac_secret, rate_limit_requests, max_concurrency FROM mdl_local_integrationhub_svc WHERE id = 3")
        self.assertEqual(service, [["h", "9", "16"]])
        self.assertEqual(self.site.database.query("SELECT nonce FROM mdl_local_integrationhub_nonce"), [["n"]])
        self.assertEqual(set(self.fresh_schema) - set(schema(self.site)), set())
        self.upgrade_from(2026021900)
        self.assertEqual(rows(self.site, before), before)

    def test_8_a_site_from_before_the_method_column(self):
        self.site.database.query("ALTER TABLE mdl_local_integrationhub_rules DROP http_method")
        before = rows(self.site)
        self.upgrade_from(2026021600)
        self.assertEqual(rows(self.site, before), before)
        self.assertEqual(self.site.database.query("SELECT DISTINCT http_method FROM mdl_local_integrationhub_rules"), [["POST"]])

    def test_9_uninstalling_leaves_no_table(self):
        self.assertEqual(self.left_by_uninstall, [], "of a new installation")
        self.assertIn("mdl_local_integrationhub_nonce", tables(self.site))
        uninstall(self.site)
        self.assertEqual(tables(self.site), [])
        for table, where in (("config_plugins", "plugin = 'local_integrationhub'"), ("task_scheduled", "component = 'local_integrationhub'"),
                             ("capabilities", "component = 'local_integrationhub'")):
            self.assertEqual(self.site.database.query(f"SELECT * FROM mdl_{table} WHERE {where}"), [], table)


def uninstall(site):
    """Moodle's own way, then the code is removed."""
    site.moodle.php("admin/cli/uninstall_plugins.php", "--plugins=local_integrationhub", "--run")
    shutil.rmtree(os.path.join(site.moodle.dir, "local", "integrationhub"))


def tables(site):
    """The plugin's tables."""
    return [row[0] for row in site.database.query("SHOW TABLES LIKE 'mdl\\_local\\_integrationhub\\_%'")]


def rows(site, like=None):
    """Every row of the five old tables as {table: [{column: value}]}; with `like` only its columns."""
    found = {}
    for table in TABLES:
        columns = [row[0] for row in site.database.query(f"SHOW COLUMNS FROM mdl_local_integrationhub_{table}")]
        if like:
            columns = [column for column in columns if column in like[table][0]]
        data = site.database.query(f"SELECT {', '.join(columns)} FROM mdl_local_integrationhub_{table} ORDER BY id")
        found[table] = [dict(zip(columns, row)) for row in data]
    return found


def schema(site):
    """Every column and every index of the plugin's tables, whatever their order."""
    columns = site.database.query("SELECT table_name, column_name, column_type, is_nullable, column_default, extra, collation_name FROM "
                                  "information_schema.columns WHERE table_schema = DATABASE() AND table_name LIKE 'mdl\\_local\\_integrationhub\\_%'")
    indexes = site.database.query("SELECT table_name, non_unique, GROUP_CONCAT(column_name ORDER BY seq_in_index) FROM information_schema.statistics "
                                  "WHERE table_schema = DATABASE() AND table_name LIKE 'mdl\\_local\\_integrationhub\\_%' "
                                  "GROUP BY table_name, index_name")
    return sorted(tuple(str(field) for field in row) for row in columns + indexes)


def schedule(site):
    """The scheduled tasks as they are stored."""
    return site.database.query("SELECT classname, minute, hour, day, month, dayofweek, customised, disabled FROM mdl_task_scheduled "
                               "WHERE component = 'local_integrationhub' ORDER BY classname")
