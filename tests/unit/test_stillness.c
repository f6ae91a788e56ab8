/* Gaps between pulses, seen by the timer or by a question. */
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dispatcher/stillness.h"

static const int64_t SECOND = 1000000;

static void test_regular_pulses_are_no_stillness(void **state)
{
    struct stillness s = {.seen_us = SECOND};
    (void)state;
    for (int64_t now = SECOND; now < 100 * SECOND; now += SECOND)
        stillness_pulse(&s, now);
    assert_false(stillness_since(&s, 0, 100 * SECOND));
}

static void test_a_gap_that_a_question_sees_first(void **state)
{
    struct stillness s = {.seen_us = 10 * SECOND};
    (void)state;
    assert_true(stillness_since(&s, 9 * SECOND, 16 * SECOND));
    assert_true(stillness_since(&s, 12 * SECOND, 16 * SECOND + 10)); /* and what else ends then */
    stillness_pulse(&s, 16 * SECOND + 20);
    assert_true(stillness_since(&s, 9 * SECOND, 17 * SECOND));   /* it began before */
    assert_false(stillness_since(&s, 16 * SECOND, 17 * SECOND)); /* it began after */
}

static void test_a_gap_that_the_timer_sees_first(void **state)
{
    struct stillness s = {.seen_us = 10 * SECOND};
    (void)state;
    stillness_pulse(&s, 11 * SECOND + SECOND / 4 + 1);
    assert_true(stillness_since(&s, 11 * SECOND, 12 * SECOND));
    assert_false(stillness_since(&s, 12 * SECOND, 12 * SECOND));
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
        cmocka_unit_test(test_regular_pulses_are_no_stillness),
        cmocka_unit_test(test_a_gap_that_a_question_sees_first),
        cmocka_unit_test(test_a_gap_that_the_timer_sees_first),
        cmocka_unit_test(test_the_timer_is_started_and_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
