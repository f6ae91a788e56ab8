"""Failure and return: retries wait in the broker, breakers are shared by the fleet, and what is exhausted is a dead letter."""

import shared
from services import wait_until

CREATED = r"\core\event\user_created"
VIEWED = r"\core\event\course_viewed"


def cb(hub, service, column):
    """A column of a service's breaker."""
    return hub.database.value(f"SELECT {column} FROM mdl_local_integrationhub_cb WHERE serviceid = {service}")


def requests_of(hub, uri):
    """All requests at a path, accepted or not."""
    hub.delivered()
    return [request for request in hub.arrivals if request["uri"].startswith(uri)]


class Retry(shared.HubTest):
    """One delivery after the other."""

    @shared.smoke
    def test_d1_a_failure_is_tried_again_and_given_up_after_max_retries(self):
        """max_retries=2 and HTTP 500: three requests with the same webhook-id, at growing distances, then a dead letter with its history."""
        hub = self.hub()
        service = hub.service(hub.sink.url, max_retries=2, retry_backoff=1, long_retries=0, cb_failure_threshold=100)
        rule = hub.rule(service, CREATED, "/status-500/x")
        hub.start()
        message = hub.raw(CREATED, '{"eventname": "\\\\core\\\\event\\\\user_created"}')
        wait_until(lambda: hub.dead_count() == 1, 30, "the dead letter")
        requests = requests_of(hub, "/status-500")
        self.assertEqual([f"{message}:{rule}"] * 3, [request["id"] for request in requests])
        gaps = [later["at"] - earlier["at"] for earlier, later in zip(requests, requests[1:])]
        self.assertGreaterEqual(gaps[0], 0.5)
        self.assertGreaterEqual(gaps[1], 1.0)
        letter = hub.dead_messages()[0]["headers"]
        self.assertEqual((3, 500, str(rule)), (letter["x-mih-attempt"], letter["x-mih-status"], letter["x-mih-rule"]))
        self.assertAlmostEqual(requests[0]["at"], letter["x-mih-first"], delta=2)

    @shared.smoke
    def test_one_rule_s_retry_repeats_no_other_rule_s_delivery(self):
        """Two rules of one service want the event; one fails and is tried again, the other one is delivered once."""
        hub = self.hub()
        service = hub.service(hub.sink.url, max_retries=2, retry_backoff=1, long_retries=0, cb_failure_threshold=100)
        good, bad = hub.rule(service, CREATED, "/fast/x"), hub.rule(service, CREATED, "/status-503/x")
        hub.start()
        message = hub.raw(CREATED, '{"eventname": "\\\\core\\\\event\\\\user_created"}')
        wait_until(lambda: hub.dead_count() == 1, 30, "the dead letter")
        self.assertEqual(1, len(requests_of(hub, "/fast")))
        self.assertEqual(3, len(requests_of(hub, "/status-503")))
        self.assertEqual({f"{message}:{good}"}, set(hub.delivered()))
        self.assertEqual(str(bad), hub.dead_messages()[0]["headers"]["x-mih-rule"])

    def test_what_waits_survives_the_death_of_the_whole_fleet(self):
        """The schedule lies in the broker: kill -9 of everything, and the next fleet delivers."""
        hub = self.hub()
        service = hub.service("http://127.0.0.1:1/", retry_backoff=10, cb_failure_threshold=999)
        hub.rule(service, CREATED)
        hub.start()
        messages = [hub.raw(CREATED, '{"eventname": "\\\\core\\\\event\\\\user_created"}') for _ in range(8)]
        wait_until(lambda: self._delayed(hub) == 8, 20, "8 retries in the delay queues")
        hub.fleet.close()
        hub.database.query(f"UPDATE mdl_local_integrationhub_svc SET base_url = '{hub.sink.url}/fast' WHERE id = {service}")
        hub.fleet.start()
        hub.wait_delivered(8, 60)
        self.assertEqual(set(messages), {identifier.split(":")[0] for identifier in hub.delivered()})
        self.assert_balanced(hub.balance())

    @staticmethod
    def _delayed(hub):
        names = hub.broker.ctl("list_queues", "-p", hub.broker.vhost, "name").splitlines()
        return sum(hub.rabbit.count([name for name in names if name.startswith(f"{hub.fleet.namespace}.delay.")]).values())


