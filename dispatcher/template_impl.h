/*
 * What the files of the template module share, and nobody else includes.
 *
 * A compiled template is a flat list of parts: literal text, and placeholders that know whether
 * they stand inside of a JSON string, outside of one, or in plain text. The template owns all.
 */
#ifndef MIH_DISPATCHER_TEMPLATE_IMPL_H
#define MIH_DISPATCHER_TEMPLATE_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/jsonview.h"
#include "dispatcher/path.h"
#include "dispatcher/template.h"

enum filter_kind {
    FILTER_DEFAULT,
    FILTER_STRING,
    FILTER_UPPER,
    FILTER_LOWER,
    FILTER_URLENCODE,
    FILTER_ISO8601,
    FILTER_SHA256,
    FILTER_JSON,
};

struct filter {
    enum filter_kind kind;
    struct buf argument;   /* of default: its text */
    bool argument_is_json; /* a bare number, true, false or null */
};

struct placeholder {
    struct path path;
    struct filter *filters;
    size_t n_filters;
};

enum part_kind { PART_LITERAL, PART_IN_STRING, PART_VALUE, PART_PLAIN };

struct part {
    enum part_kind kind;
    size_t source_at;                /* where it begins in the source */
    struct buf literal;              /* PART_LITERAL */
    struct placeholder *placeholder; /* the other kinds */
};

/* A growing list of parts; empty when zeroed. Neighbouring literals are one part. */
struct fragment {
    struct part *parts;
    size_t n;
    size_t cap;
};

struct template
{
    enum template_kind kind;
    char *source; /* for the line and column of faults at rendering */
    struct fragment body;
    unsigned needs;
};

/* The state of one compilation. */
struct compiler {
    const char *source;
    size_t len;
    size_t at;
    unsigned depth;
    char *reason;
    size_t reason_size;
};

/* Writes "line L, column C: ..." for the place in the source and returns -EINVAL. */
int compiler_fault(const struct compiler *c, size_t at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for c->at: says what was expected and what stands there. */
int compiler_unexpected(const struct compiler *c, const char *expected);
void compiler_skip_space(struct compiler *c);
bool compiler_sees(const struct compiler *c, const char *text);

/* Appends literal text; 0 or -ENOMEM. */
int fragment_literal(struct fragment *f, size_t source_at, const char *text, size_t len)
    __attribute__((warn_unused_result));
/* Appends a placeholder, which becomes the fragment's, also on failure. */
int fragment_placeholder(struct fragment *f, enum part_kind kind, size_t source_at,
                         struct placeholder *p) __attribute__((warn_unused_result));
/* Moves all parts of from to the end of f and leaves from empty. */
int fragment_move(struct fragment *f, struct fragment *from) __attribute__((warn_unused_result));
void fragment_release(struct fragment *f);

/* Reads {{...}} at c->at and appends it to the fragment. 0, -EINVAL or -ENOMEM. */
int placeholder_parse(struct compiler *c, enum part_kind kind, struct fragment *out)
    __attribute__((warn_unused_result));
void placeholder_free(struct placeholder *p);

/* Compiles a whole JSON template. 0, -EINVAL or -ENOMEM. */
int template_compile_json(struct compiler *c, struct fragment *out)
    __attribute__((warn_unused_result));

/* A value on its way through the filters: a node of a view, or text. */
struct template_value {
    const struct jsonview *view;
    const struct jsonview_node *node; /* when text is NULL; NULL is null */
    const char *text;                 /* points into own or an argument */
    size_t len;
    bool is_json;   /* the text is JSON, as it is outside of strings */
    bool is_string; /* always quoted outside of strings */
    bool url_safe;  /* the last filter was urlencode */
    struct buf own;
};

enum { TEMPLATE_MAX_VALUE = 8 * 1024 * 1024 };

void template_value_init(struct template_value *v, const struct jsonview *view,
                         const struct jsonview_node *node);
void template_value_release(struct template_value *v);
bool template_value_is_null(const struct template_value *v);

/* The value as text: null is "", objects and arrays are JSON text. 0 or -ENOMEM. */
int template_value_text(struct template_value *v, const char **ret_text, size_t *ret_len)
    __attribute__((warn_unused_result));

/* 0; -EBADMSG with what is wrong, without place or path, in ret_reason; -ENOMEM. */
int filter_apply(const struct filter *f, struct template_value *v, char *ret_reason,
                 size_t reason_size) __attribute__((warn_unused_result));

/* 0 and the kind, or -ENOENT. */
int filter_find(const char *name, size_t len, enum filter_kind *ret_kind)
    __attribute__((warn_unused_result));
/* The names of all filters, for reasons. */
extern const char filter_names[];

/* Appends the text percent-encoded as in RFC 3986. */
void filter_urlencode(struct buf *out, const char *text, size_t len);

#endif
