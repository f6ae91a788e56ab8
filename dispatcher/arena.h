/*
 * Memory that is freed as a whole: for models made of many small pieces that live and die
 * together. Born with a maximum. A failure (out of memory, or the maximum reached) is remembered,
 * so that a builder may ask once; every call may still return NULL and has to be looked at.
 */
#ifndef MIH_DISPATCHER_ARENA_H
#define MIH_DISPATCHER_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *blocks; /* the newest first */
    size_t used, max;           /* bytes */
    bool failed;
};

void arena_init(struct arena *a, size_t max);
void arena_release(struct arena *a);

/* Zeroed, aligned for anything; NULL when it fails. */
void *arena_get(struct arena *a, size_t size) __attribute__((warn_unused_result));

/* A copy with a NUL behind it; NULL when it fails. */
char *arena_text(struct arena *a, const char *text, size_t len) __attribute__((warn_unused_result));

/* A formatted text of at most 511 bytes; NULL when it fails. */
char *arena_format(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)))
__attribute__((warn_unused_result));

#endif
