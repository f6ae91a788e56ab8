/* The catalog: what rows become, what is at fault and why, who wants an event. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dispatcher/catalog.h"
#include "dispatcher/template.h"
#include "tests/unit/catalog_rows.h"

static struct catalog *seal(const struct service_row *services, size_t n_services,
                            const struct rule_row *rules, size_t n_rules)
{
    struct catalog *c = NULL;
    struct catalog_builder *b = catalog_builder_new();
    assert_non_null(b);
    for (size_t i = 0; i < n_rules; i++) { /* rules first: order does not matter */
        assert_int_equal(catalog_builder_rule(b, &rules[i]), 0);
    }
    for (size_t i = 0; i < n_services; i++) {
        assert_int_equal(catalog_builder_service(b, &services[i]), 0);
    }
    assert_int_equal(catalog_builder_seal(b, &c), 0);
    return c;
}

/* Checks the service that the row becomes; the catalog is the caller's to drop. */
static struct catalog *seal_service(struct service_row row, const struct service **ret_service)
{
    struct catalog *c = seal(&row, 1, NULL, 0);
    *ret_service = catalog_service_at(c, 0);
    return c;
}

static struct catalog *seal_rule(struct rule_row row, const struct rule **ret_rule)
{
    struct catalog *c = seal(&plain_service, 1, &row, 1);
    *ret_rule = service_rule(catalog_service(c, 3), row.id);
    assert_non_null(*ret_rule);
    return c;
}

static void prepares_a_service(void **state)
{
    (void)state;
    const struct service *s = NULL;
    struct catalog *c = seal_service(plain_service, &s);
    assert_int_equal(s->id, 3);
    assert_string_equal(s->name, "crm");
    assert_int_equal(s->type, SERVICE_REST);
    assert_string_equal(s->url_prefix, "https://crm.example/api/");
    assert_int_equal(s->auth, AUTH_BEARER);
    assert_string_equal(s->auth_header, "Authorization: Bearer T");
    assert_int_equal(s->timeout_ms, 5000);
    assert_int_equal(s->max_concurrency, 16);
    assert_true(s->enabled);
    assert_null(s->fault);
    catalog_unref(c);
}

static void fills_in_what_a_row_leaves_open(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        const char *auth_type;
        const char *token;
        int64_t timeout_s;
        int64_t max_concurrency;
        const char *header;
        int64_t timeout_ms;
        unsigned concurrency;
    } rows[] = {
        {"rest", "bearer", "T", 5, 16, "Authorization: Bearer T", 5000, 16},
        {"webhook", "apikey", "k e y", 0, 0, "X-API-Key: k e y", 5000, 1},
        {NULL, "basic", "p", -3, -1, "Authorization: Basic OnA=", 5000, 1},
        {"rest", "none", "T", 30, 1025, NULL, 30000, 1024},
        {"rest", NULL, "T", 8388607, 1024, NULL, 1200000, 1024},
        {"rest", "bearer", "", 1, 1, NULL, 1000, 1},
        {"rest", "bearer", NULL, 1, 1, NULL, 1000, 1},
        {"rest", "none", "sodium:abc", 1, 1, NULL, 1000, 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct service *s = NULL;
        struct service_row row = plain_service;
        row.type = rows[i].type;
        row.auth_type = rows[i].auth_type;
        row.auth_token = rows[i].token;
        row.timeout_s = rows[i].timeout_s;
        row.max_concurrency = rows[i].max_concurrency;
        struct catalog *c = seal_service(row, &s);
        assert_null(s->fault);
        assert_int_equal(s->type, SERVICE_REST);
        assert_int_equal(s->timeout_ms, rows[i].timeout_ms);
        assert_int_equal(s->max_concurrency, rows[i].concurrency);
        if (rows[i].header) {
            assert_string_equal(s->auth_header, rows[i].header);
        } else {
            assert_null(s->auth_header);
        }
        catalog_unref(c);
    }
}

