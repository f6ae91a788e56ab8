/*
 * What the replayer asks of the index of dead letters, and corrects in it, beyond deadindex.h.
 * Everything blocks; returns are those of db_query() unless it says otherwise.
 */
#ifndef MIH_WORKER_REPLAY_INDEX_H
#define MIH_WORKER_REPLAY_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "common/db.h"
#include "worker/deadindex.h"
#include "worker/replay_filter.h"

enum canary_state {
    CANARY_UNDERWAY,
    CANARY_DELIVERED,
    CANARY_DEAD, /* it failed again */
};

/* What became of a message of a replay. */
int replay_index_canary(struct db *db, const struct dead_row *row, int64_t replay_id,
                        enum canary_state *ret_state) __attribute__((warn_unused_result));

/* It was written as replayed or discarded by this replay and then was not: dead as before, and of
 * the replay that the letter names. ret_rows (may be NULL): how many rows said so. */
int replay_index_undo(struct db *db, const struct dead_row *row, int64_t replay_id,
                      uint64_t *ret_rows) __attribute__((warn_unused_result));

/* What the index has of a replay that was interrupted. */
struct replay_trace {
    int64_t rows;                    /* that it has written and not undone */
    int64_t delivered;               /* of these, by now */
    char message_id[REPLAY_ID_SIZE]; /* of the one when it is the only one */
    int64_t rule_id, service_id;
};

int replay_index_trace(struct db *db, int64_t replay_id, int64_t started_s,
                       struct replay_trace *ret_trace) __attribute__((warn_unused_result));

/* After a pass over the whole queue wrote all of its letters: rows of the service that say `dead`
 * and were not written since are of letters that have left the queue without the index being told.
 * They become `dropped`. since_s is the pass's begin by the server's clock; a minute is left to
 * those whose letter came meanwhile. Rows without a message id are not of the broker (version 2.0.0
 * wrote them) and stay. ret_rows: how many. */
int replay_index_mend(struct db *db, int64_t service_id, int64_t since_s, uint64_t *ret_rows)
    __attribute__((warn_unused_result));

/* The rows that say `dead` and fit the filter, oldest first, at most limit. The row's texts are
 * valid during the call. */
typedef int replay_index_on_row(void *context, int64_t id, const struct dead_row *row);
int replay_index_list(struct db *db, const struct replay_filter *filter, int64_t limit,
                      replay_index_on_row *on_row, void *context)
    __attribute__((warn_unused_result));

#endif
