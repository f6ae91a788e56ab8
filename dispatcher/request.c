#include "dispatcher/request.h"

#include <errno.h>
#include <json-c/json.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/jsontext.h"
#include "dispatcher/amqp_target.h"
#include "dispatcher/path.h"
#include "dispatcher/query.h"
#include "dispatcher/signing.h"
#include "dispatcher/template.h"
#include "dispatcher/url.h"

enum {
    MAX_HEADER_TEXT = 16 * 1024,
    UUID_LEN = 36,
    TRACE_ID_AT = 3, /* in a traceparent */
    SPAN_ID_AT = 36,
    /* A payload is a template's depth, with an event's depth at a placeholder. */
    MAX_PAYLOAD_DEPTH = TEMPLATE_MAX_DEPTH + ENVELOPE_MAX_DEPTH + 2,
};

static char content_type[] = "Content-Type: application/json";
static char accept[] = "Accept: application/json";

/* What the steps of one build share. */
struct build {
    struct request *request;
    const struct envelope *event;
    char *reason;
    size_t reason_size;
    const struct request_payload *again; /* NULL: render */
};

void request_init(struct request *r)
{
    *r = (struct request){0};
    buf_init(&r->url, REQUEST_MAX_URL);
    buf_init(&r->routing_key, AMQP_MAX_NAME);
    buf_init(&r->body, REQUEST_MAX_BODY);
    buf_init(&r->header_text, MAX_HEADER_TEXT);
    buf_init(&r->soap_headers, MAX_HEADER_TEXT);
}

void request_reset(struct request *r)
{
    r->service = NULL;
    r->rule = NULL;
    r->method[0] = '\0';
    r->raw_body = NULL;
    r->raw_body_len = 0;
    r->query_at = 0;
    r->n_headers = 0;
    r->webhook_id[0] = '\0';
    buf_reset(&r->url);
    buf_reset(&r->routing_key);
    buf_reset(&r->body);
    buf_reset(&r->header_text);
    buf_reset(&r->soap_headers);
    r->max_answer = 0;
    r->timeout_ms = 0;
}

void request_release(struct request *r)
{
    buf_release(&r->url);
    buf_release(&r->routing_key);
    buf_release(&r->body);
    buf_release(&r->header_text);
    buf_release(&r->soap_headers);
    request_init(r);
}

/* Writes "<kind>: <what> (rule 7, service 3, crm)" and returns -EBADMSG. */
static int refuse(const struct build *b, const char *what)
{
    const struct request *r = b->request;
    (void)snprintf(b->reason, b->reason_size, "policy: %s (rule %lld, service %lld, %s)", what,
                   (long long)r->rule->id, (long long)r->service->id, r->service->name);
    return -EBADMSG;
}

static int check_size(const struct build *b, const struct buf *buf, const char *name)
{
    char what[80];
    int r = buf_error(buf);
    if (r != -EMSGSIZE) {
        return r;
    }
    (void)snprintf(what, sizeof(what), "the %s is larger than %zu bytes", name, buf->max);
    return refuse(b, what);
}

static int render(const struct build *b, const struct template *t, enum template_escape escape,
                  struct buf *out, const char *name)
{
    char reason[400];
    char what[440];
    const struct path_source source = {&b->event->view, b->event->data};
    if (template_needs(t) & ~(source.data ? source.data->roots : 0)) {
        (void)snprintf(what, sizeof(what), "%s: what it needs was not looked up", name);
        return refuse(b, what);
    }
    int r = template_render(t, &source, escape, out, reason, sizeof(reason));
    if (r == -EBADMSG) {
        (void)snprintf(what, sizeof(what), "%s, %s", name, reason);
        return refuse(b, what);
    }
    return r;
}

/* Renders the endpoint behind the prefix. Its leading slashes go, as in the existing plugin; the
 * header text, not yet in use, holds it meanwhile. */
