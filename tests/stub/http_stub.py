#!/usr/bin/env python3
"""A scriptable HTTP(S) service for tests: the path says how it behaves.

    http_stub.py [--port 0] [--record FILE] [--tls CERT KEY] [--until-eof]

Prints `port N` when it listens on 127.0.0.1 and serves until SIGTERM; with --until-eof also until
its standard input closes, so that it dies with whoever started it. For each request it has read
it appends one JSON line to FILE: time, webhook-id, method, path, headers, body length and
SHA-256, and the number of the connection it came on.

    /status/503?retry-after=3&body=x   that status; `location` adds the header as well;
                                       retry-date=3 is Retry-After as the date in 3 seconds,
                                       wait=200 answers after 200 ms
    /delay/200         200 after so many milliseconds
    /echo              200 with method, path, headers and body as JSON
    /redirect?to=URL   302
    /hang              reads the request, never answers
    /reset             resets the connection        /empty        closes it without a byte
    /partial           closes in the middle of the announced body
    /wronglength       closes with the body shorter than announced by one byte
    /chunkcut          closes in the middle of a chunk
    /drip?ms=200       one byte of the body each 200 ms, for ever
    /huge?bytes=N      a body of N bytes            /endless      a chunked body without an end
    /bigheaders?bytes=N  N bytes of header lines    /longheader?bytes=N  one line of N bytes
    /1xx               100 Continue for ever        /garbage      bytes that are no HTTP
    /badlength         a Content-Length that is no number
    /close             200 with Connection: close   /dropidle     200, then closes without a word
    /gzip              200 claiming Content-Encoding: gzip with a body that is none
    /token?life=N      a token endpoint of OAuth 2.0 (client credentials): a new token; `wait`, `fail=CODE` (400 with
                       that error), `status=N`, `raw=TEXT` (200 with that body), `client` (SHA-256 of id:secret; else 401)
    /guarded           200 for a bearer token that was issued and is good, else 401
    /revoke            no token issued so far is good any more
    anything else      200 "ok"
"""
import argparse
import asyncio
import base64
import email.utils
import hashlib
import json
import os
import signal
import socket
import ssl
import struct
import time
import urllib.parse

LIMIT = 4 * 1024 * 1024


