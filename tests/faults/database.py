"""The database: away at the start, away for long, slow, forgetful, and changed under the fleet's feet."""
import os
import time

import guard
from case import CREATED, VIEWED, case, check, set_service, wait_log
from services import MariaDB, wait_until


@case(20, "database down at the start")
def down_at_start(trial):
    """Nothing is consumed by rules that nobody knows; at work moments after its return."""
    server = trial.own(MariaDB)
    hub = trial.loaded(database=server)
    hub.fleet.stop()
    server.kill9()
    hub.fleet.start()
    hub.publish(trial.events)
    wait_log(hub, "database away", 40, times=2)
    check(hub.delivered() == [], "something was delivered without rules")
    check(hub.fleet.alive(), "the fleet has ended")
    server.start()
    trial.cleared()
    trial.finish(hub)


@case(21, "database down for 40 s while the fleet works")
def down_while_running(trial):
    """Deliveries go on with the rules at hand; the counters catch up afterwards."""
    server = trial.own(MariaDB)
    hub = trial.loaded(database=server)
    server.kill9()
    gone = time.monotonic()
    for part in range(4):
        hub.publish(trial.events // 4)
        hub.wait_done(stall=10)
        wait_until(lambda: time.monotonic() - gone >= 10 * (part + 1), 20, "its part of the outage", every=0.2)
    server.start()
    trial.cleared()
    delivered = len(set(hub.delivered()))
    wait_until(lambda: hub.counters()["delivered"] == delivered, 40, "the counters in the worker table", every=0.2)
    hub.publish(200)
    trial.finish(hub)


class Lock:
    """A session that locks the hub's tables for writing until it is closed."""

    def __init__(self, hub, seconds):
        tables = [row[0] for row in hub.database.query("SHOW TABLES LIKE 'mdl_local_integrationhub%'")]
        path = os.path.join(hub.folder, "lock.sql")
        with open(path, "w", encoding="utf-8") as stream:
            stream.write("LOCK TABLES " + ", ".join(f"`{table}` WRITE" for table in tables) + f";\nSELECT SLEEP({seconds});\n")
        self.root = hub.database
        self.process = guard.Process(["mariadb", "--no-defaults", "--user=root", f"--socket={hub.database.server.socket}", hub.database.database],
                                     os.path.join(hub.folder, "lock.log"), stdin=path)

    def holds(self):
        """Whether it has the lock: it sleeps behind it."""
        return self.root.query("SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'User sleep'")[0][0] not in ("0", 0)

    def close(self):
        """Lets go."""
        self.process.kill9()


@case(22, "database slow: all tables locked for 15 s", short=True)
def locked(trial):
    """Not one delivery waits for it."""
    hub = trial.loaded()
    lock = trial.also_close(Lock(hub, 15))
    wait_until(lock.holds, 10, "the lock", every=0.1)
    hub.publish(trial.events, wait=False, rate=trial.events // 5)
    hub.publications[0].wait()
    hub.wait_done(stall=8)
    check(lock.process.alive(), "the lock had ended before everything was delivered")
    trial.cleared()
    lock.close()
    delivered = len(set(hub.delivered()))
    wait_until(lambda: hub.counters()["delivered"] == delivered, 40, "the counters in the worker table", every=0.2)
    trial.finish(hub)


@case(23, "database forgets sessions (wait_timeout 1 s)")
def forgetful(trial):
    """A session that is gone is made anew, and no counter is lost."""
    server = trial.own(MariaDB)
    server.query("SET GLOBAL wait_timeout = 1")
    hub = trial.loaded(database=server)
    for _ in range(4):
        hub.publish(trial.events // 4)
        ids = [row[0] for row in server.query(f"SELECT id FROM information_schema.processlist WHERE user = '{hub.account.user}'")]
        for identifier in ids:
            server.query(f"KILL {identifier}")
        hub.wait_done()
    trial.cleared()
    delivered = len(set(hub.delivered()))
    wait_until(lambda: hub.counters()["delivered"] == delivered, 40, "the counters in the worker table", every=0.2)
    trial.finish(hub)


@case(24, "rule deleted, service disabled and changed in mid-flight")
def changed(trial):
    """What a rule that has gone would have got is skipped and counted; the rest is not touched; nobody crashes."""
    hub = trial.hub()
    service, other = trial.service(hub, hub.sink.url + "/wait-20"), trial.service(hub)
    kept, going = hub.rule(service, VIEWED), hub.rule(service, CREATED, "/going")
    hub.rule(other, VIEWED)
    hub.start()
    children = hub.fleet.children()
    publication = hub.publish(trial.events, wait=False, rate=trial.events // 6)
    hub.wait_delivered(50)
    hub.database.query(f"DELETE FROM mdl_local_integrationhub_rules WHERE id = {going}")
    set_service(hub, service, enabled=0)
    set_service(hub, other, base_url=hub.sink.url + "/fast/elsewhere")
    wait_until(lambda: hub.rabbit.consumers(hub.fleet.queue(service)) == 0, 20, "the consumers to leave")
    set_service(hub, service, enabled=1, max_concurrency=3)
    publication.wait()
    trial.cleared()
    hub.rows = [row for row in hub.rows if row["id"] != going]
    wanted = hub.wanted()
    wait_until(lambda: wanted <= set(hub.delivered()), 60, "everything that the remaining rules want")
    hub.arrivals = [request for request in hub.arrivals if not request["id"].endswith(f":{going}")]
    trial.finish(hub)
    check(kept in hub.rules.service_of and children == hub.fleet.children(), "a process has ended")
    check(any("/elsewhere" in request["uri"] for request in hub.arrivals), "the new address was not used")
