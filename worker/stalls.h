/*
 * Finds children that are alive and well in their own eyes, and yet take nothing though their queue
 * has work: the broker has lost their consumer, say. Such a child consumes a service that is said
 * to have messages waiting, holds none of them, and got nothing of that service done, at each look
 * for STALLS_PATIENCE_MS; twice as long after each time in a row, up to STALLS_PATIENCE_MAX_MS, for
 * the fault may not be its own. Pure.
 */
#ifndef MIH_WORKER_STALLS_H
#define MIH_WORKER_STALLS_H

#include <stdint.h>

#include "worker/children.h"
#include "worker/figures.h"

enum {
    STALLS_LOOK_MS = 5000, /* between looks */
    STALLS_PATIENCE_MS = 30000,
    STALLS_PATIENCE_MAX_MS = 600000,
    STALLS_FRESH_S = 30, /* what is older than this is not known any more */
};

/* One child's; begins as all zero. */
struct stall {
    pid_t pid;
    int64_t service_id; /* 0: it does not stall */
    uint64_t done;      /* of that service, when it began to */
    int64_t since_ms;   /* or when it was replaced for it */
    unsigned times;     /* in a row */
};

/* By number of the child. */
struct stalls {
    struct stall children[CHILDREN_MAX];
};

/* The service that the child has been stalled with for too long: it is to be replaced. 0: none. */
int64_t stalls_look(struct stall *stall, const struct child_look *child,
                    const struct figures *figures, int64_t now_ms, int64_t now_s)
    __attribute__((warn_unused_result));

#endif
