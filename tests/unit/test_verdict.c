/* The outcome policy of DESIGN 5, line by line, and Retry-After. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dispatcher/verdict.h"

static struct verdict verdict_for(enum outcome_kind kind, int status, int64_t retry_after_s,
                                  const char *text)
{
    struct outcome o = {.kind = kind, .status = status, .retry_after_s = retry_after_s};
    struct verdict v;
    (void)snprintf(o.text, sizeof(o.text), "%s", text);
    verdict_of(&o, &v);
    return v;
}

struct line {
    enum outcome_kind outcome;
    int status;
    enum verdict_kind kind;
    enum verdict_breaker breaker;
    bool counts;
    unsigned max_attempts;
    int64_t not_before_s;
    const char *flags; /* l: lower concurrency, d: disable rule, w: warn */
};

static const struct line lines[] = {
    {OUTCOME_HTTP, 200, VERDICT_DELIVERED, BREAKER_SUCCESS, true, 0, 0, ""},
    {OUTCOME_HTTP, 201, VERDICT_DELIVERED, BREAKER_SUCCESS, true, 0, 0, ""},
    {OUTCOME_HTTP, 299, VERDICT_DELIVERED, BREAKER_SUCCESS, true, 0, 0, ""},
    {OUTCOME_HTTP, 300, VERDICT_REJECT, BREAKER_NEUTRAL, true, 0, 0, ""},
    {OUTCOME_HTTP, 304, VERDICT_REJECT, BREAKER_NEUTRAL, true, 0, 0, ""},
    {OUTCOME_HTTP, 308, VERDICT_REJECT, BREAKER_NEUTRAL, true, 0, 0, ""},
    {OUTCOME_HTTP, 400, VERDICT_REJECT, BREAKER_NEUTRAL, true, 0, 0, ""},
    {OUTCOME_HTTP, 401, VERDICT_RETRY, BREAKER_NEUTRAL, true, 3, 60, "w"},
    {OUTCOME_HTTP, 402, VERDICT_REJECT, BREAKER_NEUTRAL, true, 0, 0, ""},
    {OUTCOME_HTTP, 403, VERDICT_RETRY, BREAKER_NEUTRAL, true, 3, 60, "w"},
    {OUTCOME_HTTP, 404, VERDICT_RETRY, BREAKER_NEUTRAL, true, 4, 0, ""},
    {OUTCOME_HTTP, 405, VERDICT_REJECT, BREAKER_NEUTRAL, true, 0, 0, ""},
    {OUTCOME_HTTP, 407, VERDICT_RETRY, BREAKER_NEUTRAL, true, 3, 60, "w"},
    {OUTCOME_HTTP, 408, VERDICT_RETRY, BREAKER_FAILURE, true, 0, 0, ""},
    {OUTCOME_HTTP, 409, VERDICT_RETRY, BREAKER_FAILURE, true, 0, 0, ""},
    {OUTCOME_HTTP, 410, VERDICT_REJECT, BREAKER_NEUTRAL, true, 0, 0, "dw"},
    {OUTCOME_HTTP, 422, VERDICT_REJECT, BREAKER_NEUTRAL, true, 0, 0, ""},
    {OUTCOME_HTTP, 425, VERDICT_RETRY, BREAKER_FAILURE, true, 0, 0, ""},
    {OUTCOME_HTTP, 429, VERDICT_RETRY, BREAKER_NEUTRAL, false, 0, 0, "l"},
    {OUTCOME_HTTP, 499, VERDICT_REJECT, BREAKER_NEUTRAL, true, 0, 0, ""},
    {OUTCOME_HTTP, 500, VERDICT_RETRY, BREAKER_FAILURE, true, 0, 0, ""},
    {OUTCOME_HTTP, 501, VERDICT_REJECT, BREAKER_NEUTRAL, true, 0, 0, ""},
    {OUTCOME_HTTP, 502, VERDICT_RETRY, BREAKER_FAILURE, true, 0, 0, ""},
    {OUTCOME_HTTP, 503, VERDICT_RETRY, BREAKER_FAILURE, true, 0, 0, "l"},
    {OUTCOME_HTTP, 504, VERDICT_RETRY, BREAKER_FAILURE, true, 0, 0, ""},
    {OUTCOME_HTTP, 599, VERDICT_RETRY, BREAKER_FAILURE, true, 0, 0, ""},
    {OUTCOME_HTTP, 0, VERDICT_RETRY, BREAKER_FAILURE, true, 0, 0, ""},
    {OUTCOME_HTTP, 199, VERDICT_RETRY, BREAKER_FAILURE, true, 0, 0, ""},
    {OUTCOME_HTTP, 600, VERDICT_RETRY, BREAKER_FAILURE, true, 0, 0, ""},
    {OUTCOME_HTTP, -1, VERDICT_RETRY, BREAKER_FAILURE, true, 0, 0, ""},
    {OUTCOME_DNS, 0, VERDICT_RETRY, BREAKER_FAILURE, true, 0, 0, ""},
    {OUTCOME_CONNECT, 0, VERDICT_RETRY, BREAKER_FAILURE, true, 0, 0, ""},
    {OUTCOME_TIMEOUT, 0, VERDICT_RETRY, BREAKER_FAILURE, true, 0, 0, "l"},
    {OUTCOME_BROKEN, 0, VERDICT_RETRY, BREAKER_FAILURE, true, 0, 0, ""},
    {OUTCOME_TLS, 0, VERDICT_RETRY, BREAKER_FAILURE, true, 0, 300, "w"},
    {OUTCOME_INVALID, 0, VERDICT_REJECT, BREAKER_NEUTRAL, true, 0, 0, ""},
    {OUTCOME_LOCAL, 0, VERDICT_RETRY, BREAKER_NEUTRAL, false, 0, 1, "w"},
    {OUTCOME_CANCELLED, 0, VERDICT_RETRY, BREAKER_NEUTRAL, false, 0, 0, ""},
    {OUTCOME_CONFIRMED, 0, VERDICT_DELIVERED, BREAKER_SUCCESS, true, 0, 0, ""},
    {OUTCOME_UNROUTED, 0, VERDICT_RETRY, BREAKER_NEUTRAL, true, 4, 0, ""},
    {OUTCOME_NACKED, 0, VERDICT_RETRY, BREAKER_FAILURE, true, 0, 0, ""},
    {OUTCOME_LOST, 0, VERDICT_RETRY, BREAKER_FAILURE, true, 0, 0, ""},
    {OUTCOME_ACCESS, 0, VERDICT_RETRY, BREAKER_NEUTRAL, true, 3, 60, "w"},
    {OUTCOME_FAULT_SENDER, 500, VERDICT_REJECT, BREAKER_NEUTRAL, true, 0, 0, ""},
    {OUTCOME_FAULT_SENDER, 200, VERDICT_REJECT, BREAKER_NEUTRAL, true, 0, 0, ""},
    {OUTCOME_FAULT_RECEIVER, 200, VERDICT_RETRY, BREAKER_FAILURE, true, 0, 0, ""},
    {OUTCOME_FAULT_RECEIVER, 400, VERDICT_RETRY, BREAKER_FAILURE, true, 0, 0, ""},
};

