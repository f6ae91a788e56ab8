/*
 * The statements that look things up in Moodle's tables, and what becomes of their rows. For the
 * database's thread.
 *
 * The columns are those of dispatcher/enrichment.h and nothing else; deploy/grants.sh gives the
 * worker's user the same ones. A deleted user, or what was never there, becomes an entry without
 * values.
 */
#ifndef MIH_WORKER_ENRICH_ROWS_H
#define MIH_WORKER_ENRICH_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "dispatcher/enrichment.h"

struct db;
struct enrich_entry;

enum {
    ENRICH_MAX_IDS = 200, /* of one kind, at a time */
    ENRICH_PARTLY = 1,
};

/* Reads up to ENRICH_MAX_IDS objects of one kind, each named once, and puts an entry for every id
 * in front of the list. 0, or a negative errno with the words in ret_reason; or ENRICH_PARTLY, with
 * words too, when single objects cannot be had, and have no entry: one is too large, or its kind of
 * activity came after deploy/grants.sh was run. */
int enrich_read(struct db *db, enum enrichment_kind kind, const int64_t *ids, size_t n,
                struct enrich_entry **list, char *ret_reason, size_t reason_size)
    __attribute__((warn_unused_result));

#endif
