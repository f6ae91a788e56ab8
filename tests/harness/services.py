"""Private instances of the real servers, on free loopback ports, with their data in a temporary folder.

    with RabbitMQ() as broker, MariaDB() as database:
        broker.url, database.query("SELECT 1")

Every class starts Debian's own program in the foreground under guard.py, waits until it answers, and has stop, kill9, pause, resume and restart.
The port, the data and the generated credentials stay the same over a restart.  A server that does not come up raises ServiceError with the end of
its log.  Nothing here needs, uses or disturbs the machine's own servers.
"""
import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import time

import guard

_reserved = set()
_claims = []     # sockets that keep the ports from other processes


class ServiceError(Exception):
    """A server did not do what it should; the message holds the end of its log."""


def _claim_port(port):
    """Whether no other process has it.  A Unix socket in the abstract name space says so for as long as this process lives."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0mih-tests-port-{port}")
    except OSError:
        claim.close()
        return False
    _claims.append(claim)
    return True


def free_port():
    """A loopback port that nobody listens on, below the range the kernel gives to outgoing connections; never the same one twice in a run, and
    none that another process of the tests was given, who may not listen on it yet."""
    for _ in range(1000):
        port = random.SystemRandom().randint(10240, 32000)
        if port in _reserved or not _claim_port(port):
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _reserved.add(port)
        return port
    raise ServiceError("no free port found")


def wait_until(condition, seconds, what, every=0.02):
    """Calls `condition` until it is true and returns what it returned; after `seconds` raises TimeoutError naming `what`."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s for: {what}")
        time.sleep(every)


def write_file(path, text, mode=0o600):
    """Writes a text file with the given mode, whatever the umask."""
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.chmod(path, mode)
    return path


class Server:
    """What servers have in common.  A subclass gives name, program, `prepare` (once), `command` (argv, env), `ready` (raises or false: not yet)."""

    name = "server"
    program = ""
    start_seconds = 60
    stop_signal = signal.SIGTERM

    def __init__(self):
        self.process = None
        self.folder = guard.folder(f"mih-{self.name}-")
        self.log = os.path.join(self.folder, f"{self.name}.log")
        if not shutil.which(self.program, path=search_path()):
            raise ServiceError(f"{self.program} is not installed: see tests/packages.txt")
        self.prepare()
        self.start()

    def prepare(self):
        """Writes the configuration and the first data."""

    def command(self):
        """Returns (argv, env)."""
        raise NotImplementedError

    def ready(self):
        """Whether it answers."""
        raise NotImplementedError

    def start(self):
        """Starts it and waits until it answers."""
        argv, env = self.command()
        self.process = guard.Process(argv, self.log, env=env)
        self.wait_ready()

    def wait_ready(self):
        """Waits until it answers; raises ServiceError when it ends instead or takes too long."""
        deadline = time.monotonic() + self.start_seconds
        while not self.ready():
            if not self.process.alive():
                raise self.failure(f"ended while starting, exit code {self.process.wait(1)}")
            if time.monotonic() > deadline:
                raise self.failure(f"does not answer after {self.start_seconds} s")
            time.sleep(0.05)

    def failure(self, what):
        """A ServiceError with the end of the log."""
        return ServiceError(f"{self.name} {what}\n{guard.tail(self.log)}")

    def stop(self, seconds=60):
        """Stops it in its orderly way and waits; returns the exit code."""
        if not self.process.alive():
            return None
        self.process.signal(self.stop_signal)
        status = self.process.wait(seconds)
        self.process.signal_group(signal.SIGKILL)
        return status

    def kill9(self):
        """SIGKILL to it and its children; returns when it is gone."""
        self.process.kill9()

    def pause(self):
        """SIGSTOP: it keeps its connections and answers nothing."""
        self.process.signal_group(signal.SIGSTOP)

    def resume(self):
        """SIGCONT after `pause`."""
        self.process.signal_group(signal.SIGCONT)

    def restart(self):
        """Orderly stop, then start on the same port with the same data."""
        self.stop()
        self.start()

    def close(self):
        """Ends it for good, quickly, and removes its folder."""
        if self.process is not None:
            self.process.kill9()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def search_path():
    """PATH with the sbin folders, which a user's PATH may lack."""
    return os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"


