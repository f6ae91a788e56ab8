/*
 * The policy, in sentences.
 *
 * A 2xx is delivered and a success for the breaker; everything else is not.
 *
 * What says that the service is in trouble (no connection, no or no whole answer in time, 5xx,
 * and codes nobody knows) is a failure for the breaker and is tried again. So are 408, 409 and
 * 425, which say "not now" of the request. TLS trouble needs a person, so it is tried again at
 * most every five minutes, with a warning.
 *
 * What says that this request is not wanted is not the service's failure: neutral. 401, 403 and
 * 407 are tried again twice, a minute apart, because tokens are changed on both sides at
 * slightly different times; 404 three times, because things are created late. Any other 4xx, 501
 * and every redirect is final: the same request would get the same answer. 410 says that the
 * address is gone for good, so the rule is disabled as well.
 *
 * AMQP has the same classes under other names: confirmed and not returned is delivered; unroutable
 * is a 404; login or permission refused is a 403; a nack, a lost connection and a missing confirm
 * are failures.
 *
 * 429 is flow control: neutral, not counted. After it, after 503 and after a time-out the service
 * gets fewer requests at a time. Retry-After is honoured on 429 and 503.
 *
 * A SOAP fault counts as such inside of any status. One that blames the sender (Client, Sender,
 * MustUnderstand, VersionMismatch, DataEncodingUnknown) is final; every other one, of a code that
 * nobody knows too, is the service's trouble. Retry-After is honoured on it.
 *
 * Our own troubles (memory, descriptors, shutdown) count for nobody. A request that cannot be
 * sent will never be: reject.
 */
#include "dispatcher/verdict.h"

#include <stdio.h>
#include <string.h>

#include "common/utf8.h"

enum {
    TRY_TWICE_MORE = 3, /* attempts in all */
    TRY_THRICE_MORE = 4,
    AUTH_PAUSE_S = 60,
    TLS_PAUSE_S = 5 * 60,
    LOCAL_PAUSE_S = 1,
};

/* One line of the policy. Reason and status are filled in per outcome. */
struct policy {
    enum verdict_kind kind;
    enum verdict_breaker breaker;
    bool counts;
    bool honours_retry_after;
    bool lower_concurrency;
    bool disable_rule;
    bool warn;
    unsigned max_attempts;
    int64_t not_before_s;
};

struct status_policy {
    int first;
    int last;
    struct policy policy;
};

#define DELIVERED .kind = VERDICT_DELIVERED, .breaker = BREAKER_SUCCESS, .counts = true
#define RETRY_FAILURE .kind = VERDICT_RETRY, .breaker = BREAKER_FAILURE, .counts = true
#define RETRY_NEUTRAL .kind = VERDICT_RETRY, .breaker = BREAKER_NEUTRAL, .counts = true
#define RETRY_FREE .kind = VERDICT_RETRY, .breaker = BREAKER_NEUTRAL, .counts = false
#define REJECT .kind = VERDICT_REJECT, .breaker = BREAKER_NEUTRAL, .counts = true

/* The first line that holds the status decides; the last one holds them all. */
static const struct status_policy status_policies[] = {
    {200, 299, {DELIVERED}},
    {300, 399, {REJECT}},
    {401,
     401,
     {RETRY_NEUTRAL, .max_attempts = TRY_TWICE_MORE, .not_before_s = AUTH_PAUSE_S, .warn = true}},
    {403,
     403,
     {RETRY_NEUTRAL, .max_attempts = TRY_TWICE_MORE, .not_before_s = AUTH_PAUSE_S, .warn = true}},
    {404, 404, {RETRY_NEUTRAL, .max_attempts = TRY_THRICE_MORE}},
    {407,
     407,
     {RETRY_NEUTRAL, .max_attempts = TRY_TWICE_MORE, .not_before_s = AUTH_PAUSE_S, .warn = true}},
    {408, 409, {RETRY_FAILURE}},
    {410, 410, {REJECT, .disable_rule = true, .warn = true}},
    {425, 425, {RETRY_FAILURE}},
    {429, 429, {RETRY_FREE, .honours_retry_after = true, .lower_concurrency = true}},
    {400, 499, {REJECT}},
    {501, 501, {REJECT}},
    {503, 503, {RETRY_FAILURE, .honours_retry_after = true, .lower_concurrency = true}},
    {-2147483647 - 1, 2147483647, {RETRY_FAILURE}},
};

