/*
 * Payload templates: compiled once, rendered per delivery.
 *
 * A JSON template is JSON with {{path}} or {{path | filter | filter:argument}} in it. Inside of a
 * string a placeholder inserts text, escaped, null as nothing; outside of one it inserts a value:
 * null as null, a string that is a JSON number (and no integer outside of 64 bits, which would
 * not survive the receiver's parser) as that number, any other string quoted, objects and arrays
 * as they are. The literal part is brought into PHP's json_encode form when it is compiled
 * (COMPAT 4.3), so rendering only copies and inserts: no white space, "/" as "\/", everything
 * outside of ASCII as \uXXXX, numbers as spelled. Of two equal literal keys of one object the
 * last value wins and stands where the first one stood, as in PHP; unlike there {} stays {}.
 * Inserted data is never scanned again, so no event can smuggle in a placeholder.
 *
 * A text template (URL, header) has no JSON around it: placeholders insert plain text, objects
 * and arrays their JSON text.
 *
 * Paths: a key of the event, or keys joined by dots into nested objects (other.grade.final);
 * numbers index arrays (other.items.0). Keys are letters, digits, "_", "-" and anything outside
 * of ASCII. user.*, relateduser.*, course.*, cm.* and site.* are looked up (enrichment.h). What is
 * missing is null. White space around paths, "|" and ":" is ignored.
 *
 * Filters, applied from left to right. Null passes through all of them but default and json.
 *   default:ARG  null, missing or empty text becomes ARG: "text" or 'text' (with \" \' \\ as
 *                escapes), or a bare word; bare numbers, true, false and null are JSON values
 *   string       always a quoted string outside of strings, even when it looks like a number
 *   upper lower  Unicode's simple case mapping (textcase.h says for which characters)
 *   urlencode    percent-encoded as RFC 3986 (all but A-Z a-z 0-9 - . _ ~); as the last filter of
 *                a placeholder in a URL it is not encoded a second time
 *   iso8601      unix seconds to 2026-11-22T11:54:00Z; refuses everything but whole numbers
 *                from year 0 to 9999
 *   sha256       64 hex digits, lower case, of the text; always a string
 *   json         the value's JSON text: as it is outside of strings, as text inside
 *
 * Pure: no clock, no I/O.
 */
#ifndef MIH_DISPATCHER_TEMPLATE_H
#define MIH_DISPATCHER_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

struct path_source;
struct template;

enum {
    TEMPLATE_MAX_SOURCE = 64 * 1024, /* bytes of a template */
    TEMPLATE_MAX_DEPTH = 32,         /* nested objects and arrays of its literal part */
    TEMPLATE_MAX_FILTERS = 8,        /* filters of one placeholder */
};

enum template_kind { TEMPLATE_JSON, TEMPLATE_TEXT };

/* How a text template's insertions are made safe for where they go. ESCAPE_URL_SEGMENT encodes
 * everything that is not unreserved in RFC 3986, so an insertion stays within one path segment
 * or one query value; that it makes no "." or ".." segment is the caller's check. */
enum template_escape { ESCAPE_NONE, ESCAPE_URL_SEGMENT };

/* 0; -EINVAL with a reason that names line, column (both from 1, in characters) and what was
 * expected; -ENOMEM. */
int template_compile(enum template_kind kind, const char *source, struct template **ret_template,
                     char *ret_reason, size_t reason_size) __attribute__((warn_unused_result));
void template_free(struct template *t);

/* Appends the rendered text. The buffer's own error tells when it did not fit. 0; -EBADMSG with
 * a reason that names line, column and path (never the value) when a filter refuses its input;
 * -ENOMEM. Allocates only for filters and for objects that go into strings. */
int template_render(const struct template *t, const struct path_source *source,
                    enum template_escape escape, struct buf *out, char *ret_reason,
                    size_t reason_size) __attribute__((warn_unused_result));

/* The mask of roots (enrichment.h) that its paths need to have been looked up. */
unsigned template_needs(const struct template *t);

/* True when there is no placeholder at all: render once, use often. */
bool template_is_constant(const struct template *t);

/* For text templates: looks for the first literal byte that unwanted() is true for. Returns
 * whether there is one, and its offset in the source. Bytes of placeholders do not count. */
bool template_find_literal(const struct template *t, bool (*unwanted)(unsigned char byte),
                           size_t *ret_offset, unsigned char *ret_byte);

#endif
