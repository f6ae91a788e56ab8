/* Access tokens: when they are fetched, what an answer makes of them, what a failure means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dispatcher/clientcert.h"
#include "dispatcher/oauth.h"

static char url[] = "https://auth.example:8443/token?x=1";
static char user[] = "my:client";
static char secret[] = "s e/c";
static char scope[] = "a b";
static char name[] = "crm";
static char other_secret[] = "other";

static const struct service service = {.id = 3,
                                       .name = name,
                                       .auth = AUTH_OAUTH2,
                                       .auth_url = url,
                                       .auth_user = user,
                                       .auth_token = secret,
                                       .auth_scope = scope,
                                       .timeout_ms = 5000};

static struct oauth *o;
static struct oauth_token *t;
static struct outcome failure;

static int set_up(void **state)
{
    (void)state;
    o = oauth_new();
    t = oauth_get(o, &service);
    return t ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    oauth_put(t);
    oauth_free(o);
    return 0;
}

static bool fetched(int status, const char *body, int64_t now_ms)
{
    const struct outcome outcome = {.kind = OUTCOME_HTTP, .status = status, .retry_after_s = 7};
    return oauth_fetched(t, &outcome, body, strlen(body), now_ms, &failure);
}

static void fetch(int64_t now_ms, const char *body)
{
    assert_int_equal(oauth_ask(t, now_ms), OAUTH_FETCH);
    assert_non_null(oauth_request(t, &service));
    assert_true(fetched(200, body, now_ms));
}

static void asks_as_rfc_6749_says(void **state)
{
    (void)state;
    size_t len = 0;
    const struct request *r = oauth_request(t, &service);
    assert_non_null(r);
    assert_string_equal(r->method, "POST");
    assert_string_equal(buf_text(&r->url), url);
    assert_string_equal(request_body(r, &len), "grant_type=client_credentials&scope=a+b");
    assert_int_equal(r->n_headers, 3);
    assert_string_equal(r->headers[0], "Content-Type: application/x-www-form-urlencoded");
    assert_string_equal(r->headers[1], "Accept: application/json");
    /* my%3Aclient:s+e%2Fc */
    assert_string_equal(r->headers[2], "Authorization: Basic bXklM0FjbGllbnQ6cytlJTJGYw==");
    assert_int_equal(r->service->auth, AUTH_NONE);
    assert_int_equal(r->service->timeout_ms, SERVICE_MAX_TIMEOUT_S * 1000); /* others may wait */
}

static void renews_before_it_expires(void **state)
{
    (void)state;
    static const struct {
        const char *life;
        int64_t renew_ms;
    } rows[] = {
        {"3600", 3540000}, {"\"3600\"", 3540000}, {"100", 80000},   {"1", 800},
        {"0", 800},        {"-5", 800},           {"null", 240000}, {"99999999999", 86340000},
    };
    int64_t now = 1000000;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char body[120];
        (void)snprintf(body, sizeof(body),
                       "{\"access_token\":\"T%zu\",\"token_type\":\"Bearer\",\"expires_in\":%s}", i,
                       rows[i].life);
        fetch(now, body);
        assert_int_equal(oauth_ask(t, now + rows[i].renew_ms - 1), OAUTH_READY);
        now += rows[i].renew_ms;
        assert_int_equal(oauth_ask(t, now), OAUTH_FETCH);
    }
    assert_string_equal(oauth_header(t), "Authorization: Bearer T7");
}

static void is_waited_for_where_there_is_none(void **state)
{
    (void)state;
    assert_int_equal(oauth_ask(t, 0), OAUTH_FETCH);
    assert_non_null(oauth_request(t, &service));
    assert_int_equal(oauth_ask(t, 0), OAUTH_WAIT);
    assert_true(fetched(200, "{\"access_token\":\"T\"}", 0));
}

