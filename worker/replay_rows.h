/*
 * The rows of the index that a pass writes for the letters it holds: before a letter leaves its row
 * says `replayed` or `discarded`, and one that stays after all is `dead` again. Everything blocks;
 * returns are 0 or a negative errno of the database.
 */
#ifndef MIH_WORKER_REPLAY_ROWS_H
#define MIH_WORKER_REPLAY_ROWS_H

#include <stddef.h>

#include "worker/letter.h"
#include "worker/replay_work.h"

/* How many letters are to have their rows written at a time: not more than may soon leave. */
size_t replay_rows_limit(const struct replay_work *w);

/* How many from l on still need theirs; at most limit. */
size_t replay_rows_missing(const struct letter *l, size_t limit);

/* Writes them. */
int replay_rows_write(const struct replay_work *w, struct letter *l, size_t limit)
    __attribute__((warn_unused_result));

/* The letter, which was selected, stays: it is selected no more, and its row as before. */
int replay_rows_deselect(struct replay_work *w, struct letter *l)
    __attribute__((warn_unused_result));

/* The letter may have been held when an earlier run of this replay was interrupted: when its row
 * says that it has left, it is `dead` again, and was not moved. */
int replay_rows_recall(struct replay_work *w, const struct letter *l)
    __attribute__((warn_unused_result));

#endif
