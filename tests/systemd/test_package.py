"""The Debian package: what it holds, what apt makes of it in a clean Debian, and that a purge leaves nothing."""
import os
import re
import unittest

import fleet
import guard
import world

PROGRAMS = ("mih-worker", "mih-replayer", "mihctl")
PAGES = ("mih-worker.8", "mih-replayer.8", "mihctl.1", "mih.conf.5")


class Making(unittest.TestCase):
    """cpack and cmake --install."""

    def test_lintian_finds_no_error_and_no_warning(self):
        status, output, errors = guard.run(["lintian", "--fail-on", "error,warning", "--tag-display-limit", "0", world.package()])
        self.assertEqual((0, b""), (status, output), errors.decode())

    def test_lintian_is_heard(self):
        broken = world.changed_package("Section: net", "Section: nowhere")
        status, output, _ = guard.run(["lintian", "--fail-on", "error,warning", broken])
        self.assertNotEqual(0, status)
        self.assertIn(b"unknown-section nowhere", output)

    def test_cmake_installs_below_another_prefix(self):
        folder = guard.folder("mih-install-")
        prefix = os.path.join(folder, "opt")
        status, output, errors = guard.run(["cmake", "--install", fleet.build_folder(), "--prefix", prefix])
        self.assertEqual(0, status, (output + errors).decode())
        with open(os.path.join(prefix, "lib/systemd/system/mih-worker@.service"), encoding="utf-8") as unit:
            self.assertIn(f"\nExecStart={prefix}/bin/mih-worker --config /etc/mih/mih.conf\n", unit.read())
        status, output, _ = guard.run([os.path.join(prefix, "bin/mih-worker"), "--version"])
        self.assertEqual(0, status)
        self.assertRegex(output.decode(), r"^mih-worker \d+\.\d+\.\d+\n$")
        self.assertTrue(os.access(os.path.join(prefix, "share/man/man5/mih.conf.5"), os.R_OK))
        self.assertEqual(["opt"], os.listdir(folder), "nothing beside the prefix")


class Installing(world.Test):
    """apt-get install ./mih_*.deb on a clean Debian."""

    def test_brings_programs_that_run(self):
        for program in PROGRAMS:
            self.assertRegex(self.machine.run([program, "--version"]), rf"^{program} \d+\.\d+\.\d+\n$")
        self.assertIn("GRANT SELECT", self.machine.run(["/usr/share/mih/grants.sh", "--database", "moodle"]))
        self.assertIn("local_integrationhub", self.machine.run(["cat", "/usr/share/mih/integrationhub/version.php"]))
        self.assertIn("mdl_local_integrationhub_svc", self.machine.run(["cat", "/usr/share/mih/schema.sql"]))

    def test_brings_a_configuration_that_the_group_alone_may_read(self):
        self.assertEqual("640 root mih\n", self.machine.run(["stat", "-c", "%a %U %G", "/etc/mih/mih.conf"]))
        self.assertEqual("750 root mih\n", self.machine.run(["stat", "-c", "%a %U %G", "/etc/mih"]))
        self.assertIn("/etc/mih/mih.conf", self.machine.run(["dpkg-query", "-W", "-f", "${Conffiles}", "mih"]))
        self.assertEqual("/etc/mih/mih.conf: valid\n", self.machine.run(["mih-worker", "--check-config"]))

    def test_makes_a_user_who_can_do_nothing_else(self):
        user = self.machine.run(["getent", "passwd", "mih"]).strip().split(":")
        self.assertLess(int(user[2]), 1000)
        self.assertEqual(["/", "/usr/sbin/nologin"], user[5:])

    def test_brings_manual_pages(self):
        listed = self.machine.run(["dpkg", "-L", "mih"]).split()
        for page in PAGES:
            self.assertIn(f"/usr/share/man/man{page[-1]}/{page}.gz", listed)

    def test_starts_and_enables_nothing_by_itself(self):
        for unit in ("mih-worker.target", "mih-replayer.service", "mih-worker@1.service"):
            self.assertEqual("inactive", self.machine.show(unit, "ActiveState"))
        listed = self.machine.systemctl("list-unit-files", "--no-legend", "mih-*")
        self.assertEqual(3, len(re.findall(r"^mih-\S+ +disabled ", listed, re.M)), listed)

    def test_units_are_valid(self):
        units = [f"/usr/lib/systemd/system/{unit}" for unit in ("mih-worker@.service", "mih-worker.target", "mih-replayer.service")]
        status, output, errors = self.machine.attempt(["systemd-analyze", "verify", "--man=no", *units])
        self.assertEqual((0, ""), (status, output + errors))


class Purging(world.Test):
    """apt-get purge, after all that the other tests did with it; comes last."""

    def test_leaves_nothing(self):
        before = world.before()
        self.machine.run(["apt-get", "-q", "-y", "purge", "mih"])
        self.machine.run(["apt-get", "-q", "-y", "autoremove", "--purge"])
        after = world.inventory(self.machine)
        self.assertEqual([], sorted(set(after) - set(before)), "new")
        self.assertEqual([], sorted(set(before) - set(after)), "gone")
        self.assertEqual([], [path for path in before if before[path] != after[path]], "changed")
        status, output, _ = self.machine.attempt(["find", "/run", "/etc/systemd", "-name", "*mih*"])
        self.assertEqual((0, ""), (status, output))
        self.assertEqual("", self.machine.systemctl("list-units", "--all", "--no-legend", "mih-*"))
