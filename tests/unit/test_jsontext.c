#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "common/jsontext.h"

#define LEN(array) (sizeof(array) / sizeof((array)[0]))

/* The text stands in memory of exactly its size, so that a byte read too far is noticed. */
static int check(const char *text, size_t len, unsigned max_depth, char *ret_reason, size_t size)
{
    char *exact = malloc(len ? len : 1);
    assert_non_null(exact);
    memcpy(exact, text, len);
    *ret_reason = '\0';
    int r = jsontext_check(exact, len, max_depth, ret_reason, size);
    free(exact);
    return r;
}

static void json_text_of_every_kind_is_accepted(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "{}",
        "[]",
        "0",
        "-0",
        "true",
        "false",
        "null",
        "\"\"",
        " \t\r\n{ \"a\" : [ 1 , { } , [ ] ] , \"b\" : null } \n",
        "[0,-1,1.5,1e5,1E+5,1.25e-400,-0.0,0e0]",
        "[9223372036854775807,-9223372036854775808,18446744073709551615]",
        "[1.7976931348623157e308,-1.7976931348623157E+308]",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\uD83D\\udc30\"",
        "\"\\u0000\"",
        "\"plain text of more than eight bytes, with DEL \x7f\"",
        "\"\xc3\xb3\xe2\x82\xac\xf0\x9f\x90\xb0\xef\xbf\xbf\xf4\x8f\xbf\xbf\"",
        "{\"a\":1,\"a\":2}",
        "{\"\":\"\"}",
        "[[[[[[[[]]]]]]]]",
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        char reason[128];
        if (check(rows[i], strlen(rows[i]), 8, reason, sizeof(reason)))
            fail_msg("row %zu, %s: %s", i, rows[i], reason);
    }
}

