/*
 * The strict check of JSON text: one pass, no recursion. A loop over four states, each of which
 * looks at one token; the open containers are one bit each. For a view it notes a node per key
 * and value on its way; without one it takes no memory.
 *
 * Each scan_...() takes the place where it begins and returns the one behind what it took, or
 * NULL, and then the scan holds the fault. So the place stays in a register, which counts: every
 * byte of every event passes here.
 */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/jsontext.h"
#include "common/jsontext_plain.h"
#include "common/jsonview.h"
#include "common/utf8.h"

enum { NUMBER_MAX = 1024, WORD_BITS = 64 };

enum state {
    WANT_VALUE,        /* a value must follow */
    WANT_VALUE_OR_END, /* after [ : a value or ] */
    WANT_KEY,          /* after , in an object */
    WANT_KEY_OR_END,   /* after { : a key or } */
    HAVE_VALUE,        /* , or the end of the container, or of the text */
};

struct scan {
    const unsigned char *start, *end;
    unsigned depth, max_depth;
    uint64_t is_object[JSONTEXT_MAX_DEPTH / WORD_BITS]; /* bit per open container */
    const char *fault;                                  /* NULL after a NULL: out of memory */
    const unsigned char *fault_at;
    struct jsonview *view;             /* NULL: only check */
    uint32_t open[JSONTEXT_MAX_DEPTH]; /* node of each open container */
};

