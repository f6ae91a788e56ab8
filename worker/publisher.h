/*
 * The process's publishing connection, on a thread of its own.
 *
 * A broker under a memory or disk alarm stops reading from connections that publish, and
 * librabbitmq's writes, log-ins and RPCs block. So all of that happens here, away from the event
 * loop: the loop hands over publications and topology calls and gets each result back as a
 * callback in the loop. The thread reconnects for ever, with jittered backoff over the URLs.
 *
 * A publication is answered exactly once: PUBLISHED only after the broker's confirm without a
 * return. LOST means that the connection broke before the confirm: the message may or may not
 * be at the broker, and whoever submitted it decides (a repeat carries the same id).
 */
#ifndef MIH_WORKER_PUBLISHER_H
#define MIH_WORKER_PUBLISHER_H

#include "common/bus.h"

struct event_base;
struct publisher;

enum publish_result {
    PUBLISH_CONFIRMED, /* acked by the broker, not returned */
    PUBLISH_RETURNED,  /* reached no queue (reason: exchange and key) */
    PUBLISH_NACKED,    /* the broker refused to keep it */
    PUBLISH_LOST,      /* connection lost, or no confirm within the time-out */
};

typedef void publish_done(void *context, enum publish_result result, const char *reason);

/* Runs on the publisher's thread with its connection and a channel that is not in confirm mode;
 * returns 0, BUS_REFUSED or negative as the bus calls do. */
typedef int publisher_call(struct bus *bus, uint16_t channel, void *argument);
typedef void publisher_call_done(void *context, int result, const char *reason);

struct publisher_hooks {
    void *context;
    /* In the loop. Connected (peer named) or lost (reason); called at every change. */
    void (*on_state)(void *context, bool connected, const char *text);
    /* In the loop. The broker blocks or unblocks publishing. */
    void (*on_blocked)(void *context, bool blocked, const char *reason);
};

/* Starts the thread. options' strings must outlive the publisher. max_queued bounds what waits
 * for the broker (messages); max_unconfirmed what is under way. Negative errno on failure. */
int publisher_new(struct event_base *base, const struct bus_options *options,
                  const struct publisher_hooks *hooks, struct publisher **ret_publisher)
    __attribute__((warn_unused_result));

/* Copies the publication and queues it. 0, -ENOBUFS when the queue is full, -ENOMEM. done is
 * called in the loop, once. */
int publisher_submit(struct publisher *p, const struct bus_publication *publication,
                     publish_done *done, void *context) __attribute__((warn_unused_result));

/* Queues a blocking call on the connection, after the publications queued before it. While
 * there is no connection it waits. */
int publisher_run(struct publisher *p, publisher_call *call, void *argument,
                  publisher_call_done *done, void *context) __attribute__((warn_unused_result));

bool publisher_connected(const struct publisher *p);
bool publisher_blocked(const struct publisher *p);

/* Publications submitted and not yet answered. */
size_t publisher_open_count(const struct publisher *p);

/* Stops the thread within about a second, answers what is open with PUBLISH_LOST, frees all. */
void publisher_free(struct publisher *p);

#endif