static void what_is_not_json_or_would_be_altered_is_refused_with_place_and_reason(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *reason;
    } rows[] = {
        {"", "no text at all, at byte 0"},
        {" ", "the text ends early, at byte 1"},
        {"{", "the text ends early, at byte 1"},
        {"[1,", "the text ends early, at byte 3"},
        {"{\"a\":", "the text ends early, at byte 5"},
        {"\"abc", "the text ends in a string, at byte 4"},
        {"\"abc\\", "the text ends in a string, at byte 5"},
        {"\"\\u12", "\\u without four hexadecimal digits, at byte 1"},
        {"\"\\u12g4\"", "\\u without four hexadecimal digits, at byte 1"},
        {"\"\\x41\"", "an unknown escape, at byte 1"},
        {"{'a':1}", "expected a key in double quotes, at byte 1"},
        {"{a:1}", "expected a key in double quotes, at byte 1"},
        {"{\"a\" 1}", "expected a colon after the key, at byte 5"},
        {"{\"a\"", "expected a colon after the key, at byte 4"},
        {"{\"a\":1,}", "expected a key in double quotes, at byte 7"},
        {"{,}", "expected a key in double quotes, at byte 1"},
        {"{\"a\":}", "not a value of JSON, at byte 5"},
        {"[1,]", "not a value of JSON, at byte 3"},
        {"[,1]", "not a value of JSON, at byte 1"},
        {"[1 2]", "expected , or ] in a list, at byte 3"},
        {"[1}", "expected , or ] in a list, at byte 2"},
        {"{\"a\":1]", "expected , or } in an object, at byte 6"},
        {"]", "not a value of JSON, at byte 0"},
        {"'a'", "not a value of JSON, at byte 0"},
        {"NaN", "not a value of JSON, at byte 0"},
        {"Infinity", "not a value of JSON, at byte 0"},
        {"-Infinity", "not a number of JSON, at byte 0"},
        {"True", "not a value of JSON, at byte 0"},
        {"nul", "not a value of JSON, at byte 0"},
        {"nulll", "more text after the value, at byte 4"},
        {"{} {}", "more text after the value, at byte 3"},
        {"[]]", "more text after the value, at byte 2"},
        {"/**/1", "not a value of JSON, at byte 0"},
        {"\xef\xbb\xbf{}", "not a value of JSON, at byte 0"},
        {"01", "not a number of JSON, at byte 0"},
        {"-", "not a number of JSON, at byte 0"},
        {"1.", "not a number of JSON, at byte 0"},
        {".5", "not a value of JSON, at byte 0"},
        {"+1", "not a value of JSON, at byte 0"},
        {"1e", "not a number of JSON, at byte 0"},
        {"1e+", "not a number of JSON, at byte 0"},
        {"0x10", "more text after the value, at byte 1"},
        {"[18446744073709551616]", "an integer of more than 64 bits, at byte 1"},
        {"[-9223372036854775809]", "an integer of more than 64 bits, at byte 1"},
        {"[99999999999999999999]", "an integer of more than 64 bits, at byte 1"},
        {"[1e400]", "a number that is too large, at byte 1"},
        {"[-1.8e308]", "a number that is too large, at byte 1"},
        {"\"a\nb\"", "a control character in a string, at byte 2"},
        {"\"abcdefgh\x1f\"", "a control character in a string, at byte 9"},
        {"\"\\ud83d\"", "half of a surrogate pair, at byte 1"},
        {"\"\\ud83d\\u0041\"", "half of a surrogate pair, at byte 1"},
        {"\"\\ud83dx\"", "half of a surrogate pair, at byte 1"},
        {"\"\\ude00\\ud83d\"", "half of a surrogate pair, at byte 1"},
        {"\"\\ud83d\\u", "half of a surrogate pair, at byte 1"},
        {"{\"a\\u0000b\":1}", "\\u0000 in a key, at byte 3"},
        {"\"\xc3\"", "invalid UTF-8, at byte 1"},
        {"\"abcdefgh\x80\"", "invalid UTF-8, at byte 9"},
        {"\"\xc0\xaf\"", "invalid UTF-8, at byte 1"},
        {"\"\xed\xa0\x80\"", "invalid UTF-8, at byte 1"},
        {"\"\xf4\x90\x80\x80\"", "invalid UTF-8, at byte 1"},
        {"\"\xe2\x82", "invalid UTF-8, at byte 1"},
        {"[[[[[[[[[]]]]]]]]]", "too many levels, at byte 8"},
        {"[[[[[[[[{}]]]]]]]]", "too many levels, at byte 8"},
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        char reason[128];
        int r = check(rows[i].text, strlen(rows[i].text), 8, reason, sizeof(reason));
        if (r != -EBADMSG || strcmp(reason, rows[i].reason) != 0)
            fail_msg("row %zu, %s: %d %s, expected %s", i, rows[i].text, r, reason, rows[i].reason);
    }
}

static void a_nul_byte_is_no_end_of_text(void **state)
{
    (void)state;
    char reason[128];
    assert_int_equal(check("{}\0", 3, 8, reason, sizeof(reason)), -EBADMSG);
    assert_string_equal(reason, "more text after the value, at byte 2");
    assert_int_equal(check("\"a\0b\"", 5, 8, reason, sizeof(reason)), -EBADMSG);
    assert_string_equal(reason, "a control character in a string, at byte 2");
    assert_int_equal(check("\"\\\0\"", 4, 8, reason, sizeof(reason)), -EBADMSG);
    assert_string_equal(reason, "an unknown escape, at byte 1");
}

static void every_special_byte_is_found_at_every_place_of_a_word(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        for (size_t at = 1; at < 18; at++) {
            char text[20];
            char reason[128];
            memset(text, 'x', sizeof(text));
            text[0] = text[sizeof(text) - 1] = '"';
            text[at] = (char)byte;
            bool ok = check(text, sizeof(text), 1, reason, sizeof(reason)) == 0;
            bool expected = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
            if (ok != expected)
                fail_msg("byte %02x at %zu: %s", byte, at, ok ? "accepted" : reason);
        }
    }
}

static void levels_are_counted_up_to_the_limit_of_the_module(void **state)
{
    (void)state;
    char text[2 * (JSONTEXT_MAX_DEPTH + 1)];
    char reason[128];
    for (unsigned depth = 1; depth <= JSONTEXT_MAX_DEPTH + 1; depth++) {
        bool object = depth % 3 == 0;
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        text[depth - 1] = object ? '{' : '[';
        text[depth] = object ? '}' : ']';
        int r = check(text, 2 * (size_t)depth, depth, reason, sizeof(reason));
        if (r != (depth <= JSONTEXT_MAX_DEPTH ? 0 : -EBADMSG))
            fail_msg("%u levels: %d %s", depth, r, reason);
        if (!check(text, 2 * (size_t)depth, depth - 1, reason, sizeof(reason)))
            fail_msg("%u levels were accepted with a limit of %u", depth, depth - 1);
    }
}

