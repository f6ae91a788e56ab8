/* From the schemas' types to types of the model. */
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dispatcher/wsdl_impl.h"
#include "dispatcher/xmlsafe.h"

struct wsdl_type *wsdl_new_type(struct wsdl_reader *r)
{
    struct wsdl_type *type = wsdl_step(r) ? arena_get(&r->wsdl->arena, sizeof(*type)) : NULL;
    if (type) {
        type->max_length = SIZE_MAX;
        type->all = r->types;
        r->types = type;
    }
    return type;
}

const char *wsdl_fault(struct wsdl_reader *r, const char *url, const char *format, ...)
{
    char what[300];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    return arena_format(&r->wsdl->arena, "WSDL %.160s: %s", url, what);
}

/* The first fault stays. 0 or -ENOMEM. */
static int set_fault(struct wsdl_type *type, const char *fault)
{
    if (!type->fault) {
        type->fault = fault;
    }
    return fault ? 0 : -ENOMEM;
}

const struct wsdl_type *wsdl_type_named(struct wsdl_reader *r, const struct wsdl_schema *schema,
                                        const xmlNode *node, const char *value,
                                        const char **ret_fault)
{
    const char *ns = NULL;
    const char *local = value;
    const struct wsdl_type *type = NULL;
    bool known = wsdl_qname(r, schema, node, value, &ns, &local);
    bool encoding = ns && (strcmp(ns, NS_SOAPENC11) == 0 || strcmp(ns, NS_SOAPENC12) == 0);
    if (encoding && strcmp(local, "Array") == 0) {
        return r->wsdl->array;
    }
    if (encoding || (ns && strcmp(ns, NS_XSD) == 0)) {
        type = wsdl_builtin_type(r->wsdl, local);
    } else if (known) {
        const struct wsdl_symbol *symbol = wsdl_find(r->wsdl, SYMBOL_TYPE, ns, local);
        type = symbol ? symbol->made.type : NULL;
    }
    if (!type && ret_fault && !*ret_fault) {
        *ret_fault =
            wsdl_fault(r, schema ? schema->url : r->sources[0].url,
                       "line %ld: the type \"%.80s\" is not defined", xmlGetLineNo(node), value);
    }
    return type;
}

static const xmlNode *child_named(const xmlNode *node, const char *name)
{
    const xmlNode *child = xmlsafe_child(node);
    while (child && !xmlsafe_is(child, NS_XSD, name)) {
        child = xmlsafe_next(child);
    }
    return child;
}

/* The type that `attribute` names, or that stands inside; NULL with a fault, or with memory out. */
static const struct wsdl_type *inner_type(struct wsdl_reader *r, const struct wsdl_schema *schema,
                                          const xmlNode *node, const char *attribute,
                                          const char **ret_fault)
{
    const char *name = xmlsafe_attribute(node, NULL, attribute);
    const xmlNode *inner = child_named(node, "simpleType");
    if (name) {
        return wsdl_type_named(r, schema, node, name, ret_fault);
    }
    if (!inner) {
        *ret_fault = wsdl_fault(r, schema->url, "line %ld: no type is named", xmlGetLineNo(node));
        return NULL;
    }
    struct wsdl_type *type = wsdl_new_type(r);
    return type && wsdl_fill_simple(r, schema, type, inner) == 0 ? type : NULL;
}

static size_t length_of(const xmlNode *facet)
{
    const char *value = xmlsafe_attribute(facet, NULL, "value");
    return value ? (size_t)strtoul(value, NULL, 10) : 0;
}

