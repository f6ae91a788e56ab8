/*
 * What a child shows of itself in the metrics: counters and gauges of each service and of the
 * process, in memory that it shares with the supervisor (statmap.h). The child writes, the
 * supervisor reads whenever somebody asks, and neither waits: each number is whole, but two of
 * them may be of different moments.
 *
 * Counters only grow, and the next process of the child's number goes on with them. Gauges tell of
 * the process with the number pid, and mean nothing when that has ended. Pure: no clock, no I/O.
 *
 * There is room for METER_SERVICES; a further one takes the place of one that is gone, or else
 * shares place 0 with all others that have none.
 */
#ifndef MIH_WORKER_METER_H
#define MIH_WORKER_METER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dispatcher/catalog.h"
#include "worker/statcells.h"

enum { METER_SERVICES = 512 };

/* Times are Unix seconds. */
enum meter_service_gauge {
    METER_PRESENT, /* it is in the tables, as the process knows them */
    METER_TYPE,    /* enum service_type */
    METER_IN_FLIGHT,
    METER_HELD,       /* messages taken and not settled */
    METER_BREAKER,    /* enum breaker_state */
    METER_WANTED,     /* to be consumed */
    METER_CONSUMING,  /* is consumed */
    METER_UNSERVED_S, /* it was wanted and not consumed for so long */
    METER_LOOKED_S, /* when its queue was looked at; 0: never. Of these three the newest counts. */
    METER_WAITING,
    METER_OLDEST_S, /* none of the waiting ones came before; 0: none waits */
    METER_DEAD,
    METER_SERVICE_GAUGES,
};

enum meter_gauge {
    METER_STARTED_S,
    METER_PROGRESS_S, /* something was finished last */
    METER_ELECTED,
    METER_CONSUMER_CONNECTED,
    METER_PUBLISHER_CONNECTED,
    METER_PUBLISHER_BLOCKED,
    METER_DATABASE_CONNECTED,
    METER_RESIDENT_BYTES,
    METER_OUTBOX_LOOKED_S, /* 0: never */
    METER_OUTBOX_ROWS,
    METER_OUTBOX_OLDEST_S, /* 0: it is empty */
    METER_GAUGES,
};

enum meter_count {
    METER_RECEIVED,
    METER_REPEATS,
    METER_CONSUMER_CONNECTS,
    METER_PUBLISHER_CONNECTS,
    METER_DATABASE_CONNECTS,
    METER_OUTBOX_PUBLISHED,
    METER_OUTBOX_UNWANTED,
    METER_OUTBOX_RETURNED,
    METER_OUTBOX_REFUSED,
    METER_LOG_LEFT_OUT,
    METER_NOT_COUNTED,
    METER_CPU_US,
    METER_COUNTS,
};

struct meter_service {
    int64_t id; /* 0: free; of the first place: the others */
    char name[SERVICE_NAME_SIZE];
    int64_t gauge[METER_SERVICE_GAUGES];
    uint64_t n[STAT_COUNTS]; /* as in the table stat */
};

struct meter {
    uint64_t format; /* 0: new */
    int64_t pid;     /* 0: nobody's yet */
    int64_t gauge[METER_GAUGES];
    uint64_t n[METER_COUNTS];
    struct meter_service services[METER_SERVICES + 1];
};

/* The child's part. */

/* Counters go on, gauges begin at 0. What is of another version is forgotten. */
void meter_open(struct meter *m, int64_t pid);

/* The service's place, which may be the one that it shares; never NULL. */
struct meter_service *meter_service(struct meter *m, int64_t id);

/* Those that are in the tables now, and only those. */
void meter_describe(struct meter *m, const struct catalog *catalog);

/* On the way of every delivery: an addition. */
static inline void meter_add(uint64_t *at, uint64_t n)
{
    __atomic_store_n(at, *at + n, __ATOMIC_RELAXED);
}

static inline void meter_set(int64_t *at, int64_t value)
{
    __atomic_store_n(at, value, __ATOMIC_RELAXED);
}

/* What is counted by somebody else from 0 on. before: what it was the last time. */
void meter_follow(uint64_t *at, uint64_t *before, uint64_t now);

/* The supervisor's part. */

static inline uint64_t meter_count(const uint64_t *at)
{
    return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static inline int64_t meter_gauge(const int64_t *at)
{
    return __atomic_load_n(at, __ATOMIC_RELAXED);
}

/* Whether it is this version's, so that it can be read at all. */
bool meter_readable(const struct meter *m);

#endif
