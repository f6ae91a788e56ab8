/*
 * Carries out one row of the table `replay`, from its first pass to its end, or on from where it
 * was interrupted. The row is the record of it: state, counts, times, and why it ended early.
 */
#ifndef MIH_WORKER_REPLAY_RUN_H
#define MIH_WORKER_REPLAY_RUN_H

#include "worker/replay_work.h"

/* 0: it has ended, and the row says how; replay holds the same. -ECANCELED: told to stop.
 * Otherwise a negative errno: the database failed (db_lost() or db_reason()), or the broker
 * (deadlink's reason); call again with new connections. */
int replay_run(const struct replay_tools *tools, struct replay *replay)
    __attribute__((warn_unused_result));

/* Ends it as failed: nothing more is tried. 0 or a negative errno of the database. */
int replay_run_refuse(struct db *db, struct replay *replay, const char *why)
    __attribute__((warn_unused_result));

#endif
