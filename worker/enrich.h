/*
 * Gets what rules need of Moodle's tables: from the cache, or from the database, on its thread.
 *
 * A message asks with enrich_find(). What is fresh in the cache is there at once; the rest is
 * looked up in the background, many objects with few statements, and the message asks again when
 * on_found() tells that a look-up has ended. Nothing here waits.
 *
 * Fresh is what is not older than `expiry`, and, for an event that tells of a change of the very
 * object, what was looked up after the event came. When the database does not answer soon, what
 * is not older than `max_age` still serves (but never to the event that tells of its change);
 * for all else the answer is that it cannot be had now, and the message is to wait in the broker:
 * nothing is sent with values missing. While the database is known not to answer, nobody waits
 * for it here.
 */
#ifndef MIH_WORKER_ENRICH_H
#define MIH_WORKER_ENRICH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dispatcher/enrichment.h"

struct enrich;
struct enrich_entry;
struct jsonview;
struct store;

struct enrich_options {
    int64_t expiry_ms;
    int64_t max_age_ms;
    size_t max_entries;
    size_t max_bytes;
    void *context;
    void (*on_found)(void *context); /* in the loop: a look-up has ended, well or not */
};

/* What was found for one message. Zeroed before its first use. */
struct found {
    struct enrichment data;
    struct enrich_entry *entries[PATH_ROOTS];
    unsigned missing; /* mask of roots that cannot be had now */
    int64_t since_ms; /* when it asked first, or 0 */
    bool hurried;     /* it is to wait no longer */
};

int enrich_new(struct store *store, const struct enrich_options *options,
               struct enrich **ret_enrich) __attribute__((warn_unused_result));

struct enrich_question {
    const struct jsonview *event;
    unsigned needs;      /* mask of roots */
    int64_t arrived_ms;  /* of the message */
    int64_t patience_ms; /* a look-up that takes longer is not waited for */
};

/* Fills in what is not there yet. True: all is there, or known to be missing; false: a look-up is
 * on its way. */
bool enrich_find(struct enrich *e, struct found *f, const struct enrich_question *question);

void enrich_found_release(struct found *f);

void enrich_free(struct enrich *e); /* NULL is allowed; before the store */

#endif
