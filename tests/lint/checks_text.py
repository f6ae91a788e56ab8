"""Checks of everything that is not C: PHP, Python, shell, JSON, and words that stand anywhere."""
import ast
import json
import os
import re

from tree import complaints, in_parallel

PLUGIN = "moodle-plugin/"
STANDARD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "MihMoodle")
BOILERPLATE = """<?php
// This file is part of Moodle - https://moodle.org/
//
// Moodle is free software: you can redistribute it and/or modify
// it under the terms of the GNU General Public License as published by
// the Free Software Foundation, either version 3 of the License, or
// (at your option) any later version.
//
// Moodle is distributed in the hope that it will be useful,
// but WITHOUT ANY WARRANTY; without even the implied warranty of
// MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE.  See the
// GNU General Public License for more details.
//
// You should have received a copy of the GNU General Public License
// along with Moodle.  If not, see <https://www.gnu.org/licenses/>.

"""
TAGS = (r"@package\s+local_integrationhub$", r"@copyright\s+\S+", r"@license\s+https?://\S+ GNU GPL v3 or later$")
# The files that are no JSON on purpose.
NOT_JSON = {"tests/cases/event-not-json/event.json"}
BINARY = (".png", ".gz", ".zip", ".ico", ".woff2")
# Without these words in this file, or it would find itself.
UNDONE = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b(?!.{0,10}(#\d|issue \d|M(DL|IH)-\d))")
LINE_WIDTH = 150


def phpcs(tree):
    """phpcs with MihMoodle: Moodle's coding style."""
    if not tree.ending(".php", under=PLUGIN):
        return []
    return complaints(tree.run(["phpcs", "-q", "--report=emacs", f"--standard={STANDARD}", PLUGIN]), tree.root)


def php(tree):
    """PHP itself reads every PHP file."""
    return in_parallel(lambda path: complaints(tree.run(["php", "-d", "error_reporting=-1", "-d", "display_errors=stdout", "-l", path]), tree.root),
                       tree.ending(".php"))


def licence(tree):
    """Every file of the plugin says under which licence it stands, in Moodle's words."""
    findings = []
    for path in tree.ending(".php", under=PLUGIN):
        source = tree.read(path)
        docblock = source[len(BOILERPLATE):].split("*/")[0]
        if not source.startswith(BOILERPLATE):
            findings.append(f"{path}:2: the licence is not there, word for word")
        findings += [f"{path}: its first docblock has no {tag}" for tag in TAGS if not re.search(tag, docblock, re.M)]
    return findings


def shell(tree):
    """shellcheck has nothing to say about any shell script."""
    scripts = [path for path in tree.files if path.endswith(".sh") or is_script(tree.path(path), b"sh")]
    return complaints(tree.run(["shellcheck", "-x", "-f", "gcc", *scripts]), tree.root) if scripts else []


def is_script(path, interpreter):
    """True when the file's first line calls this interpreter."""
    with open(path, "rb") as file:
        first = file.readline(80)
    return first.startswith(b"#!") and re.search(rb"\b(ba)?" + interpreter + rb"[\d.]*\s*$", first) is not None


def undocumented(module, path):
    """Modules, and their classes and functions, without a docstring.  Methods need one where their name does not say enough: not ours to judge."""
    if not ast.get_docstring(module):
        yield f"{path}:1: no docstring"
    for node in module.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_") and not ast.get_docstring(node):
            yield f"{path}:{node.lineno}: {node.name} has no docstring"


def python(tree):
    """pyflakes is content; modules, classes and functions have docstrings; lines at most 150 columns."""
    scripts = [path for path in tree.files if path.endswith(".py") or is_script(tree.path(path), b"python")]
    findings = complaints(tree.run(["pyflakes3", *scripts]), tree.root) if scripts else []
    for path in scripts:
        source = tree.read(path)
        try:
            findings += undocumented(ast.parse(source), path)
        except SyntaxError as error:
            findings.append(f"{path}:{error.lineno}: {error.msg}")
        findings += [f"{path}:{number}: {len(line)} columns" for number, line in enumerate(source.splitlines(), 1) if len(line) > LINE_WIDTH]
    return findings


def refused_constant(name):
    """Python reads NaN and Infinity, JSON has none."""
    raise ValueError(f"{name} is no JSON")


def json_(tree):
    """JSON files parse, and every line of .jsonl files does."""
    findings = []
    for path in tree.ending(".json", ".jsonl"):
        if path in NOT_JSON:
            continue
        texts = tree.read(path)
        for number, one in enumerate(texts.splitlines() if path.endswith("l") else [texts], 1):
            try:
                json.loads(one, parse_constant=refused_constant)
            except ValueError as error:
                findings.append(f"{path}: {'line ' + str(number) + ': ' if path.endswith('l') else ''}{error}")
    return findings


def undone(tree):
    """No marker of unfinished work without the number of its issue."""
    findings = []
    for path in tree.files:
        if path.endswith(BINARY) or path.startswith("tests/lint/MihMoodle/"):
            continue
        for number, line in enumerate(tree.read(path).splitlines(), 1):
            if UNDONE.search(line):
                findings.append(f"{path}:{number}: {line.strip()[:100]}")
    return findings


CHECKS = {"phpcs": phpcs, "php": php, "licence": licence, "shellcheck": shell, "python": python, "json": json_, "undone": undone}
