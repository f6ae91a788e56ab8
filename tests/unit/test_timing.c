#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/timing.h"

static void clocks_tell_the_same_time_in_their_units(void **state)
{
    (void)state;
    int64_t us = timing_mono_us();
    int64_t ms = timing_mono_ms();
    assert_in_range(ms - us / 1000, 0, 1000);
    int64_t s = timing_unix_s();
    assert_in_range(timing_unix_ms() / 1000 - s, 0, 1);
    assert_true(s > 1700000000);
    assert_true(timing_mono_us() >= us);
}

static void random_numbers_stay_below_the_bound_and_reach_all_of_it(void **state)
{
    (void)state;
    unsigned counts[10] = {0};
    for (int i = 0; i < 10000; i++) {
        uint32_t r = timing_random(10);
        assert_true(r < 10);
        counts[r]++;
    }
    for (int i = 0; i < 10; i++)
        if (counts[i] < 800 || counts[i] > 1200)
            fail_msg("%d was drawn %u times of 10000", i, counts[i]);
    assert_int_equal(timing_random(1), 0);
    assert_true(timing_random(UINT32_MAX) < UINT32_MAX);
}

static void *draw(void *ret)
{
    for (int i = 0; i < 4; i++)
        ((uint32_t *)ret)[i] = timing_random(UINT32_MAX);
    return NULL;
}

static void threads_draw_different_numbers(void **state)
{
    (void)state;
    uint32_t mine[4];
    uint32_t theirs[4];
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, draw, theirs), 0);
    draw(mine);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_memory_not_equal(mine, theirs, sizeof(mine));
}

static void backoff_doubles_up_to_the_cap_and_jitters_the_upper_half(void **state)
{
    (void)state;
    static const struct {
        unsigned attempt;
        int64_t base, cap;
        uint32_t random;
        int64_t expected;
    } rows[] = {
        {1, 1000, 60000, 0, 500},
        {1, 1000, 60000, 500, 750},
        {1, 1000, 60000, 999, 999},
        {2, 1000, 60000, 0, 1000},
        {3, 1000, 60000, 0, 2000},
        {6, 1000, 60000, 0, 16000},
        {7, 1000, 60000, 0, 30000},
        {8, 1000, 60000, 999, 59970},
        {4000000000, 1000, 60000, 0, 30000},
        {0, 1000, 60000, 0, 500},
        {5, 90000, 60000, 0, 30000},
        {5, 0, 60000, 999, 0},
        {1, 1, 60000, 999, 1},
        {4, 3, 60000, 0, 12},
        {100, INT64_MAX / 2, INT64_MAX, 0, INT64_MAX / 2 + 1},
        {100, 1, INT64_MAX, 999, INT64_MAX - INT64_MAX / 2 / 1000 - 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t got = timing_backoff_ms(rows[i].attempt, rows[i].base, rows[i].cap, rows[i].random);
        if (got != rows[i].expected)
            fail_msg("row %zu: attempt %u: %lld, expected %lld", i, rows[i].attempt, (long long)got,
                     (long long)rows[i].expected);
    }
}

static void a_spread_delay_lies_within_a_fifth_of_it(void **state)
{
    (void)state;
    static const struct {
        int64_t delay;
        uint32_t random;
        int64_t expected;
    } rows[] = {
        {0, 999, 0},
        {1, 999, 1},
        {1000, 0, 800},
        {1000, 500, 1000},
        {1000, 999, 1199},
        {86400000, 0, 69120000},
        {86400000, 500, 86400000},
        {86400000, 999, 103645440},
        {INT64_MAX / 2, 0, INT64_MAX / 2 - INT64_MAX / 2 / 5},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t got = timing_spread_ms(rows[i].delay, rows[i].random);
        if (got != rows[i].expected)
            fail_msg("row %zu: %lld, expected %lld", i, (long long)got,
                     (long long)rows[i].expected);
    }
    assert_in_range(timing_spread_ms(INT64_MAX / 2, 999), INT64_MAX / 2, INT64_MAX / 10 * 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clocks_tell_the_same_time_in_their_units),
        cmocka_unit_test(random_numbers_stay_below_the_bound_and_reach_all_of_it),
        cmocka_unit_test(threads_draw_different_numbers),
        cmocka_unit_test(backoff_doubles_up_to_the_cap_and_jitters_the_upper_half),
        cmocka_unit_test(a_spread_delay_lies_within_a_fifth_of_it),
    };
    return cmocka_run_group_tests_name("timing", tests, NULL, NULL);
}
