"""A name server on loopback that answers as badly as it is told: NXDOMAIN, SERVFAIL, nothing at all, or with any address.

`wrapper` makes a program see it as the machine's only one: a mount namespace of its own with another /etc/resolv.conf.  It needs root.
"""
import ipaddress
import os
import random
import socket
import threading

from services import write_file

PORT = 53
FAMILIES = {1: 4, 28: 16}       # A and AAAA, and how long such an address is
RCODES = {"nxdomain": 3, "servfail": 2}


class NameStub:
    """`mode` is 'nxdomain', 'servfail' or 'silent', and may be changed at any time.

    `addresses`, if given, is called with each name (without the dot at its end, in lower case) and returns the addresses that it has at that moment,
    or None: `mode` says what is answered.  It is called twice for a look-up of both families.
    """

    def __init__(self, folder, mode="nxdomain", addresses=lambda name: None):
        self.mode = mode
        self.addresses = addresses
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
            answer = self._answer(question)
            if answer is not None:
                self._socket.sendto(answer, sender)
            elif self.mode != "silent" and len(question) > 12:
                flags = 0x8180 | RCODES[self.mode]      # a response, recursion desired and available
                self._socket.sendto(question[:2] + flags.to_bytes(2, "big") + question[4:6] + bytes(6) + question[12:], sender)

    def _answer(self, question):
        """The answer with the records that `addresses` tells, which live for no second; None when it tells none."""
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1:at + 1 + question[at]].decode("latin-1").lower())
            at += 1 + question[at]
        found = self.addresses(".".join(labels))
        if found is None:
            return None
        wanted = int.from_bytes(question[at + 1:at + 3], "big")
        packed = [address for address in (ipaddress.ip_address(text).packed for text in found) if FAMILIES.get(wanted) == len(address)]
        records = [b"\xc0\x0c" + wanted.to_bytes(2, "big") + b"\0\1" + bytes(4) + len(address).to_bytes(2, "big") + address for address in packed]
        head = question[:2] + b"\x81\x80\0\1" + len(records).to_bytes(2, "big") + bytes(4)
        return head + question[12:at + 5] + b"".join(records)

    def close(self):
        """Frees the port."""
        self._socket.close()
