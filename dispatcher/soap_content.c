/* Elements and what they hold: the schema's order, the payload's values. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dispatcher/soap_impl.h"
#include "dispatcher/xmlsafe.h"

enum { OUTSIDE = -1 }; /* not in a group that is repeated */

/* Where values come from. */
struct source {
    const struct jsonview_node *object; /* NULL: there is none, so everything is missing */
    int64_t index;                      /* in a repeated group: which element of arrays */
};

static bool is_null(const struct jsonview_node *value)
{
    return !value || value->type == JSONVIEW_NULL;
}

static const struct jsonview_node *first_of(const struct soap_writer *w,
                                            const struct jsonview_node *container)
{
    size_t at = (size_t)(container - w->view.nodes) + 1;
    return at < container->end ? &w->view.nodes[at] : NULL;
}

static const struct jsonview_node *next_of(const struct soap_writer *w,
                                           const struct jsonview_node *container,
                                           const struct jsonview_node *node)
{
    return node->end < container->end ? &w->view.nodes[node->end] : NULL;
}

static size_t count_of(const struct soap_writer *w, const struct jsonview_node *array)
{
    size_t n = 0;
    for (const struct jsonview_node *e = first_of(w, array); e; e = next_of(w, array, e)) {
        n++;
    }
    return n;
}

/* Whether an array is one value of the type, not several. */
static bool takes_array(const struct wsdl_type *type)
{
    return type->array_item || type->any || type->list_item ||
           (type->builtin && type->builtin->list);
}

/* What the payload has for the element; NULL when nothing, or null for one that cannot be nil. */
static const struct jsonview_node *value_of(const struct soap_writer *w, const struct source *from,
                                            const struct wsdl_element *element)
{
    const struct jsonview_node *value =
        from->object ? jsonview_member(&w->view, from->object, element->name) : NULL;
    if (value && from->index != OUTSIDE && value->type == JSONVIEW_ARRAY) {
        value = jsonview_element(&w->view, value, (size_t)from->index);
    }
    return value && value->type == JSONVIEW_NULL && !element->nillable ? NULL : value;
}

/* Whether the payload has anything for a particle. */
static bool is_present(const struct soap_writer *w, const struct source *from,
                       const struct wsdl_particle *p)
{
    if (p->kind == WSDL_ELEMENT) {
        return value_of(w, from, p->element) != NULL;
    }
    const struct wsdl_particle *c = p->first;
    if (p->kind == WSDL_GROUP) {
        c = p->group ? p->group->content : NULL;
    }
    for (; c; c = c->next) {
        if (is_present(w, from, c)) {
            return true;
        }
    }
    return false;
}

/* Elements of the longest array that belongs to a repeated group. */
static size_t longest(const struct soap_writer *w, const struct source *from,
                      const struct wsdl_particle *p)
{
    size_t most = 0;
    for (; p; p = p->next) {
        size_t n = 0;
        if (p->kind == WSDL_ELEMENT) {
            const struct jsonview_node *value = value_of(w, from, p->element);
            n = value && value->type == JSONVIEW_ARRAY ? count_of(w, value) : value != NULL;
        } else if (p->kind != WSDL_GROUP) {
            n = longest(w, from, p->first);
        }
        most = n > most ? n : most;
    }
    return most;
}

static int write_content(struct soap_writer *w, xmlNode *node, const struct wsdl_particle *p,
                         const struct source *from);

static int write_fixed(struct soap_writer *w, xmlNode *node, const struct wsdl_element *element)
{
    xmlNode *child = soap_child(w, node, element->ns, element->name);
    xmlNode *text = child ? xmlNewDocText(w->doc, (const xmlChar *)element->fixed) : NULL;
    if (!text) {
        return -ENOMEM;
    }
    xmlAddChild(child, text);
    return 0;
}

