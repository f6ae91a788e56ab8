"""SOAP calls per second: the worker's transport (one call at a time, and 16) beside PHP's SoapClient with a cached WSDL, in turn.

All send the same call, built from the same JSON, to the same nginx, which answers each with the same message at once; all parse the answer.
"""
import json
import os
import statistics
import subprocess

import fleet
import guard
import soap
from lab import run
from services import Nginx, ServiceError

CALL = {"operation": "Add", "payload": {"intA": 2, "intB": 40}}
ANSWER = ('<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>'
          '<AddResponse xmlns="urn:mih:calculator"><AddResult>42</AddResult></AddResponse></soap:Body></soap:Envelope>')
HTTP = """
    default_type text/xml;
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
    tcp_nodelay on;
    server {
        listen 127.0.0.1:{port} backlog=4096 reuseport;
        location = /calculator { echo_read_request_body; echo -n '""" + ANSWER + """'; }
        location / { root {folder}; }
    }
"""
TROUBLE = (ServiceError, guard.GuardError, subprocess.SubprocessError, OSError, ValueError)


class Answerer(Nginx):
    """nginx with the WSDL and the answer."""

    name = "soap-answerer"

    def __init__(self):
        super().__init__(HTTP, 1, None)
        with open(os.path.join(soap.FOLDER, "calculator.wsdl"), encoding="utf-8") as stream:
            text = stream.read().replace("@ADDRESS@", self.url)
        with open(os.path.join(self.folder, "calculator.wsdl"), "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(self.folder, 0o755)
        os.chmod(os.path.join(self.folder, "calculator.wsdl"), 0o644)


def contestants(calls):
    """name -> command line."""
    ours = fleet.program("mih-test-soap")
    php = ["php", "-d", f"soap.wsdl_cache_dir={guard.folder('mih-wsdl-cache-')}", os.path.join(soap.FOLDER, "client.php")]
    return {"PHP SoapClient, cached WSDL": [*php, "--load", str(calls)],
            "worker's transport, 1 at a time": [ours, "--load", str(calls), "1"],
            "worker's transport, 16 at a time": [ours, "--load", str(calls), "16"]}


def measure(build, rounds, calls, say):
    """name -> the median round's figures; each round runs all in turn."""
    run(["cmake", "--build", build, "--target", "mih-test-soap"])
    server = Answerer()
    runs = {}
    try:
        line = json.dumps(dict(CALL, base_url=f"{server.url}/calculator.wsdl")) + "\n"
        for number in range(1, rounds + 1):
            for name, command in contestants(calls).items():
                figures = json.loads(run(command, stdin=None, input=line, timeout=300))
                if figures["failed"]:
                    raise ServiceError(f"{name}: {figures['failed']} calls failed")
                say(f"round {number} of {rounds}: {name:<34}{figures['calls_per_s']:>10,.0f}/s{figures['cpu_s_per_1000']:>9.4f} CPU s/1000")
                runs.setdefault(name, []).append(figures)
    finally:
        server.close()
    return {name: {key: statistics.median(one[key] for one in found) for key in ("calls_per_s", "cpu_s_per_1000")} for name, found in runs.items()}


def lines(found):
    """For people; ratios to PHP's SoapClient of the same run."""
    php = next(iter(found.values()))
    out = ["SOAP calls                            calls/s  CPU s/1000   x calls/s   x CPU"]
    for name, row in found.items():
        out.append(f"{name:<34}{row['calls_per_s']:>11,.0f}{row['cpu_s_per_1000']:>12.4f}{row['calls_per_s'] / php['calls_per_s']:>12.2f}"
                   f"{row['cpu_s_per_1000'] / php['cpu_s_per_1000']:>8.2f}")
    return out
