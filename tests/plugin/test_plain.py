"""What can be said of the plugin's code without a Moodle."""
import glob
import json
import os
import random
import re
import subprocess
import unittest
import xml.etree.ElementTree as ElementTree

import fleet
import xmldb

HERE = os.path.dirname(os.path.abspath(__file__))
PLUGIN = os.path.join(fleet.TOP, "moodle-plugin")


def read(*path):
    """A file of the plugin."""
    with open(os.path.join(PLUGIN, *path), encoding="utf-8") as stream:
        return stream.read()


def whole_rules():
    """(kind, text) of every template and filter of the shared cases."""
    for path in glob.glob(os.path.join(fleet.TOP, "tests", "cases", "*", "rule.json")):
        with open(path, encoding="utf-8") as stream:
            rule = json.load(stream)
        for kind, column in (("text", "endpoint"), ("json", "payload_template"), ("filter", "filter")):
            if rule.get(column):
                yield kind, rule[column]


def damaged(dice, count):
    """So many (kind, text): those of the shared cases, most of them with something cut out, put in or doubled."""
    seeds = sorted(set(whole_rules()))
    pieces = ["{", "}", "[", "]", '"', "'", ",", ":", "{{", "}}", "|", "\\", "\\u00e9", "\\ud83d", "\\udc00", ".", "-", "1e999",
              "99999999999999999999", "007", "null", "true", "$in", "$gt", "$or", "$not", "$regex", "$x", "user", "user.password",
              "course.category.name", "cm.name", "profile", "default", "default:", "upper", "é", "李", "\U0001f600", "\n", "\t", " ", "(", "[a",
              "a{2,1}", "\x01", "0", "5", '"a"', "{}", "[]", "\\/"]
    found = [*seeds]
    while len(found) < count:
        kind, text = dice.choice(seeds)
        for _ in range(dice.choice((1, 1, 1, 2, 3))):
            at = dice.randrange(len(text) + 1)
            end = min(len(text), at + dice.choice((0, 0, 1, 1, 2, 5)))
            text = text[:at] + dice.choice(["", text[at:end] * 2, dice.choice(pieces), dice.choice(pieces)]) + text[end:]
        found.append((kind, text))
    return found


