/* The cache of what was looked up: found again, replaced, bounded, kept by whoever holds it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "worker/enrich_cache.h"

static struct enrich_entry *entry(enum enrichment_kind kind, int64_t id, const char *text)
{
    struct enrich_entry *e = enrich_entry_new(kind, id, text ? strdup(text) : NULL);
    assert_non_null(e);
    return e;
}

static void finds_what_was_put_and_tells_kinds_apart(void **state)
{
    (void)state;
    struct enrich_cache c;
    assert_int_equal(enrich_cache_init(&c, 100, 1 << 20), 0);
    for (int64_t id = 1; id <= 40; id++) {
        enrich_cache_put(&c, entry(ENRICHMENT_USER, id, "{\"a\":1}"));
        enrich_cache_put(&c, entry(ENRICHMENT_COURSE, id, NULL));
    }
    for (int64_t id = 1; id <= 40; id++) {
        struct enrich_entry *user = enrich_cache_find(&c, ENRICHMENT_USER, id);
        struct enrich_entry *course = enrich_cache_find(&c, ENRICHMENT_COURSE, id);
        assert_true(user && user->id == id && jsonview_root(&user->view));
        assert_true(course && course->id == id && !jsonview_root(&course->view));
    }
    assert_null(enrich_cache_find(&c, ENRICHMENT_USER, 41));
    assert_null(enrich_cache_find(&c, ENRICHMENT_CM, 1));
    enrich_cache_release(&c);
}

static void drops_the_least_recently_used_first(void **state)
{
    (void)state;
    struct enrich_cache c;
    assert_int_equal(enrich_cache_init(&c, 3, 1 << 20), 0);
    for (int64_t id = 1; id <= 3; id++) {
        enrich_cache_put(&c, entry(ENRICHMENT_USER, id, NULL));
    }
    assert_non_null(enrich_cache_find(&c, ENRICHMENT_USER, 1));
    enrich_cache_put(&c, entry(ENRICHMENT_USER, 4, NULL));
    assert_null(enrich_cache_find(&c, ENRICHMENT_USER, 2));
    assert_non_null(enrich_cache_find(&c, ENRICHMENT_USER, 1));
    assert_non_null(enrich_cache_find(&c, ENRICHMENT_USER, 3));
    assert_int_equal(c.entries, 3);
    enrich_cache_release(&c);
}

static void stays_below_its_bytes(void **state)
{
    (void)state;
    struct enrich_cache c;
    assert_int_equal(enrich_cache_init(&c, 1000, 20000), 0);
    for (int64_t id = 1; id <= 500; id++) {
        enrich_cache_put(&c, entry(ENRICHMENT_USER, id, "{\"name\":\"somebody\"}"));
        assert_true(c.bytes <= 20000);
    }
    assert_true(c.entries > 5);
    assert_non_null(enrich_cache_find(&c, ENRICHMENT_USER, 500));
    assert_null(enrich_cache_find(&c, ENRICHMENT_USER, 1));
    enrich_cache_release(&c);
    assert_int_equal(enrich_cache_init(&c, 1000, 10), 0);
    enrich_cache_put(&c, entry(ENRICHMENT_USER, 1, NULL)); /* larger than all of it: it stays */
    assert_non_null(enrich_cache_find(&c, ENRICHMENT_USER, 1));
    enrich_cache_put(&c, entry(ENRICHMENT_USER, 2, NULL)); /* ... until the next one comes */
    assert_null(enrich_cache_find(&c, ENRICHMENT_USER, 1));
    assert_int_equal(c.entries, 1);
    enrich_cache_release(&c);
}

static void keeps_what_is_held_when_it_is_replaced(void **state)
{
    (void)state;
    struct enrich_cache c;
    assert_int_equal(enrich_cache_init(&c, 10, 1 << 20), 0);
    enrich_cache_put(&c, entry(ENRICHMENT_USER, 1, "{\"name\":\"old\"}"));
    struct enrich_entry *held = enrich_entry_ref(enrich_cache_find(&c, ENRICHMENT_USER, 1));
    enrich_cache_put(&c, entry(ENRICHMENT_USER, 1, "{\"name\":\"new\"}"));
    assert_int_equal(c.entries, 1);
    assert_ptr_not_equal(enrich_cache_find(&c, ENRICHMENT_USER, 1), held);
    assert_string_equal(held->text, "{\"name\":\"old\"}");
    enrich_cache_release(&c);
    assert_non_null(jsonview_member(&held->view, jsonview_root(&held->view), "name"));
    enrich_entry_unref(held);
    enrich_entry_unref(NULL);
}

static void takes_no_entry_that_is_no_json(void **state)
{
    (void)state;
    assert_null(enrich_entry_new(ENRICHMENT_USER, 1, strdup("{\"name\":")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_put_and_tells_kinds_apart),
        cmocka_unit_test(drops_the_least_recently_used_first),
        cmocka_unit_test(stays_below_its_bytes),
        cmocka_unit_test(keeps_what_is_held_when_it_is_replaced),
        cmocka_unit_test(takes_no_entry_that_is_no_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