static const struct {
    const char *type;
    const char *base_url;
    const char *auth_type;
    const char *token;
    const char *fault;
} service_faults[] = {
    {"soap", "ftp://x/?wsdl", "none", "",
     "policy: base_url must begin with http:// or https:// (service 3, crm)"},
    {"soap", "https://u:p@x/?wsdl", "none", "",
     "policy: base_url must not hold a user name or password (service 3, crm)"},
    {"soap", "file:///a b", "none", "",
     "policy: base_url holds a byte that no address can hold (service 3, crm)"},
    {"soap", "https://x/?wsdl", "wsse", "secret",
     "policy: WS-Security needs a user name (service 3, crm)"},
    {"amqp", "https://h/", "none", "",
     "policy: base_url: it must start with amqp:// or amqps:// (service 3, crm)"},
    {"amqp", "amqp://u:s3cret/w@h/", "none", "",
     "policy: base_url: user, password and virtual host must be percent-encoded (service 3, crm)"},
    {"rest", NULL, "none", "",
     "policy: base_url must begin with http:// or https:// (service 3, crm)"},
    {"rest", "ftp://x/", "none", "",
     "policy: base_url must begin with http:// or https:// (service 3, crm)"},
    {"rest", "//x/", "none", "",
     "policy: base_url must begin with http:// or https:// (service 3, crm)"},
    {"rest", "https:x", "none", "",
     "policy: base_url must begin with http:// or https:// (service 3, crm)"},
    {"rest", "https://", "none", "", "policy: base_url has no valid host (service 3, crm)"},
    {"rest", "https:///x", "none", "", "policy: base_url has no valid host (service 3, crm)"},
    {"rest", "https://?x", "none", "", "policy: base_url has no valid host (service 3, crm)"},
    {"rest", "https://:80/", "none", "", "policy: base_url has no valid host (service 3, crm)"},
    {"rest", "https://[::1/", "none", "", "policy: base_url has no valid host (service 3, crm)"},
    {"rest", "https://h%2f/", "none", "",
     "policy: base_url has no valid host and port (service 3, crm)"},
    {"rest", "https://h:/", "none", "",
     "policy: base_url has no valid host and port (service 3, crm)"},
    {"rest", "https://h:0/", "none", "",
     "policy: base_url has no valid host and port (service 3, crm)"},
    {"rest", "https://h:65536/", "none", "",
     "policy: base_url has no valid host and port (service 3, crm)"},
    {"rest", "https://h:8a/", "none", "",
     "policy: base_url has no valid host and port (service 3, crm)"},
    {"rest", "https://u:p@h/", "none", "",
     "policy: base_url must not hold a user name or password (service 3, crm)"},
    {"rest", "https://good@evil", "none", "",
     "policy: base_url must not hold a user name or password (service 3, crm)"},
    {"rest", "https://h/a b", "none", "",
     "policy: base_url holds the byte 0x20 at position 12 (service 3, crm)"},
    {"rest", "https://h/\r\nx", "none", "",
     "policy: base_url holds the byte 0x0d at position 11 (service 3, crm)"},
    {"rest", "https://h\\@evil/", "none", "",
     "policy: base_url holds the byte 0x5c at position 10 (service 3, crm)"},
    {"rest", "https://h/#x", "none", "",
     "policy: base_url holds the byte 0x23 at position 11 (service 3, crm)"},
    {"rest", "https://h/a/../b", "none", "",
     "policy: base_url holds a \".\" or \"..\" segment (service 3, crm)"},
    {"rest", "https://h", "bearer", "a\r\nEvil: 1",
     "policy: the token holds the byte 0x0d at position 2 (service 3, crm)"},
    {"rest", "https://h", "apikey", "ab\x7f",
     "policy: the token holds the byte 0x7f at position 3 (service 3, crm)"},
};

