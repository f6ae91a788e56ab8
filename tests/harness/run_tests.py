"""./run-tests: every test of the project, section by section, and one line with the counts at the end."""
import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

import fleet
import guard

SECTIONS = ("unit", "integration", "faults", "plugin", "lint", "fuzz", "sanitize", "systemd", "package")
CHECKS = {"lint": "tests/lint/run", "fuzz": "tests/fuzz/run"}
MACHINE = "tests/systemd/run.py"
CLOSING = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$")
UNIT_SECONDS = 300
CHECK_SECONDS = 3600
PROCESSES = 3  # of integration tests, which wait more than they work


class Counts:
    """Passed, failed, skipped."""

    def __init__(self, passed=0, failed=0, skipped=0):
        self.passed, self.failed, self.skipped = passed, failed, skipped

    def add(self, other):
        """Adds another's counts."""
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def build(name, build_type, compiler):
    """Configures and builds into the folder; returns (folder, Counts of one)."""
    folder = os.path.join(fleet.TOP, name)
    done = run(["cmake", "-S", fleet.TOP, "-B", folder, "-G", "Ninja", f"-DCMAKE_BUILD_TYPE={build_type}", f"-DCMAKE_C_COMPILER={compiler}",
                "-DMIH_WERROR=ON", "-DMIH_TESTS=ON"])
    if done.returncode == 0:
        done = run(["ninja", "-C", folder])
    if done.returncode != 0:
        print("\n".join(done.stdout.splitlines()[-80:]))
    return folder, Counts(int(done.returncode == 0), int(done.returncode != 0))


class Ahead:
    """A script that is started before its turn.  Tests wait more than they work and checks work more than they wait, so checks take only the time
    that the processors have left: together they take little more than the longer of the two.  What waits itself is no `idle` one."""

    # Linux schedules by session first, and only within one by policy and nice; a kernel that does not has no such file.
    YIELDING = 'echo 19 2>/dev/null > /proc/self/autogroup; exec chrt --idle 0 "$0" "$@"'

    def __init__(self, path, *arguments, idle=True):
        log = os.path.join(guard.folder("mih-ahead-"), "log")
        first = ["sh", "-c", self.YIELDING] if idle else []
        self.process = guard.Process([*first, *command_of(path), *arguments], log, cwd=fleet.TOP)

    def finish(self):
        """Waits for its end: (the lines that it wrote, its exit code)."""
        status = self.process.wait(CHECK_SECONDS)
        with open(self.process.log, encoding="utf-8", errors="replace") as stream:
            return stream.readlines(), status

    def drop(self):
        """Ends it with all that it started, when its turn will not come."""
        self.process.kill9()


def _end_with_this():
    """In a child: it is told to end when this process is killed."""
    guard.prctl(guard.PR_SET_PDEATHSIG, signal.SIGTERM)


