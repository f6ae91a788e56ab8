"""A machine of its own for a test: a clean Debian 12 that systemd boots as its first process, in namespaces (see boot).

    debian = clean_root()                   # made by mmdebstrap at the first call, kept below build/ for some days
    machine = Machine(debian)               # what happens in it is gone with it
    machine.run(["systemctl", "start", "mih-replayer"])

The network is the host's, so that the harness's broker, database and sink are reached at 127.0.0.1.
"""
import fcntl
import hashlib
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
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "SYSTEMD_PAGER": "",
               "SYSTEMD_COLORS": "0"}


class Impossible(Exception):
    """This host does not allow it; the message says what."""


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


def clean_root():
    """A folder with the smallest Debian that has systemd; raises Impossible when none can be had."""
    sources = debian_sources()
    digest = hashlib.sha256("\n".join(sources).encode()).hexdigest()[:12]
    folder = os.path.join(fleet.TOP, "build", f"debian-{SUITE}-{digest}")
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    with open(folder + ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.isdir(folder) and time.time() - os.stat(folder).st_mtime < KEPT_SECONDS:
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(folder + ".new", ignore_errors=True)
        status, _, errors = guard.run(["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--include=systemd,ca-certificates",
                                       '--aptopt=Acquire::Languages "none"', SUITE, folder + ".new", *sources])
        if status != 0:
            raise Impossible(f"mmdebstrap: {errors.decode(errors='replace').strip()[-500:]}")
        os.utime(folder + ".new")
        os.rename(folder + ".new", folder)
    return folder


class CommandError(Exception):
    """A command in the machine failed."""


class Machine:
    """Boots; `close` ends it, with all that runs in it."""

    def __init__(self, root):
        self.folder = guard.folder("mih-machine-")
        self.log = os.path.join(self.folder, "boot.log")
        place = os.path.join(self.folder, "place")
        os.mkdir(place)
        self.process = guard.Process([BOOT, "outer", f"mih-machine-{os.getpid()}", root, place], self.log, env=ENVIRONMENT)
        self.first = wait_until(self._first, 20, "the machine's first process")
        self._wait_booted()

    def _first(self):
        """The pid of systemd as the host sees it."""
        if not self.process.alive():
            raise ServiceError(f"the machine ended\n{guard.tail(self.log)}")
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
            return self.attempt(["systemctl", "is-system-running"])[1].strip()
        found = wait_until(lambda: state() in ("running", "degraded") and state(), 60, "the machine to have booted", every=0.1)
        if found != "running":
            raise ServiceError(f"the machine is {found}\n{self.run(['systemctl', '--failed'])}{guard.tail(self.log)}")

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
        wait_until(lambda: not os.path.exists(f"/proc/{self.first}"), 20, "the machine's end")
        with open(self.log, encoding="utf-8", errors="replace") as log:
            groups = re.findall(r"^cgroup (/sys/fs/cgroup/\S*/mih-machine-\d+)$", log.read(), re.M)
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
