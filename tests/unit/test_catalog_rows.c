/* The catalog and its rows: whether they changed, and what they need of Moodle's tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "dispatcher/catalog.h"
#include "dispatcher/enrichment.h"
#include "tests/unit/catalog_rows.h"

static uint64_t digest_of(const struct service_row *s, const struct rule_row *first,
                          const struct rule_row *second)
{
    struct catalog_builder *b = catalog_builder_new();
    assert_non_null(b);
    assert_int_equal(catalog_builder_rule(b, first), 0);
    assert_int_equal(catalog_builder_service(b, s), 0);
    assert_int_equal(catalog_builder_rule(b, second), 0);
    uint64_t digest = catalog_builder_digest(b);
    catalog_builder_free(b);
    return digest;
}

static void digests_rows_whatever_their_order(void **state)
{
    (void)state;
    struct rule_row other = plain_rule;
    other.id = 8;
    uint64_t digest = digest_of(&plain_service, &plain_rule, &other);
    assert_true(digest == digest_of(&plain_service, &other, &plain_rule));

    struct service_row s = plain_service;
    s.auth_token = NULL;
    assert_true(digest != digest_of(&s, &plain_rule, &other));
    s = plain_service;
    s.enabled = false;
    assert_true(digest != digest_of(&s, &plain_rule, &other));
    s = plain_service;
    s.name = "cr";
    s.type = "mrest";
    assert_true(digest != digest_of(&s, &plain_rule, &other));
    const char **const texts[] = {
        &s.auth_user,    &s.auth_header,    &s.auth_url,           &s.auth_scope,
        &s.client_cert,  &s.headers,        &s.body_type,          &s.content_type,
        &s.soap_version, &s.signing_secret, &s.signing_secret_old, &s.soap_headers,
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        s = plain_service;
        *texts[i] = "changed";
        assert_true(digest != digest_of(&s, &plain_rule, &other));
    }
    struct rule_row changed[] = {other, other, other, other};
    changed[3].filter = "{}";
    changed[0].payload_template = "";
    changed[1].service_id = 4;
    changed[2].timemodified = 1;
    for (size_t i = 0; i < sizeof(changed) / sizeof(changed[0]); i++)
        assert_true(digest != digest_of(&plain_service, &plain_rule, &changed[i]));
    assert_true(digest_of(&plain_service, &other, &other) !=
                digest_of(&plain_service, &plain_rule, &plain_rule));
}

static void every_number_of_a_service_has_a_say_in_the_digest(void **state)
{
    (void)state;
    uint64_t digest = digest_of(&plain_service, &plain_rule, &plain_rule);
    for (unsigned i = 0; i < 3; i++) {
        struct service_row s = plain_service;
        *(int64_t *[]){&s.max_retries, &s.retry_backoff_s, &s.rate_limit}[i] = 9;
        assert_true(digest_of(&s, &plain_rule, &plain_rule) != digest);
    }
}

static unsigned needs(const struct service_row *service, const struct rule_row *rule)
{
    struct catalog *c = NULL;
    struct catalog_builder *b = catalog_builder_new();
    assert_non_null(b);
    assert_int_equal(catalog_builder_service(b, service), 0);
    assert_int_equal(catalog_builder_rule(b, rule), 0);
    assert_int_equal(catalog_builder_seal(b, &c), 0);
    const struct rule *sealed = service_rule(catalog_service(c, service->id), rule->id);
    assert_null(sealed->fault);
    assert_null(sealed->service->fault);
    unsigned found = sealed->needs;
    catalog_unref(c);
    return found;
}

/* What is not looked up before a request is built makes it fail. */
static void every_template_of_a_rule_and_its_service_says_what_it_needs(void **state)
{
    (void)state;
    const unsigned user = 1U << ROOT_USER;
    struct rule_row rule = plain_rule;
    struct service_row service = plain_service;
    assert_int_equal(needs(&service, &rule), 0);
    rule.payload_template = "{\"name\": \"{{user.lastname}}\"}";
    assert_int_equal(needs(&service, &rule), user);
    rule = plain_rule;
    rule.endpoint = "/users/{{user.lastname}}";
    assert_int_equal(needs(&service, &rule), user);
    rule = plain_rule;
    rule.filter = "{\"user.lastname\": \"Kahlo\"}";
    assert_int_equal(needs(&service, &rule), user);
    rule = plain_rule;
    service.headers = "{\"X-Name\": \"{{user.lastname}}\"}";
    assert_int_equal(needs(&service, &rule), user);
    service = plain_service;
    service.type = "soap";
    service.auth_type = "none";
    service.base_url = "https://crm.example/?wsdl";
    service.soap_headers = "{\"Caller\": \"{{user.lastname}}\"}";
    assert_int_equal(needs(&service, &rule), user);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_rows_whatever_their_order),
        cmocka_unit_test(every_number_of_a_service_has_a_say_in_the_digest),
        cmocka_unit_test(every_template_of_a_rule_and_its_service_says_what_it_needs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