def run(command, **options):
    """Runs a program in the top folder with its output captured."""
    return subprocess.run(command, cwd=fleet.TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", check=False, preexec_fn=_end_with_this, **options)


def tap_counts(output, status):
    """The counts of a cmocka program that wrote TAP.  One that dies, or tells fewer tests than it planned, has failed."""
    planned = sum(int(number) for number in re.findall(r"^1\.\.(\d+)", output, re.M))
    skipped = len(re.findall(r"^ok \d+.*# SKIP", output, re.M))
    passed = len(re.findall(r"^ok \d+", output, re.M)) - skipped
    failed = len(re.findall(r"^not ok \d+", output, re.M))
    if passed + failed + skipped < planned or planned == 0 or (status != 0 and failed == 0):
        failed += 1
    return Counts(passed, failed, skipped)


def unit_tests(folder):
    """Every bin/test_* of a build."""
    counts = Counts()
    environment = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP", MIH_BUILD=folder)
    programs = sorted(name for name in os.listdir(os.path.join(folder, "bin")) if name.startswith("test_"))
    for name in programs:
        try:
            done = run([os.path.join(folder, "bin", name)], env=environment, timeout=UNIT_SECONDS)
            output, status = done.stdout, done.returncode
        except subprocess.TimeoutExpired as error:
            output, status = (error.stdout or b"").decode(errors="replace") + f"\nstill running after {UNIT_SECONDS} s", -1
        one = tap_counts(output, status)
        print(f"{'ok' if one.failed == 0 else 'FAIL':<5} {name}: {one}" + (f", exit code {status}" if status else ""), flush=True)
        if one.failed:
            print("".join(f"      {line}\n" for line in output.splitlines() if not line.startswith("ok ")), flush=True)
        counts.add(one)
    return counts


def integration_tests(folder, smoke=False, names=()):
    """tests/integration in processes of its own that share the classes; their lines go straight to the screen."""
    counts = Counts()
    environment = dict(os.environ, MIH_BUILD=folder)
    with tempfile.TemporaryDirectory() as results, tempfile.TemporaryDirectory() as claims:
        running = []
        for number in range(PROCESSES):
            command = [sys.executable, os.path.join(fleet.TOP, "tests", "harness", "integration.py"), "--shared", claims, "--result",
                       os.path.join(results, str(number)), *["--smoke"] * smoke, *names]
            running.append(subprocess.Popen(command, cwd=fleet.TOP, env=environment, preexec_fn=_end_with_this))
        for number, process in enumerate(running):
            status = process.wait()
            try:
                with open(os.path.join(results, str(number)), encoding="utf-8") as stream:
                    counts.add(Counts(*json.load(stream)))
            except (OSError, ValueError):
                print(f"FAIL integration.py, process {number + 1}, ended with {status} before it could count")
                counts.add(Counts(failed=1))
    return counts


def command_of(path):
    """What runs a script of the project."""
    return [sys.executable, path] if path.endswith(".py") else [os.path.join(fleet.TOP, path)]


def script(path, *arguments):
    """A script of another folder: its counts from its closing line, else one for its exit code.  Missing: skipped."""
    if not os.path.exists(os.path.join(fleet.TOP, path)):
        print(f"skip  {path} does not exist")
        return Counts(skipped=1)
    process = subprocess.Popen([*command_of(path), *arguments], cwd=fleet.TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace", preexec_fn=_end_with_this)
    counts = told_counts(process.stdout)
    return script_result(path, counts, process.wait())


def told_counts(lines):
    """Prints a script's lines; the counts of its closing one, or None."""
    counts = None
    for line in lines:
        match = CLOSING.match(line.strip())
        if match:
            counts = Counts(*map(int, match.groups()))
        else:
            print(line, end="", flush=True)
    return counts


def script_result(path, counts, status):
    """What a script's counts and exit code come to; prints it."""
    if counts is None:
        counts = Counts(int(status == 0), int(status != 0))
    elif status != 0 and counts.failed == 0:
        counts.failed = 1
    print(f"{'ok' if counts.failed == 0 else 'FAIL':<5} {path}: {counts}")
    return counts


class Run:
    """The sections in order, and their sums."""

    def __init__(self, options):
        self.options = options
        self.chosen = [section for section in SECTIONS if getattr(options, section)] or list(SECTIONS)
        self.machine = [section for section in ("systemd", "package") if section in self.chosen]
        self.total = Counts()
        self.started = time.monotonic()
        self.ahead = {}

    def section(self, title, work, *arguments):
        """Runs one section under its title and adds its counts; returns them."""
        print(f"\n== {title}", flush=True)
        began = time.monotonic()
        counts = work(*arguments)
        self.total.add(counts)
        print(f"-- {title}: {counts} ({time.monotonic() - began:.0f} s)", flush=True)
        return counts

    def build(self, title, name, build_type, compiler):
        """A build as a section; returns the folder, or None when it failed."""
        place = []

        def work():
            folder, counts = build(name, build_type, compiler)
            place.append(folder)
            return counts
        return None if self.section(title, work).failed else place[0]

    def all(self):
        """Every chosen section."""
        folder = None
        if {"unit", "integration", "faults", "plugin", "systemd", "package"} & set(self.chosen):
            folder = self.build("build with gcc, warnings are errors", "build", "Release", "gcc")
        if folder and "unit" in self.chosen:
            self.section("unit tests and shared cases", unit_tests, folder)
        if folder and "integration" in self.chosen and not self.options.names:
            self.ahead = {path: Ahead(path) for section, path in CHECKS.items() if section in self.chosen}
            if self.machine:
                os.environ["MIH_BUILD"] = folder
                self.ahead[MACHINE] = Ahead(MACHINE, *self.machine, idle=False)
        try:
            self.tests(folder)
            self.checks()
        finally:
            for started in self.ahead.values():
                started.drop()

    def tests(self, folder):
        """The sections that run the programs against real parts."""
        if folder and "integration" in self.chosen:
            self.section("integration: real broker, database and programs", integration_tests, folder, False, self.options.names)
        if folder and "faults" in self.chosen:
            self.faults(folder)
        if folder and self.machine:
            os.environ["MIH_BUILD"] = folder
            self.section(f"{' and '.join(self.machine)}, in a clean Debian", self.check, MACHINE, *self.machine)
        if "plugin" in self.chosen:
            self.section("plugin", script, "tests/plugin/run.py")

    def checks(self):
        """The sections that need nothing but processors, and the tests under the sanitizers."""
        for section, path in CHECKS.items():
            if section in self.chosen:
                self.section(section, self.check, path)
        if "lint" in self.chosen:
            self.build("build with clang, warnings are errors", "build-clang", "Release", "clang")
        if "sanitize" in self.chosen:
            self.sanitize()

    def check(self, path, *arguments):
        """A script that may have been started ahead."""
        started = self.ahead.pop(path, None)
        if not started:
            return script(path, *arguments)
        lines, status = started.finish()
        return script_result(path, told_counts(lines), status)

    def faults(self, folder):
        """The fault suite: whole when it is asked for, else its short form."""
        os.environ["MIH_BUILD"] = folder
        if self.options.faults:
            self.section("faults, all of them (a quarter of an hour)", script, "tests/harness/faults.py", *self.options.names)
            if not self.options.names:
                self.section("integration: what takes long", script, "tests/harness/integration.py", "--long")
                self.section("systemd: all of it", script, MACHINE, "systemd", "--long")
        else:
            self.section("faults, short form", script, "tests/harness/faults.py", "--short")

    def sanitize(self):
        """Everything once more under AddressSanitizer and UndefinedBehaviorSanitizer."""
        folder = self.build("build with the sanitizers", "build-sanitize", "Sanitize", "clang")
        if folder:
            os.environ.setdefault("ASAN_OPTIONS", "abort_on_error=0:detect_leaks=1:strict_string_checks=1")
            os.environ.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
            self.section("unit tests under the sanitizers", unit_tests, folder)
            self.section("integration smoke under the sanitizers", integration_tests, folder, True)


def main():
    """Entry point; 0 when something ran and nothing failed."""
    parser = argparse.ArgumentParser(prog="run-tests", description="Runs the project's tests; without an option, all of them.  The last line is the "
                                     "sum: N passed, N failed, N skipped.")
    for section in SECTIONS:
        more = "; on its own it runs all cases and the longest integration tests, else a few with fewer events" if section == "faults" else ""
        parser.add_argument(f"--{section}", action="store_true", help=f"run the section {section}{more}")
    parser.add_argument("names", nargs="*", metavar="NAME", help="with --integration: only tests whose name holds this; with --faults: only "
                        "the cases with these numbers")
    run_ = Run(parser.parse_args())
    try:
        run_.all()
    except KeyboardInterrupt:
        print("\ninterrupted")
        run_.total.failed += 1
    print(f"\n{time.monotonic() - run_.started:.0f} s")
    print(run_.total)
    return 1 if run_.total.failed or not run_.total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
