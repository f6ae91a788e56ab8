"""Dead letters that come back through hands that are killed."""
import replays
from case import CREATED, VIEWED, case, check
from services import wait_until

LETTERS = 10_000            # that the replay takes; a quarter as many lie among them and stay
KILLS = 5


@case("+43", "replay of 10,000 dead letters, replayer killed five times")
def killed_replay(trial):
    """Each is delivered under the id it died with, each that was not asked for is still dead; a kill repeats no more than the replayer held."""
    hub = trial.hub()
    service = trial.service(hub)
    going, staying = hub.rule(service, VIEWED), hub.rule(service, CREATED)
    hub.start()
    goes = replays.letters(hub, service, LETTERS // 2, rule=going)
    stays = replays.letters(hub, service, LETTERS // 4, rule=staying)
    goes += replays.letters(hub, service, LETTERS // 2, rule=going)
    # A replayed message belongs to the rule that its dead letter names, whatever its event: they count as that rule's.
    hub.messages += [(identifier, VIEWED) for identifier in goes] + [(identifier, CREATED) for identifier in stays]
    replay = replays.ask(hub, ruleid=going, rate=2000)
    *at_kills, end = replays.killed(hub, replay, KILLS, LETTERS // (KILLS + 2), trial.cleared)
    check(all(row[0] == "running" for row in at_kills), f"a kill came too late: {at_kills}")
    check(end[0] == "done", f"the replay has not ended well: {end}")
    wanted = {f"{identifier}:{going}" for identifier in goes}
    wait_until(lambda: wanted <= set(hub.delivered()), 120, "all that were replayed", every=0.2)
    dead = replays.ids(hub.dead_messages())
    check(set(dead) == set(stays), f"{len(set(dead))} dead letters, {len(stays)} were to stay")
    balance = trial.finish(hub, repeats=KILLS * replays.WINDOW, dead=len(stays))
    twice = balance.duplicates + len(dead) - len(stays)
    check(twice <= KILLS * replays.WINDOW, f"{twice} repeats and copies, at most {KILLS * replays.WINDOW} allowed")
    trial.note(f"+43: killed after {', '.join(row[2] for row in at_kills)} of {LETTERS}; {balance.duplicates} requests came twice, "
               f"{len(dead) - len(stays)} dead letters lie there twice")
