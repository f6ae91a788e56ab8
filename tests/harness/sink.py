"""A web service that notes every request: nginx with one JSON line per request.

Locations: /fast/... answers 200 at once; /wait-N/... answers 200 after N milliseconds (20, 200, 950, and 300000: it hangs); /status-NNN/...
answers with that status (404, 410, 500, 503, 400, 429).  Each also exists under /body/..., which writes the request's body into the line.
Connections are kept alive without limit.
"""
import json
import os

from services import Nginx

DELAYS_MS = (20, 200, 950, 300_000)
STATUSES = (400, 404, 410, 429, 500, 503)

_HTTP = """
    default_type application/json;
    log_format mih escape=json '{"at":$msec,"took":$request_time,"id":"$http_webhook_id","method":"$request_method","uri":"$request_uri",'
        '"status":$status,"connection":$connection}';
    log_format mihbody escape=json '{"at":$msec,"took":$request_time,"id":"$http_webhook_id","method":"$request_method","uri":"$request_uri",'
        '"status":$status,"connection":$connection,"authorization":"$http_authorization","apikey":"$http_x_api_key","type":"$http_content_type",'
        '"agent":"$http_user_agent","traceparent":"$http_traceparent","timestamp":"$http_webhook_timestamp","body":"$request_body"}';
    access_log {folder}/requests.jsonl mih{buffer};
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
    client_max_body_size 16m;
    client_body_buffer_size 2m;
    tcp_nodelay on;
    server {
        listen 127.0.0.1:{port} backlog=4096 reuseport;
{locations}    }
"""


def _locations():
    answers = [("/fast/", "", "")]
    answers += [(f"/wait-{delay}/", f"echo_sleep {delay / 1000};", "") for delay in DELAYS_MS]
    answers += [(f"/status-{status}/", "", f"echo_status {status};") for status in STATUSES]
    out = []
    for path, sleep, status in answers:
        for prefix, log in (("", ""), ("/body", " access_log {folder}/requests.jsonl mihbody{buffer};")):
            out.append(f"        location {prefix}{path} {{{log} {status} echo_read_request_body; {sleep} echo '{{\"ok\":true}}'; }}\n")
    return "".join(out)


class Sink(Nginx):
    """The sink; `buffered` trades the immediate log (the default) for less work per request in benchmarks."""

    name = "sink"

    def __init__(self, workers=1, buffered=False, port=None):
        self._offset = 0
        self._rest = b""
        super().__init__(_HTTP.replace("{locations}", _locations()).replace("{buffer}", " buffer=64k flush=200ms" if buffered else ""), workers,
                         port)

    @property
    def requests_log(self):
        """The file with one JSON object per request."""
        return os.path.join(self.folder, "requests.jsonl")

    def new_requests(self):
        """The requests since the last call, each a dict; `at` is when the answer was complete and `arrived` when the request came, unix seconds."""
        try:
            with open(self.requests_log, "rb") as stream:
                stream.seek(self._offset)
                data = stream.read()
        except FileNotFoundError:
            return []
        self._offset += len(data)
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        return [_request(line) for line in lines]


def _request(line):
    request = json.loads(line.decode("utf-8", "surrogateescape"))
    request["arrived"] = request["at"] - request["took"]
    return request