static int build_url(const struct build *b)
{
    struct request *request = b->request;
    const struct rule *rule = request->rule;
    if (rule->constant_url) {
        buf_adds(&request->url, rule->constant_url);
        return check_size(b, &request->url, "URL");
    }
    struct buf *endpoint = &request->header_text;
    int r = render(b, rule->endpoint, ESCAPE_URL_SEGMENT, endpoint, "endpoint");
    r = r < 0 ? r : check_size(b, endpoint, "endpoint");
    if (r < 0) {
        return r;
    }
    const char *path = buf_text(endpoint);
    path += strspn(path, "/");
    if (url_has_dot_segment(path)) {
        return refuse(b, "the endpoint makes a \".\" or \"..\" segment of this event");
    }
    buf_adds(&request->url, request->service->url_prefix);
    buf_adds(&request->url, path);
    buf_reset(endpoint);
    return check_size(b, &request->url, "URL");
}

/* The header text, not yet in use, holds the rendered endpoint meanwhile. */
static int build_routing_key(const struct build *b)
{
    struct request *request = b->request;
    const struct amqp_target *target = request->service->amqp;
    struct buf *endpoint = &request->header_text;
    char what[160];
    int r = render(b, request->rule->endpoint, ESCAPE_NONE, endpoint, "endpoint");
    r = r < 0 ? r : check_size(b, endpoint, "endpoint");
    if (r < 0) {
        return r;
    }
    const char *fault =
        amqp_target_key(target, buf_text(endpoint), endpoint->len, &request->routing_key);
    if (fault) {
        (void)snprintf(what, sizeof(what), "the routing key %s", fault);
        return refuse(b, what);
    }
    buf_reset(endpoint);
    amqp_target_show(target, buf_text(&request->routing_key), &request->url);
    r = buf_error(&request->routing_key);
    return r < 0 ? r : buf_error(&request->url);
}

/* Parses what a template made. 0 and a tree to put, -EBADMSG or -ENOMEM. */
static int parse_payload(const struct build *b, const char *use, struct json_object **ret_payload)
{
    const struct buf *body = &b->request->body;
    struct jsonview view = {0};
    char fault[80];
    int r =
        jsonview_parse(&view, buf_text(body), body->len, MAX_PAYLOAD_DEPTH, fault, sizeof(fault));
    if (r == 0) {
        r = jsonview_tree(&view, jsonview_root(&view), ret_payload);
    } else if (r == -EBADMSG) {
        char what[80];
        (void)snprintf(what, sizeof(what), "the payload cannot become a %s", use);
        r = refuse(b, what);
    }
    jsonview_release(&view);
    return r;
}

static bool is_get(const struct request *r)
{
    return strcmp(r->method, "GET") == 0;
}

/* Puts the mark behind the URL that a query begins with, or goes on with. */
static void begin_query(struct request *request)
{
    bool has_query = strchr(buf_text(&request->url), '?') != NULL;
    buf_addc(&request->url, has_query ? '&' : '?');
    request->query_at = request->url.len;
}

/* No pairs: no mark either. */
static void end_query(struct request *request)
{
    if (request->url.len > 0 && request->url.len == request->query_at) {
        request->url.data[--request->url.len] = '\0';
        request->query_at = request->url.len;
    }
}

/* What the payload's pairs are made of, a tree to put. Only objects and arrays have pairs. */
static int payload_tree(const struct build *b, const char *use, struct json_object **ret_payload)
{
    const struct jsonview *event = &b->event->view;
    char what[80];
    int r = b->request->rule->payload ? parse_payload(b, use, ret_payload)
                                      : jsonview_tree(event, jsonview_root(event), ret_payload);
    if (r == 0 && !json_object_is_type(*ret_payload, json_type_object) &&
        !json_object_is_type(*ret_payload, json_type_array)) {
        json_object_put(*ret_payload);
        (void)snprintf(what, sizeof(what), "a %s needs a payload that is an object or an array",
                       use);
        return refuse(b, what);
    }
    return r;
}

