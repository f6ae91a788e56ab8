"""The outcome policy, row by row, from the event to what became of it: what a service may answer, and everything that it may do instead."""
import guard
import shared
from services import wait_until
from stub import Certificates, OldServer, Stub

CREATED = r"\core\event\user_created"
BODY = '{"eventname": "\\\\core\\\\event\\\\user_created"}'

DELIVERED, RETRIED, REJECTED, PARKED, FREE = "delivered", "retried", "rejected", "parked", "free"
FAILURE, NEUTRAL, SUCCESS = "failure", "neutral", "success"
REFUSED = "http://127.0.0.1:1"
SILENT = ("/reset", "/empty")       # closed without a byte: on a connection that was used before, curl sends the request once more
MINUTE, FIVE_MINUTES = 60_000, 300_000


class Row:
    """What the service does, and what must come of it.

    `verdict`: delivered at once; retried until it is dead (`requests` in all); rejected at the first; parked in the delay queues for at least
    `wait_ms`; free (tried again and again, no attempt counted).  `breaker`: whether it is a failure for the breaker.
    """

    def __init__(self, path, verdict, breaker, reason="", *, base=None, status=0, requests=2, wait_ms=0, max_retries=1, gap_s=0.0):
        self.path, self.verdict, self.breaker, self.reason = path, verdict, breaker, reason
        self.base, self.status, self.requests, self.wait_ms, self.max_retries, self.gap_s = base, status, requests, wait_ms, max_retries, gap_s
        self.rule = self.service = self.watched = None

    def __str__(self):
        return f"{self.base or ''}{self.path} -> {self.verdict}, {self.breaker}"


def answers():
    """Statuses."""
    rows = [Row(f"/status/{status}", DELIVERED, SUCCESS) for status in (200, 201, 202, 204)]
    rows += [Row(f"/status/{status}", RETRIED, FAILURE, rf"^HTTP {status}\b", status=status)
             for status in (408, 409, 425, 500, 502, 503, 504, 505, 507, 599, 799)]
    rows += [Row(f"/status/{status}", REJECTED, NEUTRAL, rf"^HTTP {status}\b", status=status)
             for status in (400, 402, 405, 406, 410, 411, 413, 414, 415, 422, 451, 499, 501)]
    rows += [Row(f"/status/{status}?location=http://elsewhere.example/x", REJECTED, NEUTRAL, rf"^HTTP {status} .*elsewhere\.example", status=status)
             for status in (301, 302, 303, 307, 308)]
    rows += [Row("/status/304", REJECTED, NEUTRAL, r"^HTTP 304", status=304),
             Row("/status/404", RETRIED, NEUTRAL, r"^HTTP 404", status=404, requests=4, max_retries=9)]
    rows += [Row(f"/status/{status}", PARKED, NEUTRAL, rf"^HTTP {status}", wait_ms=MINUTE) for status in (401, 403, 407)]
    rows += [Row("/status/429", FREE, NEUTRAL, r"^HTTP 429"),
             Row("/status/429?retry-after=100", PARKED, NEUTRAL, r"^HTTP 429", wait_ms=100_000),
             Row("/status/503?retry-after=2", RETRIED, FAILURE, r"^HTTP 503", status=503, gap_s=2),
             Row("/status/503?retry-date=3", RETRIED, FAILURE, r"^HTTP 503", status=503, gap_s=2),
             Row("/status/503?retry-after=100", PARKED, FAILURE, r"^HTTP 503", wait_ms=100_000),
             Row("/status/500?retry-after=100", RETRIED, FAILURE, r"^HTTP 500", status=500)]    # only 429 and 503 may ask for a pause
    return rows


def misbehaviour():
    """What a service does instead of answering."""
    rows = [Row("/hang", RETRIED, FAILURE, r"^time-out after \d+ ms"), Row("/drip?ms=200", RETRIED, FAILURE, r"^time-out after \d+ ms")]
    rows += [Row(path, RETRIED, FAILURE, r"^broken answer: .")
             for path in ("/reset", "/empty", "/partial", "/wronglength", "/chunkcut", "/garbage", "/badlength", "/1xx")]
    rows += [Row("/huge?bytes=10000000", RETRIED, FAILURE, r"^broken answer: .*too large"),
             Row("/endless", RETRIED, FAILURE, r"^broken answer: .*too large"),
             Row("/bigheaders?bytes=1000000", RETRIED, FAILURE, r"^broken answer: .*too large"),
             Row("/longheader?bytes=1000000", RETRIED, FAILURE, r"^broken answer: .*too l"),
             Row("/", RETRIED, FAILURE, r"^no connection: .", base=REFUSED),
             Row("/", RETRIED, FAILURE, r"^name look-up failed: .|^time-out", base="http://name.invalid")]
    rows += [Row(path, DELIVERED, SUCCESS) for path in ("/delay/300", "/close", "/dropidle", "/gzip")]
    return rows


def ours():
    """Requests that cannot be made."""
    return [Row("/", REJECTED, NEUTRAL, r"^policy: ", base="ftp://127.0.0.1", requests=0),
            Row("/a\r\nX-Evil: 1", REJECTED, NEUTRAL, r"^policy: .*endpoint", requests=0),
            Row("/../../admin", REJECTED, NEUTRAL, r"^policy: .*endpoint", requests=0)]


