/*
 * The memory of the store of delivered pairs (seen.h), which the supervisor makes and its children
 * share: a file, when the settings name one, so that it outlives the supervisor; otherwise memory
 * without a name, which is there as long as one of them runs.
 *
 * A file of another size or form is replaced, one that cannot be used is passed over for memory
 * without a name; both are told in the log. Room is taken at once: a full disk or memory shows
 * here and never in the middle of a delivery. One file is for one supervisor.
 */
#ifndef MIH_WORKER_SEENMAP_H
#define MIH_WORKER_SEENMAP_H

#include <stddef.h>
#include <stdint.h>

#include "dispatcher/seen.h"
#include "worker/childlink.h"

enum { SEENMAP_FD = CHILDLINK_FD + 1 }; /* where a child inherits it, when there is one */

struct seenmap {
    struct seen seen;
    void *memory; /* NULL: no store; then seen knows nothing */
    size_t size;
    int fd; /* close-on-exec; -1: none */
};

/* Makes or opens the store; path "" is memory without a name. What earlier processes had begun is
 * unknown again. Never fails: without a store repeats are sent, and the log says so. */
void seenmap_make(const char *path, int64_t entries, struct seenmap *ret_map);

/* The supervisor's store, in a child: takes the descriptor SEENMAP_FD and touches all of the
 * memory. A child that inherited none gets a map without a store. */
void seenmap_attach(struct seenmap *ret_map);

/* May be called on what was released, or zeroed with fd -1. */
void seenmap_release(struct seenmap *map);

#endif
