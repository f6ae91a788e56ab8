"""Checks of what an operator is given: manual pages and units of systemd."""
import os
import re

from tree import complaints, run

PAGES = {"mih-worker": "deploy/man/mih-worker.8", "mih-replayer": "deploy/man/mih-replayer.8", "mihctl": "deploy/man/mihctl.1"}
SERVICES = ("deploy/systemd/mih-worker@.service", "deploy/systemd/mih-replayer.service")
EXPOSURE_MAX = 1.5
EXPOSURE = re.compile(r"Overall exposure level for \S+: ([0-9.]+)")
OPTION = re.compile(r"(?<![\w-])--([a-z][a-z-]+)")


def page_faults(path):
    """What mandoc and groff say against a page."""
    linted = run(["mandoc", "-T", "lint", "-W", "warning", path], "/")
    made = run(["groff", "-mandoc", "-ww", "-Tutf8", "-K", "utf8", "-z", path], "/")
    return complaints(linted, "") + ([made.stdout.strip()] if made.stdout.strip() else [])


def option_faults(name, page, said):
    """Options that only one of the page and the program's --help knows."""
    ours = {option for line in page.splitlines() if line.startswith((".It Fl ", ".Op Fl ", ".Fl ", ".Pq Fl "))
            for option in re.findall(r"(?:Fl|\|) -([a-z][a-z-]+)", line)}
    theirs = set(OPTION.findall(said))
    return [f"{name}(1) does not tell of --{option}" for option in sorted(theirs - ours)] + [
        f"{name} does not know --{option}, as its page says" for option in sorted(ours - theirs)]


def command_faults(name, page, said):
    """Commands in the usage of --help that the page has no entry for."""
    usage = re.findall(rf"^(?:Usage:|  +) *{name} ([a-z]+)\b", said, re.M)
    return [f"{name}(1) does not tell of the command {verb}" for verb in sorted(set(usage)) if not re.search(rf"^\.It Cm {verb}\b", page, re.M)]


def manual(tree):
    """The manual pages are valid mdoc, and name each option and command that the programs' --help has, and no others."""
    faults = []
    for path in tree.ending(".1", ".5", ".8", under="deploy/man/"):
        faults += [f"{path}: {fault}" for fault in page_faults(tree.path(path))]
    for name, program in zip(PAGES, tree.built(*PAGES)):
        said, page = run([program, "--help"], "/").stdout, tree.read(PAGES[name])
        faults += option_faults(name, page, said) + command_faults(name, page, said)
    return faults


def exposure_faults(path):
    """What systemd-analyze says of a service's sandbox."""
    done = run(["systemd-analyze", "security", "--offline=true", "--no-pager", path], "/")
    found = EXPOSURE.search(done.stdout)
    if done.returncode != 0 or not found:
        return [done.stdout.strip()]
    return [f"exposure {found[1]} is above {EXPOSURE_MAX}"] if float(found[1]) > EXPOSURE_MAX else []


def units(tree):
    """systemd-analyze rates the exposure of each service at 1.5 or less."""
    return [f"{os.path.basename(path)}: {fault}" for path in SERVICES for fault in exposure_faults(tree.path(path))]


CHECKS = {"manual": manual, "units": units}
