"""The receiving end of an AMQP service: a consumer that notes every message as it arrives."""
import json
import os
import time

import guard


class Mailbox:
    """The consumer of a queue, also after the broker was away; `new_messages` tells of what came as sink.py tells of requests."""

    def __init__(self, program, url, queue):
        self.log = os.path.join(guard.folder("mih-mailbox-"), "messages.jsonl")
        self._command = [program, "drain", "--follow", "--queue", queue]
        self._environment = dict(os.environ, MIH_BROKER_URL=url)
        self._process = None
        self._offset = 0
        self._started = 0.0
        self._watch()

    def _watch(self):
        """Starts the consumer when it does not run: the broker may have been away."""
        if self._process is not None and self._process.alive() or time.monotonic() - self._started < 0.5:
            return
        self._started = time.monotonic()
        self._process = guard.Process(self._command, self.log + ".errors", env=self._environment, stdout=self.log)

    def new_messages(self):
        """The messages since the last call: `id`, `status` (200: it arrived), `arrived` (unix seconds), and all else in `message`."""
        found = []
        if os.path.exists(self.log):
            with open(self.log, "rb") as stream:
                stream.seek(self._offset)
                whole = stream.read().rpartition(b"\n")[0]
            lines = whole.split(b"\n") if whole else []
            self._offset += len(whole) + (1 if whole else 0)
            found = [_arrival(json.loads(line)) for line in lines]
        if not found:
            self._watch()
        return found


def _arrival(message):
    return {"id": message["properties"]["message_id"], "status": 200, "arrived": message["arrived"] / 1000, "message": message}
