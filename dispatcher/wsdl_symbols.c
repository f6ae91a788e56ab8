/* Everything global that the documents name, in one table: by kind, namespace and name. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dispatcher/wsdl_impl.h"
#include "dispatcher/xmlsafe.h"

static const struct {
    const char *ns;
    const char *element;
    enum wsdl_symbol_kind kind;
} symbol_rows[] = {
    {NS_XSD, "complexType", SYMBOL_TYPE},
    {NS_XSD, "simpleType", SYMBOL_TYPE},
    {NS_XSD, "element", SYMBOL_ELEMENT},
    {NS_XSD, "group", SYMBOL_GROUP},
    {NS_XSD, "attributeGroup", SYMBOL_ATTRIBUTE_GROUP},
    {NS_XSD, "attribute", SYMBOL_ATTRIBUTE},
    {NS_WSDL, "message", SYMBOL_MESSAGE},
    {NS_WSDL, "portType", SYMBOL_PORT_TYPE},
    {NS_WSDL, "binding", SYMBOL_BINDING},
};

/* Namespaces are few, and compared by their pointers: the same text is the same pointer. They
 * stand in the table of symbols' arena as a list. */
struct interned {
    struct interned *next;
    char text[];
};

const char *wsdl_intern(struct wsdl *w, const char *text)
{
    struct interned **at = &w->names;
    size_t len = strlen(text);
    if (len == 0) {
        return NULL;
    }
    for (; *at; at = &(*at)->next) {
        if (strcmp((*at)->text, text) == 0) {
            return (*at)->text;
        }
    }
    *at = arena_get(&w->arena, sizeof(**at) + len + 1);
    if (!*at) {
        return NULL;
    }
    memcpy((*at)->text, text, len);
    return (*at)->text;
}

static int compare_keys(const struct wsdl_symbol *s, enum wsdl_symbol_kind kind, const char *ns,
                        const char *name)
{
    if (s->kind != kind) {
        return s->kind < kind ? -1 : 1;
    }
    int order = strcmp(s->name, name);
    return order != 0 ? order : strcmp(s->ns ? s->ns : "", ns ? ns : "");
}

static int compare(const void *a, const void *b)
{
    const struct wsdl_symbol *x = a;
    const struct wsdl_symbol *y = b;
    int order = compare_keys(x, y->kind, y->ns, y->name);
    if (order == 0) {
        order = x->order < y->order ? -1 : 1;
    }
    return order;
}

