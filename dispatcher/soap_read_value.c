/* Values in answers: by their type where it is known, else as they look. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/jsontext.h"
#include "dispatcher/soap_read_impl.h"
#include "dispatcher/xmlsafe.h"

enum { MAX_DEPTH = 160, MAX_DIGITS = 18 };

/* A child element, to be sorted by name and put back in order. */
struct child {
    const xmlNode *node;
    size_t at;    /* among its siblings */
    size_t count; /* of a group's first one: how many have the name */
};

/* Without blanks around it; what is not text in XML Schema is collapsed. */
static size_t trim(char **text)
{
    *text += strspn(*text, " \t\r\n");
    size_t len = strlen(*text);
    while (len > 0 && strchr(" \t\r\n", (*text)[len - 1])) {
        (*text)[--len] = '\0';
    }
    return len;
}

static void add_integer(struct buf *out, const char *text, size_t len)
{
    const char *digits = text + (*text == '-' || *text == '+');
    digits += strspn(digits, "0");
    size_t n = strspn(digits, "0123456789");
    bool has_digit = n > 0 || (digits > text && digits[-1] == '0');
    if (digits[n] != '\0' || n > MAX_DIGITS || !has_digit) {
        soap_add_quoted(out, text, len);
        return;
    }
    buf_adds(out, *text == '-' && n > 0 ? "-" : "");
    buf_adds(out, n > 0 ? digits : "0");
}

static void add_float(struct buf *out, const char *text, size_t len)
{
    char *end;
    double number = strtod(text, &end);
    if (jsontext_is_number(text, len)) {
        buf_add(out, text, len);
    } else if (len == 0 || *end != '\0' || strpbrk(text, "nNxX") || number > 1e300 ||
               number < -1e300) {
        soap_add_quoted(out, text, len); /* INF, NaN, and what is no number */
    } else {
        buf_addf(out, "%.17g", number);
    }
}

static void add_scalar(struct buf *out, const struct wsdl_builtin *builtin, char *text)
{
    enum wsdl_value kind = builtin ? builtin->value : WSDL_TEXT;
    size_t len = kind == WSDL_TEXT ? strlen(text) : trim(&text);
    if (kind == WSDL_BOOLEAN && (strcmp(text, "true") == 0 || strcmp(text, "1") == 0)) {
        buf_adds(out, "true");
    } else if (kind == WSDL_BOOLEAN && (strcmp(text, "false") == 0 || strcmp(text, "0") == 0)) {
        buf_adds(out, "false");
    } else if (kind == WSDL_INTEGER) {
        add_integer(out, text, len);
    } else if (kind == WSDL_FLOAT) {
        add_float(out, text, len);
    } else {
        soap_add_quoted(out, text, len);
    }
}

static void add_list(struct buf *out, const struct wsdl_builtin *builtin, char *text)
{
    char *rest = NULL;
    bool first = true;
    buf_addc(out, '[');
    for (char *one = strtok_r(text, " \t\r\n", &rest); one;
         one = strtok_r(NULL, " \t\r\n", &rest)) {
        buf_adds(out, first ? "" : ",");
        first = false;
        add_scalar(out, builtin, one);
    }
    buf_addc(out, ']');
}

static void add_text(struct soap_reader *r, const struct wsdl_type *type, const char *text)
{
    char *copy;
    buf_reset(&r->text);
    buf_adds(&r->text, text);
    buf_adds(&r->text, "");
    copy = r->text.data;
    if (!copy) {
        buf_adds(r->out, "\"\"");
    } else if (type && type->list_item) {
        add_list(r->out, type->list_item->builtin, copy);
    } else if (type && type->builtin && type->builtin->list) {
        add_list(r->out, NULL, copy);
    } else {
        add_scalar(r->out, type && !type->is_union ? type->builtin : NULL, copy);
    }
}

static void add_node_text(struct soap_reader *r, const struct wsdl_type *type, const xmlNode *node)
{
    struct buf text;
    buf_init(&text, SOAP_MAX_ANSWER);
    xmlsafe_text(node, &text);
    add_text(r, type, buf_text(&text));
    buf_release(&text);
}

/* The element with this id, among the body's children: where SOAP 1.1's encoding puts it. */
static const xmlNode *find_reference(const struct soap_reader *r, const char *href)
{
    for (const xmlNode *n = xmlsafe_child(r->body); *href == '#' && n; n = xmlsafe_next(n)) {
        const char *id = xmlsafe_attribute(n, NULL, "id");
        if (id && strcmp(id, href + 1) == 0) {
            return n;
        }
    }
    return NULL;
}

