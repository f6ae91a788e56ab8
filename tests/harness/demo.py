"""./run-demo: real Moodle events through a real broker and the real fleet to six services, and the sums at the end.

Everything is private to the run: servers on free loopback ports, data in temporary folders, and nothing is left when it ends.
"""
import argparse
import os
import sys
import time

import fleet
import guard
from demo_moodle import MoodleDemo
from demo_report import Screen
from demo_run import Demo
from moodle import MoodleError, find_tree
from rabbit import RabbitError
from services import ServiceError

DEFAULT_EVENTS = 3 * 1433
DEFAULT_PAGES = 300
TROUBLE = (MoodleError, ServiceError, RabbitError, guard.GuardError, TimeoutError, OSError)


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="run-demo", allow_abbrev=False,
        description="Runs the hub end to end on real Moodle events: installs what is missing, builds, starts a private RabbitMQ and MariaDB, six "
                    "services (one answers, one is slow, one refuses, one is down at first, one is an AMQP queue, one speaks SOAP) and a fleet of "
                    "worker processes, publishes, replays dead letters, and shows what became of every event.  Exits with 0 only when nothing "
                    "was lost.")
    parser.add_argument("--events", type=number, metavar="N", help=f"how many events to publish (default {DEFAULT_EVENTS:,}); with --moodle: how "
                        f"many page requests to make, each raises about one event (default {DEFAULT_PAGES})")
    parser.add_argument("--keep", action="store_true", help="leave everything running and say how to look around")
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object, and only that, on standard output")
    parser.add_argument("--moodle", metavar="DIR", help="use a real Moodle: a folder with its source code, which is copied and stays untouched")
    parser.add_argument("--only-check-arguments", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.moodle is not None:
        try:
            options.moodle = find_tree(options.moodle)
        except MoodleError as error:
            parser.error(f"--moodle: {error}")
    if options.events is None:
        options.events = DEFAULT_PAGES if options.moodle else DEFAULT_EVENTS
    return options


def number(text):
    """A positive number of events."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 100_000_000:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1 to 100000000")
    return int(text)


def build(screen):
    """Compiles the programs; two runs in the same clone take turns."""
    started = time.monotonic()
    folder = guard.folder("mih-build-")
    build_folder = fleet.build_folder()
    script = ('exec 9>"$2/.lock"; flock 9; cmake -S "$1" -B "$2" -G Ninja -DCMAKE_BUILD_TYPE=Release -DMIH_TESTS=ON && '
              'ninja -C "$2" mih-worker mih-replayer mih-test-rabbit')
    os.makedirs(build_folder, exist_ok=True)
    screen.say("Building the programs.")
    environment = dict(os.environ, TMPDIR=folder)   # a compiler that is killed leaves its temporary files
    process = guard.Process(["bash", "-c", script, "build", fleet.TOP, build_folder], os.path.join(folder, "build.log"), env=environment)
    if process.wait(1800) != 0:
        raise DemoError("The build failed:\n" + guard.tail(process.log, 60))
    screen.say(f"Built the programs ({time.monotonic() - started:.0f} s).")


def tell_how_to_look(demo, guard_pid):
    """What --keep leaves, with commands to copy."""
    for line in ["", "Everything is still running. To look around:", *demo.how_to_look(), "To stop everything and remove its data:",
                 f"  kill {guard_pid}"]:
        demo.screen.say(line)


def run(options, screen):
    """The whole demo; returns the exit code."""
    build(screen)
    demo = (MoodleDemo if options.moodle else Demo)(options, screen)
    demo.start()
    done = demo.play()
    summary = demo.sum_up(done)
    faults = demo.faults(summary, done)
    if options.json:
        print(summary.as_json(), flush=True)
    else:
        summary.tell(screen.say)
        demo.tell_more(screen.say)
        demo.show_payload(screen.say)
    for fault in faults:
        screen.say(f"FAULT: {fault}")
    if not faults:
        balance = summary.balance
        screen.say(f"\nNothing was lost: {len(balance.wanted):,} wanted = {len(balance.delivered):,} delivered + {len(balance.dead):,} dead "
                   f"+ {len(balance.waiting):,} waiting.")
    if options.keep:
        tell_how_to_look(demo, guard.keep())
    return 1 if faults else 0


def main():
    """Entry point; errors that a user can act on are one message, not a trace."""
    options = arguments()
    if options.only_check_arguments:
        return 0
    screen = Screen(options.json)
    for name in [name for name in os.environ if name.startswith("MIH_") and name != "MIH_BUILD"]:
        del os.environ[name]                    # settings of another fleet would rule this one
    try:
        return run(options, screen)
    except (DemoError, *TROUBLE) as error:
        screen.say(f"run-demo: {error}")
        return 1
    except KeyboardInterrupt:
        screen.say("\nInterrupted: stopping everything.")
        return 130


if __name__ == "__main__":
    sys.exit(main())
