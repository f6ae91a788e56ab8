/*
 * Runs of bytes that stand for themselves in a JSON string: what the check and the printer of
 * jsontext.h skip fastest, for most of an event is made of them.
 */
#ifndef MIH_COMMON_JSONTEXT_PLAIN_H
#define MIH_COMMON_JSONTEXT_PLAIN_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

/*
 * The first byte from p on that is a control character, a quote, a backslash, no ASCII, or `too`;
 * end when there is none. Eight at a time while there are eight: each test leaves the top bit
 * of a byte set where it holds; a borrow can only mark bytes behind a true mark, so the first
 * mark is one.
 */
static inline const unsigned char *jsontext_skip_plain(const unsigned char *p,
                                                       const unsigned char *end, unsigned char too)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    while (end - p >= 8) {
        uint64_t x;
        memcpy(&x, p, sizeof(x));
        x = le64toh(x); /* the first byte is the lowest */
        uint64_t quote = x ^ (ones * '"');
        uint64_t slash = x ^ (ones * '\\');
        uint64_t other = x ^ (ones * too);
        uint64_t marks = (x - ones * 0x20) | (quote - ones) | (slash - ones) | (other - ones) | x;
        marks &= ones * 0x80;
        if (marks)
            return p + __builtin_ctzll(marks) / 8;
        p += 8;
    }
    while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\' && *p != too)
        p++;
    return p;
}

#endif
