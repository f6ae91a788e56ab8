/*
 * The compiler of JSON templates: a strict RFC 8259 parser that takes placeholders where values
 * stand and inside of strings, and writes the literal part in canonical form as it goes.
 * It recurses once per nesting level, at most TEMPLATE_MAX_DEPTH deep.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/jsontext.h"
#include "common/utf8.h"
#include "dispatcher/template_impl.h"

static int parse_value(struct compiler *c, struct fragment *out);

static bool at_char(const struct compiler *c, char wanted)
{
    return c->at < c->len && c->source[c->at] == wanted;
}

static int add_char(struct compiler *c, struct fragment *out, char byte)
{
    return fragment_literal(out, c->at, &byte, 1);
}

/* Reads four hexadecimal digits at c->at. */
static int parse_hex4(struct compiler *c, uint32_t *ret_unit)
{
    uint32_t unit = 0;
    for (unsigned i = 0; i < 4; i++, c->at++) {
        uint32_t byte = c->at < c->len ? (unsigned char)c->source[c->at] : 0;
        uint32_t letter = byte | 0x20;
        uint32_t digit = 0;
        if (byte >= '0' && byte <= '9') {
            digit = byte - '0';
        } else if (letter >= 'a' && letter <= 'f') {
            digit = letter - 'a' + 10;
        } else {
            return compiler_unexpected(c, "four hexadecimal digits after \\u");
        }
        unit = unit << 4 | digit;
    }
    *ret_unit = unit;
    return 0;
}

/* Reads the rest of \uXXXX, and the second half of a surrogate pair. */
static int parse_unicode(struct compiler *c, size_t start, struct buf *text)
{
    uint32_t unit = 0;
    uint32_t low = 0;
    int r = parse_hex4(c, &unit);
    if (r < 0) {
        return r;
    }
    if (unit >= 0xd800 && unit <= 0xdbff && compiler_sees(c, "\\u")) {
        c->at += 2;
        r = parse_hex4(c, &low);
        if (r < 0) {
            return r;
        }
        if (low >= 0xdc00 && low <= 0xdfff) {
            utf8_add(text, 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
            return 0;
        }
    }
    if (unit >= 0xd800 && unit <= 0xdfff) {
        return compiler_fault(c, start, "this is half a surrogate pair");
    }
    utf8_add(text, unit);
    return 0;
}

static int parse_escape(struct compiler *c, struct buf *text)
{
    static const char names[] = "\"\\/bfnrt";
    static const char bytes[] = "\"\\/\b\f\n\r\t";
    size_t start = c->at++;
    if (at_char(c, 'u')) {
        c->at++;
        return parse_unicode(c, start, text);
    }
    const char *found = c->at < c->len ? strchr(names, c->source[c->at]) : NULL;
    if (!found) {
        return compiler_unexpected(c, "one of \" \\ / b f n r t u after the backslash");
    }
    buf_addc(text, bytes[found - names]);
    c->at++;
    return 0;
}

/* Reads literal text up to the closing quote or the next placeholder. */
static int parse_string_run(struct compiler *c, size_t opened_at, struct buf *text)
{
    while (!at_char(c, '"') && !compiler_sees(c, "{{")) {
        if (c->at >= c->len) {
            return compiler_fault(c, opened_at, "this string is not closed");
        }
        if ((unsigned char)c->source[c->at] < 0x20) {
            return compiler_fault(c, c->at, "the byte 0x%02x must be escaped in a string",
                                  (unsigned char)c->source[c->at]);
        }
        if (c->source[c->at] == '\\') {
            int r = parse_escape(c, text);
            if (r < 0) {
                return r;
            }
            continue;
        }
        buf_addc(text, c->source[c->at++]);
    }
    return buf_error(text);
}

/* Appends decoded text in canonical form. */
static int add_escaped(struct compiler *c, struct fragment *out, const struct buf *text)
{
    struct buf escaped;
    buf_init(&escaped, (size_t)TEMPLATE_MAX_SOURCE * 6);
    jsontext_escape(&escaped, buf_text(text), text->len);
    int r = buf_error(&escaped);
    if (r == 0) {
        r = fragment_literal(out, c->at, buf_text(&escaped), escaped.len);
    }
    buf_release(&escaped);
    return r;
}

/* Reads a string, c->at on its opening quote. */
static int parse_string(struct compiler *c, struct fragment *out)
{
    size_t opened_at = c->at++;
    struct buf text;
    buf_init(&text, TEMPLATE_MAX_SOURCE);
    int r = add_char(c, out, '"');
    while (r == 0 && !at_char(c, '"')) {
        if (compiler_sees(c, "{{")) {
            r = placeholder_parse(c, PART_IN_STRING, out);
            continue;
        }
        buf_reset(&text);
        r = parse_string_run(c, opened_at, &text);
        if (r == 0) {
            r = add_escaped(c, out, &text);
        }
    }
    buf_release(&text);
    if (r < 0) {
        return r;
    }
    c->at++;
    return add_char(c, out, '"');
}

static int parse_number(struct compiler *c, struct fragment *out)
{
    size_t start = c->at;
    while (c->at < c->len && c->source[c->at] && strchr("+-.0123456789eE", c->source[c->at])) {
        c->at++;
    }
    const char *text = c->source + start;
    size_t n = c->at - start;
    if (!jsontext_is_number(text, n)) {
        return compiler_fault(c, start, "%.*s is not a JSON number", (int)(n < 40 ? n : 40), text);
    }
    if (!jsontext_is_safe_number(text, n)) {
        return compiler_fault(c, start, "the number %.*s is out of range", (int)(n < 40 ? n : 40),
                              text);
    }
    return fragment_literal(out, start, text, n);
}

static int parse_word(struct compiler *c, struct fragment *out)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (compiler_sees(c, words[i])) {
            size_t n = strlen(words[i]);
            c->at += n;
            return fragment_literal(out, c->at - n, words[i], n);
        }
    }
    return compiler_unexpected(c, "a JSON value or a placeholder");
}

