"""The one Moodle that all tests of this folder share, with its database and broker; installed at the first use.

Events go to the exchange `probe.events`, from which the queue `probe.all` takes every message, so that a test sees what was published.  PHPUnit
runs beside the other tests on a site of its own (other tables of the same database); the tests that change the plugin's code wait for it.
"""
import json
import os
import subprocess
import threading
import unittest
import urllib.error
import urllib.request
import xml.etree.ElementTree as ElementTree

import fleet
import moodle
from rabbit import Rabbit
from services import MariaDB, RabbitMQ, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
REASON = "MOODLE_DIR does not name a tree of Moodle's code"
EXCHANGE, QUEUE = "probe.events", "probe.all"
WANTED, OTHER = r"\core\event\user_loggedin", r"\core\event\dashboard_viewed"    # what the rule of the site wants, and what not

needs_moodle = unittest.skipUnless(os.environ.get("MOODLE_DIR"), REASON)
_site = []


def site():
    """The shared site."""
    if not _site:
        _site.append(Site())
    return _site[0]


class PhpUnit(threading.Thread):
    """Prepares and runs the plugin's PHPUnit tests; `cases` holds (name, 'ok' | 'FAIL' | 'skip', text) afterwards."""

    def __init__(self, shared):
        super().__init__(daemon=True)
        self.shared, self.cases, self.output = shared, [], ""

    def run(self):
        try:
            self.shared.moodle.prepare_phpunit()
            broker = self.shared.broker.add_vhost("unit")
            status, self.output, report = self.shared.moodle.phpunit(MIH_TESTS=os.path.dirname(HERE), MIH_TEST_BROKER=broker)
            self.cases = read_junit(report)
            bad = sum(word == "FAIL" for _, word, _ in self.cases)
            if not self.cases or (status != 0 and not bad):
                self.cases.append(("phpunit", "FAIL", f"exit code {status}\n{self.output[-3000:]}"))
        except Exception as error:          # whatever it is, it is the outcome of this thread
            self.cases.append(("phpunit", "FAIL", str(error)))


def read_junit(path):
    """The test cases of a JUnit report."""
    cases = []
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        word, text = "ok", ""
        for child in case:
            if child.tag in ("failure", "error", "warning"):
                word, text = "FAIL", child.text or ""
            elif child.tag == "skipped" and word == "ok":
                word = "skip"
        cases.append((f"{case.get('class')}::{case.get('name')}", word, text))
    return cases


