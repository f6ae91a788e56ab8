"""What all contestants share: the broker, the sink, the programs built for release, the queues and how they are filled."""
import os
import subprocess

import fleet
import guard
from meter import BenchSink
from services import RabbitMQ, ServiceError

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = os.path.join(ROOT, "tests", "bench")
EVENTS = os.path.join(ROOT, "tests", "data", "moodle-events.jsonl")
EVENT = "\\assignsubmission_onlinetext\\event\\submission_created"   # the common event that comes nearest to 600 bytes: 561
SERVICE = 1
QUEUE = f"mih.service.{SERVICE}"


def run(argv, **options):
    """Runs a program to its end and returns its standard output; raises ServiceError with its output when it fails."""
    done = subprocess.run([str(word) for word in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                          **{"stdin": subprocess.DEVNULL, **options})
    if done.returncode != 0:
        raise ServiceError(f"{' '.join(str(word) for word in argv[:4])} ... exit code {done.returncode}\n{done.stdout[-4000:]}")
    return done.stdout


class Lab:
    """The servers and programs of one run; everything disappears with it."""

    def __init__(self, programs):
        self.folder = guard.folder("mih-bench-")
        self.make(programs)
        self.broker = RabbitMQ()
        self.sink = BenchSink()

    @staticmethod
    def make(programs):
        """Builds programs, as they are released."""
        build = fleet.build_folder()
        run(["cmake", "-S", ROOT, "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DMIH_TESTS=ON"])
        run(["cmake", "--build", build, "--target", *programs])

    def log(self, name):
        """A file for the output of a contestant."""
        return os.path.join(self.folder, f"{name}.log")

    def preload(self, messages, queue=QUEUE, classic=False):
        """Makes the queue hold exactly so many events, each confirmed by the broker."""
        run([fleet.program("mih-bench-preload"), "--url", self.broker.url, "--queue", queue, "--events", EVENTS, "--type", EVENT,
             "--messages", messages, *(["--classic"] if classic else [])])

    def depth(self, queue=QUEUE):
        """The number of messages that wait in a queue."""
        return int(run([fleet.program("mih-bench-preload"), "--url", self.broker.url, "--queue", queue, "--depth"]))

    def close(self):
        """Stops the servers."""
        self.sink.close()
        self.broker.close()
