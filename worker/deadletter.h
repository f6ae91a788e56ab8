/*
 * Puts what cannot be delivered into the dead-letter queue of its service (DESIGN 4), and lets the
 * delivery be settled only when the broker has confirmed it.
 *
 * A dead letter that the broker refuses, returns or loses on the way is tried again every second
 * for as long as it takes: until then its message stays unacknowledged at the broker. When
 * publishing is blocked by an alarm, a message of which nothing was delivered yet is rejected into
 * the broker's own dead-lettering instead, which works without publishing.
 */
#ifndef MIH_WORKER_DEADLETTER_H
#define MIH_WORKER_DEADLETTER_H

#include "worker/context.h"
#include "worker/job.h"

struct deadletters;

enum deadletter_end {
    DEADLETTER_SAFE,     /* confirmed by the broker */
    DEADLETTER_STALE,    /* the message was given to somebody else: not needed any more */
    DEADLETTER_REJECTED, /* rejected into the broker's dead-lettering: the message is settled */
};

/* In the loop, once for each attempt given to deadletters_add(). */
typedef void deadletter_done(struct attempt *a, enum deadletter_end end);

int deadletters_new(struct context *ctx, deadletter_done *done, struct deadletters **ret_letters)
    __attribute__((warn_unused_result));

/* Takes the attempt, with its verdict. done() may be called before this returns. */
void deadletters_add(struct deadletters *d, struct attempt *a);

/* Tries again what is not safe yet. Call it every second and when publishing becomes possible. */
void deadletters_tick(struct deadletters *d);

/* How many are not safe yet. */
size_t deadletters_open(const struct deadletters *d);

/* Gives up what is not safe: its messages stay unsettled, and the broker keeps them. Only after the
 * publisher has answered everything. */
void deadletters_free(struct deadletters *d);

#endif
