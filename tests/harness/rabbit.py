"""The broker seen by mih-test-rabbit, the oracle that shares no code with the worker."""
import json
import os

import guard


class RabbitError(Exception):
    """mih-test-rabbit failed."""


class Rabbit:
    """Runs mih-test-rabbit against one broker URL."""

    def __init__(self, program, url):
        self.program = program
        self.url = url
        self._environment = dict(os.environ, MIH_BROKER_URL=url)    # not on the command line, where everybody sees it

    def _run(self, *arguments, data=None, seconds=300):
        status, output, errors = guard.run([self.program, *arguments], data or b"", env=self._environment, seconds=seconds)
        if status != 0:
            raise RabbitError(f"{arguments[0]}: exit code {status}: {errors.decode(errors='replace').strip()}")
        return output

    def count(self, queues):
        """Ready messages by queue; None for a queue that does not exist."""
        if not queues:
            return {}
        answer = json.loads(self._run("count", *_repeat("--queue", queues)))
        return {queue: counts and counts["ready"] for queue, counts in answer.items()}

    def consumers(self, queue):
        """How many consumers a queue has; None when it does not exist."""
        counts = json.loads(self._run("count", "--queue", queue))[queue]
        return counts and counts["consumers"]

    def drain(self, queue, peek=False, seconds=300):
        """All messages of a queue, as dicts; `peek` puts them back."""
        lines = self._run("drain", "--queue", queue, *(["--peek"] if peek else []), seconds=seconds)
        return [json.loads(line) for line in lines.splitlines()]

    def raw(self, exchange, key, body, **options):
        """Publishes one body; options as the command's (type=, id=, app_id=, content_type=, headers=[...], bare=True).  Returns its answer."""
        arguments = ["--exchange", exchange, "--key", key, "--file", "-"]
        arguments += _repeat("--header", options.pop("headers", []))
        if options.pop("bare", False):
            arguments.append("--bare")
        for name, value in options.items():
            arguments += ["--" + name.replace("_", "-"), value]
        return json.loads(self._run("raw", *arguments, data=body if isinstance(body, bytes) else body.encode()))

    def declare(self, *arguments):
        """Declares exchanges, queues, bindings: arguments as on the command line."""
        self._run("declare", *arguments)

    def delete(self, *arguments):
        """Deletes queues and exchanges: arguments as on the command line."""
        self._run("delete", *arguments)

    def purge(self, *queues):
        """Empties queues."""
        self._run("purge", *_repeat("--queue", queues))

    def publish(self, folder, exchange, events_file, events, **options):
        """Starts publishing in the background; see Publication."""
        return Publication(self, folder, exchange, events_file, events, options)


class Publication:
    """A publisher at work: `events` events of the file, over and over with new ids."""

    def __init__(self, rabbit, folder, exchange, events_file, events, options):
        number = len(os.listdir(folder))
        self.log = os.path.join(folder, f"published-{number}.log")
        self._summary = os.path.join(folder, f"published-{number}.json")
        errors = os.path.join(folder, f"published-{number}.err")
        arguments = ["publish", "--exchange", exchange, "--file", events_file, "--events", events, "--log", self.log]
        arguments += _repeat("--header", options.pop("headers", []))
        for name, value in options.items():
            arguments += ["--" + name.replace("_", "-"), value]
        self.process = guard.Process([rabbit.program, *arguments], errors, env=rabbit._environment, stdout=self._summary)

    def running(self):
        """Whether it still publishes."""
        return self.process.alive()

    def wait(self, seconds=600, failure_allowed=False):
        """Waits for its end and returns its summary; raises RabbitError when it failed, unless that is expected."""
        status = self.process.wait(seconds)
        if status != 0 and not failure_allowed:
            raise RabbitError(guard.tail(self.process.log))
        with open(self._summary, encoding="utf-8") as stream:
            return json.load(stream)

    def messages(self):
        """Every publication: (message id, unix milliseconds, event name, 'confirmed' | 'returned' | 'refused' | 'open')."""
        with open(self.log, encoding="utf-8") as stream:
            return [(identifier, int(milliseconds), name, outcome)
                    for identifier, milliseconds, name, outcome in (line.split() for line in stream)]


def _repeat(option, values):
    return [word for value in values for word in (option, str(value))]
