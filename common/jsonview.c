/* Looking things up in a view, and getting them out of it; jsontext_check.c makes the nodes. */
#include "common/jsonview.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/jsontext.h"
#include "common/utf8.h"

enum { KEPT_NODES = 512 };

void jsonview_reset(struct jsonview *v)
{
    if (v->cap > KEPT_NODES)
        jsonview_release(v);
    v->text = NULL;
    v->n = 0;
    v->indexed = false;
}

void jsonview_release(struct jsonview *v)
{
    free(v->nodes);
    *v = (struct jsonview){0};
}

const struct jsonview_node *jsonview_root(const struct jsonview *v)
{
    return v->n > 0 ? v->nodes : NULL;
}

const char *jsonview_bytes(const struct jsonview *v, const struct jsonview_node *node)
{
    return v->text + node->at;
}

static uint32_t hex4(const char *digits)
{
    uint32_t value = 0;

    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)digits[i];
        value = value << 4 | (c <= '9' ? c - (uint32_t)'0' : (c | 0x20U) - (uint32_t)'a' + 10);
    }
    return value;
}

/* The text was checked: four digits follow each \u, and a low half follows each high one. */
static const char *decode_unicode(const char *at, struct buf *out)
{
    uint32_t c = hex4(at);

    at += 4;
    if (c >= 0xd800 && c < 0xdc00) {
        c = 0x10000 + ((c - 0xd800) << 10) + (hex4(at + 2) - 0xdc00);
        at += 6;
    }
    utf8_add(out, c);
    return at;
}

static char simple_escape(char letter)
{
    switch (letter) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return letter;
    }
}

void jsonview_decode(const struct jsonview *v, const struct jsonview_node *string, struct buf *out)
{
    const char *at = jsonview_bytes(v, string);
    const char *end = at + string->len;

    while (at < end) {
        const char *slash = string->escaped ? memchr(at, '\\', (size_t)(end - at)) : NULL;
        buf_add(out, at, (size_t)((slash ? slash : end) - at));
        if (!slash)
            return;
        at = slash + 2;
        if (slash[1] == 'u')
            at = decode_unicode(at, out);
        else
            buf_addc(out, simple_escape(slash[1]));
    }
}

static bool is_plain_key(const struct jsonview *v, const struct jsonview_node *node,
                         const char *key, size_t len)
{
    return node->len == len && memcmp(jsonview_bytes(v, node), key, len) == 0;
}

/* A key with escapes is rare: decoded for the comparison. */
static bool key_is(const struct jsonview *v, const struct jsonview_node *node, const char *key,
                   size_t len)
{
    if (!node->escaped)
        return is_plain_key(v, node, key, len);
    struct buf text;
    buf_init(&text, node->len + (size_t)1);
    jsonview_decode(v, node, &text);
    bool is = buf_error(&text) == 0 && text.len == len && memcmp(text.data, key, len) == 0;
    buf_release(&text);
    return is;
}

/* The slot of a key in the index, or the free one where it would be. */
static size_t find_slot(const struct jsonview *v, uint16_t hint, const char *key, size_t len)
{
    size_t slot = (size_t)(hint ^ hint >> 5) % JSONVIEW_INDEX;
    while (v->index[slot] && !(v->nodes[v->index[slot]].hint == hint &&
                               is_plain_key(v, &v->nodes[v->index[slot]], key, len)))
        slot = (slot + 1) % JSONVIEW_INDEX;
    return slot;
}

/* The last one of equal keys stays. No index where a key has escapes, and none of large objects:
 * it must not fill up, and its node numbers are small. */
void jsonview_make_index(struct jsonview *v)
{
    size_t n = 0;

    v->indexed = false;
    if (v->n == 0 || v->nodes[0].type != JSONVIEW_OBJECT)
        return;
    memset(v->index, 0, sizeof(v->index));
    for (size_t i = 1; i < v->nodes[0].end; i = v->nodes[i + 1].end) {
        const struct jsonview_node *key = &v->nodes[i];
        if (key->escaped || i > UINT8_MAX || ++n > JSONVIEW_INDEX / 2)
            return;
        v->index[find_slot(v, key->hint, jsonview_bytes(v, key), key->len)] = (uint8_t)i;
    }
    v->indexed = true;
}

const struct jsonview_node *jsonview_find(const struct jsonview *v,
                                          const struct jsonview_node *object, const char *key,
                                          size_t key_len)
{
    const struct jsonview_node *found = NULL;

    if (!object || object->type != JSONVIEW_OBJECT)
        return NULL;
    uint16_t hint = jsonview_hint(key, key_len);
    if (v->indexed && object == v->nodes) {
        uint8_t i = v->index[find_slot(v, hint, key, key_len)];
        return i ? &v->nodes[i + 1] : NULL;
    }
    for (size_t i = (size_t)(object - v->nodes) + 1; i < object->end; i = v->nodes[i + 1].end)
        if ((v->nodes[i].hint == hint || v->nodes[i].escaped) &&
            key_is(v, &v->nodes[i], key, key_len))
            found = &v->nodes[i + 1];
    return found;
}

