"""The broker: restarted, killed, cut off, slow, full, without its queues, with another password."""
import json
import os
import re
import threading
import time

from case import CREATED, HELD, IDLE_CPU, VIEWED, NotProduced, case, check, event, log_of, set_service, wait_log
from scraper import Pages
from services import RabbitMQ, free_port, wait_until
from shared import DATA
from tcpproxy import Proxy

QUICK = {"broker": {"heartbeat": "2s"}}
NO_BREAKER = {"cb_failure_threshold": 999}
CORE = r"\core\event\*"
SLOW_HELD = 2 * 4 * 2        # deliveries that one process of `struck` holds at most: two rules of the slow service want the same event
KILLS = 3                   # kills of the broker after which case 18 gives up
HEALED_S = 15               # 5 s to declare what is missing, and time to publish or to deliver; without a reason to look it is up to a minute
STUCK_S = 10                # what a sound queue confirms in milliseconds


def behind_proxy(trial, **options):
    """A hub whose fleet reaches the broker through a proxy; tests reach it directly.  Returns (hub, proxy)."""
    proxies = []

    def prepare(hub):
        proxies.append(trial.also_close(Proxy(hub.broker.port)))
        hub.fleet.sections["broker"]["url"] = hub.broker.url.replace(f":{hub.broker.port}/", f":{proxies[0].port}/")
        hub.fleet.write_configuration()
    return trial.loaded(prepare=prepare, **options), proxies[0]


def connected(hub, processes=2):
    """Whether every process consumes every queue."""
    return all(hub.rabbit.consumers(hub.fleet.queue(service)) == processes for service in hub.services)


def struck(trial, strike):
    """`strike(broker)` hurts a broker and starts it again while most of what it confirmed still waits, half of it for a slow service and half for one
    that is paused: all is delivered after it."""
    broker = trial.own(RabbitMQ)
    hub = trial.hub(broker=broker)
    slow, paused = trial.service(hub, hub.sink.url + "/wait-20", max_concurrency=2), trial.service(hub, paused=1)
    for service, name in ((slow, CORE), (slow, VIEWED), (paused, CORE)):
        hub.rule(service, name)
    hub.start()
    trial.settle(hub)
    children = hub.fleet.children()
    hub.publish(trial.events)
    hub.wait_delivered(50)
    waited = sum(hub.rabbit.count([hub.fleet.queue(service) for service in hub.services]).values())
    strike(broker)
    trial.cleared()
    hub.publish(200)
    set_service(hub, paused, paused=0)
    check(waited >= trial.events, f"only {waited} messages waited when the broker was struck")
    trial.finish(hub, repeats=2 * SLOW_HELD)
    check(children == hub.fleet.children(), "a process has ended")
    trial.note(f"{trial.entry.number}: {waited:,} messages waited at the broker when it was struck")


@case(7, "broker restarted in an orderly way")
def restarted(trial):
    """The processes wait, connect again and go on."""
    struck(trial, RabbitMQ.restart)


@case(8, "kill -9 of the broker")
def killed(trial):
    """What it confirmed is there again."""
    def kill(broker):
        broker.kill9()
        broker.start()
    struck(trial, kill)


@case(9, "broker unreachable both ways for 30 s")
def partition(trial):
    """The heartbeat tells (2 s here), nobody spins, and work goes on when the network is back."""
    hub, proxy = behind_proxy(trial, settings=QUICK)
    trial.stream(hub)
    before = proxy.connections
    proxy.hold()
    wait_log(hub, "no consuming connection", 20, times=2)
    held = time.monotonic()
    share = trial.idle_cpu(hub, 10)
    while time.monotonic() - held < 25:
        time.sleep(0.5)
    tries = proxy.connections - before
    proxy.release()
    trial.cleared()
    trial.note(f"9: {tries} connections tried in 25 s by 2 processes with 2 each, {share * 100:.1f} % of a core at most")
    check(share <= IDLE_CPU, f"a worker without its broker uses {share * 100:.1f} % of a core")
    check(tries <= 4 * 25, f"{tries} connections in 25 s")
    trial.finish(hub, repeats=2 * HELD)


@case(10, "half-open: the broker sends, our acknowledgements are lost")
def one_way(trial):
    """The broker gives the messages out again; no loop of errors."""
    hub, proxy = behind_proxy(trial, settings=QUICK)
    trial.stream(hub)
    proxy.hold(up=True, down=False)
    wait_log(hub, "no consuming connection", 30, times=2)
    proxy.release()
    trial.cleared()
    trial.finish(hub, repeats=2 * HELD)
    lines = len(re.findall("406|channel error", log_of(hub)))
    check(lines <= 4, f"{lines} lines about channel errors")


