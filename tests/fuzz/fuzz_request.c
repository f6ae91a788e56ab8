/*
 * Requests: whatever rule, service and event say, the URL stays with the service's scheme, host,
 * port and path, headers hold no control byte, and a secret goes nowhere but into its header.
 */
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "dispatcher/request.h"
#include "dispatcher/url.h"
#include "tests/fuzz/fuzz.h"

enum { BASE_URL, AUTH, ENDPOINT, METHOD, TEMPLATE, MESSAGE_ID, EVENT, FIELDS };

static const CURLUPart kept[] = {CURLUPART_SCHEME, CURLUPART_HOST,     CURLUPART_PORT,
                                 CURLUPART_USER,   CURLUPART_PASSWORD, CURLUPART_FRAGMENT};

static char *part(CURLU *url, CURLUPart what)
{
    char *text = NULL;
    return curl_url_get(url, what, &text, 0) == CURLUE_OK ? text : NULL;
}

static CURLU *parsed(const char *text)
{
    CURLU *url = curl_url();
    if (curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK)
        return url;
    curl_url_cleanup(url);
    return NULL;
}

/* As curl will understand it. */
static void check_url(const char *text, const char *prefix)
{
    PROPERTY(strncmp(text, prefix, strlen(prefix)) == 0, "%s does not begin with %s", text, prefix);
    for (const char *c = text; *c; c++)
        PROPERTY(!url_is_unwanted((unsigned char)*c), "byte %02x in %s", (unsigned char)*c, text);
    CURLU *url = parsed(text), *base = parsed(prefix);
    for (size_t i = 0; url && base && i < sizeof kept / sizeof *kept; i++) {
        char *is = part(url, kept[i]), *was = part(base, kept[i]);
        PROPERTY(is ? was && strcmp(is, was) == 0 : !was, "%s instead of %s in %s", is, was, text);
        curl_free(is);
        curl_free(was);
    }
    if (url && base && !strchr(prefix, '?')) {
        char *is = part(url, CURLUPART_PATH), *was = part(base, CURLUPART_PATH);
        PROPERTY(strncmp(is, was, strlen(was)) == 0, "path %s not in %s", is, was);
        curl_free(is);
        curl_free(was);
    }
    curl_url_cleanup(url);
    curl_url_cleanup(base);
}

