#include "common/jsontext.h"

#include <json-c/json.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/jsontext_plain.h"
#include "common/utf8.h"

/* What PHP's json_encode() puts after the backslash (u: \u00XX) for a byte that needs one. */
static char escape_of(unsigned char c)
{
    return (char)(c < 0x20 ? "uuuuuuuubtnufruuuuuuuuuuuuuuuuuu"[c] : c);
}

static const char hex_digits[] = "0123456789abcdef";

static void add_unit(struct buf *out, uint32_t unit)
{
    char text[6] = {'\\',
                    'u',
                    hex_digits[unit >> 12 & 15],
                    hex_digits[unit >> 8 & 15],
                    hex_digits[unit >> 4 & 15],
                    hex_digits[unit & 15]};
    buf_add(out, text, sizeof(text));
}

/* The character at text, which does not stand for itself; returns its length. */
static size_t add_escape(struct buf *out, const char *text, size_t len)
{
    unsigned char byte = (unsigned char)*text;
    if (byte < 0x80) {
        char escape[2] = {'\\', escape_of(byte)};
        if (escape[1] == 'u')
            add_unit(out, byte);
        else
            buf_add(out, escape, sizeof(escape));
        return 1;
    }
    uint32_t c;
    size_t n = utf8_decode(text, len, &c);
    if (!n) { /* against the contract; the output is valid all the same */
        add_unit(out, 0xfffd);
        return 1;
    }
    if (c >= 0x10000) {
        c -= 0x10000;
        add_unit(out, 0xd800 + (c >> 10));
        c = 0xdc00 + (c & 0x3ff);
    }
    add_unit(out, c);
    return n;
}

void jsontext_escape(struct buf *out, const char *text, size_t len)
{
    const char *end = text + len;
    while (text < end) {
        const char *run = text;
        text = (const char *)jsontext_skip_plain((const unsigned char *)text,
                                                 (const unsigned char *)end, '/');
        buf_add(out, run, (size_t)(text - run));
        if (text < end)
            text += add_escape(out, text, (size_t)(end - text));
    }
}

static void print_string(struct buf *out, const char *text, size_t len)
{
    buf_addc(out, '"');
    jsontext_escape(out, text, len);
    buf_addc(out, '"');
}

static void print_object(struct buf *out, struct json_object *value)
{
    char before = '{';
    struct lh_entry *entry;
    for (entry = json_object_get_object(value)->head; entry; entry = entry->next) {
        const char *key = lh_entry_k(entry);
        buf_addc(out, before);
        print_string(out, key, strlen(key));
        buf_addc(out, ':');
        jsontext_print(out, lh_entry_v(entry));
        before = ',';
    }
    buf_adds(out, before == '{' ? "{}" : "}");
}

static void print_array(struct buf *out, struct json_object *value)
{
    size_t n = json_object_array_length(value);
    buf_addc(out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_addc(out, ',');
        jsontext_print(out, json_object_array_get_idx(value, i));
    }
    buf_addc(out, ']');
}

static void print_integer(struct buf *out, struct json_object *value)
{
    char digits[20];
    size_t at = sizeof(digits);
    int64_t number = json_object_get_int64(value);
    /* json-c keeps what is above INT64_MAX as unsigned, and gives it out only as such. */
    uint64_t rest = number < 0 ? -(uint64_t)number : json_object_get_uint64(value);
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (number < 0)
        buf_addc(out, '-');
    buf_add(out, digits + at, sizeof(digits) - at);
}

/* A parsed number prints with the digits it was read from: json-c keeps them. */
static void print_double(struct buf *out, struct json_object *value)
{
    if (isfinite(json_object_get_double(value)))
        buf_adds(out, json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN));
    else
        buf_adds(out, "null"); /* JSON has no word for it; never from parsed text */
}

void jsontext_print(struct buf *out, struct json_object *value)
{
    switch (json_object_get_type(value)) {
    case json_type_null:
        buf_adds(out, "null");
        break;
    case json_type_boolean:
        buf_adds(out, json_object_get_boolean(value) ? "true" : "false");
        break;
    case json_type_int:
        print_integer(out, value);
        break;
    case json_type_double:
        print_double(out, value);
        break;
    case json_type_string:
        print_string(out, json_object_get_string(value), (size_t)json_object_get_string_len(value));
        break;
    case json_type_array:
        print_array(out, value);
        break;
    case json_type_object:
        print_object(out, value);
        break;
    }
}