@case(11, "slow broker: 500 ms from question to answer")
def slow(trial):
    """One window of messages per round trip: as much as the prefetch allows."""
    hub = trial.hub(processes=1)
    service = trial.service(hub)
    hub.rule(service, VIEWED)
    proxy = trial.also_close(Proxy(hub.broker.port))
    hub.fleet.sections["broker"]["url"] = hub.broker.url.replace(f":{hub.broker.port}/", f":{proxy.port}/")
    hub.fleet.write_configuration()
    hub.start()
    proxy.latency = 0.25
    hub.publish(trial.events)
    trial.finish(hub)
    times = sorted(request["at"] for request in hub.arrivals)
    rate = (len(times) - 1) / (times[-1] - times[0])
    trial.note(f"11: {rate:.0f}/s of the {16 * 4 / 0.5:.0f}/s that a prefetch of 64 in 500 ms is at most")
    check(rate >= 0.5 * 16 * 4 / 0.5, f"{rate:.0f}/s is less than half of what the prefetch allows")
    check("connection lost" not in log_of(hub), "a connection was lost")


def alarm(trial, raise_it, end_it):
    """Under an alarm of the broker: successes are delivered and acknowledged, failures reach the dead letters, without publishing.  The metrics
    tell it, and that it has ended; the fleet is ready all the time, for it delivers."""
    broker = trial.own(RabbitMQ)
    port = free_port()
    hub = trial.hub(broker=broker, settings={"metrics": {"listen": port}})
    pages = Pages(port)
    good, bad = trial.service(hub), trial.service(hub, hub.sink.url + "/status-400")
    hub.rule(good, VIEWED)
    hub.rule(bad, VIEWED)
    hub.start()
    hub.wait_consumed()
    set_service(hub, good, enabled=0)
    set_service(hub, bad, enabled=0)
    wait_until(lambda: all(hub.rabbit.consumers(hub.fleet.queue(s)) == 0 for s in hub.services), 10, "the consumers to leave")
    hub.publish(trial.events)
    half = len(hub.wanted()) // 2
    broker.ctl(*raise_it)
    wait_until(lambda: "resource_limit" in broker.ctl("eval", "rabbit_alarm:get_alarms()."), 60, "the broker to raise it", every=0.5)
    set_service(hub, good, enabled=1)
    set_service(hub, bad, enabled=1)
    hub.wait_delivered(half, 60)
    wait_log(hub, "blocks publishing", 30)
    # The broker tells it to those that publish: one process may have had all that failed.
    wait_until(lambda: pages.figures().value("mih_child_publishing_blocked") >= 1, 10, "the metric that tells of the alarm")
    check(pages.get("/readyz")[0] == 200, "the fleet is not ready under an alarm, though it delivers")
    broker.ctl(*end_it)
    wait_until(lambda: pages.figures().value("mih_child_publishing_blocked") == 0, 30, "the metric that tells of its end")
    trial.cleared()
    hub.wait_done()
    trial.finish(hub, dead=half)


@case(12, "memory alarm: the broker blocks publishers", short=True)
def memory_alarm(trial):
    """See `alarm`."""
    alarm(trial, ("set_vm_memory_high_watermark", "0.0000001"), ("set_vm_memory_high_watermark", "0.4"))


@case(13, "disk alarm")
def disk_alarm(trial):
    """See `alarm`."""
    alarm(trial, ("set_disk_free_limit", "1000000GB"), ("set_disk_free_limit", "50MB"))


@case(14, "service queues deleted under their consumers")
def deleted(trial):
    """The elected process declares them again; the consumers come back.  What an administrator deletes with a queue is gone: it was empty here."""
    hub = trial.loaded()
    children = hub.fleet.children()
    for service in hub.services:
        hub.rabbit.delete("--queue", hub.fleet.queue(service))
    began = time.monotonic()
    wait_until(lambda: connected(hub) and bindings(hub) >= 5, 90, "queues with bindings and consumers", every=0.2)
    trial.note(f"14: queues, bindings and consumers were back after {time.monotonic() - began:.1f} s")
    hub.publish(trial.events)
    trial.cleared()
    trial.finish(hub)
    check(children == hub.fleet.children(), "a process has ended")


def bindings(hub):
    """How many bindings of the events exchange the broker knows."""
    lines = hub.broker.ctl("list_bindings", "-p", hub.broker.vhost, "source_name").splitlines()
    return lines.count(hub.exchange)


