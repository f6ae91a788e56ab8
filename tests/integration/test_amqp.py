"""Services of type amqp: the transport against real brokers, outcome by outcome, and whole fleets that deliver into a queue."""
import base64
import hashlib
import hmac
import socket
import time
import unittest
from urllib.parse import quote

import fleet
import guard
import shared
from amqpsend import Sender
from rabbit import Rabbit
from services import RabbitMQ, free_port, wait_until
from stub import Certificates, Stub
from tcpproxy import Deaf, Proxy

CREATED = r"\core\event\user_created"
MINUTE, FIVE_MINUTES = 60, 300
CELLS = []      # (auth, outcome) of the matrix, as they were seen


class Broker(RabbitMQ):
    """A customer's broker, with a TLS port besides."""

    def __init__(self):
        self.made = Certificates(guard.folder("mih-amqp-"))
        self.made.signed("broker", "DNS:localhost")
        self.tls_port = free_port()
        super().__init__("\n".join([
            f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}", f"ssl_options.cacertfile = {self.made.ca}",
            f"ssl_options.certfile = {self.made.path('broker', 'pem')}", f"ssl_options.keyfile = {self.made.path('broker', 'key')}",
            "ssl_options.verify = verify_none", "ssl_options.fail_if_no_peer_cert = false"]))

    def tls_url(self, host, port=None):
        """An amqps URL to the host name or address."""
        return f"amqps://{self.user}:{self.password}@{host}:{port or self.tls_port}/{self.vhost}"

    def url_by(self, port, **parameters):
        """The URL through a proxy's port."""
        query = "&".join(f"{key}={quote(value, safe='')}" for key, value in parameters.items())
        return self.url.replace(f":{self.port}/", f":{port}/") + (f"?{query}" if query else "")

    def with_query(self, **parameters):
        """The URL with parameters."""
        return self.url_by(self.port, **parameters)


class Case(unittest.TestCase):
    """What the tests of one transport share."""

    seconds = 240

    def setUp(self):
        self.broker = shared.server(Broker)
        self.rabbit = Rabbit(fleet.program("mih-test-rabbit"), self.broker.url)
        self.queue = self.id().rpartition(".")[2]
        self.said = []

    def sender(self, *arguments):
        """A transport that ends with the test; what it said may hold no password."""
        sender = Sender(*arguments)
        self.addCleanup(self._end, sender)
        return sender

    def _end(self, sender):
        self.assertLess(sender.close(), 2000)

    def proxy(self, port=None):
        """A proxy to the broker."""
        proxy = Proxy(port or self.broker.port)
        self.addCleanup(proxy.close)
        return proxy

    def expect(self, answer, verdict, breaker, reason="", *, auth="plain", cell="", most=0, pause=0):
        """Holds an answer against a row of the outcome table."""
        seen = (answer["verdict"], answer["breaker"], answer["most"], answer["pause"])
        self.assertEqual((verdict, breaker, most, pause), seen, answer["reason"])
        self.assertRegex(answer["reason"], reason or "^$")
        self.assertNotIn(self.broker.password, str(answer))
        CELLS.append((auth, cell or reason, verdict))

    def delivered(self, answer, auth="plain", cell="confirmed"):
        """The same for a delivery."""
        self.expect(answer, "delivered", "success", auth=auth, cell=cell)


