/*
 * JSON as text: the strict check that json-c leaves open, and the printer of payloads.
 *
 * json-c accepts single quotes, NaN, Infinity and raw control characters, clamps integers of
 * more than 64 bits, puts U+FFFD for half a surrogate pair (and for some whole ones, see
 * jsonview.c) and cuts keys at \u0000, all silently.
 * jsontext_check() runs before it and refuses what RFC 8259 refuses, and everything that json-c
 * would alter: integers outside of int64 and uint64, numbers that become infinite (1e400) or are
 * longer than 1024 characters, half surrogate pairs, \u0000 in keys (in values it is kept),
 * invalid UTF-8. Keys that stand twice are accepted: the last one wins, as in PHP.
 *
 * Printing follows PHP's json_encode() with its default flags, byte for byte, as the receivers
 * know it from the plugin before us: "/" as "\/", everything outside ASCII as \uXXXX in lower
 * case, no white space. Unlike there an empty object stays {}. Numbers keep the spelling they
 * arrived with (but -0, which becomes 0).
 */
#ifndef MIH_COMMON_JSONTEXT_H
#define MIH_COMMON_JSONTEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

struct json_object;

enum { JSONTEXT_MAX_DEPTH = 256 };

/* Accepts one JSON value, of any kind, with at most max_depth levels of objects and lists (and
 * never more than JSONTEXT_MAX_DEPTH; 0 leaves plain values). 0, or -EBADMSG with the reason and
 * the byte it was found at in ret_reason; the reason never quotes the text. Never allocates,
 * never recurses. */
int jsontext_check(const char *text, size_t len, unsigned max_depth, char *ret_reason,
                   size_t reason_size) __attribute__((warn_unused_result));

/* Appends text (UTF-8) escaped, without quotes. Invalid bytes become \ufffd. */
void jsontext_escape(struct buf *out, const char *text, size_t len);

/* Appends a whole value; NULL is null. Recurses as deep as the value. */
void jsontext_print(struct buf *out, struct json_object *value);

/* True when the text is exactly one JSON number by the grammar; jsontext_check() tells whether
 * it is one that survives json-c. */
int jsontext_is_number(const char *text, size_t len);

/* True when it also is one that jsontext_check() accepts, so that any receiver can read it. */
bool jsontext_is_safe_number(const char *text, size_t len);

#endif