static void long_numbers_are_judged_by_their_value_and_length(void **state)
{
    (void)state;
    char text[1100];
    char reason[128];
    memset(text, '1', sizeof(text));
    text[1] = '.';
    assert_int_equal(check(text, 1024, 1, reason, sizeof(reason)), 0);
    assert_int_equal(check(text, 1025, 1, reason, sizeof(reason)), -EBADMSG);
    assert_string_equal(reason, "a number of more than 1024 characters, at byte 0");
    text[1] = '1';
    text[308] = '.';
    assert_int_equal(check(text, 320, 1, reason, sizeof(reason)), 0);
    text[308] = '1';
    text[310] = '.';
    assert_int_equal(check(text, 320, 1, reason, sizeof(reason)), -EBADMSG);
    assert_string_equal(reason, "a number that is too large, at byte 0");
}

static void numbers_are_told_from_other_text(void **state)
{
    (void)state;
    static const char *const numbers[] = {"0", "-0", "12", "-1.5e+3", "1e400"};
    static const char *const others[] = {"", " 1", "1 ", "01", "1.", "-", "+1", "0x1", "1a", "."};
    for (size_t i = 0; i < LEN(numbers); i++)
        if (!jsontext_is_number(numbers[i], strlen(numbers[i])))
            fail_msg("%s was not taken for a number", numbers[i]);
    for (size_t i = 0; i < LEN(others); i++)
        if (jsontext_is_number(others[i], strlen(others[i])))
            fail_msg("%s was taken for a number", others[i]);
}

static void safe_numbers_survive_every_parser(void **state)
{
    (void)state;
    static const char *const safe[] = {"0", "-1", "18446744073709551615", "-9223372036854775808",
                                       "1e300"};
    static const char *const others[] = {
        "", "x", "1x", "18446744073709551616", "-9223372036854775809", "1e400"};
    for (size_t i = 0; i < LEN(safe); i++)
        if (!jsontext_is_safe_number(safe[i], strlen(safe[i])))
            fail_msg("%s was not taken for a safe number", safe[i]);
    for (size_t i = 0; i < LEN(others); i++)
        if (jsontext_is_safe_number(others[i], strlen(others[i])))
            fail_msg("%s was taken for a safe number", others[i]);
}

/* Runs of plain bytes are skipped eight at a time: a byte counts wherever it stands. */
static void a_byte_is_escaped_and_checked_wherever_it_stands(void **state)
{
    enum { LONG = 20 };
    (void)state;
    for (unsigned byte = 1; byte < 0x80; byte++) {
        for (size_t at = 0; at < LONG; at++) {
            char text[LONG + 3];
            char alone = (char)byte;
            char reason[100];
            struct buf one;
            struct buf all;
            memset(text, 'a', sizeof(text));
            text[0] = text[LONG + 1] = '"';
            text[at + 1] = alone;
            buf_init(&one, 100);
            buf_init(&all, 100);
            jsontext_escape(&one, &alone, 1);
            jsontext_escape(&all, text + 1, LONG);
            assert_int_equal(all.len, LONG - 1 + one.len);
            assert_memory_equal(all.data + at, one.data, one.len);
            /* followed by an "a" a backslash is a bad escape too */
            bool good = byte >= 0x20 && byte != '"' && byte != '\\';
            assert_int_equal(check(text, LONG + 2, 1, reason, sizeof(reason)) == 0, good);
            buf_release(&one);
            buf_release(&all);
        }
    }
}

