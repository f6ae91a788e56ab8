#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/restart.h"

static void doubles_from_one_second_to_sixty(void **state)
{
    static const int64_t expected[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    int64_t delay = 0;
    (void)state;
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        delay = restart_delay_ms(delay, 10);
        assert_int_equal(delay, expected[i]);
    }
}

static void starts_over_after_a_minute_of_running(void **state)
{
    (void)state;
    assert_int_equal(restart_delay_ms(32000, 59999), 60000);
    assert_int_equal(restart_delay_ms(32000, 60000), 1000);
    assert_int_equal(restart_delay_ms(60000, 600000), 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_from_one_second_to_sixty),
        cmocka_unit_test(starts_over_after_a_minute_of_running),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
