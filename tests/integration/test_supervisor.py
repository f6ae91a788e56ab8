#!/usr/bin/env python3
"""The supervisor: restarts, back-off, drain, reload, quiet, watchdog, sd_notify.

Runs build/bin/mih-test-supervisor, the real supervisor whose children do as a file tells them.
Environment: MIH_BUILD (default: build beside the sources).
"""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("MIH_BUILD", ROOT / "build"))


class Line:
    """What a child wrote down: when (ms), which number, its pid, a word."""

    def __init__(self, text):
        at, number, pid, self.word = text.split()
        self.at, self.number, self.pid = int(at), int(number), int(pid)

    def __repr__(self):
        return f"{self.at} {self.number} {self.pid} {self.word}"


def alive(pid):
    """True while the process runs; one that ended and was not waited for does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Supervised(unittest.TestCase):
    """A supervisor of its own for each test, with children that do as they are told."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mih-supervisor-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.process = None
        self.notify = None
        self.told = []

    def tearDown(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid in {line.pid for line in self.lines()}:
            self.wait(lambda: not alive(pid), f"child {pid} is gone", kill=pid)
        if self.notify is not None:
            self.notify.shutdown(socket.SHUT_RDWR)
            self.notify.close()

    def configure(self, **worker):
        values = {"processes": 2, "drain_timeout": "1s", **worker}
        text = "[worker]\n" + "".join(f"{key} = {value}\n" for key, value in values.items())
        (self.folder / "mih.conf").write_text(text)

    def order(self, number, text):
        (self.folder / f"child-{number}").write_text(text)

    def launch(self):
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(self.folder / "notify"))
        threading.Thread(target=self.listen, args=(self.notify, self.told), daemon=True).start()
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MIH_")}
        environment["NOTIFY_SOCKET"] = str(self.folder / "notify")
        with open(self.folder / "stderr", "wb") as stderr:
            self.process = subprocess.Popen([BUILD / "bin/mih-test-supervisor", self.folder],
                                            stderr=stderr, env=environment)

    def lines(self, word=None, number=None):
        try:
            text = (self.folder / "log").read_text()
        except FileNotFoundError:
            return []
        found = [Line(line) for line in text.splitlines()]
        return [l for l in found if word in (None, l.word) and number in (None, l.number)]

    def log(self):
        return (self.folder / "stderr").read_text()

    @staticmethod
    def listen(notify, told):
        """Reads like systemd does, all the time: a full socket would hold the supervisor up."""
        while True:
            try:
                message = notify.recv(4096)
            except OSError:
                return
            told.extend(message.decode().splitlines())
            if not message:
                return

    def notified(self):
        """All that systemd would have been told so far."""
        return list(self.told)

    def wait(self, condition, what, seconds=10, kill=None):
        limit = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > limit:
                if kill is not None:
                    os.kill(kill, signal.SIGKILL)
                self.fail(f"not within {seconds} s: {what}\n{self.log()}\n{self.lines()}")
            time.sleep(0.02)

    def ready(self):
        self.wait(lambda: "READY=1" in self.notified(), "READY=1")

    def stop(self, number=signal.SIGTERM, seconds=10):
        self.process.send_signal(number)
        self.assertEqual(self.process.wait(seconds), 0, self.log())


