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

#include "common/envelope.h"
#include "common/jsontext.h"

#define LEN(array) (sizeof(array) / sizeof((array)[0]))

static const char events_file[] = "tests/data/moodle-events.jsonl";
static const struct envelope_limits limits = {.max_bytes = 1 << 20, .max_depth = 32};
static int parse(struct envelope *e, const char *id, const char *body, char *ret_reason,
                 size_t size)
{
    *ret_reason = '\0';
    return envelope_parse(e, &limits, id, body, strlen(body), ret_reason, size);
}

static void an_event_is_taken_apart(void **state)
{
    (void)state;
    struct envelope e = {.body = NULL};
    char reason[200];
    const char *body =
        " {\"eventname\":\"\\\\core\\\\event\\\\user_created\",\"userid\":\"2\"} \r\n";
    assert_int_equal(parse(&e, "0190b2c3-id", body, reason, sizeof(reason)), 0);
    assert_string_equal(e.message_id, "0190b2c3-id");
    assert_string_equal(e.eventname, "\\core\\event\\user_created");
    assert_ptr_equal(e.body, body);
    assert_int_equal(e.body_len, strlen(body));
    const struct jsonview_node *userid = jsonview_member(&e.view, jsonview_root(&e.view), "userid");
    assert_non_null(userid);
    assert_memory_equal(jsonview_bytes(&e.view, userid), "2\"", 2);
    envelope_release(&e);
    assert_null(jsonview_root(&e.view));
    envelope_release(&e);
}

static void real_events_print_to_the_bytes_they_came_in(void **state)
{
    (void)state;
    FILE *file = fopen(events_file, "re");
    if (!file)
        fail_msg("%s cannot be opened: run the test in the top folder", events_file);
    char *line = NULL;
    size_t size = 0;
    ssize_t n;
    unsigned count = 0;
    struct buf out;
    buf_init(&out, 1 << 20);
    while ((n = getline(&line, &size, file)) > 0) {
        line[n - (line[n - 1] == '\n')] = '\0';
        struct envelope e = {.body = NULL};
        char reason[200];
        count++;
        if (parse(&e, "id", line, reason, sizeof(reason)))
            fail_msg("line %u: %s", count, reason);
        buf_reset(&out);
        assert_int_equal(jsonview_print(&e.view, jsonview_root(&e.view), &out), 0);
        if (strcmp(buf_text(&out), line) != 0)
            fail_msg("line %u became %s", count, buf_text(&out));
        envelope_release(&e);
    }
    buf_release(&out);
    free(line);
    fclose(file);
    assert_true(count > 1000);
}

static void what_is_no_event_is_refused_with_a_reason(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *reason;
    } rows[] = {
        {"", "not JSON: no text at all, at byte 0"},
        {"hello", "not JSON: not a value of JSON, at byte 0"},
        {"{\"eventname\":\"x\"", "not JSON: the text ends early, at byte 16"},
        {"[]", "the body is not a JSON object"},
        {" \"eventname\"", "the body is not a JSON object"},
        {"5", "the body is not a JSON object"},
        {"{}", "the event has no eventname"},
        {"{\"eventName\":\"x\"}", "the event has no eventname"},
        {"{\"eventname\":5}", "eventname is not a text"},
        {"{\"eventname\":null}", "eventname is not a text"},
        {"{\"eventname\":\"\"}", "eventname is empty"},
        {"{\"eventname\":\"x\",\"eventname\":{}}", "eventname is not a text"},
        {"{\"eventname\":\"a\\u0000b\"}", "eventname holds a NUL character"},
        {"{\"eventname\":\"x\",\"n\":1e400}", "not JSON: a number that is too large, at byte 21"},
        {"{\"eventname\":\"\xff\"}", "not JSON: invalid UTF-8, at byte 14"},
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct envelope e = {.body = NULL};
        char reason[200];
        int r = parse(&e, "id", rows[i].body, reason, sizeof(reason));
        if (r != -EBADMSG || strcmp(reason, rows[i].reason) != 0)
            fail_msg("row %zu: %d %s, expected %s", i, r, reason, rows[i].reason);
        assert_null(jsonview_root(&e.view));
        envelope_release(&e);
    }
}

