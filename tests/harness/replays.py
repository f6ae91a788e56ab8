"""What tests of mih-replayer share: dead letters to replay, the daemon, the rows that ask it for a replay, and kills in the middle of one."""
import os
import time

import fleet
import guard
import shared
from services import wait_until

DIED = 1700000000
WINDOW = 256                # letters that a replayer holds at most (worker/deadlink.h): what one kill may repeat


def letters(hub, service, count, rule=1, reason="HTTP 400", died=DIED, headers=(), **options):
    """Puts so many dead letters to the tail, as a worker would; returns their ids in order."""
    publication = hub.rabbit.publish(hub.folder, f"{hub.fleet.namespace}.dead", shared.DATA, count, key=service, window=1000, headers=[
        f"x-mih-service={service}", f"x-mih-rule={rule}", "x-mih-attempt:=3", f"x-mih-first:={DIED - 60}", f"x-mih-reason={reason}",
        "x-mih-status:=400", f"x-mih-died:={died}", 'x-mih-rendered={"sent": true}', *headers], **options)
    publication.wait()
    return [message[0] for message in publication.messages()]


def ids(messages):
    """Message ids in order."""
    return [message["properties"]["message_id"] for message in messages]


def start(hub):
    """Starts the daemon; the caller ends it."""
    return guard.Process([fleet.program("mih-replayer"), "--config", hub.fleet.configuration], os.path.join(hub.folder, "replayer.log"))


def ask(hub, **columns):
    """Inserts a row as the plugin does; returns its id."""
    fleet.insert(hub.database, "replay", [{"timecreated": int(time.time()), **columns}])
    return int(hub.database.value("SELECT MAX(id) FROM mdl_local_integrationhub_replay"))


def row(hub, replay):
    """State, counts and error of a row."""
    return hub.database.query(f"SELECT state, matched, moved, failed, error FROM mdl_local_integrationhub_replay WHERE id = {replay}")[0]


def wait_ended(hub, replay, seconds=60):
    """Waits for the end of a row; returns it."""
    wait_until(lambda: row(hub, replay)[0] not in ("requested", "running"), seconds, "the end of the replay", every=0.1)
    return row(hub, replay)


def killed(hub, replay, kills, every, struck=lambda: None):
    """Carries out a replay whose daemon is killed with kill -9 so many times, each time `every` letters further, and then left alone until the replay
    has ended; `struck` is called after each kill.  Returns what the row said at each kill and at the end."""
    told = []
    for kill in range(1, kills + 1):
        process = start(hub)
        try:
            wait_until(lambda kill=kill: int(row(hub, replay)[2]) >= kill * every, 60, "progress", every=0.02)
        finally:
            process.kill9()
        struck()
        told.append(row(hub, replay))
    process = start(hub)
    try:
        told.append(wait_ended(hub, replay, 120))
    finally:
        process.kill9()
    return told
