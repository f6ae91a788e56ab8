#!/usr/bin/env python3
"""Runs build/bin/it_rest against the scriptable stub and checks what the stub recorded.

Environment: MIH_BUILD (default: build beside the sources).
"""
import collections
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("MIH_BUILD", ROOT / "build"))
sys.path.append(str(ROOT / "tests/harness"))

import shared  # noqa: E402  pylint: disable=wrong-import-position
from stub import Certificates, OldServer, Stub  # noqa: E402  pylint: disable=wrong-import-position


class RestTransport(unittest.TestCase):
    """The transport against services that answer well, badly and not at all."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="mih-rest-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        certificates = Certificates(cls.folder)
        certificates.signed("valid", "IP:127.0.0.1")
        certificates.signed("expired", "IP:127.0.0.1", "-startdate", "20200101000000Z",
                            "-enddate", "20200201000000Z")
        certificates.signed("wrongname", "DNS:elsewhere.example")
        certificates.selfsigned("selfsigned")
        cls.stubs = {"http": cls.start("http")}
        for name in ("valid", "expired", "wrongname", "selfsigned"):
            cls.stubs[name] = cls.start(name, "--tls", certificates.path(name, "pem"),
                                        certificates.path(name, "key"))
        cls.old = OldServer(certificates.path("valid", "pem"), certificates.path("valid", "key"))
        cls.addClassCleanup(cls.old.stop)
        environment = dict(os.environ, MIH_TEST_CA=str(certificates.ca),
                           MIH_TEST_HTTPS_OLD=f"https://127.0.0.1:{cls.old.port}")
        for name, stub in cls.stubs.items():
            variable = "MIH_TEST_HTTP_URL" if name == "http" else f"MIH_TEST_HTTPS_{name.upper()}"
            scheme = "http" if name == "http" else "https"
            environment[variable] = f"{scheme}://127.0.0.1:{stub.port}"
        cls.program = subprocess.run([BUILD / "bin/it_rest"], env=environment, timeout=120,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    @classmethod
    def start(cls, name, *arguments):
        stub = Stub(cls.folder, name, *arguments)
        cls.addClassCleanup(stub.stop)
        return stub

    def requests(self, webhook_id):
        return [r for r in self.stubs["http"].record() if r["webhook_id"] == webhook_id]

    def test_the_program_passes_without_skipping(self):
        self.assertEqual(self.program.returncode, 0, self.program.stdout)
        self.assertNotIn("SKIPPED", self.program.stdout)

    def test_d2_every_method_arrives_as_itself(self):
        for method, times in (("POST", 2), ("PUT", 1), ("PATCH", 1), ("DELETE", 1), ("GET", 2)):
            seen = self.requests(f"method-{method}")
            self.assertEqual([r["method"] for r in seen], [method] * times)
            for request in seen:
                self.assertEqual(request["body_length"], 0 if method == "GET" else 7)
                self.assertNotIn("expect", request["headers"])
                self.assertNotIn("accept-encoding", request["headers"])

    def test_bodies_arrive_whole(self):
        self.assertEqual(self.requests("large-body")[0]["body_length"], 1024 * 1024)
        empty = self.requests("empty-body")[0]
        self.assertEqual((empty["body_length"], empty["headers"]["content-length"]), (0, "0"))

    def test_connections_are_kept(self):
        numbers = [r["connection"] for m in ("POST", "PUT", "PATCH", "DELETE", "GET")
                   for r in self.requests(f"method-{m}")]
        self.assertEqual(len(set(numbers)), 1)
        tls = [r["connection"] for r in self.stubs["valid"].record()]
        self.assertEqual(tls, [1, 1, 1])

    def test_redirects_are_not_followed(self):
        paths = collections.Counter(r["path"].split("?")[0] for r in self.stubs["http"].record())
        self.assertEqual(paths["/redirect"], 1)

    def test_nothing_is_sent_to_a_certificate_that_is_not_valid(self):
        for name in ("expired", "wrongname", "selfsigned"):
            self.assertEqual(self.stubs[name].record(), [], name)
        self.assertNotIn("HTTP/1.1", self.old.stop())

    def test_the_proxy_of_the_environment_is_ignored(self):
        self.assertEqual(len(self.requests("no-proxy")), 1)

    @unittest.skipUnless(os.geteuid() == 0, "needs root for a network of its own")
    def test_a_name_server_that_never_answers_stalls_nothing(self):
        resolver = self.folder / "resolv.conf"
        resolver.write_text("nameserver 127.0.0.1\noptions timeout:5 attempts:2\n")
        script = ('ip link set lo up && mount --bind "$1" /etc/resolv.conf && '
                  'MIH_TEST_DEAF_DNS=1 exec "$2"')
        done = subprocess.run(["unshare", "-n", "-m", "sh", "-c", script, "sh", resolver,
                               BUILD / "bin/it_rest"], timeout=60, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("longest pause", done.stdout)


class Sockets(unittest.TestCase):
    """Of connections that never come to be."""

    @shared.smoke
    def test_a_slow_connection_is_not_taken_for_a_former_one(self):
        done = subprocess.run([BUILD / "bin/it_watcher"], timeout=60, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)


if __name__ == "__main__":
    unittest.main()