/* xsi:type, when it fits what was expected. */
static const struct wsdl_type *actual_type(const struct soap_reader *r, const xmlNode *node,
                                           const struct wsdl_type *type)
{
    const char *value = xmlsafe_attribute(node, NS_INSTANCE, "type");
    const char *ns = NULL;
    const char *local = NULL;
    const struct wsdl_type *named = NULL;
    if (!value || !xmlsafe_qname(node, value, &ns, &local) || !ns) {
        return type;
    }
    if (strcmp(ns, NS_SCHEMA) == 0 || strcmp(ns, NS_ENCODING11) == 0 ||
        strcmp(ns, NS_ENCODING12) == 0) {
        named = wsdl_builtin_type(r->wsdl, local);
    } else {
        named = wsdl_type(r->wsdl, ns, local);
    }
    bool fits = named && (!type || type->any || wsdl_derives(named, type));
    return fits ? named : type;
}

static bool is_array(const xmlNode *node, const struct wsdl_type *type)
{
    return (type && type->array_item) || xmlsafe_attribute(node, NS_ENCODING11, "arrayType") ||
           xmlsafe_attribute(node, NS_ENCODING12, "arraySize");
}

static void read_array(struct soap_reader *r, const xmlNode *node, const struct wsdl_type *type,
                       unsigned depth)
{
    const struct wsdl_type *item = type && type->array_item ? type->array_item->type : NULL;
    bool first = true;
    buf_addc(r->out, '[');
    for (const xmlNode *n = xmlsafe_child(node); n; n = xmlsafe_next(n)) {
        buf_adds(r->out, first ? "" : ",");
        first = false;
        soap_read_value(r, n, item, depth + 1);
    }
    buf_addc(r->out, ']');
}

/* A particle of the type for a child element of this name. */
static const struct wsdl_particle *find_particle(const struct wsdl_particle *p, const char *name,
                                                 bool *ret_repeated)
{
    for (; p; p = p->next) {
        const struct wsdl_particle *found = NULL;
        bool repeated = p->max > 1;
        if (p->kind == WSDL_ELEMENT) {
            found = strcmp(p->element->name, name) == 0 ? p : NULL;
        } else {
            const struct wsdl_particle *inner = p->first;
            if (p->kind == WSDL_GROUP) {
                inner = p->group ? p->group->content : NULL;
            }
            found = find_particle(inner, name, ret_repeated);
        }
        if (found) {
            *ret_repeated = *ret_repeated || repeated;
            return found;
        }
    }
    return NULL;
}

static int compare_name(const void *key, const void *name)
{
    const char *const *text = name;
    return strcmp(key, *text);
}

static bool knows_child(const struct wsdl_type *type, const char *name)
{
    return type && type->n_names > 0 &&
           bsearch(name, type->names, type->n_names, sizeof(*type->names), compare_name);
}

static const struct wsdl_element *find_element(const struct wsdl_type *type, const char *name,
                                               bool *ret_repeated)
{
    *ret_repeated = false;
    if (!knows_child(type, name)) {
        return NULL;
    }
    for (; type; type = type->extends ? type->base : NULL) {
        const struct wsdl_particle *p = find_particle(type->content, name, ret_repeated);
        if (p) {
            return p->element;
        }
    }
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    const struct child *x = a;
    const struct child *y = b;
    int order = strcmp((const char *)x->node->name, (const char *)y->node->name);
    if (order == 0) {
        order = x->at < y->at ? -1 : 1;
    }
    return order;
}

/* First ones of their names before all others; those as they stand in the document. */
static int by_place(const void *a, const void *b)
{
    const struct child *const *x = a;
    const struct child *const *y = b;
    return (*x)->at < (*y)->at ? -1 : 1;
}

/* Sorts the children by name and points to the first of each name, in the document's order.
 * Returns how many names there are. */
static size_t group(struct child *children, size_t n, struct child **firsts)
{
    size_t names = 0;
    qsort(children, n, sizeof(*children), by_name);
    for (size_t i = 0; i < n; i++) {
        bool same = names > 0 && strcmp((const char *)firsts[names - 1]->node->name,
                                        (const char *)children[i].node->name) == 0;
        if (!same) {
            firsts[names++] = &children[i];
        }
        firsts[names - 1]->count++;
    }
    qsort(firsts, names, sizeof(struct child *), by_place);
    return names;
}

