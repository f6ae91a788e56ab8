"""The machine under the fleet: its clock, its disk, its descriptors."""
import os
import resource

import guard
from case import VIEWED, IDLE_CPU, breaker, case, check, log_of, reset_breaker, set_service
from services import wait_until, write_file

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"


@case(35, "clock jumps: 1 h ahead, 1 h back, 10 years back")
def clock(trial):
    """Delivering, opening a breaker and probing go by the clock that cannot jump."""
    check(os.path.exists(FAKETIME), f"{FAKETIME} is missing: package faketime")
    offset = os.path.join(trial.folder(), "offset")
    write_file(offset, "+0\n")
    hub = trial.hub()
    hub.fleet.environment.update(LD_PRELOAD=FAKETIME, FAKETIME_TIMESTAMP_FILE=offset, FAKETIME_NO_CACHE="1", FAKETIME_DONT_FAKE_MONOTONIC="1")
    good = trial.service(hub)
    bad = trial.service(hub, hub.sink.url + "/status-500", max_retries=30, retry_backoff=1, cb_failure_threshold=3, cb_cooldown=1)
    hub.rule(good, VIEWED)
    hub.rule(bad, VIEWED)
    hub.start()
    for jump in ("+1h", "-1h", "-10y", "+0"):
        write_file(offset, jump + "\n")
        hub.publish(trial.events // 4)
        wanted = {d for d in hub.wanted() if hub.rules.service_of[int(d.rpartition(":")[2])] == good}
        wait_until(lambda: wanted <= set(hub.delivered()), 30, f"everything at the good service after a jump of {jump}")
        trips = int(breaker(hub, bad, "trips") or 0)
        if trips <= 3:                  # later ones wait long, by their doubling
            wait_until(lambda: int(breaker(hub, bad, "trips") or 0) > trips, 40, f"the next probe after a jump of {jump}", every=0.1)
    set_service(hub, bad, base_url=hub.sink.url + "/fast")
    reset_breaker(hub, bad)
    trial.cleared()
    trial.finish(hub, stall=90)


class SmallDisk:
    """A file system of 8 MB."""

    def __init__(self, folder):
        self.path = folder
        status, _, errors = guard.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder])
        check(status == 0, f"mount: {errors.decode()}")

    def fill(self):
        """Leaves no room."""
        with open(os.path.join(self.path, "filler"), "wb", buffering=0) as stream:
            try:
                while True:
                    stream.write(bytes(4096))
            except OSError:
                pass

    def empty(self):
        """Makes room again."""
        os.unlink(os.path.join(self.path, "filler"))

    def close(self):
        """Unmounts it."""
        guard.run(["umount", "-l", self.path])


@case(36, "disk full where the log goes")
def disk_full(trial):
    """Deliveries go on without a log; the log goes on when there is room."""
    disk = trial.also_close(SmallDisk(trial.folder()))
    hub = trial.hub()
    hub.fleet.log = os.path.join(disk.path, "mih-worker.log")
    good, bad = trial.service(hub), trial.service(hub, hub.sink.url + "/status-400")
    hub.rule(good, VIEWED)
    hub.rule(bad, VIEWED)
    hub.start()
    children = hub.fleet.children()
    disk.fill()
    hub.publish(trial.events)
    hub.wait_done()
    size = os.path.getsize(hub.fleet.log)
    disk.empty()
    trial.cleared()
    hub.publish(200)
    hub.wait_done()
    trial.finish(hub, dead=len(hub.wanted()) // 2)
    check(children == hub.fleet.children(), "a process has ended")
    wait_until(lambda: os.path.getsize(hub.fleet.log) > size, 20, "the log to go on")


@case(37, "no descriptors left (RLIMIT_NOFILE)")
def descriptors(trial):
    """No connection can be opened: no attempt is burnt, no breaker opens, nothing spins or ends; it goes on when there are some."""
    hub = trial.hub()
    service = trial.service(hub, max_retries=0, long_retries=0, cb_failure_threshold=3)
    hub.rule(service, VIEWED)
    hub.start()
    wait_until(lambda: hub.rabbit.consumers(hub.fleet.queue(service)) == 2, 20, "both consumers")
    children = hub.fleet.children()
    before = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in children}
    for pid in children:
        lowest = next(number for number in range(3, 10_000) if not os.path.exists(f"/proc/{pid}/fd/{number}"))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest, before[pid][1]))
    hub.publish(trial.events // 5)
    wait_until(lambda: "Too many open files" in log_of(hub), 30, "the trouble to be told")
    share = trial.idle_cpu(hub, 5)
    trial.note(f"37: {share * 100:.1f} % of a core at most while no connection can be opened, {len(set(hub.delivered()))} delivered")
    check(children == hub.fleet.children(), "a process has ended")
    for pid in children:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before[pid])
    trial.cleared()
    trial.finish(hub, stall=60)
    check(breaker(hub, service) in (None, "closed"), "our own trouble opened the service's breaker")
    check(share <= 5 * IDLE_CPU, f"{share * 100:.1f} % of a core")
