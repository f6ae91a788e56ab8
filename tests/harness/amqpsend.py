"""mih-test-amqp: the AMQP transport alone, as a process that sends what it is told and says what became of it."""
import json
import os
import queue
import subprocess
import threading

import fleet
import guard


class Sender:
    """One transport with its connections; `order` sends through it."""

    def __init__(self, ca_file="", networks="127.0.0.0/8 ::1"):
        self.log = os.path.join(guard.folder("mih-amqp-"), "errors")
        with open(self.log, "wb") as errors:
            self._process = subprocess.Popen([fleet.program("mih-test-amqp"), str(ca_file), networks], stdin=subprocess.PIPE,
                                             stdout=subprocess.PIPE, stderr=errors, text=True)
        self._lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._process.stdout:
            self._lines.put(json.loads(line))
        self._lines.put(None)

    def _next(self, seconds):
        line = self._lines.get(timeout=seconds)
        if line is None:
            raise RuntimeError(f"mih-test-amqp ended: {guard.tail(self.log)}")
        return line

    def begin(self, url, endpoint=None, **options):
        """Orders messages and does not wait: options as mih-test-amqp has them."""
        self._process.stdin.write(json.dumps(dict(options, url=url, endpoint=endpoint)) + "\n")
        self._process.stdin.flush()

    def answers(self, seconds=60):
        """What became of the last order: a dict for each message."""
        found = []
        while True:
            line = self._next(seconds)
            if "done" in line:
                return found
            found.append(line)

    def order(self, url, endpoint=None, **options):
        """Both."""
        self.begin(url, endpoint, **options)
        return self.answers()

    def one(self, url, endpoint=None, **options):
        """One message: its answer."""
        return self.order(url, endpoint, **options)[0]

    def stats(self):
        """Threads, descriptors, messages that are open."""
        self._process.stdin.write("stats\n")
        self._process.stdin.flush()
        return self._next(10)

    def cancel(self):
        """Gives up what is under way."""
        self._process.stdin.write("cancel\n")
        self._process.stdin.flush()

    def close(self):
        """Ends it; returns how long the transport took to be freed, in ms, and raises when it did not end well (leaks of a sanitizer too)."""
        if self._process.poll() is None:
            self._process.stdin.close()
        status = self._process.wait(30)
        self._process.stdout.close()
        with open(self.log, encoding="utf-8", errors="replace") as stream:
            text = stream.read()
        if status != 0:
            raise RuntimeError(f"mih-test-amqp: exit code {status}\n{text}")
        return int(text.rsplit("freed in ", 1)[1].split()[0])