class Site:
    """Database, broker, Moodle, and what tests ask them."""

    def __init__(self):
        self.serving = False
        self.database = MariaDB()
        # Nothing here kills the database: no commit need wait for the disk.
        self.database.query("SET GLOBAL innodb_flush_log_at_trx_commit = 0")
        self.moodle = moodle.Moodle(os.environ["MOODLE_DIR"], self.database)
        self.moodle.copy_plugin()
        self.broker = RabbitMQ()
        self.rabbit = Rabbit(fleet.program("mih-test-rabbit"), self.broker.url)
        self.phpunit = PhpUnit(self)
        if not os.environ.get("MIH_NO_PHPUNIT"):
            self.phpunit.start()
        self.moodle.install(plugin=False)   # its code is there already
        self.moodle.configure_broker(self.broker.url)
        self.moodle.set_config("exchange", EXCHANGE)
        self.rabbit.declare("--exchange", EXCHANGE, "--exchange-type", "topic", "--queue", QUEUE, "--bind", f"{EXCHANGE}:#")
        with open(os.path.join(HERE, "probe.php"), encoding="utf-8") as source, \
                open(os.path.join(self.moodle.dir, "mihprobe.php"), "w", encoding="utf-8") as target:
            target.write(source.read())
        self.world = self.moodle.make_world(students=2)
        self.moodle.cli("service", "--add=probe", "--url=http://127.0.0.1:9/")
        self.moodle.cli("rule", f"--add={WANTED}", "--service=probe")
        self.fresh()

    # ---- pages ----

    def serve(self, children=1, ini=""):
        """Serves the site anew with so many PHP processes."""
        self.stop_serving()
        self.moodle.serve(children=children, ini=ini)
        self.serving = True

    def stop_serving(self):
        """Stops php-fpm and nginx."""
        self.moodle.stop_serving()
        self.serving = False

    def probe(self, **parameters):
        """Opens the probe page; returns its JSON."""
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        with urllib.request.urlopen(f"{self.moodle.url}/mihprobe.php?{query}", timeout=120) as answer:
            return json.loads(answer.read())

    def probe_that_dies(self, **parameters):
        """Opens the probe page of a process that is killed while it works."""
        try:
            self.probe(**parameters)
        except urllib.error.HTTPError as error:
            return error.code
        raise AssertionError("the page was answered")

    # ---- what became of it ----

    def outbox(self):
        """Message ids of the outbox, in order."""
        return [row[0] for row in self.database.query(f"SELECT messageid FROM {self.moodle.table('outbox')} ORDER BY id")]

    def published(self, *names):
        """What was published since the last call, of the probe page's events or the given ones; Moodle's scripts raise events of their own."""
        return [message for message in self.rabbit.drain(QUEUE) if message["properties"]["type"] in (names or (WANTED, OTHER))]

    def wait_published(self, count, *names, seconds=20):
        """As `published`, once there are so many."""
        found = []

        def arrived():
            found.extend(self.published(*names))
            return len(found) >= count
        wait_until(arrived, seconds, f"{count} messages in {QUEUE}", every=0.05)
        return found

    def wait_outbox(self, count, seconds=20):
        """Waits until the outbox has so many rows."""
        wait_until(lambda: len(self.outbox()) == count, seconds, f"{count} rows in the outbox", every=0.05)

    def wait_idle(self, seconds=60):
        """Waits until the PHP process has ended its last request: the next one, which raises nothing, is answered by the same process after it."""
        with urllib.request.urlopen(f"{self.moodle.url}/mihprobe.php", timeout=seconds) as answer:
            answer.read()

    def cooloff_file(self):
        """The file of the pause after a failure."""
        return os.path.join(self.moodle.data, "localcache", "local_integrationhub", "cooloff")

    def fresh(self):
        """Outbox and queue empty, no pause, the settings of the tests."""
        if self.serving:
            self.wait_idle()
        self.database.query(f"DELETE FROM {self.moodle.table('outbox')}")
        self.rabbit.purge(QUEUE)
        if os.path.exists(self.cooloff_file()):
            os.unlink(self.cooloff_file())

    def settings(self, **values):
        """Changes settings of the plugin."""
        for name, value in values.items():
            self.moodle.set_config(name, value)

    def connections(self):
        """Names of the broker's connections of PHP, by the broker."""
        rows = self.broker.ctl("list_connections", "name", "client_properties").splitlines()
        return {row.split("\t")[0] for row in rows if "php" in row.lower() or "pecl" in row.lower()}

    def run_php(self, *arguments, stdin=""):
        """A script on the command line; returns (exit code, standard output, standard error)."""
        done = subprocess.run(["php", *arguments], cwd=self.moodle.dir, env=self.moodle.environment(), input=stdin, capture_output=True, text=True,
                              timeout=300, check=False)
        return done.returncode, done.stdout, done.stderr

    def cli(self, name, *arguments, stdin=""):
        """One of the plugin's command-line scripts, as run_php."""
        return self.run_php(f"local/integrationhub/cli/{name}.php", *arguments, stdin=stdin)


@needs_moodle
class SiteTest(unittest.TestCase):
    """A test on the shared site, with one PHP process and everything empty."""

    children = 1

    @classmethod
    def setUpClass(cls):
        cls.site = site()
        cls.site.serve(cls.children)

    def setUp(self):
        self.site.fresh()

    def change(self, **values):
        """Changes settings for this test."""
        old = {"mode": "safe", "confirmbudget": 50, "connectbudget": 250, "cooloff": 10}
        for name, value in values.items():
            if name == "brokerurl":
                self.site.moodle.cli("broker", "--set", stdin=value + "\n")
                self.addCleanup(self.site.moodle.cli, "broker", "--set", stdin=self.site.broker.url + "\n")
            else:
                self.site.settings(**{name: value})
                self.addCleanup(self.site.settings, **{name: old[name]})
