/* What a complex type holds: elements, their order and number, and attributes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dispatcher/wsdl_impl.h"
#include "dispatcher/xmlsafe.h"

enum { MAX_ATTRIBUTES = 128, MAX_ATTRIBUTE_GROUPS = 8 };

static const struct {
    const char *name;
    enum wsdl_kind kind;
} particle_rows[] = {
    {"element", WSDL_ELEMENT}, {"sequence", WSDL_SEQUENCE}, {"choice", WSDL_CHOICE},
    {"all", WSDL_ALL},         {"group", WSDL_GROUP},       {"any", WSDL_ANY},
};

static bool is_true(const xmlNode *node, const char *attribute)
{
    const char *value = xmlsafe_attribute(node, NULL, attribute);
    return value && (strcmp(value, "true") == 0 || strcmp(value, "1") == 0);
}

static bool is_qualified(const xmlNode *node, bool otherwise)
{
    const char *form = xmlsafe_attribute(node, NULL, "form");
    return form ? strcmp(form, "qualified") == 0 : otherwise;
}

static int copy_text(struct wsdl_reader *r, const char *text, const char **ret_copy)
{
    *ret_copy = text ? arena_text(&r->wsdl->arena, text, strlen(text)) : NULL;
    return text && !*ret_copy ? -ENOMEM : 0;
}

static const xmlNode *inline_type(const xmlNode *node)
{
    for (const xmlNode *n = xmlsafe_child(node); n; n = xmlsafe_next(n)) {
        if (xmlsafe_is(n, NS_XSD, "complexType") || xmlsafe_is(n, NS_XSD, "simpleType")) {
            return n;
        }
    }
    return NULL;
}

int wsdl_fill_element(struct wsdl_reader *r, const struct wsdl_schema *schema,
                      struct wsdl_element *element, const xmlNode *node)
{
    const char *type_name = xmlsafe_attribute(node, NULL, "type");
    const xmlNode *inner = inline_type(node);
    const char *name = xmlsafe_attribute(node, NULL, "name");
    bool global = node->parent == schema->node;
    element->ns = global || is_qualified(node, schema->qualified) ? schema->ns : NULL;
    element->nillable = is_true(node, "nillable");
    element->abstract = is_true(node, "abstract");
    element->type = r->wsdl->any;
    if (copy_text(r, name ? name : "", &element->name) < 0 ||
        copy_text(r, xmlsafe_attribute(node, NULL, "fixed"), &element->fixed) < 0) {
        return -ENOMEM;
    }
    if (!xmlsafe_is_ncname(element->name, strlen(element->name))) {
        element->fault = wsdl_fault(r, schema->url, "line %ld: an element without a valid name",
                                    xmlGetLineNo(node));
        return element->fault ? 0 : -ENOMEM;
    }
    if (type_name) {
        const struct wsdl_type *type = wsdl_type_named(r, schema, node, type_name, &element->fault);
        element->type = type ? type : r->wsdl->any;
        return type || element->fault ? 0 : -ENOMEM;
    }
    if (inner) {
        struct wsdl_type *type = wsdl_new_type(r);
        element->type = type;
        return type ? wsdl_fill_type(r, schema, type, inner) : -ENOMEM;
    }
    return 0;
}

static unsigned occurs(const xmlNode *node, const char *attribute)
{
    const char *value = xmlsafe_attribute(node, NULL, attribute);
    if (!value) {
        return 1;
    }
    if (strcmp(value, "unbounded") == 0) {
        return WSDL_UNBOUNDED;
    }
    unsigned long number = strtoul(value, NULL, 10);
    return number < WSDL_UNBOUNDED ? (unsigned)number : WSDL_UNBOUNDED;
}

/* An element that stands here, or one that is global. */
static int fill_reference(struct wsdl_reader *r, const struct wsdl_schema *schema,
                          const xmlNode *node, struct wsdl_particle *p)
{
    const char *name = xmlsafe_attribute(node, NULL, "ref");
    const struct wsdl_symbol *symbol =
        name ? wsdl_refer(r, SYMBOL_ELEMENT, schema, node, name) : NULL;
    if (symbol) {
        p->element = symbol->made.element;
        return 0;
    }
    struct wsdl_element *element = arena_get(&r->wsdl->arena, sizeof(*element));
    p->element = element;
    if (!element || !name) {
        return element ? wsdl_fill_element(r, schema, element, node) : -ENOMEM;
    }
    element->type = r->wsdl->any;
    element->fault = wsdl_fault(r, schema->url, "line %ld: the element \"%.80s\" is not defined",
                                xmlGetLineNo(node), name);
    return element->fault ? copy_text(r, name, &element->name) : -ENOMEM;
}

static int fill_particle(struct wsdl_reader *r, const struct wsdl_schema *schema,
                         const xmlNode *node, struct wsdl_particle *p)
{
    p->min = occurs(node, "minOccurs");
    p->max = occurs(node, "maxOccurs");
    if (p->kind == WSDL_ELEMENT) {
        return fill_reference(r, schema, node, p);
    }
    if (p->kind == WSDL_GROUP) {
        const char *name = xmlsafe_attribute(node, NULL, "ref");
        const struct wsdl_symbol *symbol =
            name ? wsdl_refer(r, SYMBOL_GROUP, schema, node, name) : NULL;
        p->group = symbol ? symbol->made.group : NULL;
        return 0;
    }
    return p->kind == WSDL_ANY ? 0 : wsdl_fill_content(r, schema, node, &p->first);
}