def listens(port):
    """Whether something accepts TCP connections on the loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class RabbitMQ(Server):
    """A broker with one virtual host `mih` and one user who may do everything in it.

    `url` is amqp://user:password@127.0.0.1:port/mih.  The node has an epmd of its own (a foreground child, so that nothing is left behind), no
    plugins, and a small write-ahead log.  Caution: kill9 within some seconds of declaring a quorum queue loses the queue's messages in RabbitMQ
    3.10; wait 5 s in a test that does so.
    """

    name = "rabbitmq"
    program = "/usr/lib/rabbitmq/bin/rabbitmq-server"
    start_seconds = 120

    def __init__(self, extra_config=""):
        self.port = free_port()
        self.user = "mih"
        self.password = secrets.token_hex(12)
        self.vhost = "mih"
        self.extra_config = extra_config
        self._epmd_port = free_port()
        self._dist_port = free_port()
        super().__init__()

    @property
    def url(self):
        """The AMQP URL with the credentials."""
        return self.url_for(self.vhost)

    def url_for(self, vhost):
        """The URL for another virtual host."""
        return f"amqp://{self.user}:{self.password}@127.0.0.1:{self.port}/{vhost}"

    def prepare(self):
        write_file(os.path.join(self.folder, "rabbitmq.conf"), "\n".join([
            f"listeners.tcp.1 = 127.0.0.1:{self.port}",
            f"default_user = {self.user}",
            f"default_pass = {self.password}",
            f"default_vhost = {self.vhost}",
            "disk_free_limit.absolute = 50MB",
            "raft.wal_max_size_bytes = 67108864",
            self.extra_config, ""]))
        write_file(os.path.join(self.folder, "enabled_plugins"), "[].\n")
        write_file(os.path.join(self.folder, ".erlang.cookie"), secrets.token_hex(20), 0o400)
        self._environment = {
            "PATH": search_path(), "LANG": "C.UTF-8", "HOME": self.folder,
            "RABBITMQ_NODENAME": f"mih-{self.port}@localhost",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RUNNING_UNDER_SYSTEMD": "true",    # the start script then becomes the node instead of watching it
            "RABBITMQ_CONFIG_FILE": os.path.join(self.folder, "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": os.path.join(self.folder, "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": os.path.join(self.folder, "data"),
            "RABBITMQ_LOG_BASE": os.path.join(self.folder, "log"),
            "RABBITMQ_PID_FILE": os.path.join(self.folder, "pid"),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_CTL_DIST_PORT_MIN": str(free_port()),
            "RABBITMQ_CTL_DIST_PORT_MAX": "32767",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
        self.log = os.path.join(self.folder, "rabbitmq.log")
        epmd_log = os.path.join(self.folder, "epmd.log")
        self._epmd = guard.Process([shutil.which("epmd") or "epmd", "-address", "127.0.0.1", "-port", str(self._epmd_port)], epmd_log,
                                   env=self._environment)
        wait_until(lambda: listens(self._epmd_port), 10, "epmd to listen")

    def command(self):
        return [self.program], self._environment

    def ready(self):
        return amqp_answers(self.port)

    def ctl(self, *arguments, seconds=60):
        """Runs rabbitmqctl on this node and returns its standard output; raises ServiceError when it fails."""
        status, output, errors = guard.run(["/usr/lib/rabbitmq/bin/rabbitmqctl", "-q", *arguments], env=self._environment, seconds=seconds)
        if status != 0:
            raise ServiceError(f"rabbitmqctl {' '.join(arguments)}: {output.decode()}{errors.decode()}")
        return output.decode()

    def add_vhost(self, vhost):
        """Makes a virtual host that the user may use; returns its URL."""
        self.ctl("add_vhost", vhost)
        self.ctl("set_permissions", "-p", vhost, self.user, ".*", ".*", ".*")
        return self.url_for(vhost)

    def failure(self, what):
        node_log = os.path.join(self.folder, "log", f"mih-{self.port}@localhost.log")
        return ServiceError(f"{super().failure(what)}{guard.tail(node_log)}")

    def close(self):
        super().close()
        self._epmd.kill9()


def amqp_answers(port):
    """Whether a broker answers an AMQP 0-9-1 protocol header with connection.start (class 10, method 10)."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as sock:
            sock.sendall(b"AMQP\x00\x00\x09\x01")
            answer = sock.recv(11)
    except OSError:
        return False
    return answer[:1] == b"\x01" and answer[7:11] == b"\x00\x0a\x00\x0a"


