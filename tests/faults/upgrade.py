"""A fleet of one version is replaced by another one while events flow."""
import os
import re
import shutil

import fleet
import guard
from case import case, check, event, log_of
from services import wait_until

WARNING = "queues of another version are used as they are"
ONLY_NEW = r"\mod_new\event\thing_made"      # of which none is published before its rule
LEFT_OUT = shutil.ignore_patterns("build*", ".git", "tests", "moodle-plugin", "__pycache__")


def changed(path, pattern, text):
    """Replaces the one place of a file that the pattern matches."""
    with open(path, encoding="utf-8") as stream:
        new, number = re.subn(pattern, text, stream.read())
    check(number == 1, f"{os.path.basename(path)}: {pattern} is there {number} times")
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(new)


def next_version(folder):
    """Builds mih-worker and mihctl of a version that declares queues with another delivery limit; returns the folder of the programs."""
    sources, build = os.path.join(folder, "sources"), os.path.join(folder, "build")
    shutil.copytree(fleet.TOP, sources, ignore=LEFT_OUT)
    changed(os.path.join(sources, "worker/queues.c"), r"DELIVERY_LIMIT = 20\b", "DELIVERY_LIMIT = 21")
    changed(os.path.join(sources, "CMakeLists.txt"), r"project\(mih VERSION [0-9.]+", "project(mih VERSION 99.0.0")
    for command in (["cmake", "-S", sources, "-B", build, "-G", "Ninja", "-DMIH_TESTS=OFF", "-DCMAKE_BUILD_TYPE=Debug"],
                    ["ninja", "-C", build, "mih-worker", "mihctl"]):
        status, output, errors = guard.run(command, seconds=500)
        check(status == 0, f"{command[0]}: {(output + errors).decode(errors='replace')[-2000:]}")
    return os.path.join(build, "bin")


@case("+42", "rolling upgrade to a build with other queue arguments", seconds=900)
def rolling_upgrade(trial):
    """The new version's check tells of them before, and makes nothing else of it; its fleet works with the queues as they are beside the old one and
    after it, says so once, and binds new rules; nothing is lost, dead or sent twice."""
    programs = next_version(trial.folder())
    hub = trial.loaded()
    old = trial.also_close(hub.fleet)
    publication = trial.stream(hub, seconds=20)
    status, output, errors = guard.run([os.path.join(programs, "mihctl"), "check", "--config", old.configuration])
    said = output.decode()
    check(status == 0, f"mihctl check: exit code {status}: {said}{errors.decode()}")
    for service in hub.services:
        line = next((line for line in said.splitlines() if f"queue {old.queue(service)}: " in line), "")
        check(line.startswith("warn ") and "406" in line and "received '21' but current is '20'" in line and "delete it" in line,
              f"mihctl check says of the queue: '{line}'")
    check("; this is 99.0.0" in said, f"mihctl check does not tell the versions: {said}")
    new = fleet.Fleet(hub.broker.url, hub.database, hub.account, 2, {"broker": old.sections["broker"]}, name="upgraded")
    new.path = os.path.join(programs, "mih-worker")
    hub.fleet = new.start()
    wait_until(lambda: all(hub.rabbit.consumers(new.queue(service)) == 4 for service in hub.services), 30, "both fleets to consume")
    check(publication.running(), "the load has ended before the old fleet")
    status = old.stop()
    trial.cleared()
    check(status == 0, f"the old fleet ended with {status}")
    check(publication.running(), "the load has ended before the old fleet has")
    publication.wait()
    hub.rule(hub.services[1], ONLY_NEW)
    hub.wait_bound()
    wait_until(lambda: WARNING in log_of(hub), 30, "the warning")
    hub.raw(ONLY_NEW, event(ONLY_NEW))
    trial.finish(hub)
    told = [line for line in log_of(hub).splitlines() if WARNING in line]
    check(len(told) == 1 and "inequivalent arg" in told[0] and "delete it" in told[0], f"the new fleet has warned so: {told}")
    trial.note(f"+42: {told[0][:200]}")
