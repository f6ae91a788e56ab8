/*
 * The headers that an administrator has added to a service: a JSON object of names and text
 * templates. Checked when the service is loaded; a value that a template makes is checked again
 * with each event, so that none can add a header of its own. A value's null is nothing.
 */
#ifndef MIH_DISPATCHER_HEADERSET_H
#define MIH_DISPATCHER_HEADERSET_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

struct headerset;
struct path_source;

enum { HEADERSET_MAX = 24, HEADERSET_MAX_SOURCE = 64 * 1024 };

/* NULL for what is empty. 0; -EINVAL with what is wrong in ret_reason; -ENOMEM. */
int headerset_new(const char *source, struct headerset **ret_set, char *ret_reason,
                  size_t reason_size) __attribute__((warn_unused_result));
void headerset_free(struct headerset *set); /* NULL is allowed, here and below */

size_t headerset_count(const struct headerset *set);
bool headerset_has(const struct headerset *set, const char *name);
/* The mask of roots (enrichment.h) that the templates need. */
unsigned headerset_needs(const struct headerset *set);

/* Appends "Name: value" for each, in order, each with a NUL of its own; the buffer's own error
 * tells when they did not fit. 0; -EBADMSG with a reason that names the header; -ENOMEM. */
int headerset_render(const struct headerset *set, const struct path_source *source, struct buf *out,
                     char *ret_reason, size_t reason_size) __attribute__((warn_unused_result));

#endif
