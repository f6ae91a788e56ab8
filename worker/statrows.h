/*
 * Adds batches of counters (statcells.h) to the table stat, each exactly once: in one transaction
 * with the batch's number, in the table batch. When the connection is lost and nobody knows whether
 * the commit took effect, the same batch is given here again, and the number tells. Even if the
 * lost one is still at work in the server: the row with the number is locked first.
 *
 * Blocks: it belongs on the store's thread.
 */
#ifndef MIH_WORKER_STATROWS_H
#define MIH_WORKER_STATROWS_H

#include "common/db.h"
#include "worker/statcells.h"

/* 0: its rows are in the table, once, from now or from before. Or a negative errno: they are not,
 * or nobody knows; repeat it. */
int statrows_write(struct db *db, const struct statbatch *batch)
    __attribute__((warn_unused_result));

struct buf;

/* The columns that add up, separated by commas, with a text before and behind each name; for
 * INSERT ... SELECT (statkeeper.c). */
void statrows_columns(struct buf *sql, const char *before, const char *behind);

/* " ON DUPLICATE KEY UPDATE ...": adds what adds up, keeps the greatest of what does not. */
void statrows_on_duplicate(struct buf *sql);

#endif
