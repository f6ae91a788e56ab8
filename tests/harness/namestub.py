"""A name server on loopback that answers as badly as it is told: NXDOMAIN, SERVFAIL, or nothing at all.

`wrapper` makes a program see it as the machine's only one: a mount namespace of its own with another /etc/resolv.conf.  It needs root.
"""
import os
import random
import socket
import threading

from services import write_file

PORT = 53
RCODES = {"nxdomain": 3, "servfail": 2}


class NameStub:
    """`mode` is 'nxdomain', 'servfail' or 'silent', and may be changed at any time."""

    def __init__(self, folder, mode="nxdomain"):
        self.mode = mode
        self.questions = 0
        self.address = f"127.{random.randint(1, 250)}.{random.randint(1, 250)}.53"
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((self.address, PORT))
        self._resolver = write_file(os.path.join(folder, "resolv.conf"), f"nameserver {self.address}\noptions timeout:5 attempts:2\n", 0o644)
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def wrapper(self):
        """A command that runs the program given after it with this name server."""
        return ["unshare", "-m", "sh", "-c", f'mount --bind {self._resolver} /etc/resolv.conf && exec "$@"', "sh"]

    def _serve(self):
        while True:
            try:
                question, sender = self._socket.recvfrom(4096)
            except OSError:
                return
            self.questions += 1
            if self.mode != "silent" and len(question) > 12:
                flags = 0x8180 | RCODES[self.mode]      # a response, recursion desired and available
                self._socket.sendto(question[:2] + flags.to_bytes(2, "big") + question[4:6] + bytes(6) + question[12:], sender)

    def close(self):
        """Frees the port."""
        self._socket.close()
