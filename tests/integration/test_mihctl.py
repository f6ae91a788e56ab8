"""mihctl: what a rule makes of an event, as JSON and as a curl command that a shell takes; and test deliveries."""
import base64
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import fleet
import guard
import moodle_tables
import shared
from rabbit import Rabbit
from services import RabbitMQ, wait_until
from soap import SoapServer
from stub import Stub

CASES = pathlib.Path(fleet.TOP) / "tests/cases"
MESSAGE_ID = "0192f0c1-7b3a-7cde-8f01-23456789abcd"
NOW = 1795348440
VOLATILE = ("webhook-id", "webhook-timestamp", "traceparent")
TOKEN = "t0p's \"$ecret\" `token`"
NASTY = "it's \"quoted\" $HOME `id` \\ \\n % %s ! * ~ # ; & | < > ( ) [1-3] {a,b} ñ 李 🎓\n\ttwo lines '' '\\''"


def mihctl(*arguments, config=None, timeout=60):
    """Runs it without a configuration but the given one; the finished process."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MIH_")}
    if config:
        arguments += ("--config", config)
    return subprocess.run([fleet.program("mihctl"), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=timeout, check=False, env=environment)


def masked(headers, service):
    """The headers of a case as mihctl shows them."""
    shown = {}
    credentials = {"authorization", "proxy-authorization", "cookie", "x-api-key"}
    if service.get("auth_type") == "apikey":
        credentials.add((service.get("auth_header") or "X-API-Key").lower())
    for name, value in headers.items():
        if name.lower() in credentials:
            scheme = value.split(" ")[0]
            value = f"{scheme} ***" if scheme.lower() in ("bearer", "basic") and " " in value else "***"
        shown[name] = value
    return shown


class Files(unittest.TestCase):
    """A folder for files, a stub, and a configuration that allows it."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="mih-ctl-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.stub = Stub(cls.folder, "stub")
        cls.addClassCleanup(cls.stub.stop)
        cls.config = cls.write("mih.conf", "[security]\nallow_networks = 127.0.0.0/8\n[worker]\nmax_response_bytes = 1M\n")

    @classmethod
    def write(cls, name, content):
        """A file; what is no text becomes JSON."""
        path = cls.folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    def arguments(self, service=(), rule=(), event=(), eventname=r"\core\event\user_created"):
        """Files of a service at the stub, of a rule and an event; the options that name them."""
        row = {"id": 3, "name": "crm", "type": "rest", "base_url": self.stub.url, "auth_type": "bearer", "auth_token": TOKEN, "timeout": 5}
        files = {
            "service": {**row, **dict(service)},
            "rule": {"id": 7, "serviceid": 3, "eventname": r"\core\event\user_created", "endpoint": "/echo", "http_method": "POST",
                     "payload_template": None, "enabled": 1, **dict(rule)},
            "event": {"eventname": eventname, "userid": 2, "other": None, **dict(event)},
        }
        return [word for kind, content in files.items() for word in (f"--{kind}", self.write(f"{kind}.json", content))]


class Cases(unittest.TestCase):
    """Every shared case, through the program."""

    def rendered(self, folder):
        """What mihctl makes of a case, beside what the case expects and its service."""
        expect = json.loads((folder / "expect.json").read_text(encoding="utf-8"))
        arguments = [word for kind in ("service", "rule", "event", "data") if (folder / f"{kind}.json").exists()
                     for word in (f"--{kind}", folder / f"{kind}.json")]
        done = mihctl("render", "--json", "--message-id", expect.get("message_id", MESSAGE_ID), "--now", expect.get("now", NOW), *arguments)
        lines = done.stdout.splitlines()
        self.assertEqual(1, len(lines), done)
        return done, json.loads(lines[0]), expect, json.loads((folder / "service.json").read_text(encoding="utf-8"))

    def check_request(self, shown, expect, service):
        """As the unit test does, but for what is masked."""
        for key in ("method", "url", "body"):
            self.assertEqual(expect[key], shown[key], key)
        headers = {name: value for name, value in shown["headers"].items() if name not in VOLATILE or name in expect["headers"]}
        self.assertEqual(masked(expect["headers"], service), headers)
        if "traceparent_prefix" in expect:
            self.assertTrue(shown["headers"]["traceparent"].startswith(expect["traceparent_prefix"]), shown)

    @shared.smoke
    def test_every_case_renders_to_what_it_expects(self):
        """Request, error or skipped, with the exit code that belongs to it; never a token."""
        folders = sorted(folder for folder in CASES.iterdir() if folder.is_dir())
        self.assertGreater(len(folders), 100)
        for folder in folders:
            with self.subTest(folder.name):
                done, shown, expect, service = self.rendered(folder)
                if "error" in expect:
                    self.assertEqual((65, ["error"]), (done.returncode, list(shown)), done)
                    self.assertIn(expect["error"], shown["error"])
                elif expect.get("skipped"):
                    self.assertEqual((0, {"skipped": True}), (done.returncode, shown), done)
                elif service["type"] == "soap":     # its WSDL is at no real address; class Soap has one
                    self.assertEqual((75, ["error"]), (done.returncode, list(shown)), done)
                    self.assertIn("fetching the WSDL", shown["error"])
                else:
                    self.assertEqual(0, done.returncode, done)
                    self.check_request(shown, expect, service)
                for secret in ("auth_token", "signing_secret", "signing_secret_old"):
                    if len(service.get(secret) or "") >= 4:
                        self.assertNotIn(service[secret], done.stdout + done.stderr)


