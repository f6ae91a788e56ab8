/* The history of a message that has died more than once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dispatcher/history.h"

static void a_line_is_added_for_each_death(void **state)
{
    static const struct {
        const char *before;
        struct history_death death;
        const char *after;
    } rows[] = {
        {"",
         {1795572669, 13, 503, "HTTP 503 Service Unavailable"},
         "2026-11-25T02:11:09Z attempts=13 status=503 HTTP 503 Service Unavailable\n"},
        {"one\n", {0, 0, 0, ""}, "one\n1970-01-01T00:00:00Z attempts=0 status=0 \n"},
        {"", {-5, 1, 0, "a\nb\x1b[31m"}, "1970-01-01T00:00:00Z attempts=1 status=0 a?b?[31m\n"},
        {"", {INT64_MAX, 1, 0, "x\xff"}, "9999-12-31T23:59:59Z attempts=1 status=0 x?\n"},
        {"",
         {0, INT64_MIN, INT64_MIN, "Größe"},
         "1970-01-01T00:00:00Z attempts=-9223372036854775808 status=-9223372036854775808 Größe\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[HISTORY_SIZE];

        snprintf(text, sizeof text, "%s", rows[i].before);
        history_add(text, &rows[i].death);
        assert_string_equal(text, rows[i].after);
    }
}

static void a_long_reason_is_cut_between_two_characters(void **state)
{
    char reason[300];
    char text[HISTORY_SIZE] = "";

    (void)state;
    for (size_t i = 0; i + 2 < sizeof reason; i += 2)
        memcpy(reason + i, "\xc3\xbc", 3);
    reason[0] = 'x'; /* one byte, and what was the second half of a character */
    reason[1] = 'y';
    memmove(reason + 1, reason + 2, strlen(reason + 2) + 1);
    history_add(text, &(struct history_death){.reason = reason});
    assert_int_equal(strlen(strrchr(text, 'x')), HISTORY_REASON_MAX - 1 + 1);
    assert_int_equal((unsigned char)text[strlen(text) - 2], 0xbc);
}

static void the_oldest_lines_go_when_it_is_full(void **state)
{
    char text[HISTORY_SIZE] = "";
    char last[64];

    (void)state;
    for (int i = 0; i < 500; i++) {
        history_add(text, &(struct history_death){.died_s = i, .attempts = i, .reason = "x"});
        assert_true(strlen(text) <= HISTORY_MAX);
        snprintf(last, sizeof last, " attempts=%d status=0 x\n", i);
        assert_string_equal(text + strlen(text) - strlen(last), last);
    }
    assert_true(strlen(text) > HISTORY_MAX - 100);
    assert_memory_equal(text, "1970-01-01T00:0", 15); /* it begins with a whole line */
}

static void what_came_from_outside_is_copied_safely(void **state)
{
    static const struct {
        const char *text;
        size_t len;
        const char *copy;
    } rows[] = {
        {"", 0, ""},
        {"one", 3, "one\n"},
        {"one\ntwo\n", 8, "one\ntwo\n"},
        {"\n\none\n\n\ntwo\n\n", 13, "one\ntwo\n"},
        {"a\0b\nc\td\x7f", 8, "a?b\nc?d?\n"},
        {"a\xc2\x9b\xc3", 4, "a??\n"},
        {"Größe\n", 8, "Größe\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char copy[HISTORY_SIZE];

        memset(copy, '!', sizeof copy);
        history_copy(copy, rows[i].text, rows[i].len);
        assert_string_equal(copy, rows[i].copy);
    }
}

static void of_a_text_that_is_too_long_the_newest_lines_are_kept(void **state)
{
    char text[3 * HISTORY_MAX];
    char copy[HISTORY_SIZE];
    size_t len = 0;

    (void)state;
    for (int i = 0; len + 10 < sizeof text; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%05d\n", i);
    history_copy(copy, text, len);
    assert_int_equal(strlen(copy), HISTORY_MAX / 6 * 6);
    assert_string_equal(copy, text + len - strlen(copy));
    memset(text, 'x', sizeof text); /* one line, and longer than all that may be kept */
    history_copy(copy, text, sizeof text);
    assert_string_equal(copy, "");
    history_copy(copy, text, HISTORY_MAX - 1);
    assert_int_equal(strlen(copy), HISTORY_MAX);
    history_copy(copy, text, HISTORY_MAX);
    assert_string_equal(copy, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_added_for_each_death),
        cmocka_unit_test(a_long_reason_is_cut_between_two_characters),
        cmocka_unit_test(the_oldest_lines_go_when_it_is_full),
        cmocka_unit_test(what_came_from_outside_is_copied_safely),
        cmocka_unit_test(of_a_text_that_is_too_long_the_newest_lines_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
