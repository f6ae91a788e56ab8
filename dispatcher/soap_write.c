/* The envelope: headers, the body in its style, and the text of it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/jsontext.h"
#include "dispatcher/soap_impl.h"
#include "dispatcher/xmlsafe.h"

enum { MAX_VALUE = 1024 * 1024 };

static const struct jsonview_node *member(const struct soap_writer *w,
                                          const struct jsonview_node *object, const char *name)
{
    return object && object->type == JSONVIEW_OBJECT ? jsonview_member(&w->view, object, name)
                                                     : NULL;
}

static size_t key_count(const struct soap_writer *w, const struct jsonview_node *object)
{
    const struct jsonview_node *nodes = w->view.nodes;
    size_t n = 0;
    for (uint32_t i = (uint32_t)(object - nodes) + 1; i < object->end; i = nodes[i].end) {
        n++;
    }
    return n / 2;
}

static bool has_child(const struct wsdl_type *type, const char *name)
{
    for (size_t i = 0; i < type->n_names; i++) {
        if (strcmp(type->names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* What a single part holds: the payload itself, or what it has under the element's or the part's
 * name, if that is its only key and no child element is called so. */
static const struct jsonview_node *value_of_single(const struct soap_writer *w,
                                                   const struct wsdl_part *part,
                                                   const struct jsonview_node *payload)
{
    const char *names[] = {part->element->name, part->name};
    if (payload->type != JSONVIEW_OBJECT || key_count(w, payload) != 1) {
        return payload;
    }
    for (size_t i = 0; i < 2; i++) {
        const struct jsonview_node *value = member(w, payload, names[i]);
        if (value && !has_child(part->element->type, names[i])) {
            return value;
        }
    }
    return payload;
}

static const char *part_key(const struct soap_writer *w, size_t i)
{
    const struct wsdl_operation *o = w->input->operation;
    return o->rpc ? o->input.parts[i]->name : o->input.parts[i]->element->name;
}

static int check_part_keys(struct soap_writer *w, const struct jsonview_node *payload)
{
    const struct jsonview_node *nodes = w->view.nodes;
    size_t n = w->input->operation->input.n_parts;
    for (uint32_t i = (uint32_t)(payload - nodes) + 1; i < payload->end;) {
        const struct jsonview_node *key = &nodes[i];
        size_t known = 0;
        buf_reset(&w->text);
        jsonview_decode(&w->view, key, &w->text);
        for (size_t p = 0; p < n; p++) {
            known += strcmp(part_key(w, p), buf_text(&w->text)) == 0;
        }
        if (known == 0) {
            soap_enter(w, buf_text(&w->text), w->text.len);
            return soap_refuse(w, "the WSDL knows no part of this name");
        }
        i = nodes[key->end].end;
    }
    return 0;
}

/* An rpc part is written even when it is a reference to an element; null and missing only as nil
 * in encoded messages. */
static int write_part(struct soap_writer *w, xmlNode *parent, size_t i,
                      const struct jsonview_node *value)
{
    const struct wsdl_part *part = w->input->operation->input.parts[i];
    const char *name = part_key(w, i);
    size_t length = soap_enter(w, name, strlen(name));
    int r;
    if (!value) {
        r = soap_refuse(w, "it is missing");
    } else {
        r = soap_element(w, parent, part->element, value);
    }
    soap_leave(w, length);
    return r;
}

static int write_parts(struct soap_writer *w, xmlNode *parent, const struct jsonview_node *payload)
{
    const struct wsdl_body *body = &w->input->operation->input;
    bool single = body->n_parts == 1;
    if (single && (!w->input->operation->rpc || !member(w, payload, body->parts[0]->name))) {
        return soap_element(w, parent, body->parts[0]->element,
                            value_of_single(w, body->parts[0], payload));
    }
    bool empty = payload->type == JSONVIEW_ARRAY && payload->end == 1 + (payload - w->view.nodes);
    if (payload->type != JSONVIEW_OBJECT && !empty) {
        return soap_refuse(w, "the payload is no object of the message's parts");
    }
    int r = empty ? 0 : check_part_keys(w, payload);
    for (size_t i = 0; i < body->n_parts && r == 0; i++) {
        r = write_part(w, parent, i, member(w, payload, part_key(w, i)));
    }
    return r;
}

