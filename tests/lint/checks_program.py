"""Checks of the built mih-worker, and of the texts that must say the same as it does."""
import configparser
import os
import re

from tree import run

BEGIN, END = "<!-- settings -->\n", "<!-- /settings -->\n"
EXAMPLE = "deploy/mih.conf.example"
# Settings of the example that no two sites share; all others show their default.
OWN = {"broker.url", "database.password"}
# What readelf must show, and where.
HARDENING = (
    ("position independent", r"^\s*Type:\s+DYN \(Position-Independent Executable", "is no PIE"),
    ("all symbols at start", r"\(FLAGS_1\).*\bNOW\b", "binds lazily (no BIND_NOW)"),
    ("read-only relocations", r"^\s*GNU_RELRO\b", "has no RELRO segment"),
    ("stack", r"^\s*GNU_STACK\s.*\sRW\s", "has an executable stack, or none declared"),
    ("stack protector", r"\b__stack_chk_fail\b", "has no stack protector"),
    ("fortified functions", r"\b__(?!stack)\w+_chk\b", "calls no fortified function"),
)


def hardening_faults(program):
    """What a program lacks of the hardening."""
    done = run(["readelf", "--wide", "--file-header", "--program-headers", "--dynamic", "--dyn-syms", program], "/")
    if done.returncode != 0:
        return [done.stdout]
    faults = [f"{os.path.basename(program)} {fault}" for _, pattern, fault in HARDENING if not re.search(pattern, done.stdout, re.M)]
    if re.search(r"^\s*LOAD\s.*\sRWE\s", done.stdout, re.M):
        faults.append(f"{os.path.basename(program)} has memory that can be written and executed")
    return faults


def hardening(tree):
    """The programs as they are shipped: PIE, BIND_NOW, RELRO, no executable stack, stack protector, fortified functions."""
    return [fault for program in tree.built("mih-worker", "mih-replayer", "mihctl") for fault in hardening_faults(program)]


def settings_table(tree):
    """The table of settings in Markdown, from the program's own."""
    done = tree.run(tree.built("mih-test-settings"))
    if done.returncode != 0:
        raise OSError(f"mih-test-settings: {done.stdout}")
    return "\n" + done.stdout + "\n"


def readme_faults(readme, table):
    """Where the README's table differs from the program's."""
    if readme.count(BEGIN) != 1 or readme.count(END) != 1:
        return ["README.md: the marks around the settings are not there once each"]
    written = readme.split(BEGIN)[1].split(END)[0]
    if written == table:
        return []
    ours, theirs = set(written.splitlines()), set(table.splitlines())
    return ["README.md: run tests/lint/run --write-readme", *(f"- {line}" for line in sorted(ours - theirs)),
            *(f"+ {line}" for line in sorted(theirs - ours))]


def readme(tree):
    """The README's table of settings is the program's own."""
    return readme_faults(tree.read("README.md"), settings_table(tree))


def write_readme(tree):
    """Puts the table where the check looks for it; 0 when it could."""
    text = tree.read("README.md")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        print("README.md: the marks around the settings are not there once each")
        return 1
    before, rest = text.split(BEGIN)
    with open(tree.path("README.md"), "w", encoding="utf-8") as file:
        file.write(before + BEGIN + settings_table(tree) + END + rest.split(END)[1])
    return 0


def without_settings():
    """The environment without variables that set something."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MIH_")}


def values(text):
    """section.key -> value of a configuration file."""
    parser = configparser.RawConfigParser(comment_prefixes=("#", ";"), inline_comment_prefixes=None, delimiters=("=",), strict=True)
    parser.read_string(text)
    return {f"{section}.{key}": value for section in parser.sections() for key, value in parser[section].items()}


def example_faults(worker, path):
    """What the program says against a configuration file, which settings it leaves out, and where it shows no default."""
    environment = without_settings()
    checked = run([worker, "--config", path, "--check-config"], "/", environment)
    if checked.returncode != 0:
        return [checked.stdout.strip()]
    defaults = run([worker, "--config", "/dev/null", "--dump-config"], "/", environment)
    ours = run([worker, "--config", path, "--dump-config"], "/", environment)
    if defaults.returncode or ours.returncode:
        return [defaults.stdout, ours.stdout]
    with open(path, encoding="utf-8") as file:
        named = values(file.read())
    defaults, ours = values(defaults.stdout), values(ours.stdout)
    return [f"{key} is not in it" for key in defaults if key not in named] + [
        f"{key} is {ours[key]}, its default {defaults[key]}" for key in defaults if ours[key] != defaults[key] and key not in OWN]


def example(tree):
    """deploy/mih.conf.example is accepted, names every setting, and shows the defaults."""
    return [f"{EXAMPLE}: {fault}" for fault in example_faults(tree.built("mih-worker")[0], tree.path(EXAMPLE))]


CHECKS = {"hardening": hardening, "readme": readme, "example": example}
