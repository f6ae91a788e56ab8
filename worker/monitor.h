/*
 * The supervisor's metrics and health, by HTTP:
 *
 *   /metrics  the figures of all children, for Prometheus (exposition.h)
 *   /healthz  200 while the children make progress or have nothing to do; else 503 and why
 *   /readyz   200 while all of them are there, connected to the broker, and consume what they
 *             should; else 503 and why
 */
#ifndef MIH_WORKER_MONITOR_H
#define MIH_WORKER_MONITOR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "worker/children.h"
#include "worker/figures.h"

struct event_base;
struct monitor;

enum {
    MONITOR_UNSERVED_S = 5,   /* a queue may be without a consumer for as long */
    MONITOR_GRACE_MS = 10000, /* beyond the watchdog's time, which acts by itself */
};

/* What the supervisor tells of itself; it keeps it up to date. */
struct monitor_state {
    bool stopping, quiet;
    unsigned wanted;     /* children */
    int64_t moved_ms;    /* when all children had made progress last */
    int64_t watchdog_ms; /* how long they may do without */
};

/* Appends why not, a line for each reason; true: ready. For tests, too. */
bool monitor_ready(const struct monitor_state *state, const struct child_look *children, size_t n,
                   const struct figures *figures, struct buf *why);

/* children and state are borrowed. 0 or a negative errno. */
int monitor_new(struct event_base *base, const struct children *children,
                const struct monitor_state *state, struct monitor **ret_monitor)
    __attribute__((warn_unused_result));

/* Where it listens, see scrape.h. */
void monitor_set_address(struct monitor *m, const char *address);

/* NULL is allowed. */
void monitor_free(struct monitor *m);

#endif
