/*
 * JSON as text: the strict check that json-c leaves open, and the printer of payloads.
 *
 * json-c accepts single quotes, NaN, raw control characters and duplicate keys, and clamps
 * large integers silently. jsontext_check() runs before it and refuses what RFC 8259 refuses,
 * plus integers outside of 64 bits (they would be altered), more than max_depth levels, invalid
 * UTF-8, lone surrogates and duplicate keys of one object's... see jsontext.c for the full list.
 *
 * Printing follows PHP's json_encode() with its default flags, byte for byte (COMPAT 4): "/" as
 * "\/", everything outside ASCII as \uXXXX in lower case, no white space. Unlike there an empty
 * object stays {}. Numbers keep the spelling they arrived with.
 */
#ifndef MIH_COMMON_JSONTEXT_H
#define MIH_COMMON_JSONTEXT_H

#include <stddef.h>

#include "common/buf.h"

struct json_object;

/* 0, or -EBADMSG with the reason and the byte offset in ret_reason ("line"-less: bodies are one
 * line). Never allocates, never recurses. */
int jsontext_check(const char *text, size_t len, unsigned max_depth, char *ret_reason,
                   size_t reason_size) __attribute__((warn_unused_result));

/* Appends text (valid UTF-8) escaped, without quotes. */
void jsontext_escape(struct buf *out, const char *text, size_t len);

/* Appends a whole value; NULL is null. */
void jsontext_print(struct buf *out, struct json_object *value);

/* True when the text is exactly one JSON number (then {{path}} outside of a string is bare). */
int jsontext_is_number(const char *text, size_t len);

#endif
