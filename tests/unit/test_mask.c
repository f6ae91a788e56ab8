#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dispatcher/catalog.h"
#include "dispatcher/mask.h"

static void a_secret_is_found_in_each_of_its_forms(void **state)
{
    (void)state;
    static const struct {
        const char *secret;
        const char *text;
        const char *masked;
    } rows[] = {
        {"abc/def", "you sent abc/def.", "you sent *******."},
        {"abc/def", "{\"t\":\"abc\\/def\"}", "{\"t\":\"********\"}"},
        {"abc\"def", "{\"t\":\"abc\\\"def\"}", "{\"t\":\"********\"}"},
        {"abc\\def", "\"abc\\\\def\"", "\"********\""},
        {"abc/def", "?t=abc%2Fdef&u=%61bc%2fdef", "?t=*********&u=***********"},
        {"abcabcd", "abcabcabcd", "abc*******"},
        {"abc/def", "abc/de", "abc/de"},
        {"abc/def", "abc\\", "abc\\"},
        {"abc/def", "abc%2", "abc%2"},
        {"short", "short", "short"},
        {"", "text", "text"},
        {"abcdef", "abcdefabcdef", "************"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[64];
        size_t len = strlen(rows[i].text);

        snprintf(text, sizeof text, "%s", rows[i].text);
        mask_secret(rows[i].secret, text, len);
        if (strcmp(text, rows[i].masked) != 0)
            fail_msg("row %zu: %s", i, text);
    }
}

static void a_service_has_its_token_and_what_its_header_makes_of_it(void **state)
{
    (void)state;
    char token[] = "to0ken-99";
    char header[] = "Authorization: Basic dXNlcjp0bzBrZW4tOTk=";
    struct service s = {.auth_token = token, .auth_header = header};
    char text[] = "Basic dXNlcjp0bzBrZW4tOTk= is to0ken-99";

    mask_service(&s, text, strlen(text));
    assert_string_equal(text, "Basic ******************** is *********");
    s = (struct service){0};
    mask_service(&s, text, strlen(text));
    assert_string_equal(text, "Basic ******************** is *********");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_is_found_in_each_of_its_forms),
        cmocka_unit_test(a_service_has_its_token_and_what_its_header_makes_of_it),
    };
    return cmocka_run_group_tests_name("mask", tests, NULL, NULL);
}