static void names_what_is_wrong_with_a_service(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(service_faults) / sizeof(service_faults[0]); i++) {
        const struct service *s = NULL;
        struct service_row row = plain_service;
        row.type = service_faults[i].type;
        row.base_url = service_faults[i].base_url;
        row.auth_type = service_faults[i].auth_type;
        row.auth_token = service_faults[i].token;
        struct catalog *c = seal_service(row, &s);
        assert_non_null(s->fault);
        assert_string_equal(s->fault, service_faults[i].fault);
        assert_null(s->auth_header && strstr(s->auth_header, "sodium") ? s : NULL);
        catalog_unref(c);
    }
}

/* Reasons go into logs, headers and tables, which take no line feed and no half character. */
static void makes_names_safe_for_reasons(void **state)
{
    (void)state;
    const struct service *s = NULL;
    struct service_row row = plain_service;
    row.name = "two\nlines \xc3";
    row.base_url = "ftp://h";
    struct catalog *c = seal_service(row, &s);
    assert_string_equal(s->name, "two\\x0alines \\xc3");
    assert_string_equal(s->fault, "policy: base_url must begin with http:// or https:// (service "
                                  "3, two\\x0alines \\xc3)");
    catalog_unref(c);
}

static void takes_the_base_urls_that_people_use(void **state)
{
    (void)state;
    static const char *const bases[] = {
        "http://localhost",         "HTTPS://Example.COM:8443/a/b/",
        "http://127.0.0.1:1/",      "http://[::1]:8080/x",
        "https://h/a?key=1",        "https://caf\xc3\xa9.example/",
        "https://h/a..b/...",       "https://h/users/@me",
        "https://h_x-1.example///",
    };
    for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
        const struct service *s = NULL;
        struct service_row row = plain_service;
        row.base_url = bases[i];
        struct catalog *c = seal_service(row, &s);
        if (s->fault) {
            fail_msg("%s: %s", bases[i], s->fault);
        }
        catalog_unref(c);
    }
}

static void prepares_a_rule(void **state)
{
    (void)state;
    const struct rule *r = NULL;
    struct catalog *c = seal_rule(plain_rule, &r);
    assert_int_equal(r->id, 7);
    assert_string_equal(r->eventname, "\\core\\event\\user_created");
    assert_false(r->wildcard);
    assert_string_equal(r->routing_key, "core.user_created");
    assert_string_equal(r->method, "POST");
    assert_string_equal(r->constant_url, "https://crm.example/api/users");
    assert_null(r->payload);
    assert_null(r->fault);
    assert_ptr_equal(r->service, catalog_service(c, 3));
    catalog_unref(c);
}

