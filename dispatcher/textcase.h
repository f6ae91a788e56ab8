/*
 * Upper and lower case without a locale, for the template filters of the same names.
 *
 * Exactly Unicode's simple mappings (one character becomes one character; the sharp s stays as
 * it is) for ASCII and for U+0080 to U+052F and U+1E00 to U+1EFF: Latin, Greek and Cyrillic.
 * Every other character is copied. PHP's mb_convert_case() with MB_CASE_UPPER_SIMPLE and
 * MB_CASE_LOWER_SIMPLE gives the same for these characters.
 */
#ifndef MIH_DISPATCHER_TEXTCASE_H
#define MIH_DISPATCHER_TEXTCASE_H

#include <stddef.h>

#include "common/buf.h"

/* Append the text in the other case. Bytes that are not UTF-8 are copied. */
void textcase_upper(struct buf *out, const char *text, size_t len);
void textcase_lower(struct buf *out, const char *text, size_t len);

#endif