class Breaker(shared.HubTest):
    """A service that is down, and comes back."""

    seconds = 300

    def test_an_outage_burns_no_attempt_and_everything_arrives_afterwards(self):
        """A dead service opens its breaker; its queue is left alone; when it is back all is delivered, slowly at first, and none is dead."""
        hub = self.hub()
        service = hub.service(hub.sink.url + "/status-500", max_retries=1, retry_backoff=1, long_retries=0, cb_failure_threshold=5, cb_cooldown=2)
        other = hub.service()
        hub.rule(service, VIEWED)
        hub.rule(other, VIEWED)
        hub.start()
        hub.publish(1433)
        wait_until(lambda: cb(hub, service, "state") == "open", 20, "the breaker to open")
        wait_until(lambda: hub.rabbit.consumers(hub.fleet.queue(service)) == 0, 10, "the consumers to leave")
        wait_until(lambda: int(cb(hub, service, "trips") or 0) >= 3, 60, "two failed probes")
        self.assertLess(len(requests_of(hub, "/status-500")), 60, "requests at a service that is down")
        hub.database.query(f"UPDATE mdl_local_integrationhub_svc SET base_url = '{hub.sink.url}/fast' WHERE id = {service}")
        hub.wait_done(stall=60)
        balance = hub.balance()
        self.assertEqual([], balance.faults())
        self.assertLess(len(balance.dead), 40)
        self.assertEqual("closed", cb(hub, service, "state"))

    def test_exactly_one_process_probes_after_each_cooldown(self):
        """Eight processes, four cooldowns: one request each.  The fault case half-open does it over twenty."""
        hub = self.hub(processes=8)
        service = hub.service(hub.sink.url + "/status-500", max_retries=3, retry_backoff=1, cb_failure_threshold=3, cb_cooldown=1)
        hub.rule(service, VIEWED)
        hub.start()
        hub.publish(1433)
        wait_until(lambda: cb(hub, service, "state") == "open" and hub.rabbit.consumers(hub.fleet.queue(service)) == 0, 20, "the breaker to open")
        trips, requests = int(cb(hub, service, "trips")), len(requests_of(hub, "/status-500"))
        wait_until(lambda: int(cb(hub, service, "trips")) >= trips + 4 and cb(hub, service, "state") == "open", 120, "four cooldowns", every=0.05)
        self.assertEqual(int(cb(hub, service, "trips")) - trips, len(requests_of(hub, "/status-500")) - requests)

    def test_messages_that_are_given_back_again_and_again_stay_alive(self):
        """Each opening of the breaker returns what has not begun to the head of its queue, and the broker's delivery limit of 20 counts that."""
        hub = self.hub(processes=1, settings={"database": {"poll_interval": "200ms"}})
        service = hub.service(hub.sink.url + "/status-500", max_retries=50, retry_backoff=30, cb_failure_threshold=3, cb_cooldown=600)
        hub.rule(service, VIEWED)
        hub.start()
        hub.publish(1433)
        for _ in range(30):
            wait_until(lambda: cb(hub, service, "state") == "open" and not hub.rabbit.consumers(hub.fleet.queue(service)), 30, "the breaker to open")
            hub.database.query(f"UPDATE mdl_local_integrationhub_cb SET state = 'closed', trips = 0 WHERE serviceid = {service}")
        self.assertEqual(0, hub.dead_count())

    def test_a_reset_takes_effect_at_once(self):
        """An administrator closes the breaker in the table: a request arrives long before the cooldown of ten minutes is over, then all the others.

        How long those take is not judged: what failed before the breaker opened waits for its retry, at random, to spare the service.
        """
        hub = self.hub()
        service = hub.service(hub.sink.url + "/status-500", cb_failure_threshold=3, cb_cooldown=600)
        hub.rule(service, VIEWED)
        hub.start()
        hub.publish(500)
        wait_until(lambda: cb(hub, service, "state") == "open" and hub.rabbit.consumers(hub.fleet.queue(service)) == 0, 20, "the breaker to open")
        hub.database.query(f"UPDATE mdl_local_integrationhub_svc SET base_url = '{hub.sink.url}/fast' WHERE id = {service}")
        hub.database.query(f"UPDATE mdl_local_integrationhub_cb SET state = 'closed', failure_count = 0 WHERE serviceid = {service}")
        wait_until(lambda: requests_of(hub, "/fast"), 60, "a request, a tenth of the cooldown after the reset at the latest")
        hub.wait_done(stall=120)
        self.assertEqual([], hub.balance().faults())

    def test_a_paused_service_waits_and_goes_on(self):
        """Paused: its events go on being queued, and nothing is sent."""
        hub = self.hub()
        service = hub.service(paused=1)
        hub.rule(service, VIEWED)
        hub.start()
        hub.publish(1433)
        wanted = len(hub.wanted())
        self.assertEqual(wanted, len(hub.waiting()))
        hub.database.query(f"UPDATE mdl_local_integrationhub_svc SET paused = 0 WHERE id = {service}")
        hub.wait_done()
        self.assert_balanced(hub.balance())


class Limits(shared.HubTest):
    """How fast a service is called."""

    def test_the_rate_limit_holds_over_all_processes(self):
        """20 requests a second for two processes together."""
        hub = self.hub()
        service = hub.service(rate_limit=20)
        hub.rule(service, VIEWED)
        hub.start()
        hub.publish(1433)
        hub.wait_done()
        self.assert_balanced(hub.balance())
        times = sorted(request["arrived"] for request in hub.arrivals)
        busiest = max(sum(1 for other in times if at <= other < at + 1) for at in times[40:])
        self.assertLessEqual(busiest, 20 * 1.25 + 4)

    def test_a_service_that_asks_for_less_gets_less(self):
        """429 is no failure and no attempt: everything is delivered once the service takes it again."""
        hub = self.hub(processes=1)
        service = hub.service(hub.sink.url + "/status-429", max_retries=0, long_retries=0, retry_backoff=1)
        hub.rule(service, CREATED)
        hub.start()
        for _ in range(30):
            hub.raw(CREATED, '{"eventname": "\\\\core\\\\event\\\\user_created"}')
        wait_until(lambda: len(requests_of(hub, "/status-429")) >= 30, 30, "every message to be refused once")
        self.assertEqual(0, hub.dead_count())
        hub.database.query(f"UPDATE mdl_local_integrationhub_svc SET base_url = '{hub.sink.url}/fast' WHERE id = {service}")
        hub.wait_done(stall=60)
        balance = hub.balance()
        self.assertEqual([], balance.faults())
        self.assertEqual({}, balance.dead)
