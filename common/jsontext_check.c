/*
 * The strict check of JSON text: one pass, no recursion. A loop over four states, each of which
 * looks at one token; the open containers are one bit each. For a view it notes a node per key
 * and value on its way; without one it takes no memory.
 */
#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/jsontext.h"
#include "common/jsonview.h"
#include "common/utf8.h"

enum { NUMBER_MAX = 1024, WORD_BITS = 64 };

enum state {
    WANT_VALUE,        /* a value must follow */
    WANT_VALUE_OR_END, /* after [ : a value or ] */
    WANT_KEY,          /* after , in an object */
    WANT_KEY_OR_END,   /* after { : a key or } */
    HAVE_VALUE,        /* , or the end of the container, or of the text */
    DONE,
};

struct scan {
    const unsigned char *start, *at, *end;
    unsigned depth, max_depth;
    uint64_t is_object[JSONTEXT_MAX_DEPTH / WORD_BITS]; /* bit per open container */
    const char *fault;
    struct jsonview *view;             /* NULL: only check */
    uint32_t open[JSONTEXT_MAX_DEPTH]; /* node of each open container */
};

static int fail(struct scan *s, const unsigned char *at, const char *fault)
{
    s->at = at;
    s->fault = fault;
    return -EBADMSG;
}

static int grow_view(struct jsonview *v)
{
    size_t cap = v->cap ? v->cap * 2 : 64;
    struct jsonview_node *nodes = reallocarray(v->nodes, cap, sizeof(*nodes));
    if (!nodes)
        return -ENOMEM;
    v->nodes = nodes;
    v->cap = cap;
    return 0;
}

/* Notes a key or value that begins at start; of containers the end is not known yet. */
static inline int note(struct scan *s, enum jsonview_type type, const unsigned char *start,
                       size_t len)
{
    struct jsonview *v = s->view;
    if (!v)
        return 0;
    if (v->n == v->cap && grow_view(v))
        return -ENOMEM;
    struct jsonview_node *node = &v->nodes[v->n++];
    *node = (struct jsonview_node){.at = (uint32_t)(start - s->start),
                                   .len = (uint32_t)len,
                                   .end = (uint32_t)v->n,
                                   .type = (uint8_t)type};
    return 0;
}

static int note_string(struct scan *s, const unsigned char *start, size_t len, bool escaped)
{
    int r = note(s, JSONVIEW_STRING, start, len);
    if (r || !s->view)
        return r;
    struct jsonview_node *node = &s->view->nodes[s->view->n - 1];
    node->escaped = escaped;
    node->hint = jsonview_hint(start, len);
    return 0;
}

static void skip_space(struct scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
        s->at++;
}

/* A byte of a string that needs a closer look. */
static bool is_special(unsigned char c)
{
    return c < 0x20 || c == '"' || c == '\\' || c >= 0x80;
}

/* First special byte from p on; eight at a time while there are eight (each test leaves the top
 * bit of a byte set where it holds; a borrow can only mark bytes behind a true mark, so the first
 * mark is one). */
static const unsigned char *skip_plain(const unsigned char *p, const unsigned char *end)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    while (end - p >= 8) {
        uint64_t x;
        memcpy(&x, p, sizeof(x));
        x = le64toh(x); /* the first byte is the lowest */
        uint64_t quote = x ^ (ones * '"');
        uint64_t slash = x ^ (ones * '\\');
        uint64_t marks = (x - ones * 0x20) | (quote - ones) | (slash - ones) | x;
        marks &= ones * 0x80;
        if (marks)
            return p + __builtin_ctzll(marks) / 8;
        p += 8;
    }
    while (p < end && !is_special(*p))
        p++;
    return p;
}

/* The four hex digits at p, or -1. */
static int32_t hex4(const unsigned char *p, const unsigned char *end)
{
    int32_t value = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int c = p[i];
        if (c >= '0' && c <= '9')
            c -= '0';
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            c = (c | 0x20) - 'a' + 10;
        else
            return -1;
        value = value << 4 | c;
    }
    return value;
}

/* s->at stands on the u of \uXXXX. json-c would put U+FFFD for half a pair, and cut a key at NUL.
 */
static int scan_unicode_escape(struct scan *s, bool is_key)
{
    const unsigned char *escape = s->at - 1;
    int32_t unit = hex4(s->at + 1, s->end);
    if (unit < 0)
        return fail(s, escape, "\\u without four hexadecimal digits");
    if (unit == 0 && is_key)
        return fail(s, escape, "\\u0000 in a key");
    s->at += 5;
    if (unit < 0xd800 || unit > 0xdfff)
        return 0;
    bool paired = unit < 0xdc00 && s->end - s->at >= 6 && s->at[0] == '\\' && s->at[1] == 'u';
    int32_t low = paired ? hex4(s->at + 2, s->end) : -1;
    if (low < 0xdc00 || low > 0xdfff)
        return fail(s, escape, "half of a surrogate pair");
    s->at += 6;
    return 0;
}

