/* What is told of a table that cannot be written, and how often. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/complaint.h"

enum { NOW_S = 1795000000 };

static void a_trouble_that_stays_is_told_once(void **state)
{
    struct complaint c = {0};

    (void)state;
    assert_true(complaint_due(&c, -ENOENT, "no such table", NOW_S));
    for (int64_t day = 0; day < 10; day++)
        assert_false(complaint_due(&c, -ENOENT, "no such table", NOW_S + day * 86400));
    assert_true(complaint_due(&c, -EPERM, "not allowed", NOW_S + 10 * 86400));
}

static void one_that_comes_back_is_told_again_but_once_a_minute(void **state)
{
    struct complaint c = {0};
    unsigned told = 0;

    (void)state;
    for (int64_t second = 0; second < 600; second++) {
        told += complaint_due(&c, -EIO, second % 2 ? "full" : "broken", NOW_S + second);
        assert_false(complaint_due(&c, 0, "", NOW_S + second));
    }
    assert_int_equal(told, 10);
}

static void what_the_store_tells_is_not_told(void **state)
{
    static const int others[] = {-ENOTCONN, -ETIMEDOUT, -EAGAIN, -ECANCELED};
    struct complaint c = {0};

    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(complaint_due(&c, others[i], "away", NOW_S));
    assert_true(complaint_due(&c, -ENOENT, "no such table", NOW_S));
}

static void a_reason_that_is_too_long_is_the_same_one_the_next_time(void **state)
{
    struct complaint c = {0};
    char reason[2 * sizeof c.reason];

    (void)state;
    memset(reason, 'x', sizeof reason - 1);
    reason[sizeof reason - 1] = '\0';
    assert_true(complaint_due(&c, -EIO, reason, NOW_S));
    assert_false(complaint_due(&c, -EIO, reason, NOW_S + 3600));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trouble_that_stays_is_told_once),
        cmocka_unit_test(one_that_comes_back_is_told_again_but_once_a_minute),
        cmocka_unit_test(what_the_store_tells_is_not_told),
        cmocka_unit_test(a_reason_that_is_too_long_is_the_same_one_the_next_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
