/* Answers: what the body holds, as JSON, and faults. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/jsontext.h"
#include "common/utf8.h"
#include "dispatcher/soap_read_impl.h"
#include "dispatcher/xmlsafe.h"

void soap_add_quoted(struct buf *out, const char *text, size_t len)
{
    buf_addc(out, '"');
    jsontext_escape(out, text, len);
    buf_addc(out, '"');
}

static void add_key(struct buf *out, const char *name, bool first)
{
    buf_adds(out, first ? "" : ",");
    soap_add_quoted(out, name, strlen(name));
    buf_addc(out, ':');
}

/* Codes that say that the same message would meet the same refusal. */
static enum soap_blame blame_of(const char *code)
{
    static const char *const sender[] = {"Client", "Sender", "MustUnderstand", "VersionMismatch",
                                         "DataEncodingUnknown"};
    const char *colon = strrchr(code, ':');
    const char *local = colon ? colon + 1 : code;
    size_t len = strcspn(local, "."); /* "Client.Authentication" */
    for (size_t i = 0; i < sizeof(sender) / sizeof(sender[0]); i++) {
        if (strlen(sender[i]) == len && strncmp(local, sender[i], len) == 0) {
            return SOAP_SENDER;
        }
    }
    return SOAP_RECEIVER;
}

static const xmlNode *child_named(const xmlNode *node, const char *ns, const char *name)
{
    const xmlNode *child = node ? xmlsafe_child(node) : NULL;
    while (child && !xmlsafe_is(child, ns, name)) {
        child = xmlsafe_next(child);
    }
    return child;
}

static void trimmed_text(const xmlNode *node, struct buf *out)
{
    struct buf text;
    buf_init(&text, SOAP_MAX_ANSWER);
    if (node) {
        xmlsafe_text(node, &text);
    }
    const char *start = buf_text(&text);
    start += strspn(start, " \t\r\n");
    size_t len = strlen(start);
    while (len > 0 && strchr(" \t\r\n", start[len - 1])) {
        len--;
    }
    buf_add(out, start, len);
    buf_release(&text);
}

/* SOAP 1.1 has faultcode, faultstring and detail, of no namespace; some send them qualified. */
static const xmlNode *fault_child(const xmlNode *fault, const char *name)
{
    const xmlNode *child = child_named(fault, NULL, name);
    return child ? child : child_named(fault, NS_SOAP11, name);
}

static int read_fault(struct soap_reader *r, const xmlNode *fault, bool soap12,
                      struct soap_fault *ret_fault)
{
    struct buf code;
    struct buf words;
    char text[SOAP_FAULT_SIZE];
    const xmlNode *code_node = fault_child(fault, "faultcode");
    const xmlNode *words_node = fault_child(fault, "faultstring");
    const xmlNode *detail = fault_child(fault, "detail");
    if (soap12) {
        code_node = child_named(child_named(fault, NS_SOAP12, "Code"), NS_SOAP12, "Value");
        words_node = child_named(child_named(fault, NS_SOAP12, "Reason"), NS_SOAP12, "Text");
        detail = child_named(fault, NS_SOAP12, "Detail");
    }
    buf_init(&code, SOAP_MAX_ANSWER);
    buf_init(&words, SOAP_MAX_ANSWER);
    trimmed_text(code_node, &code);
    trimmed_text(words_node, &words);
    ret_fault->blame = blame_of(buf_text(&code));
    const char *colon = strrchr(buf_text(&code), ':');
    (void)snprintf(text, sizeof(text), "%.60s: %s", colon ? colon + 1 : buf_text(&code),
                   buf_text(&words));
    utf8_copy_safe(ret_fault->text, sizeof(ret_fault->text), text, strlen(text));
    buf_addc(r->out, '{');
    add_key(r->out, "faultcode", true);
    soap_add_quoted(r->out, buf_text(&code), code.len);
    add_key(r->out, "faultstring", false);
    soap_add_quoted(r->out, buf_text(&words), words.len);
    if (detail) {
        add_key(r->out, "detail", false);
        soap_read_value(r, detail, NULL, 0);
    }
    buf_addc(r->out, '}');
    buf_release(&code);
    buf_release(&words);
    return 1;
}

/* The child of an rpc answer that is this part; of a single one whatever it is called. */
static const xmlNode *part_of(const xmlNode *wrapper, const char *name, bool single)
{
    for (const xmlNode *n = xmlsafe_child(wrapper); n; n = xmlsafe_next(n)) {
        if (strcmp((const char *)n->name, name) == 0) {
            return n;
        }
    }
    return single ? xmlsafe_child(wrapper) : NULL;
}

static void read_parts(struct soap_reader *r, const struct wsdl_operation *o, const xmlNode *body)
{
    const xmlNode *from = o->rpc ? xmlsafe_child(body) : body;
    size_t n = o->output.n_parts;
    if (!from || n == 0) {
        buf_adds(r->out, "null");
        return;
    }
    buf_adds(r->out, n > 1 ? "{" : "");
    for (size_t i = 0; i < n; i++) {
        const struct wsdl_part *part = o->output.parts[i];
        const char *name = o->rpc ? part->name : part->element->name;
        const xmlNode *node = part_of(from, name, n == 1);
        if (n > 1) {
            add_key(r->out, name, i == 0);
        }
        if (node) {
            soap_read_value(r, node, part->element->type, 0);
        } else {
            buf_adds(r->out, "null");
        }
    }
    buf_adds(r->out, n > 1 ? "}" : "");
}

static int read_document(struct soap_reader *r, const struct wsdl_operation *operation,
                         const xmlDoc *doc, struct soap_fault *ret_fault)
{
    union {
        const xmlDoc *given;
        xmlDoc *wanted; /* libxml2's getter knows no const */
    } d = {doc};
    const xmlNode *root = xmlDocGetRootElement(d.wanted);
    bool soap12 = xmlsafe_is(root, NS_SOAP12, "Envelope");
    const char *ns = soap12 ? NS_SOAP12 : NS_SOAP11;
    const xmlNode *body = xmlsafe_is(root, ns, "Envelope") ? child_named(root, ns, "Body") : NULL;
    if (!body) {
        return -EBADMSG;
    }
    const xmlNode *first = xmlsafe_child(body);
    r->body = body;
    if (first && xmlsafe_is(first, ns, "Fault")) {
        return read_fault(r, first, soap12, ret_fault);
    }
    read_parts(r, operation, body);
    return 0;
}

/* Eight arguments: two each for the answer and the reason, which every caller has as two. */
// NOLINTNEXTLINE(readability-function-size)
int soap_read(const struct wsdl *wsdl, const struct wsdl_operation *operation, const char *bytes,
              size_t len, struct buf *out, struct soap_fault *ret_fault, char *ret_reason,
              size_t reason_size)
{
    struct soap_reader reader = {.wsdl = wsdl, .out = out};
    xmlDoc *doc = NULL;
    int r = xmlsafe_parse(bytes, len, SOAP_MAX_ANSWER, &doc, ret_reason, reason_size);
    if (r < 0) {
        return r;
    }
    buf_init(&reader.text, SOAP_MAX_ANSWER);
    r = read_document(&reader, operation, doc, ret_fault);
    if (r == -EBADMSG) {
        (void)snprintf(ret_reason, reason_size, "it is no SOAP envelope");
    }
    buf_release(&reader.text);
    xmlFreeDoc(doc);
    if (buf_error(out) == -ENOMEM) {
        return -ENOMEM;
    }
    if (buf_error(out) == -EMSGSIZE) { /* for people to look at; nothing depends on it */
        buf_reset(out);
        buf_adds(out, "null");
    }
    return r;
}
