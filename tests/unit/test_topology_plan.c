/* What changes at the broker when rules and services change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/topology_plan.h"

struct rule_given {
    int64_t id;
    int64_t service_id;
    const char *eventname;
    bool enabled;
};

static struct catalog *catalog_with(const struct service_row *services, size_t n_services,
                                    const struct rule_given *rules, size_t n_rules)
{
    struct catalog_builder *b = catalog_builder_new();
    struct catalog *catalog = NULL;

    for (size_t i = 0; i < n_services; i++)
        assert_int_equal(catalog_builder_service(b, &services[i]), 0);
    for (size_t i = 0; i < n_rules; i++) {
        struct rule_row row = {
            .id = rules[i].id,
            .service_id = rules[i].service_id,
            .eventname = rules[i].eventname,
            .http_method = "POST",
            .enabled = rules[i].enabled,
        };

        assert_int_equal(catalog_builder_rule(b, &row), 0);
    }
    assert_int_equal(catalog_builder_seal(b, &catalog), 0);
    return catalog;
}

static struct service_row service(int64_t id, const char *name, bool enabled)
{
    return (struct service_row){
        .id = id,
        .name = name,
        .type = "rest",
        .base_url = "http://127.0.0.1/",
        .auth_type = "none",
        .timeout_s = 5,
        .max_concurrency = 4,
        .enabled = enabled,
    };
}

/* "declare 1, bind 1 core.user_created, ..." in the order of the plan. */
static char *text_of(const struct topology_plan *plan)
{
    static const char *const words[] = {"declare", "bind", "unbind", "retire"};
    static char text[4096];
    size_t n = 0;

    text[0] = '\0';
    for (size_t i = 0; i < plan->n; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s %d%s%s%s", i ? ", " : "",
                              words[plan->items[i].action], (int)plan->items[i].service_id,
                              plan->items[i].key[0] ? " " : "", plan->items[i].key,
                              plan->items[i].recorded ? "*" : "");
    return text;
}

static void expect_plan(struct catalog *catalog, const struct binding_row *rows, size_t n_rows,
                        const char *expected)
{
    struct topology_plan plan;

    assert_int_equal(topology_plan_make(&plan, catalog, rows, n_rows), 0);
    assert_string_equal(text_of(&plan), expected);
    topology_plan_release(&plan);
    catalog_unref(catalog);
}

static void a_new_service_gets_queues_and_one_binding_for_each_key(void **state)
{
    const struct service_row services[] = {service(1, "lms", true)};
    const struct rule_given rules[] = {
        {10, 1, "\\core\\event\\user_created", true},
        {11, 1, "\\core\\event\\user_created", true},
        {12, 1, "\\mod_quiz\\event\\*", true},
        {13, 1, "\\core\\event\\user_deleted", false},
    };

    (void)state;
    expect_plan(catalog_with(services, 1, rules, 4), NULL, 0,
                "declare 1, bind 1 core.user_created, bind 1 mod_quiz.#");
}

static void what_is_recorded_is_bound_again_and_what_no_rule_wants_is_unbound(void **state)
{
    const struct service_row services[] = {service(1, "lms", true)};
    const struct rule_given rules[] = {{10, 1, "\\core\\event\\user_created", true}};
    const struct binding_row rows[] = {
        {1, "", true}, {1, "core.user_created", true}, {1, "core.user_deleted", true}};

    (void)state;
    expect_plan(catalog_with(services, 1, rules, 1), rows, 3,
                "declare 1*, bind 1 core.user_created*, unbind 1 core.user_deleted*");
}

static void a_disabled_service_keeps_what_it_has_and_gets_nothing_new(void **state)
{
    const struct service_row services[] = {service(1, "lms", false), service(2, "new", false)};
    const struct rule_given rules[] = {
        {10, 1, "\\core\\event\\user_created", true},
        {11, 1, "\\core\\event\\user_updated", true},
        {12, 2, "\\core\\event\\user_created", true},
    };
    const struct binding_row rows[] = {{1, "", true}, {1, "core.user_created", true}};

    (void)state;
    expect_plan(catalog_with(services, 2, rules, 3), rows, 2,
                "declare 1*, bind 1 core.user_created*");
}

static void a_service_that_is_gone_is_unbound_before_it_is_retired(void **state)
{
    const struct binding_row rows[] = {{7, "", true}, {7, "core.user_created", true}};

    (void)state;
    expect_plan(catalog_with(NULL, 0, NULL, 0), rows, 2, "unbind 7 core.user_created*, retire 7");
}

static void a_rule_with_an_impossible_event_name_binds_nothing(void **state)
{
    const struct service_row services[] = {service(1, "lms", true)};
    const struct rule_given rules[] = {{10, 1, "no event", true}};

    (void)state;
    expect_plan(catalog_with(services, 1, rules, 1), NULL, 0, "declare 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_service_gets_queues_and_one_binding_for_each_key),
        cmocka_unit_test(what_is_recorded_is_bound_again_and_what_no_rule_wants_is_unbound),
        cmocka_unit_test(a_disabled_service_keeps_what_it_has_and_gets_nothing_new),
        cmocka_unit_test(a_service_that_is_gone_is_unbound_before_it_is_retired),
        cmocka_unit_test(a_rule_with_an_impossible_event_name_binds_nothing),
    };

    return cmocka_run_group_tests_name("topology_plan", tests, NULL, NULL);
}
