/*
 * Keeps the tables of statistics small: minutes become hours after two days, hours become days
 * after fourteen, and all is deleted at last, or when its service is gone; the log keeps its newest
 * entries. By the database's clock.
 *
 * Rolling up moves what the rows hold, in one transaction for each part, and adds to what is there
 * already: whoever is killed in the middle has done nothing, rows that come late are rolled up the
 * next time, and two who do it at once do it in turn.
 *
 * Blocks, in bounded steps: it belongs on the store's thread.
 */
#ifndef MIH_WORKER_STATTIDY_H
#define MIH_WORKER_STATTIDY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/db.h"

struct stattidy {
    int64_t keep_s;          /* statistics older than this are deleted */
    int64_t max_log_entries; /* where there is no Moodle with a setting; 0: all */
};

/* Does a part of what is to be done. ret_more: there is more. 0 or a negative errno: repeat it. */
int stattidy_step(struct db *db, const struct stattidy *options, bool *ret_more)
    __attribute__((warn_unused_result));

#endif
