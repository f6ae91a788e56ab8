/* Heads of HTTP requests, whole, in pieces, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/httpget.h"

#define LONG64 "/0123456789012345678901234567890123456789012345678901234567890123"

static const struct {
    const char *head;
    enum httpget result;
    const char *path;
    bool head_only;
} rows[] = {
    {"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", HTTPGET_OK, "/metrics", false},
    {"GET /metrics HTTP/1.0\r\n\r\n", HTTPGET_OK, "/metrics", false},
    {"GET /metrics HTTP/1.0\n\n", HTTPGET_OK, "/metrics", false},
    {"HEAD /healthz HTTP/1.1\r\nA: b\r\n\r\nmore", HTTPGET_OK, "/healthz", true},
    {"GET /metrics?name[]=a HTTP/1.1\r\n\r\n", HTTPGET_OK, "/metrics", false},
    {"GET / HTTP/1.1\r\n\r\n", HTTPGET_OK, "/", false},
    {"GET " LONG64 " HTTP/1.1\r\n\r\n", HTTPGET_OK, NULL, false},
    {"POST /metrics HTTP/1.1\r\n\r\n", HTTPGET_METHOD, NULL, false},
    {"get /metrics HTTP/1.1\r\n\r\n", HTTPGET_METHOD, NULL, false},
    {"GET http://a/metrics HTTP/1.1\r\n\r\n", HTTPGET_INVALID, NULL, false},
    {"GET /metrics HTTP/2\r\n\r\n", HTTPGET_INVALID, NULL, false},
    {"GET /metrics\r\n\r\n", HTTPGET_INVALID, NULL, false},
    {"GET  /metrics HTTP/1.1\r\n\r\n", HTTPGET_INVALID, NULL, false},
    {"GET /me trics HTTP/1.1\r\n\r\n", HTTPGET_INVALID, NULL, false},
    {"\r\n\r\n", HTTPGET_INVALID, NULL, false},
    {"\n\n", HTTPGET_INVALID, NULL, false},
    {"GET /metrics HTTP/1.1\r\nHost: a\r\n", HTTPGET_MORE, NULL, false},
    {"GET", HTTPGET_MORE, NULL, false},
    {"", HTTPGET_MORE, NULL, false},
};

static void each_head_is_what_it_is(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct httpget_request r = {.head_only = false};
        enum httpget result = httpget_parse(rows[i].head, strlen(rows[i].head), &r);

        if (result != rows[i].result || (rows[i].path && strcmp(rows[i].path, r.path) != 0) ||
            (result == HTTPGET_OK && r.head_only != rows[i].head_only))
            fail_msg("%s: %d, path %s", rows[i].head, (int)result, r.path);
    }
}

static void pieces_are_not_enough_until_the_last(void **state)
{
    const char *head = rows[0].head;
    struct httpget_request r;

    (void)state;
    for (size_t len = 0; len < strlen(head); len++)
        assert_int_equal(httpget_parse(head, len, &r), HTTPGET_MORE);
}

static void a_head_without_end_is_refused(void **state)
{
    static const char begin[] = "GET / HTTP/1.1\r\n";
    static char bytes[HTTPGET_MAX];
    struct httpget_request r;

    (void)state;
    memset(bytes, 'x', sizeof bytes);
    for (size_t i = 0; begin[i]; i++)
        bytes[i] = begin[i];
    assert_int_equal(httpget_parse(bytes, sizeof bytes - 1, &r), HTTPGET_MORE);
    assert_int_equal(httpget_parse(bytes, sizeof bytes, &r), HTTPGET_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_head_is_what_it_is),
        cmocka_unit_test(pieces_are_not_enough_until_the_last),
        cmocka_unit_test(a_head_without_end_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