class Outcomes(Case):
    """One message, one outcome."""

    @shared.smoke
    def test_confirmed(self):
        """The message as it lies in the queue, and the words of the existing plugin."""
        answer = self.sender().one(self.broker.with_query(queue_declare=self.queue), body='{"to": {{value}}, "t": "é"}', value="15")
        self.delivered(answer)
        self.assertEqual(f"Published to DefEx -> RK:{self.queue}", answer["body"])
        message, = self.rabbit.drain(self.queue)
        self.assertEqual('{"to":15,"t":"\\u00e9"}', message["body"])
        properties, headers = message["properties"], message["headers"]
        self.assertEqual((2, "application/json", answer["id"]), tuple(properties[key] for key in ("delivery_mode", "content_type", "message_id")))
        self.assertEqual(answer["id"], headers["webhook-id"])
        self.assertLess(abs(int(headers["webhook-timestamp"]) - time.time()), 60)
        self.assertRegex(headers["traceparent"], r"^00-[0-9a-f]{32}-[0-9a-f]{16}-01$")
        self.assertEqual({"webhook-id", "webhook-timestamp", "traceparent", "x-mih-publish"}, set(headers))

    def test_signed_and_with_headers_of_its_own(self):
        """The signature is that of HTTP, over the very bytes that arrive; the service's own headers come with their values."""
        key = b"0123456789abcdef0123456789abcdef"
        answer = self.sender().one(self.broker.with_query(queue_declare=self.queue), value="é", signing="whsec_" + base64.b64encode(key).decode(),
                                   headers='{"X-Tenant": "t-{{component}}"}')
        self.delivered(answer, auth="plain, signed")
        message, = self.rabbit.drain(self.queue)
        headers = message["headers"]
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{message['body']}".encode()
        signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        self.assertEqual(("v1," + signature, "t-"), (headers["webhook-signature"], headers["X-Tenant"]))

    def test_an_exchange_and_a_key_with_values(self):
        """The endpoint is the routing key, with its placeholders; a byte that may not be in a key is refused, and nothing is sent."""
        exchange = self.queue + ".e"
        self.rabbit.declare("--exchange", exchange, "--exchange-type", "topic", "--queue", self.queue, "--bind", f"{exchange}:crm.#")
        sender, url = self.sender(), self.broker.with_query(exchange=exchange, routing_key="crm.none")
        self.delivered(sender.one(url, "/crm.{{value}}", value="añ b@#../9"), cell="confirmed by an exchange")
        self.delivered(sender.one(url))
        self.assertEqual(f"Published to Ex:{exchange} -> RK:crm.none", sender.one(url)["body"])
        for value in ("a\r\nb", "a\0b", "x" * 300):
            answer = sender.one(url, "/crm.{{value}}", value=value)
            self.assertEqual("unsent", answer["verdict"])
            self.assertRegex(answer["reason"], "^policy: the routing key ")
        keys = [message["routing_key"] for message in self.rabbit.drain(self.queue)]
        self.assertEqual(["crm.añ b@#../9", "crm.none", "crm.none"], keys)

    @shared.smoke
    def test_returned(self):
        """Unroutable names exchange and key; a missing exchange is the same, and harms no other message."""
        sender = self.sender()
        self.expect(sender.one(self.broker.url, "no.queue"), "retry", "neutral",
                    "^unroutable: 312 NO_ROUTE: exchange '', routing key 'no.queue'$", cell="returned", most=4)
        self.expect(sender.one(self.broker.with_query(exchange="missing"), "k"), "retry", "neutral",
                    "^unroutable: 404 NOT_FOUND - no exchange 'missing' .*: exchange 'missing', routing key 'k'$", cell="no such exchange", most=4)
        self.delivered(sender.one(self.broker.with_query(queue_declare=self.queue)))

    def test_a_full_queue_refuses(self):
        """A queue that is full and rejects: nack."""
        self.rabbit.declare("--queue", self.queue, "--argument", "x-max-length:=1", "--argument", "x-overflow=reject-publish")
        sender = self.sender()
        for _ in range(5):      # the limit holds loosely
            answer = sender.one(self.broker.url, self.queue)
            if answer["verdict"] != "delivered":
                break
        self.expect(answer, "retry", "failure", f"^refused by the broker: nack: exchange '', routing key '{self.queue}'$", cell="nack")
        self.rabbit.purge(self.queue)
        self.delivered(sender.one(self.broker.url, self.queue))

    def test_who_may_not(self):
        """Wrong password, wrong virtual host, no permission to write or to declare: as 401 and 403."""
        self.broker.ctl("add_user", "reader", "r")
        self.broker.ctl("set_permissions", "-p", self.broker.vhost, "reader", "^$", "^$", ".*")
        place = f"127.0.0.1:{self.broker.port}/{self.broker.vhost}"
        sender = self.sender()
        rows = [(f"amqp://{self.broker.user}:SECRETwrong@{place}", "login refused: 403", "wrong password"),
                (self.broker.url_for("nowhere"), "login refused: 530 NOT_ALLOWED - vhost nowhere not found", "wrong vhost"),
                (f"amqp://reader:r@{place}?exchange=amq.topic", "403 ACCESS_REFUSED .*'amq.topic'", "may not write"),
                (f"amqp://reader:r@{place}", "403 ACCESS_REFUSED .*'amq.default'", "may not write to the default exchange"),
                (f"amqp://reader:r@{place}?queue_declare=new", "declare queue new: 403 ACCESS_REFUSED", "may not declare")]
        for url, reason, cell in rows:
            answer = sender.one(url, "k")
            self.expect(answer, "retry", "neutral", "^access refused: .*" + reason, cell=cell, most=3, pause=MINUTE)
            self.assertNotIn("SECRET", str(answer))

    def test_d14_user_password_and_vhost_are_decoded(self):
        """D14: p%2Fw is the password p/w."""
        self.broker.ctl("add_user", "us@er", "p/w,:@?#%")
        vhost = "v/h €"
        self.broker.add_vhost(vhost)
        self.broker.ctl("set_permissions", "-p", vhost, "us@er", ".*", ".*", ".*")
        url = f"amqp://{quote('us@er', safe='')}:{quote('p/w,:@?#%', safe='')}@127.0.0.1:{self.broker.port}/{quote(vhost, safe='')}?queue_declare=q"
        self.delivered(self.sender().one(url), auth="plain, encoded")

    def test_nobody_there(self):
        """No broker, no name, a port that takes no connection, one that says nothing, one that talks something else."""
        sender = self.sender()
        self.expect(sender.one("amqp://u:SECRETp@127.0.0.1:1/", "k"), "retry", "failure", "^no connection: .*Connection refused$", cell="refused")
        self.expect(sender.one("amqp://name.invalid/", "k", timeout=5), "retry", "failure", "^no connection: .*name look-up|^time-out",
                    cell="no name")
        deaf = Deaf()
        self.addCleanup(deaf.close)
        self.expect(sender.one(f"amqp://127.0.0.1:{deaf.port}/", "k", timeout=1), "retry", "failure", "^time-out|^no connection", cell="deaf port")
        with socket.create_server(("127.0.0.1", 0)) as mute:
            answer = sender.one(f"amqp://127.0.0.1:{mute.getsockname()[1]}/", "k", timeout=1)
        self.expect(answer, "retry", "failure", "^time-out after [0-9]+ ms|^no connection: .*no answer", cell="mute broker")
        self.assertLess(answer["ms"], 3000)
        web = Stub(guard.folder("mih-amqp-"), "web")
        self.addCleanup(web.stop)
        self.expect(sender.one(f"amqp://127.0.0.1:{web.port}/", "k"), "retry", "failure", "^no connection|^time-out|^connection lost",
                    cell="no AMQP")

    def test_tls(self):
        """Verified by name, with the worker's authorities: good, wrong name, unknown authority, self-signed."""
        made = self.broker.made
        sender, query = self.sender(made.ca), f"?queue_declare={self.queue}"
        self.delivered(sender.one(self.broker.tls_url("localhost") + query), auth="plain over TLS")
        self.expect(sender.one(self.broker.tls_url("127.0.0.1") + query), "retry", "failure",
                    "^TLS: .*certificate refused: IP address mismatch", auth="plain over TLS", cell="wrong name", pause=FIVE_MINUTES)
        self.expect(self.sender().one(self.broker.tls_url("localhost") + query), "retry", "failure", "^TLS: .*certificate refused: ",
                    auth="plain over TLS", cell="unknown authority", pause=FIVE_MINUTES)
        made.selfsigned("selfsigned", "subjectAltName=DNS:localhost")
        alone = Stub(guard.folder("mih-amqp-"), "alone", "--tls", made.path("selfsigned", "pem"), made.path("selfsigned", "key"))
        self.addCleanup(alone.stop)
        self.expect(sender.one(self.broker.tls_url("localhost", alone.port) + query), "retry", "failure",
                    "^TLS: .*certificate refused: self.signed", auth="plain over TLS", cell="self-signed", pause=FIVE_MINUTES)
        self.assertEqual([], alone.record())
        self.expect(sender.one(self.broker.tls_url("localhost", self.broker.port) + query), "retry", "failure", "^TLS: .*handshake failed",
                    auth="plain over TLS", cell="no TLS there", pause=FIVE_MINUTES)

    def test_the_guard(self):
        """An address that the network guard refuses is never connected to, by number or by name."""
        proxy, sender = self.proxy(), self.sender("", "10.0.0.0/8")
        for host in ("127.0.0.1", "localhost", "2130706433", "127.1", "[::1]", "[::ffff:127.0.0.1]"):
            answer = sender.one(f"amqp://guest:guest@{host}:{proxy.port}/", "k", timeout=5)
            self.expect(answer, "reject", "neutral", "^policy: refused by the network guard: .*allow_networks", cell=f"guard: {host}")
        self.assertEqual(0, proxy.connections)

    def test_a_body_that_is_too_large(self):
        """More than the broker takes at a time is in several frames; what a request may hold fits."""
        answer = self.sender().one(self.broker.with_query(queue_declare=self.queue), body='{"a": "%s"}' % ("x" * 60000))
        self.delivered(answer)
        self.assertEqual(60008, len(self.rabbit.drain(self.queue)[0]["body"]))


