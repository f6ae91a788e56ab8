/*
 * What the fleet counts (statcells.h), on its way into the table stat: every interval, by the
 * store's thread. Nothing here ever waits, and counting allocates nothing; while the database is
 * away the counters wait where they are.
 *
 * Minutes are those of this host's clock.
 */
#ifndef MIH_WORKER_STATS_H
#define MIH_WORKER_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/statcells.h"

struct event_base;
struct stats;
struct store;

/* memory: see statmap.h; it outlives this. 0 or a negative errno. */
int stats_new(struct event_base *base, struct store *store, struct statmemory *memory,
              int64_t interval_ms, struct stats **ret_stats) __attribute__((warn_unused_result));

void stats_set_interval(struct stats *s, int64_t interval_ms);

/* In each, NULL counts nothing. rule_id 0: of no rule. */
void stats_count(struct stats *s, int64_t service_id, int64_t rule_id, enum stat_count what);
void stats_latency(struct stats *s, int64_t service_id, int64_t rule_id, int64_t us);

/* What found no place, ever since the memory was made. NULL: none. */
uint64_t stats_not_counted(const struct stats *s);

/* Writes what there is, now, and goes on until all is written. True: it is. */
bool stats_flush(struct stats *s);

/* What is not written stays in the memory; told in the log. Before the store is freed. NULL is
 * allowed. */
void stats_free(struct stats *s);

#endif