static void bodies_above_the_limit_are_refused_by_size(void **state)
{
    (void)state;
    const struct envelope_limits small = {.max_bytes = 17, .max_depth = 32};
    struct envelope e = {.body = NULL};
    char reason[200];
    assert_int_equal(
        envelope_parse(&e, &small, "id", "{\"eventname\":\"x\"}", 17, reason, sizeof(reason)), 0);
    envelope_release(&e);
    assert_int_equal(
        envelope_parse(&e, &small, "id", "{\"eventname\":\"xx\"}", 18, reason, sizeof(reason)),
        -EMSGSIZE);
    assert_string_equal(reason, "the body has 18 bytes, more than the accepted 17");
}

/* An event whose "other" has the given number of levels, the event itself included. */
static void nested_event(unsigned levels, char *ret)
{
    static const char head[] = "{\"eventname\":\"x\",\"other\":";
    memcpy(ret, head, sizeof(head));
    ret += sizeof(head) - 1;
    for (unsigned i = 1; i < levels; i++)
        *ret++ = '[';
    *ret++ = '1';
    for (unsigned i = 1; i < levels; i++)
        *ret++ = ']';
    *ret++ = '}';
    *ret = '\0';
}

static void as_many_levels_as_the_limit_are_parsed_and_no_more(void **state)
{
    (void)state;
    char body[600];
    for (unsigned levels = 1; levels <= 200; levels++) {
        struct envelope e = {.body = NULL};
        char reason[200];
        nested_event(levels, body);
        int r = parse(&e, "id", body, reason, sizeof(reason));
        if (r != (levels <= 32 ? 0 : -EBADMSG))
            fail_msg("%u levels: %d %s", levels, r, reason);
        envelope_release(&e);
    }
}

static void a_failed_message_does_not_disturb_the_next_one(void **state)
{
    (void)state;
    struct envelope e = {.body = NULL};
    char reason[200];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(parse(&e, "id", "{\"eventname\":[[[", reason, sizeof(reason)), -EBADMSG);
        assert_int_equal(parse(&e, "id", "{\"eventname\":7}", reason, sizeof(reason)), -EBADMSG);
        assert_int_equal(parse(&e, "id", "{\"eventname\":\"x\"}", reason, sizeof(reason)), 0);
        assert_string_equal(e.eventname, "x");
        envelope_release(&e);
    }
}

static void message_ids_are_kept_or_refused(void **state)
{
    (void)state;
    char longest[ENVELOPE_ID_SIZE + 1];
    memset(longest, 'x', sizeof(longest));
    longest[ENVELOPE_ID_SIZE - 1] = '\0';
    char too_long[ENVELOPE_ID_SIZE + 1];
    memset(too_long, 'x', sizeof(too_long));
    too_long[ENVELOPE_ID_SIZE] = '\0';
    const struct {
        const char *id;
        int expected;
    } rows[] = {
        {"a", 0},
        {"0190-~!{}", 0},
        {longest, 0},
        {too_long, -EBADMSG},
        {"a.b", -EBADMSG},
        {"a b", -EBADMSG},
        {"a\n", -EBADMSG},
        {"\x7f", -EBADMSG},
        {"\xc3\xb3", -EBADMSG},
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct envelope e = {.body = NULL};
        char reason[200];
        int r = parse(&e, rows[i].id, "{\"eventname\":\"x\"}", reason, sizeof(reason));
        if (r != rows[i].expected || (r && !strstr(reason, "the message_id")))
            fail_msg("row %zu: %d %s", i, r, reason);
        if (!r)
            assert_string_equal(e.message_id, rows[i].id);
        envelope_release(&e);
    }
}

static void a_missing_message_id_is_derived_from_the_body_and_stays_the_same(void **state)
{
    (void)state;
    struct envelope e = {.body = NULL};
    char reason[200];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(parse(&e, "", "{\"eventname\":\"x\"}", reason, sizeof(reason)), 0);
        /* printf '{"eventname":"x"}' | sha256sum */
        assert_string_equal(e.message_id, "body-d4a249722d7fa684dc55336981a1914c");
        envelope_release(&e);
    }
    assert_int_equal(parse(&e, "", "{\"eventname\":\"y\"}", reason, sizeof(reason)), 0);
    assert_string_not_equal(e.message_id, "body-d4a249722d7fa684dc55336981a1914c");
    envelope_release(&e);
}

