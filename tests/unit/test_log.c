#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/log.h"

/* Standard error is a pipe while a test runs; what was written is read from its other end. */
static int saved_stderr;
static int read_end;

static int catch_stderr(void **state)
{
    (void)state;
    int ends[2];
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC))
        return -1;
    saved_stderr = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    read_end = ends[0];
    log_init("test", LOG_LEVEL_INFO);
    return 0;
}

static int give_stderr_back(void **state)
{
    (void)state;
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    close(read_end);
    return 0;
}

/* The line without its head, which ends with the process number; "" when nothing was written. */
static const char *caught(void)
{
    static char text[65536];
    ssize_t n = read(read_end, text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = '\0';
    const char *rest = strstr(text, " msg=");
    return rest ? rest + 1 : text;
}

static void a_line_starts_with_priority_name_level_and_process(void **state)
{
    (void)state;
    char line[256];
    char expected[256];
    log_warning("broker lost", "peer", "127.0.0.1:5672/", "tries", log_number(-3), NULL);
    ssize_t n = read(read_end, line, sizeof(line) - 1);
    line[n] = '\0';
    snprintf(expected, sizeof(expected),
             "<4>mih=test level=warning pid=%d msg=\"broker lost\" peer=127.0.0.1:5672/ tries=-3\n",
             (int)getpid());
    assert_string_equal(line, expected);
}

static void values_cannot_forge_a_field_or_a_line(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        const char *expected;
    } rows[] = {
        {"plain", "v=plain"},
        {"", "v=\"\""},
        {"two words", "v=\"two words\""},
        {"a=b", "v=\"a=b\""},
        {"say \"hi\"", "v=\"say \\\"hi\\\"\""},
        {"\\core\\event", "v=\"\\\\core\\\\event\""},
        {"x\n<3>mih=forged", "v=\"x\\n<3>mih=forged\""},
        {"\r\t\x1b[31m\x7f", "v=\"\\r\\t\\u001b[31m\\u007f\""},
        {"Gesti\xc3\xb3n \xf0\x9f\x90\xb0", "v=\"Gesti\xc3\xb3n \xf0\x9f\x90\xb0\""},
        {"\xe2\x80\xae"
         "abc",
         "v=\"\\ufffd\\ufffd\\ufffdabc\""},
        {"\xc2\x85", "v=\"\\ufffd\\ufffd\""},
        {"\xff\xc3", "v=\"\\ufffd\\ufffd\""},
        {"\xed\xa0\x80", "v=\"\\ufffd\\ufffd\\ufffd\""},
        {NULL, "v=\"\""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char expected[256];
        snprintf(expected, sizeof(expected), "msg=\"m\" %s last=1\n", rows[i].expected);
        log_info("m", "v", rows[i].value, "last", "1", NULL);
        const char *got = caught();
        if (strcmp(got, expected) != 0)
            fail_msg("row %zu: %sexpected: %s", i, got, expected);
    }
}

static void lines_below_the_level_are_not_written(void **state)
{
    (void)state;
    log_debug("hidden", NULL);
    assert_string_equal(caught(), "");
    assert_false(log_enabled(LOG_LEVEL_DEBUG));
    log_set_level(LOG_LEVEL_DEBUG);
    log_debug("shown", NULL);
    assert_string_equal(caught(), "msg=\"shown\"\n");
    log_set_level(LOG_LEVEL_ERROR);
    log_warning("hidden", NULL);
    assert_string_equal(caught(), "");
}

static void long_values_are_cut_between_characters(void **state)
{
    (void)state;
    char value[700];
    memset(value, 'x', sizeof(value));
    memcpy(value + 511, "\xc3\xb3", 2);
    value[sizeof(value) - 1] = '\0';
    log_info("m", "v", value, NULL);
    const char *got = caught();
    assert_int_equal(strlen(got), strlen("msg=\"m\" v=\"") + 511 + strlen("...\"\n"));
    assert_non_null(strstr(got, "xxx...\"\n"));
}

static void a_line_that_is_too_long_drops_whole_fields_and_says_so(void **state)
{
    (void)state;
    char value[513];
    memset(value, '\x01', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    log_info("m", "a", value, "b", value, "c", "short", NULL);
    const char *got = caught();
    assert_true(strlen(got) < 4096);
    assert_null(strstr(got, " b="));
    const char *end = got + strlen(got) - strlen("\\u0001\" cut=yes\n");
    assert_string_equal(end, "\\u0001\" cut=yes\n");
}

static void lines_that_could_not_be_written_are_counted_in_the_next_one(void **state)
{
    (void)state;
    for (int i = 0; i < 2000; i++) /* the pipe is full and does not block long before that */
        log_info("filling the pipe with something that takes some room", NULL);
    errno = EDOM;
    log_info("lost, too", NULL);
    assert_int_equal(errno, EDOM);
    while (*caught())
        ;
    log_info("room again", NULL);
    const char *got = caught();
    assert_non_null(strstr(got, "msg=\"room again\" lost_lines="));
    log_info("nothing lost since", NULL);
    assert_string_equal(caught(), "msg=\"nothing lost since\"\n");
}

static void eight_numbers_may_stand_in_one_line(void **state)
{
    (void)state;
    log_info("m", "a", log_number(INT64_MIN), "b", log_number(2), "c", log_number(3), "d",
             log_number(4), "e", log_number(5), "f", log_number(6), "g", log_number(7), "h",
             log_number(8), NULL);
    assert_string_equal(caught(), "msg=\"m\" a=-9223372036854775808 b=2 c=3 d=4 e=5 f=6 g=7 h=8\n");
}

static void every_lets_one_through_in_an_interval_and_survives_a_clock_set_back(void **state)
{
    (void)state;
    int64_t site = 0;
    assert_true(log_every(&site, 60, 1000));
    assert_false(log_every(&site, 60, 1000));
    assert_false(log_every(&site, 60, 1059));
    assert_true(log_every(&site, 60, 1060));
    assert_true(log_every(&site, 60, 500));
    assert_false(log_every(&site, 60, 501));
}

int main(void)
{
#define WITH_PIPE(test) cmocka_unit_test_setup_teardown(test, catch_stderr, give_stderr_back)
    const struct CMUnitTest tests[] = {
        WITH_PIPE(a_line_starts_with_priority_name_level_and_process),
        WITH_PIPE(values_cannot_forge_a_field_or_a_line),
        WITH_PIPE(lines_below_the_level_are_not_written),
        WITH_PIPE(long_values_are_cut_between_characters),
        WITH_PIPE(a_line_that_is_too_long_drops_whole_fields_and_says_so),
        WITH_PIPE(lines_that_could_not_be_written_are_counted_in_the_next_one),
        WITH_PIPE(eight_numbers_may_stand_in_one_line),
        cmocka_unit_test(every_lets_one_through_in_an_interval_and_survives_a_clock_set_back),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
