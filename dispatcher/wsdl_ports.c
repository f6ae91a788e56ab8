/* Services, ports and bindings: the operations that can be called, and how. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"
#include "dispatcher/wsdl_impl.h"
#include "dispatcher/xmlsafe.h"

enum { MAX_OPERATIONS = 20000 };

/* A port while its operations are made. */
struct port {
    const char *url;
    const char *name;
    const char *soap_ns; /* of its extension elements */
    const char *address;
    const struct wsdl_symbol *binding;
    const struct wsdl_symbol *port_type;
    const char *style;
};

static const char *attribute_or(const xmlNode *node, const char *name, const char *otherwise)
{
    const char *value = node ? xmlsafe_attribute(node, NULL, name) : NULL;
    return value ? value : otherwise;
}

static const xmlNode *child_of(const xmlNode *node, const char *ns, const char *name)
{
    const xmlNode *child = node ? xmlsafe_child(node) : NULL;
    while (child && !xmlsafe_is(child, ns, name)) {
        child = xmlsafe_next(child);
    }
    return child;
}

static const xmlNode *operation_of(const xmlNode *port_type, const char *name)
{
    for (const xmlNode *n = xmlsafe_child(port_type); n; n = xmlsafe_next(n)) {
        if (xmlsafe_is(n, NS_WSDL, "operation") && strcmp(attribute_or(n, "name", ""), name) == 0) {
            return n;
        }
    }
    return NULL;
}

/* The body of one direction; `abstract` is its input or output in the port type. */
static int fill_direction(struct wsdl_reader *r, const struct port *port, const xmlNode *abstract,
                          const xmlNode *concrete, struct wsdl_body *body)
{
    const xmlNode *soap_body = child_of(concrete, port->soap_ns, "body");
    const char *name = attribute_or(abstract, "message", NULL);
    const char *ns = attribute_or(soap_body, "namespace", NULL);
    struct wsdl_symbol *message = name ? wsdl_refer(r, SYMBOL_MESSAGE, NULL, abstract, name) : NULL;
    body->encoded = strcmp(attribute_or(soap_body, "use", "literal"), "encoded") == 0;
    body->ns = ns ? wsdl_intern(r->wsdl, ns) : NULL;
    if (!message) {
        body->fault =
            wsdl_fault(r, port->url, "the message \"%.80s\" is not defined", name ? name : "");
        return body->fault ? 0 : -ENOMEM;
    }
    return wsdl_fill_body(r, message, attribute_or(soap_body, "parts", NULL), body);
}

/* Why no message can be made for it, or NULL. */
static const char *find_fault(struct wsdl_reader *r, const struct port *port,
                              const struct wsdl_operation *o)
{
    if (o->input.fault) {
        return o->input.fault;
    }
    if (!o->rpc && o->input.encoded) {
        return wsdl_fault(r, port->url,
                          "the operation \"%.80s\" is document/encoded, which is not"
                          " supported",
                          o->name);
    }
    for (size_t i = 0; i < o->input.n_parts; i++) {
        const struct wsdl_part *part = o->input.parts[i];
        if (part->fault) {
            return part->fault;
        }
        if (!o->rpc && part->by_type) {
            return wsdl_fault(r, port->url,
                              "the operation \"%.80s\" is document/literal, but its"
                              " part \"%.80s\" is a type",
                              o->name, part->name);
        }
    }
    return NULL;
}

static int fill_operation(struct wsdl_reader *r, const struct port *port, const xmlNode *node,
                          struct wsdl_operation *o)
{
    struct arena *arena = &r->wsdl->arena;
    const xmlNode *soap = child_of(node, port->soap_ns, "operation");
    const char *name = attribute_or(node, "name", "");
    const xmlNode *abstract = operation_of(port->port_type->node, name);
    const xmlNode *output = child_of(abstract, NS_WSDL, "output");
    const char *action = attribute_or(soap, "soapAction", "");
    o->name = arena_text(arena, name, strlen(name));
    o->action = arena_text(arena, action, strlen(action));
    o->address = arena_text(arena, port->address, strlen(port->address));
    o->port = arena_text(arena, port->name, strlen(port->name));
    if (!o->name || !o->action || !o->address || !o->port) {
        return -ENOMEM;
    }
    o->soap12 = strcmp(port->soap_ns, NS_WSDL_SOAP12) == 0;
    o->rpc = strcmp(attribute_or(soap, "style", port->style), "rpc") == 0;
    o->one_way = !output;
    o->input_name = o->name;
    int result = fill_direction(r, port, child_of(abstract, NS_WSDL, "input"),
                                child_of(node, NS_WSDL, "input"), &o->input);
    if (result == 0 && output) {
        result = fill_direction(r, port, output, child_of(node, NS_WSDL, "output"), &o->output);
    }
    o->fault = find_fault(r, port, o);
    if (!xmlsafe_is_ncname(o->name, strlen(o->name))) {
        o->fault = wsdl_fault(r, port->url, "an operation without a valid name");
    }
    return result;
}

