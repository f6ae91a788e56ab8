"""Tests of the Moodle plugin: what needs no Moodle always, the rest in a real one when MOODLE_DIR names a tree of its code.

    run.py [NAME...]        NAME is a part of a test's name; `phpunit` stands for the PHPUnit tests

The last line is the sum: N passed, N failed, N skipped.
"""
import glob
import os
import re
import signal
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "harness")]

import integration                                                       # noqa: E402  (the paths come first)
import moodle_site                                                       # noqa: E402

# The upgrade leaves no plugin behind: last.
MODULES = ("test_plain", "test_events", "test_failures", "test_tools", "test_gateway", "test_pages", "test_story", "test_upgrade")
PLUGIN = os.path.join(os.path.dirname(os.path.dirname(HERE)), "moodle-plugin")


def phpunit_methods():
    """How many test methods there are: what is skipped without a Moodle."""
    methods = 0
    for path in glob.glob(os.path.join(PLUGIN, "tests", "**", "*_test.php"), recursive=True):
        with open(path, encoding="utf-8") as stream:
            methods += len(re.findall(r"^    public function test_", stream.read(), re.M))
    return methods


def phpunit_counts():
    """Waits for PHPUnit and tells its cases; returns (passed, failed, skipped)."""
    if not os.environ.get("MOODLE_DIR"):
        skipped = phpunit_methods()
        print(f"skip {skipped} PHPUnit tests\n      {moodle_site.REASON}")
        return 0, 0, skipped
    run = moodle_site.site().phpunit
    run.join()
    words = [word for _, word, _ in run.cases]
    for name, word, text in run.cases:
        if word != "ok":
            print(f"{word:<5} {name}\n" + "".join(f"      {line}\n" for line in text.rstrip().splitlines()))
    print(f"{'FAIL' if 'FAIL' in words else 'ok':<5} {len(words)} PHPUnit tests, {words.count('FAIL')} failed")
    return words.count("ok"), words.count("FAIL"), words.count("skip")


def main():
    """Entry point; 0 when nothing failed."""
    names = sys.argv[1:]
    with_phpunit = not names or "phpunit" in names
    if not with_phpunit:
        os.environ["MIH_NO_PHPUNIT"] = "1"
    signal.signal(signal.SIGALRM, integration.overtime)
    suite = unittest.TestSuite()
    for module in MODULES:
        tests = integration.tests_of(unittest.defaultTestLoader.loadTestsFromName(module))
        suite.addTests(test for test in tests if not names or any(name in test.id() for name in names))
    result = integration.Result()
    suite.run(result)
    counts = result.counts()
    if with_phpunit:
        counts = tuple(map(sum, zip(counts, phpunit_counts())))
    print("{} passed, {} failed, {} skipped".format(*counts))
    return 1 if counts[1] else 0


if __name__ == "__main__":
    sys.exit(main())
