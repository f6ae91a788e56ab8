"""Tries every check on bad snippets, each in a small tree of its own, and asks that it finds what is bad there."""
import json
import os
import re
import shutil
import tempfile

import checks_deploy
import checks_program
from checks_text import BOILERPLATE
from tree import Tree, run

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COPIED = (".clang-format", ".clang-tidy")

DOCBLOCK = """/**
 * A class.
 *
 * @package   local_integrationhub
 * @copyright 2026 The authors
 * @license   https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
"""
CLASS = "namespace local_integrationhub;\n\n" + DOCBLOCK + "class thing {\n    /** Does nothing. */\n    public function none(): void {\n    }\n}\n"
HEADER = "/*\n * {}\n */\n#ifndef MIH_COMMON_X_H\n#define MIH_COMMON_X_H\n#endif\n"
BRANCHES = "".join(f"    if (a == {number})\n        return {number + 7};\n" for number in range(15))
NESTED = "int f(int a)\n{\n" + "".join("    " * depth + f"if (a > {depth}) {{\n" for depth in range(1, 6)) + "    " * 6 + "return 1;\n" + "".join(
    "    " * depth + "}\n" for depth in range(5, 0, -1)) + "    return 0;\n}\n"

# Check, what is tried, files, and what must be found.
SNIPPETS = (
    ("layers", "common includes worker", {"common/x.c": '#include "worker/y.h"\n', "worker/y.h": ""}, "common/x.c:1: common must not include"),
    ("layers", "dispatcher includes worker", {"dispatcher/x.h": '# include "worker/y.h"\n', "worker/y.h": ""}, "dispatcher/x.h:1: dispatcher must"),
    ("layers", "an include without its folder", {"common/x.c": '#include "y.h"\n', "common/y.h": ""}, "carries the folder"),
    ("layers", "librabbitmq outside of bus", {"worker/x.c": "\n#include <amqp.h>\n"}, "worker/x.c:2: amqp.h belongs to"),
    ("layers", "curl outside of rest", {"dispatcher/request.c": "#include <curl/curl.h>\n"}, "curl/curl.h belongs to"),
    ("layers", "Connector/C outside of db", {"worker/store.c": "#include <mysql.h>\n"}, "mysql.h belongs to"),
    ("layers", "the oracle includes the project", {"tests/tools/rabbit_x.c": '#include "common/buf.h"\n', "common/buf.h": ""}, "the oracle"),
    ("calls", "an ack outside of settle", {"worker/lane.c": "int f(void)\n{\n    return bus_ack(b, 1, 2, true);\n}\n"}, r"lane.c:3: bus_ack\(\)"),
    ("calls", "a log line in the dispatcher", {"dispatcher/x.c": 'void f(void)\n{\n    log_info ("x", NULL);\n}\n'}, r"x.c:3: log_info\(\)"),
    ("calls", "exit in a library", {"common/x.c": "/* no\n exit(1) */ int f(void) { exit(1); }\n"}, r"x.c:2: exit\(\)"),
    ("calls", "sprintf", {"tests/unit/x.c": 'int f(void) { return sprintf(a, "b"); }\n'}, r"sprintf\(\)"),
    ("calls", "a clock in pure code", {"dispatcher/x.c": "long f(void) { return time(NULL); }\n"}, r"time\(\)"),
    ("format", "a file that is not formatted", {"common/x.c": "int  f(void){return 1;}\n"}, "common/x.c:1:.*clang-format"),
    ("tidy", "a call on NULL", {"common/x.c": "int f(int *p)\n{\n    if (p)\n        return 1;\n    return *p;\n}\n"}, "NullDereference"),
    ("tidy", "seven parameters", {"common/x.c": "int f(int a, int b, int c, int d, int e, int g, int h)\n{\n    return a + b + h;\n}\n"},
     "7 parameters"),
    ("tidy", "five levels of nesting", {"common/x.c": NESTED}, "nesting level 5"),
    ("cppcheck", "an index past the end", {"common/x.c": "int f(void)\n{\n    int a[2] = {1, 2};\n    return a[2];\n}\n"}, "arrayIndexOutOfBounds"),
    ("complexity", "a function of McCabe 16", {"common/x.c": "int f(int a)\n{\n" + BRANCHES + "    return 0;\n}\n"}, "f: McCabe 16"),
    ("complexity", "a function of 81 lines", {"common/x.c": "int f(int a)\n{\n" + "    a++;\n" * 77 + "    return a;\n}\n"}, "f: McCabe 1, 81 lines"),
    ("size", "a file of 601 lines", {"worker/x.c": "\n" * 601}, "601 lines"),
    ("headers", "a header without a comment", {"common/x.h": HEADER.split("*/\n")[1]}, "no comment"),
    ("headers", "a header whose comment says nothing", {"common/x.h": HEADER.format("x")}, "no comment"),
    ("headers", "a header without its guard", {"common/x.h": HEADER.format("What it does for others, in a few words.").replace("_X_H", "_Y")},
     "no guard"),
    ("phpcs", "a method without a docblock",
     {"moodle-plugin/x.php": BOILERPLATE + CLASS.replace("    /** Does nothing. */\n", "")}, r"x.php:\d+.*doc comment"),
    ("phpcs", "a variable with an underscore",
     {"moodle-plugin/x.php": BOILERPLATE + CLASS.replace("void {\n", "void {\n        $a_b = 1;\n")}, r"x.php:\d+.*\$a_b"),
    ("phpcs", "a brace on a line of its own", {"moodle-plugin/x.php": BOILERPLATE + CLASS.replace("thing {", "thing\n{")}, r"x.php:\d+.*brace"),
    ("php", "a syntax error", {"tests/x.php": "<?php\nfunction {\n"}, "(?i)parse error"),
    ("licence", "another licence", {"moodle-plugin/x.php": BOILERPLATE.replace("either version 3", "either version 2") + DOCBLOCK}, "word for word"),
    ("licence", "no package", {"moodle-plugin/x.php": BOILERPLATE + DOCBLOCK.replace("local_integrationhub", "core")}, "@package"),
    ("shellcheck", "a variable that is not quoted", {"run-x": '#!/bin/bash\nrm -r $1\n'}, "run-x:2:.*SC2086"),
    ("shellcheck", "a sourced file", {"x.sh": "# shellcheck shell=bash\nf() { cd $1; }\n"}, "x.sh:2:.*SC"),
    ("python", "an import that nobody uses", {"x.py": '"""X."""\nimport os\n'}, "x.py:2:.*unused"),
    ("python", "a function without docstring", {"tests/run": '#!/usr/bin/python3\n"""X."""\n\n\ndef f():\n    return 1\n'},
     "tests/run:5: f has no docstring"),
    ("python", "a long line", {"x.py": f'"""{"x" * 150}"""\n'}, "156 columns"),
    ("json", "a comma too many", {"x.json": '{"a": 1,}\n'}, "x.json"),
    ("json", "a number that JSON has not", {"x.json": '{"a": NaN}\n'}, "NaN is no JSON"),
    ("json", "a bad line among good ones", {"x.jsonl": '{}\n{"a"}\n{}\n'}, "x.jsonl: line 2"),
    ("docs", "a setting that is gone", {"README.md": "", "docs/x.md": "Set `[broker] nothing`.\n"}, r"x.md: there is no setting \[broker\] noth"),
    ("docs", "an option that is gone", {"README.md": "    mihctl render --nothing 7\n", "deploy/man/mihctl.1": ".It Fl -event\n"}, "no --nothing"),
    ("docs", "a file that is gone", {"README.md": "", "docs/x.md": "See `gone.md`.\n"}, "gone.md does not exist"),
    ("docs", "a label that is gone", {"README.md": "", "docs/administrator.md": "Press *Nothing*.\n"}, "no page says: Nothing"),
    ("docs", "words that no program says", {"README.md": "", "docs/x.md": "| `never said so` | x |\n", "worker/x.c": ""}, "says: never said so"),
    ("undone", "unfinished work without an issue", {"common/x.c": "/* TO" + "DO: later */\n"}, "common/x.c:1"),
)


