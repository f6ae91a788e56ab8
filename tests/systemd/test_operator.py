"""A new operator with docs/install.md: every command of it is run as it stands there, in a clean Debian with a Moodle that was there before."""
import json
import os
import re
import textwrap
import time
import unittest

import fleet
import guard
import machine
import moodle
import shared
from services import wait_until

PAGE = os.path.join(fleet.TOP, "docs", "install.md")
RECEIVERS = os.path.join(fleet.TOP, "docs", "receivers.md")
# What a host with a Moodle has anyhow.
THERE = ("mariadb-server", "sudo", "openssl", "php-cli", "php-mysql", "php-xml", "php-mbstring", "php-curl", "php-zip", "php-gd", "php-intl",
         "php-soap")
SOURCES = ("CMakeLists.txt", "cmake", "common", "dispatcher", "worker", "deploy", "docs", "moodle-plugin", "schema.sql", "README.md", "LICENSE",
           "tests")
SECRET = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo="
CONFIG = """<?php
unset($CFG);
global $CFG;
$CFG = new stdClass();
$CFG->dbtype = 'mariadb';
$CFG->dblibrary = 'native';
$CFG->dbhost = '127.0.0.1';
$CFG->dbname = 'moodle';
$CFG->dbuser = 'moodle';
$CFG->dbpass = 'moodle';
$CFG->prefix = 'mdl_';
$CFG->dboptions = ['dbcollation' => 'utf8mb4_unicode_ci'];
$CFG->wwwroot = 'http://127.0.0.1';
$CFG->dataroot = '/var/moodledata';
$CFG->admin = 'admin';
$CFG->noemailever = true;
require_once(__DIR__ . '/lib/setup.php');
"""
MAKE_USER = """<?php
define('CLI_SCRIPT', true);
require('/var/www/moodle/config.php');
require_once($CFG->dirroot . '/user/lib.php');
echo user_create_user((object) ['username' => 'ada', 'password' => 'Ada-12345', 'firstname' => 'Ada', 'lastname' => 'L', 'email' => 'ada@example.com',
    'confirmed' => 1, 'mnethostid' => $CFG->mnet_localhost_id]);
"""


def steps():
    """{the first words of a heading: its commands}, one text for each indented block that is no configuration."""
    with open(PAGE, encoding="utf-8") as stream:
        sections = re.split(r"^## ", stream.read(), flags=re.M)[1:]
    found = {}
    for section in sections:
        heading, _, text = section.partition("\n")
        blocks = [textwrap.dedent(block).strip("\n") for block in re.findall(r"((?:^    .*\n)+)", text, re.M)]
        found[re.sub(r"^\d+\. ", "", heading)] = [block for block in blocks if not block.startswith("[")]
    return found


def packages(block):
    """What a block asks apt for, by name."""
    line, = re.findall(r"^apt install ((?:[^\\\n]|\\\n)*)$", block, re.M)[:1]
    return line.replace("\\\n", " ").split()


