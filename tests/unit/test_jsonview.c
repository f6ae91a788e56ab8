/* Views of JSON text: nodes, look-ups, decoding. json-c is the oracle for what a text means. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "common/jsontext.h"
#include "common/jsonview.h"

static const char text[] =
    " {\"a\":1, \"b\" : [10,{\"c\":null},[],\"x\\ny\"],\"a\":2,\"\\u0064\\\"\":true,"
    "\"o\":{\"in\":{\"n\":-0,\"f\":1.50}},\"e\":{},\"s\":\"\\ud83d\\ude00\\u0000z\",\"t\":\"\"} ";

static void parse(struct jsonview *v, const char *source)
{
    char reason[100] = "";
    if (jsonview_parse(v, source, strlen(source), 32, reason, sizeof(reason)) != 0)
        fail_msg("%s: %s", source, reason);
}

/* The value as it prints, in a static buffer. */
static const char *printed(const struct jsonview *v, const struct jsonview_node *node)
{
    static char result[4096];
    struct buf out;
    buf_init(&out, sizeof(result) - 1);
    assert_int_equal(jsonview_print(v, node, &out), 0);
    assert_int_equal(buf_error(&out), 0);
    snprintf(result, sizeof(result), "%s", buf_text(&out));
    buf_release(&out);
    return result;
}

static void finds_members_the_last_of_equal_keys_and_decodes_keys(void **state)
{
    (void)state;
    struct jsonview v = {0};
    parse(&v, text);
    const struct jsonview_node *root = jsonview_root(&v);
    assert_string_equal(printed(&v, jsonview_member(&v, root, "a")), "2");
    assert_string_equal(printed(&v, jsonview_member(&v, root, "d\"")), "true");
    assert_null(jsonview_member(&v, root, "d"));
    assert_null(jsonview_member(&v, root, "c"));
    assert_null(jsonview_member(&v, root, ""));
    assert_null(jsonview_member(&v, jsonview_member(&v, root, "a"), "a"));
    assert_null(jsonview_member(&v, NULL, "a"));
    const struct jsonview_node *in = jsonview_member(&v, jsonview_member(&v, root, "o"), "in");
    assert_string_equal(printed(&v, in), "{\"n\":0,\"f\":1.50}");
    assert_string_equal(printed(&v, jsonview_member(&v, in, "n")), "0");
    assert_string_equal(printed(&v, jsonview_member(&v, in, "f")), "1.50");
    assert_string_equal(printed(&v, jsonview_member(&v, root, "e")), "{}");
    assert_string_equal(printed(&v, jsonview_member(&v, root, "t")), "\"\"");
    assert_string_equal(printed(&v, NULL), "null");
    jsonview_release(&v);
}

/* The index of the outermost object holds so many keys, and node numbers of one byte. */
static void finds_members_of_objects_of_every_size(void **state)
{
    struct jsonview v = {0};
    (void)state;
    for (unsigned n = 0; n < 300; n++) {
        struct buf source;
        buf_init(&source, 1 << 16);
        buf_adds(&source, "{\"same\":-1");
        for (unsigned i = 0; i < n; i++)
            buf_addf(&source, ",\"k%u\":%s%u%s", i, i % 7 ? "" : "[", i, i % 7 ? "" : ",0]");
        buf_addf(&source, ",\"same\":%u}", n);
        parse(&v, buf_text(&source));
        const struct jsonview_node *root = jsonview_root(&v);
        const struct jsonview_node *same = jsonview_member(&v, root, "same");
        assert_non_null(same);
        assert_int_equal(strtol(jsonview_bytes(&v, same), NULL, 10), n);
        for (unsigned i = 0; i < n; i++) {
            char key[16];
            (void)snprintf(key, sizeof(key), "k%u", i);
            const struct jsonview_node *value = jsonview_member(&v, root, key);
            value = i % 7 ? value : jsonview_element(&v, value, 0);
            assert_non_null(value);
            assert_int_equal(strtoul(jsonview_bytes(&v, value), NULL, 10), i);
        }
        assert_null(jsonview_member(&v, root, "k300"));
        assert_null(jsonview_member(&v, root, ""));
        buf_release(&source);
    }
    jsonview_release(&v);
}

static void finds_elements(void **state)
{
    (void)state;
    struct jsonview v = {0};
    parse(&v, text);
    const struct jsonview_node *b = jsonview_member(&v, jsonview_root(&v), "b");
    assert_string_equal(printed(&v, jsonview_element(&v, b, 0)), "10");
    assert_string_equal(printed(&v, jsonview_element(&v, b, 1)), "{\"c\":null}");
    assert_string_equal(printed(&v, jsonview_element(&v, b, 2)), "[]");
    assert_string_equal(printed(&v, jsonview_element(&v, b, 3)), "\"x\\ny\"");
    assert_null(jsonview_element(&v, b, 4));
    assert_null(jsonview_element(&v, b, SIZE_MAX));
    assert_null(jsonview_element(&v, jsonview_element(&v, b, 2), 0));
    assert_null(jsonview_element(&v, jsonview_root(&v), 0));
    assert_null(jsonview_element(&v, NULL, 0));
    jsonview_release(&v);
}