static int write_one(struct soap_writer *w, xmlNode *node, const struct wsdl_particle *p,
                     const struct jsonview_node *value)
{
    size_t length = soap_enter(w, p->element->name, strlen(p->element->name));
    int r;
    if (!value && p->min > 0 && p->element->fixed) {
        r = write_fixed(w, node, p->element);
    } else if (!value) {
        r = p->min > 0 ? soap_refuse(w, "it is missing") : 0;
    } else if (value->type == JSONVIEW_ARRAY && !takes_array(p->element->type)) {
        r = soap_refuse(w, "it is an array, but the element may stand there only once");
    } else {
        r = soap_element(w, node, p->element, value);
    }
    soap_leave(w, length);
    return r;
}

/* An element that may stand several times. One array in an array of arrays is for soapenc. */
static int write_many(struct soap_writer *w, xmlNode *node, const struct wsdl_particle *p,
                      const struct jsonview_node *array)
{
    size_t length = soap_enter(w, p->element->name, strlen(p->element->name));
    size_t n = count_of(w, array);
    size_t index = 0;
    int r = 0;
    if (n < p->min || (p->max != WSDL_UNBOUNDED && n > p->max)) {
        r = soap_refuse(w,
                        n < p->min ? "it has %zu elements, but must have at least %u"
                                   : "it has %zu elements, but may have at most %u",
                        n, n < p->min ? p->min : p->max);
    }
    const struct jsonview_node *e = first_of(w, array);
    for (; e && r == 0; e = next_of(w, array, e)) {
        size_t inner = soap_enter_index(w, index++);
        r = soap_element(w, node, p->element, e);
        soap_leave(w, inner);
    }
    soap_leave(w, length);
    return r;
}

static int write_particle_element(struct soap_writer *w, xmlNode *node,
                                  const struct wsdl_particle *p, const struct source *from)
{
    const struct jsonview_node *value = value_of(w, from, p->element);
    if (p->max == 0) {
        return 0;
    }
    if (value && p->max > 1 && value->type == JSONVIEW_ARRAY) {
        return write_many(w, node, p, value);
    }
    return write_one(w, node, p, value);
}

static bool may_be_empty(const struct wsdl_particle *p)
{
    if (p->min == 0) {
        return true;
    }
    if (p->kind == WSDL_ELEMENT || p->kind == WSDL_GROUP) {
        return false;
    }
    for (const struct wsdl_particle *c = p->first; c; c = c->next) {
        if (c->min > 0) {
            return false;
        }
    }
    return true;
}

static int write_choice(struct soap_writer *w, xmlNode *node, const struct wsdl_particle *choice,
                        const struct source *from)
{
    size_t present = 0;
    bool empty = choice->min == 0 || !choice->first;
    int r = 0;
    for (const struct wsdl_particle *c = choice->first; c; c = c->next) {
        present += is_present(w, from, c);
        empty = empty || may_be_empty(c);
    }
    if (present > 1 && choice->max == 1) {
        return soap_refuse(w, "only one of %zu keys that exclude each other may be there", present);
    }
    if (present == 0 && !empty) {
        const struct wsdl_element *e = choice->first->element;
        return soap_refuse(w, "one of several keys must be there, such as \"%.60s\"",
                           e ? e->name : "");
    }
    for (const struct wsdl_particle *c = choice->first; c && r == 0; c = c->next) {
        struct wsdl_particle alone = *c;
        alone.next = NULL;
        r = is_present(w, from, c) ? write_content(w, node, &alone, from) : 0;
    }
    return r;
}

/* A sequence or "all", perhaps several times: then the values are arrays side by side. */
static int write_group(struct soap_writer *w, xmlNode *node, const struct wsdl_particle *p,
                       const struct wsdl_particle *content, const struct source *from)
{
    if (p->max == 0 || (p->min == 0 && !is_present(w, from, p))) {
        return 0;
    }
    if (p->max == 1 || from->index != OUTSIDE) {
        return write_content(w, node, content, from);
    }
    size_t n = longest(w, from, content);
    int r = 0;
    for (size_t i = 0; i < (n > 0 ? n : 1) && r == 0; i++) {
        const struct source one = {from->object, (int64_t)i};
        r = write_content(w, node, content, &one);
    }
    return r;
}

