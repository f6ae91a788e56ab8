/*
 * A trouble with a table of the database that costs no delivery: told once, and again when it is
 * another one or came back, once a minute at most. A table that the plugin does not have yet is
 * such a trouble for as long as the worker is newer. What is the connection's is not told: the
 * store tells that. Pure: no clock, no logging.
 */
#ifndef MIH_WORKER_COMPLAINT_H
#define MIH_WORKER_COMPLAINT_H

#include <stdbool.h>
#include <stdint.h>

/* Begins as all zero. */
struct complaint {
    char reason[256]; /* as told last; empty: none since it went well */
    int64_t told_s;
};

/* Takes the result of a store_job (store.h), good ones too. True: it is to be told now. */
bool complaint_due(struct complaint *c, int result, const char *reason, int64_t now_s);

#endif
