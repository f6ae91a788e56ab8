"""The gateway beside a real fleet, and webhook.php behind a real web server."""
import hashlib
import hmac
import http.server
import json
import subprocess
import threading
import time
import urllib.error
import urllib.request

import fleet
import moodle_site
from services import wait_until

EVENT = r"\core\event\user_created"
CALL = r"""
define('CLI_SCRIPT', true);
require('config.php');
try {
    $r = \local_integrationhub\mih::request($argv[1], '/php', ['a' => 1]);
    echo json_encode(['ok' => $r->is_ok(), 'status' => $r->httpstatus, 'error' => $r->error, 'attempts' => $r->attempts]);
} catch (\moodle_exception $e) {
    echo json_encode(['code' => $e->errorcode]);
}
"""
QUEUE = r"""
define('CLI_SCRIPT', true);
require('config.php');
echo \local_integrationhub\mih::send($argv[1])->to('/students/a%20b')->with(['n' => ['x' => null, 'y' => 'é/'], 'e' => 1.5])->method('PUT')->queue();
"""


class Service:
    """An HTTP service whose answers the test sets; `hold` keeps requests waiting until it is set."""

    def __init__(self):
        service = self
        self.status, self.requests, self.hold = 200, [], threading.Event()
        self.hold.set()

        class Handler(http.server.BaseHTTPRequestHandler):
            """Records, waits, answers."""

            def answer(self):
                """For every method."""
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                service.requests.append({"method": self.command, "path": self.path, "body": body.decode(), "id": self.headers.get("webhook-id")})
                service.hold.wait(60)
                self.send_response(service.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            do_GET = do_POST = do_PUT = answer

            def log_message(self, *_arguments):
                """Says nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        """Ends it."""
        self.hold.set()
        self.server.shutdown()
        self.server.server_close()


class GatewayTest(moodle_site.SiteTest):
    """A site that may call services on loopback."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.site.settings(allownetworks="127.0.0.0/8")
        for name in ("curlsecurityblockedhosts", "curlsecurityallowedport"):
            cls.site.moodle.set_config(name, "", component=None)

    def service(self, name, **options):
        """Makes a service for this test; returns its id."""
        site = self.site
        site.moodle.cli("service", f"--add={name}", *(f"--{key.replace('_', '-')}={value}" for key, value in options.items()))
        self.addCleanup(site.moodle.cli, "service", f"--delete={name}")
        return int(site.database.value(f"SELECT id FROM mdl_local_integrationhub_svc WHERE name = '{name}'"))

    def php(self, code, *arguments):
        """Starts PHP in the site; returns the process."""
        return subprocess.Popen(["php", "-r", code, *arguments], cwd=self.site.moodle.dir, env=self.site.moodle.environment(),
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def call(self, name):
        """A call of the gateway, in a process of its own."""
        output, _ = self.php(CALL, name).communicate(timeout=120)
        return json.loads(output)


class SharedBreaker(GatewayTest):
    """One breaker for PHP and the workers."""

    def setUp(self):
        super().setUp()
        site = self.site
        self.target = Service()
        self.addCleanup(self.target.close)
        site.settings(exchange="moodle.events")
        self.addCleanup(site.settings, exchange=moodle_site.EXCHANGE)
        self.service_id = self.service("shared", url=self.target.url, cb_threshold=3, cb_cooldown=600, max_retries=0, timeout=30, retry_backoff=60)
        site.moodle.cli("rule", f"--add={EVENT}", "--service=shared", "--endpoint=/worker")
        account = fleet.Account(site.database)
        self.fleet = fleet.Fleet(site.broker.url, site.database, account, processes=2)
        self.addCleanup(self.fleet.close)
        self.fleet.start()
        self.fleet.wait_bound(site.database, [(self.service_id, "core.user_created")])

    def row(self):
        """State, failures and holder in the table."""
        table = self.site.moodle.table("cb")
        return self.site.database.query(f"SELECT state, failure_count, holder FROM {table} WHERE serviceid = {self.service_id}")[0]

    def publish(self, count):
        """So many events that the rule wants."""
        for number in range(count):
            self.site.rabbit.raw("moodle.events", "core.user_created", json.dumps({"eventname": EVENT, "objectid": number}), type=EVENT,
                                 id=f"00000000-0000-7000-8000-{time.time_ns() % 10**12:012d}")

    def due(self):
        """The cooldown is over."""
        self.site.database.query(f"UPDATE mdl_local_integrationhub_cb SET retryat = UNIX_TIMESTAMP() WHERE serviceid = {self.service_id}")

    def paths(self):
        """Who has called."""
        return [request["path"] for request in self.target.requests]

    def test_d8_what_php_opens_holds_the_workers_and_all_of_them_send_one_probe(self):
        self.target.status = 500
        for _ in range(3):
            self.assertEqual(self.call("shared")["status"], 500)
        self.assertEqual(self.row(), ["open", "3", None])
        # The workers have heard it: none consumes any more, so what comes now waits at the broker.
        queue = self.fleet.queue(self.service_id)
        wait_until(lambda: self.site.rabbit.consumers(queue) == 0, 20, "the workers to leave the queue")
        self.publish(4)
        wait_until(lambda: self.site.rabbit.count([queue])[queue] == 4, 20, "the events at the broker")
        self.assertEqual(self.paths(), ["/php"] * 3)
        self.assertEqual(self.call("shared"), {"code": "circuit_open"})

        # Its time has come: ten processes and two workers ask at once, and the service takes its time with what it is sent.
        self.target.hold.clear()
        self.target.status = 200
        self.due()
        callers = [self.php(CALL, "shared") for _ in range(10)]
        wait_until(lambda: len(self.target.requests) > 3, 30, "the probe")
        wait_until(lambda: sum(caller.poll() is not None for caller in callers) >= 9, 60, "the answers of all others")
        self.assertEqual(len(self.target.requests), 4)
        self.assertEqual(self.row()[0], "halfopen")
        self.target.hold.set()
        answers = [json.loads(caller.communicate(timeout=60)[0]) for caller in callers]
        probe = "php" if self.target.requests[3]["path"] == "/php" else "worker"
        print(f"      the probe was sent by {probe}", flush=True)
        self.assertEqual(answers.count({"code": "circuit_open"}), 9 if probe == "php" else 10)
        # The workers go on by themselves.
        wait_until(lambda: self.paths().count("/worker") == 4, 30, "the events at the service")
        self.assertEqual(self.row(), ["closed", "0", None])

    def test_d8_what_a_worker_opens_refuses_php(self):
        self.target.status = 500
        self.publish(5)         # each of the two processes counts by itself: one of them sees three
        wait_until(lambda: self.row()[0] == "open", 30, "the breaker to open")
        self.assertEqual(self.call("shared"), {"code": "circuit_open"})
        self.assertEqual(self.paths().count("/php"), 0)
        # Whoever gets the probe: a success opens the way for both.
        self.target.status = 200
        self.due()
        wait_until(lambda: self.call("shared").get("ok"), 60, "PHP's call to be let through")
        self.assertEqual(self.row(), ["closed", "0", None])

    def test_a_queued_request_arrives_by_the_fleet(self):
        output, _ = self.php(QUEUE, "shared").communicate(timeout=60)
        self.assertRegex(output, "^[0-9a-f-]{36}$")
        wait_until(lambda: self.target.requests, 60, "the request")
        [request] = self.target.requests
        self.assertEqual((request["method"], request["path"], json.loads(request["body"])),
                         ("PUT", "/students/a%20b", {"n": {"x": None, "y": "é/"}, "e": 1.5}))
        self.assertEqual(request["id"].split(":")[0], output)
        self.site.wait_outbox(0)


class Webhook(GatewayTest):
    """webhook.php, as callers see it."""

    def setUp(self):
        super().setUp()
        site = self.site
        site.moodle.cli("service", "--add=hook", "--url=http://127.0.0.1:9/", "--token-stdin", stdin="T0ken")
        self.addCleanup(site.moodle.cli, "service", "--delete=hook")

    def post(self, body=b"{}", query="?service=hook", method="POST", **headers):
        """(status, answer)."""
        request = urllib.request.Request(f"{self.site.moodle.url}/local/integrationhub/webhook.php{query}", data=body, method=method,
                                         headers={name.replace("_", "-"): value for name, value in headers.items()})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                self.assertEqual(answer.headers.get_content_type(), "application/json")
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            self.assertEqual(error.headers.get_content_type(), "application/json")
            return error.code, json.loads(error.read())

    def test_statuses_and_messages(self):
        token = {"Authorization": "Bearer T0ken", "Content_Type": "application/json"}
        cases = [((None, "?service=hook", "GET"), {}, 405, "Only POST is accepted."), ((b"{}", ""), token, 400, "The service is missing."),
                 ((b"{}", "?service=nobody"), token, 404, "There is no such service."), ((b"{}",), {}, 403, "The token is not valid."),
                 ((b"",), token, 400, "The request has no body."), ((b"{",), token, 400, "The body is not valid JSON: Syntax error"),
                 ((b"5",), token, 400, "The body is not valid JSON: it is no object")]
        for arguments, headers, status, message in cases:
            self.assertEqual(self.post(*arguments, **headers), (status, {"success": False, "error": message}))
        for headers in (token, {"X_API_Key": "T0ken"}):
            self.assertEqual(self.post(b'{"a": 1}', **headers), (200, {"success": True}))
        self.site.moodle.cli("service", "--disable=hook")
        self.assertEqual(self.post(**token), (403, {"success": False, "error": "The service is disabled."}))

    def test_a_call_is_an_event_and_a_row_of_the_log(self):
        self.assertEqual(self.post('{"n": "é"}'.encode(), Authorization="Bearer T0ken")[0], 200)
        [message] = self.site.wait_published(1, r"\local_integrationhub\event\webhook_received")
        self.assertEqual(json.loads(message["body"])["other"]["payload"], {"n": "é"})
        row = self.site.database.query("SELECT endpoint, http_method, success, direction FROM mdl_local_integrationhub_log ORDER BY id DESC LIMIT 1")
        self.assertEqual(row, [["webhook", "INBOUND", "1", "inbound"]])

    def test_without_a_database_a_call_is_to_come_again(self):
        self.site.serve(ini="disable_functions = mysqli_init\n")
        self.addCleanup(self.site.serve)
        self.assertEqual(self.post(Authorization="Bearer T0ken")[0], 500)

    def test_signatures_sizes_and_rates(self):
        self.site.cli("service", "--update=hook", "--hmac-header=X-Sig", "--inbound-max-bytes=100", "--inbound-rate=3")
        self.site.moodle.cli("service", "--update=hook", "--secret-stdin=hmac_secret", stdin="s3cret")
        good = hmac.new(b"s3cret", b"{}", hashlib.sha256).hexdigest()
        self.assertEqual(self.post(X_Sig=f"sha256={good}")[0], 200)
        self.assertEqual(self.post(X_Sig="sha256=" + "0" * 64)[0], 403)
        self.assertEqual(self.post(b'{"a":"' + b"x" * 100 + b'"}', X_Sig=good)[0], 413)
        # Refused calls did not count.
        self.assertEqual([self.post(X_Sig=good)[0] for _ in range(2)], [200, 200])
        self.assertEqual(self.post(X_Sig=good), (429, {"success": False, "error": "Too many requests."}))