static void add_member_key(struct soap_reader *r, const char *prefix, const char *name, bool *first)
{
    buf_adds(r->out, *first ? "\"" : ",\"");
    buf_adds(r->out, prefix);
    jsontext_escape(r->out, name, strlen(name));
    buf_adds(r->out, "\":");
    *first = false;
}

static void read_group(struct soap_reader *r, const struct child *of, const struct wsdl_type *type,
                       unsigned depth, bool *first)
{
    bool repeated;
    const char *name = (const char *)of->node->name;
    const struct wsdl_element *element = find_element(type, name, &repeated);
    bool array = repeated || of->count > 1;
    add_member_key(r, "", name, first);
    buf_adds(r->out, array ? "[" : "");
    for (size_t i = 0; i < of->count && buf_error(r->out) == 0; i++) {
        buf_adds(r->out, i > 0 ? "," : "");
        soap_read_value(r, of[i].node, element ? element->type : NULL, depth + 1);
    }
    buf_adds(r->out, array ? "]" : "");
}

static void read_children(struct soap_reader *r, const xmlNode *node, const struct wsdl_type *type,
                          unsigned depth, bool *first)
{
    size_t n = 0;
    for (const xmlNode *c = xmlsafe_child(node); c; c = xmlsafe_next(c)) {
        n++;
    }
    struct child *children = calloc(n > 0 ? n : 1, sizeof(*children));
    struct child **firsts = calloc(n > 0 ? n : 1, sizeof(struct child *));
    if (!children || !firsts) {
        free(children);
        free((void *)firsts);
        return; /* the answer is for people; an empty object must do */
    }
    n = 0;
    for (const xmlNode *c = xmlsafe_child(node); c; c = xmlsafe_next(c)) {
        children[n] = (struct child){.node = c, .at = n};
        n++;
    }
    size_t names = group(children, n, firsts);
    for (size_t i = 0; i < names && buf_error(r->out) == 0; i++) {
        read_group(r, firsts[i], type, depth, first);
    }
    free(children);
    free((void *)firsts);
}

static bool has_attributes(const struct wsdl_type *type)
{
    for (; type; type = type->base) {
        if (type->n_attributes > 0) {
            return true;
        }
    }
    return false;
}

static void read_attributes(struct soap_reader *r, const xmlNode *node,
                            const struct wsdl_type *type, bool *first)
{
    const struct wsdl_type *whole = type;
    for (; type; type = type->base) {
        for (size_t i = 0; i < type->n_attributes; i++) {
            const struct wsdl_attribute *a = &type->attributes[i];
            const char *value = xmlsafe_attribute(node, a->ns, a->name);
            if (value) {
                add_member_key(r, knows_child(whole, a->name) ? "@" : "", a->name, first);
                add_text(r, a->type, value);
            }
        }
    }
}

static void read_object(struct soap_reader *r, const xmlNode *node, const struct wsdl_type *type,
                        unsigned depth)
{
    bool first = true;
    buf_addc(r->out, '{');
    if (type && type->builtin) {
        add_member_key(r, "", "_", &first);
        add_node_text(r, type, node);
    } else {
        read_children(r, node, type, depth, &first);
    }
    read_attributes(r, node, type, &first);
    buf_addc(r->out, '}');
}

static bool is_nil(const xmlNode *node)
{
    const char *nil = xmlsafe_attribute(node, NS_INSTANCE, "nil");
    return nil && (strcmp(nil, "true") == 0 || strcmp(nil, "1") == 0);
}

static void read_here(struct soap_reader *r, const xmlNode *node, const struct wsdl_type *type,
                      unsigned depth)
{
    type = actual_type(r, node, type);
    if (is_array(node, type)) {
        read_array(r, node, type, depth);
    } else if (type && (type->simple || (type->builtin && !has_attributes(type)))) {
        add_node_text(r, type, node);
    } else if ((type && !type->any) || xmlsafe_child(node)) {
        read_object(r, node, type && type->any ? NULL : type, depth);
    } else {
        add_node_text(r, NULL, node);
    }
}

void soap_read_value(struct soap_reader *r, const xmlNode *node, const struct wsdl_type *type,
                     unsigned depth)
{
    const char *href = xmlsafe_attribute(node, NULL, "href");
    const xmlNode *target = href && !node->children ? find_reference(r, href) : NULL;
    if (buf_error(r->out) < 0) {
        return;
    }
    if (depth > MAX_DEPTH || is_nil(node)) {
        buf_adds(r->out, "null");
    } else if (target) {
        soap_read_value(r, target, type, depth + 1);
    } else {
        read_here(r, node, type, depth);
    }
}
