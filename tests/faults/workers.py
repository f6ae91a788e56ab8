"""Worker processes that are killed, stopped, hung and crashed."""
import os
import random
import signal
import time

import fleet
from case import CREATED, HELD, VIEWED, case, check, event, log_of, wait_log
from services import wait_until


BEGUN = 16 + 32         # requests that one process of `loaded` has under way at most
DEADLY = r"\core\event\deadly"      # no event of the stream has this name


def shim(trial, hub):
    """Preloads the library of faults into the fleet; returns the folder whose files arm them."""
    folder = trial.folder()
    hub.fleet.environment.update(LD_PRELOAD=os.path.join(fleet.build_folder(), "lib", "libmih-faultshim.so"), MIH_FAULTS=folder)
    return folder


def arm(folder, fault):
    """Lets the fault happen once, and waits until some process has it."""
    path = os.path.join(folder, fault)
    with open(path, "w", encoding="utf-8"):
        pass
    wait_until(lambda: not os.path.exists(path), 30, f"the fault {fault} to happen")


@case(1, "kill -9 of one worker, again and again", short=True)
def one_worker(trial):
    """At any moment of a stream; the other process goes on, the dead one is started again."""
    hub = trial.loaded()
    kills = 4 if trial.short else 20
    publication = trial.stream(hub, seconds=6 if trial.short else 45)
    for kill in range(kills):
        time.sleep(random.uniform(0.0, 0.4))        # any moment
        os.kill(wait_until(hub.fleet.children, 20, "a child to kill")[0], signal.SIGKILL)
        trial.cleared()
        wait_until(lambda: len(hub.fleet.children()) == 2, 90, "the child to be started again")     # it waits longer each time, up to 60 s
        if not publication.running():
            break
    trial.finish(hub, repeats=(kill + 1) * HELD)
    trial.note(f"1: {kill + 1} kills")


@case(2, "kill -9 of the whole fleet", short=True)
def all_workers(trial):
    """All at once; a new fleet takes up what they held."""
    hub = trial.loaded()
    trial.stream(hub)
    hub.fleet.close()
    hub.fleet.start()
    trial.cleared()
    trial.finish(hub, repeats=2 * HELD)


@case(3, "SIGTERM under load", short=True)
def sigterm(trial):
    """Neither a loss nor a repeat; exit code 0 within the drain time-out."""
    hub = trial.loaded()
    publication = trial.stream(hub)
    began = time.monotonic()
    status = hub.fleet.stop()
    took = time.monotonic() - began
    check(status == 0, f"exit code {status}")
    check(took <= 25 + 5, f"the drain took {took:.1f} s, its time-out is 25 s")
    publication.wait()
    seen = len(hub.delivered())
    check(len(hub.waiting()) > 0 and len(hub.delivered()) == seen, "nothing is left for the next fleet, or something was sent after the end")
    hub.fleet.start()
    trial.cleared()
    trial.finish(hub)


@case(4, "SIGTERM while a service hangs")
def sigterm_hung(trial):
    """The drain time-out ends it; what was under way is at the broker again."""
    hub = trial.hub(settings={"worker": {"drain_timeout": "3s"}})
    hung, good = trial.service(hub, hub.sink.url + "/wait-300000", timeout=300), trial.service(hub)
    hub.rule(hung, VIEWED)
    hub.rule(good, VIEWED)
    hub.start()
    hub.publish(trial.events)
    wanted = {d for d in hub.wanted() if hub.rules.service_of[int(d.rpartition(":")[2])] == good}
    wait_until(lambda: wanted <= set(hub.delivered()), 60, "the other service's deliveries")
    began = time.monotonic()
    status = hub.fleet.stop()
    took = time.monotonic() - began
    check(status == 0, f"exit code {status}")
    check(3 <= took <= 3 + 7, f"the end took {took:.1f} s with a drain time-out of 3 s")
    hub.database.query(f"UPDATE mdl_local_integrationhub_svc SET base_url = '{hub.sink.url}/fast' WHERE id = {hung}")
    hub.fleet.start()
    trial.cleared()
    trial.finish(hub, of=hung)          # none of the hung requests was accepted: a repeat would be one too many


