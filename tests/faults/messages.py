"""Messages that nobody can send: broken, hostile, of the wrong kind."""
import base64
import json

import soap
from case import VIEWED, case, check, event
from services import wait_until

ATTACKED = r"\core\event\attack_asked_for"      # not among the recorded events: each hostile service gets one
EVENT = VIEWED.replace("\\", "\\\\")
POISON = (
    ("not JSON", b"{not json"),
    ("a scalar", b"5"),
    ("a list", b"[1, 2]"),
    ("NUL", b'{"eventname": "a\x00b"}'),
    ("not UTF-8", b'{"eventname": "' + EVENT.encode() + b'", "other": "\xff\xfe"}'),
    ("a lone surrogate", b'{"eventname": "' + EVENT.encode() + b'", "other": "\\ud800"}'),
    ("a million levels", b'{"eventname": "x", "other": ' + b"[" * 300_000 + b"]" * 300_000 + b"}"),
    ("2 MiB", json.dumps({"eventname": VIEWED, "fill": "x" * (2 << 20)}).encode()),
    ("1e400", b'{"eventname": "' + EVENT.encode() + b'", "objectid": 1e400}'),
    ("a huge integer", json.dumps({"eventname": VIEWED, "objectid": 10 ** 40}).encode()),
    ("NaN", b'{"eventname": "x", "objectid": NaN}'),
    ("a name that is no text", b'{"eventname": 5}'),
    ("no name", b'{"component": "core"}'),
    ("trailing bytes", event(VIEWED).encode() + b" x"),
)


@case(38, "poison: every kind of broken event among good ones", short=True)
def poison(trial):
    """Each is a dead letter after one look, byte for byte, with a reason that says poison; the good ones are delivered; no process ends."""
    hub = trial.hub()
    service = trial.service(hub)
    hub.rule(service, VIEWED)
    hub.start()
    children = hub.fleet.children()
    publication = hub.publish(trial.events, wait=False, rate=trial.events // 3)
    bodies = {}
    rounds = 1 if trial.short else 20
    for _ in range(rounds):
        for name, body in POISON:
            identifier = hub.rabbit.raw(hub.exchange, "core.course_viewed", body, type=VIEWED)["message_id"]
            bodies[identifier] = (name, body)
    publication.wait()
    wait_until(lambda: hub.dead_count() >= len(bodies), 60, "the dead letters", every=0.2)
    good = hub.wanted()
    wait_until(lambda: good <= set(hub.delivered()), 60, "the good events")
    dead = {}
    for letter in hub.dead_messages():
        identifier, reason = letter["properties"]["message_id"], letter["headers"].get("x-mih-reason", "")
        dead[identifier] = letter
        name, body = bodies.get(identifier, ("none that was published", b""))
        check(reason.startswith("poison: "), f"{name}: the reason is '{reason}'")
        check(as_bytes(letter["body"]) == body, f"{name}: the body was changed")
    told = {bodies[identifier][0] for identifier in set(bodies) - set(dead)}
    check(not told, f"no dead letters: {', '.join(sorted(told))}")
    check(children == hub.fleet.children(), "a process has ended")
    hub.messages += [(identifier, VIEWED) for identifier in bodies]
    trial.cleared()
    balance = trial.finish(hub, dead=len(bodies))
    check(len(hub.arrivals) == len(good) and len(balance.delivered) == len(good), "a request for something that is poison")


def as_bytes(body):
    """The bytes of a drained body."""
    return base64.b64decode(body["base64"]) if isinstance(body, dict) else body.encode()


@case(40, "XML attacks from SOAP services, as answers, WSDLs and imports, among good events", short=True)
def hostile_xml(trial):
    """Each is a dead letter that says what it was, nothing external is asked for, no process ends or grows; the good events are delivered."""
    hub, hostile = trial.hub(), soap.Hostile()
    canary = f"{hostile.url}/canary"
    expected = {}
    try:
        for kind, wide in (("answer", 20_000), ("wsdl", 100_000)):
            for number, (name, xml) in enumerate(soap.attacks(canary, wide).items()):
                path = f"/{kind}{number}"
                page = soap_page(hostile, path) if kind == "answer" else xml
                hostile.pages.update({f"{path}.wsdl": page, path: xml})
                expected[soap_service(trial, hub, f"{hostile.url}{path}.wsdl")] = f"{name} as {kind}"
        for number, location in enumerate(("file:///etc/passwd", "http://127.0.0.1:1/x", "http://169.254.169.254/x", "/loop.wsdl")):
            hostile.pages[f"/import{number}.wsdl"] = (f'<definitions xmlns="http://schemas.xmlsoap.org/wsdl/"><import location="{location}"/>'
                                                     "</definitions>").encode()
            expected[soap_service(trial, hub, f"{hostile.url}/import{number}.wsdl")] = f"import of {location}"
        hostile.pages["/loop.wsdl"] = b'<definitions xmlns="http://schemas.xmlsoap.org/wsdl/"><import location="/loop.wsdl"/></definitions>'
        good = trial.service(hub)
        hub.rule(good, VIEWED)
        hub.start()
        children = hub.fleet.children()
        publication = hub.publish(trial.events, wait=False, rate=trial.events // 3)
        hub.raw(ATTACKED, event(ATTACKED))
        publication.wait()
        wait_until(lambda: hub.dead_count() >= len(expected), 60, "the dead letters", every=0.2)
        for letter in hub.dead_messages():
            service, reason = int(letter["headers"]["x-mih-service"]), letter["headers"]["x-mih-reason"]
            check(reason.startswith("broken answer: "), f"{expected.pop(service, service)}: the reason is '{reason}'")
        check(not expected, f"no dead letters: {', '.join(expected.values())}")
        check("/canary" not in hostile.asked, "something external was loaded")
        check(children == hub.fleet.children(), "a process has ended")
        trial.cleared()
        trial.finish(hub, dead=len(hub.services) - 1, of=good)
    finally:
        hostile.close()


def soap_page(hostile, path):
    """A sound WSDL whose port is at this path."""
    return hostile.wsdl().replace(f"{hostile.url}/calculator".encode(), f"{hostile.url}{path}".encode())


def soap_service(trial, hub, url):
    """A SOAP service that gets one attempt, and its rule."""
    service = trial.service(hub, url, type="soap", max_retries=0, long_retries=0)
    hub.rule(service, ATTACKED, "Add", payload_template='{"intA": 1, "intB": 2}')
    return service
