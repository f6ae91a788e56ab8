/*
 * Has the elected process tidy the tables of statistics (stattidy.h): every interval, and on and on
 * while there is more to be done.
 */
#ifndef MIH_WORKER_STATKEEPER_H
#define MIH_WORKER_STATKEEPER_H

#include <stdbool.h>

#include "worker/stattidy.h"

struct event_base;
struct statkeeper;
struct store;

int statkeeper_new(struct event_base *base, struct store *store, const struct stattidy *options,
                   int64_t interval_ms, struct statkeeper **ret_keeper)
    __attribute__((warn_unused_result));

/* In each, NULL does nothing. */
void statkeeper_set_elected(struct statkeeper *k, bool elected);
void statkeeper_set_options(struct statkeeper *k, const struct stattidy *options,
                            int64_t interval_ms);

/* Before the store is freed. */
void statkeeper_free(struct statkeeper *k);

#endif
