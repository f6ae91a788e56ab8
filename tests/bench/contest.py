"""One measurement: fill the queue, start the client against a sink that holds its answers, let the sink go, count until everything has arrived.

The clock and the CPU count start when the sink is let go, with every connection open and the first requests waiting at it: starting up is not part
of the figure for anybody.  The clock stops at the last of the timed messages, while there are still as many as the client prefetches; the CPU
count stops when all have arrived.  A client that delivered too little, too much or wrongly has no figure: ContestError.
"""
import contextlib
import os
import re
import shutil
import signal
import time

import meter
from services import wait_until

START_SECONDS = 60
STEADY_SECONDS = 0.7
RUN_SECONDS = 120
WRK_SECONDS = 3


class ContestError(Exception):
    """A client did not do its work; the message says what and shows its log."""


def measure(lab, contestant, delay, messages):
    """Runs one contestant once; returns {"rate", "cpu", "memory", "messages", "others"}: per second, seconds per 1,000, MiB of the largest process,
    how many messages were timed, and which part of the machine other programs used meanwhile."""
    total = messages + contestant.surplus * contestant.processes
    with _running(lab, contestant, delay, total) as clients:
        others = meter.Others()
        before = meter.cpu_seconds(meter.family(clients))
        started = time.time()
        lab.sink.resume()
        _await_answers(lab.sink, contestant, clients, total)
        pids = meter.family(clients)
        cpu = meter.cpu_spent(before, pids)
        disturbed = others.share()
        memory = max(meter.status_kib(pid, "VmHWM") for pid in pids) / 1024
    times = _prove(lab, contestant, total)
    return {"rate": messages / (times[messages - 1] - started), "cpu": cpu / total * 1000, "memory": memory, "messages": messages,
            "others": disturbed}


def measure_memory(lab, contestant, messages):
    """Runs the fleet once; returns {"rss", "peak"}, MiB of its largest process when the work is done."""
    with _running(lab, contestant, 0, messages) as clients:
        lab.sink.resume()
        _await_answers(lab.sink, contestant, clients, messages)
        sizes = [(meter.status_kib(pid, "VmHWM") / 1024, meter.status_kib(pid, "VmRSS") / 1024) for pid in meter.family(clients)]
    _prove(lab, contestant, messages)
    peak, rss = max(sizes)
    return {"rss": rss, "peak": peak}


@contextlib.contextmanager
def _running(lab, contestant, delay, messages):
    """The client with its first requests waiting at the held sink; whoever uses it lets the sink go."""
    contestant.preload(lab, messages)
    lab.sink.forget()
    lab.sink.pause()
    clients = []
    try:
        clients = contestant.start(lab, delay)
        _await_requests(lab.sink, contestant, clients, messages)
        yield clients
    finally:
        lab.sink.resume()
        _stop(clients)


def _fail(contestant, what, clients=()):
    raise ContestError(f"{contestant.title}: {what}\n" + "".join(sorted({_tail(client.log) for client in clients})))


def _tail(path):
    with open(path, encoding="utf-8", errors="replace") as stream:
        return "".join(stream.readlines()[-15:])


def _await_requests(sink, contestant, clients, messages):
    """Until as many requests wait as the client may have in flight, or their number has not grown for a while."""
    goal = min(contestant.at_once, messages)
    most, since = 0, time.monotonic()
    deadline = since + START_SECONDS
    while most < goal:
        if not all(client.alive() for client in clients):
            _fail(contestant, "ended while it started", clients)
        now, waiting = time.monotonic(), sink.waiting()
        if waiting > most:
            most, since = waiting, now
        if most >= min(contestant.processes, goal) and now - since > STEADY_SECONDS:
            return
        if now > deadline:
            _fail(contestant, f"only {most} requests came within {START_SECONDS} s", clients)
        time.sleep(0.02)


def _await_answers(sink, contestant, clients, messages):
    deadline = time.monotonic() + RUN_SECONDS
    while sink.count() < messages:
        if not all(client.alive() for client in clients):
            _fail(contestant, "ended before its work was done", clients)
        if time.monotonic() > deadline:
            _fail(contestant, f"delivered {sink.count()} of {messages} within {RUN_SECONDS} s", clients)
        time.sleep(0.05)


def _stop(clients):
    for client in clients:
        client.signal(signal.SIGTERM)
    for client in clients:
        try:
            client.wait(30)
        finally:
            client.kill9()


def _prove(lab, contestant, messages):
    """Everything arrived once and nothing is left; returns when each answer was given, in order."""
    times, wrong = lab.sink.answers()
    if len(times) != messages or wrong:
        _fail(contestant, f"{len(times)} requests for {messages} messages, {wrong} of them wrong")
    try:
        wait_until(lambda: lab.depth(contestant.queue) == 0, 5, "the queue to be empty", every=0.2)
        time.sleep(0.2)     # what a closed connection had not acknowledged comes back within moments
        wait_until(lambda: lab.depth(contestant.queue) == 0, 5, "the queue to be empty", every=0.2)
    except TimeoutError:
        _fail(contestant, f"{lab.depth(contestant.queue)} of {messages} messages were not acknowledged")
    return times


def measure_wrk(lab, delay, connections, script):
    """The sink alone under wrk: the same keys as `measure`, and the latency in ms."""
    argv = [shutil.which("wrk"), "-t1", f"-c{connections}", f"-d{WRK_SECONDS}s", "-s", script, f"{lab.sink.url}/{delay}"]
    out = lab.log("wrk")
    others = meter.Others()
    with open(out, "w", encoding="utf-8") as stream:
        pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, stream.fileno(), 1)])
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)     # its CPU clock can be read until it is collected
    disturbed = others.share([pid])
    _, status, usage = os.wait4(pid, 0)
    with open(out, encoding="utf-8") as stream:
        result = re.search(r"^RESULT (\d+) (\d+) (\d+) (\d+)$", stream.read(), re.MULTILINE)
    if status != 0 or not result or result[3] != "0":
        raise ContestError(f"wrk failed\n{_tail(out)}")
    requests, seconds = int(result[1]), int(result[2]) / 1e6
    return {"rate": requests / seconds, "cpu": (usage.ru_utime + usage.ru_stime) / requests * 1000, "memory": usage.ru_maxrss / 1024,
            "messages": requests, "others": disturbed, "latency": int(result[4]) / 1000}