class MariaDB(Server):
    """A database server with an empty database `moodle`; root logs in over the socket without a password, everybody else by password."""

    name = "mariadb"
    program = "mariadbd"
    database = "moodle"

    def __init__(self):
        self.port = free_port()
        super().__init__()

    def prepare(self):
        self.socket = os.path.join(self.folder, "s")
        data = os.path.join(self.folder, "data")
        # A folder of its own for temporary tables: a starting server removes all that it finds there, those of other servers too, which then crash.
        os.mkdir(os.path.join(self.folder, "tmp"))
        user = self._user = pwd.getpwuid(os.geteuid()).pw_name
        status, output, errors = guard.run([shutil.which("mariadb-install-db") or "mariadb-install-db", "--no-defaults", f"--datadir={data}",
                                            f"--user={user}", "--skip-test-db", "--auth-root-authentication-method=socket",
                                            f"--auth-root-socket-user={user}"], env=dict(os.environ, TMPDIR=os.path.join(self.folder, "tmp")))
        if status != 0:
            raise ServiceError(f"mariadb-install-db: {(output + errors).decode(errors='replace')}")

    def command(self):
        data = os.path.join(self.folder, "data")
        return [shutil.which("mariadbd", path=search_path()), "--no-defaults", f"--datadir={data}", f"--tmpdir={self.folder}/tmp",
                f"--socket={self.socket}", f"--user={self._user}",
                "--bind-address=127.0.0.1", f"--port={self.port}", "--skip-name-resolve", f"--pid-file={self.folder}/pid",
                "--character-set-server=utf8mb4", "--collation-server=utf8mb4_unicode_ci", "--innodb-buffer-pool-size=64M",
                "--innodb-log-file-size=48M", "--innodb-flush-method=fsync", "--max-connections=200"], dict(os.environ)

    def start(self):
        super().start()
        self.query(f"CREATE DATABASE IF NOT EXISTS `{self.database}` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci", database="")

    def ready(self):
        if not os.path.exists(self.socket):
            return False
        return self._client("", "SELECT 1")[0] == 0

    def _client(self, database, sql, *options, user=None, password=None):
        identity = [f"--user={user}", "--protocol=TCP", "--host=127.0.0.1", f"--port={self.port}"] if user else [
            "--user=root", f"--socket={self.socket}"]
        return guard.run(["mariadb", "--no-defaults", *identity, "--batch", "--connect-timeout=5", "--default-character-set=utf8mb4", *options,
                          *([database] if database else [])], data=sql.encode(), env=dict(os.environ, MYSQL_PWD=password or ""))

    def query(self, sql, database=None, user=None, password=None):
        """Runs one or more statements as root, or as another user over TCP; returns the rows as lists of strings (NULL as None)."""
        status, output, errors = self._client(self.database if database is None else database, sql, "--skip-column-names", user=user,
                                              password=password)
        if status != 0:
            raise ServiceError(f"mariadb: exit code {status}: {errors.decode(errors='replace').strip()}\n    in: {sql[:500]}")
        lines = output.decode("utf-8").split("\n")[:-1]
        return [[None if field == "NULL" else unescape(field) for field in line.split("\t")] for line in lines]

    def value(self, sql):
        """The first field of the first row, or None."""
        rows = self.query(sql)
        return rows[0][0] if rows else None

    def load(self, path):
        """Runs a file of SQL as root in the database."""
        with open(path, encoding="utf-8") as stream:
            self.query(stream.read())


