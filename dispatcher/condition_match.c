/* Matching: what an event's values make of a compiled condition. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/jsontext.h"
#include "common/utf8.h"
#include "dispatcher/condition.h"
#include "dispatcher/condition_impl.h"
#include "dispatcher/decimal.h"

enum { MAX_TEXT = 16 * 1024 * 1024 };

/* The value at a path. Texts without escapes stand in the view as they are. */
struct value {
    enum jsonview_type type; /* what is missing is null */
    const char *text;        /* of texts and numbers */
    size_t len;
    struct buf own;
};

struct matching {
    const struct condition *condition;
    const struct path_source *source;
    char *reason;
    size_t reason_size;
};

/* 0 or -ENOMEM. */
static int value_find(struct value *v, const struct path *path, const struct path_source *source)
{
    const struct jsonview *view = NULL;
    const struct jsonview_node *node = path_find(path, source, &view);
    *v = (struct value){.type = node ? (enum jsonview_type)node->type : JSONVIEW_NULL};
    buf_init(&v->own, MAX_TEXT);
    if (!node) {
        return 0;
    }
    v->text = jsonview_bytes(view, node);
    v->len = node->len;
    if (node->type == JSONVIEW_STRING && node->escaped) {
        jsonview_decode(view, node, &v->own);
        v->text = buf_text(&v->own);
        v->len = v->own.len;
    }
    return buf_error(&v->own);
}

static bool is_number(const struct value *v)
{
    return v->type == JSONVIEW_NUMBER ||
           (v->type == JSONVIEW_STRING && jsontext_is_number(v->text, v->len));
}

static bool is_equal(const struct value *v, const struct operand *o)
{
    bool both_texts = v->type == JSONVIEW_STRING && o->type == JSONVIEW_STRING;
    if (!both_texts && o->is_number) {
        return is_number(v) && decimal_compare(v->text, v->len, o->text, o->len) == 0;
    }
    if (!both_texts) {
        return v->type == o->type && o->type != JSONVIEW_STRING;
    }
    return v->len == o->len && memcmp(v->text, o->text, o->len) == 0;
}

static bool is_in(const struct value *v, const struct test *t)
{
    for (size_t i = 0; i < t->n_operands; i++) {
        if (is_equal(v, &t->operands[i])) {
            return true;
        }
    }
    return false;
}

static int compare_bytes(const struct value *v, const struct operand *o)
{
    size_t shorter = v->len < o->len ? v->len : o->len;
    int r = memcmp(v->text, o->text, shorter);
    return r != 0 ? r : (v->len > o->len) - (v->len < o->len);
}

/* False when the two are in no order. */
static bool compare(const struct value *v, const struct operand *o, int *ret_order)
{
    bool number = is_number(v);
    if (number && o->is_number) {
        *ret_order = decimal_compare(v->text, v->len, o->text, o->len);
        return true;
    }
    if (number || o->is_number || v->type != JSONVIEW_STRING) {
        return false;
    }
    *ret_order = compare_bytes(v, o);
    return true;
}

static bool is_ordered(const struct value *v, const struct test *t)
{
    int order = 0;
    if (!compare(v, t->operands, &order)) {
        return false;
    }
    bool wants_less = t->kind == TEST_LT || t->kind == TEST_LTE;
    if (order == 0) {
        return t->kind == TEST_GTE || t->kind == TEST_LTE;
    }
    return (order < 0) == wants_less;
}

static bool has_text(const struct value *v)
{
    return v->type == JSONVIEW_STRING || v->type == JSONVIEW_NUMBER;
}

static bool has_end(const struct value *v, const struct operand *o, bool at_start)
{
    return has_text(v) && v->len >= o->len &&
           memcmp(v->text + (at_start ? 0 : v->len - o->len), o->text, o->len) == 0;
}

/* "line L, column C: path: what"; returns -EBADMSG. */
static int explain(const struct matching *m, const struct test *t, const char *what)
{
    unsigned line = 0;
    unsigned column = 0;
    struct buf path;
    buf_init(&path, 256);
    path_print(&t->path, &path);
    utf8_place(m->condition->source, t->source_at, &line, &column);
    (void)snprintf(m->reason, m->reason_size, "line %u, column %u: %s: %s", line, column,
                   buf_text(&path), what);
    buf_release(&path);
    return -EBADMSG;
}

static int match_regex(const struct matching *m, const struct test *t, const struct value *v,
                       bool *ret_is)
{
    char what[160];
    *ret_is = false;
    if (!has_text(v)) {
        return 0;
    }
    int r = regex_find(t->regex, v->text, v->len, ret_is, what, sizeof(what));
    return r == -EBADMSG ? explain(m, t, what) : r;
}

static bool is_there(const struct value *v)
{
    return v->type != JSONVIEW_NULL;
}

static int match_value(const struct matching *m, const struct test *t, const struct value *v,
                       bool *ret_is)
{
    if (t->kind == TEST_REGEX) {
        return match_regex(m, t, v, ret_is);
    }
    if (t->kind == TEST_EQ || t->kind == TEST_IN) {
        *ret_is = is_in(v, t);
    } else if (t->kind == TEST_NEQ || t->kind == TEST_NIN) {
        *ret_is = !is_in(v, t);
    } else if (t->kind == TEST_EXIST) {
        *ret_is = is_there(v) == (t->operands->type == JSONVIEW_TRUE);
    } else if (t->kind == TEST_STARTS_WITH || t->kind == TEST_ENDS_WITH) {
        *ret_is = has_end(v, t->operands, t->kind == TEST_STARTS_WITH);
    } else {
        *ret_is = is_ordered(v, t);
    }
    return 0;
}

static int match_test(const struct matching *m, const struct test *t, bool *ret_is);

/* The children in their order, no further than needed. */
static int match_children(const struct matching *m, const struct test *t, bool *ret_is)
{
    bool is = t->kind != TEST_OR;
    for (size_t i = 0; i < t->n_children && is == (t->kind != TEST_OR); i++) {
        int r = match_test(m, &t->children[i], &is);
        if (r < 0) {
            return r;
        }
    }
    *ret_is = t->kind == TEST_NOT ? !is : is;
    return 0;
}

static int match_test(const struct matching *m, const struct test *t, bool *ret_is)
{
    struct value v;
    if (t->kind == TEST_AND || t->kind == TEST_OR || t->kind == TEST_NOT) {
        return match_children(m, t, ret_is);
    }
    int r = value_find(&v, &t->path, m->source);
    r = r < 0 ? r : match_value(m, t, &v, ret_is);
    buf_release(&v.own);
    return r;
}

int condition_match(const struct condition *c, const struct path_source *source, bool *ret_wanted,
                    char *ret_reason, size_t reason_size)
{
    const struct matching m = {c, source, ret_reason, reason_size};
    return match_test(&m, &c->root, ret_wanted);
}
