"""Messages that nobody can send: broken, hostile, of the wrong kind."""
import base64
import json

from case import VIEWED, case, check, event, later
from services import wait_until

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


later(40, "XML attacks from a SOAP service: entities, external loads, depth, attributes, WSDL includes", "needs the SOAP transport")
later("+42", "rolling upgrade to a build with other queue arguments", "needs a second released version")
later("12m", "metric publisher_blocked, /readyz during faults 12 to 18 (I7)", "needs [metrics] listen")