/* Enumeration and lengths. */
static int fill_facets(struct wsdl_reader *r, struct wsdl_type *type, const xmlNode *restriction)
{
    size_t n = 0;
    for (const xmlNode *f = xmlsafe_child(restriction); f; f = xmlsafe_next(f)) {
        n += xmlsafe_is(f, NS_XSD, "enumeration");
        if (xmlsafe_is(f, NS_XSD, "minLength") || xmlsafe_is(f, NS_XSD, "length")) {
            type->min_length = length_of(f);
        }
        if (xmlsafe_is(f, NS_XSD, "maxLength") || xmlsafe_is(f, NS_XSD, "length")) {
            type->max_length = length_of(f);
        }
    }
    if (n == 0) {
        return 0;
    }
    type->values = arena_get(&r->wsdl->arena, n * sizeof(*type->values));
    for (const xmlNode *f = xmlsafe_child(restriction); f && type->values; f = xmlsafe_next(f)) {
        const char *value = xmlsafe_attribute(f, NULL, "value");
        if (!xmlsafe_is(f, NS_XSD, "enumeration") || !value) {
            continue;
        }
        const char *copy = arena_text(&r->wsdl->arena, value, strlen(value));
        if (!copy) {
            return -ENOMEM;
        }
        type->values[type->n_values++] = copy;
    }
    return type->values ? 0 : -ENOMEM;
}

int wsdl_fill_simple(struct wsdl_reader *r, const struct wsdl_schema *schema,
                     struct wsdl_type *type, const xmlNode *node)
{
    const xmlNode *restriction = child_named(node, "restriction");
    const xmlNode *list = child_named(node, "list");
    const char *fault = NULL;
    type->simple = true;
    if (restriction) {
        type->base = inner_type(r, schema, restriction, "base", &fault);
        if (!type->base) {
            return set_fault(type, fault);
        }
        return fill_facets(r, type, restriction);
    }
    if (list) {
        type->list_item = inner_type(r, schema, list, "itemType", &fault);
        return type->list_item ? 0 : set_fault(type, fault);
    }
    type->is_union = true; /* whatever can be written as text */
    type->base = wsdl_builtin_type(r->wsdl, "string");
    return 0;
}

/* Whether it is soapenc:Array or derived from it, as far as can be seen now. */
static bool is_array(const struct wsdl_reader *r, const struct wsdl_type *type)
{
    for (unsigned i = 0; type && i < WSDL_MAX_DERIVATION; i++, type = type->base) {
        if (type == r->wsdl->array) {
            return true;
        }
    }
    return false;
}

static const struct wsdl_element *first_element(const struct wsdl_particle *p)
{
    for (unsigned i = 0; p && p->kind != WSDL_ELEMENT && i < 8; i++) {
        p = p->first;
    }
    return p && p->kind == WSDL_ELEMENT ? p->element : NULL;
}

/* wsdl:arrayType="xsd:string[]" or the one element of its content says what it holds. */
static int fill_array(struct wsdl_reader *r, const struct wsdl_schema *schema,
                      struct wsdl_type *type, const xmlNode *restriction)
{
    const xmlNode *attribute = child_named(restriction, "attribute");
    const char *value = attribute ? xmlsafe_attribute(attribute, NS_WSDL, "arrayType") : NULL;
    const struct wsdl_element *named = first_element(type->content);
    struct wsdl_element *item = arena_get(&r->wsdl->arena, sizeof(*item));
    char name[200];
    if (!item) {
        return -ENOMEM;
    }
    *item = (struct wsdl_element){.name = "item", .type = r->wsdl->any, .nillable = true};
    if (named) {
        *item = *named;
    }
    type->content = NULL;
    type->array_item = item;
    if (!value) {
        return 0;
    }
    (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(value, "["), value);
    const char *brackets = value + strcspn(value, "[");
    if (strcmp(brackets, "[]") != 0) {
        return set_fault(type,
                         wsdl_fault(r, schema->url, "line %ld: arrays of arrays are not supported",
                                    xmlGetLineNo(attribute)));
    }
    const struct wsdl_type *of = wsdl_type_named(r, schema, attribute, name, &item->fault);
    item->type = of ? of : r->wsdl->any; /* and then with a fault */
    return of || item->fault ? 0 : -ENOMEM;
}