/* The payload as a query, behind the URL. */
static int build_query(const struct build *b)
{
    struct request *request = b->request;
    struct json_object *payload = NULL;
    int r = payload_tree(b, "query string", &payload);
    if (r < 0) {
        return r;
    }
    begin_query(request);
    r = query_add(&request->url, payload);
    r = r == -EMSGSIZE ? refuse(b, "a key of the query is too long") : r;
    r = r < 0 ? r : check_size(b, &request->url, "URL");
    if (r == 0) {
        end_query(request);
    }
    json_object_put(payload);
    buf_reset(&request->body);
    return r;
}

/* The payload as a form, in the place of its JSON. */
static int build_form(const struct build *b)
{
    struct request *request = b->request;
    struct json_object *payload = NULL;
    int r = payload_tree(b, "form", &payload);
    if (r < 0) {
        return r;
    }
    buf_reset(&request->body);
    r = query_add(&request->body, payload);
    r = r == -EMSGSIZE ? refuse(b, "a key of the form is too long") : r;
    r = r < 0 ? r : check_size(b, &request->body, "payload");
    json_object_put(payload);
    return r;
}

/* What query_add() writes, and what else RFC 3986 lets stand in a query. */
static bool is_query(const struct request_payload *payload)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                  "-._~%!$&'()*+,;=:@/?";
    for (size_t i = 0; i < payload->len; i++) {
        if (!payload->bytes[i] || !strchr(allowed, payload->bytes[i])) {
            return false;
        }
    }
    return true;
}

static int repeat_payload(const struct build *b)
{
    struct request *request = b->request;
    if (!is_get(request)) {
        request->raw_body = b->again->bytes;
        request->raw_body_len = b->again->len;
        return 0;
    }
    if (!is_query(b->again)) {
        return refuse(b,
                      "what was sent before is no query string, and the rule's method is GET now");
    }
    begin_query(request);
    buf_add(&request->url, b->again->bytes, b->again->len);
    int r = check_size(b, &request->url, "URL");
    if (r == 0) {
        end_query(request);
    }
    return r;
}

static int build_payload(const struct build *b)
{
    struct request *request = b->request;
    if (b->again) {
        return repeat_payload(b);
    }
    if (!request->rule->payload) {
        if (is_get(request)) {
            return build_query(b);
        }
        if (request->service->body == BODY_FORM) {
            return build_form(b);
        }
        request->raw_body = b->event->body;
        request->raw_body_len = b->event->body_len;
        return 0;
    }
    int r = render(b, request->rule->payload, ESCAPE_NONE, &request->body, "payload");
    r = r < 0 ? r : check_size(b, &request->body, "payload");
    if (r < 0) {
        return r;
    }
    if (is_get(request)) {
        return build_query(b);
    }
    if (request->service->body == BODY_FORM) {
        return build_form(b);
    }
    if (request->service->body == BODY_JSON && strcmp(buf_text(&request->body), "[]") == 0) {
        buf_reset(&request->body);
    }
    return 0;
}

/* Writes the digits of a number that may be negative; returns how many bytes. */
static size_t format_number(char *ret_text, int64_t number)
{
    char digits[24];
    size_t n = 0;
    size_t len = 0;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        digits[n++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (number < 0) {
        ret_text[len++] = '-';
    }
    while (n > 0) {
        ret_text[len++] = digits[--n];
    }
    return len;
}

static void format_hex(char *ret_text, uint64_t number)
{
    for (unsigned i = 0; i < 16; i++) {
        ret_text[i] = "0123456789abcdef"[number >> (60 - 4 * i) & 15];
    }
}

/* The hexadecimal digit in lower case, or NUL when it is none. */
static char lower_hex(char c)
{
    if (c >= 'A' && c <= 'F') {
        return (char)(c - 'A' + 'a');
    }
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')) {
        return c;
    }
    return '\0';
}

/* The 32 digits of a UUID, in lower case. False when the id is none, or all zero (which W3C
 * Trace Context forbids). */
