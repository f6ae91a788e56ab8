"""SOAP services for tests: PHP's SoapServer, and the two clients that are compared, ours and PHP's SoapClient."""
import http.server
import json
import os
import subprocess
import threading
import urllib.request

import fleet
import guard
from services import free_port, wait_until

ENVELOPE = ('<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>', "</e:Body></e:Envelope>")
LAUGHS = "".join(f'<!ENTITY l{n} "{"&l%d;" % (n - 1) * 10}">' for n in range(1, 10))
FOLDER = os.path.join(fleet.TOP, "tests", "soap")
AUTHORIZATION, KEY = "Bearer t0p secret", "k3y"


class SoapServer:
    """tests/soap/server.php behind PHP's own web server; `record` reads what came since the last time.

    PHP answers a one-way call before it carries it out. With one worker the calls are recorded in the order of their answers all the same, and
    `record` waits for the last."""

    def __init__(self, authorization=AUTHORIZATION, workers=4):
        self.folder = guard.folder("mih-soap-")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.path = os.path.join(self.folder, "record")
        self.read = 0
        self.in_turn = workers == 1
        environment = dict(os.environ, MIH_SOAP_RECORD=self.path, MIH_SOAP_AUTHORIZATION=authorization, MIH_SOAP_KEY=KEY,
                           PHP_CLI_SERVER_WORKERS=str(workers))
        self.process = guard.Process(["php", "-S", f"127.0.0.1:{self.port}", os.path.join(FOLDER, "server.php")],
                                     os.path.join(self.folder, "php.log"), env=environment)
        wait_until(self._answers, 20, "PHP's web server")
        self.record()

    def _answers(self):
        try:
            with urllib.request.urlopen(self.url + "/calculator.wsdl", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def record(self):
        """What came since the last look: dicts with calls and xml, get, or refused."""
        if self.in_turn:
            with urllib.request.urlopen(self.url + "/settled", timeout=20) as answer:
                answer.read()
        if not os.path.exists(self.path):
            return []
        with open(self.path, encoding="utf-8") as stream:
            lines = stream.read().splitlines()
        new, self.read = lines[self.read:], len(lines)
        return [json.loads(line) for line in new]

    def new_requests(self):
        """The calls since the last look, as sink.py tells of requests: `id`, `status` (200: carried out), `arrived` (unix seconds), `calls`."""
        return [{"id": line["webhook_id"], "status": 200, "arrived": line["at"], "calls": line["calls"]}
                for line in self.record() if line.get("calls")]

    def close(self):
        """Ends it."""
        self.process.kill9()


def lines_of(calls):
    """The programs read one JSON object a line."""
    return "".join(json.dumps(call) + "\n" for call in calls).encode()


def ours(calls, *options, environment=None, seconds=120):
    """The answers of mih-test-soap: dicts with kind, verdict, reason, status, body (text), in the order of `id` when there is one."""
    done = subprocess.run([fleet.program("mih-test-soap"), *options], input=lines_of(calls), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=seconds, check=False, env=dict(os.environ, **(environment or {})))
    if done.returncode != 0:
        raise AssertionError(f"mih-test-soap: exit code {done.returncode}: {done.stderr.decode(errors='replace')[:2000]}")
    return sorted((json.loads(line.decode(errors="replace")) for line in done.stdout.splitlines()), key=lambda answer: answer["id"])


def php(calls, seconds=120):
    """The answers of PHP's SoapClient: dicts with body or fault."""
    done = subprocess.run(["php", os.path.join(FOLDER, "client.php")], input=lines_of(calls), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=seconds, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


class Hostile:
    """A service that answers with whatever a test puts into `pages`: path -> bytes, or a function of the request's path; notes what was asked."""

    def __init__(self):
        self.pages, self.asked, self.headers = {}, [], []
        hostile = self

        class Handler(http.server.BaseHTTPRequestHandler):
            """Serves the pages."""
            protocol_version = "HTTP/1.1"
            wbufsize = 1 << 20      # one write for an answer

            def answer(self):
                """GET and POST alike."""
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                hostile.asked.append(self.path)
                hostile.headers.append(dict(self.headers))
                page = hostile.pages.get(self.path.split("?")[0])
                page = page(self.path) if callable(page) else page
                status, body = page if isinstance(page, tuple) else (200, page)
                if body is None:
                    status, body = 404, b"nothing here"
                self.send_response(status)
                self.send_header("Content-Type", "text/xml")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                self.wfile.flush()

            do_GET = do_POST = answer   # noqa: N815  names of http.server

            def log_message(self, *_arguments):
                """Says nothing."""

        class Listener(http.server.ThreadingHTTPServer):
            """Takes many connections at once, and that clients go away."""
            daemon_threads = True
            request_queue_size = 512

            def handle_error(self, request, client_address):
                """A client that goes away is what the tests want."""

        self.server = Listener(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def wsdl(self, name="calculator.wsdl"):
        """One of the WSDLs of tests/soap, with this service's address."""
        with open(os.path.join(FOLDER, name), encoding="utf-8") as stream:
            return stream.read().replace("@ADDRESS@", self.url).encode()

    def close(self):
        """Ends it."""
        self.server.shutdown()
        self.server.server_close()


def attacks(canary, wide=20_000):
    """name -> bytes of XML that must be refused; `canary` is an address that must not be asked, `wide` how many levels and attributes there are:
    an answer may have 256 KiB, a WSDL 2 MiB."""
    def with_dtd(dtd, text):
        return f"<?xml version='1.0'?><!DOCTYPE x [{dtd}]>{ENVELOPE[0]}<a>{text}</a>{ENVELOPE[1]}".encode()
    plain = with_dtd("<!ENTITY a 'b'>", "&a;").decode()
    return {
        "billion laughs": with_dtd('<!ENTITY l0 "lol">' + LAUGHS, "&l9;"),
        "quadratic": with_dtd(f'<!ENTITY q "{"x" * 50000}">', "&q;" * 10000),
        "external entity, file": with_dtd('<!ENTITY f SYSTEM "file:///etc/passwd">', "&f;"),
        "external entity, http": with_dtd(f'<!ENTITY f SYSTEM "{canary}">', "&f;"),
        "external DTD": f'<!DOCTYPE x SYSTEM "{canary}">{ENVELOPE[0]}{ENVELOPE[1]}'.encode(),
        "parameter entity": with_dtd(f'<!ENTITY % p SYSTEM "{canary}"> %p;', ""),
        "levels": (ENVELOPE[0] + "<a>" * wide + "</a>" * wide + ENVELOPE[1]).encode(),
        "attributes": (ENVELOPE[0] + "<a " + " ".join(f'a{n}=""' for n in range(wide)) + "/>" + ENVELOPE[1]).encode(),
        "DTD in UTF-16, little end": b"\xff\xfe" + plain.replace("<?xml version='1.0'?>", "").encode("utf-16-le"),
        "DTD in UTF-16, big end, no mark": plain.replace("<?xml version='1.0'?>", "").encode("utf-16-be"),
        "UTF-7": ('<?xml version="1.0" encoding="UTF-7"?>' + ENVELOPE[0] + "+ADwAIQBEAE8AQwBUAFkAUABFAD4-" + ENVELOPE[1]).encode(),
        "ISO-2022-JP": ('<?xml version="1.0" encoding="ISO-2022-JP"?>' + ENVELOPE[0] + ENVELOPE[1]).encode(),
        "NUL": (ENVELOPE[0] + "<a>\0</a>" + ENVELOPE[1]).encode(),
        "not UTF-8": ENVELOPE[0].encode() + b"<a>\xff\xfe</a>" + ENVELOPE[1].encode(),
        "cut short": ENVELOPE[0].encode(),
        "a page": b"<html><body><p>Welcome<br></body></html>",
        "300 KiB": (ENVELOPE[0] + "<a>" + "x" * 300 * 1024 + "</a>" + ENVELOPE[1]).encode(),
    }
