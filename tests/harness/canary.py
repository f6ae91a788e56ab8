"""A listener that nobody may reach: it counts who connects, and answers nothing.  With `answer` it is a service of one address instead."""
import socket
import threading

from services import ServiceError

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Canary:
    """Listens on one port of all the given addresses; `hits` is how many connections came, in `seen` is what they sent when there is an answer."""

    def __init__(self, *addresses, port=0, answer=None):
        self.hits = 0
        self.seen = []
        self.answer = answer
        self.port = port
        self._sockets = [self._listen(address) for address in addresses]

    def _listen(self, address):
        listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, self.port))
        except OSError as error:
            raise ServiceError(f"cannot listen at {address}: {error}") from error
        listener.listen(256)
        self.port = listener.getsockname()[1]
        threading.Thread(target=self._serve, args=(listener,), daemon=True).start()
        return listener

    def _serve(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.hits += 1
            with connection:
                if self.answer:
                    self._talk(connection)

    def _talk(self, connection):
        connection.settimeout(10)
        try:
            self.seen.append(connection.recv(65536))
            connection.sendall(self.answer)
        except OSError:
            return

    def is_alive(self):
        """Whether it counts a connection to each of its addresses; the hits so far are unchanged."""
        before = self.hits
        for listener in self._sockets:
            with socket.create_connection(listener.getsockname()[:2], timeout=10) as caller:
                caller.settimeout(10)
                if not self.answer:
                    caller.recv(1)          # it closes after it has counted
        after, self.hits = self.hits, before
        return after == before + len(self._sockets)

    def close(self):
        """Frees the port."""
        for listener in self._sockets:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
