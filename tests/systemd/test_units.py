"""The shipped units under a real systemd: every test publishes events, does something to the fleet, and counts what arrived."""
import json
import re
import time

import shared
import world
from services import wait_until

CONFIGURATION = "/etc/mih/mih.conf"
RATE = 2000
# What a killed supervisor's process had taken and not acknowledged: max_concurrency of both services, times prefetch_factor.
TAKEN = (16 + 32) * 4


def workers(*numbers):
    """The names of instances."""
    return [f"mih-worker@{number}.service" for number in numbers]


class Units(world.Test):
    """In the order of their numbers: each leaves the fleet as the next one finds it."""

    seconds = 150

    def setUp(self):
        super().setUp()
        self.hub = world.hub()
        self.addCleanup(self._tell)

    def _tell(self):
        if shared.failed(self):
            print(self.machine.systemctl("list-units", "--all", "mih-*"), self.machine.journal("mih-*", 80), flush=True)

    def configure(self, **sections):
        """Writes the configuration, with other values for some settings."""
        for section, values in sections.items():
            self.hub.fleet.sections[section].update(values)
        self.hub.fleet.write_configuration()
        with open(self.hub.fleet.configuration, "rb") as stream:
            self.machine.write(CONFIGURATION, stream.read())

    def active(self):
        """The instances that run."""
        listed = self.machine.systemctl("list-units", "--no-legend", "--plain", "--state=active", "mih-worker@*.service")
        return sorted(line.split()[0] for line in listed.splitlines())

    def publish(self, events=3000):
        """Publishes in the background; returns when the fleet has something to do."""
        count = len(set(self.hub.delivered()))
        publication = self.hub.publish(events, wait=False, rate=RATE)
        self.hub.wait_delivered(count + 200)
        return publication

    def settle(self, publication, duplicates=0):
        """Nothing is lost, and at most so many deliveries were repeated."""
        publication.wait()
        self.hub.wait_done(stall=30)
        balance = self.hub.balance()
        self.assertEqual([], balance.faults())
        self.assertEqual([], sorted({str(letter) for letter in balance.dead.values()})[:3])
        self.assertGreater(len(balance.delivered), 300)
        self.assertLessEqual(balance.duplicates, duplicates)
        self.hub.forget()

    def spoil(self):
        """Writes a configuration that is refused, and the good one again when the test ends."""
        self.addCleanup(self.configure)
        self.machine.write(CONFIGURATION, "[worker]\nprocesses = many\n")

    def children(self, unit):
        """Pids of the processes of a supervisor, as the machine sees them."""
        main = self.main(unit)
        return self.machine.run(["cat", f"/proc/{main}/task/{main}/children"]).split() if main else []

    def main(self, unit):
        """The pid of a unit's first process, as the machine sees it."""
        return int(self.machine.show(unit, "MainPID"))

    # ---- the tests ----

    def test_1_four_instances_start_and_are_ready(self):
        self.configure()
        self.machine.run(["mkdir", "-p", "/etc/credstore"])
        self.machine.write("/etc/credstore/mih.sodium.key", world.KEY)
        self.machine.run(["chmod", "400", "/etc/credstore/mih.sodium.key"])
        began = time.monotonic()
        self.machine.systemctl("start", *workers(1, 2, 3, 4))
        print(f"      four instances were ready after {time.monotonic() - began:.1f} s")
        self.hub.wait_bound()
        self.assertEqual(workers(1, 2, 3, 4), self.active())
        for unit in workers(1, 4):
            self.assertEqual(["1 of 1 processes ready, 1 connected, 0 requests under way", "0"], self.machine.show(unit, "StatusText", "NRestarts"))
        publication = self.publish()
        publication.wait()
        self.hub.wait_done(stall=30)
        self.assertEqual({"Bearer token"}, {request.get("authorization", "") for request in self.hub.arrivals} - {""},
                         "the key came as a credential")
        self.settle(publication)

    def test_2_the_sandbox_is_in_force(self):
        for pid in (self.main("mih-worker@1.service"), *self.children("mih-worker@1.service")):
            status = dict(line.split(":\t", 1) for line in self.machine.run(["cat", f"/proc/{pid}/status"]).splitlines())
            self.assertEqual(("1", "2", "0" * 16, "0" * 16), tuple(status[key] for key in ("NoNewPrivs", "Seccomp", "CapBnd", "CapEff")))
            self.assertEqual({self.machine.run(["id", "-u", "mih"]).strip()}, set(status["Uid"].split()))
            inside = ["nsenter", "--target", str(pid), "--mount", "--"]
            self.assertEqual("", self.machine.run([*inside, "ls", "-A", "/home", "/root"]).replace("/home:", "").replace("/root:", "").strip())
            for place in ("/etc/mih/x", "/var/tmp/../lib/x", "/usr/x", "/sys/fs/cgroup/x"):
                outcome = self.machine.attempt([*inside, "sh", "-c", f"echo x >{place}"])
                self.assertRegex(outcome[2], "Read-only file system", place)
            self.assertNotIn("sys", self.machine.run([*inside, "ls", "/proc"]).split(), "ProcSubset")
            mine = self.machine.run(["readlink", f"/proc/{pid}/ns/user", f"/proc/{pid}/ns/mnt", f"/proc/{pid}/ns/ipc"]).split()
            ours = self.machine.run(["readlink", "/proc/1/ns/user", "/proc/1/ns/mnt", "/proc/1/ns/ipc"]).split()
            self.assertEqual(set(), set(mine) & set(ours), "namespaces of its own")
        limits = self.machine.run(["cat", f"/proc/{self.main('mih-worker@1.service')}/limits"])
        self.assertRegex(limits, r"Max core file size +0 +0 ")

    def test_3_scales_to_eight_and_to_two(self):
        publication, before = self.publish(6000), len(self.hub.delivered())
        self.machine.systemctl("start", *workers(5, 6, 7, 8))
        self.assertEqual(workers(*range(1, 9)), self.active())
        self.machine.systemctl("stop", *workers(*range(3, 9)))
        self.assertEqual(workers(1, 2), self.active())
        self.assertGreater(len(self.hub.delivered()), before, "the fleet was under load meanwhile")
        for unit in workers(3, 8):
            self.assertEqual("success", self.machine.show(unit, "Result"))
        self.settle(publication)

    def test_4_systemd_makes_good_a_kill_and_a_hang(self):
        # The shipped 45 s are too long for a test.
        self.machine.run(["mkdir", "-p", "/run/systemd/system/mih-worker@8.service.d"])
        self.machine.write("/run/systemd/system/mih-worker@8.service.d/test.conf", "[Service]\nWatchdogSec=3s\n")
        self.machine.systemctl("daemon-reload")
        self.machine.systemctl("start", *workers(8))
        publication, (one, eight) = self.publish(), [self.main(unit) for unit in workers(1, 8)]
        self.machine.systemctl("kill", "--kill-who=main", "--signal=STOP", "mih-worker@8.service")
        self.machine.systemctl("kill", "--kill-who=main", "--signal=KILL", "mih-worker@1.service")
        for unit, before in zip(workers(1, 8), (one, eight)):
            wait_until(lambda unit=unit, before=before: self.main(unit) not in (0, before), 30, f"another process of {unit}")
        wait_until(lambda: workers(1, 2, 8) == self.active(), 30, "the instances to be ready again")
        self.assertEqual("1", self.machine.show("mih-worker@1.service", "NRestarts"))
        self.assertIn("Watchdog timeout", self.machine.journal("mih-worker@8.service"))
        self.machine.systemctl("stop", *workers(8))
        self.machine.run(["rm", "-r", "/run/systemd/system/mih-worker@8.service.d"])
        self.settle(publication, 2 * TAKEN)

    @shared.long
    def test_6_the_supervisor_restarts_a_process_that_hangs(self):
        self.machine.write("/etc/mih/worker-9.env", "MIH_WORKER_WATCHDOG=2s\n")
        self.machine.systemctl("start", *workers(9))
        publication, before = self.publish(), self.children("mih-worker@9.service")
        self.machine.run(["sh", "-c", f"kill -STOP {' '.join(before)}"])
        wait_until(lambda: self.children("mih-worker@9.service") not in ([], before), 60, "another process")
        self.assertEqual("0", self.machine.show("mih-worker@9.service", "NRestarts"), "the instance goes on")
        self.assertIn("child is silent", self.machine.journal("mih-worker@9.service"))
        self.machine.systemctl("stop", *workers(9))
        self.settle(publication, TAKEN)

    def test_7_reloads(self):
        publication = self.publish()
        main = [self.main(unit) for unit in workers(1, 2)]
        self.spoil()
        status, _, errors = self.machine.attempt(["systemctl", "reload", *workers(1, 2)])
        self.assertNotEqual(0, status, errors)
        self.assertIn("worker.processes: many is not accepted", self.machine.journal("mih-worker@1.service", 20))
        self.assertEqual(workers(1, 2), self.active())
        self.configure(worker={"processes": 2})
        self.machine.systemctl("reload", "mih-worker@*.service")
        for unit in workers(1, 2):
            wait_until(lambda unit=unit: self.machine.show(unit, "StatusText").startswith("2 of 2 processes ready"), 15, "two processes")
        self.assertEqual(main, [self.main(unit) for unit in workers(1, 2)])
        self.configure(worker={"processes": 1})
        self.machine.systemctl("reload", "mih-worker@*.service")
        for unit in workers(1, 2):
            wait_until(lambda unit=unit: len(self.children(unit)) == 1, 15, "one process")
        self.settle(publication)

    @shared.long
    def test_8_an_upgrade_replaces_what_runs_and_keeps_the_configuration(self):
        publication = self.publish()
        main = [self.main(unit) for unit in workers(1, 2)]
        version = self.machine.run(["dpkg-query", "-W", "-f", "${Version}", "mih"])
        with open(world.changed_package(f"Version: {version}", f"Version: {version}+next"), "rb") as stream:
            self.machine.write("/root/next.deb", stream.read())
        self.spoil()
        self.machine.run(["dpkg", "-i", "/root/next.deb"])
        self.assertEqual(main, [self.main(unit) for unit in workers(1, 2)], "a configuration that is refused leaves the old ones at work")
        self.configure()
        self.machine.run(["dpkg", "-i", "/root/next.deb"])
        self.assertEqual(workers(1, 2), self.active())
        self.assertEqual([True, True], [self.main(unit) != pid for unit, pid in zip(workers(1, 2), main)])
        self.assertIn(self.hub.fleet.namespace, self.machine.run(["cat", CONFIGURATION]))
        self.assertEqual("640 root mih\n", self.machine.run(["stat", "-c", "%a %U %G", CONFIGURATION]))
        self.settle(publication)

    def test_a_the_target_stops_and_starts_all_that_are_enabled(self):
        self.machine.systemctl("enable", *workers(1, 2))
        publication = self.publish()
        self.machine.systemctl("start", "mih-worker.target")
        self.machine.systemctl("stop", "mih-worker.target")
        self.assertEqual([], self.active(), "they are part of the target")
        publication.wait()
        self.machine.systemctl("start", "mih-worker.target")
        self.assertEqual(workers(1, 2), self.active())
        self.settle(publication)

    def test_b_a_refused_configuration_is_not_tried_again(self):
        self.spoil()
        status, _, _ = self.machine.attempt(["systemctl", "start", "mih-worker@9.service"])
        self.assertNotEqual(0, status)
        self.assertEqual(["failed", "78", "0"], self.machine.show("mih-worker@9.service", "ActiveState", "ExecMainStatus", "NRestarts"))
        self.assertIn("worker.processes: many is not accepted", self.machine.journal("mih-worker@9.service"))

    def test_c_the_replayer_is_ready_reloads_and_stops(self):
        self.machine.systemctl("start", "mih-replayer.service")
        wait_until(lambda: self.machine.show("mih-replayer.service", "StatusText") == "waits for replays", 10, "its status")
        main = self.main("mih-replayer.service")
        self.machine.systemctl("reload", "mih-replayer.service")
        wait_until(lambda: "configuration read again" in self.machine.journal("mih-replayer.service"), 10, "the new configuration")
        self.assertEqual(main, self.main("mih-replayer.service"))
        self.machine.systemctl("kill", "--kill-who=main", "--signal=KILL", "mih-replayer.service")
        wait_until(lambda: self.main("mih-replayer.service") not in (0, main), 10, "another process")
        wait_until(lambda: self.machine.show("mih-replayer.service", "ActiveState") == "active", 10, "it to be ready again")
        self.machine.systemctl("stop", "mih-replayer.service")
        self.assertEqual("success", self.machine.show("mih-replayer.service", "Result"))

    def test_d_lines_of_the_log_have_their_priority(self):
        lines = self.machine.run(["journalctl", "--output=json", "--unit", "mih-worker@1.service"]).splitlines()
        found = {(entry["PRIORITY"], level[1]) for entry in map(json.loads, lines) if entry["_COMM"] == "mih-worker"
                 for level in [re.search(r" level=(\w+) ", entry["MESSAGE"])] if level}
        self.assertIn(("6", "info"), found)
        self.assertLessEqual(found, {("3", "error"), ("4", "warning"), ("6", "info"), ("7", "debug")})