static void belongs_to_one_client_certificate(void **state)
{
    (void)state;
    char one[] = "chain 1";
    char two[] = "chain 2";
    struct clientcert a = {.chain = one, .chain_len = 7};
    struct clientcert b = {.chain = two, .chain_len = 7};
    struct service with_a = service;
    struct service with_b = service;
    with_a.cert = &a;
    with_b.cert = &b;
    struct oauth_token *of_a = oauth_get(o, &with_a);
    struct oauth_token *of_b = oauth_get(o, &with_b);
    assert_ptr_not_equal(of_a, t);
    assert_ptr_not_equal(of_a, of_b);
    assert_ptr_equal(of_a, oauth_get(o, &with_a));
    oauth_put(of_a);
    oauth_put(of_a);
    oauth_put(of_b);
}

static void goes_on_with_the_old_token_while_it_is_good(void **state)
{
    (void)state;
    fetch(0, "{\"access_token\":\"T\",\"expires_in\":100}");
    assert_int_equal(oauth_ask(t, 80000), OAUTH_FETCH);
    assert_non_null(oauth_request(t, &service));
    assert_int_equal(oauth_ask(t, 80001), OAUTH_READY); /* nobody waits for the new one */
    assert_int_equal(oauth_ask(t, 99999), OAUTH_READY);
    assert_int_equal(oauth_ask(t, 100000), OAUTH_WAIT);
    assert_true(fetched(503, "", 81000));
    assert_string_equal(oauth_header(t), "Authorization: Bearer T");
    assert_int_equal(oauth_ask(t, 85999), OAUTH_READY);
    assert_int_equal(oauth_ask(t, 86000), OAUTH_FETCH);
    assert_non_null(oauth_request(t, &service));
    assert_false(fetched(503, "", 100000));
    assert_int_equal(failure.status, 503);
    assert_int_equal(failure.retry_after_s, 7);
    assert_int_equal(oauth_ask(t, 104999), OAUTH_PAUSE); /* nothing is left to go on with */
}

static void leaves_an_endpoint_that_failed_alone_for_a_while(void **state)
{
    (void)state;
    assert_non_null(oauth_request(t, &service));
    assert_false(fetched(500, "", 1000));
    assert_int_equal(oauth_ask(t, 1000), OAUTH_PAUSE);
    assert_int_equal(oauth_ask(t, 5999), OAUTH_PAUSE);
    assert_int_equal(oauth_failure(t)->kind, OUTCOME_BROKEN);
    assert_string_equal(oauth_failure(t)->text, "token endpoint auth.example:8443: HTTP 500");
    /* A service that was mended does not wait for the end of it. */
    struct service mended = service;
    mended.auth_token = other_secret;
    struct oauth_token *other = oauth_get(o, &mended);
    assert_int_equal(oauth_ask(other, 1001), OAUTH_FETCH);
    oauth_put(other);
    fetch(6000, "{\"access_token\":\"T\"}");
    assert_int_equal(oauth_ask(t, 6000), OAUTH_READY);
    /* Nor is an endpoint that gave a good token, nor one that was not asked to the end. */
    assert_true(oauth_refused(t, oauth_number(t), 6001));
    assert_int_equal(oauth_ask(t, 6001), OAUTH_FETCH);
    const struct outcome cancelled = {.kind = OUTCOME_CANCELLED};
    assert_non_null(oauth_request(t, &service));
    assert_false(oauth_fetched(t, &cancelled, "", 0, 6002, &failure));
    assert_int_equal(oauth_ask(t, 6002), OAUTH_FETCH);
}

static void all_wait_for_the_one_that_replaces_a_refused_token(void **state)
{
    (void)state;
    fetch(0, "{\"access_token\":\"A\"}");
    assert_true(oauth_refused(t, oauth_number(t), 10));
    assert_non_null(oauth_request(t, &service));
    assert_true(oauth_refused(t, oauth_number(t), 11)); /* another call with the same token */
    assert_int_equal(oauth_ask(t, 11), OAUTH_WAIT);
    assert_true(fetched(200, "{\"access_token\":\"B\"}", 12));
}