static void follows_the_policy_line_by_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        const struct line *l = &lines[i];
        struct verdict v = verdict_for(l->outcome, l->status, -1, "");
        bool ok = v.kind == l->kind && v.breaker == l->breaker && v.counts == l->counts &&
                  v.max_attempts == l->max_attempts && v.not_before_s == l->not_before_s &&
                  v.lower_concurrency == (strchr(l->flags, 'l') != NULL) &&
                  v.disable_rule == (strchr(l->flags, 'd') != NULL) &&
                  v.warn == (strchr(l->flags, 'w') != NULL) && v.status == l->status &&
                  (v.reason[0] == '\0') == (v.kind == VERDICT_DELIVERED);
        if (!ok) {
            fail_msg("outcome %d, status %d: %s", l->outcome, l->status, v.reason);
        }
    }
}

static void honours_retry_after_on_429_and_503_only(void **state)
{
    (void)state;
    assert_int_equal(verdict_for(OUTCOME_HTTP, 429, 120, "").not_before_s, 120);
    assert_int_equal(verdict_for(OUTCOME_HTTP, 503, 7, "").not_before_s, 7);
    assert_int_equal(verdict_for(OUTCOME_HTTP, 503, -1, "").not_before_s, 0);
    assert_int_equal(verdict_for(OUTCOME_HTTP, 500, 120, "").not_before_s, 0);
    assert_int_equal(verdict_for(OUTCOME_HTTP, 401, 120, "").not_before_s, 60);
    assert_int_equal(verdict_for(OUTCOME_HTTP, 302, 120, "").not_before_s, 0);
}