int wsdl_fill_content(struct wsdl_reader *r, const struct wsdl_schema *schema, const xmlNode *node,
                      struct wsdl_particle **ret_first)
{
    struct wsdl_particle **last = ret_first;
    for (const xmlNode *n = xmlsafe_child(node); n; n = xmlsafe_next(n)) {
        for (size_t i = 0; i < sizeof(particle_rows) / sizeof(particle_rows[0]); i++) {
            if (!xmlsafe_is(n, NS_XSD, particle_rows[i].name)) {
                continue;
            }
            struct wsdl_particle *p = wsdl_step(r) ? arena_get(&r->wsdl->arena, sizeof(*p)) : NULL;
            if (!p) {
                return -ENOMEM;
            }
            p->kind = particle_rows[i].kind;
            *last = p;
            last = &p->next;
            int result = fill_particle(r, schema, n, p);
            if (result < 0) {
                return result;
            }
        }
    }
    return 0;
}

/* Attributes of a type while they are gathered. */
struct gathering {
    struct wsdl_reader *r;
    struct wsdl_attribute items[MAX_ATTRIBUTES];
    size_t n;
    unsigned depth;
    bool too_many;
};

static const struct wsdl_type *attribute_type(struct wsdl_reader *r,
                                              const struct wsdl_schema *schema, const xmlNode *node)
{
    const char *name = xmlsafe_attribute(node, NULL, "type");
    const xmlNode *inner = inline_type(node);
    const struct wsdl_type *type = NULL;
    if (name) {
        type = wsdl_type_named(r, schema, node, name, NULL);
    } else if (inner) {
        struct wsdl_type *own = wsdl_new_type(r);
        type = own && wsdl_fill_simple(r, schema, own, inner) == 0 ? own : NULL;
    }
    return type ? type : wsdl_builtin_type(r->wsdl, "string");
}

static bool is_of_arrays(const char *ns)
{
    return ns && (strcmp(ns, NS_SOAPENC11) == 0 || strcmp(ns, NS_SOAPENC12) == 0);
}

/* A reference to something that is not here, such as xml:lang, is a text of that name. */
static int gather_attribute(struct gathering *g, const struct wsdl_schema *schema,
                            const xmlNode *node)
{
    const char *use = xmlsafe_attribute(node, NULL, "use");
    const char *ref = xmlsafe_attribute(node, NULL, "ref");
    const char *name = xmlsafe_attribute(node, NULL, "name");
    struct wsdl_attribute *a = &g->items[g->n];
    const xmlNode *from = node;
    g->too_many = g->too_many || g->n == MAX_ATTRIBUTES;
    if (g->too_many) {
        return 0;
    }
    *a = (struct wsdl_attribute){.required = use && strcmp(use, "required") == 0,
                                 .prohibited = use && strcmp(use, "prohibited") == 0};
    if (ref) {
        const struct wsdl_symbol *s = wsdl_refer(g->r, SYMBOL_ATTRIBUTE, schema, node, ref);
        if (!wsdl_qname(g->r, schema, node, ref, &a->ns, &name)) {
            return 0;
        }
        from = s ? s->node : node;
        schema = s ? s->schema : schema;
    } else if (is_qualified(node, schema->attributes_qualified)) {
        a->ns = schema->ns;
    }
    if (!name || !xmlsafe_is_ncname(name, strlen(name)) || is_of_arrays(a->ns)) {
        return 0;
    }
    a->type = attribute_type(g->r, schema, from);
    g->n++;
    int result = copy_text(g->r, name, &a->name);
    return result < 0 ? result : copy_text(g->r, xmlsafe_attribute(from, NULL, "fixed"), &a->fixed);
}

static int gather(struct gathering *g, const struct wsdl_schema *schema, const xmlNode *node)
{
    int result = 0;
    for (const xmlNode *n = xmlsafe_child(node); n && result == 0; n = xmlsafe_next(n)) {
        const char *ref = xmlsafe_attribute(n, NULL, "ref");
        if (!wsdl_step(g->r)) {
            return -ENOMEM;
        }
        if (xmlsafe_is(n, NS_XSD, "attribute")) {
            result = gather_attribute(g, schema, n);
        } else if (ref && xmlsafe_is(n, NS_XSD, "attributeGroup")) {
            const struct wsdl_symbol *s = wsdl_refer(g->r, SYMBOL_ATTRIBUTE_GROUP, schema, n, ref);
            if (s && g->depth < MAX_ATTRIBUTE_GROUPS) {
                g->depth++;
                result = gather(g, s->schema, s->node);
                g->depth--;
            }
        }
    }
    return result;
}

int wsdl_fill_attributes(struct wsdl_reader *r, const struct wsdl_schema *schema,
                         struct wsdl_type *type, const xmlNode *node)
{
    struct gathering g = {.r = r};
    int result = gather(&g, schema, node);
    if (result < 0 || (g.n == 0 && !g.too_many)) {
        return result;
    }
    if (g.too_many) {
        type->fault = wsdl_fault(r, schema->url, "line %ld: a type with more than %d attributes",
                                 xmlGetLineNo(node), MAX_ATTRIBUTES);
        return type->fault ? 0 : -ENOMEM;
    }
    type->attributes = arena_get(&r->wsdl->arena, g.n * sizeof(*type->attributes));
    if (!type->attributes) {
        return -ENOMEM;
    }
    memcpy(type->attributes, g.items, g.n * sizeof(*type->attributes));
    type->n_attributes = g.n;
    return 0;
}
