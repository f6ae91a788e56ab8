"""Checks of the C code."""
import os
import re

from tree import PROJECT, compiled, complaints, in_parallel

MAY_INCLUDE = {"common": {"common"}, "dispatcher": {"common", "dispatcher"}, "worker": {"common", "dispatcher", "worker"}}
# Header of a library, and the files that own the library.
OWNERS = (
    (re.compile(r"amqp"), re.compile(r"common/bus(_\w+)?\.[ch]")),
    (re.compile(r"curl/"), re.compile(r"dispatcher/(rest|resttrouble|watcher)(_\w+)?\.[ch]")),
    (re.compile(r"mysql|mariadb/"), re.compile(r"common/db(\w+)?\.[ch]")),
    (re.compile(r"libxml/"), re.compile(r"dispatcher/(xml|soap|wsdl)(\w+)?\.[ch]")),
    (re.compile(r"systemd/"), re.compile(r"worker/(supervisor|replayer)\.c")),
)
# Functions, and the only files that may call them.
CALLERS = (
    (r"bus_ack|bus_reject", re.compile(r"common/bus\w*\.[ch]|worker/settle\.c|tests/.*")),
    (r"log_(error|warning|info|debug)", re.compile(r"common/log\.[ch]|worker/.*|tests/.*")),
    (r"exit|_exit|err|errx", re.compile(r"worker/mih\w*\.c|worker/spawn\.c|tests/.*")),
    (r"time|gettimeofday|getrandom|random|rand", re.compile(r"common/timing\.c|tests/.*")),
    (r"strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|system|popen|alloca", re.compile(r"$.")),
)
MAX_LINES, MAX_FUNCTION, MAX_MCCABE = 600, 80, 15
SILENT = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|//[^\n]*|/\*.*?\*/', re.S)


def c_files(tree, under=""):
    """All C files, headers too."""
    return tree.ending(".c", ".h", under=under)


def bare(source):
    """The code without comments and with empty literals; lines stay where they are."""
    return SILENT.sub(lambda match: '""' if match[0][0] == '"' else "\n" * match[0].count("\n") or " ", source)


def include_faults(tree, path, name, system):
    """What is wrong with one #include."""
    folder = path.split("/")[0]
    if system:
        return [f"{name} belongs to {owner.pattern}" for header, owner in OWNERS
                if folder in PROJECT and header.match(name) and not owner.fullmatch(path)]
    target = name.split("/")[0]
    if folder not in PROJECT:
        oracle = re.match(r"tests/tools/rabbit", path) and target in PROJECT
        return [f"the oracle shares no code with the project, but includes {name}"] if oracle else []
    if name not in tree.files:
        return [f'"{name}" is no file: an include carries the folder']
    return [] if target in MAY_INCLUDE[folder] else [f"{folder} must not include {name}"]


def layers(tree):
    """Includes go worker -> dispatcher -> common only, carry the folder, and leave each library to its owner."""
    findings = []
    for path in c_files(tree):
        for number, line in enumerate(tree.read(path).splitlines(), 1):
            match = re.match(r'\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', line)
            if match:
                faults = include_faults(tree, path, match[1] or match[2], bool(match[2]))
                findings += [f"{path}:{number}: {fault}" for fault in faults]
    return findings


def calls(tree):
    """Acks, logs, clocks and exits are called only where they belong; unbounded and shell functions nowhere."""
    findings = []
    for path in c_files(tree):
        lines = bare(tree.read(path)).splitlines()
        for names, allowed in CALLERS:
            if allowed.fullmatch(path):
                continue
            pattern = re.compile(rf"(?<![\w.>])({names})\s*\(")
            findings += [f"{path}:{number}: {match[1]}() is not for this file"
                         for number, line in enumerate(lines, 1) for match in pattern.finditer(line)]
    return findings


def format_(tree):
    """clang-format has nothing to change."""
    files = c_files(tree)
    return complaints(tree.run(["clang-format-14", "--dry-run", "-Werror", "--ferror-limit=3", *files]), tree.root) if files else []


def tidy(tree):
    """clang-tidy with .clang-tidy, one file a process: a second file in one process sees the options of the first."""
    folder = tree.compile_commands()
    files = compiled(folder)
    missing = {tree.path(path) for path in tree.ending(".c")} - set(files)
    return [f"{os.path.relpath(path, tree.root)}: nothing compiles it" for path in sorted(missing)] + in_parallel(
        lambda path: complaints(tree.run(["clang-tidy-14", "--quiet", "-p", folder, path]), tree.root), files)


def cppcheck(tree):
    """cppcheck has nothing to say.

    Suppressed: unusedStructMember (2.10 takes fields that only a table fills for unused), variableScope (declarations may stand at the top
    of a block), varFuncNullUB (POSIX has NULL be a pointer, and every compiler here passes it as one), missingIncludeSystem.  With the system's
    headers out of sight it must be told that attributes are none of its business."""
    command = ["cppcheck", "--quiet", "--enable=warning,style,performance,portability", "--inline-suppr", "--std=c17", "--error-exitcode=1",
               "-D_GNU_SOURCE", '-DMIH_VERSION="0"', "-D__attribute__(x)=", "-I.", f"-j{os.cpu_count() or 1}", "--template=gcc"]
    command += [f"--suppress={name}" for name in ("unusedStructMember", "variableScope", "varFuncNullUB", "missingIncludeSystem")]
    return complaints(tree.run(command + tree.ending(".c")), tree.root)


def complexity(tree):
    """pmccabe: functions of at most 80 lines and McCabe 15 (clang-tidy counts nesting and parameters)."""
    findings, counted = [], 0
    done = tree.run(["pmccabe", *tree.ending(".c")])
    for line in done.stdout.splitlines():
        fields = line.split("\t")
        if len(fields) < 6 or not fields[0].isdigit():
            findings.append(line)
            continue
        counted += 1
        _, mccabe, _, _, lines = map(int, fields[:5])
        if mccabe > MAX_MCCABE or lines > MAX_FUNCTION:
            findings.append(f"{fields[5]}: McCabe {mccabe}, {lines} lines")
    return findings if counted else ["pmccabe saw no function"]


def size(tree):
    """C files have at most 600 lines."""
    counted = ((path, tree.read(path).count("\n")) for path in c_files(tree))
    return [f"{path}: {lines} lines" for path, lines in counted if lines > MAX_LINES]


def headers(tree):
    """A header opens with a comment that says what the module is for, then its guard, named after the file."""
    findings = []
    for path in tree.ending(".h"):
        source = tree.read(path)
        comment = re.match(r"/\*\n((?: \*.*\n)+?) \*/\n", source)
        if not comment or len(re.findall(r"\w+", comment[1])) < 6 or "." not in comment[1]:
            findings.append(f"{path}: opens with no comment that says what it is for")
        if path.split("/")[0] in PROJECT:
            guard = "MIH_" + re.sub(r"\W", "_", path).upper()
            if f"#ifndef {guard}\n#define {guard}\n" not in source:
                findings.append(f"{path}: no guard {guard}")
    return findings


CHECKS = {"layers": layers, "calls": calls, "format": format_, "tidy": tidy, "cppcheck": cppcheck, "complexity": complexity, "size": size,
          "headers": headers}
