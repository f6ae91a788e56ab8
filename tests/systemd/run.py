"""Tests of the Debian package and of the units, in a clean Debian that a real systemd boots in namespaces (machine.py).

    run.py [--long] [systemd] [package] [NAME...]

`package`: the package is made, judged by lintian, installed by apt, and purged.  `systemd`: the units are scaled, killed, stopped and reloaded while
events are published, and every event is counted.  Without either both run, in one machine.  NAME is a part of a test's name.  --long runs those, too,
that take long.
"""
import os
import signal
import sys
import unittest

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [FOLDER, os.path.join(os.path.dirname(FOLDER), "harness")]

import integration  # noqa: E402  the modules of the folders above
import test_operator  # noqa: E402
import test_package  # noqa: E402
import test_units  # noqa: E402
import world  # noqa: E402

SUITES = {"package": (test_package.Making, test_package.Installing, test_package.Purging), "systemd": (test_units.Units, test_operator.Operator)}
ORDER = (test_package.Making, test_package.Installing, test_units.Units, test_package.Purging, test_operator.Operator)


def main():
    """Entry point; 0 when nothing failed."""
    words = [word for word in sys.argv[1:] if word != "--long"]
    chosen = [word for word in words if word in SUITES] or list(SUITES)
    names = [word for word in words if word not in SUITES]
    wanted = {case for name in chosen for case in SUITES[name]}

    def asked_for(test):
        if names:
            return any(name in test.id() for name in names)
        return "--long" in sys.argv or not getattr(getattr(test, test._testMethodName), "long", False)
    suite = unittest.TestSuite(test for case in ORDER if case in wanted for test in unittest.TestLoader().loadTestsFromTestCase(case)
                               if asked_for(test))
    signal.signal(signal.SIGALRM, integration.overtime)
    result = integration.Result()
    try:
        suite.run(result)
    finally:
        world.close()
    passed, failed, skipped = result.counts()
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