static const unsigned char *fail(struct scan *s, const unsigned char *at, const char *fault)
{
    s->fault_at = at;
    s->fault = fault;
    return NULL;
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

/* Notes a key or value that begins at start; of containers the end is not known yet. False: out
 * of memory. */
static inline bool note(struct scan *s, const unsigned char *start, struct jsonview_node node)
{
    struct jsonview *v = s->view;
    if (!v)
        return true;
    if (v->n == v->cap && grow_view(v))
        return false;
    node.at = (uint32_t)(start - s->start);
    v->nodes[v->n++] = node;
    v->nodes[v->n - 1].end = (uint32_t)v->n;
    return true;
}

static inline const unsigned char *skip_space(const unsigned char *p, const unsigned char *end)
{
    while (p < end && *p <= ' ' && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
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

/* p stands on the u of \uXXXX. json-c would put U+FFFD for half a pair, and cut a key at NUL. */
static const unsigned char *scan_unicode_escape(struct scan *s, const unsigned char *p, bool is_key)
{
    const unsigned char *escape = p - 1;
    int32_t unit = hex4(p + 1, s->end);
    if (unit < 0)
        return fail(s, escape, "\\u without four hexadecimal digits");
    if (unit == 0 && is_key)
        return fail(s, escape, "\\u0000 in a key");
    p += 5;
    if (unit < 0xd800 || unit > 0xdfff)
        return p;
    bool paired = unit < 0xdc00 && s->end - p >= 6 && p[0] == '\\' && p[1] == 'u';
    int32_t low = paired ? hex4(p + 2, s->end) : -1;
    if (low < 0xdc00 || low > 0xdfff)
        return fail(s, escape, "half of a surrogate pair");
    return p + 6;
}

/* One special byte within a string, which is no quote. */
static const unsigned char *scan_special(struct scan *s, const unsigned char *p, bool is_key)
{
    if (*p < 0x20)
        return fail(s, p, "a control character in a string");
    if (*p >= 0x80) {
        size_t n = utf8_decode((const char *)p, (size_t)(s->end - p), NULL);
        return n ? p + n : fail(s, p, "invalid UTF-8");
    }
    p++;
    if (p == s->end)
        return fail(s, p, "the text ends in a string");
    if (*p == 'u')
        return scan_unicode_escape(s, p, is_key);
    if (!*p || !strchr("\"\\/bfnrt", *p))
        return fail(s, p - 1, "an unknown escape");
    return p + 1;
}

/* p stands on the opening quote. */
static inline const unsigned char *scan_string(struct scan *s, const unsigned char *p, bool is_key)
{
    const unsigned char *start = ++p;
    bool escaped = false;
    for (;;) {
        p = jsontext_skip_plain(p, s->end, '"');
        if (p == s->end)
            return fail(s, p, "the text ends in a string");
        if (*p == '"')
            break;
        escaped = escaped || *p == '\\';
        p = scan_special(s, p, is_key);
        if (!p)
            return NULL;
    }
    const size_t len = (size_t)(p - start);
    const struct jsonview_node node = {.len = (uint32_t)len,
                                       .type = JSONVIEW_STRING,
                                       .escaped = escaped,
                                       .hint = jsonview_hint(start, len)};
    return note(s, start, node) ? p + 1 : NULL;
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

/* Why json-c would not keep the number of the grammar from p to end, or NULL. */
static const char *number_fault(const unsigned char *p, const unsigned char *end, bool integer)
{
    size_t len = (size_t)(end - p);
    if (len > NUMBER_MAX)
        return "a number of more than 1024 characters";
    if (integer)
        return integer_fits(p, len) ? NULL : "an integer of more than 64 bits";
    return decimal_fits(p, len) ? NULL : "a number that is too large";
}

static const unsigned char *scan_number(struct scan *s, const unsigned char *p)
{
    bool integer;
    const unsigned char *end = number_end(p, s->end, &integer);
    if (!end)
        return fail(s, p, "not a number of JSON");
    const char *fault = number_fault(p, end, integer);
    if (fault)
        return fail(s, p, fault);
    const struct jsonview_node node = {.len = (uint32_t)(end - p), .type = JSONVIEW_NUMBER};
    return note(s, p, node) ? end : NULL;
}

static const unsigned char *scan_word(struct scan *s, const unsigned char *p)
{
    static const struct {
        const char *text;
        size_t len;
        enum jsonview_type type;
    } words[] = {
        {"null", 4, JSONVIEW_NULL}, {"true", 4, JSONVIEW_TRUE}, {"false", 5, JSONVIEW_FALSE}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t len = words[i].len;
        if ((size_t)(s->end - p) >= len && memcmp(p, words[i].text, len) == 0) {
            const struct jsonview_node node = {.len = (uint32_t)len,
                                               .type = (uint8_t)words[i].type};
            return note(s, p, node) ? p + len : NULL;
        }
    }
    return fail(s, p, "not a value of JSON");
}

static const unsigned char *open_container(struct scan *s, const unsigned char *p, bool object,
                                           enum state *ret_next)
{
    const struct jsonview_node node = {.type = object ? JSONVIEW_OBJECT : JSONVIEW_ARRAY};
    if (s->depth == s->max_depth)
        return fail(s, p, "too many levels");
    uint64_t bit = UINT64_C(1) << (s->depth % WORD_BITS);
    if (object)
        s->is_object[s->depth / WORD_BITS] |= bit;
    else
        s->is_object[s->depth / WORD_BITS] &= ~bit;
    if (s->view)
        s->open[s->depth] = (uint32_t)s->view->n;
    s->depth++;
    *ret_next = object ? WANT_KEY_OR_END : WANT_VALUE_OR_END;
    return note(s, p, node) ? p + 1 : NULL;
}

/* p stands on the bracket. */
static const unsigned char *close_container(struct scan *s, const unsigned char *p)
{
    s->depth--;
    p++;
    if (!s->view)
        return p;
    struct jsonview_node *node = &s->view->nodes[s->open[s->depth]];
    node->len = (uint32_t)(p - s->start) - node->at;
    node->end = (uint32_t)s->view->n;
    return p;
}

static bool in_object(const struct scan *s)
{
    unsigned level = s->depth - 1;
    return s->is_object[level / WORD_BITS] >> (level % WORD_BITS) & 1;
}

static inline const unsigned char *scan_value(struct scan *s, const unsigned char *p,
                                              enum state *next)
{
    unsigned char c = *p;
    if (c == ']' && *next == WANT_VALUE_OR_END) {
        *next = HAVE_VALUE;
        return close_container(s, p);
    }
    if (c == '{' || c == '[')
        return open_container(s, p, c == '{', next);
    *next = HAVE_VALUE;
    if (c == '"')
        return scan_string(s, p, false);
    if (c == '-' || (c >= '0' && c <= '9'))
        return scan_number(s, p);
    return scan_word(s, p);
}

static inline const unsigned char *scan_key(struct scan *s, const unsigned char *p,
                                            enum state *next)
{
    if (*p == '}' && *next == WANT_KEY_OR_END) {
        *next = HAVE_VALUE;
        return close_container(s, p);
    }
    if (*p != '"')
        return fail(s, p, "expected a key in double quotes");
    p = scan_string(s, p, true);
    if (!p)
        return NULL;
    p = skip_space(p, s->end);
    if (p == s->end || *p != ':')
        return fail(s, p, "expected a colon after the key");
    *next = WANT_VALUE;
    return p + 1;
}

static inline const unsigned char *scan_after_value(struct scan *s, const unsigned char *p,
                                                    enum state *next)
{
    if (!s->depth)
        return fail(s, p, "more text after the value");
    bool object = in_object(s);
    if (*p == ',') {
        *next = object ? WANT_KEY : WANT_VALUE;
        return p + 1;
    }
    if (*p == (object ? '}' : ']'))
        return close_container(s, p);
    return fail(s, p, object ? "expected , or } in an object" : "expected , or ] in a list");
}

/* Whether all of the text is one value. */
static bool scan_all(struct scan *s)
{
    enum state state = WANT_VALUE;
    const unsigned char *p = s->start;
    while (p) {
        p = skip_space(p, s->end);
        if (p == s->end) {
            if (state == HAVE_VALUE && !s->depth)
                return true;
            p = fail(s, p, p == s->start ? "no text at all" : "the text ends early");
        } else if (state == HAVE_VALUE) {
            p = scan_after_value(s, p, &state);
        } else if (state == WANT_KEY || state == WANT_KEY_OR_END) {
            p = scan_key(s, p, &state);
        } else {
            p = scan_value(s, p, &state);
        }
    }
    return false;
}

/* Checks all of the text, for a view or without one. */
static int scan_text(const char *text, size_t len, unsigned max_depth, struct jsonview *view,
                     struct jsontext_fault *ret_fault)
{
    const unsigned char *start = (const unsigned char *)text;
    struct scan s; /* not zeroed as a whole: its stack is large, and written before it is read */
    s.start = start;
    s.end = start + len;
    s.depth = 0;
    s.max_depth = max_depth < JSONTEXT_MAX_DEPTH ? max_depth : JSONTEXT_MAX_DEPTH;
    memset(s.is_object, 0, sizeof(s.is_object));
    s.fault = NULL;
    s.fault_at = start;
    s.view = view;
    if (scan_all(&s))
        return 0;
    *ret_fault =
        (struct jsontext_fault){s.fault ? s.fault : "out of memory", (size_t)(s.fault_at - start)};
    return s.fault ? -EBADMSG : -ENOMEM;
}

static void tell_fault(int r, const struct jsontext_fault *fault, char *ret_reason,
                       size_t reason_size)
{
    if (r == -EBADMSG)
        snprintf(ret_reason, reason_size, "%s, at byte %zu", fault->what, fault->at);
    else if (r)
        snprintf(ret_reason, reason_size, "%s", fault->what);
}

int jsontext_check(const char *text, size_t len, unsigned max_depth, char *ret_reason,
                   size_t reason_size)
{
    struct jsontext_fault fault;
    int r = scan_text(text, len, max_depth, NULL, &fault);
    tell_fault(r, &fault, ret_reason, reason_size);
    return r;
}

int jsonview_parse(struct jsonview *v, const char *text, size_t len, unsigned max_depth,
                   char *ret_reason, size_t reason_size)
{
    struct jsontext_fault fault;
    int r = jsonview_parse_at(v, text, len, max_depth, &fault);
    tell_fault(r, &fault, ret_reason, reason_size);
    return r;
}

int jsonview_parse_at(struct jsonview *v, const char *text, size_t len, unsigned max_depth,
                      struct jsontext_fault *ret_fault)
{
    jsonview_reset(v);
    if (len > UINT32_MAX) {
        *ret_fault = (struct jsontext_fault){"a text of more than 4 GiB", 0};
        return -EBADMSG;
    }
    v->text = text;
    int r = scan_text(text, len, max_depth, v, ret_fault);
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

bool jsontext_is_safe_number(const char *text, size_t len)
{
    const unsigned char *start = (const unsigned char *)text;
    const unsigned char *end = start + len;
    bool integer;
    /* Most strings that are asked for are none, and tell by their first byte. */
    if (!len || (*start != '-' && (*start < '0' || *start > '9')))
        return false;
    return number_end(start, end, &integer) == end && !number_fault(start, end, integer);
}
