/* The documents of a WSDL: which ones are wanted, and which ones will not be had. */
#include <errno.h>
#include <libxml/uri.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/utf8.h"
#include "dispatcher/origin.h"
#include "dispatcher/wsdl_impl.h"
#include "dispatcher/xmlsafe.h"

enum {
    MAX_URL = 2048,
    MAX_MODEL_BYTES = 48 * 1024 * 1024,
    MAX_STEPS = 1000000,
};

/* Namespaces that are known here: what defines them is not fetched. */
static const char *const known_namespaces[] = {
    NS_XSD,         "http://www.w3.org/XML/1998/namespace",
    NS_SOAPENC11,   NS_SOAPENC12,
    NS_WSDL,        NS_WSDL_SOAP11,
    NS_WSDL_SOAP12,
};

bool wsdl_step(struct wsdl_reader *r)
{
    return r->steps++ < MAX_STEPS;
}

static int refuse(const struct wsdl_reader *r, char *ret_reason, size_t size, const char *what)
{
    char url[160];
    const char *from = r->sources[r->next < r->n_sources ? r->next : r->n_sources - 1].url;
    utf8_copy_safe(url, sizeof(url), from, strlen(from));
    (void)snprintf(ret_reason, size, "WSDL %s: %s", url, what);
    return -EBADMSG;
}

static int add_source(struct wsdl_reader *r, const char *url, unsigned depth, const char *adopted)
{
    char *copy = strdup(url);
    if (!copy) {
        return -ENOMEM;
    }
    r->sources[r->n_sources++] =
        (struct wsdl_source){.url = copy, .depth = depth, .adopted_ns = adopted};
    return 0;
}

struct wsdl_reader *wsdl_reader_new(const char *url, const char *origins)
{
    struct wsdl_reader *r = calloc(1, sizeof(*r));
    if (!r) {
        return NULL;
    }
    xmlsafe_init();
    r->origins = strdup(origins);
    r->wsdl = calloc(1, sizeof(*r->wsdl));
    if (r->wsdl) {
        arena_init(&r->wsdl->arena, MAX_MODEL_BYTES);
    }
    if (!r->origins || !r->wsdl || add_source(r, url, 0, NULL) < 0) {
        wsdl_reader_free(r);
        return NULL;
    }
    return r;
}

void wsdl_reader_free(struct wsdl_reader *r)
{
    if (!r) {
        return;
    }
    for (size_t i = 0; i < r->n_sources; i++) {
        free(r->sources[i].url);
        xmlFreeDoc(r->sources[i].doc);
    }
    free(r->origins);
    free(r->schemas);
    wsdl_free(r->wsdl);
    free(r);
}

const char *wsdl_reader_wants(const struct wsdl_reader *r)
{
    return r->next < r->n_sources ? r->sources[r->next].url : NULL;
}

bool wsdl_reader_trusts(const struct wsdl_reader *r)
{
    return r->next < r->n_sources && origin_same(r->sources[0].url, r->sources[r->next].url);
}

/* NULL, or why the document of this address is not fetched. */
static const char *import_fault(const struct wsdl_reader *r, const char *url, unsigned depth)
{
    if (!origin_same(r->sources[0].url, url) && !origin_listed(r->origins, url)) {
        return "it imports a document of another origin, which is not allowed";
    }
    if (depth > WSDL_MAX_DEPTH) {
        return "its imports are nested too deep";
    }
    return r->n_sources == WSDL_MAX_DOCUMENTS ? "it has too many documents" : NULL;
}

