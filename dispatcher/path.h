/*
 * Paths of templates and conditions: keys joined by dots, into the event or into what is looked
 * up for it (enrichment.h). Numbers index arrays (other.items.0). What is missing is null.
 *
 * A path whose first key is user, relateduser, course, cm or site is looked up, and must end in
 * one of the fields there are; all others are of the event.
 */
#ifndef MIH_DISPATCHER_PATH_H
#define MIH_DISPATCHER_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/jsonview.h"
#include "dispatcher/enrichment.h"

enum { PATH_MAX_KEYS = 32, PATH_NO_INDEX = -1 };

struct path_key {
    char *name;
    size_t len;    /* of the name */
    int64_t index; /* the name as a number, for arrays; or PATH_NO_INDEX */
};

/* Empty when zeroed. */
struct path {
    struct path_key *keys;
    size_t n_keys;
    enum path_root root;
    size_t first; /* the first key below the root */
};

/* Where the values are. */
struct path_source {
    const struct jsonview *event;
    const struct enrichment *data; /* NULL: nothing was looked up */
};

/* Letters, digits, "_", "-" and anything outside of ASCII. */
bool path_is_key_char(char c);

/* 0; -E2BIG: more than PATH_MAX_KEYS; -ENOMEM. */
int path_add_key(struct path *p, const char *name, size_t len) __attribute__((warn_unused_result));

/* Takes the last key away. */
void path_drop_key(struct path *p);

/* A copy of all keys. 0 or -ENOMEM. */
int path_copy(const struct path *from, struct path *ret_path) __attribute__((warn_unused_result));

/* When all keys are there: finds the root. 0, or -EINVAL with what is wrong in ret_reason. */
int path_resolve(struct path *p, char *ret_reason, size_t reason_size)
    __attribute__((warn_unused_result));

/* The mask of roots that must have been looked up: one, or none. */
unsigned path_needs(const struct path *p);

/* For path_find(): all paths but the ordinary ones. */
const struct jsonview_node *path_find_deep(const struct path *p, const struct path_source *source,
                                           const struct jsonview **ret_view);

/* The node at the path and the view it is in; NULL for what is missing. Inline, for most
 * placeholders of most payloads are one key of the event. */
static inline const struct jsonview_node *
path_find(const struct path *p, const struct path_source *source, const struct jsonview **ret_view)
{
    const struct jsonview *whole = source->event;
    if (p->n_keys > 1 || whole->n == 0 || whole->nodes->type != JSONVIEW_OBJECT) {
        return path_find_deep(p, source, ret_view);
    }
    *ret_view = whole;
    return jsonview_find(whole, whole->nodes, p->keys->name, p->keys->len);
}

/* Appends the path as it was written. */
void path_print(const struct path *p, struct buf *out);

void path_release(struct path *p);

#endif