static int write_content(struct soap_writer *w, xmlNode *node, const struct wsdl_particle *p,
                         const struct source *from)
{
    int r = 0;
    for (; p && r == 0; p = p->next) {
        switch (p->kind) {
        case WSDL_ELEMENT:
            r = write_particle_element(w, node, p, from);
            break;
        case WSDL_CHOICE:
            r = write_choice(w, node, p, from);
            break;
        case WSDL_SEQUENCE:
        case WSDL_ALL:
            r = write_group(w, node, p, p->first, from);
            break;
        case WSDL_GROUP:
            r = p->group ? write_group(w, node, p, p->group->content, from)
                         : soap_refuse(w, "its type has a group that is not defined");
            break;
        case WSDL_ANY:
            break;
        }
    }
    return r;
}

/* What the base holds comes first. */
static int write_children(struct soap_writer *w, xmlNode *node, const struct wsdl_type *type,
                          const struct source *from)
{
    int r = 0;
    if (type->extends && type->base) {
        r = write_children(w, node, type->base, from);
    }
    return r < 0 ? r : write_content(w, node, type->content, from);
}

static int compare_name(const void *key, const void *name)
{
    const char *const *text = name;
    return strcmp(key, *text);
}

static bool knows_child(const struct wsdl_type *type, const char *name)
{
    return type->n_names > 0 &&
           bsearch(name, type->names, type->n_names, sizeof(*type->names), compare_name);
}

static const struct wsdl_attribute *find_attribute(const struct wsdl_type *type, const char *name)
{
    for (; type; type = type->base) {
        for (size_t i = 0; i < type->n_attributes; i++) {
            if (strcmp(type->attributes[i].name, name) == 0) {
                return &type->attributes[i];
            }
        }
    }
    return NULL;
}

static bool is_simple(const struct wsdl_type *type)
{
    return type->builtin || type->list_item || type->is_union;
}

bool soap_is_header_key(const char *name, size_t len)
{
    static const char *const keys[] = {"@mustUnderstand", "@actor", "@role"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (strlen(keys[i]) == len && memcmp(keys[i], name, len) == 0) {
            return true;
        }
    }
    return false;
}

static bool knows_key(const struct soap_writer *w, const struct wsdl_type *type, const char *name,
                      const struct jsonview_node *object)
{
    if (knows_child(type, name) || strcmp(name, "@xsi:type") == 0) {
        return true;
    }
    if (object == w->header && soap_is_header_key(name, strlen(name))) {
        return true;
    }
    if (strcmp(name, "_") == 0 && is_simple(type)) {
        return true;
    }
    const struct wsdl_attribute *a = find_attribute(type, name + (*name == '@'));
    return a && !a->prohibited;
}

/* Every key of the payload must be one that the type knows. */
static int check_keys(struct soap_writer *w, const struct wsdl_type *type,
                      const struct jsonview_node *object)
{
    const struct jsonview_node *key = first_of(w, object);
    while (key) {
        buf_reset(&w->text);
        jsonview_decode(&w->view, key, &w->text);
        if (buf_error(&w->text) < 0) {
            return buf_error(&w->text) == -ENOMEM ? -ENOMEM : soap_refuse(w, "a key is too long");
        }
        if (!knows_key(w, type, buf_text(&w->text), object)) {
            size_t length = soap_enter(w, buf_text(&w->text), w->text.len);
            int r = soap_refuse(w, "the WSDL knows no element or attribute of this name");
            soap_leave(w, length);
            return r;
        }
        key = next_of(w, object, &w->view.nodes[key->end]);
    }
    return 0;
}

