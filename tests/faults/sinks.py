"""Services that are slow, dead, lying, hostile; names that resolve to nothing; certificates that are not valid."""
import os
import time

import account
import fleet
from case import (CREATED, LINES, VIEWED, breaker, case, check, delayed, event, log_of, reset_breaker, set_service, wait_log)
from namestub import NameStub
from services import wait_until
from stub import Certificates, OldServer, Stub
from tcpproxy import Canary, Deaf, Proxy

LATENCY_S = 0.5             # of broker and request on a busy machine, beyond a wait
PATIENT = {"cb_failure_threshold": 999, "max_retries": 30, "retry_backoff": 1}      # the case is about something else than giving up


def stub(trial, *arguments, name="stub"):
    """The scriptable service, closed with the trial."""
    return trial.also_close(Stub(trial.folder(), name, *arguments))


def pair(trial, base_url, columns=None, endpoint="/", **options):
    """A hub with a service that is in trouble and a sound one, both wanting every VIEWED event, with short time-outs: (hub, troubled, sound)."""
    hub = trial.hub(**options)
    troubled = trial.service(hub, base_url, **{"timeout": 1, **(columns or {})})
    sound = trial.service(hub)
    hub.rule(troubled, VIEWED, endpoint)
    hub.rule(sound, VIEWED)
    return hub, troubled, sound


def of_service(hub, service):
    """The wanted deliveries of one service."""
    return {d for d in hub.wanted() if hub.rules.service_of[int(d.rpartition(":")[2])] == service}


def heal(trial, hub, service):
    """The service answers at once from now on; an administrator resets its breaker."""
    set_service(hub, service, base_url=hub.sink.url + "/fast")
    reset_breaker(hub, service)
    trial.cleared()


def opens_and_heals(trial, base_url, reason, **options):
    """A service in trouble opens its breaker while the other one gets everything; healed, it gets everything too."""
    hub, troubled, sound = pair(trial, base_url, {"cb_cooldown": 2, "max_retries": 30, "retry_backoff": 1}, **options)
    hub.start()
    hub.publish(trial.events)
    wait_until(lambda: breaker(hub, troubled) == "open", 30, "the breaker to open")
    sound_ones = of_service(hub, sound)
    wait_until(lambda: sound_ones <= set(hub.delivered()), 60, "everything at the other service")
    wait_log(hub, reason, 10)
    heal(trial, hub, troubled)
    trial.finish(hub, of=troubled)
    return hub


@case(25, "names that do not resolve: NXDOMAIN, SERVFAIL")
def no_name(trial):
    """Tried again, told, and nobody else is concerned."""
    names = trial.also_close(NameStub(trial.folder(), "servfail"))
    hub, troubled, sound = pair(trial, "http://erp.example.invalid/", {"cb_cooldown": 2, "max_retries": 30, "retry_backoff": 1})
    hub.fleet.wrapper = names.wrapper
    hub.start()
    hub.publish(trial.events)
    wait_until(lambda: breaker(hub, troubled) == "open", 60, "the breaker to open")
    names.mode = "nxdomain"
    sound_ones = of_service(hub, sound)
    wait_until(lambda: sound_ones <= set(hub.delivered()), 60, "everything at the other service")
    wait_log(hub, "name look-up failed", 10)
    check(names.questions > 0, "the name server was not asked")
    heal(trial, hub, troubled)
    trial.finish(hub, of=troubled)