static void event_classes_have_routing_keys(void **state)
{
    (void)state;
    static const struct {
        const char *eventname;
        const char *key; /* NULL: no event class */
    } rows[] = {
        {"\\core\\event\\user_created", "core.user_created"},
        {"\\mod_forum\\event\\post_created", "mod_forum.post_created"},
        {"\\mod_x\\event\\a\\b", "mod_x.a.b"},
        {"\\mod_quiz\\event\\*", "mod_quiz.#"},
        {"\\mod_x\\event\\a\\*", "mod_x.a.#"},
        {"\\a\\event\\event\\event", "a.event.event"},
        {"\\Core\\event\\User_2", "Core.User_2"},
        {"core\\event\\user_created", NULL},
        {"", NULL},
        {"\\", NULL},
        {"x", NULL},
        {"\\core\\event\\", NULL},
        {"\\core\\event", NULL},
        {"\\\\event\\x", NULL},
        {"\\event\\x", NULL},
        {"\\*\\event\\x", NULL},
        {"\\core\\events\\x", NULL},
        {"\\core\\event\\user_*", NULL},
        {"\\core\\event\\*x", NULL},
        {"\\core\\event\\*\\x", NULL},
        {"\\core\\event\\#", NULL},
        {"\\core\\event\\a.b", NULL},
        {"\\core\\event\\a\\\\b", NULL},
        {"\\core\\event\\a\\", NULL},
        {"\\core\\event\\\\a", NULL},
        {"\\co.re\\event\\x", NULL},
        {"\\a\\b\\event\\x", NULL},
        {"\\core\\event\\x y", NULL},
        {"\\core\\event\\\xc3\xb3", NULL},
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        char key[256] = "unchanged";
        int r = envelope_routing_key(rows[i].eventname, key, sizeof(key));
        const char *expected = rows[i].key ? rows[i].key : "unchanged";
        if (r != (rows[i].key ? 0 : -EINVAL) || strcmp(key, expected) != 0)
            fail_msg("row %zu, %s: %d %s", i, rows[i].eventname, r, key);
    }
}

static void routing_keys_end_at_255_bytes_and_at_the_room_given(void **state)
{
    (void)state;
    char name[400] = "\\core\\event\\";
    char key[400];
    size_t head = strlen(name);
    memset(name + head, 'x', 250); /* "core." and 250 make 255 */
    assert_int_equal(envelope_routing_key(name, key, sizeof(key)), 0);
    assert_int_equal(strlen(key), 255);
    assert_int_equal(envelope_routing_key(name, key, 256), 0);
    assert_int_equal(envelope_routing_key(name, key, 255), -EINVAL);
    assert_int_equal(envelope_routing_key(name, key, 5), -EINVAL);
    name[head + 250] = 'x';
    assert_int_equal(envelope_routing_key(name, key, sizeof(key)), -EINVAL);
    memset(name + 1, 'c', 300);
    memcpy(name + 301, "\\event\\x", 9);
    assert_int_equal(envelope_routing_key(name, key, sizeof(key)), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_taken_apart),
        cmocka_unit_test(real_events_print_to_the_bytes_they_came_in),
        cmocka_unit_test(what_is_no_event_is_refused_with_a_reason),
        cmocka_unit_test(bodies_above_the_limit_are_refused_by_size),
        cmocka_unit_test(as_many_levels_as_the_limit_are_parsed_and_no_more),
        cmocka_unit_test(a_failed_message_does_not_disturb_the_next_one),
        cmocka_unit_test(message_ids_are_kept_or_refused),
        cmocka_unit_test(a_missing_message_id_is_derived_from_the_body_and_stays_the_same),
        cmocka_unit_test(event_classes_have_routing_keys),
        cmocka_unit_test(routing_keys_end_at_255_bytes_and_at_the_room_given),
    };
    return cmocka_run_group_tests_name("envelope", tests, NULL, NULL);
}
