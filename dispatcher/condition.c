/* The compiler of conditions. */
#include "dispatcher/condition.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/jsontext.h"
#include "common/utf8.h"
#include "dispatcher/condition_impl.h"

enum { MAX_SHOWN = 20 }; /* letters of an operator in a reason */

/* The state of one compilation. */
struct compilation {
    const char *source;
    struct jsonview view;
    struct path path; /* around the node at hand */
    size_t path_at;   /* where its last key stands */
    unsigned n_tests;
    unsigned needs;
    char *reason;
    size_t reason_size;
};

#define TYPE(type) (1U << (JSONVIEW_##type))
#define ORDER TYPE(STRING) | TYPE(NUMBER), "a number or a text"
#define ANY                                                                                        \
    TYPE(STRING) | TYPE(NUMBER) | TYPE(TRUE) | TYPE(FALSE) | TYPE(NULL),                           \
        "a text, a number, true, false or null"

/* types: mask of those that the value may have, and how that is told; 0 for lists and conditions.
 */
static const struct operator
{
    const char *name;
    enum test_kind kind;
    unsigned types;
    const char *told;
}
operators[] = {
    {"$and", TEST_AND, 0, ""},
    {"$endsWith", TEST_ENDS_WITH, TYPE(STRING), "a text"},
    {"$eq", TEST_EQ, ANY},
    {"$exist", TEST_EXIST, TYPE(TRUE) | TYPE(FALSE), "true or false"},
    {"$gt", TEST_GT, ORDER},
    {"$gte", TEST_GTE, ORDER},
    {"$in", TEST_IN, 0, ""},
    {"$lt", TEST_LT, ORDER},
    {"$lte", TEST_LTE, ORDER},
    {"$neq", TEST_NEQ, ANY},
    {"$nin", TEST_NIN, 0, ""},
    {"$not", TEST_NOT, 0, ""},
    {"$or", TEST_OR, 0, ""},
    {"$regex", TEST_REGEX, TYPE(STRING), "a text that is a regular expression"},
    {"$startsWith", TEST_STARTS_WITH, TYPE(STRING), "a text"},
};

enum { N_OPERATORS = sizeof(operators) / sizeof(operators[0]) };

static const struct operator equal = {"$eq", TEST_EQ, ANY};

