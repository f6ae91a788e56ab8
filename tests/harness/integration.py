"""Runs tests/integration/test_*.py, all in one process, so that they can share one broker and one database (shared.py).

    integration.py [--smoke] [--shared FOLDER] [--result FILE] [NAME...]

NAME is a part of a test's name (file.Class.test); without one all run.  --smoke runs only the tests marked with `shared.smoke`: the short ones that
are repeated under the sanitizers.  A test that takes longer than its class says (`seconds`, default 300) fails.  --result takes the counts as JSON.
Processes with the same --shared folder, empty at first, share the classes among them: each takes the next one that no other has.
"""
import argparse
import json
import os
import signal
import sys
import time
import traceback
import unittest

import fleet

FOLDER = os.path.join(fleet.TOP, "tests", "integration")
DEFAULT_SECONDS = 300


class Overtime(Exception):
    """A test took longer than it may."""


def overtime(_number, _frame):
    """What SIGALRM does."""
    raise Overtime("the test takes too long")


class Result(unittest.TestResult):
    """One line per test as it ends, the reason under it when it failed."""

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()
        signal.alarm(getattr(test, "seconds", DEFAULT_SECONDS))

    def stopTest(self, test):
        signal.alarm(0)
        super().stopTest(test)

    def _say(self, word, test, text=""):
        print(f"{word:<5}{time.monotonic() - getattr(self, 'began', time.monotonic()):7.1f} s  {test.id()}", flush=True)
        if text:
            print("".join(f"      {line}\n" for line in text.rstrip().splitlines()), flush=True)

    def addSuccess(self, test):
        self._say("ok", test)

    def addError(self, test, err):
        super().addError(test, err)
        self._say("FAIL", test, "".join(traceback.format_exception(*err)))

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._say("FAIL", test, "".join(traceback.format_exception(*err)))

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._say("FAIL", subtest, "".join(traceback.format_exception(*err)))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._say("skip", test, reason)

    def counts(self):
        """(passed, failed, skipped); a failure outside a test, as in setUpClass, counts as one."""
        failed = len(self.failures) + len(self.errors) + len(self.unexpectedSuccesses)
        skipped = len(self.skipped)
        bad_tests = {test.id() for test, _ in self.failures + self.errors if not hasattr(test, "test_case")}
        bad_tests |= {test.test_case.id() for test, _ in self.failures + self.errors if hasattr(test, "test_case")}
        return max(0, self.testsRun - len(bad_tests) - skipped), failed, skipped


def tests_of(suite):
    """All tests in nested suites."""
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from tests_of(item)
        else:
            yield item


def chosen(test, options):
    """Whether the command line asks for the test."""
    method = getattr(test, getattr(test, "_testMethodName", ""), None)
    if options.smoke and not (getattr(method, "smoke", False) or isinstance(test, unittest.loader._FailedTest)):
        return False
    if not options.names:
        return getattr(method, "long", False) == options.long
    return any(name in test.id() for name in options.names)


def claim(folder, test_class):
    """Whether the class is this process's, and now no other's."""
    try:
        os.close(os.open(os.path.join(folder, f"{test_class.__module__}.{test_class.__qualname__}"), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def run_shared(tests, folder, result):
    """Runs the tests class by class, those that no other process has claimed."""
    for test_class in dict.fromkeys(type(test) for test in tests):
        if claim(folder, test_class):
            unittest.TestSuite(test for test in tests if type(test) is test_class).run(result)
            result._previousTestClass = None    # a suite that begins would tear down the class of the one before, again


def main():
    """Entry point; 0 when nothing failed."""
    parser = argparse.ArgumentParser(prog="integration.py")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--long", action="store_true", help="those that take long, and only those")
    parser.add_argument("--result")
    parser.add_argument("--shared", metavar="FOLDER", help="where the processes that share the tests say what they take")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    sys.path.insert(0, FOLDER)
    signal.signal(signal.SIGALRM, overtime)
    loader = unittest.TestLoader()
    suite = unittest.TestSuite()
    for name in sorted(os.listdir(FOLDER)):
        if name.startswith("test_") and name.endswith(".py"):
            suite.addTests(test for test in tests_of(loader.loadTestsFromName(name[:-3])) if chosen(test, options))
    result = Result()
    if options.shared:
        run_shared(list(tests_of(suite)), options.shared, result)
    else:
        suite.run(result)
    passed, failed, skipped = result.counts()
    if options.result:
        with open(options.result, "w", encoding="utf-8") as stream:
            json.dump([passed, failed, skipped], stream)
    else:
        print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
