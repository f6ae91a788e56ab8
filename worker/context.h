/*
 * What every module of a worker process works with: one struct, made by child.c, lent to all.
 */
#ifndef MIH_WORKER_CONTEXT_H
#define MIH_WORKER_CONTEXT_H

#include "common/envelope.h"
#include "dispatcher/seen.h"
#include "worker/counters.h"
#include "worker/names.h"
#include "worker/publisher.h"
#include "worker/settings.h"
#include "worker/suspects.h"
#include "worker/transports.h"

struct breakers;
struct deadnotes;
struct enrich;
struct event_base;
struct meter;
struct requestlog;
struct ruleoff;
struct stats;

struct context {
    const struct settings *settings;
    struct names names;
    struct event_base *base;
    struct publisher *publisher;
    struct transports transports;
    struct breakers *breakers;
    struct deadnotes *deadnotes;
    struct ruleoff *ruleoff;
    struct meter *meter;           /* what the metrics show */
    struct stats *stats;           /* NULL: nothing is counted for the tables */
    struct requestlog *requestlog; /* likewise */
    struct enrich *enrich;
    struct envelope_limits limits;
    struct counters counters;
    struct seen seen;    /* delivered pairs, shared by the processes of this host */
    uint32_t seen_owner; /* this process in there */
    struct suspects suspects;
    int64_t careful_service; /* whose requests go one at a time now; the others wait their turn */
    bool careful_served;     /* it has sent one, or could have */
    unsigned processes;      /* of the fleet, as the last look found; 0: not known yet */
    /* When the last look at the rules that succeeded began (monotonic ms). */
    int64_t rules_checked_ms;
    bool rules_doubted;  /* some message waits for a newer look: look now */
    bool queues_doubted; /* something may be missing at the broker: make it anew */
};

#endif
