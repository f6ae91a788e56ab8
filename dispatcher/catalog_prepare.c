/* From rows to services and rules that can be used, or that carry their fault. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/envelope.h"
#include "common/utf8.h"
#include "dispatcher/amqp_target.h"
#include "dispatcher/catalog_impl.h"
#include "dispatcher/condition.h"
#include "dispatcher/headerset.h"
#include "dispatcher/request.h"
#include "dispatcher/rest_url.h"
#include "dispatcher/template.h"
#include "dispatcher/url.h"

enum { FAULT_SIZE = 512 };

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    if (value < low) {
        return low;
    }
    return value > high ? high : value;
}

/* The first fault stays. 0 or -ENOMEM. */
static int set_fault(char **fault, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int set_fault(char **fault, const char *format, ...)
{
    char text[FAULT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (*fault) {
        return 0;
    }
    *fault = strdup(text);
    return *fault ? 0 : -ENOMEM;
}

int service_fault(struct service *s, const char *what)
{
    return set_fault(&s->fault, "policy: %s (service %lld, %s)", what, (long long)s->id, s->name);
}

static int rule_fault(struct rule *rule, const char *what)
{
    return set_fault(&rule->fault, "policy: %s (rule %lld, service %lld, %s)", what,
                     (long long)rule->id, (long long)rule->service->id, rule->service->name);
}

static enum service_type type_of(const char *type)
{
    if (strcmp(type, "soap") == 0) {
        return SERVICE_SOAP;
    }
    return strcmp(type, "amqp") == 0 ? SERVICE_AMQP : SERVICE_REST;
}

static int prepare_base(struct service *s)
{
    char reason[160];
    struct buf prefix;
    if (s->type == SERVICE_SOAP) {
        return 0; /* service_prepare_soap() */
    }
    if (s->type == SERVICE_REST && url_check_base(s->base_url, reason, sizeof(reason)) < 0) {
        int r = service_fault(s, reason);
        if (r < 0) {
            return r;
        }
    }
    buf_init(&prefix, strlen(s->base_url) + 1);
    url_add_prefix(&prefix, s->base_url);
    s->url_prefix = buf_take(&prefix, NULL);
    buf_release(&prefix);
    return s->url_prefix ? 0 : -ENOMEM;
}

/* A name as it may stand in a reason; NULL when memory is out. */
static char *displayed(const char *name)
{
    char text[SERVICE_NAME_SIZE];
    utf8_copy_safe(text, sizeof(text), name, strlen(name));
    return strdup(text);
}

int service_prepare(struct service *s, const struct service_row *row,
                    const struct secret_keys *keys)
{
    s->id = row->id;
    s->enabled = row->enabled;
    s->paused = row->paused;
    s->timeout_ms = clamp(row->timeout_s > 0 ? row->timeout_s : SERVICE_DEFAULT_TIMEOUT_S, 1,
                          SERVICE_MAX_TIMEOUT_S) *
                    1000;
    s->max_concurrency = (unsigned)clamp(row->max_concurrency, 1, SERVICE_MAX_CONCURRENCY);
    s->rate_limit = (unsigned)clamp(row->rate_limit, 0, SERVICE_MAX_RATE);
    s->cb_threshold = (unsigned)clamp(row->cb_failure_threshold, 1, UINT16_MAX);
    s->cb_cooldown_ms = clamp(row->cb_cooldown_s, 1, SERVICE_MAX_COOLDOWN_S) * 1000;
    s->retry = (struct retry_policy){
        .backoff_ms = clamp(row->retry_backoff_s, 1, SERVICE_MAX_BACKOFF_S) * 1000,
        .max_backoff_ms = SERVICE_MAX_BACKOFF_S * INT64_C(1000),
        .max_retries = (unsigned)clamp(row->max_retries, 0, SERVICE_MAX_RETRIES),
        .long_retries = row->long_retries,
    };
    s->name = displayed(or_empty(row->name));
    s->base_url = strdup(or_empty(row->base_url));
    s->soap_version = strdup(or_empty(row->soap_version));
    s->soap_headers = strdup(or_empty(row->soap_headers));
    if (!s->name || !s->base_url || !s->soap_version || !s->soap_headers) {
        return -ENOMEM;
    }
    s->type = type_of(or_empty(row->type));
    /* An AMQP service's token is for what comes in. */
    bool amqp = s->type == SERVICE_AMQP;
    int r = amqp ? service_prepare_amqp(s, keys) : prepare_base(s);
    r = r < 0 || amqp ? r : service_prepare_auth(s, row, keys);
    r = r < 0 ? r : service_prepare_form(s, row, keys);
    return r < 0 || s->type != SERVICE_SOAP ? r : service_prepare_soap(s, row);
}

void service_release(struct service *s)
{
    for (size_t i = 0; i < s->n_rules; i++) {
        rule_release(&s->rules[i]);
    }
    free(s->rules);
    free(s->rules_by_id);
    free(s->name);
    if (s->base_url) {
        explicit_bzero(s->base_url, strlen(s->base_url)); /* AMQP has its password in it */
    }
    free(s->base_url);
    amqp_target_free(s->amqp);
    free(s->url_prefix);
    free(s->soap_version);
    free(s->soap_headers);
    template_free(s->soap_template);
    free(s->fault);
    service_release_auth(s);
    service_release_form(s);
    *s = (struct service){0};
}

/* Only the last character may be a "*", and then a whole part: behind a backslash. */
static bool stars_are_sound(const char *eventname, size_t len)
{
    const char *star = strchr(eventname, '*');
    return !star || (star == eventname + len - 1 && len >= 2 && star[-1] == '\\');
}

static int prepare_event(struct rule *rule, const char *eventname)
{
    size_t len = strlen(eventname);
    rule->eventname = strdup(eventname);
    if (!rule->eventname) {
        return -ENOMEM;
    }
    if (!stars_are_sound(eventname, len) ||
        envelope_routing_key(eventname, rule->routing_key, sizeof(rule->routing_key)) < 0) {
        rule->routing_key[0] = '\0';
        return rule_fault(rule, "the event name is not that of an event class");
    }
    rule->wildcard = len > 0 && eventname[len - 1] == '*';
    rule->prefix_len = rule->wildcard ? len - 1 : len;
    return 0;
}

/* ASCII in upper case; what is not visible as "?". */
static char upper_or_mark(char c)
{
    if (c >= 'a' && c <= 'z') {
        return (char)(c - 'a' + 'A');
    }
    if (c <= 0x20 || c >= 0x7f) {
        return '?';
    }
    return c;
}

static int prepare_method(struct rule *rule, const char *method)
{
    static const char *const known[] = {"POST", "PUT", "PATCH", "DELETE", "GET"};
    char what[120];
    if (rule->service->type == SERVICE_AMQP) {
        memcpy(rule->method, "AMQP", sizeof("AMQP")); /* whatever the row says */
        return 0;
    }
    if (*method == '\0' || rule->service->type == SERVICE_SOAP) {
        method = known[0];
    }
    for (size_t i = 0; method[i] && i + 1 < sizeof(rule->method); i++) {
        rule->method[i] = upper_or_mark(method[i]);
    }
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcasecmp(method, known[i]) == 0) {
            return 0;
        }
    }
    (void)snprintf(what, sizeof(what), "the method %s is none of POST, PUT, PATCH, DELETE and GET",
                   rule->method);
    return rule_fault(rule, what);
}