static bool trace_id_of_uuid(const char *id, char *ret_digits)
{
    size_t n = 0;
    bool is_zero = true;
    for (size_t i = 0; i < UUID_LEN; i++) {
        char c = id[i];
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (c != '-') {
                return false;
            }
            continue;
        }
        ret_digits[n] = lower_hex(c);
        if (ret_digits[n] == '\0') {
            return false;
        }
        is_zero = is_zero && c == '0';
        n++;
    }
    return id[UUID_LEN] == '\0' && !is_zero;
}

static void trace_id(const char *message_id, char *ret_digits)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    if (trace_id_of_uuid(message_id, ret_digits)) {
        return;
    }
    SHA256((const unsigned char *)message_id, strlen(message_id), digest);
    for (unsigned half = 0; half < 2; half++) {
        uint64_t number = 0;
        for (unsigned i = 0; i < 8; i++) {
            number = number << 8 | digest[half * 8 + i];
        }
        format_hex(ret_digits + (size_t)half * 16, number);
    }
}

/* FNV-1a, spread; never 0. Tells the rules of one event apart, nothing more. */
static uint64_t span_id(const char *webhook_id)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (const char *p = webhook_id; *p; p++) {
        hash = (hash ^ (unsigned char)*p) * 0x100000001b3;
    }
    hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccd;
    hash ^= hash >> 33;
    return hash ? hash : 1;
}

/* Appends "name: value" with a NUL of its own. */
static void add_header_text(struct buf *out, const char *name, const char *value, size_t len)
{
    buf_adds(out, name);
    buf_add(out, value, len);
    buf_addc(out, '\0');
}

static void set_webhook_id(struct request *r, const char *message_id)
{
    size_t len = strnlen(message_id, ENVELOPE_ID_SIZE - 1);
    memcpy(r->webhook_id, message_id, len);
    r->webhook_id[len++] = ':';
    len += format_number(r->webhook_id + len, r->rule->id);
    r->webhook_id[len] = '\0';
}

/* Behind the headers of every request: the signature and the service's own ones. Each ends in a
 * NUL. *ret_n says how many there are. */
static int add_special_headers(const struct build *b, const char *timestamp, size_t *ret_n)
{
    const struct request *r = b->request;
    const struct service *s = r->service;
    struct buf *text = &b->request->header_text;
    const struct path_source source = {&b->event->view, b->event->data};
    char reason[440];
    *ret_n = headerset_count(s->headers);
    if (s->n_signing_keys > 0 && strchr(r->webhook_id, '.')) {
        return refuse(b, "the message's id holds a \".\" and cannot be signed");
    }
    if (s->n_signing_keys > 0 && s->type != SERVICE_SOAP) { /* soap_transport.c signs its message */
        struct signing_message m = {.id = r->webhook_id, .timestamp = timestamp};
        m.body = request_body(r, &m.body_len);
        buf_adds(text, "webhook-signature: ");
        signing_add(text, s->signing_keys, s->n_signing_keys, &m);
        buf_addc(text, '\0');
        ++*ret_n;
    }
    if (headerset_needs(s->headers) & ~(source.data ? source.data->roots : 0)) {
        return refuse(b, "headers: what they need was not looked up");
    }
    int error = headerset_render(s->headers, &source, text, reason, sizeof(reason));
    return error == -EBADMSG ? refuse(b, reason) : error;
}

/* The headers whose text is the service's. */
static void point_at_fixed_headers(struct request *r)
{
    const struct service *s = r->service;
    if (!is_get(r)) {
        r->headers[r->n_headers++] = s->content_header ? s->content_header : content_type;
    }
    if (s->type != SERVICE_AMQP && !s->own_accept) {
        r->headers[r->n_headers++] = accept;
    }
    if (s->auth_header) {
        r->headers[r->n_headers++] = s->auth_header;
    }
}