class Life(Supervised):
    """From the start to the end."""

    def test_starts_the_children_tells_systemd_and_drains_at_sigterm(self):
        self.configure()
        self.launch()
        self.ready()
        self.assertEqual(sorted(line.number for line in self.lines("start")), [0, 1])
        self.wait(lambda: any("2 of 2 processes ready" in line for line in self.notified()), "STATUS")
        self.wait(lambda: "WATCHDOG=1" in self.notified(), "WATCHDOG=1")
        self.stop()
        self.assertEqual(len(self.lines("TERM")), 2)
        self.assertEqual(len(self.lines("end")), 2)
        self.assertIn("STOPPING=1", self.notified())
        self.assertIn("EXTEND_TIMEOUT_USEC=11000000", self.notified(), "drain_timeout and 10 s")

    def test_waits_for_children_that_drain(self):
        self.configure()
        self.order(0, "slow")
        self.launch()
        self.ready()
        self.stop(signal.SIGINT)
        self.assertEqual(len(self.lines("end")), 2)

    def test_kills_what_does_not_drain_in_time(self):
        self.configure(processes=1)
        self.order(0, "stubborn")
        self.launch()
        self.ready()
        began = time.monotonic()
        self.stop()
        self.assertGreater(time.monotonic() - began, 6.9)
        self.assertIn("child does not end", self.log())

    def test_is_impatient_at_the_second_sigint(self):
        self.configure(processes=1, drain_timeout="30s")
        self.order(0, "stubborn")
        self.launch()
        self.ready()
        self.process.send_signal(signal.SIGINT)
        self.wait(lambda: self.lines("TERM"), "the first SIGINT came through")
        self.stop(signal.SIGINT, 2)

    def test_children_end_when_the_supervisor_is_killed(self):
        self.configure()
        self.launch()
        self.ready()
        self.process.kill()
        self.process.wait()
        self.wait(lambda: len(self.lines("end")) == 2, "both children end")

    def test_children_inherit_no_descriptor_but_the_link_and_what_is_shared(self):
        self.configure(processes=1)
        self.launch()
        self.ready()
        folder = f"/proc/{self.lines('start')[0].pid}/fd"
        open_ones = {int(name): os.readlink(f"{folder}/{name}") for name in os.listdir(folder)}
        self.assertTrue(open_ones.pop(3).startswith("socket:"), open_ones)
        self.assertTrue(open_ones.pop(4).startswith("/memfd:mih-seen"), open_ones)
        self.assertTrue(open_ones.pop(5).startswith("/memfd:mih-suspects"), open_ones)
        self.assertTrue(open_ones.pop(6).startswith("/memfd:mih-statistics"), open_ones)
        self.assertTrue(set(open_ones) <= {0, 1, 2, 7, 8}, open_ones)  # 7 log, 8 signalfd
        self.stop()


class Restarts(Supervised):
    """Children that die, in every way."""

    def test_restarts_a_killed_child_with_doubling_back_off(self):
        self.configure()
        self.launch()
        self.ready()
        for count, expected in enumerate((1000, 2000, 4000), 2):
            killed = time.monotonic() * 1000
            os.kill(self.lines("start", 0)[-1].pid, signal.SIGKILL)
            self.wait(lambda: len(self.lines("start", 0)) == count, "started again", 10)
            gap = self.lines("start", 0)[-1].at - killed
            self.assertTrue(expected - 5 <= gap <= expected + 500, f"{gap} instead of {expected}")
        self.assertEqual(len(self.lines("start", 1)), 1)
        self.assertIn('how="signal KILL"', self.log())
        self.stop()

    def test_ends_when_every_child_refuses_the_configuration(self):
        self.configure()
        self.order(0, "exit 78")
        self.order(1, "exit 78")
        self.launch()
        self.assertEqual(self.process.wait(5), 78)
        self.assertEqual(len(self.lines("start")), 2)

    def test_goes_on_when_one_child_refuses_and_tries_it_again_at_reload(self):
        self.configure()
        self.order(0, "exit 78")
        self.launch()
        self.wait(lambda: "is refused" in self.log(), "the refusal is logged")
        self.assertIsNone(self.process.poll())
        self.order(0, "")
        self.process.send_signal(signal.SIGHUP)
        self.wait(lambda: len(self.lines("start", 0)) == 2, "started again")
        self.stop()

    def test_a_silent_child_is_aborted_and_restarted(self):
        self.configure(watchdog="2s")
        self.order(0, "deaf")
        self.launch()
        self.ready()
        self.wait(lambda: len(self.lines("start", 0)) == 2, "restarted", 15)
        self.assertIn('how="signal ABRT"', self.log())
        self.assertEqual(len(self.lines("start", 1)), 1)
        self.stop()

    def test_a_stopped_child_is_killed_and_restarted(self):
        self.configure(processes=1, watchdog="2s")
        self.launch()
        self.ready()
        os.kill(self.lines("start")[0].pid, signal.SIGSTOP)
        self.wait(lambda: len(self.lines("start")) == 2, "restarted", 20)
        self.assertRegex(self.log(), 'how="signal (ABRT|KILL)"')
        self.stop()