class Connections(Case):
    """The one connection of a service: kept, lost, blocked, opened again."""

    @shared.smoke
    def test_one_connection_for_a_thousand_messages(self):
        """Nothing is lost, nothing comes twice, and the broker sees one connection."""
        proxy, sender = self.proxy(), self.sender()
        answers = sender.order(self.broker.url_by(proxy.port, queue_declare=self.queue), count=1000, window=16)
        self.assertEqual({"delivered"}, {answer["verdict"] for answer in answers})
        self.assertEqual(1, proxy.connections)
        connections = self.broker.ctl("list_connections", "peer_port", "client_properties").splitlines()
        self.assertEqual(1, sum("MoodleIntegrationHub/test, service 3" in line for line in connections))
        arrived = [message["properties"]["message_id"] for message in self.rabbit.drain(self.queue)]
        self.assertEqual(sorted(answer["id"] for answer in answers), sorted(arrived))
        CELLS.append(("plain", "1,000 messages over one connection", "delivered"))

    @shared.long
    def test_an_idle_connection_is_closed(self):
        """After a minute without messages connection and thread are gone; the next message opens another one."""
        proxy, sender = self.proxy(), self.sender()
        url, idle = self.broker.url_by(proxy.port, queue_declare=self.queue), sender.stats()
        self.delivered(sender.one(url))
        self.assertEqual(idle["threads"] + 1, sender.stats()["threads"])
        began = time.monotonic()
        wait_until(lambda: sender.stats() == idle, 90, "the end of connection, thread and descriptors", every=1)
        self.assertGreater(time.monotonic() - began, 55)
        self.delivered(sender.one(url))
        self.assertEqual(2, proxy.connections)

    def test_cut_before_the_confirm(self):
        """What is under way when the connection breaks may have arrived, and is tried again; the next one has a new connection."""
        proxy, sender = self.proxy(), self.sender()
        url = self.broker.url_by(proxy.port, queue_declare=self.queue)
        self.delivered(sender.one(url))
        proxy.hold(up=False)
        sender.begin(url, count=5, window=5, timeout=30)
        wait_until(lambda: (self.rabbit.count([self.queue])[self.queue] or 0) == 6, 20, "the messages at the broker")
        proxy.cut()
        for answer in sender.answers():
            self.expect(answer, "retry", "failure", "^connection lost: amqp://127.0.0.1:", cell="cut before the confirm")
        proxy.release()
        self.delivered(sender.one(url))
        self.assertEqual(2, proxy.connections)

    def test_no_confirm(self):
        """A broker that owes a confirm at the time-out: a retry, and that connection is not used again."""
        proxy, sender = self.proxy(), self.sender()
        url = self.broker.url_by(proxy.port, queue_declare=self.queue)
        self.delivered(sender.one(url))
        proxy.hold()
        answer = sender.one(url, timeout=1)
        self.expect(answer, "retry", "failure", "^time-out after [0-9]+ ms: amqp://.*: no confirm$", cell="no confirm")
        proxy.release()
        self.delivered(sender.one(url, timeout=10))
        self.assertEqual(2, proxy.connections)

    def test_the_broker_stops_and_starts(self):
        """Away is a retry with the reason; back, it is delivered to by the same transport."""
        sender, url = self.sender(), self.broker.with_query(queue_declare=self.queue)
        self.delivered(sender.one(url))
        self.broker.stop()
        answer = sender.one(url, timeout=5)
        self.expect(answer, "retry", "failure", "^no connection: .*Connection refused$|^connection lost: .*320", cell="broker stopped")
        self.broker.start()
        answer = sender.one(url, timeout=20)
        self.delivered(answer, cell="broker started again")
        self.assertIn(answer["id"], [message["properties"]["message_id"] for message in self.rabbit.drain(self.queue)])

    def test_a_broker_that_blocks(self):
        """Under a memory alarm: time-outs that say so; what was not sent yet never will be, and the connection is kept."""
        proxy, sender = self.proxy(), self.sender()
        url = self.broker.url_by(proxy.port, queue_declare=self.queue)
        self.delivered(sender.one(url))
        self.broker.ctl("set_vm_memory_high_watermark", "0.0000001")
        self.addCleanup(self.broker.ctl, "set_vm_memory_high_watermark", "0.4")
        wait_until(lambda: "resource_limit" in self.broker.ctl("eval", "rabbit_alarm:get_alarms()."), 60, "the alarm", every=0.5)
        first = sender.one(url, timeout=2)
        later = sender.order(url, count=3, window=3, timeout=2)
        for answer in [first, *later]:
            self.expect(answer, "retry", "failure",
                        "^time-out after [0-9]+ ms: .*: the broker takes no messages .low on memory.$", cell="memory alarm")
        self.broker.ctl("set_vm_memory_high_watermark", "0.4")
        last = sender.one(url, timeout=30)
        self.delivered(last, cell="after the alarm")
        arrived = {message["properties"]["message_id"] for message in self.rabbit.drain(self.queue)}
        self.assertIn(last["id"], arrived)
        self.assertFalse(arrived & {answer["id"] for answer in later})
        self.assertEqual(1, proxy.connections)

    def test_a_hanging_broker_delays_no_other(self):
        """While one service's broker says nothing, messages to another one take no longer."""
        with socket.create_server(("127.0.0.1", 0)) as mute:
            sender = self.sender()
            sender.begin(f"amqp://127.0.0.1:{mute.getsockname()[1]}/", "k", service=5, count=4, window=4, timeout=20)
            began = time.monotonic()
            sender.begin(self.broker.with_query(queue_declare=self.queue), service=6, count=200, window=4, timeout=20)
            answers = sender.answers()
            self.assertEqual(["delivered"] * 200, [answer["verdict"] for answer in answers])
            self.assertLess(time.monotonic() - began, 15)
            self.assertEqual((4, 0), (sender.stats()["open"], sender.stats()["overdue"]))
            sender.cancel()
            answers = sender.answers()
            self.assertEqual(["cancelled by the worker: given up at shutdown"] * 4, [answer["reason"] for answer in answers])

    def test_the_number_of_connections_is_bounded(self):
        """64 at a time; more services than that wait for their turn, and each gets it."""
        sender, left, rounds = self.sender(), list(range(1, 76)), 0
        threads = sender.stats()["threads"]
        while left and rounds < 100:
            for service in left[:]:
                answer = sender.one(self.broker.with_query(queue_declare=self.queue), service=service, timeout=10)
                if answer["verdict"] == "delivered":
                    left.remove(service)
                else:
                    self.assertFalse(answer["counts"])
                    self.assertRegex(answer["reason"], "^worker: no connection can be started")
                self.assertLessEqual(sender.stats()["threads"], threads + 64)
            rounds += 1
        self.assertEqual([], left)
        self.assertGreater(rounds, 1)


