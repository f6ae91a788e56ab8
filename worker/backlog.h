/*
 * What waits at the broker for each service: the elected process asks the broker, every interval,
 * and writes it to the table backlog, one row for each service whose queue there is; the most of
 * each minute goes to the table stat. One process of each mih-worker asks as well, for the metrics.
 *
 * `waiting` is what lies in the service's queue. It is without what the processes have taken
 * already, at most prefetch_factor * max_concurrency each, and without what waits for a retry in
 * the delay queues, which are common to all services.
 *
 * `timeoldest` is a bound, for the broker does not tell: none of the waiting messages came to the
 * queue before it, so the first one has waited for at most as long. A queue gives its oldest first.
 * So whatever waits now came after the newest that this process has taken was sent, and after the
 * queue was last seen empty; the later of the two is the bound, and it never goes back while
 * something waits. Where neither was seen it is NULL. What a process that ended gave back to the
 * head of the queue is older than that; a message that comes back for a retry counts from then on.
 */
#ifndef MIH_WORKER_BACKLOG_H
#define MIH_WORKER_BACKLOG_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/context.h"

struct backlog;
struct catalog;
struct intake;
struct store;

struct backlog_options {
    bool shows;  /* it is the process that asks for the metrics */
    bool writes; /* when it is elected */
    int64_t interval_ms;
};

int backlog_new(struct context *ctx, struct store *store, const struct intake *intake,
                const struct backlog_options *options, struct backlog **ret_backlog)
    __attribute__((warn_unused_result));

/* In each, NULL does nothing. */
void backlog_set_elected(struct backlog *b, bool elected);
void backlog_set_catalog(struct backlog *b, struct catalog *catalog); /* takes a reference */
void backlog_set_interval(struct backlog *b, int64_t interval_ms);

/* Before publisher, store and intake are freed. */
void backlog_free(struct backlog *b);

#endif