static const struct jsonview_node *attribute_value(const struct soap_writer *w,
                                                   const struct wsdl_type *type,
                                                   const struct jsonview_node *object,
                                                   const char *name)
{
    char key[260];
    size_t len = strlen(name);
    const struct jsonview_node *value = NULL;
    if (!object || len >= sizeof(key) - 1) {
        return NULL;
    }
    key[0] = '@';
    memcpy(key + 1, name, len + 1);
    value = jsonview_member(&w->view, object, key);
    if (!value && !knows_child(type, name)) {
        value = jsonview_member(&w->view, object, name);
    }
    return is_null(value) ? NULL : value;
}

static int write_attribute(struct soap_writer *w, xmlNode *node, const struct wsdl_attribute *a,
                           const struct jsonview_node *value)
{
    int r = 0;
    size_t length = soap_enter(w, "@", 1);
    size_t inner = soap_enter(w, a->name, strlen(a->name));
    if (value) {
        r = soap_simple(w, a->type, value);
        r = r < 0 ? r : soap_attribute(w, node, a->ns, a->name, buf_text(&w->text));
    } else if (a->required && a->fixed) {
        r = soap_attribute(w, node, a->ns, a->name, a->fixed);
    } else if (a->required) {
        r = soap_refuse(w, "it is missing");
    }
    soap_leave(w, inner);
    soap_leave(w, length);
    return r;
}

static int write_attributes(struct soap_writer *w, xmlNode *node, const struct wsdl_type *type,
                            const struct jsonview_node *object)
{
    int r = 0;
    for (const struct wsdl_type *t = type; t && r == 0; t = t->base) {
        for (size_t i = 0; i < t->n_attributes && r == 0; i++) {
            const struct wsdl_attribute *a = &t->attributes[i];
            /* What is derived has the last word on an attribute. */
            if (!a->prohibited && find_attribute(type, a->name) == a) {
                r = write_attribute(w, node, a, attribute_value(w, type, object, a->name));
            }
        }
    }
    return r;
}

static int write_text(struct soap_writer *w, xmlNode *node, const struct wsdl_type *type,
                      const struct jsonview_node *value)
{
    int r = soap_simple(w, type, value);
    if (r < 0) {
        return r;
    }
    xmlNode *text = xmlNewDocText(w->doc, (const xmlChar *)buf_text(&w->text));
    if (!text) {
        return -ENOMEM;
    }
    xmlAddChild(node, text);
    return 0;
}

/* Text with attributes. */
static int fill_simple_content(struct soap_writer *w, xmlNode *node, const struct wsdl_type *type,
                               const struct jsonview_node *value)
{
    bool object = value->type == JSONVIEW_OBJECT;
    const struct jsonview_node *text = object ? jsonview_member(&w->view, value, "_") : value;
    int r = object ? check_keys(w, type, value) : 0;
    r = r < 0 ? r : write_attributes(w, node, type, object ? value : NULL);
    if (r < 0) {
        return r;
    }
    return is_null(text) ? soap_refuse(w, "its text (key \"_\") is missing")
                         : write_text(w, node, type, text);
}

static int fill_complex(struct soap_writer *w, xmlNode *node, const struct wsdl_type *type,
                        const struct jsonview_node *value)
{
    /* PHP's empty array is written [], whatever was meant. */
    bool empty = value->type == JSONVIEW_ARRAY && !first_of(w, value);
    const struct source from = {empty ? NULL : value, OUTSIDE};
    if (value->type != JSONVIEW_OBJECT && !empty) {
        return soap_refuse(w, "it is no object, but an object with child elements is wanted");
    }
    int r = empty ? 0 : check_keys(w, type, value);
    r = r < 0 ? r : write_attributes(w, node, type, from.object);
    return r < 0 ? r : write_children(w, node, type, &from);
}

