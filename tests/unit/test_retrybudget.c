/* The retry budget: retries never starve first attempts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dispatcher/retrybudget.h"

#define SECOND INT64_C(1000000)

static const int64_t begin_us = INT64_C(123456789) * 1000000 + 987654;

static int64_t burst(struct retrybudget *b, int64_t now_us)
{
    int64_t taken = 0;
    while (retrybudget_take(b, now_us) == 0)
        taken++;
    return taken;
}

/* Requests come evenly for so many seconds; retries are taken whenever they may be. */
static int64_t retries_beside(struct retrybudget *b, int64_t per_s, int64_t *now_us,
                              int64_t seconds)
{
    int64_t taken = 0;
    int64_t pause_us = SECOND / (per_s > 0 ? per_s : 1000);
    for (int64_t n = seconds * SECOND / pause_us; n > 0; n--) {
        *now_us += pause_us;
        if (per_s > 0)
            retrybudget_request(b, *now_us);
        taken += burst(b, *now_us);
    }
    return taken;
}

static void retries_are_a_fifth_of_the_requests_and_ten_a_second_over_a_minute(void **state)
{
    static const struct {
        int64_t per_s;
        unsigned processes;
        int64_t expected;
    } rows[] = {
        {0, 1, 600},      {0, 4, 150},        {0, 7, 86},     {0, 60, 10},        {0, 0, 600},
        {1, 1, 612},      {5, 100, 66},       {100, 1, 1800}, {100, 10, 1260},    {1000, 1, 12600},
        {1000, 8, 12075}, {10000, 3, 120200}, {2, 600, 25},   {0, 4000000000, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct retrybudget b;
        int64_t now_us = begin_us;
        retrybudget_init(&b, rows[i].processes, now_us);
        int64_t taken = retries_beside(&b, rows[i].per_s, &now_us, 60);
        if (llabs(taken - rows[i].expected) > 1)
            fail_msg("row %zu: %lld", i, (long long)taken);
    }
}

static void the_processes_together_have_ten_a_second(void **state)
{
    int64_t taken = 0;
    (void)state;
    for (int p = 0; p < 7; p++) {
        struct retrybudget b;
        int64_t now_us = begin_us + p * INT64_C(7777);
        retrybudget_init(&b, 7, now_us);
        taken += retries_beside(&b, 0, &now_us, 60);
    }
    assert_in_range(taken, 600 - 7, 600 + 7);
}

static void what_is_not_used_is_kept_for_ten_seconds(void **state)
{
    static const struct {
        const char *name;
        unsigned processes;
        int64_t per_s, seconds; /* of requests */
        int64_t idle_s;         /* after them */
        int64_t least, most;
    } rows[] = {
        {"at first", 1, 0, 0, 0, 1, 1},
        {"the floor, a second", 1, 0, 1, 0, 11, 11},
        {"the floor, a minute", 1, 0, 60, 0, 100, 100},
        {"the floor, shared", 4, 0, 60, 0, 25, 25},
        {"the floor, shared by many", 1000, 0, 60, 0, 1, 1},
        {"requests, two seconds", 1, 100, 2, 0, 60, 62},
        {"requests, a minute", 1, 100, 60, 0, 280, 300},
        {"requests, then five seconds", 1, 100, 60, 5, 180, 200},
        {"requests, then nine", 1, 100, 60, 9, 100, 120},
        {"requests, then ten", 1, 100, 60, 10, 100, 100},
        {"requests, then an hour", 1, 100, 60, 3600, 100, 100},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct retrybudget b;
        int64_t now_us = begin_us;
        retrybudget_init(&b, rows[i].processes, now_us);
        for (int64_t n = rows[i].per_s * rows[i].seconds; n > 0; n--) {
            now_us += SECOND / rows[i].per_s;
            retrybudget_request(&b, now_us);
        }
        now_us += rows[i].per_s == 0 ? rows[i].seconds * SECOND : 0;
        int64_t taken = burst(&b, now_us + rows[i].idle_s * SECOND);
        if (taken < rows[i].least || taken > rows[i].most)
            fail_msg("%s: %lld", rows[i].name, (long long)taken);
    }
}

static void five_requests_earn_one_retry(void **state)
{
    struct retrybudget b;
    (void)state;
    retrybudget_init(&b, 1000, begin_us);
    assert_int_equal(burst(&b, begin_us), 1);
    for (int n = 0; n < 4; n++) {
        retrybudget_request(&b, begin_us);
        assert_true(retrybudget_take(&b, begin_us) > 0);
    }
    retrybudget_request(&b, begin_us);
    assert_int_equal(burst(&b, begin_us), 1);
}

static void the_wait_it_names_is_exactly_long_enough(void **state)
{
    (void)state;
    for (unsigned processes = 1; processes <= 9; processes++) {
        struct retrybudget b;
        retrybudget_init(&b, processes, begin_us);
        assert_int_equal(burst(&b, begin_us), 1);
        int64_t wait_us = retrybudget_take(&b, begin_us);
        assert_in_range(wait_us, processes * SECOND / 10, processes * SECOND / 10 + 1);
        assert_int_equal(retrybudget_take(&b, begin_us + wait_us - 1), 1);
        assert_int_equal(retrybudget_take(&b, begin_us + wait_us), 0);
    }
}

static void another_number_of_processes_changes_the_floor_and_not_what_requests_earned(void **state)
{
    struct retrybudget b;
    int64_t now_us = begin_us;
    (void)state;
    retrybudget_init(&b, 1, now_us);
    assert_int_equal(burst(&b, now_us), 1);
    for (int n = 0; n < 1000; n++)
        retrybudget_request(&b, now_us);
    retrybudget_change(&b, 10, now_us);
    assert_int_equal(burst(&b, now_us + 1), 200);
    assert_int_equal(burst(&b, now_us + 60 * SECOND), 10);
    now_us += 60 * SECOND;
    assert_in_range(retries_beside(&b, 0, &now_us, 10), 9, 11);
    retrybudget_change(&b, 2, now_us);
    assert_in_range(retries_beside(&b, 0, &now_us, 10), 49, 51);
}

static void no_number_of_requests_and_no_time_overflows(void **state)
{
    struct retrybudget b;
    (void)state;
    retrybudget_init(&b, 1, 0);
    for (int64_t second = 0; second < 10; second++)
        for (int n = 0; n < 600000; n++)
            retrybudget_request(&b, second * SECOND);
    assert_in_range(burst(&b, 9 * SECOND), 1000000, 1000100);
    assert_int_equal(burst(&b, INT64_MAX), 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retries_are_a_fifth_of_the_requests_and_ten_a_second_over_a_minute),
        cmocka_unit_test(the_processes_together_have_ten_a_second),
        cmocka_unit_test(what_is_not_used_is_kept_for_ten_seconds),
        cmocka_unit_test(five_requests_earn_one_retry),
        cmocka_unit_test(the_wait_it_names_is_exactly_long_enough),
        cmocka_unit_test(
            another_number_of_processes_changes_the_floor_and_not_what_requests_earned),
        cmocka_unit_test(no_number_of_requests_and_no_time_overflows),
    };
    return cmocka_run_group_tests_name("retrybudget", tests, NULL, NULL);
}
