/* The tools of who writes a message: nodes, namespaces, the path for reasons. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/utf8.h"
#include "dispatcher/soap_impl.h"
#include "dispatcher/xmlsafe.h"

int soap_refuse(struct soap_writer *w, const char *format, ...)
{
    char what[WSDL_REASON_SIZE];
    char path[SOAP_PATH_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    utf8_copy_safe(path, sizeof(path), w->path, strlen(w->path));
    (void)snprintf(w->reason, w->reason_size, "%s%s%s", path, *path ? ": " : "", what);
    return -EBADMSG;
}

/* What does not fit is left out: the path is for people. */
static void add_to_path(struct soap_writer *w, const char *text, size_t len)
{
    size_t at = strlen(w->path);
    size_t room = sizeof(w->path) - 1 - at;
    len = len < room ? len : room;
    memcpy(w->path + at, text, len);
    w->path[at + len] = '\0';
}

size_t soap_enter(struct soap_writer *w, const char *name, size_t len)
{
    size_t length = strlen(w->path);
    bool joined = length == 0 || w->path[length - 1] == '@';
    add_to_path(w, ".", joined ? 0 : 1);
    add_to_path(w, name, len);
    return length;
}

size_t soap_enter_index(struct soap_writer *w, size_t index)
{
    char text[32];
    size_t length = strlen(w->path);
    int len = snprintf(text, sizeof(text), "[%zu]", index);
    add_to_path(w, text, (size_t)len);
    return length;
}

void soap_leave(struct soap_writer *w, size_t length)
{
    w->path[length] = '\0';
}

static const char *usual_prefix(const char *href)
{
    static const char *const rows[][2] = {
        {NS_SCHEMA, "xsd"},
        {NS_INSTANCE, "xsi"},
        {NS_ENCODING11, "enc"},
        {NS_ENCODING12, "enc"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i][0], href) == 0) {
            return rows[i][1];
        }
    }
    return NULL;
}

xmlNs *soap_namespace(struct soap_writer *w, const char *href)
{
    char prefix[24];
    for (size_t i = 0; i < w->n_spaces; i++) {
        if (w->spaces[i].href == href || strcmp(w->spaces[i].href, href) == 0) {
            return w->spaces[i].ns;
        }
    }
    if (w->n_spaces == SOAP_MAX_NAMESPACES) {
        return NULL;
    }
    const char *usual = usual_prefix(href);
    (void)snprintf(prefix, sizeof(prefix), "ns%zu", w->n_spaces);
    xmlNs *ns = xmlNewNs(w->root, (const xmlChar *)href, (const xmlChar *)(usual ? usual : prefix));
    if (ns) {
        /* The node's own copy: the text that was asked with may not last. */
        w->spaces[w->n_spaces].href = (const char *)ns->href;
        w->spaces[w->n_spaces++].ns = ns;
    }
    return ns;
}

xmlNode *soap_child(struct soap_writer *w, xmlNode *parent, const char *ns, const char *name)
{
    xmlNs *made = ns ? soap_namespace(w, ns) : NULL;
    if (ns && !made) {
        return NULL;
    }
    xmlNode *node = xmlNewDocNode(w->doc, made, (const xmlChar *)name, NULL);
    if (node) {
        xmlAddChild(parent, node);
    }
    return node;
}

int soap_attribute(struct soap_writer *w, xmlNode *node, const char *ns, const char *name,
                   const char *value)
{
    xmlNs *made = NULL;
    if (ns && strcmp(ns, (const char *)XML_XML_NAMESPACE) == 0) {
        made = xmlSearchNs(w->doc, node, (const xmlChar *)"xml");
    } else if (ns) {
        made = soap_namespace(w, ns);
    }
    if (ns && !made) {
        return -ENOMEM;
    }
    xmlAttr *attribute = xmlNewNsProp(node, made, (const xmlChar *)name, NULL);
    xmlNode *text = attribute ? xmlNewDocText(w->doc, (const xmlChar *)value) : NULL;
    if (!text) {
        return -ENOMEM;
    }
    text->parent = (xmlNode *)attribute;
    attribute->children = attribute->last = text;
    return 0;
}

int soap_mark_type(struct soap_writer *w, xmlNode *node, const char *ns, const char *name)
{
    xmlNs *made = ns ? soap_namespace(w, ns) : NULL;
    char value[300];
    if (ns && !made) {
        return -ENOMEM;
    }
    (void)snprintf(value, sizeof(value), "%s%s%.250s", made ? (const char *)made->prefix : "",
                   made ? ":" : "", name);
    return soap_attribute(w, node, NS_INSTANCE, "type", value);
}

