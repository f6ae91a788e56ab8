"""./run-demo as a user runs it: what it prints, and that nothing of it stays, however and whenever it is ended.

Every run gets a TMPDIR of its own.  All its servers work in folders below that, so a process of the run is one that has the folder's name on its
command line or in its environment, and what the run leaves on the disk lies there.
"""
import io
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import unittest

import fleet
import shared
from demo_report import Screen
from services import wait_until

PATIENCE = 300


def processes(mark):
    """{pid: command line} of the living processes that belong to a run."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = [_read(f"/proc/{pid}/{name}") for name in ("cmdline", "environ")]
        except OSError:
            continue                        # it has just ended
        if any(mark.encode() in text for text in words):
            found[int(pid)] = words[0].replace(b"\0", b" ").decode(errors="replace")
    return found


def _read(path):
    with open(path, "rb") as stream:
        return stream.read()


def listening():
    """{inode: port} of all listening TCP sockets."""
    found = {}
    for name in ("tcp", "tcp6"):
        for line in _read(f"/proc/net/{name}").decode().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                found[fields[9]] = int(fields[1].rpartition(":")[2], 16)
    return found


def ports(pids):
    """The ports on which some of these processes listen."""
    sockets, found = listening(), set()
    for pid in pids:
        try:
            links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        except OSError:
            continue
        found |= {sockets[link[8:-1]] for link in links if link.startswith("socket:[") and link[8:-1] in sockets}
    return found


class Run:
    """A ./run-demo at work."""

    def __init__(self, *options, script=None, build=None):
        self.temporary = tempfile.mkdtemp(prefix="mih-demotest-")
        self.elsewhere = tempfile.mkdtemp(prefix="mih-elsewhere-")
        environment = dict(os.environ, TMPDIR=self.temporary)
        environment.pop("MIH_BUILD", None)
        if build:
            environment["MIH_BUILD"] = build
        self.process = subprocess.Popen(["bash", script or os.path.join(fleet.TOP, "run-demo"), *options], cwd=self.elsewhere, env=environment,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
                                        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))    # a test in the background ignores it
        self.output = {}
        self.readers = [threading.Thread(target=self._collect, args=(name,), daemon=True) for name in ("stdout", "stderr")]
        for reader in self.readers:
            reader.start()

    def _collect(self, name):
        for line in getattr(self.process, name):
            self.output[name] = self.output.get(name, "") + line

    def text(self):
        """Everything printed so far."""
        return self.output.get("stdout", "") + self.output.get("stderr", "")

    def wait_for(self, word):
        """Waits until the run has printed the word, or a process of the run has it on its command line."""
        def there():
            if self.process.poll() is not None:
                raise AssertionError(f"the run ended before '{word}' was seen:\n{self.text()}")
            return word in self.text() or any(word in command for command in processes(self.temporary).values())
        wait_until(there, PATIENCE, f"a process with '{word}'", every=0.002)

    def end(self, seconds=PATIENCE):
        """Waits for its end; returns the exit code."""
        status = self.process.wait(seconds)
        for reader in self.readers:
            reader.join(PATIENCE)
        return status

    def close(self):
        """Ends what a failed test left, and removes the folders."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE)
        for pid in processes(self.temporary):
            os.kill(pid, signal.SIGKILL)
        self.process.stdout.close()
        self.process.stderr.close()
        for folder in (self.temporary, self.elsewhere):
            shutil.rmtree(folder, ignore_errors=True)


class DemoTest(unittest.TestCase):
    """A demo run as a user runs it, and what it leaves."""

    seconds = 900

    def launch(self, *options, **more):
        """A run that ends with the test."""
        run = Run(*options, **{"build": fleet.build_folder(), **more})
        self.addCleanup(run.close)
        return run

    def assert_gone(self, run, open_ports=()):
        """No process, no port, no folder of the run is left."""
        wait_until(lambda: not processes(run.temporary), PATIENCE, "the end of all processes", every=0.05)
        self.assertEqual([], os.listdir(run.temporary), run.text())
        self.assertEqual([], os.listdir(run.elsewhere))
        self.assertEqual(set(), set(open_ports) & set(listening().values()))

    def assert_summary(self, run, events):
        """Exit 0, one JSON object alone on standard output, and good sums in it."""
        self.assertEqual(0, run.end(), run.text())
        summary = json.loads(run.output["stdout"])
        self.assertEqual(1, run.output["stdout"].count("\n"))
        self.assertEqual({"published", "wanted", "delivered", "dead", "waiting", "lost", "duplicates", "p50_ms", "p99_ms", "per_second"},
                         set(summary))
        self.assertEqual((events, 0, 0, 0), tuple(summary[key] for key in ("published", "waiting", "lost", "duplicates")))
        self.assertEqual(summary["wanted"], summary["delivered"] + summary["dead"])
        return summary