class Trial:
    """One bad snippet."""

    def __init__(self, check, files, expected):
        self.check, self.files, self.expected = check, files, re.compile(expected)

    def __call__(self):
        """[] when the check finds it, else what it found instead."""
        with tempfile.TemporaryDirectory(prefix="mih-lint-") as root:
            for path, text in self.files.items():
                os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                    file.write(text)
            for name in COPIED:
                shutil.copy(os.path.join(TOP, name), root)
            commands = [{"directory": root, "file": path, "command": f"clang -std=gnu17 -I. -c {path}"} for path in self.files if path.endswith(".c")]
            with open(os.path.join(root, "compile_commands.json"), "w", encoding="utf-8") as file:
                json.dump(commands, file)
            return self.judge(self.check(Tree(root, root)))

    def judge(self, findings):
        """[] when one of the findings is the one expected."""
        if any(self.expected.search(finding) for finding in findings):
            return []
        return [f"nothing it finds matches {self.expected.pattern}:", *findings]


def soft_program():
    """A program without any hardening lacks all of it."""
    with tempfile.TemporaryDirectory(prefix="mih-lint-") as folder:
        source, program = os.path.join(folder, "x.c"), os.path.join(folder, "x")
        with open(source, "w", encoding="utf-8") as file:
            file.write('#include <stdio.h>\n#include <string.h>\nint main(int n, char **v)\n{\n    char a[64];\n    strcpy(a, v[n - 1]);\n'
                       '    return puts(a);\n}\n')
        done = run(["gcc", "-w", "-O2", "-U_FORTIFY_SOURCE", "-fno-stack-protector", "-fno-pie", "-no-pie", "-Wl,-z,norelro,-z,lazy,-z,execstack",
                    source, "-o", program], folder)
        if done.returncode != 0:
            return [done.stdout]
        faults = checks_program.hardening_faults(program)
    return [f"does not find that it {fault}" for _, _, fault in checks_program.HARDENING if f"x {fault}" not in faults]


