#include "dispatcher/headerset.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/jsonview.h"
#include "common/utf8.h"
#include "dispatcher/headername.h"
#include "dispatcher/template.h"

struct header {
    char *name;
    struct template *value;
};

struct headerset {
    struct header headers[HEADERSET_MAX];
    size_t n;
};

/* "header X-A: what", with the name as people may see it. */
static int refuse(char *ret_reason, size_t size, const char *name, const char *what)
{
    char shown[60];
    utf8_copy_safe(shown, sizeof(shown), name, strlen(name));
    (void)snprintf(ret_reason, size, "header %s: %s", shown, what);
    return -EINVAL;
}

static bool is_unwanted(unsigned char byte)
{
    char c = (char)byte;
    return headername_bad_value_at(&c, 1) == 0;
}

static int check_literal(const struct template *value, const char *name, char *ret_reason,
                         size_t size)
{
    char what[80];
    size_t at = 0;
    unsigned char byte = 0;
    if (!template_find_literal(value, is_unwanted, &at, &byte)) {
        return 0;
    }
    (void)snprintf(what, sizeof(what), "the value holds the byte 0x%02x at position %zu", byte,
                   at + 1);
    return refuse(ret_reason, size, name, what);
}

static int add(struct headerset *set, const char *name, struct json_object *value, char *ret_reason,
               size_t size)
{
    char reason[300];
    const char *fault = headername_fault(name);
    if (!fault && set->n == HEADERSET_MAX) {
        fault = "is one too many; 24 are accepted";
    }
    if (!fault && headerset_has(set, name)) {
        fault = "stands twice";
    }
    if (!fault && !json_object_is_type(value, json_type_string)) {
        fault = "the value is no text";
    }
    if (fault) {
        return refuse(ret_reason, size, name, fault);
    }
    struct header *h = &set->headers[set->n];
    int r = template_compile(TEMPLATE_TEXT, json_object_get_string(value), &h->value, reason,
                             sizeof(reason));
    if (r < 0) {
        return r == -EINVAL ? refuse(ret_reason, size, name, reason) : r;
    }
    set->n++;
    h->name = strdup(name);
    return h->name ? check_literal(h->value, name, ret_reason, size) : -ENOMEM;
}

static int parse(const char *source, struct json_object **ret_object, char *ret_reason, size_t size)
{
    struct jsonview view = {0};
    char fault[120];
    size_t len = strnlen(source, HEADERSET_MAX_SOURCE + 1);
    int r = len > HEADERSET_MAX_SOURCE
                ? -E2BIG
                : jsonview_parse(&view, source, len, 2, fault, sizeof(fault));
    if (r == 0 && jsonview_root(&view)->type != JSONVIEW_OBJECT) {
        (void)snprintf(ret_reason, size, "headers: not a JSON object");
        r = -EINVAL;
    } else if (r == -E2BIG) {
        (void)snprintf(ret_reason, size, "headers: larger than %d bytes", HEADERSET_MAX_SOURCE);
        r = -EINVAL;
    } else if (r == -EBADMSG) {
        (void)snprintf(ret_reason, size, "headers: %s", fault);
        r = -EINVAL;
    }
    r = r < 0 ? r : jsonview_tree(&view, jsonview_root(&view), ret_object);
    jsonview_release(&view);
    return r;
}

int headerset_new(const char *source, struct headerset **ret_set, char *ret_reason,
                  size_t reason_size)
{
    struct json_object *object = NULL;
    *ret_set = NULL;
    if (source[strspn(source, " \t\r\n")] == '\0') {
        return 0;
    }
    int r = parse(source, &object, ret_reason, reason_size);
    if (r < 0) {
        return r;
    }
    struct headerset *set = calloc(1, sizeof(*set));
    r = set ? 0 : -ENOMEM;
    const struct lh_entry *entry = json_object_get_object(object)->head;
    for (; r == 0 && entry; entry = entry->next) {
        r = add(set, entry->k, (struct json_object *)lh_entry_v(entry), ret_reason, reason_size);
    }
    json_object_put(object);
    if (r < 0 || set->n == 0) {
        headerset_free(set);
        return r;
    }
    *ret_set = set;
    return 0;
}

void headerset_free(struct headerset *set)
{
    for (size_t i = 0; set && i < set->n; i++) {
        free(set->headers[i].name);
        template_free(set->headers[i].value);
    }
    free(set);
}

size_t headerset_count(const struct headerset *set)
{
    return set ? set->n : 0;
}

bool headerset_has(const struct headerset *set, const char *name)
{
    for (size_t i = 0; set && i < set->n; i++) {
        if (strcasecmp(set->headers[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

unsigned headerset_needs(const struct headerset *set)
{
    unsigned needs = 0;
    for (size_t i = 0; set && i < set->n; i++) {
        needs |= template_needs(set->headers[i].value);
    }
    return needs;
}

static int render_one(const struct header *h, const struct path_source *source, struct buf *out,
                      char *ret_reason, size_t size)
{
    char reason[300];
    buf_adds(out, h->name);
    buf_add(out, ": ", 2);
    size_t start = out->len;
    int r = template_render(h->value, source, ESCAPE_NONE, out, reason, sizeof(reason));
    if (r < 0) {
        (void)snprintf(ret_reason, size, "header %s, %s", h->name, reason);
        return r;
    }
    if (out->error != 0) {
        return 0;
    }
    size_t bad = headername_bad_value_at(out->data + start, out->len - start);
    if (bad < out->len - start) {
        (void)snprintf(ret_reason, size,
                       "header %s: this event puts the byte 0x%02x at position %zu (the filter "
                       "urlencode helps)",
                       h->name, (unsigned char)out->data[start + bad], bad + 1);
        return -EBADMSG;
    }
    buf_addc(out, '\0');
    return 0;
}

int headerset_render(const struct headerset *set, const struct path_source *source, struct buf *out,
                     char *ret_reason, size_t reason_size)
{
    int r = 0;
    for (size_t i = 0; r == 0 && set && i < set->n; i++) {
        r = render_one(&set->headers[i], source, out, ret_reason, reason_size);
    }
    return r;
}
