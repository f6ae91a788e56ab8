/* The rate limit of a service, and the token bucket below it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dispatcher/ratelimit.h"

#define SECOND INT64_C(1000000)

/* A clock has been running for long: zero is nothing special. */
static const int64_t begin_us = INT64_C(123456789) * 1000000 + 987654;

/* Takes as often as it may, asking again when told to, up to the end; returns how many. */
static int64_t take_until(struct ratelimit *r, int64_t *now_us, int64_t end_us)
{
    int64_t taken = 0;
    while (*now_us < end_us) {
        int64_t wait_us = ratelimit_take(r, *now_us);
        assert_true(wait_us >= 0);
        taken += wait_us == 0;
        *now_us += wait_us;
    }
    return taken;
}

static void the_rate_holds_over_a_minute_within_one_request(void **state)
{
    static const struct {
        unsigned per_s, processes;
    } rows[] = {
        {1, 1},     {1, 7},      {2, 3},   {3, 1},      {7, 4},    {10, 1},
        {10, 8},    {99, 10},    {100, 3}, {100, 1000}, {1000, 1}, {1000, 7},
        {99999, 1}, {99999, 16}, {1, 64},  {12345, 11}, {60, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ratelimit r;
        int64_t now_us = begin_us;
        ratelimit_init(&r, rows[i].per_s, rows[i].processes, now_us);
        int64_t taken = take_until(&r, &now_us, begin_us + 60 * SECOND);
        int64_t share = rows[i].processes > 0 ? rows[i].processes : 1;
        int64_t off = taken * share - (int64_t)rows[i].per_s * 60; /* in parts of the share */
        if (off < -share || off > share)
            fail_msg("%u per second, %u processes: %lld in a minute", rows[i].per_s,
                     rows[i].processes, (long long)taken);
    }
}

static void the_processes_together_keep_the_rate_in_every_second(void **state)
{
    enum { PROCESSES = 7, RATE = 100 };
    struct ratelimit r[PROCESSES];
    int64_t now_us[PROCESSES];
    (void)state;
    for (int p = 0; p < PROCESSES; p++) {
        now_us[p] = begin_us + p * INT64_C(1234);
        ratelimit_init(&r[p], RATE, PROCESSES, now_us[p]);
    }
    for (int64_t second = 1; second <= 60; second++) {
        int64_t taken = 0;
        for (int p = 0; p < PROCESSES; p++)
            taken += take_until(&r[p], &now_us[p], begin_us + second * SECOND);
        if (llabs(taken - RATE) > PROCESSES)
            fail_msg("second %lld: %lld", (long long)second, (long long)taken);
    }
}

static void the_wait_it_names_is_exactly_long_enough(void **state)
{
    static const unsigned rates[] = {1, 3, 7, 99, 1000, 99999};
    (void)state;
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        struct ratelimit r;
        ratelimit_init(&r, rates[i], 3, begin_us);
        int64_t now_us = begin_us;
        for (int n = 0; n < 50; n++) {
            int64_t wait_us = ratelimit_take(&r, now_us);
            if (wait_us > 0) {
                assert_true(ratelimit_take(&r, now_us + wait_us - 1) == 1);
                now_us += wait_us;
                assert_int_equal(ratelimit_take(&r, now_us), 0);
            }
        }
    }
}

static unsigned burst(struct ratelimit *r, int64_t now_us)
{
    unsigned taken = 0;
    while (ratelimit_take(r, now_us) == 0)
        taken++;
    return taken;
}

static void idleness_earns_a_tenth_of_a_second_or_one_request(void **state)
{
    static const struct {
        unsigned per_s, processes, at_first, later;
    } rows[] = {
        {1, 1, 1, 1},
        {9, 1, 1, 1},
        {19, 1, 1, 1},
        {20, 1, 1, 2},
        {100, 1, 1, 10},
        {100, 10, 1, 1},
        {1000, 4, 1, 25},
        {99999, 1, 1, 9999},
        {4000000000, 1, 1, 100000},
        {4000000000, 4000000000, 1, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ratelimit r;
        ratelimit_init(&r, rows[i].per_s, rows[i].processes, begin_us);
        unsigned at_first = burst(&r, begin_us);
        unsigned later = burst(&r, INT64_MAX);
        if (at_first != rows[i].at_first || later != rows[i].later)
            fail_msg("row %zu: %u, then %u", i, at_first, later);
    }
}

static void without_a_limit_nothing_waits(void **state)
{
    struct ratelimit r;
    (void)state;
    ratelimit_init(&r, 0, 4, begin_us);
    for (int n = 0; n < 1000; n++)
        assert_int_equal(ratelimit_take(&r, begin_us), 0);
}

static void a_change_holds_from_then_on_and_gives_nothing_away(void **state)
{
    static const struct {
        const char *name;
        unsigned from, processes_from, to, processes_to;
        int64_t wait_us; /* after the first request, asked at the change half a second later */
    } rows[] = {
        {"same", 1, 1, 1, 1, SECOND / 2},
        {"twice the rate", 1, 1, 2, 1, SECOND / 4},
        {"half the rate", 1, 1, 1, 2, SECOND},
        {"off", 1, 1, 0, 1, 0},
        {"on", 0, 1, 1, 1, 0},
        {"full before, slower now", 100, 1, 1, 1, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ratelimit r;
        ratelimit_init(&r, rows[i].from, rows[i].processes_from, begin_us);
        assert_int_equal(ratelimit_take(&r, begin_us), 0);
        int64_t now_us = begin_us + SECOND / 2;
        ratelimit_change(&r, rows[i].to, rows[i].processes_to, now_us);
        int64_t wait_us = ratelimit_take(&r, now_us);
        if (wait_us != rows[i].wait_us)
            fail_msg("%s: %lld", rows[i].name, (long long)wait_us);
        if (rows[i].to != 0) /* no burst came of it */
            assert_true(ratelimit_take(&r, now_us) > 0);
    }
}

static void a_bucket_of_any_depth_holds_a_million_tokens_at_most(void **state)
{
    struct tokenbucket b;
    int64_t taken = 0;
    (void)state;
    tokenbucket_init(&b, TOKENBUCKET_RATE_MAX, 1, INT64_MAX, begin_us);
    while (tokenbucket_take(&b, INT64_MAX) == 0)
        taken++;
    assert_int_equal(taken, TOKENBUCKET_TOKENS_MAX);
}

static void a_clock_that_stands_or_goes_back_gives_nothing(void **state)
{
    struct ratelimit r;
    (void)state;
    ratelimit_init(&r, 10, 1, begin_us);
    assert_int_equal(ratelimit_take(&r, begin_us), 0);
    assert_int_equal(ratelimit_take(&r, begin_us - 5 * SECOND), SECOND / 10);
    assert_int_equal(ratelimit_take(&r, begin_us), SECOND / 10);
    assert_int_equal(ratelimit_take(&r, begin_us + SECOND / 10), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rate_holds_over_a_minute_within_one_request),
        cmocka_unit_test(the_processes_together_keep_the_rate_in_every_second),
        cmocka_unit_test(the_wait_it_names_is_exactly_long_enough),
        cmocka_unit_test(idleness_earns_a_tenth_of_a_second_or_one_request),
        cmocka_unit_test(without_a_limit_nothing_waits),
        cmocka_unit_test(a_change_holds_from_then_on_and_gives_nothing_away),
        cmocka_unit_test(a_bucket_of_any_depth_holds_a_million_tokens_at_most),
        cmocka_unit_test(a_clock_that_stands_or_goes_back_gives_nothing),
    };
    return cmocka_run_group_tests_name("ratelimit", tests, NULL, NULL);
}