/* One "key":value of an object under construction. */
struct member {
    struct fragment key;
    struct fragment value;
};

struct members {
    struct member *list;
    size_t n;
    size_t cap;
};

static void members_release(struct members *m)
{
    for (size_t i = 0; i < m->n; i++) {
        fragment_release(&m->list[i].key);
        fragment_release(&m->list[i].value);
    }
    free(m->list);
}

static struct member *members_add(struct members *m)
{
    if (m->n == m->cap) {
        size_t cap = m->cap > 0 ? m->cap * 2 : 8;
        struct member *list = realloc(m->list, cap * sizeof(*list));
        if (!list) {
            return NULL;
        }
        m->list = list;
        m->cap = cap;
    }
    struct member *member = &m->list[m->n++];
    *member = (struct member){0};
    return member;
}

static bool same_literal_key(const struct fragment *a, const struct fragment *b)
{
    return a->n == 1 && b->n == 1 && a->parts[0].kind == PART_LITERAL &&
           b->parts[0].kind == PART_LITERAL && a->parts[0].literal.len == b->parts[0].literal.len &&
           memcmp(a->parts[0].literal.data, b->parts[0].literal.data, a->parts[0].literal.len) == 0;
}

/* Of two equal keys the last value wins, at the place of the first one, as in PHP. */
static void members_drop_repeated(struct members *m)
{
    struct member *last = &m->list[m->n - 1];
    for (size_t i = 0; i + 1 < m->n; i++) {
        if (same_literal_key(&m->list[i].key, &last->key)) {
            fragment_release(&m->list[i].value);
            m->list[i].value = last->value;
            fragment_release(&last->key);
            m->n--;
            return;
        }
    }
}

