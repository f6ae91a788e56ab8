/*
 * UTF-8, one character at a time. Strict as RFC 3629: no overlong forms, no surrogates, nothing
 * above U+10FFFF. Pure; neither needs nor changes a locale.
 */
#ifndef MIH_COMMON_UTF8_H
#define MIH_COMMON_UTF8_H

#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

/* Reads the character at the start of text. Returns its length in bytes, 1 to 4, or 0 when
 * there is no valid one (or len is 0). ret_char may be NULL. */
size_t utf8_decode(const char *text, size_t len, uint32_t *ret_char);

/* Appends the character, which must be a Unicode scalar value. */
void utf8_add(struct buf *out, uint32_t c);

/* Offset of the first byte that does not belong to a valid character; len when there is none. */
size_t utf8_invalid_at(const char *text, size_t len);

/* Line and column, both from 1, of an offset in a text; columns count characters. */
void utf8_place(const char *text, size_t at, unsigned *ret_line, unsigned *ret_column);

/* Copies foreign text so that it is safe in a log, a header and a page: control bytes and what is
 * not UTF-8 become \xNN, and it ends, with a NUL, between two characters within size (above 0). */
void utf8_copy_safe(char *ret_text, size_t size, const char *text, size_t len);

/* Copies foreign text for people to read: its line feeds and tabs stay, other control bytes become
 * spaces and what is not UTF-8 "?". It ends, with a NUL, between two characters within size (above
 * 0). */
void utf8_copy_printable(char *ret_text, size_t size, const char *text, size_t len);

#endif
