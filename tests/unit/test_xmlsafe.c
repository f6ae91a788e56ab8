/* Foreign XML: each rule alone, and the encodings. What hurts a whole call is in test_soap.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dispatcher/xmlsafe.h"

enum { MAX = 1 << 20 };

static int parse(const char *text, size_t len, char *reason, size_t size)
{
    xmlDoc *doc = NULL;
    int r = xmlsafe_parse(text, len, MAX, &doc, reason, size);
    xmlFreeDoc(doc);
    return r;
}

#define TEXT(literal) literal, sizeof(literal) - 1

static const struct {
    const char *text;
    size_t len;
    const char *reason; /* NULL: accepted */
} rows[] = {
    {TEXT("<a/>"), NULL},
    {TEXT(" \r\n<a/>"), NULL},
    {TEXT("\xef\xbb\xbf<?xml version='1.0' encoding='UTF-8'?><a>\xc3\xa9</a>"), NULL},
    {TEXT("<?xml version='1.0' encoding = \"iso-8859-1\"?><a>\xe9</a>"), NULL},
    {TEXT("<?xml version='1.0' encoding='Windows-1252'?><a>\x80</a>"), NULL},
    {TEXT("\xff\xfe<\0a\0/\0>\0"), NULL},
    {TEXT("\xfe\xff\0<\0a\0/\0>"), NULL},
    {TEXT("<\0a\0/\0>\0"), NULL},
    {TEXT("<a b='>'><!-- <x --><![CDATA[<y>]]><?z <?></a>"), NULL},
    {TEXT("<a>&lt;&#65;</a>"), NULL},
    {TEXT(""), "it is empty"},
    {TEXT("  \n"), "it is empty"},
    {TEXT("text"), "it is no XML"},
    {TEXT("<a>\0</a>"), "it is no XML"},
    {TEXT("\x4c\x6f\xa7\x94"), "it is no XML"},
    {TEXT("\0\0\0<\0\0\0a"), "it is no XML"},
    {TEXT("<!DOCTYPE a><a/>"), "it holds a DTD"},
    {TEXT("<?xml version='1.0'?><!-- --><!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"),
     "it holds a DTD"},
    {TEXT("\xff\xfe<\0!\0D\0O\0C\0T\0Y\0P\0E\0 \0a\0>\0<\0a\0/\0>\0"), "it holds a DTD"},
    {TEXT("<?xml version='1.0' encoding='UTF-7'?><a/>"), "its encoding is not accepted"},
    {TEXT("<?xml version='1.0' encoding='UTF-16'?><a/>"), "its encoding is not accepted"},
    {TEXT("<?xml version='1.0' encoding=EBCDIC?><a/>"), "its encoding is not accepted"},
    {TEXT("\xff\xfe<\0a\0/\0>"), "it is no UTF-16"},
    {TEXT("\xff\xfe<\0\0\xd8/\0>\0"), "it is no UTF-16"},
    {TEXT("<a"), "a tag does not end"},
    {TEXT("<a b='>"), "a tag does not end"},
    {TEXT("<a><!-- </a>"), "a comment, instruction or CDATA section does not end"},
};

static void accepts_and_refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char reason[200] = "";
        int r = parse(rows[i].text, rows[i].len, reason, sizeof(reason));
        if (rows[i].reason ? strcmp(reason, rows[i].reason) != 0 : r != 0) {
            fail_msg("row %zu: %d \"%s\"", i, r, reason);
        }
    }
    assert_int_equal(xmlsafe_refused_loads(), 0);
}

static char *repeated(const char *head, const char *part, size_t n, const char *tail)
{
    size_t size = strlen(head) + n * strlen(part) + strlen(tail) + 1;
    char *text = malloc(size);
    assert_non_null(text);
    size_t len = (size_t)snprintf(text, size, "%s", head);
    for (size_t i = 0; i < n; i++) {
        len += (size_t)snprintf(text + len, size - len, "%s", part);
    }
    (void)snprintf(text + len, size - len, "%s", tail);
    return text;
}

static void bounds_depth_tags_attributes_and_size(void **state)
{
    const struct {
        const char *head, *part, *tail;
        size_t good, bad;
        const char *reason;
    } limits[] = {
        {"", "<a>", "", XMLSAFE_MAX_DEPTH, XMLSAFE_MAX_DEPTH + 1, "it is nested too deep"},
        {"<a b='", "x", "'/>", 16000, XMLSAFE_MAX_TAG, "a tag is too long"},
        {"<a", " b='='", "/>", XMLSAFE_MAX_ATTRIBUTES, XMLSAFE_MAX_ATTRIBUTES + 1,
         "a tag has too many attributes"},
        {"<a>", "<b/>", "</a>", 10000, MAX / 4, "it is too large"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        char reason[200] = "";
        char *good = repeated(limits[i].head, limits[i].part, limits[i].good, limits[i].tail);
        char *bad = repeated(limits[i].head, limits[i].part, limits[i].bad, limits[i].tail);
        assert_int_equal(xmlsafe_scan(good, strlen(good), reason, sizeof(reason)), 0);
        assert_true(parse(bad, strlen(bad), reason, sizeof(reason)) < 0);
        assert_string_equal(reason, limits[i].reason);
        free(good);
        free(bad);
    }
}

static void knows_names_and_texts(void **state)
{
    static const char *const names[] = {"a", "_b", "a-b.c1", "\xc3\xa9t\xc3\xa9"};
    static const char *const others[] = {"", "1a", "a:b", "a b", "a>", "-a", "a\n", "\xff"};
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_true(xmlsafe_is_ncname(names[i], strlen(names[i])));
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_false(xmlsafe_is_ncname(others[i], strlen(others[i])));
    }
    assert_true(xmlsafe_is_text(TEXT("\t\r\n\xc3\xa9")));
    assert_false(xmlsafe_is_text(TEXT("a\0")));
    assert_false(xmlsafe_is_text(TEXT("\x1b")));
    assert_false(xmlsafe_is_text(TEXT("\xef\xbf\xbf")));
    assert_false(xmlsafe_is_text(TEXT("\xff")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_and_refuses),
        cmocka_unit_test(bounds_depth_tags_attributes_and_size),
        cmocka_unit_test(knows_names_and_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