/* Outcomes without a status, with the words their reason begins with. */
static const struct {
    const char *words;
    struct policy policy;
} kind_policies[] = {
    [OUTCOME_HTTP] = {"HTTP", {RETRY_FAILURE}},
    [OUTCOME_DNS] = {"name look-up failed", {RETRY_FAILURE}},
    [OUTCOME_CONNECT] = {"no connection", {RETRY_FAILURE}},
    [OUTCOME_TIMEOUT] = {"time-out", {RETRY_FAILURE, .lower_concurrency = true}},
    [OUTCOME_BROKEN] = {"broken answer", {RETRY_FAILURE}},
    [OUTCOME_TLS] = {"TLS", {RETRY_FAILURE, .not_before_s = TLS_PAUSE_S, .warn = true}},
    [OUTCOME_INVALID] = {"policy", {REJECT}},
    [OUTCOME_LOCAL] = {"worker", {RETRY_FREE, .not_before_s = LOCAL_PAUSE_S, .warn = true}},
    [OUTCOME_FAULT_SENDER] = {"SOAP fault", {REJECT}},
    [OUTCOME_FAULT_RECEIVER] = {"SOAP fault", {RETRY_FAILURE, .honours_retry_after = true}},
    [OUTCOME_CANCELLED] = {"cancelled by the worker", {RETRY_FREE}},
    [OUTCOME_CONFIRMED] = {"confirmed", {DELIVERED}},
    [OUTCOME_UNROUTED] = {"unroutable", {RETRY_NEUTRAL, .max_attempts = TRY_THRICE_MORE}},
    [OUTCOME_NACKED] = {"refused by the broker", {RETRY_FAILURE}},
    [OUTCOME_LOST] = {"connection lost", {RETRY_FAILURE}},
    [OUTCOME_ACCESS] = {"access refused",
                        {RETRY_NEUTRAL, .max_attempts = TRY_TWICE_MORE,
                         .not_before_s = AUTH_PAUSE_S, .warn = true}},
};

/* RFC 9110 section 15 and the registry's usual additions. */
static const struct {
    int status;
    const char *phrase;
} phrases[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
    {508, "Loop Detected"},
    {511, "Network Authentication Required"},
};

static const struct policy *policy_of(const struct outcome *o)
{
    if (o->kind != OUTCOME_HTTP) {
        return &kind_policies[o->kind].policy;
    }
    const struct status_policy *p = status_policies;
    while (o->status < p->first || o->status > p->last) {
        p++;
    }
    return &p->policy;
}

static const char *phrase_of(int status)
{
    for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++) {
        if (phrases[i].status == status) {
            return phrases[i].phrase;
        }
    }
    return NULL;
}

static void http_reason(const struct outcome *o, const char *text, char *ret_reason, size_t size)
{
    const char *phrase = phrase_of(o->status);
    if (o->status >= 300 && o->status <= 399) {
        (void)snprintf(ret_reason, size, "HTTP %d %s%s (redirects are never followed)", o->status,
                       *text ? "redirect to " : "redirect without a location", text);
        return;
    }
    (void)snprintf(ret_reason, size, "HTTP %d%s%s%s%s", o->status, phrase ? " " : "",
                   phrase ? phrase : "", *text ? ": " : "", text);
}

/* A text that names its class already keeps it. */
static bool is_classed(const char *text)
{
    static const char *const classes[] = {"policy: ", "poison: "};
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (strncmp(text, classes[i], strlen(classes[i])) == 0) {
            return true;
        }
    }
    return false;
}

static void other_reason(const struct outcome *o, const char *text, char *ret_reason, size_t size)
{
    const char *words = kind_policies[o->kind].words;
    const char *colon = *text ? ": " : "";
    if (o->kind == OUTCOME_TIMEOUT) {
        (void)snprintf(ret_reason, size, "%s after %lld ms%s%s", words,
                       (long long)(o->latency_us / 1000), colon, text);
    } else if (o->kind == OUTCOME_INVALID && is_classed(text)) {
        (void)snprintf(ret_reason, size, "%s", text);
    } else {
        (void)snprintf(ret_reason, size, "%s%s%s", words, colon, text);
    }
}

void verdict_of(const struct outcome *o, struct verdict *ret_verdict)
{
    const struct policy *p = policy_of(o);
    char text[OUTCOME_TEXT_SIZE + 1];
    *ret_verdict = (struct verdict){
        .kind = p->kind,
        .breaker = p->breaker,
        .counts = p->counts,
        .max_attempts = p->max_attempts,
        .not_before_s = p->not_before_s,
        .lower_concurrency = p->lower_concurrency,
        .disable_rule = p->disable_rule,
        .warn = p->warn,
        .status = o->status,
    };
    if (p->honours_retry_after && o->retry_after_s > p->not_before_s) {
        ret_verdict->not_before_s = o->retry_after_s;
    }
    if (p->kind == VERDICT_DELIVERED) {
        return;
    }
    utf8_copy_safe(text, sizeof(text), o->text, strnlen(o->text, OUTCOME_TEXT_SIZE));
    if (o->kind == OUTCOME_HTTP) {
        http_reason(o, text, ret_verdict->reason, sizeof(ret_verdict->reason));
    } else {
        other_reason(o, text, ret_verdict->reason, sizeof(ret_verdict->reason));
    }
}