@case(16, "dead-letter exchange deleted")
def no_dead_exchange(trial):
    """What cannot be laid down safely stays at the broker, is told, and goes to the dead letters once the exchange is there again."""
    hub = trial.hub()
    good, bad = trial.service(hub), trial.service(hub, hub.sink.url + "/status-400")
    hub.rule(good, VIEWED)
    hub.rule(bad, VIEWED)
    hub.start()
    hub.rabbit.delete("--exchange", f"{hub.fleet.namespace}.dead")
    hub.publish(trial.events)
    half = len(hub.wanted()) // 2
    hub.wait_delivered(half, 60)
    wait_log(hub, "not safe yet", 30)
    trial.cleared()
    began = time.monotonic()
    hub.wait_done(stall=150)
    took = time.monotonic() - began
    trial.note(f"16: the fleet made the exchange anew; all dead letters were safe {took:.0f} s later")
    check(took <= HEALED_S, f"healed after {took:.0f} s")
    # A dead letter whose confirmation was lost with the channel is laid down again: one too many, none too few.
    trial.finish(hub, dead=half)


@case(17, "queues of the delays deleted: a retry is returned as unroutable")
def no_delay(trial):
    """A retry that the broker returns is not acknowledged; it is made safe once its queue is there again."""
    hub = trial.hub()
    service = trial.service(hub, hub.sink.url + "/status-500", max_retries=5, retry_backoff=1, **NO_BREAKER)
    hub.rule(service, CREATED)
    hub.start()
    for name in [line for line in hub.broker.ctl("list_queues", "-p", hub.broker.vhost, "name").splitlines()
                 if line.startswith(f"{hub.fleet.namespace}.delay.")]:
        hub.rabbit.delete("--queue", name)
    for _ in range(8):
        hub.raw(CREATED, event(CREATED))
    wait_log(hub, "not safe yet", 30)
    set_service(hub, service, base_url=hub.sink.url + "/fast")
    trial.cleared()
    began = time.monotonic()
    trial.finish(hub, stall=150)
    took = time.monotonic() - began
    trial.note(f"17: all delivered {took:.0f} s after the queues were missing")
    check(took <= HEALED_S, f"healed after {took:.0f} s")


def stuck(hub, service):
    """Whether the broker does not confirm a message to the service's queue."""
    probe = hub.rabbit.publish(hub.folder, "", DATA, 1, key=hub.fleet.queue(service))
    try:
        probe.wait(STUCK_S, failure_allowed=True)
    except TimeoutError:
        probe.process.kill9()
        return True
    return False


def hurt_queue(trial, hub):
    """Adds a service, kills the broker the moment its queue is there, and lets the others work again; returns the service, or None when the
    broker serves the queue none the less."""
    hurt = trial.service(hub)
    hub.rule(hurt, CREATED)
    queue = hub.fleet.queue(hurt)
    wait_until(lambda: hub.rabbit.count([queue])[queue] is not None, 20, "the new queue", every=0)
    hub.broker.kill9()
    hub.broker.start()
    trial.cleared()
    hub.publish(200, file=only(hub, VIEWED))
    return hurt if stuck(hub, hurt) else None


