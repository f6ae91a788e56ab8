#!/usr/bin/env python3
"""The harness itself, where a fault of it would go unseen: what is left of a run that is killed, and when classes are taken down."""
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest

import guard
import integration
from services import wait_until

HARNESS = pathlib.Path(guard.__file__).parent
SCRIPT = "#!/bin/sh\nsetsid sleep 300 &\necho $! $$ > {0}.new\nmv {0}.new {0}\nexec sleep 300\n"
RUN = "import sys, run_tests\nsys.argv[0] = 'run-tests'\nahead = run_tests.Ahead(sys.argv[1])\nahead.finish()\n"


def exists(pid):
    """Whether there is such a process, and it is no zombie."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Ends(unittest.TestCase):
    """Of a run, and of its classes."""

    def test_what_was_started_ahead_ends_with_a_run_that_is_killed(self):
        """The script and what it has put into a session of its own."""
        folder = pathlib.Path(guard.folder("mih-ahead-"))
        script, pids = folder / "script", folder / "pids"
        script.write_text(SCRIPT.format(pids), encoding="utf-8")
        script.chmod(0o700)
        with subprocess.Popen([sys.executable, "-c", RUN, script], cwd=HARNESS) as process:
            wait_until(pids.exists, 20, "the script to run")
            started = [int(pid) for pid in pids.read_text(encoding="utf-8").split()]
            self.assertTrue(all(exists(pid) for pid in started), started)
            self.assertEqual(os.SCHED_IDLE, os.sched_getscheduler(started[1]))
            process.send_signal(signal.SIGKILL)
        wait_until(lambda: not any(exists(pid) for pid in started), 20, "all of it to end")

    def test_each_class_is_taken_down_once(self):
        """Also where the classes are shared among processes."""
        ends = []

        def make(name):
            return type(name, (unittest.TestCase,), {"tearDownClass": classmethod(lambda cls: ends.append(cls.__name__)),
                                                     "test_it": lambda self: None, "test_more": lambda self: None})
        tests = [kind(method) for kind in map(make, "ABC") for method in ("test_it", "test_more")]
        result = unittest.TestResult()
        with tempfile.TemporaryDirectory() as folder:
            integration.run_shared(tests, folder, result)
            integration.run_shared(tests, folder, result)
        self.assertEqual((["A", "B", "C"], 6, True), (ends, result.testsRun, result.wasSuccessful()))


if __name__ == "__main__":
    unittest.main()