const struct jsonview_node *jsonview_element(const struct jsonview *v,
                                             const struct jsonview_node *array, size_t index)
{
    if (!array || array->type != JSONVIEW_ARRAY)
        return NULL;
    size_t i = (size_t)(array - v->nodes) + 1;
    while (index-- > 0 && i < array->end)
        i = v->nodes[i].end;
    return i < array->end ? &v->nodes[i] : NULL;
}

/* The next escaped surrogate pair of checked text; NULL when there is none. */
static const char *next_pair(const char *at, const char *end)
{
    while ((at = memchr(at, '\\', (size_t)(end - at)))) {
        if (at[1] == 'u' && (at[2] | 0x20) == 'd' && strchr("89abAB", at[3]))
            return at;
        at += 2;
    }
    return NULL;
}

/* Appends checked text with characters in place of escaped pairs: json-c 0.16 puts U+FFFD for all
 * pairs whose character is 0xd800 to 0xdfff beyond a multiple of 0x10000, as in CJK extension F. */
static void undo_pairs(const char *text, size_t len, struct buf *out)
{
    const char *end = text + len;
    const char *pair;

    while ((pair = next_pair(text, end))) {
        buf_add(out, text, (size_t)(pair - text));
        text = decode_unicode(pair + 2, out);
    }
    buf_add(out, text, (size_t)(end - text));
}

static int tree_of(const char *text, size_t len, struct json_object **ret_tree)
{
    struct json_tokener *parser = json_tokener_new_ex(JSONTEXT_MAX_DEPTH + 1);

    if (!parser)
        return -ENOMEM;
    *ret_tree = json_tokener_parse_ex(parser, text, (int)len);
    if (!*ret_tree && json_tokener_get_error(parser) == json_tokener_continue)
        *ret_tree = json_tokener_parse_ex(parser, "", 1); /* a number ends with what follows it */
    json_tokener_free(parser);
    return *ret_tree ? 0 : -ENOMEM; /* the text was checked: nothing else can be wrong */
}

int jsonview_tree(const struct jsonview *v, const struct jsonview_node *node,
                  struct json_object **ret_tree)
{
    *ret_tree = NULL;
    if (!node || node->type == JSONVIEW_NULL)
        return 0;
    bool quoted = node->type == JSONVIEW_STRING;
    const char *start = jsonview_bytes(v, node) - quoted;
    size_t len = node->len + 2 * (size_t)quoted;
    if (!next_pair(start, start + len))
        return tree_of(start, len, ret_tree);
    struct buf text;
    buf_init(&text, len);
    undo_pairs(start, len, &text);
    int r = buf_error(&text);
    if (r == 0)
        r = tree_of(text.data, text.len, ret_tree);
    buf_release(&text);
    return r;
}

static int print_container(const struct jsonview *v, const struct jsonview_node *node,
                           struct buf *out)
{
    struct json_object *tree;
    int r = jsonview_tree(v, node, &tree);

    if (r == 0)
        jsontext_print(out, tree);
    json_object_put(tree);
    return r;
}

static int print_string(const struct jsonview *v, const struct jsonview_node *node, struct buf *out)
{
    struct buf text;
    int r;

    buf_addc(out, '"');
    if (!node->escaped) {
        jsontext_escape(out, jsonview_bytes(v, node), node->len);
        buf_addc(out, '"');
        return 0;
    }
    buf_init(&text, node->len + (size_t)1);
    jsonview_decode(v, node, &text);
    r = buf_error(&text);
    if (r == 0)
        jsontext_escape(out, buf_text(&text), text.len);
    buf_release(&text);
    buf_addc(out, '"');
    return r;
}

int jsonview_print(const struct jsonview *v, const struct jsonview_node *node, struct buf *out)
{
    if (!node || node->type == JSONVIEW_NULL) {
        buf_adds(out, "null");
        return 0;
    }
    if (node->type == JSONVIEW_OBJECT || node->type == JSONVIEW_ARRAY)
        return print_container(v, node, out);
    if (node->type == JSONVIEW_STRING)
        return print_string(v, node, out);
    const char *bytes = jsonview_bytes(v, node);
    bool minus_zero = node->len == 2 && memcmp(bytes, "-0", 2) == 0;
    buf_add(out, bytes + minus_zero, node->len - (size_t)minus_zero);
    return 0;
}