static void joins_base_and_endpoint_as_the_existing_plugin(void **state)
{
    (void)state;
    static const struct {
        const char *base;
        const char *endpoint;
        const char *url;
    } rows[] = {
        {"https://h", NULL, "https://h/"},
        {"https://h", "", "https://h/"},
        {"https://h/", "/", "https://h/"},
        {"https://h//", "//x//y/", "https://h/x//y/"},
        {"https://h/a", "x?y=z", "https://h/a/x?y=z"},
        {"https://h/a", "//evil.example/x", "https://h/a/evil.example/x"},
        {"https://h", "@evil.example/", "https://h/@evil.example/"},
        {"https://h", "https://evil.example/", "https://h/https://evil.example/"},
        {"https://h", ":99/x", "https://h/:99/x"},
        {"https://h/a?k=1", "x", "https://h/a?k=1/x"},
        {"https://h", "a?b=../c", "https://h/a?b=../c"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct service_row service = plain_service;
        struct rule_row rule = plain_rule;
        service.base_url = rows[i].base;
        rule.endpoint = rows[i].endpoint;
        struct catalog *c = seal(&service, 1, &rule, 1);
        const struct rule *r = service_rule(catalog_service(c, 3), 7);
        assert_null(r->fault);
        assert_string_equal(r->constant_url, rows[i].url);
        catalog_unref(c);
    }
}

static const struct {
    const char *eventname;
    const char *endpoint;
    const char *method;
    const char *payload;
    const char *fault;
} rule_faults[] = {
    {"user_created", "/", "POST", NULL,
     "policy: the event name is not that of an event class (rule 7, service 3, crm)"},
    {"", "/", "POST", NULL,
     "policy: the event name is not that of an event class (rule 7, service 3, crm)"},
    {NULL, "/", "POST", NULL,
     "policy: the event name is not that of an event class (rule 7, service 3, crm)"},
    {"*", "/", "POST", NULL,
     "policy: the event name is not that of an event class (rule 7, service 3, crm)"},
    {"\\core\\event\\user_*", "/", "POST", NULL,
     "policy: the event name is not that of an event class (rule 7, service 3, crm)"},
    {"\\*\\event\\user_created", "/", "POST", NULL,
     "policy: the event name is not that of an event class (rule 7, service 3, crm)"},
    {"\\core\\event\\x", "/", "HEAD", NULL,
     "policy: the method HEAD is none of POST, PUT, PATCH, DELETE and GET (rule 7, service 3, "
     "crm)"},
    {"\\core\\event\\x", "/", "BREW COFFEE", NULL,
     "policy: the method BREW?COFFEE is none of POST, PUT, PATCH, DELETE and GET (rule 7, "
     "service 3, crm)"},
    {"\\core\\event\\x", "/a\r\nHost: evil", "POST", NULL,
     "policy: the endpoint holds the byte 0x0d at position 3 (rule 7, service 3, crm)"},
    {"\\core\\event\\x", "/{{userid}}/a b", "POST", NULL,
     "policy: the endpoint holds the byte 0x20 at position 14 (rule 7, service 3, crm)"},
    {"\\core\\event\\x", "/a\\b", "POST", NULL,
     "policy: the endpoint holds the byte 0x5c at position 3 (rule 7, service 3, crm)"},
    {"\\core\\event\\x", "/a#b", "POST", NULL,
     "policy: the endpoint holds the byte 0x23 at position 3 (rule 7, service 3, crm)"},
    {"\\core\\event\\x", "/a/../b", "POST", NULL,
     "policy: the endpoint holds a \".\" or \"..\" segment (rule 7, service 3, crm)"},
    {"\\core\\event\\x", "a/%2E%2e", "POST", NULL,
     "policy: the endpoint holds a \".\" or \"..\" segment (rule 7, service 3, crm)"},
    {"\\core\\event\\x", "a/..%2fb", "POST", NULL,
     "policy: the endpoint holds a \".\" or \"..\" segment (rule 7, service 3, crm)"},
    {"\\core\\event\\x", "a/..;x=1/b", "POST", NULL,
     "policy: the endpoint holds a \".\" or \"..\" segment (rule 7, service 3, crm)"},
    {"\\core\\event\\x", ".", "POST", NULL,
     "policy: the endpoint holds a \".\" or \"..\" segment (rule 7, service 3, crm)"},
    {"\\core\\event\\x", "/{{", "POST", NULL,
     "policy: endpoint, line 1, column 4: expected a path such as userid or other.key, but the "
     "template ends (rule 7, service 3, crm)"},
    {"\\core\\event\\x", "/", "POST", "{\n\"a\": {{b|c}}}",
     "policy: payload, line 2, column 10: there is no filter c; there are default, string, "
     "upper, lower, urlencode, iso8601, sha256, json (rule 7, service 3, crm)"},
    {"\\core\\event\\x", "/", "POST", "{\"a\":}",
     "policy: payload, line 1, column 6: expected a JSON value or a placeholder, not '}' "
     "(rule 7, service 3, crm)"},
};

static void names_what_is_wrong_with_a_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rule_faults) / sizeof(rule_faults[0]); i++) {
        const struct rule *r = NULL;
        struct rule_row row = plain_rule;
        row.eventname = rule_faults[i].eventname;
        row.endpoint = rule_faults[i].endpoint;
        row.http_method = rule_faults[i].method;
        row.payload_template = rule_faults[i].payload;
        struct catalog *c = seal_rule(row, &r);
        if (!r->fault || strcmp(r->fault, rule_faults[i].fault) != 0) {
            fail_msg("row %zu: %s", i, r->fault ? r->fault : "no fault");
        }
        catalog_unref(c);
    }
}

