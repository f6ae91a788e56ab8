/*
 * The process's publishing connection, on a thread of its own.
 *
 * A broker under a memory or disk alarm stops reading from connections that publish, and
 * librabbitmq's writes, log-ins and RPCs block. So all of that happens here, away from the event
 * loop: the loop hands over publications and topology calls and gets each result back as a
 * callback in the loop. The thread reconnects for ever, with jittered backoff over the URLs.
 *
 * A publication is answered exactly once: CONFIRMED only after the broker's confirm without a
 * return. LOST means that the connection broke before the confirm: the message may or may not
 * be at the broker, and whoever submitted it decides (a repeat carries the same id). What was not
 * sent yet when the connection broke stays queued. While the broker blocks the connection nothing
 * is sent and no confirm is overdue.
 *
 * At most 10,000 jobs and 16 MiB wait, at most 1,000 publications and 8 MiB are under way; a
 * single larger one goes alone. A confirm that does not come within 10 seconds means that the
 * connection is useless: it is replaced.
 */
#ifndef MIH_WORKER_PUBLISHER_H
#define MIH_WORKER_PUBLISHER_H

#include "common/bus.h"

struct event_base;
struct publisher;

enum publish_result {
    PUBLISH_CONFIRMED, /* acked by the broker, not returned */
    PUBLISH_RETURNED,  /* reached no queue, or there is no such exchange */
    PUBLISH_NACKED,    /* the broker refused to keep it, or it cannot be sent at all */
    PUBLISH_LOST,      /* connection lost, or no confirm within the time-out */
    PUBLISH_UNSENT,    /* taken back before it was sent */
};

typedef void publish_done(void *context, enum publish_result result, const char *reason);

/* Runs on the publisher's thread with its connection and a channel that is not in confirm mode;
 * returns 0, BUS_REFUSED or negative as the bus calls do. It may block in the bus only, and
 * publishes nothing. Its argument must live until call_done. */
typedef int publisher_call(struct bus *bus, uint16_t channel, void *argument);
/* In the loop, once. A negative result: the connection broke; whether the call took effect is not
 * known. */
typedef void publisher_call_done(void *context, int result, const char *reason);

struct publisher_hooks {
    void *context;
    /* In the loop. Connected (peer named) or lost (reason); called at every change, also when a
     * new attempt fails for another reason than the one before. May be NULL. */
    void (*on_state)(void *context, bool connected, const char *text);
    /* In the loop. The broker blocks or unblocks publishing. May be NULL. */
    void (*on_blocked)(void *context, bool blocked, const char *reason);
};

/* Starts the thread, which connects at once. Options and hooks are copied. All functions here
 * belong to the loop's thread. Negative errno on failure. */
int publisher_new(struct event_base *base, const struct bus_options *options,
                  const struct publisher_hooks *hooks, struct publisher **ret_publisher)
    __attribute__((warn_unused_result));

/* Copies the publication and queues it. 0, -ENOBUFS when the queue is full, -ENOMEM. done is
 * called in the loop, once. */
int publisher_submit(struct publisher *p, const struct bus_publication *publication,
                     publish_done *done, void *context) __attribute__((warn_unused_result));

/* Queues a blocking call on the connection; it starts after the publications queued before it
 * were sent (not: confirmed). While there is no connection, or the broker blocks it, it waits.
 * 0, -ENOBUFS or -ENOMEM. */
int publisher_run(struct publisher *p, publisher_call *call, void *argument,
                  publisher_call_done *done, void *context) __attribute__((warn_unused_result));

/* Answers every publication that was not sent yet with PUBLISH_UNSENT: the broker takes none, and
 * whoever submitted it may know better than to wait. */
void publisher_take_back(struct publisher *p);

/* As last told by the hooks. */
bool publisher_connected(const struct publisher *p);
bool publisher_blocked(const struct publisher *p);

/* Publications submitted and not yet answered. */
size_t publisher_open_count(const struct publisher *p);

/* Stops the thread within about a second, answers what is open with PUBLISH_LOST (calls with
 * -ECANCELED), frees all. A thread that is just looking up a name or logging in is left behind: it
 * ends by itself when the time-outs of the options have passed. Not from a hook or an answer. */
void publisher_free(struct publisher *p);

#endif
