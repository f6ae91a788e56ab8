"""The fleet under test: its tables, its database user, its configuration file and its processes."""
import os
import secrets
import signal

import guard
from services import ServiceError, wait_until, write_file

LOOPBACK = "127.0.0.0/8, ::1"   # where the tests' services live; the network guard refuses it unless told otherwise
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def build_folder():
    """Where the programs are: MIH_BUILD or build/."""
    return os.environ.get("MIH_BUILD") or os.path.join(TOP, "build")


def program(name):
    """The path of a built program."""
    return os.path.join(build_folder(), "bin", name)


def sql_text(value):
    """A value as an SQL literal."""
    if value is None:
        return "NULL"
    if isinstance(value, (int, float)):
        return str(int(value))
    return "'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'"


def insert(database, table, rows):
    """Inserts dicts with the same keys into a table of the hub."""
    if not rows:
        return
    columns = list(rows[0])
    values = ",\n".join("(" + ", ".join(sql_text(row[column]) for column in columns) + ")" for row in rows)
    database.query(f"INSERT INTO mdl_local_integrationhub_{table} ({', '.join(columns)}) VALUES\n{values}")


def add_service(database, **columns):
    """Inserts a service and returns its id."""
    insert(database, "svc", [columns])
    return int(database.value(f"SELECT id FROM mdl_local_integrationhub_svc WHERE name = {sql_text(columns['name'])}"))


def add_rule(database, **columns):
    """Inserts a rule and returns its id."""
    insert(database, "rules", [columns])
    return int(database.value("SELECT MAX(id) FROM mdl_local_integrationhub_rules"))


class Account:
    """The fleet's database user, with the rights that deploy/grants.sh gives and no others."""

    def __init__(self, database, name=None, user="mih"):
        self.user = user
        self.password = secrets.token_hex(16)
        self.database = name or database.database
        secret = write_file(os.path.join(database.folder, f"password-{user}"), self.password + "\n")
        status, output, errors = guard.run([os.path.join(TOP, "deploy", "grants.sh"), "--database", self.database, "--user", user,
                                            "--host", "127.0.0.1", "--password-file", secret])
        if status != 0:
            raise ServiceError(f"deploy/grants.sh: {errors.decode(errors='replace')}")
        database.query(output.decode(), database="")


class Fleet:
    """mih-worker with its configuration; `settings` adds or replaces {section: {key: value}}."""

    def __init__(self, broker_url, database, account, processes=2, settings=None, name="fleet"):
        self.folder = guard.folder(f"mih-{name}-")
        self.configuration = os.path.join(self.folder, "mih.conf")
        self.log = os.path.join(self.folder, "mih-worker.log")
        self.process = None
        self.path = None                # of another mih-worker than the one that was built
        self.wrapper = []               # a program and its options that become mih-worker in the end, such as unshare
        self.environment = {}           # for its processes, on top of ours
        self.session = True             # of its own
        self.sections = {
            "broker": {"url": broker_url, "namespace": "mih", "events_exchange": "moodle.events"},
            "database": {"host": "127.0.0.1", "port": database.port, "user": account.user, "password": account.password,
                         "name": account.database, "prefix": "mdl_"},
            "worker": {"processes": processes},
            "security": {"allow_networks": LOOPBACK},
            "log": {"level": "info"},
        }
        for section, values in (settings or {}).items():
            self.sections.setdefault(section, {}).update(values)
        self.write_configuration()

    @property
    def namespace(self):
        """The prefix of its queues."""
        return self.sections["broker"]["namespace"]

    def write_configuration(self):
        """Writes mih.conf from `sections`."""
        text = "".join(f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in values.items()) + "\n"
                       for section, values in self.sections.items())
        write_file(self.configuration, text)

    def start(self):
        """Starts the supervisor; does not wait."""
        path = self.path or program("mih-worker")
        if not os.access(path, os.X_OK):
            raise ServiceError(f"{path} is not built")
        self.process = guard.Process([*self.wrapper, path, "--config", self.configuration], self.log, env=dict(os.environ, **self.environment),
                                     session=self.session)
        return self

    def alive(self):
        """Whether the supervisor runs."""
        return self.process is not None and self.process.alive()

    def children(self):
        """Pids of the worker processes."""
        return self.process.children()

    def stop(self, seconds=40):
        """SIGTERM: drains and ends; returns the exit code."""
        self.process.signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def close(self):
        """Ends it at once, if it runs, with everything it started."""
        if self.process is not None:
            self.process.kill9()

    def failure(self, what):
        """A ServiceError with the end of its log."""
        return ServiceError(f"mih-worker {what}\n{guard.tail(self.log)}")

    def queue(self, service):
        """The name of a service's queue."""
        return f"{self.namespace}.service.{service}"

    def dead_queue(self, service):
        """The name of a service's queue of dead letters."""
        return f"{self.namespace}.dead.{service}"

    def wait_bound(self, database, keys, seconds=30):
        """Waits until every (service id, routing key) is bound at the broker, as the fleet's own table says."""
        def bound():
            if not self.alive():
                raise self.failure(f"ended, exit code {self.process.wait(1)}")
            rows = database.query("SELECT serviceid, routingkey FROM mdl_local_integrationhub_binding WHERE timebound IS NOT NULL")
            return set(keys) <= {(int(service), key) for service, key in rows}
        try:
            wait_until(bound, seconds, "the bindings of all rules", every=0.05)
        except TimeoutError as error:
            raise self.failure(f"has not bound all rules: {error}") from error