static void decodes_every_escape(void **state)
{
    (void)state;
    static const char source[] =
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20AC\\uD83D\\uDE00\\u0000.\"";
    static const char expected[] = "\"\\/\b\f\n\r\t\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\0.";
    struct jsonview v = {0};
    struct buf out;
    parse(&v, source);
    buf_init(&out, 100);
    jsonview_decode(&v, jsonview_root(&v), &out);
    assert_int_equal(out.len, sizeof(expected) - 1);
    assert_memory_equal(out.data, expected, sizeof(expected));
    buf_release(&out);
    jsonview_release(&v);
}

/* Every value of both, side by side. */
static void compare(const struct jsonview *v, const struct jsonview_node *node,
                    struct json_object *tree)
{
    struct buf expected;
    buf_init(&expected, 1 << 20);
    jsontext_print(&expected, tree);
    struct buf got;
    buf_init(&got, 1 << 20);
    assert_int_equal(jsonview_print(v, node, &got), 0);
    assert_string_equal(buf_text(&got), buf_text(&expected));
    buf_release(&expected);
    buf_release(&got);
    if (json_object_is_type(tree, json_type_object)) {
        const struct lh_entry *entry = json_object_get_object(tree)->head;
        for (; entry; entry = entry->next) {
            const struct jsonview_node *member = jsonview_member(v, node, lh_entry_k(entry));
            assert_non_null(member);
            compare(v, member, (struct json_object *)lh_entry_v(entry));
        }
    } else if (json_object_is_type(tree, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(tree); i++)
            compare(v, jsonview_element(v, node, i), json_object_array_get_idx(tree, i));
    }
}

static void agrees_with_json_c_on_real_events(void **state)
{
    (void)state;
    FILE *file = fopen("tests/data/moodle-events.jsonl", "re");
    if (!file)
        fail_msg("tests/data/moodle-events.jsonl: run the test in the top folder");
    char *line = NULL;
    size_t size = 0;
    unsigned count = 0;
    struct jsonview v = {0};
    while (getline(&line, &size, file) > 0) {
        struct json_object *tree = json_tokener_parse(line);
        parse(&v, line);
        compare(&v, jsonview_root(&v), tree);
        json_object_put(tree);
        count++;
    }
    assert_true(count > 1000);
    jsonview_release(&v);
    free(line);
    fclose(file);
}

static void makes_trees_of_any_value(void **state)
{
    (void)state;
    static const char *const rows[] = {"1",    "-2.5e3", "\"a\\n\"",   "true", "false",
                                       "null", "[1,[]]", "{\"a\":{}}", "\"\""};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct jsonview v = {0};
        struct json_object *tree;
        parse(&v, rows[i]);
        assert_int_equal(jsonview_tree(&v, jsonview_root(&v), &tree), 0);
        compare(&v, jsonview_root(&v), tree);
        json_object_put(tree);
        jsonview_release(&v);
    }
}

/* json-c 0.16 alone reads U+1DA00 and U+2D800 as U+FFFD when they are escaped. */
static void keeps_every_surrogate_pair(void **state)
{
    (void)state;
    static const char source[] =
        "{\"\\ud876\\udc00\":[\"\\uD836\\uDE00 \",\"\\\\ud876\\\\udc00\",\"\\ud83d\\ude00\"]}";
    static const char expected[] =
        "{\"\\ud876\\udc00\":[\"\\ud836\\ude00 \",\"\\\\ud876\\\\udc00\",\"\\ud83d\\ude00\"]}";
    struct jsonview v = {0};
    parse(&v, source);
    assert_string_equal(printed(&v, jsonview_root(&v)), expected);
    jsonview_release(&v);
}

static void is_empty_after_a_refusal_and_usable_again(void **state)
{
    (void)state;
    struct jsonview v = {0};
    char reason[100];
    parse(&v, text);
    assert_int_equal(jsonview_parse(&v, "[1,", 3, 32, reason, sizeof(reason)), -EBADMSG);
    assert_string_equal(reason, "the text ends early, at byte 3");
    assert_null(jsonview_root(&v));
    parse(&v, "[3]");
    assert_string_equal(printed(&v, jsonview_root(&v)), "[3]");
    jsonview_release(&v);
    jsonview_release(&v);
}

static void gives_back_the_memory_of_an_unusual_text(void **state)
{
    (void)state;
    static char many[20001];
    struct jsonview v = {0};
    many[0] = '[';
    for (size_t i = 1; i < sizeof(many) - 2; i += 2)
        many[i] = '1', many[i + 1] = ',';
    memcpy(many + sizeof(many) - 3, "1]", 3);
    parse(&v, many);
    assert_true(v.cap > 9000);
    jsonview_reset(&v);
    assert_int_equal(v.cap, 0);
    parse(&v, text);
    jsonview_reset(&v);
    assert_true(v.cap > 0);
    jsonview_release(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_members_the_last_of_equal_keys_and_decodes_keys),
        cmocka_unit_test(finds_members_of_objects_of_every_size),
        cmocka_unit_test(finds_elements),
        cmocka_unit_test(decodes_every_escape),
        cmocka_unit_test(agrees_with_json_c_on_real_events),
        cmocka_unit_test(makes_trees_of_any_value),
        cmocka_unit_test(keeps_every_surrogate_pair),
        cmocka_unit_test(is_empty_after_a_refusal_and_usable_again),
        cmocka_unit_test(gives_back_the_memory_of_an_unusual_text),
    };
    return cmocka_run_group_tests_name("jsonview", tests, NULL, NULL);
}