class Queues(Case):
    """queue_declare and dlq."""

    def test_the_queue_comes_back(self):
        """Deleted while the connection stands: the next message is returned, and the one after it arrives."""
        sender, url = self.sender(), self.broker.with_query(queue_declare=self.queue)
        self.delivered(sender.one(url))
        self.rabbit.delete("--queue", self.queue)

        def arrives():
            return sender.one(url)["verdict"] == "delivered"
        self.assertEqual("retry", sender.one(url)["verdict"])
        wait_until(arrives, 10, "the queue to be declared again", every=0.2)

    def test_a_queue_that_exists_stays_as_it_is(self):
        """Declared by its owner as something else: it is used as it is."""
        self.rabbit.declare("--queue", self.queue, "--argument", "x-queue-type=quorum")
        self.delivered(self.sender().one(self.broker.with_query(queue_declare=self.queue, dlq=self.queue + ".dead")), cell="queue of another kind")
        self.assertEqual(1, len(self.rabbit.drain(self.queue)))

    def test_dlq(self):
        """What does not stay in the declared queue ends in dlq."""
        dead = self.queue + ".dead"
        self.broker.ctl("set_policy", "-p", self.broker.vhost, "--apply-to", "queues", "shortly", f"^{self.queue}$", '{"message-ttl": 1}')
        self.addCleanup(self.broker.ctl, "clear_policy", "-p", self.broker.vhost, "shortly")
        self.delivered(self.sender().one(self.broker.with_query(queue_declare=self.queue, dlq=dead)), cell="dlq")
        wait_until(lambda: self.rabbit.count([dead])[dead] == 1, 20, "the dead letter", every=0.2)
        self.assertEqual(0, self.rabbit.count([self.queue])[self.queue])