def unescape(field):
    """Undoes the escapes of the client's batch mode."""
    if "\\" not in field:
        return field
    table = {"n": "\n", "t": "\t", "0": "\0", "\\": "\\"}
    out, characters = [], iter(field)
    for character in characters:
        if character == "\\":
            following = next(characters, "")
            out.append(table.get(following, "\\" + following))
        else:
            out.append(character)
    return "".join(out)


class Nginx(Server):
    """An nginx with the http section given as text: `{port}` and `{folder}` in it are replaced.  sink.py builds the test sinks on it."""

    name = "nginx"
    program = "nginx"
    stop_signal = signal.SIGQUIT

    def __init__(self, http, workers=1, port=None):
        self.port = port or free_port()
        self.http = http
        self.workers = workers
        super().__init__()

    @property
    def url(self):
        """http://127.0.0.1:port"""
        return f"http://127.0.0.1:{self.port}"

    def prepare(self):
        self.configuration = os.path.join(self.folder, "nginx.conf")
        # A folder of its own for temporary tables: a starting server removes all that it finds there, those of other servers too, which then crash.
        os.mkdir(os.path.join(self.folder, "tmp"))
        paths = "".join(f"    {key}_temp_path {self.folder}/tmp/{key};\n" for key in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user root;\n" if os.geteuid() == 0 else ""
        module = "/usr/lib/nginx/modules/ngx_http_echo_module.so"
        http = self.http.replace("{port}", str(self.port)).replace("{folder}", self.folder)
        write_file(self.configuration, (f"load_module {module};\n" if os.path.exists(module) else "") +
                   f"{user}worker_processes {self.workers};\ndaemon off;\npid {self.folder}/pid;\nerror_log {self.log} warn;\n"
                   f"events {{ worker_connections 4096; }}\nhttp {{\n    include /etc/nginx/mime.types;\n{paths}{http}\n}}\n")

    def command(self):
        return [shutil.which("nginx", path=search_path()), "-p", self.folder, "-e", self.log, "-c", self.configuration], dict(os.environ)

    def ready(self):
        return listens(self.port)

    def pause(self):
        """Stops master and workers; connections are accepted by the kernel and never answered."""
        super().pause()

    def kill9(self):
        """Kills master and workers, so that the port refuses connections when this returns."""
        super().kill9()
        wait_until(lambda: not listens(self.port), 5, "the sink's port to close")


class PhpFpm(Server):
    """php-fpm with one static pool on a unix socket (`socket`), for nginx's fastcgi_pass.

    `ini` holds php.ini lines (text), `children` the number of processes.
    """

    name = "php-fpm"
    start_seconds = 20
    stop_signal = signal.SIGQUIT

    def __init__(self, ini="", children=4):
        self.ini = ini
        self.children = children
        self.program = self._find()
        super().__init__()

    @staticmethod
    def _find():
        """Debian names the program after its version."""
        folder = "/usr/sbin"
        names = sorted((name for name in os.listdir(folder) if name.startswith("php-fpm")), key=len)
        return os.path.join(folder, names[-1]) if names else "php-fpm"

    def prepare(self):
        self.socket = os.path.join(self.folder, "s")
        self.configuration = os.path.join(self.folder, "fpm.conf")
        root = os.geteuid() == 0
        identity = "user = root\ngroup = root\nlisten.owner = root\n" if root else ""
        write_file(self.configuration, f"[global]\nerror_log = {self.log}\ndaemonize = no\npid = {self.folder}/pid\n[www]\n{identity}"
                   f"listen = {self.socket}\nlisten.mode = 0600\npm = static\npm.max_children = {self.children}\npm.max_requests = 0\n"
                   "catch_workers_output = yes\nclear_env = no\n")
        self._ini_folder = os.path.join(self.folder, "ini")
        os.mkdir(self._ini_folder)
        write_file(os.path.join(self._ini_folder, "mih.ini"), self.ini + "\n")

    def command(self):
        # A leading ':' keeps Debian's own folder of extensions and adds ours after it.
        env = dict(os.environ, PHP_INI_SCAN_DIR=":" + self._ini_folder)
        return [self.program, "-F", "-y", self.configuration] + (["-R"] if os.geteuid() == 0 else []), env

    def ready(self):
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(self.socket)
            except OSError:
                return False
        return True