class Rendering(Files):
    """The curl command."""

    def run_command(self, command, header):
        """Runs a printed command in Debian's two shells with the secret put back; what the stub's /echo saw."""
        self.assertEqual(1, command.count("***"), command)
        quoted = header.replace("'", "'\\''")
        script = self.write("command.sh", command.replace("***", quoted))
        seen = []
        for shell in ("sh", "bash"):
            done = subprocess.run([shell, script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                  timeout=30, check=False, env={"PATH": os.environ["PATH"], "HOME": str(self.folder)})
            self.assertEqual(0, done.returncode, done)
            seen.append(json.loads(done.stdout))
        self.assertEqual(seen[0], seen[1])
        return seen[0]

    def check_same(self, **parts):
        """The printed curl command and the object say the same, and the command really sends it."""
        arguments = ("--message-id", MESSAGE_ID, "--now", NOW, *self.arguments(**parts))
        shown = json.loads(mihctl("render", "--json", *arguments).stdout)
        printed = mihctl("render", *arguments)
        self.assertEqual((0, ""), (printed.returncode, printed.stderr))
        self.assertNotIn(TOKEN, printed.stdout)
        seen = self.run_command(printed.stdout, TOKEN)
        self.assertEqual((shown["method"], shown["url"], shown["body"]), (seen["method"], self.stub.url + seen["path"], seen["body"]))
        wanted = {name.lower(): value.replace("***", TOKEN) for name, value in shown["headers"].items()}
        more = {name: value for name, value in seen["headers"].items() if name not in wanted}
        self.assertEqual(wanted, {name: value for name, value in seen["headers"].items() if name in wanted})
        self.assertEqual(set(), set(more) - {"host", "user-agent", "content-length"}, more)
        sent = mihctl("send", *arguments, config=self.config)
        self.assertEqual((0, ""), (sent.returncode, sent.stderr))
        by_curl, by_worker = [{key: request[key] for key in ("method", "path", "headers", "body_length", "body_sha256")}
                              for request in self.stub.record()[-2:]]
        self.assertEqual(by_worker, by_curl)
        return shown

    def test_the_printed_command_sends_exactly_the_request(self):
        """Quotes, dollars, backslashes, brackets and line feeds, in body, header and URL; every method."""
        template = json.dumps({"text": "X{{other.nasty}}", "own": NASTY})
        event = {"other": {"nasty": NASTY}}
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            shown = self.check_same(rule={"http_method": method, "payload_template": template}, event=event)
            self.assertEqual(["X" + NASTY, NASTY], list(json.loads(shown["body"]).values()))
        self.check_same(rule={"payload_template": template, "http_method": "GET", "endpoint": "/echo?a=[1-3]&b={x,y}"}, event=event)
        self.check_same(service={"headers": json.dumps({"X-Note": "it's {{other.short}} $HOME", "X-Empty": ""})}, event={"other": {"short": "'\"`"}})
        self.check_same(service={"body_type": "form"}, rule={"payload_template": template}, event=event)
        self.check_same(service={"body_type": "raw", "content_type": "text/plain"}, rule={"payload_template": "@{{other.nasty}}"}, event=event)

    def test_bodies_that_no_word_of_a_shell_can_hold_are_piped(self):
        """NUL, and more than an argument may be long; beginning with what printf takes for an option or a format."""
        raw = {"service": {"body_type": "raw", "content_type": "text/plain"}, "rule": {"payload_template": "-n%s'\\t{{other.text}}1"}}
        shown = self.check_same(**raw, event={"other": {"text": "a\0"}})
        self.assertEqual("-n%s'\\ta\x001", shown["body"])
        shown = self.check_same(**raw, event={"other": {"text": "\x1b]0;owned\x07\x1b[2J\x7f\r7"}})
        self.assertTrue(shown["body"].endswith("\x1b]0;owned\x07\x1b[2J\x7f\r71"), shown)
        printed = mihctl("render", *self.arguments(**raw, event={"other": {"text": "\x1b[2J"}})).stdout
        self.assertNotRegex(printed, "[^\t\n -~]", "a terminal would obey")
        shown = self.check_same(**raw, event={"other": {"text": NASTY * 3000}})
        self.assertGreater(len(shown["body"]), 200000)

    def test_credentials_are_masked_wherever_they_stand(self):
        """Bearer, basic, an API key under its own name, a token that a header's template repeats."""
        basic = base64.b64encode(f"ana:{TOKEN}".encode()).decode()
        for columns in ({}, {"auth_type": "basic", "auth_user": "ana"}, {"auth_type": "apikey", "auth_header": "X-Kennwort"},
                        {"headers": json.dumps({"X-Copy": f"a {TOKEN} b"})}):
            for more in ((), ("--json",)):
                done = mihctl("render", *more, *self.arguments(service=columns))
                self.assertEqual(0, done.returncode, done)
                self.assertIn("***", done.stdout)
                for secret in (TOKEN, TOKEN.replace("'", "'\\''"), json.dumps(TOKEN)[1:-1], basic):
                    self.assertNotIn(secret, done.stdout + done.stderr)

    def test_amqp_says_what_goes_where(self):
        """What curl does not speak is told in lines."""
        amqp = {"type": "amqp", "base_url": "amqp://ana:geheim99@broker.example/v?exchange=it%27s&routing_key=k", "auth_type": "none"}
        done = mihctl("render", *self.arguments(service=amqp, rule={"endpoint": "moodle.{{userid}}"}))
        self.assertIn("exchange: 'it'\\''s'\nrouting key: 'moodle.2'\n", done.stdout)
        self.assertNotIn("geheim99", done.stdout + done.stderr)
        shown = json.loads(mihctl("render", "--json", *self.arguments(service=amqp, rule={"endpoint": "moodle.{{userid}}"})).stdout)
        self.assertEqual(("it's", "moodle.2"), (shown["exchange"], shown["routing_key"]))

    def test_a_filter_that_says_no_is_told(self):
        """In a sentence, with success; also by send, which then sends nothing."""
        before = len(self.stub.record())
        for command in ("render", "send"):
            done = mihctl(command, *self.arguments(rule={"filter": '{"userid": 99}'}), config=self.config)
            self.assertEqual((0, ""), (done.returncode, done.stderr))
            self.assertIn("filter does not want this event", done.stdout)
        self.assertEqual(before, len(self.stub.record()))

    def test_a_rule_that_the_event_would_not_reach_has_a_note(self):
        """It is rendered all the same."""
        for parts in ({"rule": {"enabled": 0}}, {"eventname": r"\core\event\user_deleted"}):
            done = mihctl("render", "--json", *self.arguments(**parts))
            self.assertIn("the rule is disabled, or is of other events", done.stderr)
            self.assertEqual("POST", json.loads(done.stdout)["method"])

    def test_usage_and_files(self):
        """Exit codes of sysexits.h, with what is wrong."""
        files = self.arguments()
        other_rule = self.write("other.json", {"id": 7, "serviceid": 4, "eventname": r"\a\event\b"})
        broken = self.write("broken.json", "{")
        for code, text, arguments in (
                (64, "render and send", ()), (64, "render and send", ("nonsense",)), (64, "--rule-id N", ("render",)),
                (64, "--event", ("render", *files[:4])),
                (64, "not both", ("render", "--rule-id", "7", *files)),
                (64, "not a number", ("render", "--rule-id", "x", "--event", "e")),
                (64, "not known", ("render", "--nonsense")), (64, "not understood", ("render", "more", *files)),
                (66, "/nowhere", ("render", *files, "--event", "/nowhere")), (65, "not a JSON object", ("render", *files, "--rule", broken)),
                (65, "serviceid", ("render", *files, "--rule", other_rule)), (78, "/nowhere.conf", ("render", *files, "--config", "/nowhere.conf"))):
            done = mihctl(*arguments)
            self.assertEqual((code, ""), (done.returncode, done.stdout), done)
            self.assertIn(text, done.stderr)
        self.assertTrue(mihctl("--version").stdout.startswith("mihctl "))
        self.assertIn("mihctl render", mihctl("--help").stdout)


class Sending(Files):
    """Through the worker's transports."""

    def send(self, endpoint, config=None, **service):
        """The exit code and the object."""
        done = mihctl("send", "--json", *self.arguments(service=service, rule={"endpoint": endpoint}), config=config or self.config)
        self.assertEqual("", done.stderr)
        return done.returncode, json.loads(done.stdout)

    @shared.smoke
    def test_delivered_retry_and_reject(self):
        """Verdict, status and exit code; the request is there, once."""
        for status, code, verdict in ((200, 0, "delivered"), (503, 75, "retry"), (422, 65, "reject")):
            endpoint = f"/status/{status}?body=because&n={time.monotonic_ns()}"
            got, answer = self.send(endpoint)
            self.assertEqual((code, verdict, status, "because"), (got, answer["verdict"], answer["status"], answer["body"]))
            self.assertGreaterEqual(answer["time_ms"], 0)
            self.assertEqual(verdict == "delivered", answer["reason"] == "", answer)
            self.assertEqual(1, len(self.stub.record(endpoint)))

    def test_the_answer_for_people_and_its_secrets(self):
        """A service that says the token back does not bring it to the screen; control characters do not get there either."""
        done = mihctl("send", *self.arguments(service={"auth_token": "geheimes-wort"}), config=self.config)
        self.assertEqual(0, done.returncode, done)
        self.assertIn("verdict: delivered\nstatus: 200\ntime: ", done.stdout)
        self.assertIn('"authorization": "Bearer ***"', done.stdout)
        self.assertNotIn("geheimes-wort", done.stdout + done.stderr)
        self.assertEqual("Bearer geheimes-wort", self.stub.record("/echo")[-1]["headers"]["authorization"])
        done = mihctl("send", *self.arguments(rule={"endpoint": "/status/400?body=a%1b[31mb"}), config=self.config)
        self.assertIn("body: a [31mb\n", done.stdout)

    def test_the_wait_for_an_access_token_has_a_time_of_its_own(self):
        """Within the whole one; nothing of it where none is needed."""
        oauth = {"auth_type": "oauth2", "auth_user": "id", "auth_token": "geheim", "auth_url": self.stub.url + "/token?wait=200"}
        code, answer = self.send("/guarded?wait=100", **oauth)
        self.assertEqual((0, "delivered"), (code, answer["verdict"]), answer)
        self.assertGreaterEqual(answer["token_ms"], 200)
        self.assertGreaterEqual(answer["time_ms"], answer["token_ms"] + 100)
        done = mihctl("send", *self.arguments(service=oauth, rule={"endpoint": "/guarded"}), config=self.config)
        self.assertRegex(done.stdout, r"time: [0-9.]+ ms, [0-9.]+ ms of it for the access token\n")
        code, answer = self.send("/echo")
        self.assertEqual((0, 0), (code, answer["token_ms"]), answer)
        code, answer = self.send("/guarded", **{**oauth, "timeout": 1, "auth_url": self.stub.url + "/token?wait=60000"})
        self.assertEqual((75, "retry", answer["time_ms"]), (code, answer["verdict"], answer["token_ms"]), answer)
        self.assertRegex(answer["reason"], r"^time-out after 1\d+ ms: token endpoint ")

    def test_a_process_that_stood_still_while_it_waited_for_a_token_blames_nobody(self):
        """The endpoint had less than half of the time-out."""
        path = f"/token?wait=60000&n={time.monotonic_ns()}"
        service = {"auth_type": "oauth2", "auth_user": "id", "auth_token": "geheim", "auth_url": self.stub.url + path, "timeout": 4}
        arguments = ["send", "--json", *self.arguments(service=service, rule={"endpoint": "/guarded"}), "--config", self.config]
        with subprocess.Popen([fleet.program("mihctl"), *map(str, arguments)], stdout=subprocess.PIPE) as process:
            wait_until(lambda: self.stub.record(path), 20, "the fetch")
            process.send_signal(signal.SIGSTOP)
            time.sleep(5)                       # what is tested
            process.send_signal(signal.SIGCONT)
            answer = json.loads(process.communicate(timeout=20)[0])
        self.assertEqual((75, 0), (process.returncode, answer["status"]))
        self.assertIn("this process stood still", answer["reason"])

    def test_what_does_not_answer(self):
        """A time-out and a closed port are tried again."""
        code, answer = self.send("/hang", timeout=1)
        self.assertEqual((75, "retry", 0), (code, answer["verdict"], answer["status"]))
        code, answer = self.send("/x", base_url="http://127.0.0.1:1")
        self.assertEqual((75, "retry"), (code, answer["verdict"]))

    def test_the_network_guard_is_in_force(self):
        """Without allow_networks nothing reaches this machine."""
        before = len(self.stub.record())
        code, answer = self.send("/echo", config=self.write("closed.conf", ""))
        self.assertEqual((65, "reject"), (code, answer["verdict"]))
        self.assertIn("refused by the network guard", answer["reason"])
        self.assertEqual(before, len(self.stub.record()))


class Amqp(Files):
    """Test deliveries into a real broker."""

    def test_a_message_is_in_the_queue_or_is_told_to_be_unroutable(self):
        """Confirmed and there; without a queue it would be tried again, and the reason names the key."""
        broker = shared.server(RabbitMQ)
        rabbit = Rabbit(fleet.program("mih-test-rabbit"), broker.url)
        queue = f"ctl{time.monotonic_ns()}"
        service = {"type": "amqp", "auth_type": "none"}
        done = mihctl("send", "--json", *self.arguments(service={**service, "base_url": f"{broker.url}?queue_declare={queue}"},
                                                        rule={"endpoint": ""}), config=self.config)
        self.addCleanup(rabbit.delete, "--queue", queue)
        self.assertEqual((0, "delivered"), (done.returncode, json.loads(done.stdout)["verdict"]), done)
        self.assertEqual({queue: 1}, rabbit.count([queue]))
        done = mihctl("send", "--json", *self.arguments(service={**service, "base_url": broker.url}, rule={"endpoint": "no." + queue}),
                      config=self.config)
        self.assertEqual((75, "retry"), (done.returncode, json.loads(done.stdout)["verdict"]), done)
        self.assertIn("no." + queue, json.loads(done.stdout)["reason"])


class Soap(Files):
    """Messages for PHP's SoapServer, and test deliveries to it."""

    RULE = {"endpoint": "Add", "payload_template": '{"intA": {{userid}}, "intB": 40}'}

    def server(self):
        """One that ends with the test."""
        server = SoapServer()
        self.addCleanup(server.close)
        return server

    def test_the_message_is_shown_and_not_sent(self):
        """The shell runs the command, and the server takes it; before that only the WSDL was asked for."""
        server = self.server()
        service = {"type": "soap", "base_url": server.url + "/calculator.wsdl", "auth_type": "none"}
        for version, kind in (("1.1", "text/xml"), ("1.2", "application/soap+xml")):
            arguments = self.arguments(service={**service, "soap_version": version}, rule=self.RULE)
            shown = mihctl("render", *arguments, config=self.config)
            self.assertEqual((0, ""), (shown.returncode, shown.stderr))
            self.assertEqual([], [record for record in server.record() if "calls" in record])
            answer = guard.run(["sh", "-c", shown.stdout])
            self.assertIn(b"42", answer[1], answer)
            called = [record for record in server.record() if "calls" in record]
            self.assertEqual(1, len(called))
            self.assertIn(kind, called[0]["type"])
            as_json = json.loads(mihctl("render", "--json", *arguments, config=self.config).stdout)
            self.assertEqual(("POST", called[0]["xml"]), (as_json["method"], as_json["body"]))

    def test_the_password_of_a_message_is_masked(self):
        """Also as XML writes it, and its digest."""
        server = self.server()
        for auth in ("wsse", "wssetext"):
            service = {"type": "soap", "base_url": server.url + "/calculator.wsdl", "auth_type": auth, "auth_user": "moodle",
                       "auth_token": "p<ss&wort 99"}
            for more in ((), ("--json",)):
                done = mihctl("render", *more, *self.arguments(service=service, rule=self.RULE), config=self.config)
                self.assertEqual(0, done.returncode, done)
                self.assertRegex(done.stdout, r"Password[^>]*>\*\*\*<")
                for secret in ("ss&wort 99", "ss&amp;wort 99"):
                    self.assertNotIn(secret, done.stdout)

    def test_what_makes_no_message_is_told(self):
        """A payload that the WSDL refuses is 65, a WSDL that cannot be had now 75."""
        server = self.server()
        service = {"type": "soap", "base_url": server.url + "/calculator.wsdl", "auth_type": "none"}
        for columns, payload, code, words in (({}, '{"intA": "x"}', 65, "policy: SOAP: "),
                                              ({"base_url": "http://127.0.0.1:1/a.wsdl"}, "{}", 75, "no connection: ")):
            arguments = self.arguments(service={**service, **columns}, rule={**self.RULE, "payload_template": payload})
            done = mihctl("render", *arguments, config=self.config)
            self.assertEqual((code, ""), (done.returncode, done.stdout), done)
            self.assertIn("mihctl: " + words, done.stderr)

    def test_the_wsdl_is_fetched_and_the_answer_is_json(self):
        """One call, with the answer as JSON; and an operation that there is not."""
        server = self.server()
        service = {"type": "soap", "base_url": server.url + "/calculator.wsdl", "auth_type": "none"}
        for operation, code, verdict in (("Add", 0, "delivered"), ("Subtract", 65, "reject")):
            arguments = self.arguments(service=service, rule={"endpoint": operation, "payload_template": '{"intA": {{userid}}, "intB": 40}'})
            done = mihctl("send", "--json", *arguments, config=self.config)
            answer = json.loads(done.stdout)
            self.assertEqual((code, verdict), (done.returncode, answer["verdict"]), done)
            if verdict == "delivered":
                self.assertIn("42", answer["body"])
            else:
                self.assertIn('no operation "Subtract"', answer["reason"])
        oauth = {"auth_type": "oauth2", "auth_user": "id", "auth_token": "geheim", "auth_url": self.stub.url + "/token?wait=200"}
        arguments = self.arguments(service={**service, **oauth}, rule=self.RULE)
        answer = json.loads(mihctl("send", "--json", *arguments, config=self.config).stdout)
        self.assertEqual("delivered", answer["verdict"], answer)
        self.assertGreaterEqual(answer["token_ms"], 200, "the WSDL waited for the token, and is part of the call")
        self.assertGreaterEqual(answer["time_ms"], answer["token_ms"])


class Database(unittest.TestCase):
    """Rules of the database, payloads from Moodle's tables, with the rights of the worker's user."""

    @classmethod
    def setUpClass(cls):
        cls.database = shared.SharedDatabase(f"ctl{time.monotonic_ns()}")
        moodle_tables.load(cls.database)
        account = fleet.Account(cls.database, user="mihctl")
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="mih-ctl-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.event = cls.folder / "event.json"
        cls.event.write_text(json.dumps({"eventname": r"\core\event\user_created", "userid": "4", "courseid": 2}), encoding="utf-8")
        cls.config = fleet.Fleet("amqp://127.0.0.1:1", cls.database, account).configuration

    def test_a_rule_of_the_database_with_names_of_the_tables(self):
        """Rule and service by id; the user's and the course's names; nobody is null."""
        service = fleet.add_service(self.database, name="crm", base_url="https://crm.example/api", auth_type="bearer", auth_token="geheimes-wort")
        template = '{"name": "{{user.firstname}}", "course": "{{course.fullname}}", "nobody": {{relateduser.id}}}'
        rule = fleet.add_rule(self.database, serviceid=service, eventname=r"\core\event\user_created", endpoint="/u", payload_template=template)
        done = mihctl("render", "--json", "--rule-id", rule, "--event", self.event, config=self.config)
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        shown = json.loads(done.stdout)
        user = {row["id"]: row for row in moodle_tables.rows("user")}["4"]
        course = {row["id"]: row for row in moodle_tables.rows("course")}["2"]
        self.assertEqual({"name": user["firstname"], "course": course["fullname"], "nobody": None}, json.loads(shown["body"]))
        self.assertEqual(("https://crm.example/api/u", "Bearer ***"), (shown["url"], shown["headers"]["Authorization"]))

    def test_what_is_not_there(self):
        """No such rule is 65; no database is 69."""
        done = mihctl("render", "--json", "--rule-id", 424242, "--event", self.event, config=self.config)
        self.assertEqual((65, {"error": "no rule has this id"}), (done.returncode, json.loads(done.stdout)))
        away = self.folder / "away.conf"
        away.write_text("[database]\nhost = 127.0.0.1\nport = 1\nuser = nobody\npassword = x\nname = y\n", encoding="utf-8")
        done = mihctl("render", "--rule-id", 1, "--event", self.event, config=away)
        self.assertEqual((69, ""), (done.returncode, done.stdout), done)
        self.assertIn("mihctl: ", done.stderr)
