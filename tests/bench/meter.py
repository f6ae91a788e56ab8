"""What a client cost and what the sink saw, read from outside: nothing is asked of the program that is measured."""
import os
import time

from guard import descendants
from services import Nginx

DELAYS_MS = (0, 20, 200)

_HTTP = """
    default_type application/json;
    log_format arrival '$msec $status $content_length';
    access_log {folder}/arrivals.log arrival buffer=64k flush=100ms;
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
    server {
        listen 127.0.0.1:{port} backlog=4096;
        location = /0 { return 200 '{"ok":true}'; }
        location = /20 { echo_sleep 0.02; echo -n '{"ok":true}'; }
        location = /200 { echo_sleep 0.2; echo -n '{"ok":true}'; }
    }
"""


class BenchSink(Nginx):
    """The service that every contestant sends to: one nginx process that answers at once (/0), after 20 ms (/20) or after 200 ms (/200) and
    notes when it had answered.  While it is held (`pause`) requests arrive and wait; they are all answered once it goes on (`resume`)."""

    name = "sink"

    def __init__(self):
        super().__init__(_HTTP)
        self._seen = 0

    def forget(self):
        """Forgets the requests so far; waits until those that a client abandoned are in the log too."""
        size = -1
        while size != self._size():
            size = self._size()
            time.sleep(0.3)
        self._seen = size

    def _log(self):
        return os.path.join(self.folder, "arrivals.log")

    def _size(self):
        return os.path.getsize(self._log())

    def count(self):
        """The number of requests answered since `forget`, up to 0.1 s late."""
        with open(self._log(), "rb") as stream:
            stream.seek(self._seen)
            return sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(1 << 20), b""))

    def answers(self):
        """(times of all answers in order, number of requests that were not a 200 to a body of 250 to 350 bytes)."""
        with open(self._log(), "rb") as stream:
            stream.seek(self._seen)
            rows = [line.split() for line in stream]
        wrong = sum(1 for row in rows if row[1] != b"200" or not row[2].isdigit() or not 250 <= int(row[2]) <= 350)
        return sorted(float(row[0]) for row in rows), wrong

    def waiting(self):
        """The number of connections on which a request has arrived that nobody has read yet."""
        local = f"0100007F:{self.port:04X}"
        established = "01"
        with open("/proc/net/tcp", encoding="ascii") as stream:
            rows = (line.split() for line in stream)
            return sum(1 for row in rows if row[1] == local and row[3] == established and int(row[4].partition(":")[2], 16) > 0)


def family(processes):
    """The pids of the processes (guard.Process) and of everything below them."""
    return sorted({pid for process in processes for pid in [process.pid, *descendants(process.pid)]})


def cpu_seconds(pids):
    """{pid: user and system time in seconds}, all threads of each process together, from its CPU clock (clock_getcpuclockid(3)): exact to the
    nanosecond where /proc/PID/stat counts hundredths of a second."""
    cpuclock_sched = 2
    return {pid: time.clock_gettime(~pid << 3 | cpuclock_sched) for pid in pids}


def cpu_spent(before, pids):
    """CPU seconds of `pids` since the snapshot `before`; raises when one of those has ended, because its share would be missing."""
    gone = set(before) - set(pids)
    if gone:
        raise RuntimeError(f"processes ended while they were measured: {sorted(gone)}")
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in cpu_seconds(pids).items())


class Others:
    """How busy other programs keep the machine while something is measured: everything below this script is ours."""

    def __init__(self):
        self._began = time.monotonic()
        self._busy = machine_seconds()
        self._ours = self._used()

    @staticmethod
    def _used(ended=()):
        return cpu_seconds({os.getpid(), *descendants(os.getpid()), *ended})

    def share(self, ended=()):
        """The part of all cores that other programs used since the start, 0 to 1; `ended` are children that have not been collected yet."""
        used = self._used(ended)
        ours = sum(seconds - self._ours.get(pid, 0.0) for pid, seconds in used.items())
        capacity = (time.monotonic() - self._began) * len(os.sched_getaffinity(0))
        return max(0.0, (machine_seconds() - self._busy - ours) / capacity)


def machine_seconds():
    """Seconds that all cores together have worked, from /proc/stat."""
    with open("/proc/stat", encoding="ascii") as stream:
        ticks = [int(field) for field in stream.readline().split()[1:9]]
    idle, waiting = ticks[3], ticks[4]
    return (sum(ticks) - idle - waiting) / os.sysconf("SC_CLK_TCK")


def status_kib(pid, key):
    """A size of /proc/PID/status in KiB."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as stream:
        return next(int(line.split()[1]) for line in stream if line.startswith(key + ":"))
