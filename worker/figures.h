/*
 * What the supervisor knows of its children, added up for the metrics: per service over all
 * children, also those that ended, whose counters stay. Gauges count of processes that run only.
 * Pure: no clock, no I/O.
 */
#ifndef MIH_WORKER_FIGURES_H
#define MIH_WORKER_FIGURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dispatcher/breaker.h"
#include "worker/children.h"

struct service_figures {
    int64_t id; /* 0: those that had no place in a child's meter */
    char name[SERVICE_NAME_SIZE];
    enum service_type type;
    bool present; /* the gauges tell something */
    enum breaker_state breaker;
    int64_t in_flight, held;
    int64_t wanting, consuming; /* children */
    int64_t unserved_s;         /* the longest */
    int64_t looked_s;           /* 0: nobody of these children has looked at the queue */
    int64_t waiting, oldest_s, dead;
    uint64_t n[STAT_COUNTS];
};

struct figures {
    uint64_t n[METER_COUNTS];
    int64_t outbox_looked_s, outbox_rows, outbox_oldest_s;
    size_t n_services;
    struct service_figures *services; /* by id; those with no place come first, if there are any */
};

/* Whether what a child's gauges tell is of the process that runs now. */
bool figures_current(const struct child_look *child);

/* 0 or -ENOMEM. */
int figures_make(const struct child_look *children, size_t n, struct figures *ret_figures)
    __attribute__((warn_unused_result));

void figures_release(struct figures *f);

#endif
