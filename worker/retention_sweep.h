/*
 * Looks at all queues of dead letters from time to time, and drops what retention.h says, from the
 * head. What is dropped is written into the index first, and logged.
 *
 * The head of a queue is looked at when it may be about to get too old, not at every sweep: each
 * look is a redelivery at the broker.
 */
#ifndef MIH_WORKER_RETENTION_SWEEP_H
#define MIH_WORKER_RETENTION_SWEEP_H

#include <stddef.h>
#include <stdint.h>

#include "worker/replay_work.h"
#include "worker/retention.h"

/* What it remembers of one service. */
struct sweep_service {
    int64_t id;
    int64_t oldest_s;
    int64_t look_s;
    int64_t markers; /* of replays that ended early, taken away by this sweep's look */
    bool warned;
};

/* Zeroed before its first use. */
struct retention_sweep {
    struct sweep_service *services;
    size_t n;
};

/* Sweeps once. 0; -ECANCELED: told to stop; or a negative errno of database or broker. */
int retention_sweep(struct retention_sweep *s, const struct replay_tools *tools,
                    const struct retention *retention) __attribute__((warn_unused_result));

void retention_sweep_release(struct retention_sweep *s);

#endif
