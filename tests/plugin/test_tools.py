"""The command-line scripts and the settings page."""
import json
import urllib.error
import urllib.request

import moodle
import moodle_site
from services import free_port

SCRIPTS = ("broker", "rule", "service", "worker_config", "reset_cb", "debug_config", "replay_dlq")
CHECKS = ("test_mih", "test_logic")       # need no options


class CommandLine(moodle_site.SiteTest):
    """Exit codes, messages, and what the scripts do."""

    def expect(self, status, name, *arguments, stdin="", says="", never="SECRET"):
        """Runs a script; returns its standard output."""
        code, output, errors = self.site.cli(name, *arguments, stdin=stdin)
        self.assertEqual(code, status, f"{name} {arguments}: {output}{errors}")
        self.assertIn(says, output + errors)
        self.assertNotIn(never, output + errors)
        if status:
            self.assertEqual((output, errors.strip() != ""), ("", True), "an error goes to standard error alone")
        return output

    def test_help(self):
        for name in SCRIPTS:
            for option in ("--help", "-h"):
                text = self.expect(0, name, option, says=f"{name}.php --" if name != "worker_config" else "worker_config.php [--user")
                self.assertIn("Exit code 0 when done, 1 with a message when not.", text)
            if name != "worker_config":
                self.assertEqual(self.expect(0, name), text)
        for name in CHECKS:
            self.expect(0, name, "--help", says=f"{name}.php")

    def test_bad_options(self):
        for name in SCRIPTS + CHECKS:
            self.expect(1, name, "--nonsense", says="--nonsense")
            self.expect(1, name, "nonsense", says="nonsense")
        for name in ("rule", "service"):
            self.expect(1, name, "--list", "--add=x", says="--list, --add")
            self.expect(1, name, "--json", says="--list, --add")
            for action in ("--add", "--update", "--enable", "--disable", "--delete"):
                self.expect(1, name, action, says=action)

    def test_scripts_of_2_0_0(self):
        url = "amqp://u:SECRET@old.example/v?exchange=x"
        self.expect(0, "service", "--add=old", f"--url={url}", "--type=amqp", "--token-stdin", stdin="SECRET-TOKEN\n")
        self.addCleanup(self.site.cli, "service", "--delete=old")
        text = self.expect(0, "debug_config", "--name=old", says="Type: amqp\nBase URL: amqp://u:***@old.example/v?exchange=x\n    scheme: amqp\n")
        self.assertIn("\nauth_token: ***\n", text)
        self.assertIn("\nCircuit breaker: CLOSED\n", text)
        table = self.site.moodle.table("cb")
        where = f"WHERE serviceid = (SELECT id FROM {self.site.moodle.table('svc')} WHERE name = 'old')"
        for option in ("--service=old", "-s=old"):
            self.site.database.query(f"UPDATE {table} SET state = 'open' {where}")
            self.expect(0, "reset_cb", option, says="Successfully reset circuit breaker to CLOSED state.")
            self.assertEqual(self.site.database.value(f"SELECT state FROM {table} {where}"), "closed")
        for name, option in (("reset_cb", "--service"), ("debug_config", "--name")):
            self.expect(1, name, f"{option}=nobody", says="nobody")
        # The other rule of the site is valid; this one was never checked.
        self.expect(0, "test_logic", says="OK\t#")
        rules = self.site.moodle.table("rules")
        self.site.database.query(f"UPDATE {rules} SET payload_template = '{{' ORDER BY id DESC LIMIT 1")
        self.addCleanup(self.site.database.query, f"UPDATE {rules} SET payload_template = NULL ORDER BY id DESC LIMIT 1")
        code, output, _ = self.site.cli("test_logic")
        self.assertEqual((code, "ERROR\t#" in output and "line 1" in output), (1, True), output)
        code, output, _ = self.site.cli("test_mih")
        self.assertEqual(code, 1)
        self.assertIn("ERROR\tIntegration Hub: workers: Rules want events, but no worker runs.\n", output)
        self.assertIn("OK\tIntegration Hub: broker: The broker takes events.\n", output)

    def test_ajax_of_2_0_0_is_gone(self):
        with self.assertRaises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{self.site.moodle.url}/local/integrationhub/ajax.php", timeout=60)
        self.assertEqual((caught.exception.code, json.loads(caught.exception.read())["success"]), (410, False))

    def test_services(self):
        self.expect(0, "service", "--add=crm", "--url=https://u:SECRET@crm.example/", "--token-stdin", "--timeout=9", stdin="SECRET-TOKEN\n")
        self.addCleanup(self.site.cli, "service", "--delete=crm")
        row = self.service("crm")
        self.assertEqual(row["base_url"], "https://u:***@crm.example/")
        self.expect(0, "service", "--list", says="crm")
        stored = self.site.database.query(f"SELECT auth_token, timeout, enabled FROM {self.site.moodle.table('svc')} WHERE name = 'crm'")
        self.assertEqual(stored, [["SECRET-TOKEN", "9", "1"]])
        self.expect(1, "service", "--add=crm", "--url=https://crm.example/", says="already")
        self.expect(1, "service", "--update=crm", "--timeout=0", says="from 1 to 3600")
        self.expect(1, "service", "--update=crm", "--url=ftp://x", says="http://")
        self.expect(1, "service", "--add=other", says="URL")
        self.expect(1, "service", "--enable=nobody", says="nobody")
        self.expect(0, "service", "--disable=crm")
        self.assertEqual(self.service("crm")["enabled"], "0")
        self.expect(0, "service", "--enable=crm")
        self.expect(0, "service", "--update=crm", "--auth=apikey")
        self.assertEqual((self.service("crm")["enabled"], self.service("crm")["auth_type"]), ("1", "apikey"))
        self.expect(0, "service", "--delete=crm")
        self.assertIsNone(self.service("crm"))

    def service(self, name):
        """A service as --list tells it."""
        rows = json.loads(self.expect(0, "service", "--list", "--json"))
        return next((row for row in rows if row["name"] == name), None)

    def test_rules(self):
        event = r"\core\event\user_created"
        self.expect(0, "rule", f"--add={event}", "--service=probe", "--method=put", "--endpoint=/a", "--template-file=-", stdin='{"a": "{{userid}}"}')
        rule = next(rule for rule in self.rules() if rule["eventname"] == event)
        self.addCleanup(self.site.cli, "rule", f"--delete={rule['id']}")
        self.assertEqual((rule["http_method"], rule["endpoint"], rule["enabled"]), ("PUT", "/a", "1"))
        self.assertEqual(rule["payload_template"], '{"a": "{{userid}}"}')
        self.expect(0, "rule", "--list", says=event)
        self.expect(0, "service", "--add=idle", "--url=https://idle.example/")
        self.addCleanup(self.site.cli, "service", "--delete=idle")
        self.assertNotIn("created", self.expect(0, "rule", "--list", "--service=idle"))
        self.expect(0, "rule", "--list", "--service=probe", says=event)
        self.expect(1, "rule", "--list", "--service=99", says="99")
        self.expect(0, "rule", f"--update={rule['id']}", "--endpoint=/b")
        self.expect(0, "rule", f"--disable={rule['id']}")
        changed = next(other for other in self.rules() if other["id"] == rule["id"])
        self.assertEqual(changed, dict(rule, endpoint="/b", enabled="0"))
        self.expect(0, "rule", f"--enable={rule['id']}")
        self.expect(1, "rule", "--add=nonsense", "--service=probe", says="nonsense")
        self.expect(1, "rule", f"--add={event}", says="--service")
        self.expect(1, "rule", f"--add={event}", "--service=nobody", says="nobody")
        self.expect(1, "rule", f"--add={event}", "--service=probe", "--method=HEAD", says="POST, GET, PUT, PATCH, DELETE")
        self.expect(1, "rule", f"--add={event}", "--service=probe", "--template-file=/nowhere", says="/nowhere")
        for number in ("999999", "x", "-1", "0"):
            self.expect(1, "rule", f"--delete={number}", says=number)
        self.expect(0, "rule", f"--delete={rule['id']}")
        self.assertNotIn(rule["id"], [other["id"] for other in self.rules()])

    def rules(self):
        """The rules as --list tells them."""
        return json.loads(self.expect(0, "rule", "--list", "--json"))

    def test_broker(self):
        self.addCleanup(self.site.cli, "broker", "--set", stdin=self.site.broker.url + "\n")
        self.expect(1, "broker", "--set", stdin="http://u:SECRET@h\n", says="amqp://")
        self.expect(0, "broker", "--set", stdin="amqp://u:SECRET@127.0.0.1:1/v, amqps://w:SECRET@[::1]/\n")
        text = self.expect(0, "broker", "--show", says="broker: amqp://u:***@127.0.0.1:1/v, amqps://w:***@[::1]:5671/")
        self.assertIn(f"exchange: {moodle_site.EXCHANGE}", text)
        self.assertIn("outbox: 0", text)
        self.expect(1, "broker", "--test")
        self.expect(0, "broker", "--set", stdin="\n")
        self.expect(0, "broker", "--show", says="broker: -")
        self.expect(1, "broker", "--test", says="No broker")
        self.expect(1, "worker_config", says="No broker")
        self.expect(0, "broker", "--set", stdin=self.site.broker.url + "\n")
        self.site.rabbit.declare("--exchange", "mih.control", "--exchange-type", "fanout")
        self.expect(0, "broker", "--test")

    def test_worker_config_with_an_argument_and_moodles_own_user(self):
        text = self.expect(0, "worker_config")
        self.assertIn(f"\nuser = {self.site.moodle.user}\npassword = {self.site.moodle.password}\n", text)
        text = self.expect(0, "worker_config", "--user=mih", "--password=a;b#c", never="nothing of the kind")
        self.assertIn("\nuser = mih\npassword = a;b#c\n", text)
        self.expect(1, "worker_config", "--user=mih", "--password-stdin", stdin=" SECRET\n", says="database.password")