class Exchange:
    """One request and the way to answer it."""

    def __init__(self, method, target, headers, body, writer):
        self.method = method
        self.target = target
        split = urllib.parse.urlsplit(target)
        self.path = split.path
        self.query = dict(urllib.parse.parse_qsl(split.query))
        self.headers = headers
        self.body = body
        self.writer = writer

    def number(self, key, default):
        return int(self.query.get(key, default))

    async def raw(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self, status, body=b"", **headers):
        lines = [f"HTTP/1.1 {status} Stub", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        head = "\r\n".join(lines) + "\r\n\r\n"
        await self.raw(head.encode("latin-1") + (b"" if self.method == "HEAD" else body))


async def do_status(x):
    extra = {}
    for name in ("retry-after", "location"):
        if name in x.query:
            extra[name.replace("-", "_")] = x.query[name]
    if "retry-date" in x.query:
        extra["retry_after"] = email.utils.formatdate(time.time() + x.number("retry-date", 1), usegmt=True)
    await asyncio.sleep(x.number("wait", 0) / 1000)
    await x.reply(int(x.path.split("/")[2]), x.query.get("body", "").encode(), **extra)
    return True


async def do_delay(x):
    await asyncio.sleep(int(x.path.split("/")[2]) / 1000)
    await x.reply(200, b"late")
    return True


async def do_echo(x):
    seen = {"method": x.method, "path": x.target, "headers": x.headers,
            "body": x.body.decode("utf-8", "replace")}
    await x.reply(200, json.dumps(seen).encode(), Content_Type="application/json")
    return True


async def do_redirect(x):
    await x.reply(302, b"", Location=x.query.get("to", "/"))
    return True


async def do_hang(x):
    await asyncio.sleep(3600)


async def do_reset(x):
    sock = x.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    x.writer.transport.abort()


async def do_empty(x):
    return False


async def do_partial(x):
    await x.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this")


async def do_wronglength(x):
    await x.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfour")


async def do_chunkcut(x):
    await x.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nhalf")


async def do_drip(x):
    await x.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
    while True:
        await x.raw(b".")
        await asyncio.sleep(x.number("ms", 200) / 1000)


async def do_huge(x):
    left = x.number("bytes", 1024 * 1024)
    await x.raw(f"HTTP/1.1 200 OK\r\nContent-Length: {left}\r\n\r\n".encode())
    while left > 0:
        await x.raw(b"x" * min(left, 65536))
        left -= min(left, 65536)
    return True


async def do_endless(x):
    await x.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await x.raw(b"1000\r\n" + b"x" * 4096 + b"\r\n")


async def do_bigheaders(x):
    line = b"X-Filler: " + b"f" * 980 + b"\r\n"
    await x.raw(b"HTTP/1.1 200 OK\r\n")
    for _ in range(x.number("bytes", 1024 * 1024) // len(line)):
        await x.raw(line)
    await x.raw(b"Content-Length: 0\r\n\r\n")
    return True


async def do_longheader(x):
    size = x.number("bytes", 1024 * 1024)
    await x.raw(b"HTTP/1.1 200 OK\r\nX-Long: " + b"l" * size + b"\r\nContent-Length: 0\r\n\r\n")
    return True


async def do_1xx(x):
    while True:
        await x.raw(b"HTTP/1.1 100 Continue\r\nX-Again: yes\r\n\r\n")


async def do_garbage(x):
    await x.raw(b"\x00\x01\x02 this is no HTTP at all\r\n\r\n")


async def do_badlength(x):
    await x.raw(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nbody")


async def do_close(x):
    await x.reply(200, b"bye", Connection="close")


async def do_dropidle(x):
    await x.reply(200, b"bye")


async def do_gzip(x):
    await x.reply(200, b"not gzip", Content_Encoding="gzip")
    return True


TOKENS = {}  # token: when it ends


def is_client(x):
    """Whether the request comes from the client that the URL tells, as RFC 6749 section 2.3.1 has it."""
    kind, _, code = x.headers.get("authorization", "").partition(" ")
    pair = base64.b64decode(code).decode() if kind == "Basic" else ":"
    plain = ":".join(urllib.parse.unquote_plus(part) for part in pair.split(":", 1))
    return hashlib.sha256(plain.encode()).hexdigest() == x.query["client"]


async def do_token(x):
    form = dict(urllib.parse.parse_qsl(x.body.decode()))
    await asyncio.sleep(x.number("wait", 0) / 1000)
    if "status" in x.query:
        await x.reply(x.number("status", 500), b"no", **({"retry_after": "3"} if "later" in x.query else {}))
    elif "raw" in x.query:
        await x.reply(200, x.query["raw"].encode())
    elif "fail" in x.query or form.get("grant_type") != "client_credentials":
        await x.reply(400, json.dumps({"error": x.query.get("fail", "unsupported_grant_type")}).encode())
    elif "client" in x.query and not is_client(x):
        await x.reply(401, b'{"error":"invalid_client"}')
    else:
        token = f"canary-issued-{len(TOKENS) + 1}"
        TOKENS[token] = time.monotonic() + x.number("life", 3600)
        await x.reply(200, json.dumps({"access_token": token, "token_type": "bearer", "expires_in": x.number("life", 3600),
                                       "scope": form.get("scope", "")}).encode(), Content_Type="application/json")
    return True


async def do_guarded(x):
    kind, _, token = x.headers.get("authorization", "").partition(" ")
    await asyncio.sleep(x.number("wait", 0) / 1000)
    good = kind == "Bearer" and TOKENS.get(token, 0) > time.monotonic()
    await x.reply(200 if good else 401, b"{}")
    return True


async def do_revoke(x):
    for token in TOKENS:
        TOKENS[token] = 0
    await x.reply(200, b"ok")
    return True


async def do_anything(x):
    await x.reply(200, b"ok")
    return True


class Stub:
    """Counts connections, records requests, picks the behaviour by the path's first part."""

    def __init__(self, record):
        self.record = open(record, "a", buffering=1, encoding="utf-8") if record else None
        self.connections = 0

    def note(self, number, x):
        if self.record is None:
            return
        line = {"time": time.time(), "webhook_id": x.headers.get("webhook-id"),
                "method": x.method, "path": x.target, "headers": x.headers,
                "body_length": len(x.body), "body_sha256": hashlib.sha256(x.body).hexdigest(),
                "connection": number}
        self.record.write(json.dumps(line) + "\n")

    async def read(self, reader, writer):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return None
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ", 2)
        headers = {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if colon:
                headers[name.strip().lower()] = value.strip()
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return Exchange(method, target, headers, body, writer)

    async def serve(self, reader, writer):
        self.connections += 1
        number = self.connections
        try:
            going = True
            while going:
                x = await self.read(reader, writer)
                if x is None:
                    break
                self.note(number, x)
                behaviour = globals().get("do_" + x.path.split("/")[1], do_anything)
                going = await behaviour(x)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
            pass  # the client went away: that is what many tests are about; or the stub ends
        finally:
            writer.close()


def tls_context(options):
    """What the server shows to who connects; None without TLS."""
    if not options.tls:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*options.tls)
    return context


async def wait_for_the_end(until_eof):
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)

    def on_input():
        if not os.read(0, 4096):
            loop.remove_reader(0)
            ended.set()
    if until_eof:
        loop.add_reader(0, on_input)
    await ended.wait()


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--record")
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    parser.add_argument("--until-eof", action="store_true")
    options = parser.parse_args()
    stub = Stub(options.record)
    server = await asyncio.start_server(stub.serve, "127.0.0.1", options.port, limit=LIMIT, backlog=1024,
                                        ssl=tls_context(options))
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await wait_for_the_end(options.until_eof)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
