#!/usr/bin/env python3
"""The database side against a real MariaDB: it_db, schema.sql, deploy/grants.sh, TLS, and it_store while things happen to the server.

Environment: MIH_BUILD (default: build beside the sources). For the thread sanitizer, configure another build folder with
-DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS=-fsanitize=thread and name it.
"""
import errno
import os
import pathlib
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("MIH_BUILD", ROOT / "build"))
sys.path.insert(0, str(ROOT / "tests/harness"))

import moodle_tables  # noqa: E402
import services  # noqa: E402
import xmldb  # noqa: E402

PASSWORD = 'correct-horse-9'
TABLES = {"svc", "cb", "log", "rules", "dlq", "outbox", "binding", "worker", "replay", "stat", "batch", "backlog", "nonce"}
HUNG_MS = 5000      # time-outs of dbenv.h are 2 s; a busy machine is late
PAUSE_MS = 200      # the loop of it_store ticks every 2 ms; a busy machine costs some tens, a call to the database would cost 2000


def environment(server, user="mih", **more):
    """The variables of dbenv.h."""
    variables = {"HOST": "127.0.0.1", "PORT": server.port, "USER": user, "PASSWORD": PASSWORD, "NAME": server.database,
                 "LESS_USER": "less", "PATH": server.socket, "PID": server.process.pid, **more}
    return dict(os.environ, **{f"MIH_TEST_DB_{key}": str(value) for key, value in variables.items()})


def prepared(server):
    """A server with the schema, a user who may do all and one who may nearly nothing."""
    server.load(ROOT / "schema.sql")
    server.query(f"CREATE USER mih@'%' IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON moodle.* TO mih@'%';"
                 f"CREATE USER less@'%' IDENTIFIED BY '{PASSWORD}'; GRANT SELECT ON moodle.mdl_local_integrationhub_rules TO less@'%'")
    return server