static int fault(const struct compilation *c, size_t at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fault(const struct compilation *c, size_t at, const char *format, ...)
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

/* Where a node begins, with the quote of a text. */
static size_t place_of(const struct jsonview_node *node)
{
    return node->at - (node->type == JSONVIEW_STRING ? 1U : 0U);
}

static void operand_release(struct operand *o)
{
    free(o->text);
}

static void test_release(struct test *t)
{
    for (size_t i = 0; i < t->n_children; i++) {
        test_release(&t->children[i]);
    }
    for (size_t i = 0; i < t->n_operands; i++) {
        operand_release(&t->operands[i]);
    }
    free(t->children);
    free(t->operands);
    path_release(&t->path);
    regex_free(t->regex);
}

/* Appends a test to its parent; NULL in *ret_test never comes with 0. */
static int add_test(struct compilation *c, struct test *parent, enum test_kind kind, size_t at,
                    struct test **ret_test)
{
    if (c->n_tests == CONDITION_MAX_TESTS) {
        (void)fault(c, at, "a condition may have %d parts at most", CONDITION_MAX_TESTS);
        return -EINVAL;
    }
    struct test *children = realloc(parent->children, (parent->n_children + 1) * sizeof(*children));
    if (!children) {
        return -ENOMEM;
    }
    parent->children = children;
    *ret_test = &children[parent->n_children++];
    **ret_test = (struct test){.kind = kind, .source_at = at};
    c->n_tests++;
    return 0;
}

/* Gives the test the path around it. */
static int set_path(struct compilation *c, struct test *t)
{
    char reason[400];
    int r = path_copy(&c->path, &t->path);
    if (r < 0) {
        return r;
    }
    if (path_resolve(&t->path, reason, sizeof(reason)) < 0) {
        return fault(c, c->path_at, "%s", reason);
    }
    c->needs |= path_needs(&t->path);
    return 0;
}

static int decode(const struct compilation *c, const struct jsonview_node *node, char **ret_text,
                  size_t *ret_len)
{
    struct buf text;
    buf_init(&text, CONDITION_MAX_SOURCE);
    if (node->type == JSONVIEW_STRING) {
        jsonview_decode(&c->view, node, &text);
    } else {
        buf_add(&text, jsonview_bytes(&c->view, node), node->len);
    }
    buf_add(&text, "", 0); /* so that there is something to take */
    if (buf_error(&text) == 0 && text.len == 0) {
        *ret_text = strdup("");
        *ret_len = 0;
    } else {
        *ret_text = buf_take(&text, ret_len);
    }
    buf_release(&text);
    return *ret_text ? 0 : -ENOMEM;
}

static bool is_scalar(const struct jsonview_node *node)
{
    return node->type != JSONVIEW_OBJECT && node->type != JSONVIEW_ARRAY;
}

static int add_operand(struct compilation *c, struct test *t, const struct jsonview_node *node)
{
    struct operand *operands = realloc(t->operands, (t->n_operands + 1) * sizeof(*operands));
    if (!operands) {
        return -ENOMEM;
    }
    t->operands = operands;
    struct operand *o = &operands[t->n_operands];
    *o = (struct operand){.type = (enum jsonview_type)node->type};
    int r = decode(c, node, &o->text, &o->len);
    if (r < 0) {
        return r;
    }
    o->is_number = o->type == JSONVIEW_NUMBER ||
                   (o->type == JSONVIEW_STRING && jsontext_is_number(o->text, o->len));
    t->n_operands++;
    return 0;
}

static const struct jsonview_node *next_value(const struct compilation *c,
                                              const struct jsonview_node *node)
{
    return &c->view.nodes[node->end];
}

/* The first node that does not belong to a container any more. */
static const struct jsonview_node *end_of(const struct compilation *c,
                                          const struct jsonview_node *container)
{
    return &c->view.nodes[container->end];
}

static int add_list(struct compilation *c, struct test *t, const struct jsonview_node *node)
{
    if (node->type != JSONVIEW_ARRAY || node->end == (size_t)(node - c->view.nodes) + 1) {
        return fault(c, place_of(node), "expected a list of texts, numbers, true, false or null");
    }
    for (const struct jsonview_node *n = node + 1; n < end_of(c, node); n = next_value(c, n)) {
        if (!is_scalar(n)) {
            return fault(c, place_of(n), "expected a text, a number, true, false or null");
        }
        if (t->n_operands == CONDITION_MAX_VALUES) {
            return fault(c, place_of(n), "a list may have %d values at most", CONDITION_MAX_VALUES);
        }
        int r = add_operand(c, t, n);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

/* A test of the value at the path around it. */
static int add_leaf(struct compilation *c, struct test *parent, const struct operator* operator,
                    size_t at, const struct jsonview_node *value)
{
    struct test *t = NULL;
    char reason[300];
    int r = add_test(c, parent, operator->kind, at, &t);
    r = r < 0 ? r : set_path(c, t);
    if (r < 0) {
        return r;
    }
    if (operator->types == 0) {
        return add_list(c, t, value);
    }
    if (!(operator->types &(1U << value->type))) {
        return fault(c, place_of(value), "expected %s", operator->told);
    }
    r = add_operand(c, t, value);
    if (r < 0 || operator->kind != TEST_REGEX) {
        return r;
    }
    r = regex_compile(t->operands->text, t->operands->len, &t->regex, reason, sizeof(reason));
    return r == -EINVAL ? fault(c, place_of(value), "%s", reason) : r;
}

static int add_condition(struct compilation *c, struct test *parent,
                         const struct jsonview_node *node);

/* $and, $or: each condition of the list becomes a child that is an $and. */
static int add_conditions(struct compilation *c, struct test *t, const struct jsonview_node *list)
{
    if (list->type != JSONVIEW_ARRAY || list->end == (size_t)(list - c->view.nodes) + 1) {
        return fault(c, place_of(list), "expected a list of conditions");
    }
    for (const struct jsonview_node *n = list + 1; n < end_of(c, list); n = next_value(c, n)) {
        struct test *all = NULL;
        int r = add_test(c, t, TEST_AND, place_of(n), &all);
        r = r < 0 ? r : add_condition(c, all, n);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

static int add_operator(struct compilation *c, struct test *parent, const char *name, size_t at,
                        const struct jsonview_node *value)
{
    size_t i = 0;
    while (i < N_OPERATORS && strcmp(operators[i].name, name) != 0) {
        i++;
    }
    if (i == N_OPERATORS) {
        size_t letters = strspn(name + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
        return fault(c, at,
                     "there is no operator %.*s; there are $and, $endsWith, $eq, $exist, $gt, "
                     "$gte, $in, $lt, $lte, $neq, $nin, $not, $or, $regex, $startsWith",
                     (int)(letters < MAX_SHOWN ? letters : MAX_SHOWN) + 1, name);
    }
    enum test_kind kind = operators[i].kind;
    if (kind != TEST_AND && kind != TEST_OR && kind != TEST_NOT) {
        return c->path.n_keys > 0 ? add_leaf(c, parent, &operators[i], at, value)
                                  : fault(c, at, "expected a path around %s", name);
    }
    struct test *t = NULL;
    int r = add_test(c, parent, kind, at, &t);
    if (r < 0) {
        return r;
    }
    return kind == TEST_NOT ? add_condition(c, t, value) : add_conditions(c, t, value);
}

/* Appends the keys of a text with dots to the path. */
static int push_keys(struct compilation *c, const char *text, size_t len, size_t at)
{
    size_t start = 0;
    for (size_t i = 0; i <= len; i++) {
        if (i < len && text[i] != '.') {
            if (!path_is_key_char(text[i])) {
                return fault(c, at, "expected a path such as userid or other.key");
            }
            continue;
        }
        int r = i > start ? path_add_key(&c->path, text + start, i - start) : -EINVAL;
        if (r == -EINVAL) {
            return fault(c, at, "expected a path such as userid or other.key");
        }
        if (r == -E2BIG) {
            return fault(c, at, "a path may have %d keys at most", PATH_MAX_KEYS);
        }
        if (r < 0) {
            return r;
        }
        start = i + 1;
    }
    return 0;
}

static int add_nested(struct compilation *c, struct test *parent, const char *text, size_t len,
                      const struct jsonview_node *key)
{
    size_t n_keys = c->path.n_keys;
    size_t path_at = c->path_at;
    c->path_at = place_of(key);
    int r = push_keys(c, text, len, c->path_at);
    r = r < 0 ? r : add_condition(c, parent, key + 1);
    while (c->path.n_keys > n_keys) {
        path_drop_key(&c->path);
    }
    c->path_at = path_at;
    return r;
}

static int add_member(struct compilation *c, struct test *parent, const struct jsonview_node *key)
{
    char *text = NULL;
    size_t len = 0;
    int r = decode(c, key, &text, &len);
    if (r < 0) {
        return r;
    }
    r = *text == '$' ? add_operator(c, parent, text, place_of(key), key + 1)
                     : add_nested(c, parent, text, len, key);
    free(text);
    return r;
}

/* A key that stands twice would hide one of its values from other readers of JSON. */
static int check_unique(const struct compilation *c, const struct jsonview_node *object,
                        const struct jsonview_node *key)
{
    char *text = NULL;
    size_t len = 0;
    int r = decode(c, key, &text, &len);
    if (r < 0) {
        return r;
    }
    const struct jsonview_node *last = jsonview_find(&c->view, object, text, len);
    free(text);
    return last == key + 1 ? 0
                           : fault(c, place_of(last - 1), "this key stands twice in its object");
}

static int add_members(struct compilation *c, struct test *parent,
                       const struct jsonview_node *object)
{
    if (object->end == (size_t)(object - c->view.nodes) + 1) {
        return fault(c, place_of(object), "expected a path or an operator in this object");
    }
    for (const struct jsonview_node *key = object + 1; key < end_of(c, object);
         key = next_value(c, key + 1)) {
        int r = check_unique(c, object, key);
        r = r < 0 ? r : add_member(c, parent, key);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

/* Adds what the node says to a parent whose children must all be true. */
static int add_condition(struct compilation *c, struct test *parent,
                         const struct jsonview_node *node)
{
    if (node->type == JSONVIEW_OBJECT) {
        return add_members(c, parent, node);
    }
    if (c->path.n_keys == 0) {
        return fault(c, place_of(node), "expected an object with paths and operators");
    }
    if (node->type == JSONVIEW_ARRAY) {
        return fault(c, place_of(node),
                     "expected a value or an object with operators: a list "
                     "stands behind $in");
    }
    return add_leaf(c, parent, &equal, place_of(node), node);
}

static int parse_source(struct compilation *c)
{
    struct jsontext_fault what = {NULL, 0};
    size_t len = strlen(c->source);
    if (len > CONDITION_MAX_SOURCE) {
        return fault(c, CONDITION_MAX_SOURCE, "the condition is longer than %d bytes",
                     CONDITION_MAX_SOURCE);
    }
    int r = jsonview_parse_at(&c->view, c->source, len, CONDITION_MAX_DEPTH, &what);
    return r == -EBADMSG ? fault(c, what.at, "%s", what.what) : r;
}

static bool is_blank(const char *text)
{
    return text[strspn(text, " \t\r\n\v\f")] == '\0';
}

static int compile_source(struct compilation *c, struct condition *condition)
{
    int r = parse_source(c);
    if (r < 0) {
        return r;
    }
    const struct jsonview_node *root = jsonview_root(&c->view);
    bool is_empty = root->type == JSONVIEW_OBJECT && root->end == 1;
    condition->root.kind = TEST_AND;
    r = is_empty ? 0 : add_condition(c, &condition->root, root);
    condition->needs = c->needs;
    return r;
}

int condition_compile(const char *source, struct condition **ret_condition, char *ret_reason,
                      size_t reason_size)
{
    if (!source || is_blank(source)) {
        *ret_condition = NULL;
        return 0;
    }
    struct condition *condition = calloc(1, sizeof(*condition));
    if (!condition) {
        return -ENOMEM;
    }
    condition->source = strdup(source);
    struct compilation c = {
        .source = condition->source, .reason = ret_reason, .reason_size = reason_size};
    int r = condition->source ? compile_source(&c, condition) : -ENOMEM;
    path_release(&c.path);
    jsonview_release(&c.view);
    if (r < 0 || condition->root.n_children == 0) {
        condition_free(condition);
        condition = NULL;
    }
    if (r < 0) {
        return r;
    }
    *ret_condition = condition;
    return 0;
}

void condition_free(struct condition *c)
{
    if (!c) {
        return;
    }
    test_release(&c->root);
    free(c->source);
    free(c);
}

unsigned condition_needs(const struct condition *c)
{
    return c->needs;
}