static int build_headers(const struct build *b, int64_t now_s)
{
    struct request *r = b->request;
    struct buf *text = &r->header_text;
    char number[24];
    char trace[] = "00-................................-................-01";
    size_t starts[3];
    size_t n_special = 0;
    size_t number_len = format_number(number, now_s);
    int error = 0;

    set_webhook_id(r, b->event->message_id);
    trace_id(b->event->message_id, trace + TRACE_ID_AT);
    format_hex(trace + SPAN_ID_AT, span_id(r->webhook_id));

    starts[0] = text->len;
    add_header_text(text, "webhook-id: ", r->webhook_id, strlen(r->webhook_id));
    starts[1] = text->len;
    add_header_text(text, "webhook-timestamp: ", number, number_len);
    starts[2] = text->len;
    add_header_text(text, "traceparent: ", trace, sizeof(trace) - 1);
    size_t special = text->len;
    if (r->service->headers || r->service->n_signing_keys > 0) {
        number[number_len] = '\0';
        error = add_special_headers(b, number, &n_special);
    }
    error = error < 0 ? error : check_size(b, text, "header text");
    if (error < 0) {
        return error;
    }
    point_at_fixed_headers(r);
    for (size_t i = 0; i < 3; i++) {
        r->headers[r->n_headers++] = text->data + starts[i];
    }
    for (size_t i = 0; i < n_special; i++) {
        r->headers[r->n_headers++] = text->data + special;
        special += strlen(text->data + special) + 1;
    }
    return 0;
}

/* Rendered anew for a replay, too: like HTTP's, they are about this call, not its data. */
static int build_soap_headers(const struct build *b)
{
    struct request *r = b->request;
    if (!r->service->soap_template) {
        return 0;
    }
    int error = render(b, r->service->soap_template, ESCAPE_NONE, &r->soap_headers, "SOAP headers");
    return error < 0 ? error : check_size(b, &r->soap_headers, "text of the SOAP headers");
}

static int build(const struct build *b, const struct service *service, const struct rule *rule,
                 int64_t now_s)
{
    struct request *r = b->request;
    request_reset(r);
    r->service = service;
    r->rule = rule;
    memcpy(r->method, rule->method, sizeof(r->method));
    const char *fault = service->fault ? service->fault : rule->fault;
    if (fault) {
        (void)snprintf(b->reason, b->reason_size, "%s", fault);
        return -EBADMSG;
    }
    int error = service->type == SERVICE_AMQP ? build_routing_key(b) : build_url(b);
    error = error < 0 ? error : build_payload(b);
    error = error < 0 ? error : build_soap_headers(b);
    return error < 0 ? error : build_headers(b, now_s);
}

/* Seven arguments: the reason takes two, and a struct for them would be copied by every caller. */
// NOLINTNEXTLINE(readability-function-size)
int request_build(struct request *r, const struct service *service, const struct rule *rule,
                  const struct envelope *event, int64_t now_s, char *ret_reason, size_t reason_size)
{
    const struct build b = {r, event, ret_reason, reason_size, NULL};
    return build(&b, service, rule, now_s);
}

// NOLINTNEXTLINE(readability-function-size): as above
int request_build_again(struct request *r, const struct rule *rule, const struct envelope *event,
                        const struct request_payload *payload, int64_t now_s, char *ret_reason,
                        size_t reason_size)
{
    const struct build b = {r, event, ret_reason, reason_size, payload};
    return build(&b, rule->service, rule, now_s);
}

const char *request_body(const struct request *r, size_t *ret_len)
{
    if (r->raw_body) {
        *ret_len = r->raw_body_len;
        return r->raw_body;
    }
    *ret_len = r->body.len;
    return buf_text(&r->body);
}

struct request_payload request_payload(const struct request *r)
{
    struct request_payload p;
    if (is_get(r)) {
        p.bytes = buf_text(&r->url) + r->query_at;
        p.len = r->url.len - r->query_at;
    } else {
        p.bytes = request_body(r, &p.len);
    }
    return p;
}
