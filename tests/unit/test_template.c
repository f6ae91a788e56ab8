/* Templates: what compiles to what, what is refused and where, what a render inserts. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/jsontext.h"
#include "common/jsonview.h"
#include "dispatcher/path.h"
#include "dispatcher/template.h"

static const char event_text[] =
    "{\"eventname\":\"\\\\core\\\\event\\\\user_created\",\"objectid\":9,\"userid\":\"12\","
    "\"big\":\"123456789012345678901234567890\",\"zero\":0,\"lead\":\"007\",\"neg\":\"-1.50\","
    "\"relateduserid\":null,\"anonymous\":false,\"yes\":true,\"empty\":\"\",\"float\":1.50,"
    "\"timecreated\":1795348440,\"timetext\":\"1795348440\",\"name\":\"Zo\\u00eb \\\"Z\\\" / "
    "O'Neill\","
    "\"evil\":\"{{userid}}\\\",\\\"x\\\":\\\"\",\"url\":\"a "
    "b/../c?d=e&f#g%\",\"crlf\":\"a\\r\\nb\","
    "\"other\":{\"grade\":{\"final\":87.5},\"items\":[\"a\",{\"k\":7}],\"none\":{},\"list\":[],"
    "\"0\":\"zero key\",\"na-me_1\":\"n\",\"\\u00fcber\":\"u\"}}";

static const char user_text[] = "{\"id\":12,\"firstname\":\"Zo\u00eb\",\"idnumber\":\"0042\","
                                "\"phone1\":\"5\"}";
static const char course_text[] =
    "{\"id\":2,\"fullname\":\"A & B\",\"category\":{\"name\":\"Arts\"}}";

static const char *const looked_up[PATH_ROOTS] = {
    [ROOT_USER] = user_text,
    [ROOT_USER_PROFILE] = "{\"student_id\":\"S-1\"}",
    [ROOT_COURSE] = course_text,
};

static struct jsonview event;
static struct jsonview views[PATH_ROOTS];
static struct enrichment data;

static int parse_event(void **state)
{
    (void)state;
    char reason[100];
    for (size_t i = 0; i < PATH_ROOTS; i++) {
        if (looked_up[i] &&
            jsonview_parse(&views[i], looked_up[i], strlen(looked_up[i]), 32, reason, 100) < 0) {
            return -1;
        }
        data.views[i] = &views[i];
    }
    return jsonview_parse(&event, event_text, strlen(event_text), 32, reason, sizeof(reason));
}

static int free_event(void **state)
{
    (void)state;
    jsonview_release(&event);
    for (size_t i = 0; i < PATH_ROOTS; i++) {
        jsonview_release(&views[i]);
    }
    return 0;
}

/* Compiles and renders; the result or the reason is in a static buffer. */
static const char *rendered(enum template_kind kind, const char *source,
                            enum template_escape escape)
{
    static char text[4096];
    char reason[400] = "no reason";
    struct template *t = NULL;
    struct buf out;
    buf_init(&out, sizeof(text) - 1);
    int r = template_compile(kind, source, &t, reason, sizeof(reason));
    if (r == 0) {
        const struct path_source from = {&event, &data};
        r = template_render(t, &from, escape, &out, reason, sizeof(reason));
    }
    (void)snprintf(text, sizeof(text), "%s", r == 0 ? buf_text(&out) : reason);
    if (r == 0) {
        assert_int_equal(buf_error(&out), 0);
        if (kind == TEMPLATE_JSON &&
            jsontext_check(out.data, out.len, 66, reason, sizeof(reason)) < 0) {
            fail_msg("%s became %s: %s", source, text, reason);
        }
    }
    buf_release(&out);
    template_free(t);
    return text;
}

struct row {
    const char *source;
    const char *result;
};

static void check_rows(enum template_kind kind, enum template_escape escape, const struct row *rows,
                       size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *text = rendered(kind, rows[i].source, escape);
        if (strcmp(text, rows[i].result) != 0) {
            fail_msg("%s\n  gave   %s\n  not    %s", rows[i].source, text, rows[i].result);
        }
    }
}

#define CHECK_ROWS(kind, escape, rows)                                                             \
    check_rows(kind, escape, rows, sizeof(rows) / sizeof((rows)[0]))

static void writes_the_literal_part_as_json_encode_does(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {" { \"a\" : 1 ,\n\t\"b\" : [ 1 , 2.50 , -0 , 1e+5 ] } ",
         "{\"a\":1,\"b\":[1,2.50,-0,1e+5]}"},
        {"{}", "{}"},
        {"[]", "[]"},
        {"[ ]", "[]"},
        {"{\"a\":{ }}", "{\"a\":{}}"},
        {"\"a/b\"", "\"a\\/b\""},
        {"\"a\\/b\"", "\"a\\/b\""},
        {"\"\xc3\xa9 \xf0\x9f\x98\x80\"", "\"\\u00e9 \\ud83d\\ude00\""},
        {"\"\\u00E9 \\uD83D\\uDE00\"", "\"\\u00e9 \\ud83d\\ude00\""},
        {"\"\\u0041\\t\\u0009\\b\\u0000\"", "\"A\\t\\t\\b\\u0000\""},
        {"true", "true"},
        {" null ", "null"},
        {"12", "12"},
        {"{\"a\":1,\"b\":2,\"a\":3}", "{\"a\":3,\"b\":2}"},
        {"{\"a\":1,\"\\u0061\":3}", "{\"a\":3}"},
        {"{\"a\":{\"b\":1,\"b\":2},\"b\":3}", "{\"a\":{\"b\":2},\"b\":3}"},
        {"{\"a\":\"{{userid}}\",\"a\":\"x\"}", "{\"a\":\"x\"}"},
        {"\"\\u007b\\u007buserid}}\"", "\"{{userid}}\""},
        {"\"}} } { {\"", "\"}} } { {\""},
    };
    CHECK_ROWS(TEMPLATE_JSON, ESCAPE_NONE, rows);
}

static void inserts_what_was_looked_up(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"\"{{user.firstname}} {{ user.lastname }}!\"", "\"Zo\\u00eb !\""},
        {"[{{user.id}},{{user.idnumber}},{{user.phone1}},{{user.email}}]", "[12,\"0042\",5,null]"},
        {"{{user.firstname | upper}}", "\"ZO\\u00cb\""},
        {"[{{user.profile.student_id}},{{user.profile.other}}]", "[\"S-1\",null]"},
        {"[{{course.fullname}},{{course.category.name}},{{course.category.id}}]",
         "[\"A & B\",\"Arts\",null]"},
        {"[{{relateduser.id}},{{relateduser.profile.x}},{{cm.name}},{{site.fullname}}]",
         "[null,null,null,null]"},
        {"{{relateduser.firstname | default: \"nobody\"}}", "\"nobody\""},
        {"[{{other.course}},{{Course.x}},{{users.password}}]", "[null,null,null]"},
    };
    CHECK_ROWS(TEMPLATE_JSON, ESCAPE_NONE, rows);
}

static void refuses_fields_that_are_not_to_be_had(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{{cm.secret}}", "line 1, column 3: there is no cm.secret; cm has added, course, id, "
                          "idnumber, instance, modname, name, visible"},
        {"[1,\n {{ site}}]", "line 2, column 5: site needs a field: fullname, shortname"},
        {"{{site.fullname.x}}",
         "line 1, column 3: there is no site.fullname.x; site has fullname, shortname"},
        {"\"{{user.profile}}\"",
         "line 1, column 4: user.profile needs the short name of one profile field"},
        {"{{relateduser.profile.a.b}}",
         "line 1, column 3: relateduser.profile needs the short name of one profile field"},
    };
    CHECK_ROWS(TEMPLATE_JSON, ESCAPE_NONE, rows);
    static const char *const never[] = {
        "user.password",         "user.secret",  "relateduser.password",
        "user.lastip",           "user.deleted", "course.category",
        "course.category.theme", "user",         "course.password"};
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
        char source[64];
        (void)snprintf(source, sizeof(source), "{{%s}}", never[i]);
        assert_memory_equal(rendered(TEMPLATE_JSON, source, ESCAPE_NONE), "line 1, column 3: ", 18);
    }
}

static void tells_what_must_be_looked_up(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        unsigned needs;
    } rows[] = {
        {"{\"a\":{{userid}},\"b\":{{other.user.id}}}", 0},
        {"{{user.id}}", ROOT_BIT(ROOT_USER)},
        {"[{{user.profile.x}},\"{{course.category.id}}\"]",
         ROOT_BIT(ROOT_USER_PROFILE) | ROOT_BIT(ROOT_COURSE)},
        {"[{{relateduser.id}},{{relateduser.profile.x}},{{cm.id}},{{site.fullname}}]",
         ROOT_BIT(ROOT_RELATED) | ROOT_BIT(ROOT_RELATED_PROFILE) | ROOT_BIT(ROOT_CM) |
             ROOT_BIT(ROOT_SITE)},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char reason[100];
        struct template *t = NULL;
        assert_int_equal(
            template_compile(TEMPLATE_JSON, rows[i].source, &t, reason, sizeof(reason)), 0);
        assert_int_equal(template_needs(t), rows[i].needs);
        template_free(t);
    }
}

static void inserts_escaped_text_inside_of_strings(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"\"{{eventname}}\"", "\"\\\\core\\\\event\\\\user_created\""},
        {"\"id {{objectid}}, {{userid}}.\"", "\"id 9, 12.\""},
        {"\"{{name}}\"", "\"Zo\\u00eb \\\"Z\\\" \\/ O'Neill\""},
        {"\"<{{relateduserid}}>\"", "\"<>\""},
        {"\"<{{nowhere}}>\"", "\"<>\""},
        {"\"<{{nowhere.at.all}}>\"", "\"<>\""},
        {"\"{{anonymous}} {{yes}} {{float}} {{zero}}\"", "\"false true 1.50 0\""},
        {"\"{{other.grade}}\"", "\"{\\\"final\\\":87.5}\""},
        {"\"{{other.items}}\"", "\"[\\\"a\\\",{\\\"k\\\":7}]\""},
        {"\"{{evil}}\"", "\"{{userid}}\\\",\\\"x\\\":\\\"\""},
        {"{\"{{userid}}\":1}", "{\"12\":1}"},
        {"{\"a{{objectid}}b\":{\"{{evil}}\":[]}}",
         "{\"a9b\":{\"{{userid}}\\\",\\\"x\\\":\\\"\":[]}}"},
        {"\"{{ userid }}{{\tuserid\n}}\"", "\"1212\""},
    };
    CHECK_ROWS(TEMPLATE_JSON, ESCAPE_NONE, rows);
}

static void inserts_values_outside_of_strings(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{\"a\":{{objectid}}}", "{\"a\":9}"},
        {"{\"a\":{{userid}}}", "{\"a\":12}"},
        {"{\"rel\":{{relateduserid}}}", "{\"rel\":null}"},
        {"{\"a\":{{nowhere}}}", "{\"a\":null}"},
        {"{\"a\":{{userid.deeper}}}", "{\"a\":null}"},
        {"[{{eventname}},{{anonymous}},{{yes}}]",
         "[\"\\\\core\\\\event\\\\user_created\",false,true]"},
        {"[{{lead}},{{neg}},{{empty}},{{float}}]", "[\"007\",-1.50,\"\",1.50]"},
        {"{{big}}", "\"123456789012345678901234567890\""},
        {"{{other.grade}}", "{\"final\":87.5}"},
        {"{{other.grade.final}}", "87.5"},
        {"{{other.none}}", "{}"},
        {"{{other.list}}", "[]"},
        {"{{evil}}", "\"{{userid}}\\\",\\\"x\\\":\\\"\""},
    };
    CHECK_ROWS(TEMPLATE_JSON, ESCAPE_NONE, rows);
}

static void follows_paths_into_objects_and_arrays(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{{other.items.0}}", "\"a\""},
        {"{{other.items.1.k}}", "7"},
        {"{{other.items.2}}", "null"},
        {"{{other.items.00}}", "null"},
        {"{{other.items.-1}}", "null"},
        {"{{other.items.999999999999}}", "null"},
        {"{{other.0}}", "\"zero key\""},
        {"{{other.na-me_1}}", "\"n\""},
        {"{{other.\xc3\xbc"
         "ber}}",
         "\"u\""},
        {"{{0}}", "null"},
    };
    CHECK_ROWS(TEMPLATE_JSON, ESCAPE_NONE, rows);
}

static void applies_filters_from_left_to_right(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"[{{userid|string}},{{objectid | string}},{{nowhere|string}}]", "[\"12\",\"9\",null]"},
        {"[{{nowhere|default:\"x\"}},{{nowhere|default:'x'}},{{nowhere|default:x}}]",
         "[\"x\",\"x\",\"x\"]"},
        {"[{{nowhere|default:5}},{{nowhere|default:\"5\"}},{{nowhere|default:\"5\"|string}}]",
         "[5,5,\"5\"]"},
        {"[{{nowhere|default:true}},{{nowhere|default:\"true\"}},{{nowhere|default:null}}]",
         "[true,\"true\",null]"},
        {"[{{empty|default:\"e\"}},{{zero|default:1}},{{anonymous|default:1}}]", "[\"e\",0,false]"},
        {"[{{nowhere|default:\"\"}}]", "[\"\"]"},
        {"\"{{nowhere|default:\"a\\\"b\\\\\"}}\"", "\"a\\\"b\\\\\""},
        {"\"{{nowhere | default : \"}}\" | upper }}\"", "\"}}\""},
        {"\"{{name|upper}} {{name|lower}}\"",
         "\"ZO\\u00cb \\\"Z\\\" \\/ O'NEILL zo\\u00eb \\\"z\\\" \\/ o'neill\""},
        {"[{{userid|upper}}]", "[12]"},
        {"\"{{url|urlencode}}\"", "\"a%20b%2F..%2Fc%3Fd%3De%26f%23g%25\""},
        {"[{{timecreated|iso8601}},{{timetext|iso8601}},{{zero|iso8601}},{{nowhere|iso8601}}]",
         "[\"2026-11-22T11:54:00Z\",\"2026-11-22T11:54:00Z\",\"1970-01-01T00:00:00Z\",null]"},
        {"{{userid|sha256}}",
         "\"6b51d431df5d7f141cbececcf79edf3dd861c3b4069f0b11661a3eefacbba918\""},
        {"[{{nowhere|sha256}}]", "[null]"},
        {"[{{userid|json}},{{other.grade|json}},{{nowhere|json}}]",
         "[\"12\",{\"final\":87.5},null]"},
        {"\"{{userid|json}} {{other.grade|json}} {{nowhere|json}}\"",
         "\"\\\"12\\\" {\\\"final\\\":87.5} null\""},
        {"{{other.grade|string}}", "\"{\\\"final\\\":87.5}\""},
        {"{{userid|json|string}}", "\"\\\"12\\\"\""},
        {"{{nowhere|upper|default:\"d\"|upper}}", "\"D\""},
    };
    CHECK_ROWS(TEMPLATE_JSON, ESCAPE_NONE, rows);
}

static void maps_case_as_unicode_does_in_latin_greek_and_cyrillic(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{{x|default:\"stra\xc3\x9f"
         "e \xc3\xbf \xc5\x93 \xc4\xb1 \xc5\xbf\"|upper}}",
         "STRA\xc3\x9f"
         "E \xc5\xb8 \xc5\x92 I S"},
        {"{{x|default:\"\xce\xac\xce\xb2\xcf\x82 \xd1\x91\xd0\xb6\xd1\x9f\"|upper}}",
         "\xce\x86\xce\x92\xce\xa3 \xd0\x81\xd0\x96\xd0\x8f"},
        {"{{x|default:\"\xce\x86\xce\x92\xce\xa3 \xd0\x81\xd0\x96\xd0\x8f \xe1\xba\xa0\"|lower}}",
         "\xce\xac\xce\xb2\xcf\x83 \xd1\x91\xd0\xb6\xd1\x9f \xe1\xba\xa1"},
        {"{{x|default:\"\xe4\xb8\xad \xf0\x9f\x98\x80 @[`{\"|upper}}",
         "\xe4\xb8\xad \xf0\x9f\x98\x80 @[`{"},
    };
    CHECK_ROWS(TEMPLATE_TEXT, ESCAPE_NONE, rows);
}

static void keeps_url_insertions_within_one_segment(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"/u/{{url}}?q={{url}}&id={{objectid}}",
         "/u/a%20b%2F..%2Fc%3Fd%3De%26f%23g%25?q=a%20b%2F..%2Fc%3Fd%3De%26f%23g%25&id=9"},
        {"/{{url|urlencode}}", "/a%20b%2F..%2Fc%3Fd%3De%26f%23g%25"},
        {"/{{url|urlencode|lower}}", "/a%2520b%252f..%252fc%253fd%253de%2526f%2523g%2525"},
        {"/{{crlf}}", "/a%0D%0Ab"},
        {"/{{nowhere}}/x", "//x"},
        {"/{{name}}", "/Zo%C3%AB%20%22Z%22%20%2F%20O%27Neill"},
        {"/{{float}}/{{yes}}", "/1.50/true"},
        {"/{{other.grade}}", "/%7B%22final%22%3A87.5%7D"},
    };
    CHECK_ROWS(TEMPLATE_TEXT, ESCAPE_URL_SEGMENT, rows);
}

static void refuses_what_is_no_template_and_says_where(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"", "line 1, column 1: expected a JSON value or a placeholder, but the template ends"},
        {"{\"a\":1", "line 1, column 7: expected ',' or '}', but the template ends"},
        {"{\n  \"a\": 1,\n}", "line 3, column 1: expected a key in double quotes, not '}'"},
        {"{\"\xc3\xa9\" 1}", "line 1, column 6: expected ':', not '1'"},
        {"{a:1}", "line 1, column 2: expected a key in double quotes, not 'a'"},
        {"{{{userid}}:1}",
         "line 1, column 3: expected a path such as userid or other.key, not '{'"},
        {"[1,]", "line 1, column 4: expected a JSON value or a placeholder, not ']'"},
        {"[1 2]", "line 1, column 4: expected ',' or ']', not '2'"},
        {"[01]", "line 1, column 2: 01 is not a JSON number"},
        {"[+1]", "line 1, column 2: expected a JSON value or a placeholder, not '+'"},
        {"[1.]", "line 1, column 2: 1. is not a JSON number"},
        {"[99999999999999999999]",
         "line 1, column 2: the number 99999999999999999999 is out of range"},
        {"True", "line 1, column 1: expected a JSON value or a placeholder, not 'T'"},
        {"'a'", "line 1, column 1: expected a JSON value or a placeholder, not '''"},
        {"1 2", "line 1, column 3: expected nothing after the JSON value, not '2'"},
        {"\"abc", "line 1, column 1: this string is not closed"},
        {"\"a\nb\"", "line 1, column 3: the byte 0x0a must be escaped in a string"},
        {"\"\\x\"",
         "line 1, column 3: expected one of \" \\ / b f n r t u after the backslash, not 'x'"},
        {"\"\\u12g4\"", "line 1, column 6: expected four hexadecimal digits after \\u, not 'g'"},
        {"\"\\ud83d\"", "line 1, column 2: this is half a surrogate pair"},
        {"\"\\ude00\"", "line 1, column 2: this is half a surrogate pair"},
        {"\"\\ud83d\\u0041\"", "line 1, column 2: this is half a surrogate pair"},
        {"\"\xff\"", "line 1, column 2: the byte 0xff is not valid UTF-8"},
        {"\"{{\"", "line 1, column 4: expected a path such as userid or other.key, not '\"'"},
        {"\"{{ }}\"", "line 1, column 5: expected a path such as userid or other.key, not '}'"},
        {"\"{{a\"", "line 1, column 5: expected \"}}\" or \"|\", not '\"'"},
        {"{{a", "line 1, column 1: this \"{{\" has no \"}}\""},
        {"{{a}", "line 1, column 4: expected \"}}\" or \"|\", not '}'"},
        {"{{a b}}", "line 1, column 5: expected \"}}\" or \"|\", not 'b'"},
        {"{{a.}}", "line 1, column 5: expected a path such as userid or other.key, not '}'"},
        {"{{.a}}", "line 1, column 3: expected a path such as userid or other.key, not '.'"},
        {"{{a|}}", "line 1, column 5: expected the name of a filter, not '}'"},
        {"{{a|shout}}", "line 1, column 5: there is no filter shout; there are default, string, "
                        "upper, lower, urlencode, iso8601, sha256, json"},
        {"{{a|Upper}}", "line 1, column 5: there is no filter Upper; there are default, string, "
                        "upper, lower, urlencode, iso8601, sha256, json"},
        {"{{a|upper:1}}", "line 1, column 5: the filter upper does not take an argument"},
        {"{{a|default}}", "line 1, column 5: the filter default needs an argument"},
        {"{{a|default:}}", "line 1, column 13: expected an argument: \"text\", 'text', a word or a "
                           "number, not '}'"},
        {"{{a|default:\"x}}", "line 1, column 13: this quote is not closed"},
        {"{{a|default:\"\\n\"}}",
         "line 1, column 15: expected a quote or a backslash after the backslash, not 'n'"},
        {"{{a|lower|lower|lower|lower|lower|lower|lower|lower|lower}}",
         "line 1, column 53: 8 filters at most"},
    };
    CHECK_ROWS(TEMPLATE_JSON, ESCAPE_NONE, rows);
}

static void refuses_values_that_a_filter_cannot_take_without_showing_them(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"[\n {{name|iso8601}}]",
         "line 2, column 2: {{name}}: iso8601 takes unix seconds, and this is no whole number"},
        {"{{float|iso8601}}",
         "line 1, column 1: {{float}}: iso8601 takes unix seconds, and this is no whole number"},
        {"{{empty|iso8601}}",
         "line 1, column 1: {{empty}}: iso8601 takes unix seconds, and this is no whole number"},
        {"{{other.grade|iso8601}}", "line 1, column 1: {{other.grade}}: iso8601 takes unix "
                                    "seconds, and this is no whole number"},
        {"{{big|iso8601}}", "line 1, column 1: {{big}}: iso8601 takes unix seconds, and this is "
                            "outside of the years 0 to 9999"},
    };
    CHECK_ROWS(TEMPLATE_JSON, ESCAPE_NONE, rows);
}