static int parse_member(struct compiler *c, struct members *m)
{
    compiler_skip_space(c);
    if (!at_char(c, '"')) {
        return compiler_unexpected(c, "a key in double quotes");
    }
    struct member *member = members_add(m);
    if (!member) {
        return -ENOMEM;
    }
    int r = parse_string(c, &member->key);
    if (r < 0) {
        return r;
    }
    compiler_skip_space(c);
    if (!at_char(c, ':')) {
        return compiler_unexpected(c, "':'");
    }
    c->at++;
    r = parse_value(c, &member->value);
    if (r == 0) {
        members_drop_repeated(m);
    }
    return r;
}

static int parse_members(struct compiler *c, struct members *m)
{
    for (;;) {
        int r = parse_member(c, m);
        if (r < 0) {
            return r;
        }
        compiler_skip_space(c);
        if (at_char(c, '}')) {
            c->at++;
            return 0;
        }
        if (!at_char(c, ',')) {
            return compiler_unexpected(c, "',' or '}'");
        }
        c->at++;
    }
}

static int write_members(struct compiler *c, struct members *m, struct fragment *out)
{
    int r = add_char(c, out, '{');
    for (size_t i = 0; r == 0 && i < m->n; i++) {
        r = i > 0 ? add_char(c, out, ',') : 0;
        r = r < 0 ? r : fragment_move(out, &m->list[i].key);
        r = r < 0 ? r : add_char(c, out, ':');
        r = r < 0 ? r : fragment_move(out, &m->list[i].value);
    }
    return r < 0 ? r : add_char(c, out, '}');
}

static int parse_object(struct compiler *c, struct fragment *out)
{
    struct members members = {0};
    int r = 0;
    c->at++;
    compiler_skip_space(c);
    if (at_char(c, '}')) {
        c->at++;
    } else {
        r = parse_members(c, &members);
    }
    if (r == 0) {
        r = write_members(c, &members, out);
    }
    members_release(&members);
    return r;
}

static int parse_items(struct compiler *c, struct fragment *out)
{
    for (;;) {
        int r = parse_value(c, out);
        if (r < 0) {
            return r;
        }
        compiler_skip_space(c);
        if (!at_char(c, ']') && !at_char(c, ',')) {
            return compiler_unexpected(c, "',' or ']'");
        }
        char mark = c->source[c->at++];
        r = add_char(c, out, mark);
        if (r < 0 || mark == ']') {
            return r;
        }
    }
}

static int parse_array(struct compiler *c, struct fragment *out)
{
    int r = add_char(c, out, '[');
    if (r < 0) {
        return r;
    }
    c->at++;
    compiler_skip_space(c);
    if (at_char(c, ']')) {
        c->at++;
        return add_char(c, out, ']');
    }
    return parse_items(c, out);
}

static int parse_nested(struct compiler *c, struct fragment *out)
{
    if (c->depth == TEMPLATE_MAX_DEPTH) {
        return compiler_fault(c, c->at, "nested deeper than %d levels", TEMPLATE_MAX_DEPTH);
    }
    c->depth++;
    int r = at_char(c, '{') ? parse_object(c, out) : parse_array(c, out);
    c->depth--;
    return r;
}

static int parse_value(struct compiler *c, struct fragment *out)
{
    compiler_skip_space(c);
    if (compiler_sees(c, "{{")) {
        return placeholder_parse(c, PART_VALUE, out);
    }
    if (at_char(c, '{') || at_char(c, '[')) {
        return parse_nested(c, out);
    }
    if (at_char(c, '"')) {
        return parse_string(c, out);
    }
    if (at_char(c, '-') || (c->at < c->len && c->source[c->at] >= '0' && c->source[c->at] <= '9')) {
        return parse_number(c, out);
    }
    return parse_word(c, out);
}

int template_compile_json(struct compiler *c, struct fragment *out)
{
    int r = parse_value(c, out);
    if (r < 0) {
        return r;
    }
    compiler_skip_space(c);
    if (c->at < c->len) {
        return compiler_unexpected(c, "nothing after the JSON value");
    }
    return 0;
}
