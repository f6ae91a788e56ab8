/*
 * The query string of GET requests, as PHP's http_build_query() makes it: nested values as
 * a%5Bb%5D=c, booleans as 1 and 0, null and empty arrays left out, spaces as "+" (RFC 1738).
 * Numbers keep the spelling they have in the JSON. Pure.
 */
#ifndef MIH_DISPATCHER_QUERY_H
#define MIH_DISPATCHER_QUERY_H

#include "common/buf.h"

struct json_object;

/* Appends the pairs of an object or array, joined by "&" and without a leading mark. Nothing for
 * other values. 0 or -ENOMEM; the buffer's own error tells when it did not fit. */
int query_add(struct buf *out, struct json_object *payload) __attribute__((warn_unused_result));

/* Appends text as it stands in a form: everything but letters, digits and - _ . encoded. */
void query_add_text(struct buf *out, const char *text, size_t len);

#endif
