"""Checks of the built mih-worker, and of the texts that must say the same as it does."""
import configparser
import os
import re

from tree import run

# Where the program's own table of settings stands: the marks around it, and how mih-test-settings is asked for it.
WRITTEN = {
    "README.md": ("<!-- settings -->\n", "<!-- /settings -->\n", ()),
    "deploy/man/mih.conf.5": ('.\\" settings\n', '.\\" /settings\n', ("--mdoc",)),
}
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


def settings_table(tree, path="README.md"):
    """What a text has between its marks, from the program's own table."""
    asked = WRITTEN[path][2]
    done = tree.run([*tree.built("mih-test-settings"), *asked])
    if done.returncode != 0:
        raise OSError(f"mih-test-settings: {done.stdout}")
    return done.stdout if asked else "\n" + done.stdout + "\n"


def readme_faults(text, table, path="README.md"):
    """Where a text's table differs from the program's."""
    begin, end, _ = WRITTEN[path]
    if text.count(begin) != 1 or text.count(end) != 1:
        return [f"{path}: the marks around the settings are not there once each"]
    written = text.split(begin)[1].split(end)[0]
    if written == table:
        return []
    ours, theirs = set(written.splitlines()), set(table.splitlines())
    return [f"{path}: run tests/lint/run --write-readme", *(f"- {line}" for line in sorted(ours - theirs)),
            *(f"+ {line}" for line in sorted(theirs - ours))]


def readme(tree):
    """The settings in the README and in mih.conf(5) are the program's own."""
    return [fault for path in WRITTEN for fault in readme_faults(tree.read(path), settings_table(tree, path), path)]


def write_readme(tree):
    """Puts the tables where the check looks for them; 0 when it could."""
    for path, (begin, end, _) in WRITTEN.items():
        text = tree.read(path)
        if text.count(begin) != 1 or text.count(end) != 1:
            print(f"{path}: the marks around the settings are not there once each")
            return 1
        before, rest = text.split(begin)
        with open(tree.path(path), "w", encoding="utf-8") as file:
            file.write(before + begin + settings_table(tree, path) + end + rest.split(end)[1])
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
