/*
 * What follows an attempt that did not deliver: its retry or its dead letter. The message goes,
 * with our headers (DESIGN 4), into a delay queue or into the dead-letter queue of its service, and
 * the delivery is settled only when the broker has confirmed that.
 *
 * What the broker refuses, returns or loses on the way is tried again every second for as long as
 * it takes: until then its message stays unacknowledged at the broker. What may be there already,
 * because only the confirm was lost, is flagged as republished then (repeats.h). When publishing is
 * blocked by an alarm, a message that would be a dead letter, and of which nothing is settled yet,
 * is rejected into the broker's own dead-lettering instead, which works without publishing.
 */
#ifndef MIH_WORKER_FOLLOWUP_H
#define MIH_WORKER_FOLLOWUP_H

#include "worker/context.h"
#include "worker/job.h"

struct followups;

enum followup_end {
    FOLLOWUP_SAFE,     /* confirmed by the broker */
    FOLLOWUP_STALE,    /* the message was given to somebody else: not needed any more */
    FOLLOWUP_REJECTED, /* rejected into the broker's dead-lettering: the message is settled */
};

/* In the loop, once for each attempt given to followups_add(). */
typedef void followup_done(struct attempt *a, enum followup_end end);

int followups_new(struct context *ctx, followup_done *done, struct followups **ret_followups)
    __attribute__((warn_unused_result));

/* Takes the attempt, with its verdict and, for a retry, retry_ms: the step of the grid that it
 * waits for; 0 is a dead letter. done() may be called before this returns. */
void followups_add(struct followups *d, struct attempt *a);

/* Tries again what is not safe yet. Call it every second and when publishing becomes possible. */
void followups_tick(struct followups *d);

/* How many are not safe yet. */
size_t followups_open(const struct followups *d);

/* Gives up what is not safe: its messages stay unsettled, and the broker keeps them. Only after the
 * publisher has answered everything. */
void followups_free(struct followups *d);

#endif