@case(26, "name server that never answers")
def deaf_name(trial):
    """The request fails at its time-out; the loop does not stand still: the other service's requests go on in between."""
    names = trial.also_close(NameStub(trial.folder(), "silent"))
    hub, troubled, sound = pair(trial, "http://erp.example.invalid/", {"cb_cooldown": 2, "max_retries": 30, "retry_backoff": 1}, processes=1)
    hub.fleet.wrapper = names.wrapper
    hub.start()
    hub.publish(trial.events, wait=False, rate=trial.events // 6)
    wait_until(lambda: breaker(hub, troubled) == "open", 60, "the breaker to open")
    hub.publications[0].wait()
    sound_ones = of_service(hub, sound)
    wait_until(lambda: sound_ones <= set(hub.delivered()), 60, "everything at the other service")
    times = sorted(request["arrived"] for request in hub.arrivals)
    pause = max(later - earlier for earlier, later in zip(times, times[1:]))
    trial.note(f"26: longest pause between two requests at the other service {pause * 1000:.0f} ms")
    wait_log(hub, "time-out", 10)
    heal(trial, hub, troubled)
    trial.finish(hub, of=troubled)


@case(27, "service that takes 95 % of its time-out")
def slow(trial):
    """Every request succeeds in the end; the other service does not notice."""
    hub = trial.hub()
    troubled = trial.service(hub, hub.sink.url + "/wait-950", timeout=1, max_concurrency=256, max_retries=30, retry_backoff=1,
                             cb_failure_threshold=999)
    sound = trial.service(hub)
    hub.rule(troubled, VIEWED)
    hub.rule(sound, VIEWED)
    hub.start()
    hub.publish(trial.events // 5, wait=False, rate=300)
    hub.publications[0].wait()
    sound_ones = of_service(hub, sound)
    wait_until(lambda: sound_ones <= set(hub.delivered()), 60, "everything at the other service")
    took = sorted(r["at"] - account.milliseconds_of(r["id"]) / 1000 for r in hub.arrivals if r["id"] in sound_ones and r["status"] < 300)
    trial.note(f"27: p99 from publishing to delivery at the other service {account.percentile(took, 0.99) * 1000:.0f} ms")
    set_service(hub, troubled, timeout=5)       # what timed out by a hair (and was delivered in the sink's eyes) must not be repeated for ever
    trial.cleared()
    late = log_of(hub).count("time-out")
    # A request that the service answered and that we gave up is repeated with its id: that is at-least-once.
    trial.finish(hub, repeats=late + 40, stall=90)


@case(28, "service that accepts nothing (SYN dropped); at most one probe per cooldown in the fleet")
def black_hole(trial):
    """Time-outs open the breaker; what follows are single probes of the whole fleet."""
    deaf = trial.also_close(Deaf())
    hub, troubled, sound = pair(trial, f"http://127.0.0.1:{deaf.port}/", {"cb_cooldown": 1, "max_retries": 30, "retry_backoff": 1}, processes=4)
    hub.start()
    hub.publish(trial.events)
    wait_until(lambda: breaker(hub, troubled) == "open", 30, "the breaker to open")
    sound_ones = of_service(hub, sound)
    wait_until(lambda: sound_ones <= set(hub.delivered()), 60, "everything at the other service")
    wait_until(lambda: int(breaker(hub, troubled, "trips")) >= 3, 60, "two failed probes", every=0.1)
    probes, trips = log_of(hub).count("half-open"), int(breaker(hub, troubled, "trips"))
    check(probes <= trips, f"{probes} probes for {trips} openings in a row")
    heal(trial, hub, troubled)
    trial.finish(hub, of=troubled)
    trial.note(f"28: {probes} probes of 4 processes, {trips} openings in a row")


def misbehaving(path, reason):
    """A case of a service that misbehaves at `path` of the stub."""
    def work(trial):
        opens_and_heals(trial, stub(trial).url, reason, endpoint=path)
    return work


for number, fault, path, reason in (
        ("28b", "service that accepts and never answers", "/hang", "time-out"),
        ("28c", "service that resets the connection", "/reset", "broken answer"),
        ("28d", "service that closes without a byte", "/empty", "broken answer"),
        ("29", "body cut short", "/partial", "broken answer"),
        ("29b", "chunk cut short", "/chunkcut", "broken answer"),
        ("29c", "one byte each 200 ms, for ever", "/drip?ms=200", "time-out"),
        ("30", "body of 500 MB", "/huge?bytes=500000000", "too large"),
        ("30b", "body without an end", "/endless", "too large"),
        ("30c", "200 MB of headers", "/bigheaders?bytes=200000000", "too large"),
        ("30d", "header line of 50 MB", "/longheader?bytes=50000000", "too"),
        ("30e", "100 Continue for ever", "/1xx", "too large"),
        ("30f", "no HTTP at all", "/garbage", "broken answer")):
    case(number, fault, short=number == "28d")(misbehaving(path, reason))


@case("28e", "connection to the service: half-closed after the request, then reset")
def half_closed(trial):
    """A proxy in the middle of a working service: what it cuts is sent again."""
    hub = trial.hub()
    proxy = trial.also_close(Proxy(hub.sink.port))
    service = trial.service(hub, f"http://127.0.0.1:{proxy.port}/wait-20", **PATIENT)
    hub.rule(service, VIEWED)
    hub.start()
    publication = hub.publish(trial.events, wait=False, rate=trial.events // 5)
    cuts = 0
    while publication.running():
        (proxy.half_close if cuts % 2 else proxy.cut)()
        cuts += 1
        time.sleep(0.5)
    set_service(hub, service, base_url=hub.sink.url + "/fast")
    reset_breaker(hub, service)
    trial.cleared()
    trial.finish(hub, repeats=cuts * 2 * 16, stall=90)
    trial.note(f"28e: cut {cuts} times")


@case(31, "certificates: expired, self-signed, of another name, TLS 1.1; the token must not be sent", short=True)
def certificates(trial):
    """Refused before a byte of the request; the retry waits at least five minutes, at the broker."""
    folder = trial.folder()
    made = Certificates(folder)
    made.signed("expired", "IP:127.0.0.1", "-startdate", "20200101000000Z", "-enddate", "20200201000000Z")
    made.signed("wrongname", "DNS:elsewhere.example")
    made.signed("valid", "IP:127.0.0.1")
    made.selfsigned("selfsigned")
    hub = trial.hub(settings={"worker": {"ca_file": str(made.ca)}})
    servers = {name: stub(trial, "--tls", made.path(name, "pem"), made.path(name, "key"), name=name)
               for name in ("expired", "wrongname", "selfsigned")}
    servers["old"] = trial.also_close(OldServer(made.path("valid", "pem"), made.path("valid", "key")))
    good = stub(trial, "--tls", made.path("valid", "pem"), made.path("valid", "key"), name="valid")
    for server in [*servers.values(), good]:
        service = trial.service(hub, f"https://127.0.0.1:{server.port}", cb_failure_threshold=999)
        hub.rule(service, CREATED)
    hub.start()
    for _ in range(5):
        hub.raw(CREATED, event(CREATED))
    wanted = hub.wanted()
    of_good = {d for d in wanted if hub.rules.service_of[int(d.rpartition(":")[2])] == hub.services[-1]}
    wait_until(lambda: len(delayed(hub)) == len(wanted) - len(of_good), 30, "every refused request in the queues of the delays", every=0.5)
    waiting = delayed(hub)
    check(min(waiting.values()) >= 300_000, f"a retry waits only {min(waiting.values())} ms")
    for name, server in servers.items():
        if name != "old":
            check(server.record() == [], f"a request reached the service with the certificate '{name}'")
    check("Authorization" not in servers["old"].stop() and trial.token not in servers["old"].output, "the token was sent over TLS 1.1")
    accepted = good.record()
    check({r["webhook_id"] for r in accepted} == of_good, "not everything reached the service with the valid certificate")
    check(all(trial.token in r["headers"]["authorization"] for r in accepted), "the valid service got no token")
    hub.arrivals += [{"id": r["webhook_id"], "status": 200, "at": r["time"], "arrived": r["time"], "uri": r["path"]} for r in accepted]
    trial.finish(hub, waiting=set(waiting))


@case(32, "429 and 503 with Retry-After (seconds and date); 429 burns no attempt")
def retry_after(trial):
    """Never before the time that the service named, and not much after it: the step of the grid above it."""
    server = stub(trial)
    hub = trial.hub()
    seconds = {"/status/429?retry-after=6": 6, "/status/503?retry-after=6": 6, "/status/429?retry-date=8": 8, "/status/503?retry-date=8": 8}
    rules, services = {}, {}
    for path in seconds:
        service = trial.service(hub, server.url, max_retries=1, long_retries=0, retry_backoff=1, cb_failure_threshold=999)
        rules[hub.rule(service, CREATED, path)] = path
        services[path] = service
    hub.start()
    hub.raw(CREATED, event(CREATED))
    wait_until(lambda: all(len(server.record(path)) >= 2 for path in seconds), 60, "a second request at each")
    for path, asked in seconds.items():
        first, second = [r["time"] for r in server.record(path)][:2]
        wait, tolerance = second - first, 1.0 if "date" in path else 0.0        # a date has whole seconds
        trial.note(f"32: {path}: next attempt after {wait:.2f} s, {100 * (wait / asked - 1):+.0f} %")
        check(wait >= asked - tolerance, f"{path}: tried again after {wait:.2f} s")
        check(wait <= asked * 1.2 + LATENCY_S, f"{path}: tried again only after {wait:.2f} s")
    # 429 twice with one retry allowed: still not dead.  503 twice: dead.
    wait_until(lambda: hub.dead_count() == 2, 30, "the dead letters of 503")
    wait_until(lambda: all(len(server.record(path)) >= 3 for path in seconds if "429" in path), 60, "a third request after 429")
    for path in seconds:
        if "429" in path:
            hub.database.query("UPDATE mdl_local_integrationhub_rules SET endpoint = '/ok' WHERE serviceid = " + str(services[path]))
            set_service(hub, services[path], base_url=hub.sink.url + "/fast")
    trial.cleared()
    trial.finish(hub, dead=2)
    check(all("503" in rules[int(message["headers"]["x-mih-rule"])] for message in hub.dead_messages()), "a 429 became a dead letter")


@case(33, "redirects to an internal address, to file://, in a circle", short=True)
def redirects(trial):
    """Not followed: nobody connects to the internal address; dead letters that name the place."""
    canary = trial.also_close(Canary())
    server = stub(trial)
    hub = trial.hub()
    service = trial.service(hub, server.url)
    targets = [f"http://127.0.0.1:{canary.port}/latest/meta-data", "file:///etc/passwd", f"{server.url}/redirect?to=/redirect", "gopher://127.0.0.1/"]
    for target in targets:
        for path in (f"/redirect?to={target}", f"/status/301?location={target}", f"/status/307?location={target}"):
            hub.rule(service, CREATED, path)
    hub.start()
    for _ in range(5):
        hub.raw(CREATED, event(CREATED))
    trial.finish(hub, dead=5 * len(targets) * 3)
    check(canary.connections == 0, f"{canary.connections} connections to the internal address")
    check(len(server.record()) == 5 * len(targets) * 3, "a redirect was followed")
    check(all("redirects are never followed" in m["headers"]["x-mih-reason"] for m in hub.dead_messages()), "a reason that does not say why")


@case(34, "retry storm: service down for 30 s with 2,000 deliveries due")
def storm(trial):
    """They come back spread, not together, and all arrive."""
    hub = trial.hub()
    service = trial.service(hub, "http://127.0.0.1:1/", max_retries=10, retry_backoff=2, cb_failure_threshold=9999, cb_cooldown=5)
    hub.rule(service, VIEWED)
    hub.start()
    down = time.monotonic()
    names = account.event_names(os.path.join(fleet.TOP, "tests", "data", "moodle-events.jsonl"))
    hub.publish(2000 * LINES // names.count(VIEWED), wait=False, rate=3000)
    hub.publications[0].wait()
    total = len(hub.wanted())
    wait_until(lambda: time.monotonic() - down >= 30, 40, "the end of the outage", every=0.1)
    set_service(hub, service, base_url=hub.sink.url + "/wait-20")
    trial.cleared()
    began = time.time()
    trial.finish(hub, stall=150)
    times = sorted(request["at"] for request in hub.arrivals)
    buckets = {}
    for at in times:
        buckets[int(at * 10)] = buckets.get(int(at * 10), 0) + 1
    peak = max(buckets.values())
    trial.note(f"34: {total} due, at most {peak} in 100 ms ({100 * peak / total:.0f} %), the last {times[-1] - began:.0f} s after the return")
    check(peak <= total // 4, f"{peak} of {total} in 100 ms")