/* soapenc:Array. */
static int fill_array(struct soap_writer *w, xmlNode *node, const struct wsdl_type *type,
                      const struct jsonview_node *value)
{
    const struct wsdl_element *item = type->array_item;
    const char *encoding = w->input->operation->soap12 ? NS_ENCODING12 : NS_ENCODING11;
    char size[200];
    size_t index = 0;
    int r = 0;
    if (value->type != JSONVIEW_ARRAY) {
        return soap_refuse(w, "it is no array");
    }
    if (w->encoded) {
        bool named = item->type->name && item->type->ns;
        xmlNs *ns = soap_namespace(w, named ? item->type->ns : NS_SCHEMA);
        if (!ns) {
            return -ENOMEM;
        }
        (void)snprintf(size, sizeof(size), "%s:%.120s[%zu]", (const char *)ns->prefix,
                       named ? item->type->name : "anyType", count_of(w, value));
        r = soap_attribute(w, node, encoding, "arrayType", size);
    }
    const struct jsonview_node *e = first_of(w, value);
    for (; e && r == 0; e = next_of(w, value, e)) {
        size_t length = soap_enter_index(w, index++);
        r = soap_element(w, node, item, e);
        soap_leave(w, length);
    }
    return r;
}

int soap_fill(struct soap_writer *w, xmlNode *node, const struct wsdl_type *type,
              const struct jsonview_node *value)
{
    if (type->fault) {
        return soap_refuse(w, "%s", type->fault);
    }
    if (type->any) {
        return soap_anything(w, node, NULL, true, value);
    }
    if (type->array_item) {
        return fill_array(w, node, type, value);
    }
    if (type->simple) {
        return write_text(w, node, type, value);
    }
    return is_simple(type) ? fill_simple_content(w, node, type, value)
                           : fill_complex(w, node, type, value);
}

/* The type that "@xsi:type" names, if it is derived from the element's. */
static int choose_type(struct soap_writer *w, const struct wsdl_element *element,
                       const struct jsonview_node *value, const struct wsdl_type **ret_type)
{
    const struct jsonview_node *named =
        value->type == JSONVIEW_OBJECT ? jsonview_member(&w->view, value, "@xsi:type") : NULL;
    *ret_type = element->type;
    if (is_null(named)) {
        return element->type->abstract ? soap_refuse(w, "its type is abstract: \"@xsi:type\" must "
                                                        "name a derived one")
                                       : 0;
    }
    int r = soap_simple(w, wsdl_builtin_type(w->input->wsdl, "string"), named);
    if (r < 0) {
        return r;
    }
    const struct wsdl_type *type = wsdl_type(w->input->wsdl, NULL, buf_text(&w->text));
    if (!type || (!element->type->any && !wsdl_derives(type, element->type))) {
        return soap_refuse(w, "\"@xsi:type\" names no type that may stand there");
    }
    *ret_type = type;
    return 0;
}

/* xsi:type: in encoded messages always, else where it is not the type that was expected. */
static int mark_type(struct soap_writer *w, xmlNode *node, const struct wsdl_element *element,
                     const struct wsdl_type *type)
{
    if (type->array_item && w->encoded) {
        return soap_mark_type(w, node, w->input->operation->soap12 ? NS_ENCODING12 : NS_ENCODING11,
                              "Array");
    }
    if ((w->encoded || type != element->type) && type->name && !type->any) {
        return soap_mark_type(w, node, type->ns, type->name);
    }
    return 0;
}

int soap_element(struct soap_writer *w, xmlNode *parent, const struct wsdl_element *element,
                 const struct jsonview_node *value)
{
    const struct wsdl_type *type = NULL;
    if (element->fault || element->abstract) {
        return soap_refuse(w, "%s", element->fault ? element->fault : "the element is abstract");
    }
    if (is_null(value) && !element->nillable) {
        return soap_refuse(w, value ? "it is null" : "it is missing");
    }
    xmlNode *node = soap_child(w, parent, element->ns, element->name);
    if (!node) {
        return -ENOMEM;
    }
    if (is_null(value)) {
        return soap_attribute(w, node, NS_INSTANCE, "nil", "true");
    }
    int r = choose_type(w, element, value, &type);
    r = r < 0 ? r : mark_type(w, node, element, type);
    return r < 0 ? r : soap_fill(w, node, type, value);
}