/* A key of an object, in w->text; checked to be an element's name. */
static int read_name(struct soap_writer *w, const struct jsonview_node *key)
{
    buf_reset(&w->text);
    jsonview_decode(&w->view, key, &w->text);
    if (buf_error(&w->text) == -ENOMEM) {
        return -ENOMEM;
    }
    if (buf_error(&w->text) < 0 || !xmlsafe_is_ncname(buf_text(&w->text), w->text.len)) {
        return soap_refuse(w, "a key is no name that an XML element can have");
    }
    return 0;
}

static int add_member(struct soap_writer *w, xmlNode *node, const char *ns, bool typed,
                      const struct jsonview_node *pair)
{
    const struct jsonview_node *nodes = w->view.nodes;
    const struct jsonview_node *value = &nodes[pair->end];
    bool repeated = value->type == JSONVIEW_ARRAY;
    uint32_t first = (uint32_t)(value - nodes) + (repeated ? 1 : 0);
    uint32_t end = value->end;
    int r = read_name(w, pair);
    char name[256];
    if (r < 0) {
        return r;
    }
    (void)snprintf(name, sizeof(name), "%s", buf_text(&w->text));
    size_t length = soap_enter(w, name, strlen(name));
    for (uint32_t i = first; i < end && r == 0; i = nodes[i].end) {
        xmlNode *child = soap_child(w, node, ns, name);
        r = child ? soap_anything(w, child, ns, typed, &nodes[i]) : -ENOMEM;
    }
    soap_leave(w, length);
    return r;
}

static int add_members(struct soap_writer *w, xmlNode *node, const char *ns, bool typed,
                       const struct jsonview_node *object)
{
    const struct jsonview_node *nodes = w->view.nodes;
    int r = 0;
    for (uint32_t i = (uint32_t)(object - nodes) + 1; i < object->end && r == 0;) {
        const struct jsonview_node *key = &nodes[i];
        const char *name = jsonview_bytes(&w->view, key);
        const struct jsonview_node *value = &nodes[key->end];
        i = value->end;
        if (object == w->header && soap_is_header_key(name, key->len)) {
            continue;
        }
        if (key->len > 1 && name[0] == '@' && xmlsafe_is_ncname(name + 1, key->len - 1)) {
            char attribute[256];
            (void)snprintf(attribute, sizeof(attribute), "%.*s", (int)key->len - 1, name + 1);
            r = soap_simple(w, wsdl_builtin_type(w->input->wsdl, "string"), value);
            r = r < 0 ? r : soap_attribute(w, node, NULL, attribute, buf_text(&w->text));
        } else {
            r = add_member(w, node, ns, typed, key);
        }
    }
    return r;
}

/* xsd's name for what JSON has. */
static const char *type_of(const struct soap_writer *w, const struct jsonview_node *value)
{
    if (value->type == JSONVIEW_TRUE || value->type == JSONVIEW_FALSE) {
        return "boolean";
    }
    if (value->type != JSONVIEW_NUMBER) {
        return "string";
    }
    const char *text = jsonview_bytes(&w->view, value);
    for (uint32_t i = 0; i < value->len; i++) {
        if (strchr(".eE", text[i])) {
            return "double";
        }
    }
    return value->len < 10 ? "int" : "long";
}

int soap_anything(struct soap_writer *w, xmlNode *node, const char *ns, bool typed,
                  const struct jsonview_node *value)
{
    if (value->type == JSONVIEW_NULL) {
        return soap_attribute(w, node, NS_INSTANCE, "nil", "true");
    }
    if (value->type == JSONVIEW_OBJECT) {
        return add_members(w, node, ns, typed, value);
    }
    if (value->type == JSONVIEW_ARRAY) {
        return soap_refuse(w, "an array in an array has no form in XML");
    }
    int r = soap_simple(w, wsdl_builtin_type(w->input->wsdl, "string"), value);
    if (r == 0 && typed) {
        r = soap_mark_type(w, node, NS_SCHEMA, type_of(w, value));
    }
    xmlNode *text = r == 0 ? xmlNewDocText(w->doc, (const xmlChar *)buf_text(&w->text)) : NULL;
    if (r == 0 && !text) {
        r = -ENOMEM;
    }
    if (text) {
        xmlAddChild(node, text);
    }
    return r;
}
