/* Messages and their parts. */
#include <errno.h>
#include <string.h>

#include "dispatcher/wsdl_impl.h"
#include "dispatcher/xmlsafe.h"

static int fill_part(struct wsdl_reader *r, const char *url, const xmlNode *node,
                     struct wsdl_part *part)
{
    const char *name = xmlsafe_attribute(node, NULL, "name");
    const char *element = xmlsafe_attribute(node, NULL, "element");
    const char *type = xmlsafe_attribute(node, NULL, "type");
    const struct wsdl_symbol *symbol =
        element ? wsdl_refer(r, SYMBOL_ELEMENT, NULL, node, element) : NULL;
    name = name ? name : "";
    part->name = arena_text(&r->wsdl->arena, name, strlen(name));
    if (symbol) {
        part->element = symbol->made.element;
        return part->name ? 0 : -ENOMEM;
    }
    struct wsdl_element *own = arena_get(&r->wsdl->arena, sizeof(*own));
    if (!own || !part->name) {
        return -ENOMEM;
    }
    own->name = part->name;
    own->nillable = true;
    part->by_type = true;
    part->element = own;
    if (type) {
        own->type = wsdl_type_named(r, NULL, node, type, &part->fault);
    } else {
        part->fault = wsdl_fault(r, url, "the part \"%.80s\" has no element that is defined", name);
    }
    if (!own->type && !part->fault) {
        return -ENOMEM;
    }
    if (!own->type) {
        own->type = r->wsdl->any;
    }
    if (!xmlsafe_is_ncname(name, strlen(name)) && !part->fault) {
        part->fault =
            wsdl_fault(r, url, "line %ld: a part without a valid name", xmlGetLineNo(node));
    }
    return 0;
}

/* A message is used by several operations and ports: its parts are made once. */
static int make_parts(struct wsdl_reader *r, struct wsdl_symbol *message)
{
    size_t n = 0;
    for (const xmlNode *p = xmlsafe_child(message->node); p; p = xmlsafe_next(p)) {
        n += xmlsafe_is(p, NS_WSDL, "part");
    }
    message->made.parts = arena_get(&r->wsdl->arena, (n + 1) * sizeof(struct wsdl_part *));
    if (!message->made.parts) {
        return -ENOMEM;
    }
    for (const xmlNode *p = xmlsafe_child(message->node); p; p = xmlsafe_next(p)) {
        if (!xmlsafe_is(p, NS_WSDL, "part")) {
            continue;
        }
        struct wsdl_part *part = arena_get(&r->wsdl->arena, sizeof(*part));
        if (!part || fill_part(r, message->url, p, part) < 0) {
            return -ENOMEM;
        }
        message->made.parts[message->n_parts++] = part;
    }
    return 0;
}

/* Whether a list of names with blanks between them holds this one. */
static bool lists(const char *list, const char *name)
{
    static const char blanks[] = " \t\r\n";
    size_t len = strlen(name);
    for (list += strspn(list, blanks); *list; list += strspn(list, blanks)) {
        size_t n = strcspn(list, blanks);
        if (n == len && memcmp(list, name, n) == 0) {
            return true;
        }
        list += n;
    }
    return false;
}

int wsdl_fill_body(struct wsdl_reader *r, struct wsdl_symbol *message, const char *only,
                   struct wsdl_body *body)
{
    if (!message->made.parts && make_parts(r, message) < 0) {
        return -ENOMEM;
    }
    body->parts = message->made.parts;
    body->n_parts = message->n_parts;
    if (!only) {
        return 0;
    }
    body->parts = arena_get(&r->wsdl->arena, (message->n_parts + 1) * sizeof(struct wsdl_part *));
    body->n_parts = 0;
    for (size_t i = 0; body->parts && i < message->n_parts; i++) {
        if (lists(only, message->made.parts[i]->name)) {
            body->parts[body->n_parts++] = message->made.parts[i];
        }
    }
    return body->parts ? 0 : -ENOMEM;
}
