/*
 * Payload templates: compiled once, rendered per delivery.
 *
 * A JSON template is JSON with {{path}} or {{path | filter | filter:argument}} in it. Inside of a
 * string a placeholder inserts text, escaped, null as nothing; outside of one it inserts a value:
 * null as null, a string that is a JSON number as that number, any other string quoted, objects
 * and arrays as they are. The literal part is brought into PHP's json_encode form when it is
 * compiled (COMPAT 4.3), so rendering only copies and inserts. Inserted data is never scanned
 * again, so no event can smuggle in a placeholder.
 *
 * A text template (URL, header) has no JSON around it: placeholders insert plain text.
 *
 * Paths: a key of the event, or keys joined by dots into nested objects (other.grade.final).
 * What is missing is null. Filters: default:"x", string, upper, lower, urlencode, iso8601,
 * sha256, json. Pure: no clock, no I/O.
 */
#ifndef MIH_DISPATCHER_TEMPLATE_H
#define MIH_DISPATCHER_TEMPLATE_H

#include <stddef.h>

#include "common/buf.h"

struct json_object;
struct template;

enum template_kind { TEMPLATE_JSON, TEMPLATE_TEXT };

/* How a text template's insertions are made safe for where they go. */
enum template_escape { ESCAPE_NONE, ESCAPE_URL_SEGMENT };

/* 0; -EINVAL with a reason that names line, column and what was expected; -ENOMEM. */
int template_compile(enum template_kind kind, const char *source, struct template **ret_template,
                     char *ret_reason, size_t reason_size) __attribute__((warn_unused_result));
void template_free(struct template *t);

/* Appends the rendered text. The buffer's own error tells when it did not fit. 0, or -EBADMSG
 * with a reason when a filter refuses its input. */
int template_render(const struct template *t, struct json_object *event,
                    enum template_escape escape, struct buf *out, char *ret_reason,
                    size_t reason_size) __attribute__((warn_unused_result));

/* True when there is no placeholder at all: render once, use often. */
int template_is_constant(const struct template *t);

#endif
