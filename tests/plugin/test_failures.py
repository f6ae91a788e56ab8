"""What goes wrong between Moodle and the broker: nothing is lost, and users do not wait."""
import os
import signal
import socket
import subprocess
import threading
import time

import fleet
import moodle_site
from services import free_port, wait_until, write_file
from sink import Sink


class Listener:
    """A port that accepts connections, counts them and closes them at once: what is left of a broker that is restarting."""

    def __init__(self):
        self.port, self.accepted = free_port(), 0
        self.socket = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.accepted += 1
            connection.close()

    def close(self):
        """Ends it."""
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class BrokerTroubles(moodle_site.SiteTest):
    """Broker away, hanging, or without the exchange."""

    def pause_broker(self):
        """The broker keeps its connections and answers nothing, until the end of the test at the latest."""
        self.site.broker.pause()
        self.addCleanup(self.site.broker.resume)

    def test_the_response_is_complete_before_publishing_begins(self):
        self.change(connectbudget=10000, confirmbudget=10000)
        self.site.probe(events=1)           # the process has its connection
        self.site.wait_published(1)
        self.site.wait_outbox(0)
        self.pause_broker()
        began = time.monotonic()
        rows = self.site.probe(events=2, transaction="commit")["outbox"]
        print(f"      page complete after {1000 * (time.monotonic() - began):.0f} ms, its process waits for the broker", flush=True)
        # The broker has confirmed nothing: had the page waited for it, it would have given up after 10 s, and the rows would stay for the relay.
        self.assertEqual(self.site.outbox(), rows)
        self.site.broker.resume()
        self.site.wait_outbox(0)
        self.assertEqual([message["properties"]["message_id"] for message in self.site.wait_published(2)], rows)

    def test_a_broker_that_hangs_costs_the_process_its_budget_and_the_user_nothing(self):
        self.site.serve(1)                  # a process without a connection
        self.pause_broker()
        began = time.monotonic()
        rows = self.site.probe(events=2, transaction="commit")["outbox"]
        page = time.monotonic() - began
        self.site.wait_idle()
        free = time.monotonic() - began
        print(f"      page complete after {1000 * page:.0f} ms, its process free after {1000 * free:.0f} ms (budget to connect: 250 ms)", flush=True)
        self.assertEqual(self.site.outbox(), rows)
        # The library's own time-out is 12 s; this is no measurement but tells the two apart.
        self.assertLess(free, 8)
        self.assertTrue(os.path.exists(self.site.cooloff_file()))

    def test_a_connection_that_hangs_is_given_up(self):
        self.site.probe(events=1)
        self.site.wait_published(1)
        self.site.wait_outbox(0)
        self.pause_broker()
        rows = self.site.probe(events=2, transaction="commit")["outbox"]
        self.site.wait_idle()
        self.assertEqual(self.site.outbox(), rows)
        self.site.broker.resume()
        os.unlink(self.site.cooloff_file())
        self.site.published()               # the broker may have read the two from the socket
        self.site.probe(events=1)
        self.site.wait_outbox(2)
        self.assertEqual(len(self.site.wait_published(1)), 1)

    def test_broker_away_rows_stay_and_the_pause_keeps_others_from_trying(self):
        listener = Listener()
        self.addCleanup(listener.close)
        self.change(brokerurl=f"amqp://u:p@127.0.0.1:{listener.port}/", cooloff=600)
        self.site.probe(events=2)
        self.site.wait_idle()
        tried = listener.accepted
        self.assertGreater(tried, 0)
        self.assertEqual(len(self.site.outbox()), 2)
        for _ in range(5):
            self.site.probe(events=1, others=1)
        self.site.wait_idle()
        self.assertEqual(listener.accepted, tried, "tried during the pause")
        self.assertEqual(len(self.site.outbox()), 7)
        os.utime(self.site.cooloff_file(), (1, 1))      # the pause is over
        self.site.probe(events=1)
        self.site.wait_idle()
        self.assertGreater(listener.accepted, tried)
        self.assertEqual(len(self.site.outbox()), 8)

    def test_an_exchange_that_is_not_there(self):
        self.site.settings(exchange="nowhere")
        self.addCleanup(self.site.settings, exchange=moodle_site.EXCHANGE)
        self.site.probe(events=2)
        self.site.wait_idle()
        self.assertEqual(len(self.site.outbox()), 2)
        with open(self.site.cooloff_file(), encoding="utf-8") as stream:
            self.assertIn("nowhere", stream.read())

    def test_without_a_broker_wanted_events_wait(self):
        self.change(brokerurl="")
        self.site.probe(events=2, others=2)
        self.site.wait_idle()
        self.assertEqual(len(self.site.outbox()), 2)

    def test_direct_mode_writes_no_row_unless_publishing_fails(self):
        self.change(mode="direct")
        self.assertEqual(self.site.probe(events=3, transaction="commit")["outbox"], [])
        self.assertEqual(len(self.site.wait_published(3)), 3)
        self.assertEqual(self.site.outbox(), [])
        self.assertEqual(self.site.probe(events=1, transaction="rollback")["outbox"], [])
        self.change(brokerurl=f"amqp://u:p@127.0.0.1:{free_port()}/")
        self.site.probe(events=3, others=3)
        self.site.wait_idle()
        self.assertEqual(len(self.site.outbox()), 3)
        self.site.probe(events=1)           # during the pause
        self.site.wait_idle()
        self.assertEqual(len(self.site.outbox()), 4)
        self.assertEqual(self.site.published(), [])


