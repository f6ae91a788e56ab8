"""Breakers at length: one probe per cooldown in the whole fleet, and an outage that outlasts every retry."""
import time

from case import CREATED, VIEWED, breaker, case, check, delay_queues, event, log_of, reset_breaker, set_service, wait_log
from services import wait_until
from stub import Stub

SERVICES = 5
COOLDOWNS = 4               # of each service, at 1, 2, 4 and 8 s, each +-20 %: 20 in all
LATENCY_S = 0.2


def settled(hub, service, path):
    """(openings in a row, requests) of a service at a moment at which its breaker is open and no probe is under way, or None."""
    def look():
        row = hub.database.query(f"SELECT state, trips FROM mdl_local_integrationhub_cb WHERE serviceid = {service}")
        hub.delivered()
        return row[0] if row else None, sum(request["uri"].startswith(path) for request in hub.arrivals)
    (first, before), (second, after) = look(), look()
    return (int(first[1]), before) if first == second and first and first[0] == "open" and before == after else None


@case("half-open", "8 processes, 20 cooldowns: one probe each")
def one_probe(trial):
    """Five services that are down, each through its first cooldowns: every opening in a row after the first has cost exactly one request."""
    hub = trial.hub(processes=8)
    paths = {}
    for number in range(SERVICES):
        path = f"/status-500/s{number}"
        service = trial.service(hub, hub.sink.url + path, max_retries=30, retry_backoff=1, cb_failure_threshold=3, cb_cooldown=1)
        paths[service] = path
        hub.rule(service, VIEWED)
    hub.start()
    hub.publish(trial.events)
    begun = {}
    for service, path in paths.items():
        wait_until(lambda: breaker(hub, service) == "open" and hub.rabbit.consumers(hub.fleet.queue(service)) == 0, 60, "the breaker to open")
        begun[service] = wait_until(lambda: settled(hub, service, path), 60, "a moment without a probe", every=0.05)
    probed = cooldowns = 0
    for service, path in paths.items():
        goal = begun[service][0] + COOLDOWNS
        wait_until(lambda: int(breaker(hub, service, "trips")) >= goal, 120, "four cooldowns", every=0.1)
        trips, requests = wait_until(lambda: settled(hub, service, path), 60, "a moment without a probe", every=0.05)
        cooldowns += trips - begun[service][0]
        probed += requests - begun[service][1]
        check(trips - begun[service][0] == requests - begun[service][1],
              f"{requests - begun[service][1]} requests in {trips - begun[service][0]} cooldowns")
    trial.note(f"half-open: {cooldowns} cooldowns, {probed} probes by 8 processes")
    check(cooldowns >= SERVICES * COOLDOWNS, f"only {cooldowns} cooldowns")
    told = log_of(hub).count("rules read")
    hub.database.query(f"UPDATE mdl_local_integrationhub_svc SET base_url = '{hub.sink.url}/fast'")
    wait_log(hub, "rules read", 20, times=told + 8)     # a breaker that opened once more would only give messages back once more
    hub.database.query("UPDATE mdl_local_integrationhub_cb SET state = 'closed', failure_count = 0, trips = 0")
    trial.cleared()
    trial.finish(hub, stall=90)


def attempts(hub, service):
    """{message id: attempts so far} of everything that waits for the service, in its queue and for its retries."""
    queues = [hub.fleet.queue(service), *delay_queues(hub)]
    found = {}
    for queue in [queue for queue, count in hub.rabbit.count(queues).items() if count]:
        for message in hub.rabbit.drain(queue, peek=True):
            found[message["properties"]["message_id"]] = message["headers"].get("x-mih-attempt", 0)
    return found


def slow_start_share(latency, seconds, most):
    """How many requests one process may begin in the first seconds of a slow start: each success adds one to those under way, so that they double
    with each round trip, up to the maximum (dispatcher/pace.h)."""
    begun, limit, at = 0, 1, 0.0
    while at < seconds:
        begun += limit
        limit = min(2 * limit, most)
        at += latency
    return begun


@case("outage", "service down for longer than all its retries take, behind its open breaker")
def outage(trial):
    """No attempt is burnt, all is delivered, and the first second after the return carries no more than the slow start's share."""
    hub = trial.hub()
    service = trial.service(hub, "http://127.0.0.1:1/", max_retries=2, retry_backoff=1, long_retries=0, cb_failure_threshold=3, cb_cooldown=15,
                            max_concurrency=64)
    hub.rule(service, VIEWED)
    hub.rule(service, CREATED)
    hub.start()
    for _ in range(8):
        hub.raw(CREATED, event(CREATED))
    wait_until(lambda: breaker(hub, service) == "open" and hub.rabbit.consumers(hub.fleet.queue(service)) == 0, 30, "the breaker to open")
    opened = time.monotonic()
    wait_until(lambda: len(attempts(hub, service)) == 8, 20, "all 8 to wait at the broker, each retry published", every=0.5)
    before, failures = attempts(hub, service), log_of(hub).count("not delivered")
    hub.publish(trial.events)
    wait_until(lambda: time.monotonic() - opened > 8, 20, "8 s, while all retries of a message take 4.5 s at most", every=0.2)
    after = attempts(hub, service)
    check(hub.dead_count() == 0, "a dead letter behind an open breaker")
    check(all(after.get(message) == count for message, count in before.items()) and sum(after.values()) == sum(before.values()),
          f"attempts were burnt: {sum(before.values())} when the breaker opened, {sum(after.values())} later")
    check(log_of(hub).count("not delivered") == failures, "something was sent while the breaker was open")
    set_service(hub, service, base_url=hub.sink.url + f"/wait-{int(LATENCY_S * 1000)}")
    trial.cleared()
    trial.finish(hub, stall=60)
    # The first request is the probe; what follows its success is the slow start, of each process.
    times = sorted(request["arrived"] for request in hub.arrivals)[1:]
    first = sum(at < times[0] + 0.99 for at in times)
    share = 2 * slow_start_share(LATENCY_S, 1.0, 64)
    trial.note(f"outage: {first} requests in the first second after the probe, at most {share} by slow start ({2 * 64 * 5} without)")
    check(first <= share, f"{first} requests in the first second, the share is {share}")


@case("open-close", "breakers of 8 services open with full hands and are reset: no repeat")
def open_close(trial):
    """What was tried and waits for its retry is acknowledged for good, however much is given back at that moment."""
    server = trial.also_close(Stub(trial.folder(), "stub"))
    hub = trial.hub()
    services = [trial.service(hub, server.url, timeout=1, max_retries=30, retry_backoff=1, cb_cooldown=2) for _ in range(8)]
    for service in services:
        hub.rule(service, VIEWED, "/partial")
    hub.start()
    hub.publish(trial.events)
    for service in services:
        wait_until(lambda: breaker(hub, service) == "open", 30, "the breaker to open")
        set_service(hub, service, base_url=hub.sink.url + "/fast")
        reset_breaker(hub, service)
    trial.cleared()
    trial.finish(hub)