class Operator(unittest.TestCase):
    """One test, because each step needs those before it."""

    seconds = 1500

    def setUp(self):
        if not os.environ.get("MOODLE_DIR"):
            self.skipTest("MOODLE_DIR does not name a tree of Moodle's code")
        self.steps = steps()
        try:
            machine.check_host()
            root = machine.clean_root((*THERE, *packages(self.steps["Packages"][0])))
            self.machine = machine.Machine(root, alone=True)
        except machine.Impossible as error:
            self.skipTest(str(error))
        self.addCleanup(self.machine.close)

    def sh(self, text, place="/"):
        """Runs commands as root, as they are typed; the first that fails ends them."""
        return self.machine.run(["bash", "-ec", f"cd {place}\n{text}"], seconds=600)

    def put(self, folder, names, place):
        """Copies files of this host into the machine."""
        self.machine.run(["mkdir", "-p", place])
        status, archive, errors = guard.run(["tar", "-C", folder, "--exclude=.git", "-cf", "-", *names])
        self.assertEqual(0, status, errors.decode(errors="replace"))
        self.machine.run(["tar", "-C", place, "-xf", "-"], archive)

    def make_moodle(self):
        """The site that was there before."""
        self.put(moodle.find_tree(os.environ["MOODLE_DIR"]), ["."], "/var/www/moodle")
        self.machine.write("/var/www/moodle/config.php", CONFIG)
        self.machine.write("/etc/php/8.2/cli/conf.d/99-moodle.ini", "max_input_vars = 5000\nmemory_limit = 512M\n")
        self.machine.systemctl("start", "mariadb")
        self.sh("install -d -o www-data -g www-data /var/moodledata\n"
                "mariadb -e \"CREATE DATABASE moodle CHARACTER SET utf8mb4; CREATE USER moodle@127.0.0.1 IDENTIFIED BY 'moodle'; "
                "GRANT ALL ON moodle.* TO moodle@127.0.0.1; SET GLOBAL innodb_flush_log_at_trx_commit = 0\"\n"
                "sudo -u www-data php admin/cli/install_database.php --agree-license --lang=en --fullname=M --shortname=m --adminuser=admin "
                "--adminpass=Admin-1234 --adminemail=a@example.com", "/var/www/moodle")

    def receive(self):
        """The receiver of the manual, in the machine, in place of the one that the text invents."""
        with open(RECEIVERS, encoding="utf-8") as stream:
            self.machine.write("/srv/receive.php", re.search(r"^```php\n(.*?)^```$", stream.read(), re.M | re.S)[1])
        self.machine.write("/run/systemd/system/receiver.service", "[Service]\nExecStart=/usr/bin/php -S 127.0.0.1:8080 /srv/receive.php\n"
                                                                   f"Environment=WEBHOOK_SECRET={SECRET}\n")
        self.sh("systemctl daemon-reload\nsystemctl start receiver\n"
                "printf '\\n[security]\\nallow_networks = 127.0.0.0/8\\n' >>/etc/mih/mih.conf\nsystemctl reload mih-worker@1 mih-replayer")
        cli = "sudo -u www-data php local/integrationhub/cli/service.php --update=erp"
        self.sh(f"{cli} --url=http://127.0.0.1:8080/api\necho {SECRET} | {cli} --secret-stdin=signing_secret\n"
                f"{cli.replace('--update', '--encrypt')}", "/var/www/moodle")

    def faults(self):
        """What Moodle's System status has against the hub, once it has seen all."""
        def told():
            status, output, errors = self.machine.attempt(["sudo", "-u", "www-data", "php", "/var/www/moodle/admin/cli/checks.php",
                                                           "--filter=local_integrationhub"])
            return "" if status == 0 else output + errors
        try:
            wait_until(lambda: told() == "", 30, "System status", every=1)
        except TimeoutError:
            return told()
        return ""

    @shared.long
    def test_every_command_of_the_page_and_an_event_arrives(self):
        self.make_moodle()
        self.machine.write("/etc/apt/apt.conf.d/99-yes", 'APT::Get::Assume-Yes "true";\n')
        began = time.monotonic()
        self.put(fleet.TOP, SOURCES, "/root/mih")
        self.sh(self.steps["Packages"][0], "/root/mih")
        self.assertRegex(self.sh("mih-worker --version"), r"^mih-worker \d")
        self.machine.systemctl("start", "rabbitmq-server")
        self.sh(self.steps["Broker"][0])
        self.assertIn("mih\t.*\t.*\t.*", self.sh("rabbitmqctl -q list_permissions -p mih"))
        self.sh(self.steps["Plugin"][0])
        self.assertIn("amqp://mih:***@127.0.0.1", self.sh("php local/integrationhub/cli/broker.php --show", "/var/www/moodle"))
        self.sh(self.steps["Database user"][0])
        with self.assertRaisesRegex(machine.CommandError, "denied"):
            self.sh("mariadb -h 127.0.0.1 -u mih -p\"$(cat /etc/mih/database.password)\" -e 'SELECT * FROM moodle.mdl_user_password_history'")
        checked = self.sh(self.steps["Configuration"][0])
        self.assertIn("/etc/mih/mih.conf: valid", checked)
        self.assertEqual("640 root mih\n", self.sh("stat -c '%a %U %G' /etc/mih/mih.conf"))
        self.sh(self.steps["Configuration"][1])
        self.sh(self.steps["Start"][0])
        wait_until(lambda: self.machine.attempt(["php", "/var/www/moodle/local/integrationhub/cli/broker.php", "--test"])[0] == 0, 60,
                   "the fleet to take the plugin's hint")
        self.machine.write("/root/token", "secret\n")
        self.sh(self.steps["First service and rule"][0].replace("< token", "< /root/token"))
        self.receive()
        self.machine.write("/root/event.json", json.dumps({"eventname": r"\core\event\user_created", "userid": 2, "objectid": 3}))
        key = "export MIH_SECURITY_MOODLE_KEY_FILE=/etc/credstore/mih.sodium.key\n"
        shown = self.sh(key + self.steps["First service and rule"][1], "/root")
        self.assertIn("http://127.0.0.1:8080/api/students", shown)
        self.assertIn("delivered", shown)
        self.machine.write("/root/user.php", MAKE_USER)
        self.sh("sudo -u www-data php < /root/user.php", "/var/www/moodle")
        wait_until(lambda: self.machine.journal("receiver").count(r"event \core\event\user_created") == 2, 30, "the event of the new user")
        self.assertEqual("", self.faults(), "System status")
        print(f"      from the sources to the first event: {time.monotonic() - began:.0f} s")
        self.sh(self.steps["Taking it away again"][0])
        self.assertEqual("", self.sh("ls -d /etc/mih /usr/share/mih 2>/dev/null || true"))
        self.assertEqual("", self.sh("mariadb -N -e \"SHOW TABLES LIKE '%integrationhub%'; SHOW TABLES LIKE 'mih%'\" moodle"))
        self.assertNotIn("mih", self.sh("rabbitmqctl -q list_users; rabbitmqctl -q list_vhosts"))