class SettingsPage(moodle_site.SiteTest):
    """In the browser of an administrator."""

    PATH = "/admin/settings.php?section=local_integrationhub"

    def test_it_shows_and_saves_and_never_shows_the_password(self):
        admin = self.site.moodle.login("admin", moodle.ADMIN_PASSWORD)
        page = admin.get(self.PATH)
        self.assertNotIn("[[", page, "a text is missing")
        self.assertNotIn(self.site.broker.password, page)
        self.assertIn(f"127.0.0.1:{self.site.broker.port}", page)
        self.addCleanup(self.site.settings, confirmbudget=50, cooloff=10)
        page = admin.submit(page, {"s_local_integrationhub_confirmbudget": "77"}, "s_local_integrationhub_confirmbudget")
        self.assertEqual(self.stored("confirmbudget"), "77")
        self.assertEqual(self.site.cli("broker", "--test")[0], 0, "the broker's URL is lost by saving another setting")
        page = admin.submit(page, {"s_local_integrationhub_cooloff": "0"}, "s_local_integrationhub_cooloff")
        self.assertIn("from 1 to 3600", moodle.plain(page))
        self.assertEqual(self.stored("cooloff"), "10")

    def test_a_new_broker_url_is_stored_encrypted_and_not_echoed(self):
        self.addCleanup(self.site.cli, "broker", "--set", stdin=self.site.broker.url + "\n")
        admin = self.site.moodle.login("admin", moodle.ADMIN_PASSWORD)
        url = f"amqp://somebody:SECRET@127.0.0.1:{free_port()}/v"
        # The field is disabled until the pencil beside it is pressed: a browser sends it then.
        page = admin.submit(admin.get(self.PATH), {"s_local_integrationhub_brokerurl": url}, "s_local_integrationhub_confirmbudget")
        self.assertIn("amqp://somebody:", page)
        for text in (page, admin.get(self.PATH)):
            self.assertNotIn("SECRET", text)
        self.assertRegex(self.stored("brokerurl"), "^sodium:")
        page = admin.submit(page, {"s_local_integrationhub_brokerurl": "http://somebody:SECRET@h"}, "s_local_integrationhub_confirmbudget")
        self.assertNotIn("SECRET", page)
        self.assertIn("amqp:// or amqps://", moodle.plain(page))
        code, output, _ = self.site.cli("broker", "--show")
        self.assertEqual((code, "amqp://somebody:***@" in output), (0, True))

    def stored(self, name):
        """A setting as it is stored."""
        return self.site.database.value(f"SELECT value FROM mdl_config_plugins WHERE plugin = 'local_integrationhub' AND name = '{name}'")

    def test_others_do_not_see_it(self):
        student = self.site.moodle.login(self.site.world["students"][0]["username"], self.site.world["password"])
        with self.assertRaises(moodle.MoodleError):
            student.get(self.PATH)