static void takes_no_template_for_what_php_calls_empty(void **state)
{
    (void)state;
    static const char *const empty[] = {NULL, "", " \t\r\n", "0", " 0\n"};
    static const char *const full[] = {"00.5", "1", "{}", "null"};
    for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
        const struct rule *r = NULL;
        struct rule_row row = plain_rule;
        row.payload_template = empty[i];
        struct catalog *c = seal_rule(row, &r);
        assert_null(r->payload);
        assert_null(r->fault);
        catalog_unref(c);
    }
    for (size_t i = 0; i < sizeof(full) / sizeof(full[0]); i++) {
        const struct rule *r = NULL;
        struct rule_row row = plain_rule;
        row.payload_template = full[i];
        struct catalog *c = seal_rule(row, &r);
        assert_true(r->payload || r->fault);
        catalog_unref(c);
    }
}

static void knows_the_methods_in_any_case(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"post", "POST"}, {"Put", "PUT"}, {"PATCH", "PATCH"}, {"delete", "DELETE"},
        {"get", "GET"},   {"", "POST"},   {NULL, "POST"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct rule *r = NULL;
        struct rule_row row = plain_rule;
        row.http_method = rows[i][0];
        struct catalog *c = seal_rule(row, &r);
        assert_null(r->fault);
        assert_string_equal(r->method, rows[i][1]);
        catalog_unref(c);
    }
}

static void note_match(void *context, const struct rule *rule)
{
    char *ids = context;
    size_t len = strlen(ids);
    (void)snprintf(ids + len, 64 - len, "%lld ", (long long)rule->id);
}

static struct catalog *seal_many(void)
{
    struct service_row services[] = {plain_service, plain_service};
    services[0].id = 9;
    const struct {
        int64_t id;
        int64_t service_id;
        const char *eventname;
        bool enabled;
    } rows[] = {
        {20, 3, "\\mod_quiz\\event\\*", true},
        {12, 3, "\\mod_quiz\\event\\attempt_submitted", true},
        {11, 3, "\\mod_quiz\\event\\attempt_submitted", true},
        {13, 3, "\\mod_quiz\\event\\attempt_submitted", false},
        {10, 3, "\\core\\event\\user_created", true},
        {15, 9, "\\core\\event\\user_created", true},
        {16, 4, "\\core\\event\\user_created", true}, /* no such service */
        {21, 3, "\\mod_quiz\\event\\*", false},
    };
    struct rule_row rules[sizeof(rows) / sizeof(rows[0])];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        rules[i] = plain_rule;
        rules[i].id = rows[i].id;
        rules[i].service_id = rows[i].service_id;
        rules[i].eventname = rows[i].eventname;
        rules[i].enabled = rows[i].enabled;
    }
    return seal(services, 2, rules, sizeof(rows) / sizeof(rows[0]));
}

