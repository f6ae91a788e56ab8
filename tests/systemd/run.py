"""Tests of the Debian package and of the units, in a clean Debian that a real systemd boots in namespaces (machine.py).

    run.py [systemd] [package] [NAME...]

`package`: the package is made, judged by lintian, installed by apt, and purged.  `systemd`: the units are scaled, killed, stopped and reloaded while
events are published, and every event is counted.  Without either both run, in one machine.  NAME is a part of a test's name.
"""
import os
import signal
import sys
import unittest

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [FOLDER, os.path.join(os.path.dirname(FOLDER), "harness")]

import integration  # noqa: E402  the modules of the folders above
import test_package  # noqa: E402
import test_units  # noqa: E402
import world  # noqa: E402

SUITES = {"package": (test_package.Making, test_package.Installing, test_package.Purging), "systemd": (test_units.Units,)}
ORDER = (test_package.Making, test_package.Installing, test_units.Units, test_package.Purging)


def main():
    """Entry point; 0 when nothing failed."""
    chosen = [name for name in sys.argv[1:] if name in SUITES] or list(SUITES)
    names = [name for name in sys.argv[1:] if name not in SUITES]
    wanted = {case for name in chosen for case in SUITES[name]}
    suite = unittest.TestSuite(test for case in ORDER if case in wanted for test in unittest.TestLoader().loadTestsFromTestCase(case)
                               if not names or any(name in test.id() for name in names))
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