static const struct {
    enum outcome_kind kind;
    int status;
    const char *text;
    const char *reason;
} reasons[] = {
    {OUTCOME_HTTP, 200, "", ""},
    {OUTCOME_HTTP, 503, "", "HTTP 503 Service Unavailable"},
    {OUTCOME_HTTP, 599, "", "HTTP 599"},
    {OUTCOME_HTTP, 0, "", "HTTP 0"},
    {OUTCOME_HTTP, 302, "https://elsewhere.example/",
     "HTTP 302 redirect to https://elsewhere.example/ (redirects are never followed)"},
    {OUTCOME_HTTP, 307, "", "HTTP 307 redirect without a location (redirects are never followed)"},
    {OUTCOME_DNS, 0, "Could not resolve host: x", "name look-up failed: Could not resolve host: x"},
    {OUTCOME_CONNECT, 0, "refused", "no connection: refused"},
    {OUTCOME_TIMEOUT, 0, "", "time-out after 5000 ms"},
    {OUTCOME_BROKEN, 0, "reset", "broken answer: reset"},
    {OUTCOME_TLS, 0, "certificate has expired", "TLS: certificate has expired"},
    {OUTCOME_INVALID, 0, "bad URL", "policy: bad URL"},
    {OUTCOME_INVALID, 0, "poison: not JSON", "poison: not JSON"},
    {OUTCOME_CANCELLED, 0, "", "cancelled by the worker"},
    {OUTCOME_UNROUTED, 0, "312 NO_ROUTE: exchange 'e', routing key 'k'",
     "unroutable: 312 NO_ROUTE: exchange 'e', routing key 'k'"},
    {OUTCOME_FAULT_SENDER, 500, "Client: no such course", "SOAP fault: Client: no such course"},
    {OUTCOME_CONNECT, 0, "a\r\n<3>mih: forged\x7f",
     "no connection: a\\x0d\\x0a<3>mih: forged\\x7f"},
    {OUTCOME_CONNECT, 0, "caf\xc3\xa9 \xff \xc2\x9b",
     "no connection: caf\xc3\xa9 \\xff \\xc2\\x9b"},
};

static void says_what_happened_in_one_safe_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        struct outcome o = {.kind = reasons[i].kind,
                            .status = reasons[i].status,
                            .retry_after_s = -1,
                            .latency_us = 5000123};
        struct verdict v;
        (void)snprintf(o.text, sizeof(o.text), "%s", reasons[i].text);
        verdict_of(&o, &v);
        assert_string_equal(v.reason, reasons[i].reason);
    }
}

