/*
 * This process's row in the table local_integrationhub_worker: written every 2 s, deleted at a
 * clean end. A row that is not renewed shows a process that died or hangs; the elected process
 * deletes rows of a day ago. All times are by the database's clock, so hosts need not agree.
 */
#ifndef MIH_WORKER_HEARTBEAT_H
#define MIH_WORKER_HEARTBEAT_H

#include <stdbool.h>

#include "worker/counters.h"

struct event_base;
struct heartbeat;
struct store;

/* counters must outlive the heartbeat. Failures of the database are for the store to tell; others
 * (no such table, no grant) are logged, once for each reason. */
int heartbeat_new(struct event_base *base, struct store *store, const struct counters *counters,
                  struct heartbeat **ret_heartbeat) __attribute__((warn_unused_result));

void heartbeat_set_elected(struct heartbeat *h, bool elected);

/* host:pid:start, as in the row. */
const char *heartbeat_instance(const struct heartbeat *h);

/* Queues the deletion of the row, which store_free() then waits for. NULL is allowed. */
void heartbeat_free(struct heartbeat *h);

#endif
