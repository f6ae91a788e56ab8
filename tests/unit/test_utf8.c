/* UTF-8: what may stand in a log, a header and a page. (test_jsontext.c tries the decoder.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/utf8.h"

static void copies_foreign_text_safely(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
        const char *copy;
    } rows[] = {
        {"", 1, ""},
        {"abc", 1, ""},
        {"abc", 3, "ab"},
        {"abc", 4, "abc"},
        {"M\xc3\xa1laga", 20, "M\xc3\xa1laga"},
        {"M\xc3\xa1laga", 3, "M"},
        {"M\xc3\xa1laga", 4, "M\xc3\xa1"},
        {"a\nb\x7f", 20, "a\\x0ab\\x7f"},
        {"a\nb", 5, "a"},
        {"a\nb", 6, "a\\x0a"},
        {"half \xc3", 20, "half \\xc3"},
        {"\xed\xa0\x80", 20, "\\xed\\xa0\\x80"},
        {"\xc2\x9b"
         "31m",
         20, "\\xc2\\x9b31m"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char copy[32];
        memset(copy, '!', sizeof(copy));
        utf8_copy_safe(copy, rows[i].size, rows[i].text, strlen(rows[i].text));
        assert_string_equal(copy, rows[i].copy);
        assert_int_equal(copy[rows[i].size], '!');
    }
}

static void copies_foreign_text_for_people(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
        size_t size;
        const char *copy;
    } rows[] = {
        {"", 0, 1, ""},
        {"abc", 3, 3, "ab"},
        {"a\n\tb", 4, 20, "a\n\tb"},
        {"a\0b\x1b[31m\r\x7f", 10, 20, "a b [31m  "},
        {"M\xc3\xa1laga", 7, 3, "M"},
        {"half \xc3", 6, 20, "half ?"},
        {"\xc2\x9b!", 3, 20, " !"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char copy[32];
        memset(copy, '!', sizeof(copy));
        utf8_copy_printable(copy, rows[i].size, rows[i].text, rows[i].len);
        assert_string_equal(copy, rows[i].copy);
        assert_int_equal(copy[rows[i].size], '!');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_foreign_text_safely),
        cmocka_unit_test(copies_foreign_text_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
