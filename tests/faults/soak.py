"""Random faults at random moments, one after the other, on one fleet under constant load."""
import os
import random
import signal
import time

from case import CREATED, HELD, VIEWED, breaker, case, log_of, set_service, wait_log
from services import MariaDB, RabbitMQ, wait_until
from tcpproxy import Proxy

EVERY_S = 20
RATE = 300


class World:
    """The fleet with everything that can be hurt, and what hurts it."""

    def __init__(self, trial):
        self.trial = trial
        self.broker = trial.own(RabbitMQ)
        self.database = trial.own(MariaDB)
        self.proxy = trial.also_close(Proxy(self.broker.port))
        self.hub = hub = trial.hub(broker=self.broker, database=self.database, settings={"broker": {"heartbeat": "2s"}})
        hub.fleet.sections["broker"]["url"] = self.broker.url.replace(f":{self.broker.port}/", f":{self.proxy.port}/")
        hub.fleet.write_configuration()
        patient = {"max_retries": 30, "retry_backoff": 1, "cb_cooldown": 2}
        self.service = trial.service(hub, **patient)
        other = trial.service(hub, hub.sink.url + "/wait-20", max_concurrency=32, **patient)
        for service, name in ((self.service, VIEWED), (self.service, CREATED), (other, VIEWED)):
            hub.rule(service, name)
        hub.start()
        trial.settle(hub)

    def kill_worker(self):
        """Case 1."""
        os.kill(random.choice(self.hub.fleet.children()), signal.SIGKILL)

    def restart_broker(self):
        """Case 7."""
        self.broker.restart()

    def partition(self):
        """Case 9."""
        before = log_of(self.hub).count("consuming connection lost")
        self.proxy.hold()
        wait_log(self.hub, "consuming connection lost", 60, before + 1)
        self.proxy.release()

    def memory_alarm(self):
        """Case 12."""
        self.broker.ctl("set_vm_memory_high_watermark", "0.0000001")
        wait_until(lambda: "resource_limit" in self.broker.ctl("eval", "rabbit_alarm:get_alarms()."), 60, "the broker to raise it", every=0.5)
        self.broker.ctl("set_vm_memory_high_watermark", "0.4")

    def database_down(self):
        """Case 21."""
        before = log_of(self.hub).count("database away")
        self.database.kill9()
        wait_log(self.hub, "database away", 60, before + 1)
        self.database.start()

    def service_down(self):
        """Case 28."""
        self.load(EVERY_S)
        set_service(self.hub, self.service, base_url="http://127.0.0.1:1/")
        wait_until(lambda: breaker(self.hub, self.service) == "open", 60, "the breaker to open", every=0.2)
        set_service(self.hub, self.service, base_url=self.hub.sink.url + "/fast")

    def load(self, seconds):
        """Publishes at a constant rate for so long, in the background; a publisher that lost the broker is followed by another."""
        if not self.hub.publications or not self.hub.publications[-1].running():
            self.hub.publish(int(RATE * seconds), wait=False, rate=RATE)


@case("+41", "soak: a random fault every 20 s under constant load", seconds=5400)
def soak(trial):
    """Nothing is lost over all of it."""
    seconds = int(os.environ.get("MIH_SOAK_SECONDS", "60"))
    world = World(trial)
    faults = [world.kill_worker, world.restart_broker, world.partition, world.memory_alarm, world.database_down, world.service_down]
    order, struck = [], []
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        world.load(EVERY_S)
        order = order or random.sample(faults, len(faults))
        fault = order.pop()
        wait_until(lambda: time.monotonic() - began >= EVERY_S * len(struck) + 2, EVERY_S + 10, "the next fault's time", every=0.1)
        struck.append(fault.__name__)
        fault()
        world.load(EVERY_S)
    trial.cleared()
    trial.note(f"+41: {', '.join(name.replace('_', ' ') for name in struck)}")
    trial.finish(world.hub, repeats=len(struck) * 2 * HELD, stall=90)
    trial.note(f"+41: {log_of(world.hub).count('child started')} processes started, highest memory {trial.peak_mib:.1f} MiB")