class Script:
    """A script on the command line that goes on until it is told to end; `$raise` raises an event."""

    SETUP = ("define('CLI_SCRIPT', true); require('config.php'); $raise = function (int $i): void { \\core\\event\\user_loggedin::create("
             "['userid' => 2, 'objectid' => 2, 'other' => ['username' => \"cli $i\"]])->trigger(); };")

    def __init__(self, site, code):
        self.process = subprocess.Popen(["php", "-r", self.SETUP + code], cwd=site.moodle.dir, env=site.moodle.environment(),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def wait(self, word):
        """Waits until it has said this."""
        line = self.process.stdout.readline().strip()
        if line != word:
            raise AssertionError(f"the script says {line!r}")

    def tell(self):
        """Lets it go on."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self):
        """Ends it."""
        self.process.kill()
        self.process.communicate(timeout=20)


class LongScripts(moodle_site.SiteTest):
    """Processes that raise events for hours."""

    def test_a_script_publishes_while_it_goes_on(self):
        for mode in ("safe", "direct"):
            self.change(mode=mode)
            self.site.fresh()
            script = Script(self.site, "$raise(0); fgets(STDIN);")
            self.addCleanup(script.end)
            self.site.wait_published(1)
            self.site.wait_outbox(0)
            self.assertIsNone(script.process.poll())

    def test_what_a_burst_leaves_behind_is_published_or_in_the_outbox(self):
        for mode in ("safe", "direct"):
            self.change(mode=mode)
            self.site.fresh()
            script = Script(self.site, "for ($i = 0; $i < 50; $i++) { $raise($i); } echo \"raised\\n\"; fgets(STDIN);")
            self.addCleanup(script.end)
            script.wait("raised")
            waiting = set(self.site.outbox())
            published = {message["properties"]["message_id"] for message in self.site.wait_published(50 - len(waiting))}
            self.assertEqual(len(waiting | published), 50)
            self.assertTrue(mode == "safe" or not waiting)
            script.tell()
            self.assertEqual(script.process.wait(20), 0)
            self.site.wait_outbox(0)


class Killed(moodle_site.SiteTest):
    """PHP dies by SIGKILL."""

    def test_before_the_commit_nothing_is_left(self):
        for _ in range(5):
            self.assertEqual(self.site.probe_that_dies(events=1, transaction="commit", kill="working"), 502)
        self.site.probe()
        self.assertEqual((self.site.outbox(), self.site.published()), ([], []))

    def test_a_script_that_has_published_some_of_its_events(self):
        for mode, kept in (("safe", 3), ("direct", 0)):
            self.change(mode=mode)
            self.site.fresh()
            script = Script(self.site, "for ($i = 0; $i < 3; $i++) { $raise($i); } echo \"raised\\n\"; fgets(STDIN);")
            self.addCleanup(script.end)
            script.wait("raised")
            os.kill(script.process.pid, signal.SIGKILL)
            script.process.wait(20)
            ids = {message["properties"]["message_id"] for message in self.site.published()} | set(self.site.outbox())
            self.assertEqual(len(ids), 3, mode)
            self.assertLessEqual(len(self.site.outbox()), kept)

    def test_while_it_waits_for_the_confirm(self):
        self.change(connectbudget=10000, confirmbudget=10000)
        self.site.probe(events=1)
        self.site.wait_published(1)
        self.site.wait_outbox(0)
        self.site.broker.pause()
        self.addCleanup(self.site.broker.resume)
        answer = self.site.probe(events=1, transaction="commit")
        self.assertEqual(len(answer["outbox"]), 1)
        os.kill(answer["pid"], signal.SIGKILL)
        wait_until(lambda: self.site.probe()["pid"] != answer["pid"], 20, "a new PHP process")
        self.site.broker.resume()
        self.assertEqual(self.site.outbox(), answer["outbox"])


class Fleet(moodle_site.SiteTest):
    """The worker fleet with the configuration that the site prints."""

    def test_the_printed_configuration_is_right_and_the_relay_publishes_what_php_left_behind(self):
        site = self.site
        sink = Sink()
        self.addCleanup(sink.close)
        account = fleet.Account(site.database)
        site.settings(exchange="moodle.events")
        self.addCleanup(site.settings, exchange=moodle_site.EXCHANGE)
        site.moodle.cli("service", "--update=probe", f"--url={sink.url}/fast")
        # Killed so often between the commit and the publication, PHP has lost nothing.
        for count in range(1, 101):
            self.assertEqual(site.probe_that_dies(events=1, transaction="commit", kill=("committed", "ending")[count % 2]), 502)
            self.assertEqual(len(site.outbox()), count)
        rows = site.outbox()
        self.assertEqual(site.rabbit.count([moodle_site.QUEUE])[moodle_site.QUEUE], 0)
        status, text, warning = site.cli("worker_config", f"--user={account.user}", "--password-stdin", stdin=account.password + "\n")
        self.assertEqual(status, 0, warning)
        self.assertIn("passwords", warning)
        worker = fleet.Fleet(site.broker.url, site.database, account)
        self.addCleanup(worker.close)
        # The service is on loopback here, which only who runs the worker can allow.
        write_file(worker.configuration, text + "\n[security]\nallow_networks = 127.0.0.0/8\n")
        status, output, errors = run([fleet.program("mih-worker"), "--config", worker.configuration, "--check-config"])
        self.assertEqual(status, 0, output + errors)
        worker.start()
        found = []

        def arrived():
            found.extend(request["id"].split(":")[0] for request in sink.new_requests())
            return len(found) >= 100
        wait_until(arrived, 60, "the hundred events at the service")
        self.assertEqual(sorted(found), sorted(rows))
        site.wait_outbox(0)
        # A page's own event takes the direct way.
        site.probe(events=1)
        wait_until(lambda: arrived() and len(found) == 101, 30, "the page's event at the service")
        site.wait_outbox(0)
        self.assertEqual(worker.stop(), 0)


def run(command):
    """(exit code, standard output, standard error)."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr
