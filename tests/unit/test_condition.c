/* Conditions: which events they want, what is refused and where, and that they always end. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/jsonview.h"
#include "common/timing.h"
#include "dispatcher/catalog.h"
#include "dispatcher/condition.h"
#include "dispatcher/decimal.h"
#include "dispatcher/path.h"

static const char event_text[] =
    "{\"eventname\":\"\\\\core\\\\event\\\\user_created\",\"objectid\":9,\"userid\":\"12\","
    "\"big\":9007199254740993,\"grade\":\"9.50000\",\"lead\":\"007\",\"date\":\"2026-11-22\","
    "\"relateduserid\":null,\"yes\":true,\"no\":false,\"empty\":\"\",\"name\":\"Zo\\u00eb "
    "\\\"Z\\\"\",\"other\":{\"a\":{\"b\":5},\"items\":[\"x\",7]}}";
static const char user_text[] = "{\"firstname\":\"Zo\xc3\xab\",\"lang\":\"fr\"}";

static struct jsonview event;
static struct jsonview user;
static struct enrichment data;

static int parse_event(void **state)
{
    (void)state;
    char reason[100];
    data.views[ROOT_USER] = &user;
    return jsonview_parse(&event, event_text, strlen(event_text), 32, reason, sizeof(reason)) < 0 ||
           jsonview_parse(&user, user_text, strlen(user_text), 32, reason, sizeof(reason)) < 0;
}

static int free_event(void **state)
{
    (void)state;
    jsonview_release(&event);
    jsonview_release(&user);
    return 0;
}

/* "yes", "no", "none" or the reason. */
static const char *verdict(const char *source)
{
    static char reason[600];
    const struct path_source from = {&event, &data};
    struct condition *c = NULL;
    bool wanted = false;
    int r = condition_compile(source, &c, reason, sizeof(reason));
    if (r == 0 && !c) {
        return "none";
    }
    if (r == 0) {
        r = condition_match(c, &from, &wanted, reason, sizeof(reason));
        assert_true(r == 0 || r == -EBADMSG);
        condition_free(c);
    } else {
        assert_int_equal(r, -EINVAL);
    }
    if (r < 0) {
        return reason;
    }
    return wanted ? "yes" : "no";
}

struct row {
    const char *source;
    const char *verdict;
};

static void check_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *is = verdict(rows[i].source);
        if (strcmp(is, rows[i].verdict) != 0) {
            fail_msg("%s\n  gave   %s\n  not    %s", rows[i].source, is, rows[i].verdict);
        }
    }
}

#define CHECK_ROWS(rows) check_rows(rows, sizeof(rows) / sizeof((rows)[0]))

static void knows_what_is_equal(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{\"objectid\":9}", "yes"},
        {"{\"objectid\":\"9\"}", "yes"},
        {"{\"objectid\":{\"$eq\":9.0}}", "yes"},
        {"{\"objectid\":{\"$eq\":\"9.0\"}}", "yes"},
        {"{\"userid\":12}", "yes"},
        {"{\"userid\":\"12\"}", "yes"},
        {"{\"userid\":\"12.0\"}", "no"},
        {"{\"userid\":1.2e1}", "yes"},
        {"{\"grade\":9.5}", "yes"},
        {"{\"grade\":\"9.5\"}", "no"},
        {"{\"lead\":7}", "no"},
        {"{\"lead\":\"007\"}", "yes"},
        {"{\"big\":9007199254740993}", "yes"},
        {"{\"big\":9007199254740992}", "no"},
        {"{\"relateduserid\":null}", "yes"},
        {"{\"missing\":null}", "yes"},
        {"{\"empty\":null}", "no"},
        {"{\"empty\":\"\"}", "yes"},
        {"{\"missing\":\"\"}", "no"},
        {"{\"yes\":true}", "yes"},
        {"{\"yes\":false}", "no"},
        {"{\"no\":false}", "yes"},
        {"{\"yes\":1}", "no"},
        {"{\"yes\":\"true\"}", "no"},
        {"{\"other\":\"x\"}", "no"},
        {"{\"other\":{\"$neq\":\"x\"}}", "yes"},
        {"{\"missing\":{\"$neq\":5}}", "yes"},
        {"{\"objectid\":{\"$neq\":\"9\"}}", "no"},
        {"{\"name\":\"Zo\xc3\xab \\\"Z\\\"\"}", "yes"},
        {"{\"name\":\"Zo\\u00eb \\u0022Z\\u0022\"}", "yes"},
        {"{\"objectid\":{\"$in\":[1,\"9\"]}}", "yes"},
        {"{\"userid\":{\"$in\":[1,12]}}", "yes"},
        {"{\"userid\":{\"$in\":[1,2,\"x\",true,null]}}", "no"},
        {"{\"missing\":{\"$in\":[1,null]}}", "yes"},
        {"{\"userid\":{\"$nin\":[1,12]}}", "no"},
        {"{\"missing\":{\"$nin\":[1,12]}}", "yes"},
    };
    CHECK_ROWS(rows);
}

static void knows_what_is_greater(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{\"userid\":{\"$gt\":9}}", "yes"},
        {"{\"userid\":{\"$gt\":\"9\"}}", "yes"},
        {"{\"userid\":{\"$gt\":12}}", "no"},
        {"{\"userid\":{\"$gte\":12}}", "yes"},
        {"{\"userid\":{\"$lt\":12.01}}", "yes"},
        {"{\"userid\":{\"$lt\":12}}", "no"},
        {"{\"userid\":{\"$lte\":12}}", "yes"},
        {"{\"grade\":{\"$gte\":9.5,\"$lte\":9.5}}", "yes"},
        {"{\"big\":{\"$gt\":9007199254740992}}", "yes"},
        {"{\"date\":{\"$gt\":\"2026-11-21\",\"$lt\":\"2026-11-23\"}}", "yes"},
        {"{\"date\":{\"$gt\":5}}", "no"},
        {"{\"date\":{\"$lt\":5}}", "no"},
        {"{\"lead\":{\"$gt\":5}}", "no"},
        {"{\"objectid\":{\"$gt\":\"a\"}}", "no"},
        {"{\"objectid\":{\"$lt\":\"a\"}}", "no"},
        {"{\"missing\":{\"$lt\":5}}", "no"},
        {"{\"relateduserid\":{\"$gte\":0}}", "no"},
        {"{\"no\":{\"$lt\":5}}", "no"},
        {"{\"other\":{\"$lt\":5}}", "no"},
        {"{\"empty\":{\"$lt\":\"a\"}}", "yes"},
        {"{\"objectid\":{\"$gt\":-1e400}}", "line 1, column 20: a number that is too large"},
    };
    CHECK_ROWS(rows);
}

static void looks_into_texts(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{\"eventname\":{\"$startsWith\":\"\\\\core\\\\\"}}", "yes"},
        {"{\"eventname\":{\"$endsWith\":\"_created\"}}", "yes"},
        {"{\"eventname\":{\"$endsWith\":\"_Created\"}}", "no"},
        {"{\"userid\":{\"$startsWith\":\"1\",\"$endsWith\":\"2\"}}", "yes"},
        {"{\"objectid\":{\"$startsWith\":\"9\"}}", "yes"},
        {"{\"objectid\":{\"$startsWith\":\"99\"}}", "no"},
        {"{\"relateduserid\":{\"$startsWith\":\"\"}}", "no"},
        {"{\"empty\":{\"$startsWith\":\"\"}}", "yes"},
        {"{\"yes\":{\"$startsWith\":\"t\"}}", "no"},
        {"{\"name\":{\"$regex\":\"^Zo.\\\\s\"}}", "yes"},
        {"{\"name\":{\"$regex\":\"(?i)^ZO\xc3\x8b\"}}", "yes"},
        {"{\"name\":{\"$regex\":\"^zo\"}}", "no"},
        {"{\"objectid\":{\"$regex\":\"^[0-9]+$\"}}", "yes"},
        {"{\"yes\":{\"$regex\":\"t\"}}", "no"},
        {"{\"missing\":{\"$regex\":\"\"}}", "no"},
        {"{\"missing\":{\"$exist\":true}}", "no"},
        {"{\"relateduserid\":{\"$exist\":true}}", "no"},
        {"{\"relateduserid\":{\"$exist\":false}}", "yes"},
        {"{\"empty\":{\"$exist\":true}}", "yes"},
        {"{\"no\":{\"$exist\":true}}", "yes"},
        {"{\"other\":{\"$exist\":false}}", "no"},
    };
    CHECK_ROWS(rows);
}

static void joins_conditions(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"", "none"},
        {" \n\t", "none"},
        {"{}", "none"},
        {"{\"objectid\":9,\"userid\":12}", "yes"},
        {"{\"objectid\":9,\"userid\":13}", "no"},
        {"{\"$or\":[{\"objectid\":1},{\"userid\":12}]}", "yes"},
        {"{\"$or\":[{\"objectid\":1},{\"userid\":1}]}", "no"},
        {"{\"$and\":[{\"objectid\":9},{\"userid\":12}]}", "yes"},
        {"{\"$and\":[{\"objectid\":9},{\"userid\":1}]}", "no"},
        {"{\"$not\":{\"objectid\":9,\"userid\":1}}", "yes"},
        {"{\"$not\":{\"objectid\":9,\"userid\":12}}", "no"},
        {"{\"$not\":{\"$not\":{\"objectid\":9}}}", "yes"},
        {"{\"objectid\":{\"$not\":9}}", "no"},
        {"{\"objectid\":{\"$not\":{\"$in\":[1,2]}}}", "yes"},
        {"{\"objectid\":{\"$or\":[1,{\"$gt\":8}]}}", "yes"},
        {"{\"objectid\":{\"$and\":[{\"$gt\":8},{\"$lt\":9}]}}", "no"},
        {"{\"other\":{\"a\":{\"b\":5}}}", "yes"},
        {"{\"other.a.b\":5}", "yes"},
        {"{\"other.a\":{\"b\":{\"$gt\":5}}}", "no"},
        {"{\"other\":{\"$or\":[{\"a.b\":1},{\"items.1\":7}]}}", "yes"},
        {"{\"other.items.0\":\"x\"}", "yes"},
        {"{\"other.items.2\":null}", "yes"},
        {"{\"user.lang\":\"fr\",\"user\":{\"firstname\":{\"$startsWith\":\"Zo\"}}}", "yes"},
        {"{\"relateduser.lang\":null}", "yes"},
    };
    CHECK_ROWS(rows);
    assert_string_equal(verdict(NULL), "none");
}

static void refuses_what_is_no_condition_and_says_where(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"[", "line 1, column 2: the text ends early"},
        {"{\"a\":1} x", "line 1, column 9: more text after the value"},
        {"{\n \"a\": nil}", "line 2, column 7: not a value of JSON"},
        {"[]", "line 1, column 1: expected an object with paths and operators"},
        {"\"x\"", "line 1, column 1: expected an object with paths and operators"},
        {"{\"$not\":5}", "line 1, column 9: expected an object with paths and operators"},
        {"{\"$gt\":5}", "line 1, column 2: expected a path around $gt"},
        {"{\"a\":{}}", "line 1, column 6: expected a path or an operator in this object"},
        {"{\"$or\":[{}]}", "line 1, column 9: expected a path or an operator in this object"},
        {"{\"a\":[1]}", "line 1, column 6: expected a value or an object with operators: a list "
                        "stands behind $in"},
        {"{\"a\":{\"$in\":5}}",
         "line 1, column 13: expected a list of texts, numbers, true, false or null"},
        {"{\"a\":{\"$in\":[]}}",
         "line 1, column 13: expected a list of texts, numbers, true, false or null"},
        {"{\"a\":{\"$in\":[1,[2]]}}",
         "line 1, column 16: expected a text, a number, true, false or null"},
        {"{\"a\":{\"$eq\":{\"$gt\":1}}}",
         "line 1, column 13: expected a text, a number, true, false or null"},
        {"{\"a\":{\"$gt\":true}}", "line 1, column 13: expected a number or a text"},
        {"{\"a\":{\"$startsWith\":5}}", "line 1, column 21: expected a text"},
        {"{\"a\":{\"$exist\":1}}", "line 1, column 16: expected true or false"},
        {"{\"a\":{\"$regex\":1}}",
         "line 1, column 16: expected a text that is a regular expression"},
        {"{\"a\":{\"$regex\":\"(\"}}", "line 1, column 16: the regular expression is wrong at its "
                                       "byte 1: missing closing parenthesis"},
        {"{\"a\":{\"$regex\":\"a\\n\"}}",
         "line 1, column 16: the regular expression holds a control character at its byte 1"},
        {"{\"$or\":{\"a\":1}}", "line 1, column 8: expected a list of conditions"},
        {"{\"$and\":[]}", "line 1, column 9: expected a list of conditions"},
        {"{\"a\":{\"$gte\":1,\"$foo\":1}}",
         "line 1, column 16: there is no operator $foo; there are $and, $endsWith, $eq, $exist, "
         "$gt, $gte, $in, $lt, $lte, $neq, $nin, $not, $or, $regex, $startsWith"},
        {"{\"\xc3\xa9\":1,\"a b\":1}",
         "line 1, column 8: expected a path such as userid or other.key"},
        {"{\"a..b\":1}", "line 1, column 2: expected a path such as userid or other.key"},
        {"{\"\":1}", "line 1, column 2: expected a path such as userid or other.key"},
        {"{\"a\":1,\n\"b\":2,\"\\u0061\":3}",
         "line 2, column 7: this key stands twice in its object"},
        {"{\"site.secret\":1}",
         "line 1, column 2: there is no site.secret; site has fullname, shortname"},
        {"{\"site\":{\"fullname\":{\"$exist\":true},\"x\":{\"$exist\":true}}}",
         "line 1, column 37: there is no site.x; site has fullname, shortname"},
        {"{\"site\":1}", "line 1, column 2: site needs a field: fullname, shortname"},
    };
    CHECK_ROWS(rows);
}

/* count times the text, between two others. */
static char *repeated(const char *before, const char *text, size_t count, const char *after)
{
    size_t len = strlen(text);
    char *all = malloc(strlen(before) + len * count + strlen(after) + 1);
    assert_non_null(all);
    char *at = stpcpy(all, before);
    for (size_t i = 0; i < count; i++) {
        at = stpcpy(at, text);
    }
    (void)stpcpy(at, after);
    return all;
}

static void check_bound(const char *before, const char *text, size_t count, const char *after,
                        const char *words)
{
    char *source = repeated(before, text, count, after);
    const char *is = verdict(source);
    if (!strstr(is, words)) {
        fail_msg("%.60s...: %s, not %s", source, is, words);
    }
    free(source);
}

static void bounds_everything(void **state)
{
    (void)state;
    check_bound("{\"a\":", "{\"$not\":", 30, "5", "the text ends early");
    check_bound("", "{\"$not\":", 33, "", "too many levels");
    check_bound("{\"$or\":[{\"a\":1}", ",{\"a\":1}", 127, "]}", "parts at most");
    check_bound("{\"$or\":[{\"a\":1}", ",{\"a\":1}", 126, "]}", "no");
    check_bound("{\"a\":{\"$in\":[1", ",1", 999, "]}}", "no");
    check_bound("{\"a\":{\"$in\":[1", ",1", 1000, "]}}", "a list may have 1000 values at most");
    check_bound("{\"a\":{\"$regex\":\"", "a", 1024, "\"}}", "no");
    check_bound("{\"a\":{\"$regex\":\"", "a", 1025, "\"}}", "longer than 1024 bytes");
    check_bound("{\"", "a.", 32, "a\":1}", "a path may have 32 keys at most");
    check_bound("{\"a\":\"", "aaaaaaaa", 8192, "\"}", "the condition is longer than 65536 bytes");
}

static const char *regex_verdict(const char *pattern, size_t len)
{
    static char reason[300];
    char source[200];
    struct jsonview view = {0};
    struct condition *c = NULL;
    bool wanted = false;
    char *text = repeated("{\"t\":\"", "a", len, "\"}");
    (void)snprintf(source, sizeof(source), "{\"t\": {\"$regex\": \"%s\"}}", pattern);
    assert_int_equal(condition_compile(source, &c, reason, sizeof(reason)), 0);
    assert_int_equal(jsonview_parse(&view, text, strlen(text), 5, reason, sizeof(reason)), 0);
    const struct path_source from = {.event = &view};
    int r = condition_match(c, &from, &wanted, reason, sizeof(reason));
    condition_free(c);
    jsonview_release(&view);
    free(text);
    return r < 0 ? reason : wanted ? "yes" : "no";
}

static void ends_every_search(void **state)
{
    (void)state;
    static const char *const patterns[] = {
        "(a+)+[bc]",      "(a|aa)+[bc]$",         "(?:.*.*.*.*.*)[bc]",
        "(a*)*\\\\1[bc]", "^(?:a?){64}a{64}[bc]", "(?R)?a*[bc]",
        "((a)*)*[bc]"};
    int64_t began_ms = timing_mono_ms();
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        const char *is = regex_verdict(patterns[i], CONDITION_REGEX_TEXT);
        if (strcmp(is, "no") != 0) {
            assert_string_equal(is, "line 1, column 8: t: the regular expression takes too long on "
                                    "this text");
        }
    }
    print_message("%zu patterns ended in %lld ms\n", sizeof(patterns) / sizeof(patterns[0]),
                  (long long)(timing_mono_ms() - began_ms));
    assert_string_equal(regex_verdict("(a+)+[bc]", CONDITION_REGEX_TEXT),
                        "line 1, column 8: t: the regular expression takes too long on this text");
    assert_string_equal(regex_verdict("a$", CONDITION_REGEX_TEXT), "yes");
    assert_string_equal(
        regex_verdict("a", CONDITION_REGEX_TEXT + 1),
        "line 1, column 8: t: $regex looks at 4096 bytes at most, and this text is longer");
}

static const char *const ascending[] = {"-1e1000",
                                        "-10.1",
                                        "-10",
                                        "-9.99",
                                        "-1e-5",
                                        "0",
                                        "1e-400",
                                        "0.1",
                                        "0.11",
                                        "1",
                                        "1.0001",
                                        "9",
                                        "9.5",
                                        "10",
                                        "99.99",
                                        "1e2",
                                        "123456789012345678901234567890",
                                        "123456789012345678901234567891",
                                        "1e400"};

static void check_order(size_t i, size_t k)
{
    const char *a = ascending[i];
    const char *b = ascending[k];
    int order = decimal_compare(a, strlen(a), b, strlen(b));
    if ((order > 0) - (order < 0) != (i > k) - (i < k)) {
        fail_msg("%s and %s: %d", a, b, order);
    }
}

static void compares_numbers_as_they_are_written(void **state)
{
    (void)state;
    size_t n = sizeof(ascending) / sizeof(ascending[0]);
    for (size_t i = 0; i < n * n; i++) {
        check_order(i / n, i % n);
    }
}

static void knows_numbers_that_are_the_same(void **state)
{
    (void)state;
    static const char *const equal[][2] = {{"0", "-0"},     {"0", "0.000e5"},     {"1", "1.0"},
                                           {"100", "1e2"},  {"0.1", "1e-1"},      {"120", "1.2E2"},
                                           {"1", "10e-1"},  {"0.00120", "12e-4"}, {"-5", "-5.00"},
                                           {"1e2", "1e+02"}};
    for (size_t i = 0; i < sizeof(equal) / sizeof(equal[0]); i++) {
        if (decimal_compare(equal[i][0], strlen(equal[i][0]), equal[i][1], strlen(equal[i][1]))) {
            fail_msg("%s is not %s", equal[i][0], equal[i][1]);
        }
    }
}

static void tells_what_must_be_looked_up(void **state)
{
    (void)state;
    char reason[100];
    struct condition *c = NULL;
    assert_int_equal(condition_compile("{\"userid\":1,\"$or\":[{\"user.lang\":1},{\"course\":"
                                       "{\"category\":{\"name\":1}}}]}",
                                       &c, reason, sizeof(reason)),
                     0);
    assert_int_equal(condition_needs(c), ROOT_BIT(ROOT_USER) | ROOT_BIT(ROOT_COURSE));
    condition_free(c);
    condition_free(NULL);
}

static struct catalog *catalog_of(const struct rule_row *row, const struct rule **ret_rule)
{
    static const struct service_row service = {.id = 3, .name = "crm", .base_url = "http://h/"};
    struct catalog *c = NULL;
    struct catalog_builder *b = catalog_builder_new();
    assert_non_null(b);
    assert_int_equal(catalog_builder_service(b, &service), 0);
    assert_int_equal(catalog_builder_rule(b, row), 0);
    assert_int_equal(catalog_builder_seal(b, &c), 0);
    *ret_rule = service_rule(catalog_service_at(c, 0), row->id);
    assert_non_null(*ret_rule);
    return c;
}

static void is_a_part_of_its_rule(void **state)
{
    (void)state;
    const struct rule *r = NULL;
    struct rule_row row = {.id = 7, .service_id = 3, .eventname = "\\core\\event\\x"};
    struct catalog *c = catalog_of(&row, &r);
    assert_null(r->filter);
    assert_int_equal(r->needs, 0);
    catalog_unref(c);
    row.filter = "{\n \"a\": {\"$gt\":null}}";
    c = catalog_of(&row, &r);
    assert_string_equal(r->fault, "policy: filter, line 2, column 14: expected a number or a text "
                                  "(rule 7, service 3, crm)");
    catalog_unref(c);
    row.filter = NULL;
    row.endpoint = "/{{user.secret}}";
    c = catalog_of(&row, &r);
    assert_non_null(strstr(r->fault, "policy: endpoint, line 1, column 4: there is no user.secret; "
                                     "user has address, "));
    assert_non_null(strstr(r->fault, "timezone, username (rule 7, service 3, crm)"));
    assert_int_equal(r->needs, 0);
    catalog_unref(c);
    row.endpoint = "/{{course.shortname}}";
    row.payload_template = "{\"a\":\"{{user.firstname}}\",\"b\":{{userid}}}";
    row.filter = "{\"site.fullname\":\"x\",\"objectid\":1}";
    c = catalog_of(&row, &r);
    assert_null(r->fault);
    assert_non_null(r->filter);
    assert_int_equal(r->needs, ROOT_BIT(ROOT_COURSE) | ROOT_BIT(ROOT_USER) | ROOT_BIT(ROOT_SITE));
    catalog_unref(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_what_is_equal),
        cmocka_unit_test(knows_what_is_greater),
        cmocka_unit_test(looks_into_texts),
        cmocka_unit_test(joins_conditions),
        cmocka_unit_test(refuses_what_is_no_condition_and_says_where),
        cmocka_unit_test(bounds_everything),
        cmocka_unit_test(ends_every_search),
        cmocka_unit_test(compares_numbers_as_they_are_written),
        cmocka_unit_test(knows_numbers_that_are_the_same),
        cmocka_unit_test(tells_what_must_be_looked_up),
        cmocka_unit_test(is_a_part_of_its_rule),
    };
    return cmocka_run_group_tests(tests, parse_event, free_event);
}
