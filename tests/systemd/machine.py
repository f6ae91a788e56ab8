"""A machine of its own for a test: a clean Debian 12 that systemd boots as its first process, in namespaces (see boot).

    debian = clean_root()                   # made by mmdebstrap at the first call, kept below build/ for some days
    machine = Machine(debian)               # what happens in it is gone with it; Impossible where this host does not let it boot
    machine.run(["systemctl", "start", "mih-replayer"])

The network is the host's, so that the harness's broker, database and sink are reached at 127.0.0.1; or, `alone`, a loopback and nothing else.
"""
import fcntl
import hashlib
import itertools
import os
import re
import shutil
import time

import fleet
import guard
from services import ServiceError, wait_until

BOOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "boot")
KEPT_SECONDS = 3 * 86400
SUITE = "bookworm"
SECONDS = 120
# What the kernel must allow for units that are shut in; nothing of the project.
PROBE = """[Service]
Type=oneshot
ExecStart=/bin/true
DynamicUser=yes
ProtectSystem=strict
ProtectHome=yes
ProtectProc=invisible
ProcSubset=pid
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
PrivateIPC=yes
ProtectHostname=yes
RestrictNamespaces=yes
SystemCallFilter=@system-service
"""
_numbers = itertools.count(1)
PROXIES = {name: os.environ[name] for name in ("http_proxy", "https_proxy", "no_proxy") if name in os.environ}     # of Debian's packages
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "SYSTEMD_PAGER": "",
               "SYSTEMD_COLORS": "0", **PROXIES}


class Impossible(Exception):
    """This host does not allow it, or Debian's packages cannot be had; the message says what.  Never for what the project does wrong."""


def check_host():
    """Raises Impossible where namespaces cannot be made."""
    if os.geteuid() != 0:
        raise Impossible("only root may make a machine of its own")
    try:
        status, _, errors = guard.run(["unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--uts", "--ipc", "--cgroup", "true"])
    except guard.GuardError as error:
        raise Impossible(str(error)) from error
    if status != 0:
        raise Impossible(f"unshare: {errors.decode(errors='replace').strip()}")


def debian_sources():
    """The host's own sources of Debian, one a line."""
    status, output, errors = guard.run(["apt-get", "indextargets", "--format", "deb $(REPO_URI) $(RELEASE) $(COMPONENT)",
                                        "Created-By: Packages", "Origin: Debian"])
    if status != 0:
        raise Impossible(f"apt-get indextargets: {errors.decode(errors='replace').strip()}")
    return sorted({line for line in output.decode().splitlines() if f" {SUITE}" in line})


def apt_proxies():
    """The host's settings of proxies for apt."""
    status, output, _ = guard.run(["apt-config", "dump", "--no-empty", "--format", "%F %v%n", "Acquire"])
    words = [line.split(" ", 1) for line in output.decode().splitlines()] if status == 0 else []
    return [f'{name} "{value}"' for name, value in words if re.fullmatch(r"Acquire::https?::Proxy(::\S+)?", name, re.I)]