@case(18, "quorum queue without a leader (kill -9 of the broker right after its declaration)")
def leaderless(trial):
    """A queue that the broker cannot serve harms no other service, old or new, and hangs nobody.  Whether it comes about is the broker's affair: the
    case counts only when the hurt queue confirms nothing, from the kill to the end."""
    hub = trial.hub(broker=trial.own(RabbitMQ))
    good = trial.service(hub)
    hub.rule(good, VIEWED)
    hub.start()
    trial.settle(hub)
    children = hub.fleet.children()
    kills, hurt = 0, None
    while not hurt:
        if kills == KILLS:
            raise NotProduced(f"{KILLS} times the broker was killed at once after a declaration, and each time the new queue confirms")
        kills += 1
        hurt = hurt_queue(trial, hub)
    hub.delivered()
    hub.arrivals = [request for request in hub.arrivals if hub.rules.service_of[int(request["id"].rpartition(":")[2])] == good]
    hub.rows, hub.services = [row for row in hub.rows if row["serviceid"] == good], [good]      # what went to hurt queues was but a probe
    hub.publish(trial.events // 2, file=only(hub, VIEWED))
    trial.finish(hub)
    hub.forget()
    hub.rule(trial.service(hub, name="later"), VIEWED)
    began = time.monotonic()
    hub.wait_bound(60)
    bound = time.monotonic() - began
    hub.publish(trial.events // 2, file=only(hub, VIEWED))
    trial.finish(hub)
    check(children == hub.fleet.children(), "a process has ended")
    if not stuck(hub, hurt):
        raise NotProduced("the hurt queue confirmed nothing at first, and does now")
    lost = log_of(hub).count("consuming connection lost") - kills * len(children)
    trial.note(f"18: the hurt queue (of kill {kills}) confirms nothing in {STUCK_S} s; a new service was bound after {bound:.1f} s; {lost} times a "
               "process gave its consuming connection up because the hurt queue's channel did not answer")


@case("18a", "queue that does not answer for a while (its process at the broker is suspended)")
def mute_queue(trial):
    """Only its lane is given up: nobody else's deliveries are interrupted, and it is at work again as soon as it answers."""
    hub = trial.hub(broker=trial.own(RabbitMQ))
    good, mute = trial.service(hub), trial.service(hub)
    hub.rule(good, VIEWED)
    hub.rule(mute, CREATED)
    hub.start()
    children = hub.fleet.children()
    queue = hub.fleet.queue(mute)
    hub.wait_consumed()
    set_service(hub, mute, paused=1)
    wait_until(lambda: hub.rabbit.consumers(queue) == 0, 20, "the consumers to leave")
    process = f'whereis(list_to_atom("{hub.broker.vhost}_{queue}"))'
    hub.broker.ctl("eval", f"sys:suspend({process}).")
    set_service(hub, mute, paused=0)
    publication = hub.publish(trial.events, wait=False, rate=trial.events // 15, file=only(hub, VIEWED))
    wait_log(hub, "does not answer on its channel", 40, times=len(children))
    publication.wait()
    hub.wait_done(stall=20)
    hub.broker.ctl("eval", f"sys:resume({process}).")
    trial.cleared()
    began = time.monotonic()
    wait_until(lambda: hub.rabbit.consumers(queue) == len(children), 90, "the lanes to consume again", every=0.2)
    trial.note(f"18a: consumed again {time.monotonic() - began:.1f} s after the queue answered")
    hub.publish(200)
    trial.finish(hub)
    check("consuming connection lost" not in log_of(hub), "a process gave its whole connection up")


def only(hub, name):
    """A file of the real events of one name."""
    path = os.path.join(hub.folder, "only.jsonl")
    with open(DATA, encoding="utf-8") as source, open(path, "w", encoding="utf-8") as target:
        target.writelines(line for line in source if json.loads(line)["eventname"] == name)
    return path


@case(19, "password of the broker changed; SIGHUP with the new one")
def password(trial):
    """Refused logins are told, not hammered; the new password heals without a restart of the supervisor."""
    broker = trial.own(RabbitMQ)
    hub = trial.loaded(broker=broker)
    trial.stream(hub)
    hub.publications[0].wait()
    old, new = broker.password, broker.password[::-1] + "x"
    broker.ctl("change_password", broker.user, new)
    broker.ctl("close_all_connections", "-p", broker.vhost, "password changed")
    wait_log(hub, "no consuming connection", 30, times=2)
    before = log_of(hub).count("no consuming connection")
    share = trial.idle_cpu(hub, 10)
    told = log_of(hub).count("no consuming connection") - before
    trial.note(f"19: {told} refused logins told in 10 s, {share * 100:.1f} % of a core at most")
    check(share <= IDLE_CPU, f"{share * 100:.1f} % of a core")
    check(told <= 2 * 10, f"{told} log lines in 10 s")
    broker.password = new
    hub.rabbit.url = broker.url
    hub.rabbit._environment["MIH_BROKER_URL"] = broker.url
    hub.fleet.sections["broker"]["url"] = broker.url
    hub.fleet.write_configuration()
    hub.fleet.process.signal(1)
    wait_until(lambda: connected(hub), 60, "both processes to consume again", every=0.3)
    trial.cleared()
    hub.publish(200)
    trial.finish(hub, repeats=2 * HELD)
    check(old not in log_of(hub), "the old password in the log")


@case("9b", "connection to the broker: half-closed, then reset, again and again")
def cut(trial):
    """Each time a new connection, and nothing is lost."""
    hub, proxy = behind_proxy(trial)
    publication = trial.stream(hub, seconds=8)
    cuts = 0
    while publication.running() and cuts < 10:
        (proxy.half_close if cuts % 2 else proxy.cut)()
        cuts += 1
        threading.Event().wait(0.7)
    trial.cleared()
    trial.finish(hub, repeats=cuts * 2 * HELD)