static void tells_who_waits_too_long_what_it_waited_for(void **state)
{
    (void)state;
    struct outcome late;
    struct verdict verdict;
    oauth_late(t, &late);
    late.latency_us = 300000;
    verdict_of(&late, &verdict);
    assert_int_equal(verdict.kind, VERDICT_RETRY);
    assert_string_equal(verdict.reason,
                        "time-out after 300 ms: token endpoint auth.example:8443: no answer yet");
}

static void keeps_the_certificate_of_a_fetch_whose_service_is_gone(void **state)
{
    (void)state;
    struct clientcert *cert = calloc(1, sizeof(*cert));
    struct service with = service;
    assert_non_null(cert);
    *cert = (struct clientcert){.chain = strdup("c"), .chain_len = 1, .references = 1};
    with.cert = cert;
    struct oauth_token *of_cert = oauth_get(o, &with);
    const struct request *r = oauth_request(of_cert, &with);
    assert_non_null(r);
    clientcert_put(cert); /* the catalog's */
    assert_string_equal(r->service->cert->chain, "c");
    oauth_not_sent(of_cert);
    oauth_put(of_cert);
}

static void forgets_a_token_that_was_refused_but_not_the_next_one(void **state)
{
    (void)state;
    fetch(0, "{\"access_token\":\"A\"}");
    uint64_t number = oauth_number(t);
    assert_true(oauth_refused(t, number, 1));
    fetch(1, "{\"access_token\":\"B\"}");
    assert_true(oauth_refused(t, number, 1));
    assert_int_equal(oauth_ask(t, 2), OAUTH_READY);
    assert_string_equal(oauth_header(t), "Authorization: Bearer B");
    /* A service that refuses all of them gets no new one for each of its messages. */
    assert_false(oauth_refused(t, oauth_number(t), 5000));
    assert_int_equal(oauth_ask(t, 5000), OAUTH_READY);
    assert_true(oauth_refused(t, oauth_number(t), 5001));
    /* A refused token is no fallback. */
    assert_non_null(oauth_request(t, &service));
    assert_false(fetched(500, "", 5003));
}

static void names_the_endpoint_and_maps_the_failure(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body;
        enum outcome_kind kind;
        int as;
        const char *text;
    } rows[] = {
        {400, "{\"error\":\"invalid_client\",\"error_description\":\"s e/c\"}", OUTCOME_HTTP, 401,
         "token endpoint auth.example:8443: HTTP 400 invalid_client"},
        {401, "", OUTCOME_HTTP, 401, "token endpoint auth.example:8443: HTTP 401"},
        {404, "{\"error\":\"s e/c\"}", OUTCOME_HTTP, 401,
         "token endpoint auth.example:8443: HTTP 404"},
        {410, "[]", OUTCOME_HTTP, 401, "token endpoint auth.example:8443: HTTP 410"},
        {408, "", OUTCOME_BROKEN, 0, "token endpoint auth.example:8443: HTTP 408"},
        {429, "", OUTCOME_HTTP, 429, "token endpoint auth.example:8443: HTTP 429"},
        {500, "", OUTCOME_BROKEN, 0, "token endpoint auth.example:8443: HTTP 500"},
        {501, "", OUTCOME_BROKEN, 0, "token endpoint auth.example:8443: HTTP 501"},
        {302, "", OUTCOME_INVALID, 0,
         "policy: token endpoint auth.example:8443: HTTP 302, never followed, leads to "},
        {200, "", OUTCOME_BROKEN, 0,
         "token endpoint auth.example:8443: its answer is no JSON object"},
        {200, "\"T\"", OUTCOME_BROKEN, 0,
         "token endpoint auth.example:8443: its answer is no JSON object"},
        {200, "{}", OUTCOME_BROKEN, 0,
         "token endpoint auth.example:8443: no access token in the answer"},
        {200, "{\"access_token\":\"a\\r\\nEvil: 1\"}", OUTCOME_BROKEN, 0,
         "token endpoint auth.example:8443: no access token in the answer"},
        {200, "{\"access_token\":\"a\\u0000b\"}", OUTCOME_BROKEN, 0,
         "token endpoint auth.example:8443: no access token in the answer"},
        {200, "{\"access_token\":7}", OUTCOME_BROKEN, 0,
         "token endpoint auth.example:8443: no access token in the answer"},
        {200, "{\"access_token\":\"a\",\"token_type\":\"mac\"}", OUTCOME_BROKEN, 0,
         "token endpoint auth.example:8443: its token is no bearer token"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t now = (int64_t)i * 10000;
        assert_int_equal(oauth_ask(t, now), OAUTH_FETCH);
        assert_non_null(oauth_request(t, &service));
        assert_false(fetched(rows[i].status, rows[i].body, now));
        if (failure.kind != rows[i].kind || failure.status != rows[i].as ||
            strcmp(failure.text, rows[i].text) != 0) {
            fail_msg("%d %s: %d %d %s", rows[i].status, rows[i].body, (int)failure.kind,
                     failure.status, failure.text);
        }
    }
}

