#include "dispatcher/path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/jsonview.h"

enum { MAX_INDEX_DIGITS = 9 };

bool path_is_key_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
           c == '-' || (unsigned char)c >= 0x80;
}

static int64_t index_of(const char *name, size_t len)
{
    int64_t index = 0;
    if (len == 0 || len > MAX_INDEX_DIGITS || (len > 1 && name[0] == '0')) {
        return PATH_NO_INDEX;
    }
    for (size_t i = 0; i < len; i++) {
        if (name[i] < '0' || name[i] > '9') {
            return PATH_NO_INDEX;
        }
        index = index * 10 + (name[i] - '0');
    }
    return index;
}

int path_add_key(struct path *p, const char *name, size_t len)
{
    if (p->n_keys == PATH_MAX_KEYS) {
        return -E2BIG;
    }
    struct path_key *keys = realloc(p->keys, (p->n_keys + 1) * sizeof(*keys));
    if (!keys) {
        return -ENOMEM;
    }
    p->keys = keys;
    struct path_key *key = &keys[p->n_keys];
    *key = (struct path_key){.name = strndup(name, len), .len = len, .index = index_of(name, len)};
    if (!key->name) {
        return -ENOMEM;
    }
    p->n_keys++;
    return 0;
}

void path_drop_key(struct path *p)
{
    free(p->keys[--p->n_keys].name);
}

int path_copy(const struct path *from, struct path *ret_path)
{
    struct path copy = {.root = from->root, .first = from->first};
    for (size_t i = 0; i < from->n_keys; i++) {
        int r = path_add_key(&copy, from->keys[i].name, from->keys[i].len);
        if (r < 0) {
            path_release(&copy);
            return r;
        }
    }
    *ret_path = copy;
    return 0;
}

static bool key_is(const struct path *p, size_t i, const char *name)
{
    return i < p->n_keys && strcmp(p->keys[i].name, name) == 0;
}

static void find_root(struct path *p)
{
    static const struct {
        const char *name;
        enum path_root root;
        enum path_root profile;
    } names[] = {
        {"user", ROOT_USER, ROOT_USER_PROFILE}, {"relateduser", ROOT_RELATED, ROOT_RELATED_PROFILE},
        {"course", ROOT_COURSE, ROOT_EVENT},    {"cm", ROOT_CM, ROOT_EVENT},
        {"site", ROOT_SITE, ROOT_EVENT},
    };
    p->root = ROOT_EVENT;
    p->first = 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (key_is(p, 0, names[i].name)) {
            bool profile = names[i].profile != ROOT_EVENT && key_is(p, 1, "profile");
            p->root = profile ? names[i].profile : names[i].root;
            p->first = profile ? 2 : 1;
        }
    }
}

/* What is behind the root, with dots. */
static void print_rest(const struct path *p, size_t from, struct buf *out)
{
    for (size_t i = from; i < p->n_keys; i++) {
        buf_adds(out, i > from ? "." : "");
        buf_adds(out, p->keys[i].name);
    }
}

void path_print(const struct path *p, struct buf *out)
{
    print_rest(p, 0, out);
}

static bool is_field(const struct path *p)
{
    struct buf name;
    size_t n = 0;
    bool found = false;
    const struct enrichment_field *fields = enrichment_fields(enrichment_kind_of(p->root), &n);
    buf_init(&name, 64);
    print_rest(p, p->first, &name);
    for (size_t i = 0; i < n && buf_error(&name) == 0; i++) {
        found = found || strcmp(fields[i].name, buf_text(&name)) == 0;
    }
    buf_release(&name);
    return found;
}

static int refuse_field(const struct path *p, char *ret_reason, size_t reason_size)
{
    struct buf text;
    size_t n = 0;
    const struct enrichment_field *fields = enrichment_fields(enrichment_kind_of(p->root), &n);
    buf_init(&text, 4096);
    if (p->n_keys > 1) {
        buf_adds(&text, "there is no ");
        path_print(p, &text);
        buf_addf(&text, "; %s has ", p->keys[0].name);
    } else {
        buf_addf(&text, "%s needs a field: ", p->keys[0].name);
    }
    for (size_t i = 0; i < n; i++) {
        buf_addf(&text, "%s%s", i > 0 ? ", " : "", fields[i].name);
    }
    (void)snprintf(ret_reason, reason_size, "%s", buf_text(&text));
    buf_release(&text);
    return -EINVAL;
}

int path_resolve(struct path *p, char *ret_reason, size_t reason_size)
{
    find_root(p);
    if (p->root == ROOT_EVENT) {
        return 0;
    }
    if (p->root == ROOT_USER_PROFILE || p->root == ROOT_RELATED_PROFILE) {
        if (p->n_keys == 3) {
            return 0;
        }
        (void)snprintf(ret_reason, reason_size,
                       "%s.profile needs the short name of one profile field", p->keys[0].name);
        return -EINVAL;
    }
    return is_field(p) ? 0 : refuse_field(p, ret_reason, reason_size);
}

unsigned path_needs(const struct path *p)
{
    return p->root == ROOT_EVENT ? 0 : ROOT_BIT(p->root);
}

const struct jsonview_node *path_find_deep(const struct path *p, const struct path_source *source,
                                           const struct jsonview **ret_view)
{
    const struct jsonview *view = source->event;
    if (p->root != ROOT_EVENT) {
        view = source->data ? source->data->views[p->root] : NULL;
    }
    *ret_view = view;
    const struct jsonview_node *node = view ? jsonview_root(view) : NULL;
    for (size_t i = p->first; node && i < p->n_keys; i++) {
        const struct path_key *key = &p->keys[i];
        if (node->type == JSONVIEW_OBJECT) {
            node = jsonview_find(view, node, key->name, key->len);
        } else if (key->index != PATH_NO_INDEX) {
            node = jsonview_element(view, node, (size_t)key->index);
        } else {
            node = NULL;
        }
    }
    return node;
}

void path_release(struct path *p)
{
    for (size_t i = 0; i < p->n_keys; i++) {
        free(p->keys[i].name);
    }
    free(p->keys);
    *p = (struct path){0};
}