static void text_is_escaped_as_php_does(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *expected;
    } rows[] = {
        {"", ""},
        {"plain <>&' text\x7f", "plain <>&' text\x7f"},
        {"a/b\\c\"d", "a\\/b\\\\c\\\"d"},
        {"\b\f\n\r\t\x01\x1f", "\\b\\f\\n\\r\\t\\u0001\\u001f"},
        {"Gesti\xc3\xb3n \xe2\x82\xac", "Gesti\\u00f3n \\u20ac"},
        {"\xf0\x9f\x90\xb0\xf4\x8f\xbf\xbf", "\\ud83d\\udc30\\udbff\\udfff"},
        {"\xff\xc3", "\\ufffd\\ufffd"},
    };
    struct buf out;
    buf_init(&out, 1000);
    for (size_t i = 0; i < LEN(rows); i++) {
        buf_reset(&out);
        jsontext_escape(&out, rows[i].text, strlen(rows[i].text));
        if (buf_error(&out) || strcmp(buf_text(&out), rows[i].expected) != 0)
            fail_msg("row %zu: %s, expected %s", i, buf_text(&out), rows[i].expected);
    }
    buf_reset(&out);
    jsontext_escape(&out, "a\0b", 3);
    assert_string_equal(buf_text(&out), "a\\u0000b");
    buf_release(&out);
}

static void values_print_as_php_does_and_keep_the_spelling_of_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *expected;
    } rows[] = {
        {"null", "null"},
        {" [ true , false , null ] ", "[true,false,null]"},
        {"{\"a\":{},\"b\":[],\"c/d\":\"\\u00F3\"}", "{\"a\":{},\"b\":[],\"c\\/d\":\"\\u00f3\"}"},
        {"{\"a\":1,\"b\":2,\"a\":3}", "{\"a\":3,\"b\":2}"},
        {"[0,-1,9223372036854775807,-9223372036854775808,18446744073709551615,9223372036854775808]",
         "[0,-1,9223372036854775807,-9223372036854775808,18446744073709551615,"
         "9223372036854775808]"},
        {"[1.50,1E5,1e-7,-0.0,0.1000000000000000055511151231257827]",
         "[1.50,1E5,1e-7,-0.0,0.1000000000000000055511151231257827]"},
        {"[-0]", "[0]"},
        {"\"a\\u0000b\"", "\"a\\u0000b\""},
    };
    struct buf out;
    buf_init(&out, 1000);
    for (size_t i = 0; i < LEN(rows); i++) {
        struct json_object *value = json_tokener_parse(rows[i].text);
        buf_reset(&out);
        jsontext_print(&out, value);
        if (buf_error(&out) || strcmp(buf_text(&out), rows[i].expected) != 0)
            fail_msg("row %zu: %s, expected %s", i, buf_text(&out), rows[i].expected);
        json_object_put(value);
    }
    buf_release(&out);
}

static void numbers_made_by_the_program_print_as_json(void **state)
{
    (void)state;
    struct json_object *list = json_object_new_array();
    json_object_array_add(list, json_object_new_double(0.5));
    json_object_array_add(list, json_object_new_double(1.0 / 0.0));
    json_object_array_add(list, json_object_new_int64(-5));
    struct buf out;
    buf_init(&out, 100);
    jsontext_print(&out, list);
    assert_string_equal(buf_text(&out), "[0.5,null,-5]");
    buf_release(&out);
    json_object_put(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_text_of_every_kind_is_accepted),
        cmocka_unit_test(what_is_not_json_or_would_be_altered_is_refused_with_place_and_reason),
        cmocka_unit_test(a_nul_byte_is_no_end_of_text),
        cmocka_unit_test(every_special_byte_is_found_at_every_place_of_a_word),
        cmocka_unit_test(levels_are_counted_up_to_the_limit_of_the_module),
        cmocka_unit_test(long_numbers_are_judged_by_their_value_and_length),
        cmocka_unit_test(numbers_are_told_from_other_text),
        cmocka_unit_test(safe_numbers_survive_every_parser),
        cmocka_unit_test(a_byte_is_escaped_and_checked_wherever_it_stands),
        cmocka_unit_test(text_is_escaped_as_php_does),
        cmocka_unit_test(values_print_as_php_does_and_keep_the_spelling_of_numbers),
        cmocka_unit_test(numbers_made_by_the_program_print_as_json),
    };
    return cmocka_run_group_tests_name("jsontext", tests, NULL, NULL);
}
