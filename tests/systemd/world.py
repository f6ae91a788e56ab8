"""What the tests of this folder share: one package, one machine with it installed, one hub."""
import glob
import os
import re
import unittest

import fleet
import guard
import machine
import shared
from services import ServiceError

KEY = bytes(number * 7 % 256 for number in range(32))
TOKEN = "sodium:dxcplZW7SAmM9p8vV2+ltxm8LN54RAEhZ793vN+DulQo7Prmox2+6i7zhHmZ"     # "token", encrypted by Moodle with that key
_things = {}
# What a system writes about itself, whatever is installed.
VOLATILE = re.compile(r"^/(var/(lib/(apt|dpkg|systemd)|cache|log|backups|tmp)/|root/|etc/(ld\.so\.cache|.*-)$)|^/var/(backups|cache|log|lib)/?$")


def once(name, make):
    """Makes a thing at the first call.  What failed is not tried again."""
    if name not in _things:
        try:
            _things[name] = make()
        except Exception as error:
            _things[name] = error
            raise
    if isinstance(_things[name], Exception):
        raise _things[name]
    return _things[name]


def _build_package():
    """Runs cpack on the build under test; returns the .deb's path."""
    folder = guard.folder("mih-package-")
    status, output, errors = guard.run(["cpack", "--config", os.path.join(fleet.build_folder(), "CPackConfig.cmake"), "-G", "DEB", "-B", folder],
                                       cwd=fleet.build_folder())
    if status != 0:
        raise ServiceError(f"cpack: {(output + errors).decode(errors='replace')}")
    found = glob.glob(os.path.join(folder, "mih_*.deb"))
    if len(found) != 1:
        raise ServiceError(f"cpack made {found}")
    return found[0]


def package():
    """The package, made of the build under test."""
    return once("package", _build_package)


def changed_package(old, new):
    """The same package with a line of its control file replaced."""
    folder = guard.folder("mih-package-")
    tree, result = os.path.join(folder, "tree"), os.path.join(folder, "mih_changed.deb")
    for argv in (["dpkg-deb", "-R", package(), tree], ["dpkg-deb", "--root-owner-group", "-b", tree, result]):
        if argv[1] != "-R":
            control = os.path.join(tree, "DEBIAN", "control")
            with open(control, encoding="utf-8") as stream:
                text = stream.read()
            with open(control, "w", encoding="utf-8") as stream:
                stream.write(text.replace(old, new))
        status, output, errors = guard.run(argv)
        if status != 0:
            raise ServiceError(f"{argv[0]}: {(output + errors).decode(errors='replace')}")
    return result


def _boot():
    machine.check_host()
    return machine.Machine(machine.clean_root())


def clean_machine():
    """The machine, with or without the package."""
    return once("machine", _boot)


def inventory(place):
    """{path: mode, owner, type, size, target} of all files that are there to stay, and the content of those below /etc."""
    listed = place.run(["find", "/", "-xdev", "-not", "-path", "/root/*", "-printf", "%p\\t%m %u %g %y %l\\n"])
    files = dict(line.split("\t", 1) for line in listed.splitlines())
    sums = place.run(["sh", "-c", "find /etc -xdev -type f -exec sha256sum {} +"])
    files.update({f"content of {path}": digest for digest, path in (line.split("  ", 1) for line in sums.splitlines())})
    return {path: what for path, what in files.items() if not VOLATILE.match(path.removeprefix("content of "))}


def _install():
    place = clean_machine()
    _things["before"] = inventory(place)
    with open(package(), "rb") as stream:
        place.write("/root/mih.deb", stream.read())
    status, _, errors = place.attempt(["apt-get", "-q", "-o", "APT::Update::Error-Mode=any", "update"])
    if status != 0:
        raise machine.Impossible(f"Debian's packages cannot be had: {errors.strip()[-500:]}")
    # From here on as an operator would; apt takes what it needs from Debian's servers.
    _things["apt"] = place.run(["apt-get", "-q", "-y", "install", "--no-install-recommends", "/root/mih.deb"], seconds=300)
    return place


def installed():
    """The machine with the package."""
    return once("installed", _install)


def before():
    """The inventory before the package was installed."""
    installed()
    return _things["before"]


def hub():
    """The hub whose fleet are the machine's units: two services of different speed, and one whose token Moodle has encrypted."""
    return once("hub", _make_hub)


def _make_hub():
    made = shared.Hub(processes=1)
    made.fleet.alive = lambda: True         # the machine's systemd sees to that
    fast = made.service(made.sink.url + "/body/fast", max_concurrency=16, auth_token=TOKEN)
    slow = made.service(made.sink.url + "/wait-20", max_concurrency=32)
    viewed = r"\core\event\course_viewed"
    for service, name in ((fast, viewed), (fast, r"\mod_quiz\event\*"), (slow, viewed), (slow, r"\core\event\user_created")):
        made.rule(service, name)
    return made


class Test(unittest.TestCase):
    """A test in the machine with the package; skipped where there can be none."""

    def setUp(self):
        try:
            self.machine = installed()
        except machine.Impossible as error:
            self.skipTest(str(error))


def close():
    """Ends what was made."""
    for name in ("hub", "machine"):
        if not isinstance(_things.get(name), (Exception, type(None))):
            _things[name].close()