class Php(unittest.TestCase):
    """plain.php, check by check."""

    def check(self, name):
        """Runs one."""
        done = subprocess.run(["php", os.path.join(HERE, "plain.php"), name], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_the_publisher_makes_exactly_the_events_of_the_shared_cases(self):
        self.check("cases")

    def test_the_publisher_makes_exactly_the_recorded_events_and_their_routing_keys(self):
        self.check("recorded")

    def test_rules_of_the_shared_cases_are_refused_as_the_worker_refuses_them(self):
        self.check("rules")

    def test_previews_of_the_shared_cases_are_what_the_worker_sends(self):
        self.check("preview")

    def test_templates_and_filters_get_the_worker_s_words(self):
        """Damaged ones by the thousand: the same verdict, line, column and words from both sides."""
        inputs = damaged(random.Random(4), 6000)
        lines = "".join(json.dumps(pair) + "\n" for pair in inputs)
        told = [subprocess.run(command, input=lines, capture_output=True, text=True, timeout=120, check=True).stdout.splitlines()
                for command in ([fleet.program("mih-test-syntax")], ["php", os.path.join(HERE, "plain.php"), "syntax"])]
        self.assertEqual(len(inputs), len(told[0]))
        different = [f"{pair}\n  worker {worker}\n  plugin {plugin}" for pair, worker, plugin in zip(inputs, *told) if worker != plugin]
        self.assertEqual([], different[:10])
        valid = told[0].count("ok")
        self.assertTrue(500 < valid < len(inputs) - 500, f"{valid} of {len(inputs)} are valid")
        print(f"{len(inputs)} templates and filters, {valid} of them valid, {len(set(told[0]))} different verdicts")

    def test_english_and_spanish_have_the_same_texts_and_all_of_2_0_0(self):
        self.check("strings")

    def test_every_file_is_php(self):
        for folder, _, names in os.walk(PLUGIN):
            for name in names:
                if name.endswith(".php"):
                    done = subprocess.run(["php", "-l", os.path.join(folder, name)], capture_output=True, text=True, timeout=60, check=False)
                    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class Versions(unittest.TestCase):
    """version.php, the upgrade steps and install.xml."""

    def setUp(self):
        self.version = int(re.search(r"\$plugin->version = (\d+);", read("version.php"))[1])
        self.steps = [int(number) for number in re.findall(r"if \(\$oldversion < (\d+)\)", read("db", "upgrade.php"))]

    def test_version_php(self):
        text = read("version.php")
        self.assertIn("$plugin->component = 'local_integrationhub';", text)
        self.assertGreater(self.version, 2026022700)
        first, last = map(int, re.search(r"\$plugin->supported = \[(\d+), (\d+)\];", text).groups())
        self.assertTrue(first <= 401 and last >= 501)
        self.assertLessEqual(int(re.search(r"\$plugin->requires = (\d+);", text)[1]), 2022112800)

    def test_d25_nothing_but_moodle_and_extensions_of_php_is_needed(self):
        for path in ("composer.json", "vendor", os.path.join("db", "environment.xml")):
            self.assertFalse(os.path.exists(os.path.join(PLUGIN, path)), path)

    def test_upgrade_steps_ascend_and_each_sets_its_savepoint(self):
        pattern = r"upgrade_plugin_savepoint\(true, (\d+), 'local', 'integrationhub'\)"
        savepoints = [int(number) for number in re.findall(pattern, read("db", "upgrade.php"))]
        self.assertEqual(self.steps, savepoints)
        self.assertEqual(self.steps, sorted(set(self.steps)))
        self.assertLessEqual(self.steps[-1], self.version)
        self.assertIn(2026021803, self.steps)

    def test_the_outbox_is_used_from_the_step_on_that_makes_it(self):
        since = int(re.search(r"SINCE = (\d+);", read("classes", "local", "outbox.php"))[1])
        step = read("db", "upgrade.php").split(f"if ($oldversion < {since})")[1].split("upgrade_plugin_savepoint")[0]
        self.assertIn("'outbox'", step)

    def test_install_xml_is_of_the_last_step_that_changes_it(self):
        root = ElementTree.fromstring(read("db", "install.xml"))
        self.assertEqual(int(root.get("VERSION")), self.steps[-1])


class Schema(unittest.TestCase):
    """install.xml beside the schema of 2.0.0, and schema.sql."""

    def tables(self, path):
        """Fields, keys and indexes by table."""
        return {table.get("NAME"): table for table in ElementTree.parse(path).getroot().iterfind("TABLES/TABLE")}

    def test_every_table_and_column_of_2_0_0_is_kept_and_new_columns_need_no_value(self):
        ours = self.tables(os.path.join(PLUGIN, "db", "install.xml"))
        for name, table in self.tables(os.path.join(HERE, "old", "db", "install.xml")).items():
            fields = {field.get("NAME"): field for field in ours[name].iterfind("FIELDS/FIELD")}
            for old in table.iterfind("FIELDS/FIELD"):
                new = fields.pop(old.get("NAME"))
                self.assertEqual({key: value for key, value in new.attrib.items() if key != "COMMENT"}, old.attrib, f"{name}.{old.get('NAME')}")
            for field in fields.values():
                self.assertTrue(field.get("NOTNULL") == "false" or field.get("DEFAULT") is not None, f"{name}.{field.get('NAME')}")
            for kind in ("KEYS/KEY", "INDEXES/INDEX"):
                have = {(item.get("TYPE") or item.get("UNIQUE"), item.get("FIELDS")) for item in ours[name].iterfind(kind)}
                for item in table.iterfind(kind):
                    self.assertIn((item.get("TYPE") or item.get("UNIQUE"), item.get("FIELDS")), have, name)

    def test_the_upgrade_makes_every_table_that_is_new(self):
        new = set(self.tables(os.path.join(PLUGIN, "db", "install.xml"))) - set(self.tables(os.path.join(HERE, "old", "db", "install.xml")))
        self.assertTrue(new)
        for name in new:
            self.assertRegex(read("db", "upgrade.php"), f"'(local_integrationhub_)?{name.replace('local_integrationhub_', '')}'")

    def test_schema_sql_is_what_install_xml_says(self):
        with open(os.path.join(fleet.TOP, "schema.sql"), encoding="utf-8") as stream:
            self.assertEqual(stream.read(), xmldb.schema(os.path.join(PLUGIN, "db", "install.xml")))