/* One special byte within a string, which is no quote. */
static int scan_special(struct scan *s, bool is_key)
{
    unsigned char c = *s->at;
    if (c < 0x20)
        return fail(s, s->at, "a control character in a string");
    if (c >= 0x80) {
        size_t n = utf8_decode((const char *)s->at, (size_t)(s->end - s->at), NULL);
        if (!n)
            return fail(s, s->at, "invalid UTF-8");
        s->at += n;
        return 0;
    }
    s->at++;
    if (s->at == s->end)
        return fail(s, s->at, "the text ends in a string");
    if (*s->at == 'u')
        return scan_unicode_escape(s, is_key);
    if (!*s->at || !strchr("\"\\/bfnrt", *s->at))
        return fail(s, s->at - 1, "an unknown escape");
    s->at++;
    return 0;
}

/* s->at stands on the opening quote. */
static int scan_string(struct scan *s, bool is_key)
{
    const unsigned char *start = ++s->at;
    bool escaped = false;
    for (;;) {
        s->at = skip_plain(s->at, s->end);
        if (s->at == s->end)
            return fail(s, s->at, "the text ends in a string");
        if (*s->at == '"') {
            s->at++;
            return note_string(s, start, (size_t)(s->at - start) - 1, escaped);
        }
        escaped = escaped || *s->at == '\\';
        int r = scan_special(s, is_key);
        if (r)
            return r;
    }
}