def changed_readme():
    """A default that was changed in one place only, and lost marks."""
    tree = Tree(TOP)
    table, readme = checks_program.settings_table(tree), tree.read("README.md")
    missed = []
    if not checks_program.readme_faults(readme, table.replace("`3306`", "`3307`")):
        missed.append("does not find another default")
    page = "deploy/man/mih.conf.5"
    if not checks_program.readme_faults(tree.read(page), checks_program.settings_table(tree, page).replace("3306", "3307"), page):
        missed.append("does not find another default in the manual page")
    if not checks_program.readme_faults(readme.replace(checks_program.WRITTEN["README.md"][1], ""), table):
        missed.append("does not find that a mark is missing")
    return missed


def changed_examples():
    """A key that does not exist, one that is not named, and another value than the default."""
    tree = Tree(TOP)
    good, worker = tree.read(checks_program.EXAMPLE), tree.built("mih-worker")[0]
    bad = (("port = 3306\n", "prot = 3306\n", "prot"), ("port = 3306\n", "", "database.port is not in it"),
           ("port = 3306\n", "port = 3307\n", "database.port is 3307"))
    missed = []
    for before, after, expected in bad:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
            file.write(good.replace(before, after))
            file.flush()
            faults = checks_program.example_faults(worker, file.name)
        if not any(expected in fault for fault in faults):
            missed.append(f"does not find {expected}: {faults}")
    return missed


def changed_page():
    """A macro that does not exist, an option that only one side knows, a command without an entry."""
    tree = Tree(TOP)
    path = checks_deploy.PAGES["mih-replayer"]
    page, said = tree.read(path), tree.run([*tree.built("mih-replayer"), "--help"]).stdout
    missed = []
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".8") as file:
        file.write(page.replace(".Sh FILES", ".Shh FILES"))
        file.flush()
        if not any("macro" in fault for fault in checks_deploy.page_faults(file.name)):
            missed.append("does not find a macro that does not exist")
    for judge, changed, expected in ((checks_deploy.option_faults, page.replace(".It Fl -canary\n", ""), "does not tell of --canary"),
                                     (checks_deploy.option_faults, page.replace("-rate", "-ratio"), "does not know --ratio"),
                                     (checks_deploy.command_faults, page.replace(".It Cm reindex\n", ""), "the command reindex")):
        if not any(expected in fault for fault in judge("mih-replayer", changed, said)):
            missed.append(f"does not find: {expected}")
    return missed


def open_unit():
    """A service that may do more than it should."""
    tree = Tree(TOP)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".service") as file:
        file.write(re.sub(r"^(CapabilityBoundingSet|SystemCallFilter|PrivateUsers)=.*$", "", tree.read(checks_deploy.SERVICES[1]), flags=re.M))
        file.flush()
        faults = checks_deploy.exposure_faults(file.name)
    return [] if any("is above" in fault for fault in faults) else [f"does not find what was taken away: {faults}"]


PROGRAMS = (("manual", "a wrong macro, options and commands that only one side knows", changed_page),
            ("units", "a service without some of its sandbox", open_unit),
            ("hardening", "a program without any", soft_program), ("readme", "another default, a lost mark", changed_readme),
            ("example", "unknown, missing and changed settings", changed_examples))


def trials(checks):
    """(name, trial) for each of these checks; one without a trial gets one that fails."""
    tried = [(check, f"self-test of {check}: {title}", Trial(checks[check], files, expected))
             for check, title, files, expected in SNIPPETS if check in checks]
    tried += [(check, f"self-test of {check}: {title}", trial) for check, title, trial in PROGRAMS if check in checks]
    names = {check for check, _, _ in tried}
    tried += [(check, f"self-test of {check}", lambda: ["there is none"]) for check in checks if check not in names]
    return [(name, trial) for _, name, trial in tried]
