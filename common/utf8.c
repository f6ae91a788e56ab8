#include "common/utf8.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Length that the first byte announces, and the bits of the character that it carries. */
static size_t lead(unsigned char byte, uint32_t *ret_bits)
{
    if (byte >= 0xc2 && byte <= 0xdf) {
        *ret_bits = byte & 0x1fU;
        return 2;
    }
    if ((byte & 0xf0U) == 0xe0) {
        *ret_bits = byte & 0x0fU;
        return 3;
    }
    if (byte >= 0xf0 && byte <= 0xf4) {
        *ret_bits = byte & 0x07U;
        return 4;
    }
    return 0;
}

static int is_scalar_of_length(uint32_t c, size_t length)
{
    if (length == 3) {
        return c >= 0x800 && (c < 0xd800 || c > 0xdfff);
    }
    return length == 2 || (c >= 0x10000 && c <= 0x10ffff);
}

size_t utf8_decode(const char *text, size_t len, uint32_t *ret_char)
{
    if (len == 0) {
        return 0;
    }
    uint32_t c = (unsigned char)text[0];
    size_t length = 1;
    if (c >= 0x80) {
        length = lead((unsigned char)text[0], &c);
        if (length == 0 || length > len) {
            return 0;
        }
        for (size_t i = 1; i < length; i++) {
            unsigned char byte = (unsigned char)text[i];
            if ((byte & 0xc0U) != 0x80) {
                return 0;
            }
            c = c << 6 | (byte & 0x3fU);
        }
        if (!is_scalar_of_length(c, length)) {
            return 0;
        }
    }
    if (ret_char) {
        *ret_char = c;
    }
    return length;
}

void utf8_add(struct buf *out, uint32_t c)
{
    char bytes[4];
    size_t n = 0;
    if (c < 0x80) {
        bytes[n++] = (char)c;
    } else if (c < 0x800) {
        bytes[n++] = (char)(0xc0 | c >> 6);
        bytes[n++] = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        bytes[n++] = (char)(0xe0 | c >> 12);
        bytes[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        bytes[n++] = (char)(0x80 | (c & 0x3f));
    } else {
        bytes[n++] = (char)(0xf0 | c >> 18);
        bytes[n++] = (char)(0x80 | (c >> 12 & 0x3f));
        bytes[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        bytes[n++] = (char)(0x80 | (c & 0x3f));
    }
    buf_add(out, bytes, n);
}

size_t utf8_invalid_at(const char *text, size_t len)
{
    size_t at = 0;
    while (at < len) {
        size_t n = utf8_decode(text + at, len - at, NULL);
        if (n == 0) {
            return at;
        }
        at += n;
    }
    return len;
}

void utf8_copy_safe(char *ret_text, size_t size, const char *text, size_t len)
{
    size_t used = 0;
    for (size_t at = 0; at < len;) {
        uint32_t c = 0;
        size_t n = utf8_decode(text + at, len - at, &c);
        bool is_safe = n > 0 && c >= 0x20 && (c < 0x7f || c > 0x9f);
        size_t width = is_safe ? n : (n > 0 ? n : 1) * 4;
        if (used + width >= size) {
            break;
        }
        if (is_safe) {
            memcpy(ret_text + used, text + at, n);
        } else {
            for (size_t i = 0; i < width / 4; i++) {
                (void)snprintf(ret_text + used + 4 * i, 5, "\\x%02x", (unsigned char)text[at + i]);
            }
        }
        used += width;
        at += n > 0 ? n : 1;
    }
    ret_text[used] = '\0';
}

void utf8_copy_printable(char *ret_text, size_t size, const char *text, size_t len)
{
    size_t used = 0;
    for (size_t at = 0; at < len;) {
        uint32_t c = 0;
        size_t n = utf8_decode(text + at, len - at, &c);
        bool is_control = c != '\n' && c != '\t' && (c < 0x20 || (c >= 0x7f && c <= 0x9f));
        size_t width = n == 0 || is_control ? 1 : n;
        if (used + width >= size) {
            break;
        }
        if (n == 0 || is_control) {
            ret_text[used] = n == 0 ? '?' : ' ';
        } else {
            memcpy(ret_text + used, text + at, n);
        }
        used += width;
        at += n > 0 ? n : 1;
    }
    ret_text[used] = '\0';
}

void utf8_place(const char *text, size_t at, unsigned *ret_line, unsigned *ret_column)
{
    unsigned line = 1;
    unsigned column = 1;
    for (size_t i = 0; i < at; i++) {
        if (text[i] == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)text[i] & 0xc0U) != 0x80) {
            column++;
        }
    }
    *ret_line = line;
    *ret_column = column;
}