static int write_body(struct soap_writer *w, xmlNode *body, const struct jsonview_node *payload)
{
    const struct wsdl_operation *o = w->input->operation;
    xmlNode *parent = body;
    if (o->rpc) {
        parent = soap_child(w, body, o->input.ns, o->input_name);
        if (!parent) {
            return -ENOMEM;
        }
    }
    w->encoded = o->input.encoded;
    if (w->encoded && soap_attribute(w, parent, (const char *)w->envelope->href, "encodingStyle",
                                     o->soap12 ? NS_ENCODING12 : NS_ENCODING11) < 0) {
        return -ENOMEM;
    }
    int r = write_parts(w, parent, payload);
    w->encoded = false;
    return r;
}

/* SOAP's own attributes of a header. */
static int add_header_attributes(struct soap_writer *w, xmlNode *node,
                                 const struct jsonview_node *value)
{
    static const char *const rows[][2] = {
        {"@mustUnderstand", "mustUnderstand"}, {"@actor", "actor"}, {"@role", "role"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct jsonview_node *found = member(w, value, rows[i][0]);
        if (!found || found->type == JSONVIEW_NULL) {
            continue;
        }
        int r =
            soap_simple(w, wsdl_builtin_type(w->input->wsdl, i == 0 ? "boolean" : "string"), found);
        const char *text = buf_text(&w->text);
        if (i == 0 && !w->input->operation->soap12) {
            text = strcmp(text, "true") == 0 ? "1" : "0";
        }
        r = r < 0 ? r : soap_attribute(w, node, (const char *)w->envelope->href, rows[i][1], text);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

/* "{namespace}name", or the name of an element that the WSDL has once. */
static int write_header(struct soap_writer *w, xmlNode *header, const char *key,
                        const struct jsonview_node *value)
{
    char ns[1024] = "";
    const char *name = key;
    const char *close = *key == '{' ? strchr(key, '}') : NULL;
    if (close && (size_t)(close - key) < sizeof(ns)) {
        (void)snprintf(ns, sizeof(ns), "%.*s", (int)(close - key - 1), key + 1);
        name = close + 1;
    }
    const struct wsdl_element *known = wsdl_element(w->input->wsdl, *ns ? ns : NULL, name);
    if (!xmlsafe_is_ncname(name, strlen(name))) {
        return soap_refuse(w, "it is no name that an XML element can have");
    }
    if (!known && *ns == '\0') {
        return soap_refuse(w, "the WSDL has no such element, or several: write {namespace}name");
    }
    w->header = value;
    int r;
    if (known) {
        r = soap_element(w, header, known, value);
    } else {
        xmlNode *node = soap_child(w, header, ns, name);
        r = node ? soap_anything(w, node, ns, false, value) : -ENOMEM;
    }
    w->header = NULL;
    xmlNode *written = xmlGetLastChild(header);
    return r < 0 || !written ? r : add_header_attributes(w, written, value);
}

static int write_headers(struct soap_writer *w, xmlNode *header, const struct jsonview_node *root)
{
    const struct jsonview_node *nodes = w->view.nodes;
    int r = 0;
    if (root->type != JSONVIEW_OBJECT) {
        bool empty = root->type == JSONVIEW_ARRAY && root->end == 1;
        return empty ? 0 : soap_refuse(w, "they are no JSON object");
    }
    for (uint32_t i = (uint32_t)(root - nodes) + 1; i < root->end && r == 0;) {
        const struct jsonview_node *value = &nodes[nodes[i].end];
        char key[1200];
        buf_reset(&w->text);
        jsonview_decode(&w->view, &nodes[i], &w->text);
        (void)snprintf(key, sizeof(key), "%s", buf_text(&w->text));
        size_t length = soap_enter(w, key, strlen(key));
        r = write_header(w, header, key, value);
        soap_leave(w, length);
        i = value->end;
    }
    return r;
}

/* The Header element, if there is anything in it. */
static int write_all_headers(struct soap_writer *w, const char *text, size_t len)
{
    const struct soap_input *input = w->input;
    char fault[160];
    int r = 0;
    if (len == 0 && !input->token) {
        return 0;
    }
    xmlNode *header = xmlNewDocNode(w->doc, w->envelope, (const xmlChar *)"Header", NULL);
    if (!header) {
        return -ENOMEM;
    }
    xmlAddChild(w->root, header);
    size_t length = soap_enter(w, "SOAP headers", 12);
    if (len > 0) {
        r = jsonview_parse(&w->view, text, len, JSONTEXT_MAX_DEPTH / 2, fault, sizeof(fault));
        r = r == -EBADMSG ? soap_refuse(w, "%s", fault) : r;
        r = r < 0 ? r : write_headers(w, header, jsonview_root(&w->view));
        jsonview_release(&w->view);
    }
    soap_leave(w, length);
    return r == 0 && input->token ? soap_add_token(w, header) : r;
}

static int open_envelope(struct soap_writer *w)
{
    bool soap12 = w->input->operation->soap12;
    w->doc = xmlNewDoc((const xmlChar *)"1.0");
    w->root = w->doc ? xmlNewDocNode(w->doc, NULL, (const xmlChar *)"Envelope", NULL) : NULL;
    if (!w->root) {
        return -ENOMEM;
    }
    xmlDocSetRootElement(w->doc, w->root);
    w->envelope = xmlNewNs(w->root, (const xmlChar *)(soap12 ? NS_SOAP12 : NS_SOAP11),
                           (const xmlChar *)"soap");
    if (!w->envelope) {
        return -ENOMEM;
    }
    xmlSetNs(w->root, w->envelope);
    w->spaces[0].href = (const char *)w->envelope->href;
    w->spaces[0].ns = w->envelope;
    w->n_spaces = 1;
    return 0;
}

static int write_payload(struct soap_writer *w)
{
    char fault[160];
    const char *text = w->input->payload_len > 0 ? w->input->payload : "{}";
    size_t len = w->input->payload_len > 0 ? w->input->payload_len : 2;
    xmlNode *body = xmlNewDocNode(w->doc, w->envelope, (const xmlChar *)"Body", NULL);
    if (!body) {
        return -ENOMEM;
    }
    xmlAddChild(w->root, body);
    int r = jsonview_parse(&w->view, text, len, JSONTEXT_MAX_DEPTH / 2, fault, sizeof(fault));
    r = r == -EBADMSG ? soap_refuse(w, "the payload: %s", fault) : r;
    r = r < 0 ? r : write_body(w, body, jsonview_root(&w->view));
    jsonview_release(&w->view);
    return r;
}

static int print(struct soap_writer *w, struct buf *out)
{
    xmlChar *text = NULL;
    int len = 0;
    xmlDocDumpMemoryEnc(w->doc, &text, &len, "UTF-8");
    if (!text) {
        return -ENOMEM;
    }
    buf_add(out, text, (size_t)len);
    if (w->password) {
        explicit_bzero(text, (size_t)len);
    }
    xmlFree(text);
    return buf_error(out) == -EMSGSIZE ? soap_refuse(w, "the message is too large")
                                       : buf_error(out);
}

int soap_write(const struct soap_input *input, struct buf *out, char *ret_reason,
               size_t reason_size)
{
    struct soap_writer w = {.input = input, .reason = ret_reason, .reason_size = reason_size};
    xmlsafe_init();
    buf_init(&w.text, MAX_VALUE);
    int r = open_envelope(&w);
    r = r < 0 ? r : write_all_headers(&w, input->headers, input->headers_len);
    r = r < 0 ? r : write_payload(&w);
    r = r < 0 ? r : print(&w, out);
    if (r == -ENOMEM && w.n_spaces == SOAP_MAX_NAMESPACES) {
        r = soap_refuse(&w, "the message has more than %d namespaces", SOAP_MAX_NAMESPACES);
    }
    if (w.password) {
        explicit_bzero(w.password, (size_t)xmlStrlen(w.password));
    }
    xmlFreeDoc(w.doc);
    buf_release(&w.text);
    return r;
}

/* Within quotes: no control bytes, nothing that ends the quotes or the header's parameter. */
static void add_filtered(struct buf *out, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c > 0x20 && c < 0x7f && c != '"' && c != '\\') {
            buf_addc(out, (char)c);
        }
    }
}

void soap_add_headers(const struct wsdl_operation *operation, struct buf *out)
{
    if (operation->soap12) {
        buf_adds(out, "Content-Type: application/soap+xml; charset=utf-8");
        if (*operation->action) {
            buf_adds(out, "; action=\"");
            add_filtered(out, operation->action);
            buf_adds(out, "\"");
        }
        return;
    }
    buf_adds(out, "SOAPAction: \"");
    add_filtered(out, operation->action);
    buf_adds(out, "\"");
}