static int add_operation(struct wsdl_reader *r, const struct port *port, const xmlNode *node,
                         size_t *cap)
{
    struct wsdl *w = r->wsdl;
    if (!wsdl_step(r) || w->n_operations == MAX_OPERATIONS) {
        return -ENOMEM;
    }
    if (w->n_operations == *cap) {
        size_t more = *cap ? *cap * 2 : 32;
        struct wsdl_operation *list = realloc(w->operations, more * sizeof(*list));
        if (!list) {
            return -ENOMEM;
        }
        w->operations = list;
        *cap = more;
    }
    w->operations[w->n_operations] = (struct wsdl_operation){0};
    int result = fill_operation(r, port, node, &w->operations[w->n_operations]);
    w->n_operations += result == 0;
    return result;
}

/* Which SOAP the binding is of; NULL for one of something else, such as HTTP GET. */
static const char *soap_of(const xmlNode *binding)
{
    if (child_of(binding, NS_WSDL_SOAP12, "binding")) {
        return NS_WSDL_SOAP12;
    }
    return child_of(binding, NS_WSDL_SOAP11, "binding") ? NS_WSDL_SOAP11 : NULL;
}

static int add_port(struct wsdl_reader *r, const char *url, const xmlNode *node, size_t *cap)
{
    const char *name = attribute_or(node, "binding", "");
    struct port port = {.url = url, .name = attribute_or(node, "name", "")};
    port.binding = wsdl_refer(r, SYMBOL_BINDING, NULL, node, name);
    port.soap_ns = port.binding ? soap_of(port.binding->node) : NULL;
    if (!port.soap_ns) {
        return 0;
    }
    name = attribute_or(port.binding->node, "type", "");
    port.port_type = wsdl_refer(r, SYMBOL_PORT_TYPE, NULL, port.binding->node, name);
    if (!port.port_type) {
        return 0;
    }
    port.address = attribute_or(child_of(node, port.soap_ns, "address"), "location", "");
    port.style =
        attribute_or(child_of(port.binding->node, port.soap_ns, "binding"), "style", "document");
    int result = 0;
    const xmlNode *n = xmlsafe_child(port.binding->node);
    for (; n && result == 0; n = xmlsafe_next(n)) {
        if (xmlsafe_is(n, NS_WSDL, "operation")) {
            result = add_operation(r, &port, n, cap);
        }
    }
    return result;
}

static int add_service(struct wsdl_reader *r, const char *url, const xmlNode *service, size_t *cap)
{
    int result = 0;
    for (const xmlNode *n = xmlsafe_child(service); n && result == 0; n = xmlsafe_next(n)) {
        if (xmlsafe_is(n, NS_WSDL, "port")) {
            result = add_port(r, url, n, cap);
        }
    }
    return result;
}

int wsdl_make_operations(struct wsdl_reader *r, char *ret_reason, size_t size)
{
    size_t cap = 0;
    for (size_t i = 0; i < r->n_sources; i++) {
        const xmlNode *root = xmlDocGetRootElement(r->sources[i].doc);
        if (!xmlsafe_is(root, NS_WSDL, "definitions")) {
            continue;
        }
        for (const xmlNode *n = xmlsafe_child(root); n; n = xmlsafe_next(n)) {
            int result =
                xmlsafe_is(n, NS_WSDL, "service") ? add_service(r, r->sources[i].url, n, &cap) : 0;
            if (result < 0) {
                return result;
            }
        }
    }
    if (r->wsdl->n_operations == 0) {
        (void)snprintf(ret_reason, size, "it has no SOAP port with an operation");
        return -EBADMSG;
    }
    return 0;
}

static bool is_version(const struct wsdl_operation *o, const char *version)
{
    return *version == '\0' || (strcmp(version, "1.2") == 0) == o->soap12;
}

const struct wsdl_operation *wsdl_operation(const struct wsdl *w, const char *name,
                                            const char *version, char *ret_reason,
                                            size_t reason_size)
{
    const struct wsdl_operation *unusable = NULL;
    char safe[120];
    for (size_t i = 0; i < w->n_operations; i++) {
        const struct wsdl_operation *o = &w->operations[i];
        if (strcmp(o->name, name) != 0 || !is_version(o, version)) {
            continue;
        }
        if (!o->fault) {
            return o;
        }
        unusable = unusable ? unusable : o;
    }
    utf8_copy_safe(safe, sizeof(safe), name, strlen(name));
    if (unusable) {
        (void)snprintf(ret_reason, reason_size, "%s", unusable->fault);
    } else {
        (void)snprintf(ret_reason, reason_size, "the WSDL has no operation \"%s\"%s%s", safe,
                       *version ? " in a port of SOAP " : "", version);
    }
    return NULL;
}

size_t wsdl_operation_count(const struct wsdl *w)
{
    return w->n_operations;
}

const struct wsdl_operation *wsdl_operation_at(const struct wsdl *w, size_t index)
{
    return &w->operations[index];
}

size_t wsdl_size(const struct wsdl *w)
{
    return w->arena.used + w->n_symbols * sizeof(*w->symbols) +
           w->n_operations * sizeof(*w->operations);
}

void wsdl_free(struct wsdl *w)
{
    if (w) {
        arena_release(&w->arena);
        free(w->symbols);
        free(w->operations);
        free(w);
    }
}