/* An endpoint without placeholders makes the same URL for every event. */
static int prepare_constant_url(struct rule *rule, const char *endpoint)
{
    struct buf url;
    const char *path = endpoint + strspn(endpoint, "/");
    if (!template_is_constant(rule->endpoint)) {
        return 0;
    }
    if (url_has_dot_segment(path)) {
        return rule_fault(rule, "the endpoint holds a \".\" or \"..\" segment");
    }
    buf_init(&url, REQUEST_MAX_URL);
    buf_adds(&url, rule->service->url_prefix);
    buf_adds(&url, path);
    if (buf_error(&url) == -EMSGSIZE) {
        buf_release(&url);
        return rule_fault(rule, "the URL is too long");
    }
    rule->constant_url = buf_take(&url, NULL);
    buf_release(&url);
    if (!rule->constant_url) {
        return -ENOMEM;
    }
    rule->url = rest_url_new(rule->constant_url);
    return 0;
}

/* A key that no event has a say in is checked now, any other one with its event. */
static int prepare_routing_key(struct rule *rule, const char *endpoint)
{
    char what[160];
    struct buf key;
    if (!template_is_constant(rule->endpoint) || !rule->service->amqp) {
        return 0;
    }
    buf_init(&key, AMQP_MAX_NAME);
    const char *fault = amqp_target_key(rule->service->amqp, endpoint, strlen(endpoint), &key);
    int r = buf_error(&key);
    buf_release(&key);
    if (fault) {
        (void)snprintf(what, sizeof(what), "the routing key %s", fault);
        return rule_fault(rule, what);
    }
    return r;
}

