"""The broker side of the C code against a real RabbitMQ: it_bus and it_publisher."""
import os
import subprocess
import unittest

import fleet
import shared
from services import RabbitMQ


class Modules(unittest.TestCase):
    """The C tests of the modules, on the run's broker."""

    def run_program(self, name):
        """Runs a test program; its words are shown when it fails."""
        done = subprocess.run([fleet.program(name)], env=dict(os.environ, MIH_TEST_AMQP_URL=shared.server(RabbitMQ).url), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=200, check=False)
        self.assertEqual(0, done.returncode, done.stdout)

    def test_the_bus(self):
        """Connections, channels, messages, confirms, topology."""
        self.run_program("it_bus")

    def test_the_publisher(self):
        """The thread that publishes."""
        self.run_program("it_publisher")