class Fleets(shared.HubTest):
    """From the event to the customer's queue."""

    seconds = 300

    def setUp(self):
        self.broker = shared.server(Broker)
        self.customer = Rabbit(fleet.program("mih-test-rabbit"), self.broker.url)
        self.queue = self.id().rpartition(".")[2]

    def arrived(self):
        """Ids in the customer's queue."""
        if self.customer.count([self.queue])[self.queue] is None:
            return []
        return [message["properties"]["message_id"] for message in self.customer.drain(self.queue, peek=True)]

    def whole(self, **columns):
        """A hub with one AMQP service, one REST service beside it, and a rule of each."""
        hub = self.hub()
        service = hub.service(self.broker.with_query(queue_declare=self.queue), type="amqp", retry_backoff=1, **columns)
        hub.rule(service, CREATED)
        hub.rule(hub.service(), CREATED)
        return hub.start()

    def wanted(self, hub):
        """The ids that the customer is to get."""
        amqp = hub.rows[0]["id"]
        return {identifier for identifier in hub.wanted() if identifier.endswith(f":{amqp}")}

    @shared.smoke
    def test_each_event_arrives_once(self):
        """Without faults: nothing lost, nothing twice, no password in any log."""
        hub = self.whole()
        hub.publish(3000)
        wanted = self.wanted(hub)
        self.assertGreater(len(wanted), 20)
        wait_until(lambda: len(self.arrived()) >= len(wanted), 60, f"{len(wanted)} messages", every=0.2)
        queues = [name(service) for service in hub.services for name in (hub.fleet.queue, hub.fleet.dead_queue)]
        wait_until(lambda: not any(hub.rabbit.count(queues).values()), 60, "the other service's deliveries", every=0.2)
        self.assertEqual(0, hub.fleet.stop())
        self.assertEqual(sorted(wanted), sorted(self.arrived()))
        self.assertEqual({}, {queue: count for queue, count in hub.rabbit.count(queues).items() if count})
        with open(hub.fleet.log, encoding="utf-8") as stream:
            self.assertNotIn(self.broker.password, stream.read())

    def test_the_customers_broker_restarts(self):
        """Stopped for a while under load: everything arrives in the end, and what comes twice has one id."""
        hub = self.whole(cb_cooldown=1, cb_failure_threshold=3, max_retries=20)
        publication = hub.publish(6000, wait=False, rate=2000)
        wait_until(lambda: len(self.arrived()) > 5, 30, "the first messages", every=0.1)
        self.broker.stop()
        publication.wait()
        self.broker.start()
        wanted = self.wanted(hub)
        wait_until(lambda: set(self.arrived()) >= wanted, 120, "all messages", every=0.5)
        self.assertEqual(wanted, set(self.arrived()))
        self.assertEqual(0, hub.dead_count())

    def test_an_unroutable_message_dies_after_its_retries_and_is_replayed(self):
        """Three retries at the most; the dead letter names exchange and key, its row the key; once routed, a replay sends the same."""
        hub = self.hub()
        service = hub.service(self.broker.with_query(exchange="amq.topic"), type="amqp", retry_backoff=1, max_retries=9, long_retries=0)
        hub.rule(service, CREATED, "/nobody.{{component}}")
        hub.start()
        body = '{"eventname": "\\\\core\\\\event\\\\user_created", "component": "core"}'
        identifier = hub.raw(CREATED, body)
        wait_until(lambda: hub.dead_count() == 1, 60, "the dead letter", every=0.5)
        headers = hub.dead_messages()[0]["headers"]
        self.assertEqual("unroutable: 312 NO_ROUTE: exchange 'amq.topic', routing key 'nobody.core'", headers["x-mih-reason"])
        self.assertEqual(4, headers["x-mih-attempt"])
        rows = []
        wait_until(lambda: rows.extend(hub.database.query("SELECT endpoint, http_method, http_status FROM mdl_local_integrationhub_dlq")) or rows, 20,
                   "the row of the dead letter", every=0.2)
        self.assertEqual([["nobody.core", "AMQP", None]], rows)
        self.customer.declare("--queue", self.queue, "--bind", "amq.topic:nobody.#")
        status, output, errors = guard.run([fleet.program("mih-replayer"), "--config", hub.fleet.configuration, "replay", "--service", "service1"])
        self.assertEqual(0, status, output + errors)
        wait_until(self.arrived, 20, "the replayed message", every=0.2)
        message, = self.customer.drain(self.queue)
        self.assertEqual((body, f"{identifier}:{hub.rows[0]['id']}"), (message["body"], message["properties"]["message_id"]))


def tearDownModule():
    """The cells of the matrix that were seen, for people; the classes of this file may be in several processes."""
    for auth, cell, verdict in sorted(set(CELLS)):
        print(f"      matrix: amqp x {auth} x {cell}: {verdict}", flush=True)
    CELLS.clear()
