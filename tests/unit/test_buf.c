#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"

static void text_is_empty_and_never_null_before_the_first_append(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    assert_string_equal(buf_text(&b), "");
    assert_int_equal(buf_error(&b), 0);
    buf_release(&b);
}

static void appends_of_every_kind_are_joined_and_terminated(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100);
    buf_adds(&b, "one");
    buf_addc(&b, ' ');
    buf_add(&b, "t\0o", 3);
    buf_addf(&b, " %d-%s", 3, "x");
    buf_add(&b, NULL, 0);
    assert_int_equal(buf_error(&b), 0);
    assert_int_equal(b.len, 11);
    assert_memory_equal(b.data, "one t\0o 3-x", 12);
    buf_release(&b);
}

static void holds_exactly_its_maximum_and_fails_one_byte_above(void **state)
{
    (void)state;
    for (size_t max = 0; max < 300; max++) {
        struct buf b;
        buf_init(&b, max);
        for (size_t i = 0; i < max; i++)
            buf_addc(&b, 'x');
        if (buf_error(&b) || b.len != max)
            fail_msg("maximum %zu was not reached: %zu bytes", max, b.len);
        buf_addc(&b, 'x');
        if (buf_error(&b) != -EMSGSIZE || b.len || *buf_text(&b))
            fail_msg("maximum %zu was passed", max);
        buf_release(&b);
    }
}

static void the_first_error_stays_and_later_appends_do_nothing(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4);
    buf_adds(&b, "abc");
    buf_addf(&b, "%s", "too long");
    buf_adds(&b, "d");
    assert_int_equal(buf_error(&b), -EMSGSIZE);
    assert_string_equal(buf_text(&b), "");
    size_t len = 77;
    assert_null(buf_take(&b, &len));
    assert_int_equal(len, 77);
    buf_reset(&b);
    buf_adds(&b, "d");
    assert_int_equal(buf_error(&b), 0);
    assert_string_equal(buf_text(&b), "d");
    buf_release(&b);
}

static void a_size_that_overflows_is_refused(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, SIZE_MAX);
    buf_adds(&b, "x");
    volatile size_t huge = SIZE_MAX - 1; /* the compiler would see that no object is so large */
    buf_add(&b, "y", huge);              /* refused before a byte is read */
    assert_int_equal(buf_error(&b), -ENOMEM);
    buf_release(&b);
}

static void reset_keeps_the_memory_and_release_gives_it_back(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    buf_addf(&b, "%200d", 1);
    size_t cap = b.cap;
    buf_reset(&b);
    assert_string_equal(buf_text(&b), "");
    assert_int_equal(b.cap, cap);
    buf_release(&b);
    assert_int_equal(b.cap, 0);
    assert_int_equal(b.max, 1000);
}

static void take_hands_over_the_bytes_and_leaves_it_empty(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100);
    size_t len;
    char *nothing = buf_take(&b, &len);
    assert_string_equal(nothing, "");
    assert_int_equal(len, 0);
    buf_adds(&b, "mine");
    char *text = buf_take(&b, NULL);
    assert_string_equal(text, "mine");
    assert_string_equal(buf_text(&b), "");
    free(nothing);
    free(text);
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_empty_and_never_null_before_the_first_append),
        cmocka_unit_test(appends_of_every_kind_are_joined_and_terminated),
        cmocka_unit_test(holds_exactly_its_maximum_and_fails_one_byte_above),
        cmocka_unit_test(the_first_error_stays_and_later_appends_do_nothing),
        cmocka_unit_test(a_size_that_overflows_is_refused),
        cmocka_unit_test(reset_keeps_the_memory_and_release_gives_it_back),
        cmocka_unit_test(take_hands_over_the_bytes_and_leaves_it_empty),
    };
    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