static void keeps_the_kind_of_trouble_on_the_way(void **state)
{
    (void)state;
    struct outcome trouble = {.kind = OUTCOME_TLS, .retry_after_s = -1, .text = "expired"};
    assert_non_null(oauth_request(t, &service));
    assert_false(oauth_fetched(t, &trouble, "", 0, 0, &failure));
    assert_int_equal(failure.kind, OUTCOME_TLS);
    assert_string_equal(failure.text, "token endpoint auth.example:8443: expired");
    trouble = (struct outcome){.kind = OUTCOME_INVALID, .text = "policy: loopback"};
    assert_non_null(oauth_request(t, &service));
    assert_false(oauth_fetched(t, &trouble, "", 0, 0, &failure));
    assert_string_equal(failure.text, "policy: token endpoint auth.example:8443: loopback");
    /* A shutdown leaves nothing to go on with, even with a token at hand. */
    fetch(10000, "{\"access_token\":\"T\",\"expires_in\":100}");
    trouble = (struct outcome){.kind = OUTCOME_CANCELLED};
    assert_non_null(oauth_request(t, &service));
    assert_false(oauth_fetched(t, &trouble, "", 0, 85000, &failure));
    assert_int_equal(failure.kind, OUTCOME_CANCELLED);
}

static void has_one_token_for_each_client(void **state)
{
    (void)state;
    struct service same = service;
    struct service other = service;
    same.id = 4;
    other.auth_token = other_secret;
    struct oauth_token *one = oauth_get(o, &same);
    struct oauth_token *two = oauth_get(o, &other);
    assert_ptr_equal(one, t);
    assert_ptr_not_equal(two, t);
    oauth_put(one);
    oauth_put(two);
}

static void keeps_those_in_use_when_there_are_too_many(void **state)
{
    (void)state;
    fetch(0, "{\"access_token\":\"T\"}");
    for (int i = 0; i < 2 * OAUTH_MAX_TOKENS; i++) {
        char text[20];
        struct service other = service;
        (void)snprintf(text, sizeof(text), "%d", i);
        other.auth_token = text;
        struct oauth_token *one = oauth_get(o, &other);
        assert_non_null(one);
        oauth_put(one);
    }
    assert_ptr_equal(oauth_get(o, &service), t);
    assert_int_equal(oauth_ask(t, 0), OAUTH_READY);
    oauth_put(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(asks_as_rfc_6749_says, set_up, tear_down),
        cmocka_unit_test_setup_teardown(renews_before_it_expires, set_up, tear_down),
        cmocka_unit_test_setup_teardown(is_waited_for_where_there_is_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(belongs_to_one_client_certificate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(goes_on_with_the_old_token_while_it_is_good, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(forgets_a_token_that_was_refused_but_not_the_next_one,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(leaves_an_endpoint_that_failed_alone_for_a_while, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(all_wait_for_the_one_that_replaces_a_refused_token, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(tells_who_waits_too_long_what_it_waited_for, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(keeps_the_certificate_of_a_fetch_whose_service_is_gone,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_the_endpoint_and_maps_the_failure, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keeps_the_kind_of_trouble_on_the_way, set_up, tear_down),
        cmocka_unit_test_setup_teardown(has_one_token_for_each_client, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keeps_those_in_use_when_there_are_too_many, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