class Program:
    """A running it_store: its lines with the times at which they came."""

    def __init__(self, server, *arguments, **variables):
        self.process = subprocess.Popen([BUILD / "bin/it_store", *arguments], env=environment(server, **variables), text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.lines = queue.Queue()
        self.seen = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put((time.monotonic(), line.rstrip("\n")))

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def expect(self, start, seconds=8):
        """Waits for a line that starts so; returns it. Lines before it are skipped."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                when, line = self.lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no line '{start}' within {seconds} s; there were: {self.seen}") from None
            self.seen.append(line)
            if line.startswith(start):
                self.when = when
                return line

    def drain(self):
        """The lines that are there, without waiting."""
        found = []
        while not self.lines.empty():
            found.append(self.lines.get()[1])
        self.seen.extend(found)
        return found

    def pause_ms(self):
        """The longest pause of its loop."""
        self.tell("pause")
        return int(self.expect("pause").split()[1])

    def end(self, grace_ms=1000):
        """Ends it; returns the milliseconds that store_free and the others took."""
        self.tell(f"end {grace_ms}")
        took = int(self.expect("ended", grace_ms / 1000 + 5).split("=")[1])
        status = self.process.wait(10)
        self.close()
        if status != 0:
            raise AssertionError(f"it_store ended with {status}: {self.seen} {self.drain()}")
        return took

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self.process.stdin.close()
        self.reader.join(5)
        self.process.stdout.close()


class DatabaseCase(unittest.TestCase):
    """A fresh server for the class."""

    @classmethod
    def setUpClass(cls):
        cls.server = prepared(services.MariaDB())
        cls.addClassCleanup(cls.server.close)

    def program(self, *arguments, **variables):
        program = Program(self.server, *arguments, **variables)
        self.addCleanup(program.close)
        return program


class ModuleTest(DatabaseCase):
    """The C tests of the module, on the real server."""

    def test_the_module(self):
        done = subprocess.run([BUILD / "bin/it_db"], env=environment(self.server), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=120, check=False)
        print(done.stdout)
        self.assertEqual(done.returncode, 0)


class SchemaTest(DatabaseCase):
    """schema.sql and Moodle's install.xml."""

    def test_schema_sql_is_what_install_xml_says(self):
        self.assertEqual((ROOT / "schema.sql").read_text(encoding="utf-8"), xmldb.schema(ROOT / "moodle-plugin/db/install.xml"))

    def test_it_makes_the_tables_and_refuses_to_run_twice(self):
        names = {row[0].removeprefix("mdl_local_integrationhub_") for row in self.server.query("SHOW TABLES")}
        self.assertEqual(names, TABLES)
        with self.assertRaisesRegex(services.ServiceError, "already exists"):
            self.server.load(ROOT / "schema.sql")

    def test_every_column_is_of_the_type_moodle_gives_it(self):
        rows = self.server.query("SELECT table_name, column_name, column_type, is_nullable, column_default, collation_name FROM"
                                 " information_schema.columns WHERE table_schema = 'moodle' AND table_name LIKE 'mdl\\_%'")
        found = {(row[0].removeprefix("mdl_local_integrationhub_"), row[1]): row[2:] for row in rows}
        self.assertEqual(found["svc", "max_concurrency"], ["mediumint(5)", "NO", "16", None])
        self.assertEqual(found["svc", "long_retries"], ["tinyint(1)", "NO", "1", None])
        self.assertEqual(found["dlq", "state"], ["varchar(10)", "NO", "'dead'", "utf8mb4_unicode_ci"])
        self.assertEqual(found["replay", "maxcount"], ["bigint(10)", "YES", None, None])
        self.assertEqual(found["svc", "base_url"], ["varchar(1333)", "NO", "''", "utf8mb4_unicode_ci"])
        self.assertEqual(found["svc", "auth_token"], ["longtext", "YES", None, "utf8mb4_unicode_ci"])
        self.assertEqual(found["svc", "id"], ["bigint(10)", "NO", None, None])
        self.assertEqual(found["outbox", "payload"], ["longtext", "NO", None, "utf8mb4_unicode_ci"])
        self.assertEqual(found["log", "success"], ["tinyint(1)", "NO", "1", None])


class GrantsTest(DatabaseCase):
    """What deploy/grants.sh allows, and what it does not."""

    ALLOWED = (
        "SELECT id, name, auth_token, max_concurrency FROM {svc}",
        "UPDATE {svc} SET paused = 1 WHERE id = 1",
        "SELECT * FROM {rules}",
        "UPDATE {rules} SET enabled = 0, disabledreason = 'HTTP 410', timedisabled = 1, timemodified = 1 WHERE id = 1 AND enabled = 1",
        "SELECT * FROM {cb}",
        "UPDATE {cb} SET state = 'open', failure_count = 5, last_failure = 1, timemodified = 1 WHERE serviceid = 1 AND state = 'closed'",
        "INSERT INTO {log} (serviceid, endpoint) VALUES (1, '/')",
        "SELECT MAX(id) FROM {log}",
        "DELETE FROM {log} WHERE id <= 0 LIMIT 1000",
        "INSERT INTO {stat} (serviceid, width, timestart) VALUES (1, 60, 0) ON DUPLICATE KEY UPDATE delivered = delivered + 1",
        "SELECT * FROM {stat} WHERE width = 60 FOR UPDATE",
        "DELETE FROM {stat} WHERE width = 60",
        "INSERT INTO {batch} (writer) VALUES ('x')",
        "UPDATE {batch} SET number = 1 WHERE writer = 'x' AND number = 0",
        "SELECT number FROM {batch} WHERE writer = 'x'",
        "DELETE FROM {batch} WHERE timemodified < 1",
        "INSERT INTO {backlog} (serviceid) VALUES (1) ON DUPLICATE KEY UPDATE waiting = 1",
        "SELECT * FROM {backlog}",
        "DELETE FROM {backlog} WHERE serviceid = 1",
        "SELECT * FROM {log} WHERE serviceid = 1",
        "UPDATE {cb} SET trips = trips + 1, retryat = 1, holder = 'h:1:1' WHERE serviceid = 1",
        "INSERT INTO {cb} (serviceid) VALUES (9)",
        "INSERT INTO {dlq} (serviceid, eventname, messageid, state) VALUES (1, 'x', 'm', 'dead')",
        "UPDATE {dlq} SET state = 'replayed', replayid = 1, timemodified = UNIX_TIMESTAMP() WHERE messageid = 'm'",
        "SELECT * FROM {dlq} WHERE serviceid = 1 AND state = 'dead'",
        "INSERT INTO {replay} (serviceid, state) VALUES (1, 'running')",
        "UPDATE {replay} SET state = 'done', matched = 1, moved = 1, failed = 0, error = NULL, timestarted = 1, timeended = 1, timemodified = 1",
        "SELECT * FROM {replay} WHERE state IN ('requested', 'running')",
        "SELECT id, messageid, eventname, payload, timecreated FROM {outbox}",
        "DELETE FROM {outbox} WHERE id IN (1, 2)",
        "INSERT INTO {binding} (serviceid, routingkey) VALUES (1, 'a.b')",
        "UPDATE {binding} SET timebound = 1 WHERE serviceid = 1",
        "SELECT * FROM {binding}",
        "DELETE FROM {binding} WHERE serviceid = 1",
        "INSERT INTO {worker} (instance, host, version) VALUES ('x', 'x', 'x')",
        "UPDATE {worker} SET timeseen = UNIX_TIMESTAMP() WHERE instance = 'x'",
        "SELECT * FROM {worker}",
        "DELETE FROM {worker} WHERE timeseen < UNIX_TIMESTAMP() + 1",
        "SELECT GET_LOCK('x', 0), IS_USED_LOCK('x'), RELEASE_LOCK('x')",
        "SELECT value FROM mih_mdl_settings WHERE name = 'siteid'",
        "SELECT id, address, alternatename, auth, city, country, department, email, firstname, firstnamephonetic, id, idnumber, institution, lang,"
        " lastname, lastnamephonetic, middlename, phone1, phone2, suspended, timecreated, timezone, username FROM mdl_user WHERE deleted = 0",
        "SELECT f.shortname, COALESCE(d.data, f.defaultdata) FROM mdl_user_info_field f LEFT JOIN mdl_user_info_data d ON d.userid = 1 AND"
        " d.fieldid = f.id",
        "SELECT t.fullname, c.id, c.idnumber, c.name, c.parent, c.path, c.visible FROM mdl_course t LEFT JOIN mdl_course_categories c ON"
        " c.id = t.category",
        "SELECT id, category, enddate, format, idnumber, lang, shortname, startdate, timecreated, visible FROM mdl_course",
        "SELECT t.id, t.added, t.course, t.idnumber, t.instance, t.visible, m.name FROM mdl_course_modules t JOIN mdl_modules m ON m.id = t.module",
        "SELECT id, name FROM mih_mdl_activities WHERE modname = 'forum' AND id IN (0, 1)",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY; COMMIT",
    )
    REFUSED = (
        "UPDATE {svc} SET base_url = 'https://evil.example'",
        "UPDATE {svc} SET enabled = 0",
        "INSERT INTO {rules} (eventname, serviceid) VALUES ('x', 1)",
        "DELETE FROM {rules}",
        "UPDATE {rules} SET endpoint = '/elsewhere'",
        "UPDATE {rules} SET payload_template = NULL",
        "UPDATE {rules} SET serviceid = 2",
        "UPDATE {cb} SET serviceid = 2",
        "DELETE FROM {cb}",
        "UPDATE {log} SET success = 1",
        "INSERT INTO {outbox} (messageid, eventname, payload) VALUES ('x', 'x', 'x')",
        "UPDATE {outbox} SET payload = ''",
        "DELETE FROM {dlq}",
        "UPDATE {dlq} SET id = 2",
        "UPDATE {dlq} SET messageid = 'x'",
        "UPDATE {dlq} SET ruleid = 2",
        "UPDATE {dlq} SET serviceid = 2",
        "DELETE FROM {replay}",
        "UPDATE {replay} SET serviceid = NULL",
        "UPDATE {replay} SET dryrun = 0",
        "SELECT * FROM mdl_config_plugins",
        "SELECT * FROM mdl_user",
        "SELECT password FROM mdl_user",
        "SELECT id FROM mdl_user WHERE password LIKE 'x%'",
        "SELECT secret FROM mdl_user",
        "SELECT lastip FROM mdl_user",
        "SELECT * FROM mdl_user_info_data",
        "SELECT param1 FROM mdl_user_info_field",
        "SELECT * FROM mdl_course",
        "SELECT summary FROM mdl_course",
        "SELECT description FROM mdl_course_categories",
        "SELECT availability FROM mdl_course_modules",
        "SELECT name FROM mdl_forum",
        "UPDATE mdl_user SET email = 'x'",
        "UPDATE mdl_course SET fullname = 'x'",
        "UPDATE mih_mdl_activities SET name = 'x'",
        "INSERT INTO mih_mdl_settings VALUES ('siteid', 'x')",
        "SELECT * FROM mysql.user",
        "CREATE TABLE mine (id INT)",
        "DROP TABLE {worker}",
        "ALTER TABLE {worker} ADD COLUMN x INT",
        "SELECT LOAD_FILE('/etc/passwd') INTO OUTFILE '/tmp/mih-grants'",
        "SET GLOBAL max_connections = 1",
        "CREATE USER more@localhost",
        "GRANT SELECT ON {svc} TO less@'%'",
    )

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        moodle_tables.load(cls.server)
        cls.server.query("CREATE TABLE mdl_config_plugins (id INT PRIMARY KEY AUTO_INCREMENT, plugin TEXT, name TEXT, value LONGTEXT);"
                         "INSERT INTO mdl_config_plugins (plugin, name, value) VALUES ('local_integrationhub', 'siteid', 'lms.example'),"
                         " ('local_integrationhub', 'brokerurl', 'amqp://u:secret@h'), ('other', 'siteid', 'no'),"
                         " ('local_integrationhub', 'max_log_entries', '500')")
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(PASSWORD + "\n")
            file.flush()
            cls.command = [ROOT / "deploy/grants.sh", "--user", "worker", "--host", "127.0.0.1", "--password-file", file.name]
            cls.server.query(cls.grants())
            cls.server.query(cls.grants())    # it may be run again

    @classmethod
    def grants(cls, *options):
        return subprocess.run([*cls.command, *options], check=True, stdout=subprocess.PIPE, text=True).stdout

    def as_worker(self, sql):
        return self.server.query(re.sub(r"\{(\w+)\}", r"mdl_local_integrationhub_\1", sql), user="worker", password=PASSWORD)

    def test_what_the_worker_does_is_allowed(self):
        for sql in self.ALLOWED:
            with self.subTest(sql):
                self.as_worker(sql)

    def test_what_it_has_no_need_for_is_refused(self):
        for sql in self.REFUSED:
            with self.subTest(sql):
                self.assertRaisesRegex(services.ServiceError, r"ERROR (1142|1143|1044|1045|1227|1290|1410|1356)", self.as_worker, sql)

    def test_of_the_settings_it_sees_the_named_ones_alone(self):
        self.assertEqual(self.as_worker("SELECT * FROM mih_mdl_settings"), [["siteid", "lms.example"], ["max_log_entries", "500"]])

    def test_a_program_runs_with_them(self):
        program = self.program("grants", USER="worker")
        program.expect("catalog")
        program.expect("elected")
        instance = next(line for line in program.seen if line.startswith("instance")).split()[1]
        services.wait_until(lambda: self.as_worker(f"SELECT 1 FROM {{worker}} WHERE instance = '{instance}'"), 5, "the row")
        program.end()
        self.assertFalse(any("failure" in line or "level=" in line for line in program.seen), program.seen)

    def test_the_index_of_dead_letters_works_with_them(self):
        done = subprocess.run([BUILD / "bin/it_deadindex"], env=environment(self.server, user="worker"), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
        print(done.stdout)
        self.assertEqual(done.returncode, 0)

    def test_without_moodle_there_is_no_view(self):
        with services.MariaDB() as server:
            server.load(ROOT / "schema.sql")
            with tempfile.NamedTemporaryFile("w") as file:
                file.write(PASSWORD)
                file.flush()
                server.query(subprocess.run([ROOT / "deploy/grants.sh", "--password-file", file.name, "--require-tls", "--max-connections",
                                             "40"], check=True, stdout=subprocess.PIPE, text=True).stdout)
            self.assertEqual(server.query("SELECT COUNT(*) FROM information_schema.views WHERE table_schema = 'moodle'"), [["0"]])
            self.assertEqual(server.query("SELECT COUNT(*) FROM information_schema.column_privileges WHERE table_name = 'mdl_user'"), [["0"]])

    def test_odd_names_are_refused(self):
        for option, value in (("--prefix", "x y"), ("--database", "a`b"), ("--user", "a'b"), ("--host", "h'"), ("--nonsense", "1")):
            done = subprocess.run([ROOT / "deploy/grants.sh", option, value], capture_output=True, check=False)
            self.assertEqual((done.returncode, done.stdout), (64, b""), (option, value))


class TlsServer(services.MariaDB):
    """With a certificate, or with TLS switched off."""

    def __init__(self, certificate=None):
        self.certificate = certificate
        super().__init__()

    def command(self):
        argv, env = super().command()
        if self.certificate is None:
            return [*argv, "--skip-ssl"], env
        return [*argv, f"--ssl-cert={self.certificate}.pem", f"--ssl-key={self.certificate}.key"], env


def openssl(*arguments):
    """Runs openssl."""
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class TlsTest(unittest.TestCase):
    """The matrix: what the server has, and what the settings ask for. 127.1 reaches loopback without being known as local."""

    REFUSED, OPEN = -errno.EPROTO, 0
    # server, host, tls, CA file: result, encrypted
    MATRIX = (
        ("plain", "127.0.0.1", "auto", "", OPEN, False),
        ("plain", "127.0.0.1", "off", "", OPEN, False),
        ("plain", "127.0.0.1", "require", "", REFUSED, None),
        ("plain", "127.0.0.1", "require", "ca", REFUSED, None),
        ("plain", "127.1", "auto", "", REFUSED, None),
        ("plain", "127.1", "off", "", OPEN, False),
        ("selfsigned", "127.0.0.1", "auto", "", OPEN, False),
        ("selfsigned", "127.0.0.1", "require", "", REFUSED, None),
        ("selfsigned", "127.0.0.1", "require", "ca", REFUSED, None),
        ("selfsigned", "127.1", "auto", "", REFUSED, None),
        ("right", "127.0.0.1", "require", "", REFUSED, None),
        ("right", "127.0.0.1", "require", "ca", OPEN, True),
        ("right", "localhost", "require", "ca", OPEN, True),
        ("right", "127.0.0.1", "require", "missing", REFUSED, None),
        ("wrongname", "127.0.0.1", "require", "ca", REFUSED, None),
        ("wrongname", "localhost", "require", "ca", REFUSED, None),
        ("wrongname", "127.0.0.1", "auto", "ca", OPEN, False),
    )

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        for name, subject in (("ca", None), ("selfsigned", None), ("right", "DNS:localhost,IP:127.0.0.1"), ("wrongname", "DNS:other.example")):
            cls.certificate(name, subject)

    @classmethod
    def certificate(cls, name, subject):
        stem = cls.folder / name
        common = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{stem}.key", "-subj", f"/CN={name}")
        if subject is None:
            openssl("req", "-x509", *common, "-days", "2", "-out", f"{stem}.pem")
            return
        (cls.folder / "extension").write_text(f"subjectAltName={subject}\n")
        openssl("req", "-new", *common, "-out", f"{stem}.csr")
        openssl("x509", "-req", "-in", f"{stem}.csr", "-CA", cls.folder / "ca.pem", "-CAkey", cls.folder / "ca.key", "-CAcreateserial",
                "-days", "2", "-extfile", cls.folder / "extension", "-out", f"{stem}.pem")

    def check(self, server, row):
        _, host, tls, ca, expected, encrypted = row
        done = subprocess.run([BUILD / "bin/it_dbopen"], stdout=subprocess.PIPE, text=True, check=True, timeout=20, env=environment(
            server, HOST=host, TLS=tls, CA=f"{self.folder}/{ca}.pem" if ca else ""))
        result, words = done.stdout.strip().split(" ", 1)
        print(f"{str(row):80} {result} {words}")
        self.assertEqual(int(result), expected, words)
        if expected == 0:
            self.assertEqual(words != "-", encrypted, words)

    def test_the_matrix(self):
        for name in ("plain", "selfsigned", "right", "wrongname"):
            with TlsServer(None if name == "plain" else self.folder / name) as server:
                server.query(f"CREATE USER mih@'%' IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON moodle.* TO mih@'%'")
                for row in (row for row in self.MATRIX if row[0] == name):
                    with self.subTest(row):
                        self.check(server, row)


class StoreTest(DatabaseCase):
    """it_store while things happen to the server. In each, nothing may hold up the loop."""

    def settled(self, *arguments):
        program = self.program(*arguments)
        program.expect("connected")
        program.expect("catalog")
        return program

    def assert_never_blocked(self, program):
        pause = program.pause_ms()
        print(f"{self.id().rsplit('.', 1)[1]}: longest pause of the loop {pause} ms")
        self.assertLess(pause, PAUSE_MS)

    def test_a_server_that_hangs(self):
        program = self.settled("hang")
        self.server.pause()
        try:
            stopped = time.monotonic()
            program.tell("job")
            program.expect("lost no answer within 2 s")
            lost_ms = (program.when - stopped) * 1000
            program.tell("now")
            self.assertRegex(program.expect("job 2"), f"result=-{errno.ENOTCONN} ms=[0-9] ")
            program.tell("job")
            time.sleep(5)
        finally:
            self.server.resume()
        resumed = time.monotonic()
        program.expect("connected")
        back_ms = (program.when - resumed) * 1000
        program.expect("job 3 result=0")
        print(f"hung: noticed after {lost_ms:.0f} ms, connected again {back_ms:.0f} ms after it went on")
        self.assertLess(lost_ms, HUNG_MS)
        self.assertLess(back_ms, 6500)    # a connection attempt that hangs (2 s) and the longest backoff (4 s)
        self.assert_never_blocked(program)
        program.end()

    def test_a_server_that_is_killed_and_started_again(self):
        program = self.settled("kill")
        self.server.kill9()
        program.expect("lost")
        program.tell("job")
        time.sleep(2)
        program.tell("age")
        self.assertGreater(int(program.expect("age").split()[1]), 1500)
        self.server.start()
        started = time.monotonic()
        program.expect("connected")
        self.assertLess(program.when - started, 5)
        program.expect("job 1 result=0")
        self.assert_never_blocked(program)
        program.end()

    def test_a_server_that_is_away_at_the_start(self):
        self.server.stop()
        program = self.program("late")
        program.expect("lost Can't connect")
        time.sleep(1)
        self.assertEqual([line for line in program.drain() if line.startswith("lost")], [])
        self.server.start()
        program.expect("connected")
        program.expect("catalog")
        program.end()

    def test_a_session_that_the_server_ended(self):
        program = self.settled("gone")
        ids = self.server.query("SELECT id FROM information_schema.processlist WHERE user = 'mih'")
        self.server.query("".join(f"KILL {row[0]};" for row in ids))
        program.expect("lost")
        program.expect("connected", 3)
        self.assert_never_blocked(program)
        program.end()

    def test_ending_while_the_server_hangs(self):
        program = self.settled("end")
        self.server.pause()
        try:
            program.tell("job")
            time.sleep(0.7)
            took = program.end(500)
        finally:
            self.server.resume()
        print(f"ended after {took} ms with a hanging server and a grace of 500 ms")
        self.assertLess(took, 1200)
        self.assertTrue(any(line.startswith("job 1 result=-") for line in program.seen), program.seen)

    def test_ending_while_a_connection_is_being_opened(self):
        self.server.pause()
        try:
            program = self.program("opening")
            program.expect("instance")
            program.tell("job")
            time.sleep(0.3)
            took = program.end(200)
        finally:
            self.server.resume()
        self.assertLess(took, 900)
        self.assertTrue(any(f"job 1 result=-{errno.ECANCELED}" in line for line in program.seen), program.seen)

    def test_the_queue_is_bounded(self):
        program = self.settled("many")
        self.server.pause()
        try:
            for _ in range(300):
                program.tell("job")
            program.expect(f"job 300 refused=-{errno.ENOBUFS}")
        finally:
            self.server.resume()
        program.end()


class FleetTest(DatabaseCase):
    """Loader, election and heartbeat."""

    def test_the_catalog_follows_the_tables(self):
        program = self.program("catalog")
        self.assertEqual(program.expect("catalog"), "catalog services=0 rules=0 faults=0")
        self.server.query("INSERT INTO mdl_local_integrationhub_svc (id, name, base_url, auth_token) VALUES (7, 'lms', 'http://h', NULL)")
        written = time.monotonic()
        self.assertEqual(program.expect("catalog"), "catalog services=1 rules=0 faults=0")
        print(f"a new service is seen after {(program.when - written) * 1000:.0f} ms (interval 500 ms)")
        self.assertLess(program.when - written, 2)
        self.server.query(r"INSERT INTO mdl_local_integrationhub_rules (eventname, serviceid, endpoint, payload_template) VALUES"
                          r" ('\\core\\event\\user_created', 7, NULL, NULL), ('nonsense', 7, '', '{'), ('', 7, 'x', '{\"a\":{{userid}}}'),"
                          r" ('\\core\\event\\user_created', 99, NULL, NULL)")
        self.assertEqual(program.expect("catalog").split()[1], "services=1")
        time.sleep(1.2)
        self.assertEqual([line for line in program.drain() if line.startswith("catalog")], [], "an unchanged catalog was built again")
        self.server.query("UPDATE mdl_local_integrationhub_svc SET timeout = -5, max_concurrency = -1, type = 'odd', enabled = 9")
        program.expect("catalog services=1")
        self.server.query("DELETE FROM mdl_local_integrationhub_rules; DELETE FROM mdl_local_integrationhub_svc")
        services.wait_until(lambda: "catalog services=0 rules=0 faults=0" in program.drain(), 3, "an empty catalog")
        program.end()

    def test_a_schema_that_was_not_upgraded_is_named(self):
        self.server.query("ALTER TABLE mdl_local_integrationhub_svc DROP COLUMN max_concurrency")
        program = self.program("old")
        words = program.expect("loader-failure")
        for word in ("local_integrationhub_svc", "max_concurrency", "upgrade"):
            self.assertIn(word, words)
        time.sleep(1.2)
        self.assertEqual([line for line in program.drain() if "failure" in line], [], "told again")
        self.server.query("ALTER TABLE mdl_local_integrationhub_svc ADD COLUMN max_concurrency MEDIUMINT(5) NOT NULL DEFAULT 16")
        program.expect("catalog", 3)
        program.end()

    def test_one_of_the_fleet_is_elected(self):
        first = self.program("one")
        first.expect("elected")
        second, other = self.program("one"), self.program("another")
        other.expect("elected")
        second.expect("catalog")
        time.sleep(2.5)
        self.assertNotIn("elected ", second.drain())
        first.tell("die")
        died = time.monotonic()
        second.expect("elected", 4)
        print(f"another process is elected {(second.when - died) * 1000:.0f} ms after kill -9 of the first")
        third = self.program("one")
        third.expect("catalog")
        second.end()
        ended = time.monotonic()
        third.expect("elected", 4)
        self.assertLess(third.when - ended, 3)
        third.end()
        other.end()

    def test_a_lost_connection_dismisses(self):
        program = self.program("dismiss")
        program.expect("elected")
        self.server.restart()
        program.expect("dismissed")
        program.expect("connected")
        program.expect("elected")
        program.end()

    def test_a_long_name_is_no_trouble(self):
        program = self.program("n" * 64)
        program.expect("elected")
        rival = self.program("n" * 64)
        rival.expect("catalog")
        time.sleep(1)
        self.assertNotIn("elected ", rival.drain())
        rival.end()
        program.end()

    def test_the_row_of_a_process(self):
        self.server.query("INSERT INTO mdl_local_integrationhub_worker (instance, host, version, timeseen) VALUES"
                          " ('dead:1:1', 'dead', 'x', UNIX_TIMESTAMP() - 90000), ('late:1:1', 'late', 'x', UNIX_TIMESTAMP() - 80000)")
        program = self.program("row")
        instance = program.expect("instance").split()[1]
        sql = ("SELECT pid, received, delivered, skipped, dead, memory > 1000000, ABS(UNIX_TIMESTAMP() - timeseen) < 5, timestarted, id FROM"
               f" mdl_local_integrationhub_worker WHERE instance = '{instance}'")
        first = services.wait_until(lambda: self.server.query(sql), 5, "the row")[0]
        self.assertEqual(first[:7], [str(program.process.pid), "11", "7", "3", "1", "1", "1"])
        seen = f"SELECT timeseen FROM mdl_local_integrationhub_worker WHERE instance = '{instance}'"
        before = self.server.value(seen)
        services.wait_until(lambda: self.server.value(seen) != before, 5, "a later beat")
        self.assertEqual(self.server.query(sql)[0][7:], first[7:], "the row was written anew")
        services.wait_until(lambda: not self.server.query("SELECT 1 FROM mdl_local_integrationhub_worker WHERE host = 'dead'"), 5, "the purge")
        program.end()
        self.assertEqual(self.server.query(sql), [])
        self.assertEqual(len(self.server.query("SELECT 1 FROM mdl_local_integrationhub_worker WHERE host = 'late'")), 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