static const unsigned char *skip_digits(const unsigned char *p, const unsigned char *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

/* The exponent at p, if there is one: its end; p without one; NULL when it has no digits. */
static const unsigned char *exponent_end(const unsigned char *p, const unsigned char *end)
{
    if (p == end || (*p != 'e' && *p != 'E'))
        return p;
    p++;
    if (p < end && (*p == '+' || *p == '-'))
        p++;
    const unsigned char *digits = p;
    p = skip_digits(p, end);
    return p == digits ? NULL : p;
}

/* End of the number at p by the grammar of RFC 8259, section 6; NULL when it is none. */
static const unsigned char *number_end(const unsigned char *p, const unsigned char *end,
                                       bool *ret_integer)
{
    if (p < end && *p == '-')
        p++;
    const unsigned char *digits = p;
    p = skip_digits(p, end);
    if (p == digits || (*digits == '0' && p - digits > 1))
        return NULL;
    const unsigned char *integer = p;
    if (p < end && *p == '.') {
        digits = ++p;
        p = skip_digits(p, end);
        if (p == digits)
            return NULL;
    }
    p = exponent_end(p, end);
    *ret_integer = p == integer;
    return p;
}

/* An integer of the grammar fits into int64_t or uint64_t. */
static bool integer_fits(const unsigned char *p, size_t len)
{
    const char *limit = *p == '-' ? "9223372036854775808" : "18446744073709551615";
    if (*p == '-') {
        p++;
        len--;
    }
    size_t limit_len = strlen(limit);
    return len < limit_len || (len == limit_len && memcmp(p, limit, len) <= 0);
}

/* A number with a fraction or an exponent stays finite. Few digits cannot leave the range. */
static bool decimal_fits(const unsigned char *p, size_t len)
{
    if (len < 300 && !memchr(p, 'e', len) && !memchr(p, 'E', len))
        return true;
    char copy[NUMBER_MAX + 1];
    memcpy(copy, p, len);
    copy[len] = '\0';
    return isfinite(strtod(copy, NULL)); /* the programs never leave the C locale */
}

static int scan_number(struct scan *s)
{
    bool integer;
    const unsigned char *end = number_end(s->at, s->end, &integer);
    if (!end)
        return fail(s, s->at, "not a number of JSON");
    size_t len = (size_t)(end - s->at);
    if (len > NUMBER_MAX)
        return fail(s, s->at, "a number of more than 1024 characters");
    if (integer && !integer_fits(s->at, len))
        return fail(s, s->at, "an integer of more than 64 bits");
    if (!integer && !decimal_fits(s->at, len))
        return fail(s, s->at, "a number that is too large");
    int r = note(s, JSONVIEW_NUMBER, s->at, len);
    s->at = end;
    return r;
}

static int scan_word(struct scan *s)
{
    static const struct {
        const char *text;
        enum jsonview_type type;
    } words[] = {{"true", JSONVIEW_TRUE}, {"false", JSONVIEW_FALSE}, {"null", JSONVIEW_NULL}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t len = strlen(words[i].text);
        if ((size_t)(s->end - s->at) >= len && memcmp(s->at, words[i].text, len) == 0) {
            s->at += len;
            return note(s, words[i].type, s->at - len, len);
        }
    }
    return fail(s, s->at, "not a value of JSON");
}

static int open_container(struct scan *s, bool object, enum state *ret_next)
{
    if (s->depth == s->max_depth)
        return fail(s, s->at, "too many levels");
    uint64_t bit = UINT64_C(1) << (s->depth % WORD_BITS);
    if (object)
        s->is_object[s->depth / WORD_BITS] |= bit;
    else
        s->is_object[s->depth / WORD_BITS] &= ~bit;
    if (s->view)
        s->open[s->depth] = (uint32_t)s->view->n;
    int r = note(s, object ? JSONVIEW_OBJECT : JSONVIEW_ARRAY, s->at, 0);
    s->depth++;
    s->at++;
    *ret_next = object ? WANT_KEY_OR_END : WANT_VALUE_OR_END;
    return r;
}

/* s->at stands on the bracket. */
static void close_container(struct scan *s)
{
    s->depth--;
    s->at++;
    if (!s->view)
        return;
    struct jsonview_node *node = &s->view->nodes[s->open[s->depth]];
    node->len = (uint32_t)(s->at - s->start) - node->at;
    node->end = (uint32_t)s->view->n;
}

static bool in_object(const struct scan *s)
{
    unsigned level = s->depth - 1;
    return s->is_object[level / WORD_BITS] >> (level % WORD_BITS) & 1;
}

static int scan_value(struct scan *s, enum state *next)
{
    unsigned char c = *s->at;
    if (c == ']' && *next == WANT_VALUE_OR_END) {
        close_container(s);
        *next = HAVE_VALUE;
        return 0;
    }
    if (c == '{' || c == '[')
        return open_container(s, c == '{', next);
    *next = HAVE_VALUE;
    if (c == '"')
        return scan_string(s, false);
    if (c == '-' || (c >= '0' && c <= '9'))
        return scan_number(s);
    return scan_word(s);
}

static int scan_key(struct scan *s, enum state *next)
{
    if (*s->at == '}' && *next == WANT_KEY_OR_END) {
        close_container(s);
        *next = HAVE_VALUE;
        return 0;
    }
    if (*s->at != '"')
        return fail(s, s->at, "expected a key in double quotes");
    int r = scan_string(s, true);
    if (r)
        return r;
    skip_space(s);
    if (s->at == s->end || *s->at != ':')
        return fail(s, s->at, "expected a colon after the key");
    s->at++;
    *next = WANT_VALUE;
    return 0;
}

static int scan_after_value(struct scan *s, enum state *next)
{
    if (!s->depth)
        return fail(s, s->at, "more text after the value");
    bool object = in_object(s);
    if (*s->at == ',') {
        *next = object ? WANT_KEY : WANT_VALUE;
        s->at++;
    } else if (*s->at == (object ? '}' : ']')) {
        close_container(s);
    } else {
        return fail(s, s->at,
                    object ? "expected , or } in an object" : "expected , or ] in a list");
    }
    return 0;
}

static int scan_all(struct scan *s)
{
    enum state state = WANT_VALUE;
    int r = 0;
    while (state != DONE && !r) {
        skip_space(s);
        if (s->at == s->end) {
            if (state != HAVE_VALUE || s->depth)
                return fail(s, s->at, s->at == s->start ? "no text at all" : "the text ends early");
            state = DONE;
        } else if (state == HAVE_VALUE) {
            r = scan_after_value(s, &state);
        } else if (state == WANT_KEY || state == WANT_KEY_OR_END) {
            r = scan_key(s, &state);
        } else {
            r = scan_value(s, &state);
        }
    }
    return r;
}

/* Checks all of the text, for a view or without one. */
static int scan_text(const char *text, size_t len, unsigned max_depth, struct jsonview *view,
                     char *ret_reason, size_t reason_size)
{
    const unsigned char *start = (const unsigned char *)text;
    struct scan s = {.start = start,
                     .at = start,
                     .end = start + len,
                     .max_depth = max_depth < JSONTEXT_MAX_DEPTH ? max_depth : JSONTEXT_MAX_DEPTH,
                     .view = view};
    int r = scan_all(&s);
    if (r == -EBADMSG)
        snprintf(ret_reason, reason_size, "%s, at byte %zu", s.fault, (size_t)(s.at - s.start));
    else if (r)
        snprintf(ret_reason, reason_size, "out of memory");
    return r;
}

int jsontext_check(const char *text, size_t len, unsigned max_depth, char *ret_reason,
                   size_t reason_size)
{
    return scan_text(text, len, max_depth, NULL, ret_reason, reason_size);
}

int jsonview_parse(struct jsonview *v, const char *text, size_t len, unsigned max_depth,
                   char *ret_reason, size_t reason_size)
{
    jsonview_reset(v);
    if (len > UINT32_MAX) {
        snprintf(ret_reason, reason_size, "a text of more than 4 GiB");
        return -EBADMSG;
    }
    v->text = text;
    int r = scan_text(text, len, max_depth, v, ret_reason, reason_size);
    if (r)
        jsonview_reset(v);
    else
        jsonview_make_index(v);
    return r;
}

int jsontext_is_number(const char *text, size_t len)
{
    const unsigned char *start = (const unsigned char *)text;
    bool integer;
    return len && number_end(start, start + len, &integer) == start + len;
}