static void check_headers(const struct request *r)
{
    PROPERTY(r->n_headers >= 4 && r->n_headers <= REQUEST_MAX_HEADERS, "%zu", r->n_headers);
    for (size_t i = 0; i < r->n_headers; i++) {
        const char *header = r->headers[i];
        size_t name = strspn(header, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-");
        PROPERTY(name > 0 && header[name] == ':' && header[name + 1] == ' ' && header[name + 2],
                 "header %s", header);
        for (const char *c = header; *c; c++)
            PROPERTY((unsigned char)*c >= 0x20 && *c != 0x7f, "control byte in %s", header);
        for (size_t k = 0; k < i; k++)
            PROPERTY(strncasecmp(header, r->headers[k], name + 1) != 0, "%s twice", header);
    }
}

static void check_body(const struct request *r, const struct envelope *event)
{
    static const char *const methods[] = {"POST", "PUT", "PATCH", "DELETE", "GET"};
    size_t len = 0, i = 0;
    const char *body = request_body(r, &len);
    while (i < 5 && strcmp(r->method, methods[i]) != 0)
        i++;
    PROPERTY(i < 5, "method %s", r->method);
    PROPERTY(i < 4 || len == 0, "GET with a body");
    if (len > 0)
        json_check(body, len);
    PROPERTY(!r->raw_body || r->raw_body == event->body, "the event's own bytes");
}

static void check_refusal(int result, const char *reason, size_t size)
{
    PROPERTY(result == -EBADMSG, "%d", result);
    reason_check(reason, size);
    PROPERTY(strncmp(reason, "policy: ", 8) == 0, "%s", reason);
}

/* Of what was asked for (ours: what was sent before) it sends these bytes, to the same place. */
static void check_built_again(const struct request *again, const struct request *before,
                              const struct request_payload *asked, bool ours)
{
    struct request_payload sent = request_payload(again);
    PROPERTY(sent.len == asked->len &&
                 (asked->len == 0 || memcmp(sent.bytes, asked->bytes, asked->len) == 0),
             "%zu bytes became %zu", asked->len, sent.len);
    PROPERTY(!ours || strcmp(buf_text(&again->url), buf_text(&before->url)) == 0, "%s became %s",
             buf_text(&before->url), buf_text(&again->url));
    check_url(buf_text(&again->url), before->service->url_prefix);
    check_headers(again);
}

/* What was sent can be sent again and is the same then; and any other bytes, the event's here, are
 * sent as they are, or refused where they are no query. */
static void check_again(const struct request *r, const struct envelope *event)
{
    const struct request_payload all[] = {request_payload(r), {event->body, event->body_len}};
    struct request again;
    char reason[512];
    request_init(&again);
    for (size_t i = 0; i < 2; i++) {
        reason_clear(reason, sizeof reason);
        int result =
            request_build_again(&again, r->rule, event, &all[i], 1795348440, reason, sizeof reason);
        PROPERTY(result == 0 || i == 1, "%s", reason);
        if (result == 0) {
            check_built_again(&again, r, &all[i], i == 0);
        } else {
            check_refusal(result, reason, sizeof reason);
        }
        PROPERTY(result == 0 || strcmp(r->method, "GET") == 0, "%s refused", r->method);
    }
    request_release(&again);
}

/* Twice: what is left over from the first time has no say in the second. */
static void build(const struct service *service, const struct rule *rule,
                  const struct envelope *event)
{
    struct request r;
    char reason[512];
    request_init(&r);
    for (int round = 0; round < 2; round++) {
        reason_clear(reason, sizeof reason);
        int result = request_build(&r, service, rule, event, 1795348440, reason, sizeof reason);
        PROPERTY(r.service == service && r.rule == rule, "they are kept");
        if (result != 0) {
            check_refusal(result, reason, sizeof reason);
            continue;
        }
        PROPERTY(!service->fault && !rule->fault, "%s%s", service->fault, rule->fault);
        check_url(buf_text(&r.url), service->url_prefix);
        check_headers(&r);
        check_body(&r, event);
        check_again(&r, event);
    }
    request_release(&r);
}

static struct catalog *catalog_of(const struct fields *f)
{
    static const char *const auth[] = {"none", "bearer", "apikey"};
    const char *token = field_or_null(f, AUTH);
    const struct service_row service = {
        .id = 3,
        .name = "crm",
        .type = "rest",
        .base_url = field_or_null(f, BASE_URL),
        .auth_type = auth[f->len[AUTH] % 3],
        .auth_token = token,
        .timeout_s = 5,
        .max_concurrency = 16,
        .enabled = true,
    };
    const struct rule_row rule = {
        .id = 7,
        .service_id = 3,
        .eventname = "\\core\\event\\user_created",
        .endpoint = field_or_null(f, ENDPOINT),
        .http_method = field_or_null(f, METHOD),
        .payload_template = field_or_null(f, TEMPLATE),
        .enabled = true,
    };
    struct catalog *c = NULL;
    struct catalog_builder *b = catalog_builder_new();
    if (!b || catalog_builder_service(b, &service) || catalog_builder_rule(b, &rule) ||
        catalog_builder_seal(b, &c))
        abort();
    return c;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct envelope_limits limits = {1 << 20, 32};
    struct fields f;
    struct envelope event = {0};
    char reason[200];
    fields_cut(&f, FIELDS, data, size);
    struct catalog *c = catalog_of(&f);
    const struct service *service = catalog_service(c, 3);
    const struct rule *rule = service_rule(service, 7);
    if (envelope_parse(&event, &limits, f.text[MESSAGE_ID], f.text[EVENT], f.len[EVENT], reason,
                       sizeof reason) == 0)
        build(service, rule, &event);
    envelope_release(&event);
    catalog_unref(c);
    fields_release(&f);
    return 0;
}
