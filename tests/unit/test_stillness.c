/* Gaps between looks at the time, and which calls they excuse. */
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dispatcher/stillness.h"

static const int64_t SECOND = 1000000;
static const int64_t PULSE_US = STILLNESS_PULSE_MS * INT64_C(1000);

static void test_short_gaps_are_no_stillness(void **state)
{
    struct stillness s = {.seen_us = SECOND};
    (void)state;
    assert_int_equal(0, stillness_total_us(&s, SECOND + PULSE_US + SECOND));
    assert_false(stillness_excuses(&s, 0, 0, SECOND + PULSE_US + SECOND));
}

static void test_a_gap_counts_once_without_the_time_to_the_pulse(void **state)
{
    struct stillness s = {.seen_us = 10 * SECOND};
    (void)state;
    assert_int_equal(6 * SECOND - PULSE_US, stillness_total_us(&s, 16 * SECOND));
    assert_int_equal(6 * SECOND - PULSE_US, stillness_total_us(&s, 16 * SECOND + 10));
    assert_int_equal(8 * SECOND - 2 * PULSE_US, stillness_total_us(&s, 18 * SECOND));
}

static void test_a_call_is_excused_by_half_of_its_time(void **state)
{
    struct stillness s = {.seen_us = 10 * SECOND};
    int64_t start = stillness_total_us(&s, 10 * SECOND);
    (void)state;
    assert_true(stillness_excuses(&s, start, 5000, 16 * SECOND));
    assert_true(stillness_excuses(&s, start, 11500, 16 * SECOND)); /* 5.75 s of 11.5 s */
    assert_false(stillness_excuses(&s, start, 11501, 16 * SECOND));
    start = stillness_total_us(&s, 16 * SECOND); /* of a call that begins now */
    assert_false(stillness_excuses(&s, start, 1000, 17 * SECOND));
}

static void test_the_timer_is_started_and_stopped(void **state)
{
    struct event_base *base = event_base_new();
    struct stillness s = {0};
    (void)state;
    stillness_stop(&s); /* never started */
    assert_int_equal(0, stillness_start(&s, base, 1));
    assert_int_equal(0, event_base_loop(base, EVLOOP_ONCE));
    assert_true(s.seen_us > 1);
    stillness_stop(&s);
    assert_int_equal(1, event_base_loop(base, EVLOOP_ONCE)); /* nothing is left */
    event_base_free(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short_gaps_are_no_stillness),
        cmocka_unit_test(test_a_gap_counts_once_without_the_time_to_the_pulse),
        cmocka_unit_test(test_a_call_is_excused_by_half_of_its_time),
        cmocka_unit_test(test_the_timer_is_started_and_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