def clean_root(packages=()):
    """A folder with the smallest Debian that has systemd, and these packages; raises Impossible when none can be had."""
    sources = debian_sources()
    digest = hashlib.sha256("\n".join([*sources, *apt_proxies(), *packages]).encode()).hexdigest()[:12]
    folder = os.path.join(fleet.TOP, "build", f"debian-{SUITE}-{digest}")
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    with open(folder + ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.isdir(folder) and time.time() - os.stat(folder).st_mtime < KEPT_SECONDS:
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(folder + ".new", ignore_errors=True)
        # With the packages' lists, so that apt-get update in a machine has next to nothing to fetch.
        status, _, errors = guard.run(["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase",
                                       "--include=" + ",".join(["systemd", "ca-certificates", *packages]),
                                       "--skip=cleanup/apt/lists", *[f"--aptopt={line}" for line in ['Acquire::Languages "none"', *apt_proxies()]],
                                       SUITE, folder + ".new", *sources])
        if status != 0:
            raise Impossible(f"mmdebstrap: {errors.decode(errors='replace').strip()[-500:]}")
        os.utime(folder + ".new")
        os.rename(folder + ".new", folder)
    return folder


class CommandError(Exception):
    """A command in the machine failed."""


class Machine:
    """Boots; `close` ends it, with all that runs in it."""

    def __init__(self, root, alone=False):
        self.folder = guard.folder("mih-machine-")
        self.log = os.path.join(self.folder, "boot.log")
        place = os.path.join(self.folder, "place")
        os.mkdir(place)
        name = f"mih-machine-{os.getpid()}-{next(_numbers)}"
        self.process = guard.Process([BOOT, "outer", name, root, place, *["--net"] * alone], self.log, env=ENVIRONMENT)
        self.first = None
        try:
            self.first = wait_until(self._first, 20, "the machine's first process")
            self._wait_booted()
            self._probe()
        except (ServiceError, TimeoutError, CommandError) as error:    # nothing of the project is in it yet
            log = guard.tail(self.log)
            self.close()
            raise Impossible(f"systemd does not boot here: {error}\n{log}") from error

    def _first(self):
        """The pid of systemd as the host sees it."""
        if not self.process.alive():
            raise ServiceError("the machine ended")
        for pid in guard.descendants(self.process.pid):
            try:
                with open(f"/proc/{pid}/comm", encoding="ascii") as comm, open(f"/proc/{pid}/status", encoding="utf-8") as status:
                    if comm.read() == "systemd\n" and re.search(r"^NSpid:\t\d+\t1$", status.read(), re.M):
                        return pid
            except OSError:
                continue                    # it has just ended
        return None

    def _wait_booted(self):
        def state():
            if not self.process.alive():
                raise ServiceError("the machine ended")
            return self.attempt(["systemctl", "is-system-running"])[1].strip()
        found = wait_until(lambda: state() in ("running", "degraded") and state(), 60, "the machine to have booted", every=0.1)
        if found != "running":
            raise ServiceError(f"the machine is {found}\n{self.run(['systemctl', '--failed'])}")

    def _probe(self):
        """Whether a unit can have namespaces here: a hardened container refuses some."""
        self.write("/run/systemd/system/probe.service", PROBE)
        self.run(["systemctl", "daemon-reload"])
        if self.attempt(["systemctl", "start", "probe.service"])[0] != 0:
            raise ServiceError("units get no namespaces of their own\n" + self.journal("probe.service"))
        self.run(["rm", "/run/systemd/system/probe.service"])
        self.run(["systemctl", "daemon-reload"])

    def attempt(self, argv, data=b"", seconds=SECONDS):
        """Runs a program in the machine; returns (exit code, standard output, standard error) as texts."""
        status, output, errors = guard.run(["nsenter", "--target", str(self.first), "--all", *argv], data, env=ENVIRONMENT, seconds=seconds)
        return status, output.decode(errors="replace"), errors.decode(errors="replace")

    def run(self, argv, data=b"", seconds=SECONDS):
        """Runs it and returns its standard output; raises CommandError when it fails."""
        status, output, errors = self.attempt(argv, data, seconds)
        if status != 0:
            raise CommandError(f"{' '.join(argv)}: exit code {status}\n{output[-3000:]}{errors[-3000:]}")
        return output

    def write(self, path, data):
        """Writes a file; one that exists keeps owner and mode."""
        self.run(["sh", "-c", 'cat >"$1"', "sh", path], data if isinstance(data, bytes) else data.encode())

    def systemctl(self, *arguments):
        """Runs systemctl and returns its output."""
        return self.run(["systemctl", *arguments])

    def show(self, unit, *names):
        """Properties of a unit: one as a text, several as a list."""
        lines = self.systemctl("show", unit, *[f"--property={name}" for name in names]).splitlines()
        values = dict(line.split("=", 1) for line in lines)
        return values[names[0]] if len(names) == 1 else [values[name] for name in names]

    def journal(self, unit, lines=1000):
        """The last lines that a unit wrote."""
        return self.run(["journalctl", "--no-pager", "--output=short-precise", f"--lines={lines}", "--unit", unit])

    def close(self):
        """Ends it at once, and removes its cgroups."""
        self.process.kill9()
        wait_until(lambda: not (self.first and os.path.exists(f"/proc/{self.first}")), 20, "the machine's end")
        with open(self.log, encoding="utf-8", errors="replace") as log:
            groups = re.findall(r"^cgroup (/sys/fs/cgroup/\S*/mih-machine-[0-9-]+)$", log.read(), re.M)
        for group in groups:
            wait_until(lambda group=group: _remove_group(group), 20, f"{group} to be empty")


def _remove_group(group):
    """Removes a cgroup with those below it; false while a process in it has not ended yet."""
    for folder, _, _ in os.walk(group, topdown=False):
        try:
            os.rmdir(folder)
        except OSError:
            return False
    return True