class Watchdog(Supervised):
    """A child that is stuck."""

    def test_is_not_fed_while_a_child_is_stuck(self):
        self.configure()
        self.order(0, "stuck")
        self.launch()
        self.ready()
        self.wait(lambda: "WATCHDOG=1" in self.notified(), "fed once: its first report")
        self.told.clear()
        time.sleep(3.5)  # nothing must come: there is no condition to wait for
        self.assertLessEqual(self.notified().count("WATCHDOG=1"), 1)
        self.stop()

    def test_is_not_ready_before_every_child_is(self):
        self.configure()
        self.order(0, "silent")
        self.launch()
        self.wait(lambda: any("1 of 2" in line for line in self.notified()), "STATUS")
        self.assertNotIn("READY=1", self.notified())
        self.stop()


class Reload(Supervised):
    """SIGHUP."""

    def test_changes_the_number_of_children_and_passes_sighup_on(self):
        self.configure()
        self.launch()
        self.ready()
        self.configure(processes=3)
        self.process.send_signal(signal.SIGHUP)
        self.wait(lambda: len(self.lines("start")) == 3, "a third child")
        self.wait(lambda: len(self.lines("HUP")) == 2, "SIGHUP for the two others")
        self.wait(lambda: self.notified().count("READY=1") == 2, "READY=1 again")
        self.assertIn("RELOADING=1", self.notified())
        self.assertTrue(any(re.match(r"MONOTONIC_USEC=\d+$", line) for line in self.notified()))
        self.configure(processes=1)
        self.process.send_signal(signal.SIGHUP)
        self.wait(lambda: {line.number for line in self.lines("end")} == {1, 2}, "two children end")
        self.stop()
        self.assertEqual(len(self.lines("start")), 3)

    def test_a_setting_that_needs_new_processes_replaces_them_one_after_the_other(self):
        for number in range(3):
            self.order(number, "slow")
        self.configure(processes=3)
        self.launch()
        self.ready()
        self.configure(processes=3, prefetch_factor=5)
        self.process.send_signal(signal.SIGHUP)
        self.wait(lambda: len(self.lines("start")) == 6, "three new children")
        self.assertEqual(self.lines("HUP"), [])
        self.assertEqual([line.word for line in self.lines() if line.word in ("TERM", "start")], ["start"] * 3 + ["TERM", "start"] * 3)
        self.assertEqual({line.number for line in self.lines("TERM")}, {0, 1, 2})
        self.stop()

    def test_children_that_never_get_ready_are_replaced_too(self):
        self.order(0, "silent")
        self.configure(processes=1)
        self.launch()
        self.wait(lambda: self.lines("start", 0), "the start")
        self.order(0, "")
        self.configure(processes=1, prefetch_factor=5)
        self.process.send_signal(signal.SIGHUP)
        self.ready()
        self.assertEqual(len(self.lines("TERM", 0)), 1)
        self.stop()

    def test_keeps_the_old_settings_when_the_new_ones_are_bad(self):
        self.configure()
        self.launch()
        self.ready()
        self.configure(processes="many")
        self.process.send_signal(signal.SIGHUP)
        self.wait(lambda: "keeps the old one" in self.log(), "the error is logged")
        self.assertIn("worker.processes", self.log())
        self.wait(lambda: self.notified().count("READY=1") == 2, "READY=1 again")
        self.assertEqual(self.lines("HUP") + self.lines("end"), [])
        self.stop()


class Quiet(Supervised):
    """SIGTSTP and SIGCONT."""

    def test_repeats_the_signal_until_the_child_reports_so(self):
        self.order(0, "misses TSTP")
        self.configure()
        self.launch()
        self.ready()
        self.process.send_signal(signal.SIGTSTP)
        self.wait(lambda: len(self.lines("TSTP", 0)) >= 3 and self.lines("TSTP", 1), "SIGTSTP again and again")
        self.assertEqual(len(self.lines("TSTP", 1)), 1)
        self.stop()

    def test_passes_sigtstp_and_sigcont_on_and_quiets_later_children(self):
        self.configure()
        self.launch()
        self.ready()
        self.process.send_signal(signal.SIGTSTP)
        self.wait(lambda: len(self.lines("TSTP")) == 2, "SIGTSTP")
        os.kill(self.lines("start", 0)[0].pid, signal.SIGKILL)
        self.wait(lambda: len(self.lines("TSTP", 0)) == 2, "SIGTSTP for the restarted child")
        self.process.send_signal(signal.SIGCONT)
        self.wait(lambda: len(self.lines("CONT")) == 2, "SIGCONT")
        self.assertIsNone(self.process.poll())
        self.stop()


if __name__ == "__main__":
    unittest.main()
