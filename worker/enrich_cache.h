/*
 * What was looked up in Moodle's tables, kept for a while: users, their profile fields, courses,
 * activities, the site. Bounded in entries and bytes; the least recently used go first.
 *
 * An entry may say that there is no such object (its view is empty); that is worth remembering
 * too. Whoever holds an entry keeps it alive, also when it was replaced or dropped meanwhile.
 * For the loop's thread; entries may be made on another.
 */
#ifndef MIH_WORKER_ENRICH_CACHE_H
#define MIH_WORKER_ENRICH_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "common/jsonview.h"
#include "dispatcher/enrichment.h"

struct enrich_entry {
    struct enrich_entry *next; /* in a list of new ones, or in its slot of the table */
    struct enrich_entry *newer, *older;
    enum enrichment_kind kind;
    int64_t id;
    int64_t began_ms; /* when its look-up began: nothing older is in it (monotonic) */
    unsigned references;
    size_t bytes;
    char *text; /* owned; NULL: there is no such object */
    struct jsonview view;
};

struct enrich_cache {
    struct enrich_entry **slots;
    size_t n_slots; /* a power of two */
    struct enrich_entry *newest, *oldest;
    size_t entries, bytes;
    size_t max_entries, max_bytes;
};

/* Makes an entry of an object's JSON text, which becomes its own; NULL: there is no such object.
 * NULL when memory is out, or the text is none of JSON. */
struct enrich_entry *enrich_entry_new(enum enrichment_kind kind, int64_t id, char *text);
struct enrich_entry *enrich_entry_ref(struct enrich_entry *e);
void enrich_entry_unref(struct enrich_entry *e); /* NULL is allowed */

/* 0 or -ENOMEM. */
int enrich_cache_init(struct enrich_cache *c, size_t max_entries, size_t max_bytes)
    __attribute__((warn_unused_result));
void enrich_cache_release(struct enrich_cache *c);

/* The entry, which counts as used now; NULL. Borrowed: take a reference to keep it. */
struct enrich_entry *enrich_cache_find(struct enrich_cache *c, enum enrichment_kind kind,
                                       int64_t id);

/* Puts an entry in the place of an older one; the caller's reference becomes the cache's. */
void enrich_cache_put(struct enrich_cache *c, struct enrich_entry *e);

#endif