static void finds_the_enabled_rules_that_want_an_event(void **state)
{
    (void)state;
    static const struct {
        int64_t service;
        const char *eventname;
        const char *ids;
    } rows[] = {
        {3, "\\mod_quiz\\event\\attempt_submitted", "11 12 20 "},
        {3, "\\mod_quiz\\event\\attempt_started", "20 "},
        {3, "\\mod_quiz\\event\\", ""},
        {3, "\\mod_quiz2\\event\\x", ""},
        {3, "\\core\\event\\user_created", "10 "},
        {3, "\\core\\event\\user_createdx", ""},
        {3, "\\core\\event\\user", ""},
        {3, "", ""},
        {3, "\\zzz", ""},
        {9, "\\core\\event\\user_created", "15 "},
        {9, "\\mod_quiz\\event\\attempt_started", ""},
    };
    struct catalog *c = seal_many();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char ids[64] = "";
        size_t n =
            service_match(catalog_service(c, rows[i].service), rows[i].eventname, note_match, ids);
        assert_string_equal(ids, rows[i].ids);
        assert_int_equal(n, strlen(rows[i].ids) / 3);
    }
    catalog_unref(c);
}

static void looks_up_by_id_and_counts_orphans(void **state)
{
    (void)state;
    struct catalog *c = seal_many();
    assert_int_equal(catalog_service_count(c), 2);
    assert_int_equal(catalog_service_at(c, 0)->id, 3);
    assert_int_equal(catalog_service_at(c, 1)->id, 9);
    assert_null(catalog_service_at(c, 2));
    assert_null(catalog_service(c, 4));
    assert_int_equal(catalog_orphan_count(c), 1);
    const struct service *s = catalog_service(c, 3);
    assert_int_equal(s->n_rules, 6);
    assert_int_equal(s->n_exact, 4);
    static const int64_t ids[] = {10, 11, 12, 13, 20, 21};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        assert_int_equal(service_rule(s, ids[i])->id, ids[i]);
        assert_ptr_equal(service_rule(s, ids[i])->service, s);
    }
    assert_null(service_rule(s, 15));
    assert_null(service_rule(s, 0));
    assert_null(service_rule(s, 99));
    assert_string_equal(service_rule(s, 20)->routing_key, "mod_quiz.#");
    catalog_unref(c);
}

static void lives_as_long_as_somebody_refers_to_it(void **state)
{
    (void)state;
    struct catalog *c = seal(&plain_service, 1, &plain_rule, 1);
    assert_ptr_equal(catalog_ref(c), c);
    uint64_t digest = catalog_digest(c);
    catalog_unref(c);
    assert_true(catalog_digest(c) == digest);
    assert_string_equal(catalog_service(c, 3)->name, "crm");
    catalog_unref(c);
    catalog_unref(NULL);
    catalog_builder_free(NULL);
}

static void is_sound_when_empty(void **state)
{
    (void)state;
    char ids[64] = "";
    struct catalog *c = seal(NULL, 0, NULL, 0);
    assert_int_equal(catalog_service_count(c), 0);
    assert_null(catalog_service(c, 3));
    catalog_unref(c);
    c = seal(&plain_service, 1, NULL, 0);
    assert_int_equal(
        service_match(catalog_service(c, 3), "\\core\\event\\user_created", note_match, ids), 0);
    assert_null(service_rule(catalog_service(c, 3), 1));
    catalog_unref(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prepares_a_service),
        cmocka_unit_test(fills_in_what_a_row_leaves_open),
        cmocka_unit_test(names_what_is_wrong_with_a_service),
        cmocka_unit_test(makes_names_safe_for_reasons),
        cmocka_unit_test(takes_the_base_urls_that_people_use),
        cmocka_unit_test(prepares_a_rule),
        cmocka_unit_test(joins_base_and_endpoint_as_the_existing_plugin),
        cmocka_unit_test(names_what_is_wrong_with_a_rule),
        cmocka_unit_test(takes_no_template_for_what_php_calls_empty),
        cmocka_unit_test(knows_the_methods_in_any_case),
        cmocka_unit_test(finds_the_enabled_rules_that_want_an_event),
        cmocka_unit_test(looks_up_by_id_and_counts_orphans),
        cmocka_unit_test(lives_as_long_as_somebody_refers_to_it),
        cmocka_unit_test(is_sound_when_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
