/*
 * Exact comparison of numbers as they are written: no conversion, so that 9007199254740993 is not
 * 9007199254740992, 0.1 is 1e-1, and "9.50000" is 9.5. Pure.
 */
#ifndef MIH_DISPATCHER_DECIMAL_H
#define MIH_DISPATCHER_DECIMAL_H

#include <stddef.h>

/* Below, equal or above 0 as a is less than, equal to or greater than b. Both are JSON numbers
 * (jsontext_is_number()). Exponents beyond 10^15 count as that. */
int decimal_compare(const char *a, size_t a_len, const char *b, size_t b_len);

#endif
