/* Views of JSON: they accept what the check accepts, and say what json-c says of every value. */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/jsontext.h"
#include "common/jsonview.h"
#include "tests/fuzz/fuzz.h"

enum { ROOM = 1 << 20 };

/* Printed from the view and printed from the tree is the same. */
static void same_text(const struct jsonview *v, const struct jsonview_node *node,
                      struct json_object *tree)
{
    struct buf is, was;
    buf_init(&is, ROOM);
    buf_init(&was, ROOM);
    PROPERTY(jsonview_print(v, node, &is) == 0, "out of memory");
    jsontext_print(&was, tree);
    if (buf_error(&is) == 0 && buf_error(&was) == 0)
        PROPERTY(strcmp(buf_text(&is), buf_text(&was)) == 0, "%s and %s", is.data, was.data);
    buf_release(&is);
    buf_release(&was);
}

static void same_members(const struct jsonview *v, const struct jsonview_node *node,
                         struct json_object *tree, size_t *ret_found);

/* The value, and all in it. Returns how many nodes were seen. */
static size_t same_value(const struct jsonview *v, const struct jsonview_node *node,
                         struct json_object *tree)
{
    static const enum jsonview_type types[] = {
        [json_type_null] = JSONVIEW_NULL,     [json_type_boolean] = JSONVIEW_TRUE,
        [json_type_double] = JSONVIEW_NUMBER, [json_type_int] = JSONVIEW_NUMBER,
        [json_type_object] = JSONVIEW_OBJECT, [json_type_array] = JSONVIEW_ARRAY,
        [json_type_string] = JSONVIEW_STRING,
    };
    enum jsonview_type type = node->type == JSONVIEW_FALSE ? JSONVIEW_TRUE : node->type;
    size_t found = 1;
    PROPERTY(type == types[json_object_get_type(tree)], "type %d", (int)node->type);
    if (type == JSONVIEW_OBJECT)
        same_members(v, node, tree, &found);
    else if (type != JSONVIEW_ARRAY)
        same_text(v, node, tree);
    size_t length = type == JSONVIEW_ARRAY ? json_object_array_length(tree) : 0;
    for (size_t i = 0; i < length; i++) {
        const struct jsonview_node *element = jsonview_element(v, node, i);
        PROPERTY(element, "element %zu is missing", i);
        found += same_value(v, element, json_object_array_get_idx(tree, i));
    }
    PROPERTY(!jsonview_element(v, node, length), "an element too many");
    return found;
}

static void same_members(const struct jsonview *v, const struct jsonview_node *node,
                         struct json_object *tree, size_t *ret_found)
{
    struct json_object_iterator at = json_object_iter_begin(tree);
    const struct json_object_iterator end = json_object_iter_end(tree);
    for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at)) {
        const char *key = json_object_iter_peek_name(&at);
        const struct jsonview_node *member = jsonview_member(v, node, key);
        PROPERTY(member, "member %s is missing", key);
        *ret_found += 1 + same_value(v, member, json_object_iter_peek_value(&at));
    }
}

static void check_accepted(const struct jsonview *v, const char *text, size_t len)
{
    const struct jsonview_node *root = jsonview_root(v);
    struct json_object *tree = json_of(text, len);
    PROPERTY(root && root->end == v->n, "the first node holds all");
    PROPERTY(same_value(v, root, tree) <= v->n, "more values than nodes");
    same_text(v, root, tree);
    json_object_put(tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct jsonview view; /* used again and again, as a worker does */
    char reason[200], view_reason[200];
    if (size == 0)
        return 0;
    unsigned depth = data[0];
    char *text = malloc(size - 1); /* without a NUL behind it */
    if (!text)
        return 0;
    memcpy(text, data + 1, size - 1);
    reason_clear(view_reason, sizeof view_reason);
    int r = jsontext_check(text, size - 1, depth, reason, sizeof reason);
    int view_r = jsonview_parse(&view, text, size - 1, depth, view_reason, sizeof view_reason);
    PROPERTY(r == view_r, "%d and %d", r, view_r);
    if (r) {
        reason_check(view_reason, sizeof view_reason);
        PROPERTY(strcmp(reason, view_reason) == 0, "%s and %s", reason, view_reason);
        PROPERTY(!jsonview_root(&view), "not empty");
    } else {
        check_accepted(&view, text, size - 1);
    }
    jsonview_reset(&view);
    free(text);
    return 0;
}
