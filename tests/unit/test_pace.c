/* How many requests at once: slow start, halving, growth. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dispatcher/pace.h"

/* As many successes as requests fit at once: what one round trip brings. */
static void round_trip(struct pace *p)
{
    for (unsigned n = p->limit; n > 0; n--)
        pace_success(p);
}

static void it_begins_with_the_maximum_and_never_passes_it(void **state)
{
    static const unsigned maxima[][2] = {{0, 1}, {1, 1}, {16, 16}, {1024, 1024}};
    (void)state;
    for (size_t i = 0; i < sizeof(maxima) / sizeof(maxima[0]); i++) {
        struct pace p;
        pace_init(&p, maxima[i][0]);
        assert_int_equal(p.limit, maxima[i][1]);
        round_trip(&p);
        round_trip(&p);
        assert_int_equal(p.limit, maxima[i][1]);
    }
}

static void a_slow_start_doubles_with_each_round_trip(void **state)
{
    static const unsigned limits[] = {1, 2, 4, 8, 16, 20, 20};
    struct pace p;
    (void)state;
    pace_init(&p, 20);
    pace_restart(&p);
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        if (p.limit != limits[i])
            fail_msg("round trip %zu: %u", i, p.limit);
        round_trip(&p);
    }
}

static void each_success_of_a_slow_start_adds_one(void **state)
{
    struct pace p;
    (void)state;
    pace_init(&p, 5);
    pace_restart(&p);
    for (unsigned limit = 1; limit <= 5; limit++) {
        assert_int_equal(p.limit, limit);
        pace_success(&p);
    }
    assert_int_equal(p.limit, 5);
}

static void it_is_halved_once_a_second_at_most(void **state)
{
    static const struct {
        int64_t now_ms;
        unsigned limit;
    } rows[] = {{0, 8}, {1, 8}, {999, 8}, {1000, 4}, {1999, 4}, {2500, 2}, {3500, 1}, {9000, 1}};
    struct pace p;
    (void)state;
    pace_init(&p, 16);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        pace_lower(&p, rows[i].now_ms, rows[i].now_ms);
        if (p.limit != rows[i].limit)
            fail_msg("at %lld ms: %u", (long long)rows[i].now_ms, p.limit);
    }
}

static void one_round_of_slow_requests_halves_it_once(void **state)
{
    static const struct {
        int64_t begun_ms, now_ms;
        unsigned limit;
    } rows[] = {
        {0, 5000, 8},     {1500, 6500, 8},  {4999, 9999, 8},
        {5000, 10000, 4}, {9000, 14000, 4}, {10001, 15001, 2},
    };
    struct pace p;
    (void)state;
    pace_init(&p, 16);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        pace_lower(&p, rows[i].begun_ms, rows[i].now_ms);
        if (p.limit != rows[i].limit)
            fail_msg("row %zu: %u", i, p.limit);
    }
}

static void what_was_halved_grows_by_one_a_round_trip(void **state)
{
    struct pace p;
    (void)state;
    pace_init(&p, 16);
    pace_lower(&p, 0, 0);
    for (unsigned limit = 8; limit < 16; limit++) {
        assert_int_equal(p.limit, limit);
        for (unsigned n = 1; n < limit; n++)
            pace_success(&p);
        assert_int_equal(p.limit, limit);
        pace_success(&p);
    }
    assert_int_equal(p.limit, 16);
}

static void successes_before_a_halving_do_not_count_after_it(void **state)
{
    struct pace p;
    (void)state;
    pace_init(&p, 16);
    pace_lower(&p, 0, 0);
    for (unsigned n = 1; n < 8; n++)
        pace_success(&p);
    pace_lower(&p, 1000, 1000);
    assert_int_equal(p.limit, 4);
    pace_success(&p);
    assert_int_equal(p.limit, 4);
}

static void a_halving_ends_a_slow_start(void **state)
{
    struct pace p;
    (void)state;
    pace_init(&p, 64);
    pace_restart(&p);
    round_trip(&p);
    round_trip(&p);
    round_trip(&p);
    pace_lower(&p, 0, 0);
    assert_int_equal(p.limit, 4);
    round_trip(&p);
    assert_int_equal(p.limit, 5);
}

static void another_maximum_holds_at_once(void **state)
{
    static const struct {
        const char *name;
        bool lowered; /* from 16 to 8 before */
        bool restarted;
        unsigned max, limit, after_round_trip;
    } rows[] = {
        {"more", false, false, 32, 32, 32},
        {"less", false, false, 4, 4, 4},
        {"none is one", false, false, 0, 1, 1},
        {"more while lowered", true, false, 32, 8, 9},
        {"less while lowered, above", true, false, 12, 8, 9},
        {"less while lowered, below", true, false, 4, 4, 4},
        {"more in a slow start", false, true, 32, 1, 2},
        {"one in a slow start", false, true, 1, 1, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pace p;
        pace_init(&p, 16);
        if (rows[i].lowered)
            pace_lower(&p, 0, 0);
        if (rows[i].restarted)
            pace_restart(&p);
        pace_change(&p, rows[i].max);
        if (p.limit != rows[i].limit)
            fail_msg("%s: %u", rows[i].name, p.limit);
        round_trip(&p);
        if (p.limit != rows[i].after_round_trip)
            fail_msg("%s: %u after a round trip", rows[i].name, p.limit);
    }
}

static void a_slow_start_of_one_is_over_at_once(void **state)
{
    struct pace p;
    (void)state;
    pace_init(&p, 1);
    pace_restart(&p);
    pace_change(&p, 64);
    assert_int_equal(p.limit, 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_begins_with_the_maximum_and_never_passes_it),
        cmocka_unit_test(a_slow_start_doubles_with_each_round_trip),
        cmocka_unit_test(each_success_of_a_slow_start_adds_one),
        cmocka_unit_test(it_is_halved_once_a_second_at_most),
        cmocka_unit_test(one_round_of_slow_requests_halves_it_once),
        cmocka_unit_test(what_was_halved_grows_by_one_a_round_trip),
        cmocka_unit_test(successes_before_a_halving_do_not_count_after_it),
        cmocka_unit_test(a_halving_ends_a_slow_start),
        cmocka_unit_test(another_maximum_holds_at_once),
        cmocka_unit_test(a_slow_start_of_one_is_over_at_once),
    };
    return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