/* complexContent and simpleContent. */
static int fill_derived(struct wsdl_reader *r, const struct wsdl_schema *schema,
                        struct wsdl_type *type, const xmlNode *content)
{
    const xmlNode *extension = child_named(content, "extension");
    const xmlNode *node = extension ? extension : child_named(content, "restriction");
    const char *fault = NULL;
    const char *base = node ? xmlsafe_attribute(node, NULL, "base") : NULL;
    if (!base) {
        return set_fault(type, wsdl_fault(r, schema->url, "line %ld: a type without its base",
                                          xmlGetLineNo(content)));
    }
    type->base = wsdl_type_named(r, schema, node, base, &fault);
    if (!type->base) {
        return set_fault(type, fault);
    }
    type->extends = extension != NULL;
    if (type->base == r->wsdl->any) {
        type->base = NULL;
    }
    int result = wsdl_fill_content(r, schema, node, &type->content);
    if (result == 0 && xmlsafe_is(content, NS_XSD, "simpleContent")) {
        result = fill_facets(r, type, node);
    }
    result = result < 0 ? result : wsdl_fill_attributes(r, schema, type, node);
    if (result == 0 && is_array(r, type->base)) {
        result = fill_array(r, schema, type, node);
    }
    return result;
}

int wsdl_fill_type(struct wsdl_reader *r, const struct wsdl_schema *schema, struct wsdl_type *type,
                   const xmlNode *node)
{
    const char *abstract = xmlsafe_attribute(node, NULL, "abstract");
    const xmlNode *content;
    if (xmlsafe_is(node, NS_XSD, "simpleType")) {
        return wsdl_fill_simple(r, schema, type, node);
    }
    type->abstract = abstract && (strcmp(abstract, "true") == 0 || strcmp(abstract, "1") == 0);
    content = child_named(node, "complexContent");
    content = content ? content : child_named(node, "simpleContent");
    if (content) {
        return fill_derived(r, schema, type, content);
    }
    int result = wsdl_fill_content(r, schema, node, &type->content);
    return result < 0 ? result : wsdl_fill_attributes(r, schema, type, node);
}

/* Everything global has its place before anything is filled: what refers to it finds it. */
static int make_places(struct wsdl_reader *r)
{
    struct wsdl *w = r->wsdl;
    for (size_t i = 0; i < w->n_symbols; i++) {
        struct wsdl_symbol *s = &w->symbols[i];
        bool ok = true;
        if (s->kind == SYMBOL_TYPE) {
            s->made.type = wsdl_new_type(r);
            ok = s->made.type != NULL;
            if (ok) {
                s->made.type->ns = s->ns;
                s->made.type->name = s->name;
            }
        } else if (s->kind == SYMBOL_ELEMENT) {
            s->made.element = arena_get(&w->arena, sizeof(*s->made.element));
            ok = s->made.element != NULL;
        } else if (s->kind == SYMBOL_GROUP) {
            s->made.group = arena_get(&w->arena, sizeof(*s->made.group));
            ok = s->made.group != NULL;
        }
        if (!ok) {
            return -ENOMEM;
        }
    }
    return 0;
}

static int fill_symbol(struct wsdl_reader *r, struct wsdl_symbol *s)
{
    switch (s->kind) {
    case SYMBOL_TYPE:
        return wsdl_fill_type(r, s->schema, s->made.type, s->node);
    case SYMBOL_ELEMENT:
        return wsdl_fill_element(r, s->schema, s->made.element, s->node);
    case SYMBOL_GROUP:
        return wsdl_fill_content(r, s->schema, s->node, &s->made.group->content);
    case SYMBOL_ATTRIBUTE_GROUP:
    case SYMBOL_ATTRIBUTE:
    case SYMBOL_MESSAGE:
    case SYMBOL_PORT_TYPE:
    case SYMBOL_BINDING:
        break;
    }
    return 0;
}

int wsdl_make_types(struct wsdl_reader *r)
{
    int result = make_places(r);
    for (size_t i = 0; i < r->wsdl->n_symbols && result == 0; i++) {
        result = fill_symbol(r, &r->wsdl->symbols[i]);
    }
    return result;
}