static int prepare_endpoint(struct rule *rule, const char *endpoint)
{
    char reason[440];
    char what[460];
    size_t at = 0;
    unsigned char byte = 0;
    int r = template_compile(TEMPLATE_TEXT, endpoint, &rule->endpoint, reason, sizeof(reason));
    if (r == -EINVAL) {
        (void)snprintf(what, sizeof(what), "endpoint, %s", reason);
        return rule_fault(rule, what);
    }
    if (r < 0) {
        return r;
    }
    if (rule->service->type == SERVICE_AMQP) {
        return prepare_routing_key(rule, endpoint);
    }
    if (template_find_literal(rule->endpoint, url_is_unwanted, &at, &byte)) {
        (void)snprintf(what, sizeof(what), "the endpoint holds the byte 0x%02x at position %zu",
                       byte, at + 1);
        return rule_fault(rule, what);
    }
    return prepare_constant_url(rule, endpoint);
}

/* NULL, white space and "0" mean: no template (PHP's empty()). */
static bool is_no_template(const char *text)
{
    text += strspn(text, " \t\r\n\v\f");
    size_t len = *text == '0' ? 1 : 0;
    return text[len + strspn(text + len, " \t\r\n\v\f")] == '\0';
}

static int prepare_payload(struct rule *rule, const char *source)
{
    char reason[440];
    char what[460];
    if (is_no_template(source)) {
        return 0;
    }
    bool is_text = rule->service->body == BODY_RAW && strcmp(rule->method, "GET") != 0;
    int r = template_compile(is_text ? TEMPLATE_TEXT : TEMPLATE_JSON, source, &rule->payload,
                             reason, sizeof(reason));
    if (r == -EINVAL) {
        (void)snprintf(what, sizeof(what), "payload, %s", reason);
        return rule_fault(rule, what);
    }
    return r;
}

static int prepare_filter(struct rule *rule, const char *source)
{
    char reason[440];
    char what[460];
    int r = condition_compile(source, &rule->filter, reason, sizeof(reason));
    if (r == -EINVAL) {
        (void)snprintf(what, sizeof(what), "filter, %s", reason);
        return rule_fault(rule, what);
    }
    return r;
}

/* What must be looked up before the rule can be carried out; nothing when it cannot be. */
static unsigned needs_of(const struct rule *rule)
{
    if (rule->fault || rule->service->fault) {
        return 0;
    }
    return (rule->endpoint ? template_needs(rule->endpoint) : 0) |
           (rule->payload ? template_needs(rule->payload) : 0) |
           headerset_needs(rule->service->headers) |
           (rule->service->soap_template ? template_needs(rule->service->soap_template) : 0) |
           (rule->filter ? condition_needs(rule->filter) : 0);
}

int rule_prepare(struct rule *rule, const struct service *service, const struct rule_row *row)
{
    rule->id = row->id;
    rule->enabled = row->enabled;
    rule->timemodified = row->timemodified;
    rule->service = service;
    rule->endpoint_text = strdup(or_empty(row->endpoint));
    if (!rule->endpoint_text) {
        return -ENOMEM;
    }
    int r = prepare_event(rule, or_empty(row->eventname));
    r = r < 0 ? r : prepare_method(rule, or_empty(row->http_method));
    r = r < 0 ? r : prepare_endpoint(rule, or_empty(row->endpoint));
    r = r < 0 ? r : prepare_payload(rule, or_empty(row->payload_template));
    r = r < 0 ? r : prepare_filter(rule, row->filter);
    rule->needs = r < 0 ? 0 : needs_of(rule);
    return r;
}

void rule_release(struct rule *rule)
{
    free(rule->eventname);
    free(rule->endpoint_text);
    free(rule->constant_url);
    rest_url_free(rule->url);
    free(rule->fault);
    template_free(rule->endpoint);
    template_free(rule->payload);
    condition_free(rule->filter);
    *rule = (struct rule){0};
}