class Outcomes(shared.HubTest):
    """One fleet, two services for each row: one whose breaker never opens, one whose breaker opens at the first failure."""

    def prepare(self, hub, rows, stub):
        """Services and rules of all rows."""
        for row in rows:
            base = row.base or (stub.url.replace("127.0.0.1", "localhost") if row.path in SILENT else stub.url)     # so that none was used before
            row.service = hub.service(base, timeout=1, max_retries=row.max_retries, retry_backoff=1, long_retries=0, cb_failure_threshold=999)
            row.rule = hub.rule(row.service, CREATED, row.path)
            row.watched = hub.service(base, timeout=1, max_retries=9, retry_backoff=1, long_retries=0, cb_failure_threshold=1, cb_cooldown=600)
            hub.rule(row.watched, CREATED, row.path)

    def letters(self, hub):
        """{rule: headers of its dead letter} of the services whose breakers never open, and how many each has."""
        names = {hub.fleet.dead_queue(row.service): row for row in self.rows}
        counts = hub.rabbit.count(list(names))
        return {row.rule: hub.rabbit.drain(name, peek=True)[0]["headers"] for name, row in names.items() if counts[name]}

    def parked(self, hub):
        """{rule: (milliseconds of the queue, headers)} of what waits for a retry."""
        names = [line for line in hub.broker.ctl("list_queues", "-p", hub.broker.vhost, "name").splitlines()
                 if line.startswith(f"{hub.fleet.namespace}.delay.")]
        return {int(message["headers"]["x-mih-rule"]): (int(name.rpartition(".")[2]), message["headers"])
                for name, count in hub.rabbit.count(names).items() if count for message in hub.rabbit.drain(name, peek=True)}

    def requests(self, row):
        """When the stub read this row's requests."""
        return [request["time"] for request in self.stub.record() if (request["webhook_id"] or "").endswith(f":{row.rule}")]

    def check(self, hub, rows, stub):
        """Publishes one event and holds what became of it against the rows."""
        self.rows, self.stub = rows, stub
        self.prepare(hub, rows, stub)
        hub.start()
        message = hub.raw(CREATED, BODY)
        final = [row for row in rows if row.verdict in (RETRIED, REJECTED)]
        wait_until(lambda: len(self.letters(hub)) == len(final), 60, f"the dead letters of {len(final)} rows", every=0.5)
        waiting = [row.rule for row in rows if row.verdict == PARKED]
        wait_until(lambda: set(waiting) <= set(self.parked(hub)), 30, f"{len(waiting)} rows in the delay queues", every=0.5)
        free = [row for row in rows if row.verdict == FREE]
        wait_until(lambda: all(len(self.requests(row)) >= row.max_retries + 3 for row in free), 60, "429 to be tried more often than retries allow",
                   every=0.5)
        letters, parked = self.letters(hub), self.parked(hub)
        for row in rows:
            with self.subTest(str(row)):
                if row.verdict in (RETRIED, REJECTED):
                    self._dead(row, letters[row.rule], message)
                elif row.verdict == PARKED:
                    self.assertGreaterEqual(parked[row.rule][0], row.wait_ms)
                    self.assertRegex(parked[row.rule][1]["x-mih-reason"], row.reason)
                else:
                    self.assertNotIn(row.rule, letters)
                if row.verdict == DELIVERED:
                    self.assertEqual(1, len(self.requests(row)))
                state = hub.database.value(f"SELECT state FROM mdl_local_integrationhub_cb WHERE serviceid = {row.watched}")
                self.assertEqual(row.breaker == FAILURE, state == "open", f"the breaker is {state}")

    def _dead(self, row, headers, message):
        requests = self.requests(row)
        wanted = min(row.requests, 1) if row.verdict == REJECTED else row.requests
        self.assertRegex(headers["x-mih-reason"], row.reason)
        self.assertEqual((wanted, row.status), (headers["x-mih-attempt"], headers["x-mih-status"]))
        if row.base is None and row.requests > 0:
            self.assertEqual(wanted, len(requests))
        self.assertTrue(message)
        for earlier, later in zip(requests, requests[1:]):
            self.assertGreaterEqual(later - earlier, row.gap_s or 0.5)

    def stub_of(self, *arguments, name="stub"):
        """A stub that ends with the test."""
        stub = Stub(guard.folder("mih-outcomes-"), name, *arguments)
        self.addCleanup(stub.stop)
        return stub

    def test_every_answer(self):
        """Statuses, with and without Retry-After, and redirects."""
        self.check(self.hub(processes=1), answers(), self.stub_of())

    def test_everything_but_an_answer(self):
        """Hang, reset, half a response, drip, wrong length, huge body, no service, no name; and requests that cannot be made."""
        self.check(self.hub(processes=1), misbehaviour() + ours(), self.stub_of())

    def test_certificates(self):
        """Expired, self-signed, of another name, too old a protocol: five minutes at least, and nothing is sent."""
        made = Certificates(guard.folder("mih-outcomes-"))
        made.signed("valid", "IP:127.0.0.1")
        made.signed("expired", "IP:127.0.0.1", "-startdate", "20200101000000Z", "-enddate", "20200201000000Z")
        made.signed("wrongname", "DNS:elsewhere.example")
        made.selfsigned("selfsigned")
        stubs = {name: self.stub_of("--tls", made.path(name, "pem"), made.path(name, "key"), name=name)
                 for name in ("valid", "expired", "wrongname", "selfsigned")}
        old = OldServer(made.path("valid", "pem"), made.path("valid", "key"))
        self.addCleanup(old.stop)
        rows = [Row("/", PARKED, FAILURE, r"^TLS: .", base=url, wait_ms=FIVE_MINUTES)
                for url in (stubs["expired"].url, stubs["wrongname"].url, stubs["selfsigned"].url, old.url)]
        rows.append(Row("/", DELIVERED, SUCCESS))
        self.check(self.hub(processes=1, settings={"worker": {"ca_file": str(made.ca)}}), rows, stubs["valid"])
        for name in ("expired", "wrongname", "selfsigned"):
            self.assertEqual([], stubs[name].record(), name)
        self.assertNotIn("HTTP/1.1", old.stop())