@case(5, "SIGSTOP of a worker, SIGCONT after the broker gave its messages away")
def stopped(trial):
    """The broker misses its heartbeats; what the revived process acknowledges is of a connection that is no more."""
    hub = trial.loaded(settings={"worker": {"watchdog": "10m"}, "broker": {"heartbeat": "2s"}})
    publication = trial.stream(hub)
    child = hub.fleet.children()[0]
    os.kill(child, signal.SIGSTOP)
    try:
        publication.wait()
        wanted = hub.wanted()
        # What the stopped process has begun stays its own, should it not have reached the service, as long as that lives.
        wait_until(lambda: len(wanted - set(hub.delivered())) <= BEGUN, 60, "the other process to deliver everything")
        wait_until(lambda: all(hub.rabbit.consumers(hub.fleet.queue(s)) == 1 for s in hub.services), 60, "the broker to give the stopped process up")
    finally:
        os.kill(child, signal.SIGCONT)
    trial.cleared()
    wait_until(lambda: all(hub.rabbit.consumers(hub.fleet.queue(s)) == 2 for s in hub.services), 30, "the revived process to consume again")
    hub.publish(200)
    trial.finish(hub, repeats=HELD)
    check(child in hub.fleet.children(), "the revived process has ended")


@case(6, "event loop hangs")
def hung_loop(trial):
    """The watchdog aborts the process; another takes its place."""
    arms = []
    hub = trial.loaded(settings={"worker": {"watchdog": "3s"}}, prepare=lambda hub: arms.append(shim(trial, hub)))
    trial.stream(hub)
    before = set(hub.fleet.children())
    arm(arms[0], "hang")
    wait_log(hub, "child is silent", 40)
    wait_until(lambda: len(hub.fleet.children()) == 2 and set(hub.fleet.children()) != before, 30, "a new process")
    trial.cleared()
    hub.publish(200)
    trial.finish(hub, repeats=HELD)


@case(15, "channel error 406 (an acknowledgement of what never was)")
def channel_error(trial):
    """The broker closes the channel; the process opens another and goes on."""
    arms = []
    hub = trial.loaded(prepare=lambda hub: arms.append(shim(trial, hub)))
    trial.stream(hub)
    children = hub.fleet.children()
    arm(arms[0], "badack")
    trial.cleared()
    trial.finish(hub, repeats=HELD)
    check(children == hub.fleet.children(), "a process has ended")


def crashes(trial, text, most):
    """An event with this text kills the process that delivers it: a dead letter after a few crashes, and nothing else is concerned."""
    hub = trial.hub()
    shim(trial, hub)
    fast, slow = trial.service(hub), trial.service(hub, hub.sink.url + "/wait-20")
    failing = trial.service(hub, hub.sink.url + "/status-500")      # should its answer kill, then one that does not count as a delivery
    for service, name in ((fast, CREATED), (fast, VIEWED), (slow, VIEWED), (failing, DEADLY)):
        hub.rule(service, name)
    hub.start()
    began = time.monotonic()
    publication = hub.publish(trial.events, wait=False, rate=trial.events)
    hub.wait_delivered(50)
    bad = hub.raw(DEADLY, event(DEADLY, other={"text": text}))
    wait_until(lambda: hub.dead_messages(), 60, "the dead letter")
    trial.cleared()
    number = log_of(hub).count("signal ABRT")
    trial.note(f"{trial.entry.number}: isolated after {number} crashes and {time.monotonic() - began:.0f} s")
    publication.wait()
    trial.finish(hub, dead=1, repeats=number * 2 * HELD)
    letter, = hub.dead_messages()
    check(letter["properties"]["message_id"] == bad, "a sound message is the dead letter")
    check("poison: the worker died" in letter["headers"]["x-mih-reason"], f"the reason is {letter['headers']['x-mih-reason']}")
    check(hub.fleet.alive() and number <= most, f"{number} crashes, at most {most} expected")


@case(39, "a message that crashes the worker that sends it", short=True)
def crasher(trial):
    """One crash, and three more to be sure."""
    crashes(trial, "MIH-CRASH", 4)


@case("39a", "a message whose answer crashes the worker that reads it, among others")
def answer_crasher(trial):
    """One crash that might be anybody's doing, three more while requests go one at a time, and perhaps one of what the other process had begun."""
    crashes(trial, "MIH-ANSWER", 5)
