"""The Celery worker as people write it: one task with late acks, urllib3 with keep-alive, prefork.

    BENCH_BROKER=amqp://... BENCH_SINK=http://... celery -A tasks worker
    BENCH_BROKER=amqp://... python3 tasks.py MESSAGES      reads events (JSON lines) and queues that many

Celery has its own message format and, in 5.2, uses global QoS, which quorum queues refuse: so its queue is an
ordinary durable one, the cheaper kind for it.
"""
import itertools
import json
import os
import sys
import time

import celery
import urllib3

QUEUE = "bench.celery"

app = celery.Celery("tasks", broker=os.environ["BENCH_BROKER"])
app.conf.update(task_default_queue=QUEUE, task_acks_late=True, task_ignore_result=True)
http = urllib3.PoolManager()


@app.task(autoretry_for=(urllib3.exceptions.HTTPError,), retry_backoff=True)
def deliver(event):
    """Sends one event to the service."""
    payload = {
        "event": event["eventname"],
        "action": event["action"],
        "target": event["target"],
        "component": event["component"],
        "objectid": event["objectid"],
        "course": event["courseid"],
        "user": event["userid"],
        "relateduser": event["relateduserid"],
        "context": event["contextid"],
        "status": event["other"]["submissionstatus"],
        "attempt": event["other"]["submissionattempt"],
        "words": event["other"]["onlinetextwordcount"],
        "time": event["timecreated"],
    }
    response = http.request("POST", os.environ["BENCH_SINK"], body=json.dumps(payload),
                            headers={"Content-Type": "application/json"})
    if response.status != 200:
        raise urllib3.exceptions.HTTPError(f"the sink answered {response.status}")


def preload(messages):
    """Queues the events of standard input, again and again, until `messages` are in; returns when the queue holds exactly as many."""
    events = [json.loads(line) for line in sys.stdin]
    with app.connection_for_write() as connection, app.amqp.Producer(connection) as producer:
        producer.maybe_declare(app.amqp.queues[QUEUE])
        producer.channel.queue_purge(QUEUE)
        for event in itertools.islice(itertools.cycle(events), messages):
            deliver.apply_async((event,), producer=producer)
        deadline = time.monotonic() + 10
        while (count := producer.channel.queue_declare(QUEUE, passive=True).message_count) != messages:
            if time.monotonic() > deadline:
                sys.exit(f"the queue holds {count} of {messages} messages")
            time.sleep(0.02)    # the broker counts before it has taken in what it was sent


if __name__ == "__main__":
    preload(int(sys.argv[1]))