class Ending(DemoTest):
    """Ended at several moments by Ctrl-C (the whole process group), SIGTERM and SIGKILL (the script alone)."""

    def ended(self, word, number, status, *options, **more):
        with self.subTest(moment=word, signal=number.name):
            run = self.launch(*(options or ("--events", "200000")), **more)
            try:
                run.wait_for(word)
                open_ports = ports(processes(run.temporary))
                if number == signal.SIGINT:
                    os.killpg(run.process.pid, number)
                else:
                    run.process.send_signal(number)
                self.assertEqual(status, run.end(), run.text())
                self.assertNotIn("Traceback", run.text())
                self.assert_gone(run, open_ports)
            finally:
                run.close()

    def build_folder(self):
        folder = tempfile.mkdtemp(prefix="mih-build-test-")
        self.addCleanup(shutil.rmtree, folder)
        return folder

    def test_while_it_builds(self):
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)):
            self.ended("cc1 ", number, status, build=self.build_folder())

    @shared.long
    def test_while_the_servers_start(self):
        self.ended("epmd", signal.SIGKILL, -9)
        self.ended("beam.smp", signal.SIGTERM, 143)
        self.ended("mariadb-install-db", signal.SIGKILL, -9)
        self.ended("mariadb-install-db", signal.SIGINT, 130)
        self.ended("--innodb-buffer-pool-size", signal.SIGKILL, -9)

    @shared.long
    def test_while_the_fleet_starts(self):
        self.ended("mih-worker --config", signal.SIGKILL, -9)
        self.ended("mih-worker --config", signal.SIGTERM, 143)

    @shared.long
    def test_while_it_publishes(self):
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)):
            self.ended("mih-test-rabbit publish", number, status)

    @unittest.skipUnless(os.environ.get("MOODLE_DIR"), "MOODLE_DIR is not set")
    def test_while_a_moodle_is_installed_and_used(self):
        self.ended("admin/cli/install_database.php", signal.SIGKILL, -9, "--moodle", os.environ["MOODLE_DIR"])
        self.ended(" of 5,000 pages", signal.SIGINT, 130, "--moodle", os.environ["MOODLE_DIR"], "--events", "5000")

    def test_kept_until_its_guard_is_told_to_end(self):
        run = self.launch("--events", "10", "--keep")
        self.assertEqual(0, run.end(), run.text())
        left = processes(run.temporary)
        open_ports = ports(left)
        self.assertTrue(open_ports)
        self.assertTrue(any("mih-worker" in command for command in left.values()))
        os.kill(int(run.text().rpartition("kill ")[2]), signal.SIGTERM)
        self.assert_gone(run, open_ports)


class Output(DemoTest):
    """What it prints, and where."""

    @shared.long
    def test_two_at_once_each_print_one_object_and_leave_nothing(self):
        runs = [self.launch("--json", "--events", events) for events in ("2000", "1")]
        for run, events in zip(runs, (2000, 1)):
            self.assert_summary(run, events)
            self.assert_gone(run)

    @shared.long
    def test_a_clone_in_an_odd_folder_builds_and_runs(self):
        place = tempfile.mkdtemp(prefix="mih-clone-")
        self.addCleanup(shutil.rmtree, place)
        clone = os.path.join(place, "Käthe's hub (2) $HOME")
        shutil.copytree(fleet.TOP, clone, ignore=shutil.ignore_patterns(".git", "build*", "node_modules", "__pycache__"), symlinks=True)
        run = self.launch("--json", "--events", "100", script=os.path.join(clone, "run-demo"), build=None)
        self.assertEqual(0, run.end(600), run.text())
        self.assertGreater(self.assert_summary(run, 100)["delivered"], 0)
        self.assertTrue(os.path.exists(os.path.join(clone, "build", "bin", "mih-worker")))
        self.assert_gone(run)

    def test_the_summary_says_what_a_person_wants_to_know(self):
        run = self.launch("--events", "1433")
        self.assertEqual(0, run.end(), run.text())
        self.assertNotIn("\033", run.text())        # no terminal, no control codes
        for pattern in (r"Published +1,433 events", r"Matched +\d+ events", r"campus-gateway( +[\d,]+){2} +0 +\d+ ms +[\d,]+ ms",
                        r"learning-analytics( +[\d,]+){2} +0 ", r"class-chat +([\d,]+) +\1 +0 ", r"class-chat: breaker open",
                        r"library +([\d,]+) +\1 +0 +\d+ ms",
                        r"student-registry +([\d,]+) +\1 +0 +\d+ ms",
                        r"class-chat: breaker closed", r"old-portal: HTTP 400", r"old-portal: [\d,]+ replayed and delivered, [\d,]+ left",
                        r"Delivered +[\d,]+, [\d,]+ of them dead letters that were replayed",
                        r"\d+ deliveries a second", r"Nothing was lost"):
            self.assertRegex(run.output["stdout"], pattern)

    def test_a_mistyped_option_is_told_at_once(self):
        for options, word in ((["--events", "0"], "'0' is not a whole number"), (["--events", "many"], "'many' is not"),
                              (["--events", "-5"], "'-5' is not"), (["--moodle", "/nowhere"], "no tree of Moodle"),
                              (["--event", "5"], "unrecognized"), (["--keep=yes"], "ignored explicit")):
            with self.subTest(options=options):
                run = self.launch(*options)
                self.assertEqual(2, run.end(), run.text())
                self.assertIn(word, run.output["stderr"])
                self.assert_gone(run)


class Terminal(io.StringIO):
    """A terminal that shows one changing line."""

    def isatty(self):
        return True


class Progress(unittest.TestCase):
    """The progress on a terminal and in a pipe."""

    def screen(self, stream):
        screen = Screen(False)
        screen.stream, screen.live = stream, stream.isatty()
        return screen

    def test_on_a_terminal_it_is_one_line_that_changes(self):
        stream = Terminal()
        screen = self.screen(stream)
        screen.progress("half")
        screen.progress("all", final=True)
        screen.say("done")
        self.assertEqual("half\r\033[Kall\r\033[Kdone\n", stream.getvalue())

    def test_elsewhere_it_is_a_line_every_two_seconds_and_the_last(self):
        stream = io.StringIO()
        screen = self.screen(stream)
        for text, final in (("first", False), ("too soon", False), ("last", True)):
            screen.progress(text, final=final)
        self.assertEqual("first\nlast\n", stream.getvalue())


if __name__ == "__main__":
    unittest.main()
