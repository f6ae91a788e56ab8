/* The life of a template, its list of parts, and what compiling has in common. */
#include "dispatcher/template.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"
#include "dispatcher/template_impl.h"

int compiler_fault(const struct compiler *c, size_t at, const char *format, ...)
{
    unsigned line = 0;
    unsigned column = 0;
    char what[440];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    utf8_place(c->source, at, &line, &column);
    (void)snprintf(c->reason, c->reason_size, "line %u, column %u: %s", line, column, what);
    return -EINVAL;
}

int compiler_unexpected(const struct compiler *c, const char *expected)
{
    if (c->at >= c->len) {
        return compiler_fault(c, c->at, "expected %s, but the template ends", expected);
    }
    unsigned char byte = (unsigned char)c->source[c->at];
    if (byte > 0x20 && byte < 0x7f) {
        return compiler_fault(c, c->at, "expected %s, not '%c'", expected, byte);
    }
    return compiler_fault(c, c->at, "expected %s, not the byte 0x%02x", expected, byte);
}

void compiler_skip_space(struct compiler *c)
{
    while (c->at < c->len && strchr(" \t\r\n", c->source[c->at])) {
        c->at++;
    }
}

bool compiler_sees(const struct compiler *c, const char *text)
{
    size_t n = strlen(text);
    return c->len - c->at >= n && memcmp(c->source + c->at, text, n) == 0;
}

/* Room for one more part, zeroed but for its place; NULL when memory is out. */
static struct part *fragment_add(struct fragment *f, enum part_kind kind, size_t source_at)
{
    if (!f->parts || f->n == f->cap) {
        size_t cap = f->cap > 0 ? f->cap * 2 : 4;
        struct part *parts = realloc(f->parts, cap * sizeof(*parts));
        if (!parts) {
            return NULL;
        }
        f->parts = parts;
        f->cap = cap;
    }
    struct part *p = &f->parts[f->n++];
    *p = (struct part){.kind = kind, .source_at = source_at};
    buf_init(&p->literal, (size_t)TEMPLATE_MAX_SOURCE * 6);
    return p;
}

int fragment_literal(struct fragment *f, size_t source_at, const char *text, size_t len)
{
    struct part *last = f->n > 0 ? &f->parts[f->n - 1] : NULL;
    if (!last || last->kind != PART_LITERAL) {
        last = fragment_add(f, PART_LITERAL, source_at);
        if (!last) {
            return -ENOMEM;
        }
    }
    buf_add(&last->literal, text, len);
    return buf_error(&last->literal);
}

int fragment_placeholder(struct fragment *f, enum part_kind kind, size_t source_at,
                         struct placeholder *p)
{
    struct part *part = fragment_add(f, kind, source_at);
    if (!part) {
        placeholder_free(p);
        return -ENOMEM;
    }
    part->placeholder = p;
    return 0;
}

int fragment_move(struct fragment *f, struct fragment *from)
{
    for (size_t i = 0; i < from->n; i++) {
        struct part *p = &from->parts[i];
        if (p->kind == PART_LITERAL) {
            int r = fragment_literal(f, p->source_at, buf_text(&p->literal), p->literal.len);
            if (r < 0) {
                return r;
            }
            continue;
        }
        struct placeholder *placeholder = p->placeholder;
        p->placeholder = NULL;
        int r = fragment_placeholder(f, p->kind, p->source_at, placeholder);
        if (r < 0) {
            return r;
        }
    }
    fragment_release(from);
    return 0;
}

void fragment_release(struct fragment *f)
{
    for (size_t i = 0; i < f->n; i++) {
        buf_release(&f->parts[i].literal);
        placeholder_free(f->parts[i].placeholder);
    }
    free(f->parts);
    *f = (struct fragment){0};
}

static int compile_text(struct compiler *c, struct fragment *out)
{
    while (c->at < c->len) {
        int r = 0;
        if (compiler_sees(c, "{{")) {
            r = placeholder_parse(c, PART_PLAIN, out);
        } else {
            const char *start = c->source + c->at;
            const char *next = strstr(start, "{{");
            size_t n = next ? (size_t)(next - start) : c->len - c->at;
            r = fragment_literal(out, c->at, start, n);
            c->at += n;
        }
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

static int check_source(const struct compiler *c)
{
    if (c->len > TEMPLATE_MAX_SOURCE) {
        return compiler_fault(c, TEMPLATE_MAX_SOURCE, "the template is longer than %d bytes",
                              TEMPLATE_MAX_SOURCE);
    }
    size_t bad = utf8_invalid_at(c->source, c->len);
    if (bad < c->len) {
        return compiler_fault(c, bad, "the byte 0x%02x is not valid UTF-8",
                              (unsigned char)c->source[bad]);
    }
    return 0;
}

int template_compile(enum template_kind kind, const char *source, struct template **ret_template,
                     char *ret_reason, size_t reason_size)
{
    struct template *t = calloc(1, sizeof(*t));
    if (!t) {
        return -ENOMEM;
    }
    t->kind = kind;
    t->source = strdup(source);
    if (!t->source) {
        template_free(t);
        return -ENOMEM;
    }
    struct compiler c = {.source = t->source,
                         .len = strlen(source),
                         .reason = ret_reason,
                         .reason_size = reason_size};
    int r = check_source(&c);
    if (r == 0) {
        r = kind == TEMPLATE_JSON ? template_compile_json(&c, &t->body)
                                  : compile_text(&c, &t->body);
    }
    if (r < 0) {
        template_free(t);
        return r;
    }
    for (size_t i = 0; i < t->body.n; i++) {
        const struct placeholder *p = t->body.parts[i].placeholder;
        t->needs |= p ? path_needs(&p->path) : 0;
    }
    *ret_template = t;
    return 0;
}

void template_free(struct template *t)
{
    if (!t) {
        return;
    }
    fragment_release(&t->body);
    free(t->source);
    free(t);
}

unsigned template_needs(const struct template *t)
{
    return t->needs;
}

bool template_is_constant(const struct template *t)
{
    return t->body.n == 0 || (t->body.n == 1 && t->body.parts[0].kind == PART_LITERAL);
}

bool template_find_literal(const struct template *t, bool (*unwanted)(unsigned char byte),
                           size_t *ret_offset, unsigned char *ret_byte)
{
    for (size_t i = 0; i < t->body.n; i++) {
        const struct part *p = &t->body.parts[i];
        for (size_t k = 0; k < p->literal.len; k++) {
            unsigned char byte = (unsigned char)p->literal.data[k];
            if (unwanted(byte)) {
                *ret_offset = p->source_at + k;
                *ret_byte = byte;
                return true;
            }
        }
    }
    return false;
}