/* The first symbol that is not before the key. */
static size_t lower_bound(const struct wsdl *w, enum wsdl_symbol_kind kind, const char *ns,
                          const char *name)
{
    size_t low = 0;
    size_t high = w->n_symbols;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_keys(&w->symbols[middle], kind, ns, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct wsdl_symbol *wsdl_find(const struct wsdl *w, enum wsdl_symbol_kind kind, const char *ns,
                              const char *name)
{
    size_t i = lower_bound(w, kind, ns, name);
    bool found = i < w->n_symbols && compare_keys(&w->symbols[i], kind, ns, name) == 0;
    return found ? &w->symbols[i] : NULL;
}

/* By name alone: the only one, or NULL. */
static const struct wsdl_symbol *find_anywhere(const struct wsdl *w, enum wsdl_symbol_kind kind,
                                               const char *name)
{
    size_t i = lower_bound(w, kind, NULL, name);
    const struct wsdl_symbol *first = i < w->n_symbols ? &w->symbols[i] : NULL;
    if (!first || first->kind != kind || strcmp(first->name, name) != 0) {
        return NULL;
    }
    for (i++; i < w->n_symbols; i++) {
        const struct wsdl_symbol *s = &w->symbols[i];
        if (s->kind != kind || strcmp(s->name, name) != 0) {
            break;
        }
        if (s->ns != first->ns) {
            return NULL;
        }
    }
    return first;
}

const struct wsdl_element *wsdl_element(const struct wsdl *w, const char *ns, const char *name)
{
    const struct wsdl_symbol *s =
        ns ? wsdl_find(w, SYMBOL_ELEMENT, ns, name) : find_anywhere(w, SYMBOL_ELEMENT, name);
    return s ? s->made.element : NULL;
}

const struct wsdl_type *wsdl_type(const struct wsdl *w, const char *ns, const char *name)
{
    const struct wsdl_symbol *s =
        ns ? wsdl_find(w, SYMBOL_TYPE, ns, name) : find_anywhere(w, SYMBOL_TYPE, name);
    return s ? s->made.type : NULL;
}

bool wsdl_qname(struct wsdl_reader *r, const struct wsdl_schema *schema, const xmlNode *node,
                const char *value, const char **ret_ns, const char **ret_local)
{
    const char *ns = NULL;
    if (!xmlsafe_qname(node, value, &ns, ret_local)) {
        return false;
    }
    *ret_ns = ns ? wsdl_intern(r->wsdl, ns) : NULL;
    if (!ns && schema && schema->adopted) {
        *ret_ns = schema->ns;
    }
    return true;
}

struct wsdl_symbol *wsdl_refer(struct wsdl_reader *r, enum wsdl_symbol_kind kind,
                               const struct wsdl_schema *schema, const xmlNode *node,
                               const char *value)
{
    const char *ns;
    const char *local;
    if (!wsdl_qname(r, schema, node, value, &ns, &local)) {
        return NULL;
    }
    return wsdl_find(r->wsdl, kind, ns, local);
}

static int add_symbol(struct wsdl_reader *r, const struct wsdl_symbol *symbol)
{
    struct wsdl *w = r->wsdl;
    if (w->n_symbols == r->cap_symbols) {
        size_t cap = r->cap_symbols ? r->cap_symbols * 2 : 64;
        struct wsdl_symbol *list = realloc(w->symbols, cap * sizeof(*list));
        if (!list) {
            return -ENOMEM;
        }
        w->symbols = list;
        r->cap_symbols = cap;
    }
    w->symbols[w->n_symbols] = *symbol;
    w->symbols[w->n_symbols].order = (unsigned)w->n_symbols;
    w->n_symbols++;
    return 0;
}

/* Adds the children of a schema or of definitions that are symbols of this namespace. */
static int collect_children(struct wsdl_reader *r, const xmlNode *parent, const char *element_ns,
                            const struct wsdl_symbol *like)
{
    for (const xmlNode *n = xmlsafe_child(parent); n; n = xmlsafe_next(n)) {
        const char *name = xmlsafe_attribute(n, NULL, "name");
        for (size_t i = 0; name && i < sizeof(symbol_rows) / sizeof(symbol_rows[0]); i++) {
            struct wsdl_symbol symbol = *like;
            if (strcmp(symbol_rows[i].ns, element_ns) != 0 ||
                !xmlsafe_is(n, element_ns, symbol_rows[i].element)) {
                continue;
            }
            symbol.kind = symbol_rows[i].kind;
            symbol.name = arena_text(&r->wsdl->arena, name, strlen(name));
            symbol.node = n;
            if (!symbol.name || add_symbol(r, &symbol) < 0) {
                return -ENOMEM;
            }
        }
    }
    return 0;
}

static bool attribute_is(const xmlNode *node, const char *name, const char *value)
{
    const char *found = xmlsafe_attribute(node, NULL, name);
    return found && strcmp(found, value) == 0;
}

/* Notes a schema; its symbols are added when all schemas are there, for their list moves. */
static int add_schema(struct wsdl_reader *r, const struct wsdl_source *source, const xmlNode *node)
{
    const char *ns = xmlsafe_attribute(node, NULL, "targetNamespace");
    if (r->n_schemas == r->cap_schemas) {
        size_t cap = r->cap_schemas ? r->cap_schemas * 2 : 16;
        struct wsdl_schema *list = realloc(r->schemas, cap * sizeof(*list));
        if (!list) {
            return -ENOMEM;
        }
        r->schemas = list;
        r->cap_schemas = cap;
    }
    r->schemas[r->n_schemas++] = (struct wsdl_schema){
        .ns = ns ? wsdl_intern(r->wsdl, ns) : source->adopted_ns,
        .adopted = !ns && source->adopted_ns,
        .url = source->url,
        .qualified = attribute_is(node, "elementFormDefault", "qualified"),
        .attributes_qualified = attribute_is(node, "attributeFormDefault", "qualified"),
        .node = node,
    };
    return 0;
}

static int collect_schemas(struct wsdl_reader *r, const struct wsdl_source *source)
{
    const xmlNode *root = xmlDocGetRootElement(source->doc);
    if (xmlsafe_is(root, NS_XSD, "schema")) {
        return add_schema(r, source, root);
    }
    for (const xmlNode *n = xmlsafe_child(root); n; n = xmlsafe_next(n)) {
        const xmlNode *inner = xmlsafe_is(n, NS_WSDL, "types") ? xmlsafe_child(n) : NULL;
        for (; inner; inner = xmlsafe_next(inner)) {
            if (xmlsafe_is(inner, NS_XSD, "schema") && add_schema(r, source, inner) < 0) {
                return -ENOMEM;
            }
        }
    }
    return 0;
}

static int collect_definitions(struct wsdl_reader *r, const struct wsdl_source *source)
{
    const xmlNode *root = xmlDocGetRootElement(source->doc);
    const char *ns = xmlsafe_attribute(root, NULL, "targetNamespace");
    if (!xmlsafe_is(root, NS_WSDL, "definitions")) {
        return 0;
    }
    const struct wsdl_symbol like = {.ns = ns ? wsdl_intern(r->wsdl, ns) : NULL,
                                     .url = source->url};
    return collect_children(r, root, NS_WSDL, &like);
}

int wsdl_collect(struct wsdl_reader *r, char *ret_reason, size_t size)
{
    struct wsdl *w = r->wsdl;
    int result = 0;
    for (size_t i = 0; i < r->n_sources && result == 0; i++) {
        result = collect_schemas(r, &r->sources[i]);
        result = result < 0 ? result : collect_definitions(r, &r->sources[i]);
    }
    for (size_t i = 0; i < r->n_schemas && result == 0; i++) {
        const struct wsdl_schema *schema = &r->schemas[i];
        const struct wsdl_symbol like = {.ns = schema->ns, .url = schema->url, .schema = schema};
        result = collect_children(r, schema->node, NS_XSD, &like);
    }
    if (result < 0) {
        return result;
    }
    if (w->n_symbols == 0) {
        (void)snprintf(ret_reason, size, "it defines nothing");
        return -EBADMSG;
    }
    qsort(w->symbols, w->n_symbols, sizeof(*w->symbols), compare);
    return 0;
}