static void bounds_depth_and_length(void **state)
{
    (void)state;
    char deep[2 * TEMPLATE_MAX_DEPTH + 8] = "";
    for (int i = 0; i < TEMPLATE_MAX_DEPTH; i++) {
        deep[i] = '[';
        deep[TEMPLATE_MAX_DEPTH + i] = ']';
    }
    assert_string_equal(rendered(TEMPLATE_JSON, deep, ESCAPE_NONE), deep);
    memset(deep, '[', TEMPLATE_MAX_DEPTH + 1);
    assert_string_equal(rendered(TEMPLATE_JSON, deep, ESCAPE_NONE),
                        "line 1, column 33: nested deeper than 32 levels");

    char *text = calloc(1, TEMPLATE_MAX_SOURCE + 2);
    char reason[100];
    struct template *t = NULL;
    assert_non_null(text);
    memset(text, 'x', TEMPLATE_MAX_SOURCE);
    assert_int_equal(template_compile(TEMPLATE_TEXT, text, &t, reason, sizeof(reason)), 0);
    assert_true(template_is_constant(t));
    template_free(t);
    text[TEMPLATE_MAX_SOURCE] = 'x';
    assert_int_equal(template_compile(TEMPLATE_TEXT, text, &t, reason, sizeof(reason)), -EINVAL);
    assert_non_null(strstr(reason, "the template is longer than 65536 bytes"));
    free(text);
}

static void leaves_an_overflow_to_the_buffer(void **state)
{
    (void)state;
    struct template *t = NULL;
    char reason[100];
    struct buf out;
    buf_init(&out, 10);
    assert_int_equal(template_compile(TEMPLATE_JSON, "[{{eventname}}]", &t, reason, sizeof(reason)),
                     0);
    const struct path_source source = {.event = &event};
    assert_int_equal(template_render(t, &source, ESCAPE_NONE, &out, reason, sizeof(reason)), 0);
    assert_int_equal(buf_error(&out), -EMSGSIZE);
    buf_release(&out);
    template_free(t);
}

static bool is_space(unsigned char byte)
{
    return byte == ' ';
}

static void finds_literal_bytes_and_constant_templates(void **state)
{
    (void)state;
    struct template *t = NULL;
    char reason[100];
    size_t at = 0;
    unsigned char byte = 0;
    assert_int_equal(
        template_compile(TEMPLATE_TEXT, "/a/{{ userid }}/b c", &t, reason, sizeof(reason)), 0);
    assert_false(template_is_constant(t));
    assert_true(template_find_literal(t, is_space, &at, &byte));
    assert_int_equal(at, 17);
    assert_int_equal(byte, ' ');
    template_free(t);
    assert_int_equal(
        template_compile(TEMPLATE_TEXT, "/a/{{ userid }}/b", &t, reason, sizeof(reason)), 0);
    assert_false(template_find_literal(t, is_space, &at, &byte));
    template_free(t);
    assert_int_equal(template_compile(TEMPLATE_TEXT, "", &t, reason, sizeof(reason)), 0);
    assert_true(template_is_constant(t));
    template_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_literal_part_as_json_encode_does),
        cmocka_unit_test(inserts_what_was_looked_up),
        cmocka_unit_test(refuses_fields_that_are_not_to_be_had),
        cmocka_unit_test(tells_what_must_be_looked_up),
        cmocka_unit_test(inserts_escaped_text_inside_of_strings),
        cmocka_unit_test(inserts_values_outside_of_strings),
        cmocka_unit_test(follows_paths_into_objects_and_arrays),
        cmocka_unit_test(applies_filters_from_left_to_right),
        cmocka_unit_test(maps_case_as_unicode_does_in_latin_greek_and_cyrillic),
        cmocka_unit_test(keeps_url_insertions_within_one_segment),
        cmocka_unit_test(refuses_what_is_no_template_and_says_where),
        cmocka_unit_test(refuses_values_that_a_filter_cannot_take_without_showing_them),
        cmocka_unit_test(bounds_depth_and_length),
        cmocka_unit_test(leaves_an_overflow_to_the_buffer),
        cmocka_unit_test(finds_literal_bytes_and_constant_templates),
    };
    return cmocka_run_group_tests(tests, parse_event, free_event);
}
