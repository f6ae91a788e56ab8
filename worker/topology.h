/*
 * Makes the broker route as the rules ask (DESIGN 3). Only the elected process does it.
 *
 * A round: read the record of bindings (database), plan (pure), record what will be bound
 * (database), carry it out (broker), record what is done (database), look after
 * the queues that retries wait in (broker). Rounds follow a change of the
 * rules, an election, a new connection, the end of a consumer, and 60 s without one, which heals
 * what somebody removed by hand. Everything is idempotent: a round that breaks anywhere is simply
 * made again.
 */
#ifndef MIH_WORKER_TOPOLOGY_H
#define MIH_WORKER_TOPOLOGY_H

#include <stdbool.h>

#include "dispatcher/catalog.h"
#include "worker/context.h"
#include "worker/store.h"

struct topology;

int topology_new(struct context *ctx, struct store *store, struct topology **ret_topology)
    __attribute__((warn_unused_result));

/* This process is elected, or not any more. */
void topology_set_elected(struct topology *t, bool elected);

/* A new snapshot, or a new connection: make a round soon. NULL keeps the snapshot. */
void topology_changed(struct topology *t, struct catalog *catalog);

/* Call it every second. */
void topology_tick(struct topology *t);

/* Goes no further than the step under way. Before store and publisher are freed. NULL is
 * allowed. */
void topology_stop(struct topology *t);

/* After store and publisher were freed: they have answered everything, or left a thread behind. */
void topology_free(struct topology *t);

#endif
