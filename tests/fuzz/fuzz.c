#include "tests/fuzz/fuzz.h"

#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/jsontext.h"
#include "common/utf8.h"

static const char untouched[] = "(no reason was written)";

void fuzz_tell(const char *condition, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "PROPERTY does not hold: %s\n  ", condition);
    vfprintf(stderr, format, arguments);
    fputs("\n", stderr);
    va_end(arguments);
}

static char *copy(const uint8_t *data, size_t len)
{
    char *text = malloc(len + 1);
    if (!text)
        abort();
    if (len)
        memcpy(text, data, len);
    text[len] = '\0';
    return text;
}

void fields_cut(struct fields *f, size_t n, const uint8_t *data, size_t size)
{
    *f = (struct fields){0};
    for (size_t i = 0; i < n; i++) {
        const uint8_t *end = i + 1 < n && size ? memchr(data, 0, size) : NULL;
        size_t len = end ? (size_t)(end - data) : size;
        f->text[i] = copy(data, len);
        f->len[i] = len;
        data += end ? len + 1 : len;
        size -= end ? len + 1 : len;
    }
}

void fields_release(struct fields *f)
{
    for (size_t i = 0; i < FUZZ_FIELDS; i++)
        free(f->text[i]);
}

const char *field_or_null(const struct fields *f, size_t i)
{
    return strcmp(f->text[i], "\1") == 0 ? NULL : f->text[i];
}

bool is_plain(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] < 0x20)
            return false;
    return true;
}

void reason_clear(char *reason, size_t size)
{
    memset(reason, 0x7f, size);
    memcpy(reason, untouched, sizeof untouched);
}

void reason_check(const char *reason, size_t size)
{
    size_t len = strnlen(reason, size);
    PROPERTY(len > 0 && len < size, "length %zu of %zu", len, size);
    PROPERTY(strcmp(reason, untouched) != 0, "it failed without a reason");
    PROPERTY(utf8_invalid_at(reason, len) == len, "not UTF-8: %s", reason);
    for (size_t i = 0; i < len; i++)
        PROPERTY((unsigned char)reason[i] >= 0x20 && reason[i] != 0x7f, "control byte in: %s",
                 reason);
}

void json_check(const char *text, size_t len)
{
    static const char allowed[] = "\\u0000 in a key";
    char reason[200];
    int r = jsontext_check(text, len, JSONTEXT_MAX_DEPTH, reason, sizeof reason);
    PROPERTY(r == 0 || strncmp(reason, allowed, sizeof allowed - 1) == 0, "%s: %s", reason, text);
}

/* The text with characters in place of escaped surrogate pairs: json-c misreads some of them. */
static void add_without_pairs(struct buf *out, const char *text)
{
    while (*text) {
        unsigned high = 0, low = 0;
        bool escape = *text == '\\';
        /* The check has seen four digits after each u. */
        // NOLINTNEXTLINE(cert-err34-c)
        if (escape && sscanf(text, "\\u%4x\\u%4x", &high, &low) == 2 && high >> 10 == 0x36) {
            utf8_add(out, 0x10000 + ((high & 0x3ff) << 10) + (low & 0x3ff));
            text += 12;
        } else {
            buf_add(out, text, escape ? 2 : 1);
            text += escape ? 2 : 1;
        }
    }
}

struct json_object *json_of(const char *text, size_t len)
{
    struct json_tokener *parser = json_tokener_new_ex(JSONTEXT_MAX_DEPTH + 1);
    char *terminated = copy((const uint8_t *)text, len);
    struct buf plain;
    if (!parser)
        abort();
    buf_init(&plain, len);
    add_without_pairs(&plain, terminated);
    json_tokener_set_flags(parser, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    /* With its NUL: json-c waits for what ends a number. */
    struct json_object *value = json_tokener_parse_ex(parser, buf_text(&plain), (int)plain.len + 1);
    enum json_tokener_error error = json_tokener_get_error(parser);
    PROPERTY(error == json_tokener_success, "json-c: %s", json_tokener_error_desc(error));
    json_tokener_free(parser);
    buf_release(&plain);
    free(terminated);
    return value;
}

void add_skeleton(struct buf *out, const char *text)
{
    bool inside = false;
    for (; *text; text++) {
        if (inside && *text == '\\' && text[1]) {
            text++;
            continue;
        }
        if (*text == '"')
            inside = !inside;
        if (*text == '"' || !inside)
            buf_addc(out, *text);
    }
}
