/* The compiler of {{path | filter:argument}}. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/jsontext.h"
#include "dispatcher/template_impl.h"

enum { MAX_ARGUMENT = 1024 };

void placeholder_free(struct placeholder *p)
{
    if (!p) {
        return;
    }
    for (size_t i = 0; i < p->n_filters; i++) {
        buf_release(&p->filters[i].argument);
    }
    path_release(&p->path);
    free(p->filters);
    free(p);
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_word_char(char c)
{
    return path_is_key_char(c) || c == '.' || c == '+';
}

/* Moves over the characters that is_part() takes; returns how many bytes. */
static size_t take_while(struct compiler *c, bool (*is_part)(char))
{
    size_t start = c->at;
    while (c->at < c->len && is_part(c->source[c->at])) {
        c->at++;
    }
    return c->at - start;
}

static int parse_key(struct compiler *c, struct placeholder *p)
{
    size_t start = c->at;
    size_t n = take_while(c, path_is_key_char);
    if (n == 0) {
        return compiler_unexpected(c, "a path such as userid or other.key");
    }
    int r = path_add_key(&p->path, c->source + start, n);
    if (r == -E2BIG) {
        return compiler_fault(c, start, "a path may have %d keys at most", PATH_MAX_KEYS);
    }
    return r;
}

static int parse_path(struct compiler *c, struct placeholder *p)
{
    char reason[400];
    size_t start = c->at;
    int r = parse_key(c, p);
    while (r == 0 && c->at < c->len && c->source[c->at] == '.') {
        c->at++;
        r = parse_key(c, p);
    }
    if (r == 0 && path_resolve(&p->path, reason, sizeof(reason)) < 0) {
        return compiler_fault(c, start, "%s", reason);
    }
    return r;
}

static int parse_quoted(struct compiler *c, struct filter *f)
{
    size_t start = c->at;
    char quote = c->source[c->at++];
    while (c->at < c->len && c->source[c->at] != quote) {
        if (c->source[c->at] == '\\') {
            c->at++;
            if (c->at >= c->len || !strchr("\"'\\", c->source[c->at])) {
                return compiler_unexpected(c, "a quote or a backslash after the backslash");
            }
        }
        buf_addc(&f->argument, c->source[c->at++]);
    }
    if (c->at >= c->len) {
        return compiler_fault(c, start, "this quote is not closed");
    }
    c->at++;
    return 0;
}

static bool is_json_word(const struct buf *word)
{
    const char *text = buf_text(word);
    return strcmp(text, "true") == 0 || strcmp(text, "false") == 0 || strcmp(text, "null") == 0 ||
           jsontext_is_safe_number(text, word->len);
}

static int parse_argument(struct compiler *c, struct filter *f)
{
    compiler_skip_space(c);
    size_t start = c->at;
    if (c->at < c->len && (c->source[c->at] == '"' || c->source[c->at] == '\'')) {
        int r = parse_quoted(c, f);
        if (r < 0) {
            return r;
        }
    } else {
        size_t n = take_while(c, is_word_char);
        if (n == 0) {
            return compiler_unexpected(c, "an argument: \"text\", 'text', a word or a number");
        }
        buf_add(&f->argument, c->source + start, n);
        f->argument_is_json = is_json_word(&f->argument);
    }
    int r = buf_error(&f->argument);
    if (r == -EMSGSIZE) {
        return compiler_fault(c, start, "an argument may have %d bytes at most", MAX_ARGUMENT);
    }
    return r;
}

/* Appends an empty filter; NULL when memory is out. */
static struct filter *add_filter(struct placeholder *p, enum filter_kind kind)
{
    struct filter *filters = realloc(p->filters, (p->n_filters + 1) * sizeof(*filters));
    if (!filters) {
        return NULL;
    }
    p->filters = filters;
    struct filter *f = &filters[p->n_filters++];
    *f = (struct filter){.kind = kind};
    buf_init(&f->argument, MAX_ARGUMENT);
    return f;
}

/* Reads what follows a "|". */
static int parse_filter(struct compiler *c, struct placeholder *p)
{
    compiler_skip_space(c);
    size_t start = c->at;
    const char *name = c->source + start;
    size_t n = take_while(c, is_alnum);
    enum filter_kind kind = FILTER_DEFAULT;
    if (n == 0) {
        return compiler_unexpected(c, "the name of a filter");
    }
    if (filter_find(name, n, &kind) < 0) {
        return compiler_fault(c, start, "there is no filter %.*s; there are %s",
                              (int)(n < 20 ? n : 20), name, filter_names);
    }
    if (p->n_filters == TEMPLATE_MAX_FILTERS) {
        return compiler_fault(c, start, "%d filters at most", TEMPLATE_MAX_FILTERS);
    }
    struct filter *f = add_filter(p, kind);
    if (!f) {
        return -ENOMEM;
    }
    compiler_skip_space(c);
    bool has_argument = c->at < c->len && c->source[c->at] == ':';
    if (has_argument != (kind == FILTER_DEFAULT)) {
        return compiler_fault(c, start, "the filter %.*s %s an argument", (int)n, name,
                              has_argument ? "does not take" : "needs");
    }
    if (has_argument) {
        c->at++;
        return parse_argument(c, f);
    }
    return 0;
}

static int parse_inside(struct compiler *c, size_t start, struct placeholder *p)
{
    compiler_skip_space(c);
    int r = parse_path(c, p);
    compiler_skip_space(c);
    while (r == 0 && c->at < c->len && c->source[c->at] == '|') {
        c->at++;
        r = parse_filter(c, p);
        compiler_skip_space(c);
    }
    if (r < 0) {
        return r;
    }
    if (c->at >= c->len) {
        return compiler_fault(c, start, "this \"{{\" has no \"}}\"");
    }
    if (!compiler_sees(c, "}}")) {
        return compiler_unexpected(c, "\"}}\" or \"|\"");
    }
    c->at += 2;
    return 0;
}

int placeholder_parse(struct compiler *c, enum part_kind kind, struct fragment *out)
{
    size_t start = c->at;
    struct placeholder *p = calloc(1, sizeof(*p));
    if (!p) {
        return -ENOMEM;
    }
    c->at += 2;
    int r = parse_inside(c, start, p);
    if (r < 0) {
        placeholder_free(p);
        return r;
    }
    return fragment_placeholder(out, kind, start, p);
}
