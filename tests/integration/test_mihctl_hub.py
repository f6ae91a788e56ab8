"""mihctl beside a fleet at work: check, status, top, pause, resume, breaker, trace and dlq, with the rights that deploy/grants.sh gives."""
import json
import os
import pty
import re
import signal
import subprocess
import time
import unittest

import fleet
import guard
import moodle_tables
import replays
import shared
from services import wait_until

CREATED = r"\core\event\user_created"
VIEWED = r"\core\event\course_viewed"
TOKEN = "geheimes-wort-99"
CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f]")
CONFIG_PLUGINS = """CREATE TABLE mdl_config_plugins (id INT PRIMARY KEY AUTO_INCREMENT, plugin TEXT, name TEXT, value LONGTEXT);
INSERT INTO mdl_config_plugins (plugin, name, value) VALUES ('local_integrationhub', 'siteid', 'lms.example')"""


class Commands(unittest.TestCase):
    """One hub for all: a service that works, one that refuses everything, one that is paused.  The tables are looked at once a minute, so that what
    works at once works by the hint."""

    @classmethod
    def setUpClass(cls):
        cls.hub = shared.Hub(processes=1, settings={"database": {"poll_interval": "60s"}, "relay": {"after": "1h"},
                                                    "statistics": {"interval": "1s", "backlog_interval": "1s"}})
        cls.addClassCleanup(cls.hub.close)
        cls.with_moodle()
        names = {"auth_token": TOKEN, "max_retries": 0, "long_retries": 0, "cb_failure_threshold": 9999}
        cls.crm = cls.hub.service(name="crm", **names)
        cls.erp = cls.hub.service(cls.hub.sink.url + "/status-400", name="erp", **names)
        cls.later = cls.hub.service(name="l\x1b[31mater", paused=1, **names)
        cls.rules = {service: cls.hub.rule(service, CREATED) for service in (cls.crm, cls.erp, cls.later)}
        cls.first = cls.run_ctl("check"), cls.objects()
        cls.hub.start()
        last = f"{cls.hub.fleet.namespace}.delay.86400000"
        wait_until(lambda: cls.hub.rabbit.count([last])[last] is not None, 20, "the queues for retries")
        wait_until(lambda: cls.hub.rabbit.consumers(cls.queue(cls.crm)), 20, "the consumer")
        cls.message = cls.hub.raw(CREATED, json.dumps({"eventname": CREATED, "userid": 2, "other": None}))
        wait_until(lambda: cls.value(f"SELECT COUNT(*) FROM mdl_local_integrationhub_dlq WHERE serviceid = {cls.erp}") == "1", 20, "the dead letter")

    @classmethod
    def with_moodle(cls):
        """Moodle's tables, and the grants to them."""
        moodle_tables.load(cls.hub.database)
        cls.hub.database.query(CONFIG_PLUGINS)
        cls.hub.account = fleet.Account(cls.hub.database, user=cls.hub.account.user)
        cls.hub.fleet.sections["database"]["password"] = cls.hub.account.password
        cls.hub.fleet.write_configuration()

    @classmethod
    def value(cls, sql):
        """The first field."""
        return cls.hub.database.value(sql)

    @classmethod
    def queue(cls, service):
        """Its queue."""
        return cls.hub.fleet.queue(service)

    @classmethod
    def objects(cls):
        """Names of the hub's queues and exchanges at the broker."""
        vhost, space = f'<<"{cls.hub.broker.vhost}">>', cls.hub.fleet.namespace + "."
        names = cls.hub.broker.ctl("eval", f"[element(4, amqqueue:get_name(Q)) || Q <- rabbit_amqqueue:list({vhost})] ++ "
                                   f"[element(4, element(2, X)) || X <- rabbit_exchange:list({vhost})].")
        return [name for name in re.findall(r'<<"([^"]+)">>', names) if name.startswith(space)]

    @classmethod
    def run_ctl(cls, *arguments, config=None, timeout=60):
        """Runs it; whatever it says holds no secret, and nothing that a terminal obeys."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MIH_")}
        done = subprocess.run([fleet.program("mihctl"), *map(str, arguments), "--config", config or cls.hub.fleet.configuration],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout, check=False,
                              env=environment)
        for secret in (TOKEN, cls.hub.account.password, cls.hub.broker.password):
            if secret in done.stdout + done.stderr:
                raise AssertionError(f"a secret: {done}")
        if CONTROL.search(done.stdout + done.stderr):
            raise AssertionError(f"a terminal would obey: {done}")
        return done

    def ctl(self, *arguments, code=0, **options):
        """What it prints as JSON: the objects of its lines."""
        done = self.run_ctl(*arguments, "--json", **options)
        self.assertEqual(code, done.returncode, done)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def config(self, **sections):
        """A configuration that is the fleet's but for these settings."""
        changed = {section: {**values, **sections.get(section, {})} for section, values in self.hub.fleet.sections.items()}
        changed.update({section: values for section, values in sections.items() if section not in changed})
        path = os.path.join(self.hub.folder, f"other-{time.monotonic_ns()}.conf")
        with open(path, "w", encoding="utf-8") as stream:
            for section, values in changed.items():
                stream.write(f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in values.items()))
        return path

    def findings(self, code, *arguments, **options):
        """{check: (result, text)} of `check`, and that the counts are those of its lines."""
        told, = self.ctl("check", *arguments, code=code, **options)
        results = [check["result"] for check in told["checks"]]
        self.assertEqual([results.count(result) for result in ("ok", "warn", "FAIL")], [told["ok"], told["warn"], told["fail"]])
        return {check["check"]: (check["result"], check["text"]) for check in told["checks"]}

    def failed(self, code, *arguments, **options):
        """Only what has failed."""
        return {name: text for name, (result, text) in self.findings(code, *arguments, **options).items() if result == "FAIL"}

    # ---- check ----

    def test_check_of_a_hub_that_works(self):
        """One line a check, all ok, and the sum; the versions that work; the same as JSON."""
        done = self.run_ctl("check")
        lines = done.stdout.splitlines()
        self.assertEqual((0, ""), (done.returncode, done.stderr), done)
        warnings = [line for line in lines if line.startswith("warn ")]
        self.assertTrue(all(line.endswith("--encrypt of the plugin mends it") for line in warnings), done.stdout)
        self.assertEqual(f"{len(lines) - 1 - len(warnings)} ok, {len(warnings)} warn, 0 FAIL", lines[-1])
        for start in ("ok    configuration: ", "ok    database: ", "ok    table local_integrationhub_svc: ", "ok    Moodle's tables: ",
                      "ok    fleet: 1 process of version ", "ok    services and rules: ",
                      f"ok    broker: connected to 127.0.0.1:{self.hub.broker.port}/mih", f"ok    exchange {self.hub.exchange}: ",
                      f"ok    queue {self.queue(self.crm)}: ", f"ok    queue {self.hub.fleet.dead_queue(self.crm)}: ",
                      "ok    queues of retries: 70 of 70 "):
            self.assertTrue(any(line.startswith(start) for line in lines), f"{start}\n{done.stdout}")
        self.assertEqual(len(lines) - 1, len(self.findings(0)))

    def test_check_makes_nothing(self):
        """Before the first start it warns of what is not there, and leaves it so."""
        done, objects = self.first
        self.assertEqual((0, []), (done.returncode, objects), done)
        self.assertIn(f"warn  queue {self.queue(self.crm)}: is not there; the fleet declares it\n", done.stdout)
        self.assertIn("warn  queues of retries: 0 of 70 ", done.stdout)
        self.assertGreater(len(self.objects()), 70)

    def test_check_names_each_right_that_is_missing(self):
        """Each privilege of each grant, taken away alone, is told with its table."""
        user = f"'{self.hub.account.user}'@'127.0.0.1'"
        grants = [row[0] for row in self.hub.database.query(f"SHOW GRANTS FOR {user}")]
        count, config = 0, self.config(broker={"url": "amqp://127.0.0.1:1"})    # the broker's part is another's
        for grant in grants:
            match = re.match(r"GRANT (.*) ON (`\S+`\.`(\S+)`) TO", grant)
            if not match:
                continue                    # USAGE
            table = match[3].removeprefix("mdl_")
            name = f"table {table}" if table.startswith("local_integrationhub_") else "Moodle's tables"
            for privilege in re.findall(r"[A-Z]+(?: \([^)]*\))?", match[1]):
                with self.subTest(grant=f"{privilege} ON {table}"):
                    self.hub.database.query(f"REVOKE {privilege} ON {match[2]} FROM {user}")
                    try:
                        failed = self.failed(69, config=config)
                    finally:
                        self.hub.database.query(f"GRANT {privilege} ON {match[2]} TO {user}")
                    self.assertIn(name, failed)
                    self.assertIn("deploy/grants.sh", failed[name])
                    count += 1
        self.assertGreater(count, 30)

    def test_check_names_a_column_that_is_missing(self):
        """As before the plugin's upgrade."""
        rename = "ALTER TABLE mdl_local_integrationhub_replay RENAME COLUMN {} TO {}"
        self.hub.database.query(rename.format("canary", "canari"))
        try:
            failed = self.failed(69)
        finally:
            self.hub.database.query(rename.format("canari", "canary"))
        text = failed.pop("table local_integrationhub_replay")
        self.assertEqual({}, failed)
        self.assertIn("canary", text)
        self.assertIn("has Moodle's upgrade of the plugin run?", text)

    def test_check_names_faults_of_services_and_rules(self):
        """Of enabled ones alone."""
        service = fleet.add_service(self.hub.database, name="faulty", base_url="ftp://x.example", auth_type="none")
        rule = fleet.add_rule(self.hub.database, serviceid=self.crm, eventname=CREATED, payload_template="{broken")
        failed = self.failed(78)
        self.assertEqual({f"service {service}", f"rule {rule}"}, set(failed))
        self.assertIn("policy: ", failed[f"rule {rule}"])
        for table, identifier in (("svc", service), ("rules", rule)):
            self.hub.database.query(f"UPDATE mdl_local_integrationhub_{table} SET enabled = 0 WHERE id = {identifier}")
        self.assertEqual({}, self.failed(0))
        self.hub.database.query(f"DELETE FROM mdl_local_integrationhub_svc WHERE id = {service};"
                                f"DELETE FROM mdl_local_integrationhub_rules WHERE id = {rule}")

    def test_check_of_a_configuration_that_is_wrong(self):
        """Every mistake is a line; a key file that is none; a database and a broker that are away do not hide each other."""
        told, = self.ctl("check", code=78, config=self.config(worker={"processes": "many"}, log={"level": "loud"}))
        self.assertEqual(["configuration"] * 2, [check["check"] for check in told["checks"]])
        self.assertEqual({"key file"}, set(self.failed(78, config=self.config(security={"moodle_key_file": "/nowhere"}))))
        self.assertEqual({"database"}, set(self.failed(69, config=self.config(database={"port": 1}))))
        self.assertEqual({"broker"}, set(self.failed(69, config=self.config(broker={"url": "amqp://127.0.0.1:1"}))))

    def test_check_names_permissions_that_are_missing(self):
        """At the broker: to configure, to write, to read."""
        vhost, broker = self.hub.broker.vhost, self.hub.broker
        every, none = '<<".*">>', '<<"^$">>'
        exchanges, queues = [f"exchange {self.hub.fleet.namespace}.control"], [f"queue {self.queue(self.crm)}"]
        users = {"noconfigure": (none, every, every), "nowrite": (every, none, every), "noread": (every, every, none),
                 "noconsume": (every, every, '<<"^(?!.*service).*$">>')}
        broker.ctl("eval", " ".join(
            f'rabbit_auth_backend_internal:add_user(<<"{user}">>, <<"pw">>, <<"t">>), rabbit_auth_backend_internal:set_permissions('
            f'<<"{user}">>, <<"{vhost}">>, {", ".join(permissions)}, <<"t">>),' for user, permissions in users.items()) + " ok.")
        for user in users:
            with self.subTest(user):
                failed = self.failed(69, config=self.config(broker={"url": f"amqp://{user}:pw@127.0.0.1:{broker.port}/{vhost}"}))
                self.assertEqual(user == "noconsume", exchanges[0] not in failed)
                self.assertEqual(user == "noconfigure", "virtual host" in failed)
                for name in queues if user == "noconsume" else exchanges + queues + ["queues of retries"]:
                    self.assertIn(name, failed)
                    self.assertIn("403 ACCESS_REFUSED", failed[name])
                    self.assertNotIn("pw@", failed[name])
        broker.ctl("eval", " ".join(f'rabbit_auth_backend_internal:delete_user(<<"{user}">>, <<"t">>),' for user in users) + " ok.")

    def test_a_queue_of_another_version_is_told_and_used_as_it_is(self):
        """check says what the broker says and what to do; the fleet warns once, binds the queue and takes from it."""
        service = self.hub.service(name="older", auth_token=TOKEN)
        queue = self.queue(service)
        self.hub.rabbit.declare("--queue", queue, "--argument", "x-queue-type=quorum", "--argument", "x-delivery-limit:=5")
        result, text = self.findings(0)[f"queue {queue}"]
        self.assertEqual("warn", result)
        for words in ("406 PRECONDITION_FAILED", "inequivalent arg 'x-", queue, "uses it as it is", "delete it"):
            self.assertIn(words, text)
        before = self.log().count("used as they are")
        self.hub.rule(service, VIEWED)
        self.run_ctl("resume", service)             # its hint has the fleet look
        self.hub.wait_bound()
        message = self.hub.raw(VIEWED, json.dumps({"eventname": VIEWED, "userid": 2, "other": None}))
        wait_until(lambda: any(identifier.startswith(message) for identifier in self.hub.delivered()), 20, "the delivery")
        self.hub.rule(service, r"\mod_quiz\event\*")                # another round
        self.run_ctl("resume", service)
        self.hub.wait_bound()
        self.assertEqual(before + 1, self.log().count("used as they are"), self.log())
        self.assertIn("inequivalent arg", self.log())
        self.hub.database.query(f"DELETE FROM mdl_local_integrationhub_rules WHERE serviceid = {service};"
                                f"DELETE FROM mdl_local_integrationhub_svc WHERE id = {service}")
        self.run_ctl("resume", "crm")

    def log(self):
        """The fleet's."""
        with open(self.hub.fleet.log, encoding="utf-8") as stream:
            return stream.read()

    # ---- status and top ----

    def status(self, code=0, **options):
        """The object, with its services by id."""
        told, = self.ctl("status", code=code, **options)
        return told, {service["id"]: service for service in told.get("services", [])}

    def test_status(self):
        """Processes, services, what waits, dead letters, the outbox and its age; a breaker that is open, and when it is tried again."""
        before = self.hub.dead_count()
        self.hub.raw(CREATED, json.dumps({"eventname": CREATED, "userid": 2, "other": None}))
        wait_until(lambda: self.hub.dead_count() > before, 20, "a dead letter")
        wait_until(lambda: self.value("SELECT MAX(elected = 1 AND received >= 2) FROM mdl_local_integrationhub_worker") == "1", 20, "the row")
        self.hub.database.query("INSERT INTO mdl_local_integrationhub_outbox (messageid, eventname, payload, timecreated) VALUES"
                                " ('m1', 'e', '{}', UNIX_TIMESTAMP() - 100);"
                                f"REPLACE INTO mdl_local_integrationhub_cb (serviceid, state, trips, retryat) VALUES ({self.erp}, 'open', 3,"
                                " UNIX_TIMESTAMP() + 600)")
        try:
            told, services = self.status()
            text = self.run_ctl("status").stdout
        finally:
            self.hub.database.query("DELETE FROM mdl_local_integrationhub_outbox;"
                                    f"UPDATE mdl_local_integrationhub_cb SET state = 'closed' WHERE serviceid = {self.erp}")
            self.run_ctl("resume", "crm")
        process, = told["processes"]
        self.assertEqual(self.hub.fleet.children(), [process["pid"]])
        self.assertEqual((False, True, True), (process["silent"], process["elected"], process["received"] >= 2))
        self.assertEqual(("closed", 0, 1, 0), tuple(services[self.crm][key] for key in ("breaker", "ready", "consumers", "dead")))
        self.assertEqual(("open", 3, self.hub.dead_count()), tuple(services[self.erp][key] for key in ("breaker", "trips", "dead")))
        self.assertTrue(500 < services[self.erp]["retry_in"] <= 600, services[self.erp])
        self.assertEqual((True, 0), tuple(services[self.later][key] for key in ("paused", "consumers")))
        waiting = self.hub.rabbit.count([self.queue(self.later)])[self.queue(self.later)]
        self.assertEqual((waiting, True), (services[self.later]["ready"], waiting > 0))
        self.assertEqual((1, 0, False), (told["outbox"], told["retries"], told["replayer"]))
        self.assertTrue(100 <= told["outbox_oldest"] < 200, told)
        for words in ("processes: 1\n", "open, next try in ", "outbox: 1, the oldest ", "replayer: none", "waiting for a retry: 0",
                      r"l\x1b[31mater  paused "):
            self.assertIn(words, text)

    def test_status_tells_retries_silent_processes_and_statistics(self):
        """What lies in the queues for retries; a row that is old; what the last whole minute has delivered, and how fast."""
        self.hub.rabbit.raw(f"{self.hub.fleet.namespace}.delay", "d86400000", "{}")
        self.hub.database.query("INSERT INTO mdl_local_integrationhub_worker (instance, host, timeseen) VALUES"
                                " ('gone', 'gone', UNIX_TIMESTAMP() - 60)")
        self.hub.database.query("INSERT INTO mdl_local_integrationhub_stat (serviceid, ruleid, width, timestart, delivered, latencysum, h0, h3)"
                                f" SELECT {self.later}, 999, 60, (UNIX_TIMESTAMP() DIV 60 + n) * 60, 120, 30000, 2, 1 FROM"
                                " (SELECT -1 AS n UNION SELECT 0 UNION SELECT 1) AS minutes")   # whichever is the last whole one then
        told, services = self.status()
        self.hub.database.query("DELETE FROM mdl_local_integrationhub_stat WHERE ruleid = 999")
        self.assertEqual((120, 10.0), tuple(services[self.later][key] for key in ("delivered_per_minute", "latency_ms")))
        self.hub.rabbit.purge(f"{self.hub.fleet.namespace}.delay.86400000")
        self.hub.database.query("DELETE FROM mdl_local_integrationhub_worker WHERE instance = 'gone'")
        self.assertEqual(1, told["retries"])
        self.assertEqual({"gone": True}, {process["host"]: True for process in told["processes"] if process["silent"]})

    def test_status_without_database_or_broker(self):
        """The other half is shown, with exit code 69."""
        told, services = self.status(69, config=self.config(broker={"url": "amqp://127.0.0.1:1"}))
        self.assertIn("127.0.0.1:1", told["broker_error"])
        self.assertIsNone(services[self.crm]["ready"])
        told, services = self.status(69, config=self.config(database={"port": 1}))
        self.assertEqual(({}, 0), (services, told["retries"]))
        self.assertIn("database: ", told["database_error"])

    def test_top_without_a_terminal(self):
        """One state after the other, until SIGTERM."""
        with subprocess.Popen([fleet.program("mihctl"), "top", "--interval", "1", "--json", "--config", self.hub.fleet.configuration],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
            try:
                states = [json.loads(process.stdout.readline()) for _ in range(2)]
            finally:
                process.terminate()
            self.assertEqual(0, process.wait(10))
        self.assertGreater(states[1]["time"], states[0]["time"])

    def test_top_on_a_terminal(self):
        """q, Ctrl-C and SIGTERM end it and leave the terminal as it was."""
        for ending in ("q", "\x03", signal.SIGTERM):
            with self.subTest(ending=ending):
                pid, terminal = pty.fork()
                if pid == 0:
                    os.execv(fleet.program("mihctl"), ["mihctl", "top", "--config", self.hub.fleet.configuration])
                output = b""
                while b"services: " not in output:
                    output += os.read(terminal, 65536)
                if isinstance(ending, str):
                    os.write(terminal, ending.encode())
                else:
                    os.kill(pid, ending)
                while chunk := self.read_to_end(terminal):
                    output += chunk
                self.assertEqual(0, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                os.close(terminal)
                self.assertTrue(output.startswith(b"\x1b[?1049h"), output)
                self.assertTrue(output.endswith(b"\x1b[?25h\x1b[?1049l"), output)

    @staticmethod
    def read_to_end(terminal):
        """What comes, or nothing when the other end is closed."""
        try:
            return os.read(terminal, 65536)
        except OSError:
            return b""

    # ---- services ----

    def test_pause_and_resume_work_at_once(self):
        """By the hint: the tables would be looked at a minute later."""
        queue = self.queue(self.crm)
        told, = self.ctl("pause", "crm")
        self.assertEqual({"service": self.crm, "name": "crm", "state": "paused", "changed": True, "hinted": True}, told)
        wait_until(lambda: self.hub.rabbit.consumers(queue) == 0, 20, "the consumer to go")
        self.assertEqual("service {} crm: was already paused; the fleet was told\n".format(self.crm), self.run_ctl("pause", "crm").stdout)
        message = self.hub.raw(CREATED, json.dumps({"eventname": CREATED, "userid": 2, "other": None}))
        wait_until(lambda: self.hub.rabbit.count([queue])[queue] == 1, 20, "the message to wait")
        self.assertEqual((True, "not paused"), tuple(self.ctl("resume", self.crm)[0][key] for key in ("changed", "state")))
        wait_until(lambda: f"{message}:{self.rules[self.crm]}" in self.hub.delivered(), 20, "the delivery")

    def test_pause_without_a_broker(self):
        """It is paused, and said that the fleet could not be told."""
        told, = self.ctl("pause", "crm", config=self.config(broker={"url": "amqp://127.0.0.1:1"}))
        self.assertEqual((True, False), (told["changed"], told["hinted"]))
        self.assertEqual("1", self.value(f"SELECT paused FROM mdl_local_integrationhub_svc WHERE id = {self.crm}"))
        self.ctl("resume", "crm")

    def test_breaker_and_its_reset(self):
        """What the table says; a reset closes it, and the fleet consumes again at once."""
        queue = self.queue(self.crm)
        self.hub.database.query(f"REPLACE INTO mdl_local_integrationhub_cb (serviceid, state, failure_count, trips, retryat) VALUES"
                                f" ({self.crm}, 'open', 7, 2, UNIX_TIMESTAMP() + 600)")
        self.ctl("resume", "crm")                   # its hint has the fleet look
        wait_until(lambda: self.hub.rabbit.consumers(queue) == 0, 20, "the consumer to go")
        told, = self.ctl("breaker", "crm")
        self.assertEqual(("open", 7, 2), (told["state"], told["failures"], told["trips"]))
        self.assertIn("breaker open after 7 failures", self.run_ctl("breaker", self.crm).stdout)
        self.assertEqual((True, "closed"), tuple(self.ctl("breaker", "crm", "reset")[0][key] for key in ("changed", "state")))
        wait_until(lambda: self.hub.rabbit.consumers(queue) == 1, 20, "the consumer to come back")
        self.assertEqual("closed", self.ctl("breaker", "crm")[0]["state"])
        self.assertFalse(self.ctl("breaker", "crm", "reset")[0]["changed"])

    def test_which_service(self):
        """By id or name; none is told, and so is an id that is another's name."""
        self.assertIn("no service has this", self.ctl("pause", "nobody", code=65)[0]["error"])
        other = fleet.add_service(self.hub.database, name=str(self.crm), base_url="https://x.example", enabled=0)
        self.assertIn("another this name", self.ctl("pause", self.crm, code=65)[0]["error"])
        self.hub.database.query(f"DELETE FROM mdl_local_integrationhub_svc WHERE id = {other}")

    # ---- messages ----

    def test_trace(self):
        """A message's way in order of time, out of all tables; one that nobody knows is told."""
        other, base = "0192f0c1-7b3a-7cde-8f01-23456789abcd", int(time.time()) - 200
        self.hub.database.query(
            f"INSERT INTO mdl_local_integrationhub_outbox (messageid, eventname, payload, timecreated) VALUES ('{other}', 'e', '{{}}', {base});"
            "INSERT INTO mdl_local_integrationhub_log (messageid, serviceid, ruleid, endpoint, http_status, latency_ms, attempt_count, success,"
            f" error_message, timecreated, outcome) VALUES ('{other}', {self.erp}, 5, 'https://x/y', 503, 12, 1, 0, 'HTTP 503', {base} + 50,"
            " 'retry');"
            "INSERT INTO mdl_local_integrationhub_replay (id, action, state, serviceid, timecreated, timestarted, timeended) VALUES"
            f" (77, 'replay', 'done', {self.erp}, {base} + 110, {base} + 111, {base} + 120);"
            "INSERT INTO mdl_local_integrationhub_dlq (messageid, serviceid, ruleid, eventname, error_message, attempts, timefirst, timecreated,"
            f" timemodified, state, replayid, endpoint, http_method) VALUES ('{other}', {self.erp}, 5, 'e', 'HTTP 400: no\x1b[2J', 3, {base} + 40,"
            f" {base} + 100, {base} + 115, 'replayed', 77, 'https://x/y', 'POST')")
        try:
            told, = self.ctl("trace", other)
            text = self.run_ctl("trace", other).stdout
        finally:
            self.hub.database.query(";".join(f"DELETE FROM mdl_local_integrationhub_{table} WHERE messageid = '{other}'" for table in (
                "outbox", "log", "dlq")) + ";DELETE FROM mdl_local_integrationhub_replay WHERE id = 77")
        steps = told["steps"]
        self.assertEqual([(0, "outbox"), (40, "first"), (50, "retry"), (100, "died"), (110, "asked for"), (111, "started"), (115, "replayed"),
                          (120, "done")], [(step["time"] - base, step["what"]) for step in steps])
        self.assertEqual((self.erp, 5), (steps[3]["service"], steps[3]["rule"]))
        self.assertEqual("attempt 1: POST https://x/y, 503 after 12 ms: HTTP 503", steps[2]["text"])
        self.assertIn("after 3 attempts, POST https://x/y: HTTP 400", steps[3]["text"])
        died = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(base + 100))
        self.assertRegex(text, rf"(?m)^{died}  died +service {self.erp}  rule 5  after 3 attempts, .* no\\x1b\[2J$")
        self.assertIn("no table knows", self.ctl("trace", "nothing", code=65)[0]["error"])

    def test_dlq(self):
        """Listed and shown from the index; replayed and discarded by the daemon, or told that there is none."""
        letter, = self.ctl("dlq", "list", "--id", self.message, "--service", "erp", "--reason", "400", "--event", CREATED)
        self.assertEqual((self.message, self.erp), (letter["message_id"], letter["service"]))
        self.assertEqual([], self.ctl("dlq", "list", "--service", "crm"))
        shown, = self.ctl("dlq", "show", self.message)
        self.assertEqual((self.message, "dead", 400, "POST", CREATED),
                         tuple(shown[key] for key in ("message_id", "state", "status", "method", "event")))
        self.assertIn("state: dead\n", self.run_ctl("dlq", "show", self.message).stdout)
        self.ctl("dlq", "show", "nothing", code=65)
        done = self.run_ctl("dlq", "replay", "--id", self.message, "--json")
        asked = json.loads(done.stdout)
        self.assertEqual((0, "requested"), (done.returncode, asked["state"]))
        self.assertIn(f"no mih-replayer works; replay {asked['replay']} is carried out when one does", done.stderr)
        daemon = replays.start(self.hub)
        try:
            self.assertEqual("done", replays.wait_ended(self.hub, asked["replay"])[0])
            wait_until(lambda: self.ctl("dlq", "list", "--id", self.message), 20, "it to die again")
            letters = self.ctl("dlq", "list", "--service", "erp")
            told, = self.ctl("dlq", "discard", "--service", self.erp, "--wait")
            self.assertEqual(("discard", "done", len(letters)), tuple(told[key] for key in ("action", "state", "moved")))
            self.assertEqual([], self.ctl("dlq", "list"))
            self.assertEqual("", self.run_ctl("dlq", "replay", "--all", "--dry-run").stderr)
        finally:
            daemon.kill9()
        wait_until(lambda: self.status()[0]["replayer"] is False, 40, "the daemon's lock to go")
        self.ctl("dlq", "replay", "--all", "--wait", code=75)
        self.hub.database.query("UPDATE mdl_local_integrationhub_replay SET state = 'stopped', timeended = 1")

    # ---- usage ----

    def test_usage(self):
        """Exit code 64 with what is wrong."""
        for text, *arguments in (("no such command", "stop"), ("which service", "pause"), ("not understood", "pause", "a", "b"),
                                 ("not understood", "breaker", "a", "set"), ("which message", "trace"), ("--interval is of top", "status",
                                 "--interval", "3"), ("--json and --config alone", "check", "--rule-id", "3"), ("must be said", "dlq"),
                                 ("must be said", "dlq", "reindex"), ("say which ones", "dlq", "replay"), ("which message", "dlq", "show"),
                                 ("only together with", "dlq", "list", "--wait"), ("[replayer] canary_wait", "dlq", "replay", "--all",
                                 "--canary-wait", "3"), ("first word", "--json", "dlq")):
            done = self.run_ctl(*arguments)
            self.assertEqual((64, ""), (done.returncode, done.stdout), done)
            self.assertIn(text, done.stderr)
        done = guard.run([fleet.program("mih-replayer"), "replay", "--all", "--wait"])
        self.assertEqual(64, done[0], done)

    def test_the_shell_completes_what_the_help_tells(self):
        """Every command and option, and nothing else."""
        usage = self.run_ctl("--help").stdout
        options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", usage))
        commands = set(re.findall(r"mihctl ([a-z]+)", usage))
        script = os.path.join(fleet.TOP, "deploy/completion/mihctl.bash")

        def complete(*words):
            code = (f'source {script}; COMP_WORDS=(mihctl {" ".join(words)} ""); COMP_CWORD={len(words) + 1}; _mihctl; '
                    'printf "%s\\n" "${COMPREPLY[@]}"')
            return set(subprocess.run(["bash", "-c", code], check=True, stdout=subprocess.PIPE, text=True).stdout.split())

        found = {command: complete(command) for command in commands}
        found["dlq list"], found["dlq replay"] = complete("dlq", "list"), complete("dlq", "replay")
        told = complete() | set().union(*found.values())
        self.assertEqual(commands | options | {"list", "show", "replay", "discard"}, told)
        self.assertEqual({"--json", "--config", "--help"}, found["check"])
        self.assertEqual({"sent", "render"}, complete("dlq", "replay", "--mode"))
        self.assertIn("--wait", complete("dlq", "replay", "--service", "erp"))
        self.assertIn("reset", complete("breaker", "erp"))