static bool is_known(const char *ns)
{
    for (size_t i = 0; ns && i < sizeof(known_namespaces) / sizeof(known_namespaces[0]); i++) {
        if (strcmp(ns, known_namespaces[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_there(const struct wsdl_reader *r, const char *url)
{
    for (size_t i = 0; i < r->n_sources; i++) {
        if (strcmp(r->sources[i].url, url) == 0) {
            return true;
        }
    }
    return false;
}

/* Notes that the source wants what stands at a location. */
static int want(struct wsdl_reader *r, const char *location, const char *adopted, char *ret_reason,
                size_t size)
{
    const struct wsdl_source *from = &r->sources[r->next];
    char url[MAX_URL];
    xmlChar *built = xmlBuildURI((const xmlChar *)location, (const xmlChar *)from->url);
    bool fits = built && snprintf(url, sizeof(url), "%s", (char *)built) < MAX_URL;
    xmlFree(built);
    if (!fits) {
        return refuse(r, ret_reason, size, "it imports an address that is not valid");
    }
    url[strcspn(url, "#")] = '\0';
    if (is_there(r, url)) {
        return 0;
    }
    const char *fault = import_fault(r, url, from->depth + 1);
    if (fault) {
        char what[300];
        char safe[120];
        utf8_copy_safe(safe, sizeof(safe), url, strlen(url));
        (void)snprintf(what, sizeof(what), "%s: %s", fault, safe);
        return refuse(r, ret_reason, size, what);
    }
    return add_source(r, url, from->depth + 1, adopted);
}

static int want_of_schema(struct wsdl_reader *r, const xmlNode *schema, char *ret_reason,
                          size_t size)
{
    const char *ns = xmlsafe_attribute(schema, NULL, "targetNamespace");
    int result = 0;
    ns = ns ? wsdl_intern(r->wsdl, ns) : r->sources[r->next].adopted_ns;
    for (const xmlNode *n = xmlsafe_child(schema); n && result == 0; n = xmlsafe_next(n)) {
        bool includes = xmlsafe_is(n, NS_XSD, "include") || xmlsafe_is(n, NS_XSD, "redefine");
        const char *location = xmlsafe_attribute(n, NULL, "schemaLocation");
        if (!location || (!includes && !xmlsafe_is(n, NS_XSD, "import"))) {
            continue;
        }
        if (includes || !is_known(xmlsafe_attribute(n, NULL, "namespace"))) {
            result = want(r, location, includes ? ns : NULL, ret_reason, size);
        }
    }
    return result;
}

static int want_of_types(struct wsdl_reader *r, const xmlNode *types, char *ret_reason, size_t size)
{
    int result = 0;
    for (const xmlNode *n = xmlsafe_child(types); n && result == 0; n = xmlsafe_next(n)) {
        if (xmlsafe_is(n, NS_XSD, "schema")) {
            result = want_of_schema(r, n, ret_reason, size);
        }
    }
    return result;
}

static int want_of_wsdl(struct wsdl_reader *r, const xmlNode *definitions, char *ret_reason,
                        size_t size)
{
    int result = 0;
    for (const xmlNode *n = xmlsafe_child(definitions); n && result == 0; n = xmlsafe_next(n)) {
        const char *location = xmlsafe_attribute(n, NULL, "location");
        if (xmlsafe_is(n, NS_WSDL, "types")) {
            result = want_of_types(r, n, ret_reason, size);
        } else if (location && xmlsafe_is(n, NS_WSDL, "import")) {
            result = want(r, location, NULL, ret_reason, size);
        }
    }
    return result;
}

int wsdl_reader_give(struct wsdl_reader *r, const char *bytes, size_t len, char *ret_reason,
                     size_t reason_size)
{
    struct wsdl_source *source = &r->sources[r->next];
    char what[160];
    int result =
        xmlsafe_parse(bytes, len, WSDL_MAX_BYTES - r->bytes, &source->doc, what, sizeof(what));
    if (result < 0) {
        return result == -EBADMSG ? refuse(r, ret_reason, reason_size, what) : result;
    }
    r->bytes += len;
    const xmlNode *root = xmlDocGetRootElement(source->doc);
    if (xmlsafe_is(root, NS_WSDL, "definitions")) {
        result = want_of_wsdl(r, root, ret_reason, reason_size);
    } else if (xmlsafe_is(root, NS_XSD, "schema") && r->next > 0) {
        result = want_of_schema(r, root, ret_reason, reason_size);
    } else {
        result = refuse(r, ret_reason, reason_size, "it is no WSDL 1.1, nor a schema for one");
    }
    r->next += result == 0;
    return result;
}

int wsdl_reader_finish(struct wsdl_reader *r, struct wsdl **ret_wsdl, char *ret_reason,
                       size_t reason_size)
{
    char what[300];
    int result = wsdl_make_builtins(r->wsdl);
    result = result < 0 ? result : wsdl_collect(r, what, sizeof(what));
    result = result < 0 ? result : wsdl_make_types(r);
    result = result < 0 ? result : wsdl_measure(r);
    result = result < 0 ? result : wsdl_make_operations(r, what, sizeof(what));
    if (r->steps >= MAX_STEPS) {
        (void)snprintf(what, sizeof(what), "it asks for too much work");
        result = -EBADMSG;
    }
    if (result == -ENOMEM && r->wsdl->arena.failed && r->wsdl->arena.used > MAX_MODEL_BYTES / 2) {
        (void)snprintf(what, sizeof(what), "what it says is too much");
        result = -EBADMSG;
    }
    if (result == -EBADMSG) {
        return refuse(r, ret_reason, reason_size, what);
    }
    if (result == 0) {
        *ret_wsdl = r->wsdl;
        r->wsdl = NULL;
    }
    return result;
}
