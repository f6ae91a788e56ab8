#include "dispatcher/query.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/jsontext.h"

enum { MAX_KEY = 64 * 1024 };

/* The keys from the root to the value at hand, already encoded, are in prefix. */
struct query {
    struct buf *out;
    struct buf prefix;
    size_t pairs;
    unsigned depth;
};

static void add_members(struct query *q, struct json_object *node);

void query_add_text(struct buf *out, const char *text, size_t len)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
            c == '-' || c == '_' || c == '.') {
            buf_addc(out, (char)c);
        } else if (c == ' ') {
            buf_addc(out, '+');
        } else {
            const char code[3] = {'%', hex[c >> 4], hex[c & 15]};
            buf_add(out, code, sizeof(code));
        }
    }
}

static void add_scalar(struct query *q, struct json_object *value)
{
    struct buf text;
    buf_adds(q->out, q->pairs++ > 0 ? "&" : "");
    buf_add(q->out, buf_text(&q->prefix), q->prefix.len);
    buf_addc(q->out, '=');
    if (json_object_is_type(value, json_type_boolean)) {
        buf_addc(q->out, json_object_get_boolean(value) ? '1' : '0');
    } else if (json_object_is_type(value, json_type_string)) {
        query_add_text(q->out, json_object_get_string(value),
                       (size_t)json_object_get_string_len(value));
    } else {
        buf_init(&text, MAX_KEY);
        jsontext_print(&text, value);
        query_add_text(q->out, buf_text(&text), text.len);
        buf_release(&text);
    }
}

static void add_pair(struct query *q, const char *key, size_t key_len, struct json_object *value)
{
    if (!value) {
        return;
    }
    size_t before = q->prefix.len;
    buf_adds(&q->prefix, q->depth > 1 ? "%5B" : "");
    query_add_text(&q->prefix, key, key_len);
    buf_adds(&q->prefix, q->depth > 1 ? "%5D" : "");
    if (json_object_is_type(value, json_type_object) ||
        json_object_is_type(value, json_type_array)) {
        add_members(q, value);
    } else {
        add_scalar(q, value);
    }
    if (q->prefix.error == 0 && q->prefix.data) {
        q->prefix.len = before;
        q->prefix.data[before] = '\0';
    }
}

/* Recurses once per level; the parser that made the tree has bounded its depth. */
static void add_members(struct query *q, struct json_object *node)
{
    q->depth++;
    if (json_object_is_type(node, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(node); i++) {
            char key[24];
            int n = snprintf(key, sizeof(key), "%zu", i);
            add_pair(q, key, (size_t)n, json_object_array_get_idx(node, i));
        }
    } else {
        const struct lh_entry *entry = json_object_get_object(node)->head;
        for (; entry; entry = entry->next) {
            const char *key = entry->k;
            add_pair(q, key, strlen(key), (struct json_object *)lh_entry_v(entry));
        }
    }
    q->depth--;
}

int query_add(struct buf *out, struct json_object *payload)
{
    struct query q = {.out = out};
    buf_init(&q.prefix, MAX_KEY);
    if (json_object_is_type(payload, json_type_object) ||
        json_object_is_type(payload, json_type_array)) {
        add_members(&q, payload);
    }
    int r = buf_error(&q.prefix);
    buf_release(&q.prefix);
    return r;
}
