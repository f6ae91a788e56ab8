"""A TCP proxy on loopback that behaves as a bad network does.

    proxy = Proxy(port)                 # of the server behind it
    proxy.port                          # for the client
    proxy.latency = 0.25                # seconds each way, from now on
    proxy.hold(up=True, down=True)      # nothing goes through any more, and nobody is told: a cable that was cut
    proxy.release()                     # what was held goes on its way, as TCP would have sent it again
    proxy.silence_after = (b"BEGIN", b"COMMIT")     # holds what comes down as soon as things that end so went up one connection, in this order;
                                        # `silenced` counts how often it did
    proxy.half_close()                  # the server has said all it will say; the client may still talk
    proxy.cut()                         # every connection is reset

`up` is from the client to the server.  It runs in a thread of its own; the attributes and methods may be used from any other.
"""
import asyncio
import socket
import struct
import threading

CHUNK = 1 << 16


class _Way:
    """One direction of one connection."""

    def __init__(self, proxy, name, reader, writer):
        self.proxy, self.name, self.reader, self.writer = proxy, name, reader, writer
        self.queue = asyncio.Queue(64)
        self.reached = 0                # how many of silence_after have gone this way

    async def read(self):
        """Takes what comes, and notes when it may go on."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                data = await self.reader.read(CHUNK)
            except ConnectionError:
                data = b""
            await self.queue.put((loop.time() + self.proxy.latency, data))
            if not data:
                return

    async def write(self):
        """Passes it on when its time has come and nothing holds it."""
        loop = asyncio.get_running_loop()
        while True:
            due, data = await self.queue.get()
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
            await self.proxy.gates[self.name].wait()
            if not data:
                if self.writer.can_write_eof() and not self.writer.transport.is_closing():
                    self.writer.write_eof()
                return
            self.proxy.notice(self, data)
            self.writer.write(data)
            await self.writer.drain()


class Proxy:
    """See the module."""

    def __init__(self, target_port):
        self.latency = 0.0
        self.silence_after = ()         # it happens once
        self.silenced = 0
        self.connections = 0            # accepted so far
        self.target_port = target_port
        self.gates = {}
        self._pairs = set()
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait()

    def _run(self, started):
        asyncio.set_event_loop(self._loop)
        self._loop.set_exception_handler(lambda _loop, _context: None)      # resets are what it is for

        async def start():
            self.gates = {"up": asyncio.Event(), "down": asyncio.Event()}
            for gate in self.gates.values():
                gate.set()
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
            self.port = self._server.sockets[0].getsockname()[1]
            started.set()
        self._loop.run_until_complete(start())
        self._loop.run_forever()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader, writer):
        self.connections += 1
        try:
            there, server = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            writer.close()
            return
        pair = (writer, server)
        self._pairs.add(pair)
        up, down = _Way(self, "up", reader, server), _Way(self, "down", there, writer)
        try:
            await asyncio.gather(up.read(), up.write(), down.read(), down.write(), return_exceptions=True)
        finally:
            self._pairs.discard(pair)
            for one in pair:
                one.close()

    def notice(self, way, data):
        """Something is about to go on its way: whether its answer is to be lost."""
        if way.name != "up" or not self.silence_after or not data.endswith(self.silence_after[way.reached]):
            return
        way.reached += 1
        if way.reached == len(self.silence_after):
            way.reached, self.silence_after = 0, ()
            self.gates["down"].clear()
            self.silenced += 1

    def _call(self, function):
        done = threading.Event()
        self._loop.call_soon_threadsafe(lambda: (function(), done.set()))
        done.wait(10)

    def hold(self, up=True, down=True):
        """Lets nothing through in the given directions."""
        self._call(lambda: [self.gates[name].clear() for name, wanted in (("up", up), ("down", down)) if wanted])

    def release(self):
        """Lets everything through again."""
        self._call(lambda: [gate.set() for gate in self.gates.values()])

    def half_close(self):
        """Ends the server's side of every connection towards the client."""
        self._call(lambda: [client.write_eof() for client, _ in self._pairs if client.can_write_eof()])

    def cut(self):
        """Resets every connection, to both sides."""
        def reset():
            for pair in list(self._pairs):
                for writer in pair:
                    sock = writer.get_extra_info("socket")
                    if sock is not None and sock.fileno() >= 0:
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    writer.transport.abort()
        self._call(reset)

    def close(self):
        """Ends it."""
        self.cut()
        self._call(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)


class Deaf:
    """A port that accepts nothing: its queue of waiting connections is full, so that the kernel drops every SYN."""

    def __init__(self):
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.port = self._listener.getsockname()[1]
        self._fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self._fillers.append(filler)

    def close(self):
        """Frees the port."""
        for sock in [*self._fillers, self._listener]:
            sock.close()


class Canary:
    """A port that counts who connects, and says nothing."""

    def __init__(self):
        self.connections = 0
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                self._listener.accept()[0].close()
            except OSError:
                return
            self.connections += 1

    def close(self):
        """Frees the port."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