static void keeps_at_most_256_bytes_of_remote_text(void **state)
{
    (void)state;
    struct outcome o = {.kind = OUTCOME_CONNECT, .retry_after_s = -1};
    struct verdict v;
    memset(o.text, '\x01', sizeof(o.text)); /* not even terminated */
    verdict_of(&o, &v);
    assert_true(strlen(v.reason) <= strlen("no connection: ") + 256);
    assert_true(strlen(v.reason) >= strlen("no connection: ") + 250);

    memset(o.text, 'x', sizeof(o.text));
    verdict_of(&o, &v);
    assert_int_equal(strlen(v.reason), strlen("no connection: ") + 256);

    for (size_t i = 0; i < sizeof(o.text); i++) {
        o.text[i] = "\xe2\x82\xac"[i % 3];
    }
    verdict_of(&o, &v);
    assert_memory_equal(v.reason + strlen(v.reason) - 3, "\xe2\x82\xac", 3);
}

enum { NOW = 784111777 }; /* Sun, 06 Nov 1994 08:49:37 GMT */

static const struct {
    const char *value;
    int64_t seconds;
} retry_afters[] = {
    {"120", 120},
    {" 120 ", 120},
    {"120\r\n", 120},
    {"1", 1},
    {"0", 1},
    {"00", 1},
    {"007", 7},
    {"86400", 86400},
    {"86401", 86400},
    {"99999999999999999999999999999999999999999999999999999999999999999999999999", 86400},
    {"Sun, 06 Nov 1994 08:49:37 GMT", 1},
    {"Sun, 06 Nov 1994 08:50:37 GMT", 60},
    {"Sun, 06 Nov 1994 07:00:00 GMT", 1},
    {"Mon, 07 Nov 1994 08:49:37 GMT", 86400},
    {"Tue, 01 Jan 2030 00:00:00 GMT", 86400},
    {"Sunday, 06-Nov-94 08:51:37 GMT", 120},
    {"Monday, 06-Nov-62 08:51:37 GMT", 1}, /* 1962: 2062 is more than 50 years ahead */
    {"Sunday, 06-Nov-30 08:51:37 GMT", 86400},
    {"Sun Nov  6 08:49:47 1994", 10},
    {"Sun Nov 06 08:49:47 1994", 10},
    {"", -1},
    {"   ", -1},
    {"-1", -1},
    {"+5", -1},
    {"1.5", -1},
    {"12 s", -1},
    {"0x10", -1},
    {"soon", -1},
    {"Sun, 06 Nov 1994 08:49:37", -1},
    {"Sun, 06 Nov 1994 08:49:37 GMT+1", -1},
    {"Sun, 06 Nov 1994 08:49:37 CET", -1},
    {"Sun, 6 Nov 1994 08:49:37 GMT", -1},
    {"Sun, 32 Nov 1994 08:49:37 GMT", -1},
    {"Sun, 00 Nov 1994 08:49:37 GMT", -1},
    {"Sun, 06 Foo 1994 08:49:37 GMT", -1},
    {"Sun, 06 Nov 1994 24:00:00 GMT", -1},
    {"Sun, 06 Nov 1994 08:60:37 GMT", -1},
    {"Son, 06 Nov 1994 08:49:37 GMT", -1},
    {"Sun, 06 Nov 1994 08:49:37 GMT and much, much, much, much more of it", -1},
};

static void reads_retry_after_as_seconds_or_any_http_date(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(retry_afters) / sizeof(retry_afters[0]); i++) {
        int64_t seconds = verdict_retry_after(retry_afters[i].value, NOW);
        if (seconds != retry_afters[i].seconds) {
            fail_msg("\"%s\": %lld instead of %lld", retry_afters[i].value, (long long)seconds,
                     (long long)retry_afters[i].seconds);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_policy_line_by_line),
        cmocka_unit_test(honours_retry_after_on_429_and_503_only),
        cmocka_unit_test(says_what_happened_in_one_safe_line),
        cmocka_unit_test(keeps_at_most_256_bytes_of_remote_text),
        cmocka_unit_test(reads_retry_after_as_seconds_or_any_http_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
