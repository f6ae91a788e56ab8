/*
 * What this process has to tell to the index of dead letters (deadindex.h): letters that have died,
 * and replayed ones that were delivered. Written on the store's thread, in order, in batches of
 * DEADNOTES_BATCH or every second.
 *
 * No delivery ever waits for it. While the database is away or hangs, notes are kept, in bounded
 * number and memory; what does not fit is left out of the index, counted and logged: the broker has
 * the letter all the same, and `mih-replayer reindex` makes the index again.
 */
#ifndef MIH_WORKER_DEADNOTES_H
#define MIH_WORKER_DEADNOTES_H

#include <stddef.h>
#include <stdint.h>

#include "worker/deadindex.h"

struct deadnotes;
struct event_base;
struct store;

enum {
    DEADNOTES_BATCH = 100,
    DEADNOTES_MAX = 10000,
    DEADNOTES_BYTES = 8 * 1024 * 1024,
};

enum deadnote {
    DEADNOTE_DIED,
    DEADNOTE_DELIVERED, /* of a replay */
};

int deadnotes_new(struct event_base *base, struct store *store, struct deadnotes **ret_notes)
    __attribute__((warn_unused_result));

/* Copies the row. payload_len: of row->payload, which may hold NUL. */
void deadnotes_add(struct deadnotes *d, enum deadnote what, const struct dead_row *row,
                   size_t payload_len);

/* How many wait to be written, and how many were left out since the start. */
size_t deadnotes_waiting(const struct deadnotes *d);
uint64_t deadnotes_dropped(const struct deadnotes *d);

/* Hands everything that waits to the store, which writes it within its own grace, and frees the
 * rest. Before the store is freed. NULL is allowed. */
void deadnotes_free(struct deadnotes *d);

#endif
