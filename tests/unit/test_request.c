/* Requests: URL, body, query and headers, and everything that must not get into them. */
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

#include "dispatcher/catalog.h"
#include "dispatcher/request.h"

#define UUID "0192f0c1-7b3a-7cde-8f01-23456789abcd"

enum { NOW = 1795348440 };

struct case_ {
    const char *base_url;
    const char *endpoint;
    const char *method;
    const char *payload;
    const char *event;
};

/* A request with all that it needs to live; released by drop(). */
struct fixture {
    struct catalog *catalog;
    struct envelope event;
    struct request request;
    char reason[512];
    int result;
};

static void build(struct fixture *f, const struct case_ *c, const char *message_id,
                  const char *token)
{
    const struct service_row service = {
        .id = 3,
        .name = "crm",
        .type = "rest",
        .base_url = c->base_url ? c->base_url : "https://h/api",
        .auth_type = "bearer",
        .auth_token = token,
        .timeout_s = 5,
        .max_concurrency = 16,
        .enabled = true,
    };
    const struct rule_row rule = {
        .id = 7,
        .service_id = 3,
        .eventname = "\\core\\event\\user_created",
        .endpoint = c->endpoint,
        .http_method = c->method,
        .payload_template = c->payload,
        .enabled = true,
    };
    struct catalog_builder *b = catalog_builder_new();
    assert_non_null(b);
    *f = (struct fixture){0};
    assert_int_equal(catalog_builder_service(b, &service), 0);
    assert_int_equal(catalog_builder_rule(b, &rule), 0);
    assert_int_equal(catalog_builder_seal(b, &f->catalog), 0);
    f->event.body = c->event ? c->event : "{}";
    f->event.body_len = strlen(f->event.body);
    assert_int_equal(jsonview_parse(&f->event.view, f->event.body, f->event.body_len, 32, f->reason,
                                    sizeof(f->reason)),
                     0);
    (void)snprintf(f->event.message_id, sizeof(f->event.message_id), "%s", message_id);
    request_init(&f->request);
    const struct service *s = catalog_service(f->catalog, 3);
    f->result = request_build(&f->request, s, service_rule(s, 7), &f->event, NOW, f->reason,
                              sizeof(f->reason));
}

static void drop(struct fixture *f)
{
    request_release(&f->request);
    envelope_release(&f->event);
    catalog_unref(f->catalog);
}

static const char *body_of(const struct fixture *f)
{
    size_t len = 0;
    const char *body = request_body(&f->request, &len);
    assert_int_equal(strlen(body), len);
    return body;
}

/* The value of a header, or NULL. Names are compared as they are written. */
static const char *header(const struct fixture *f, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < f->request.n_headers; i++) {
        const char *text = f->request.headers[i];
        if (strncmp(text, name, len) == 0 && strncmp(text + len, ": ", 2) == 0) {
            return text + len + 2;
        }
    }
    return NULL;
}

static void sends_the_events_own_bytes_without_a_template(void **state)
{
    (void)state;
    struct fixture f;
    const struct case_ c = {.event = "{ \"a\" : 1.50,\"b\":\"\xc3\xa9/\" }"};
    build(&f, &c, UUID, "T");
    assert_int_equal(f.result, 0);
    assert_string_equal(f.request.method, "POST");
    assert_string_equal(buf_text(&f.request.url), "https://h/api/");
    assert_ptr_equal(f.request.raw_body, f.event.body);
    assert_string_equal(body_of(&f), c.event);
    drop(&f);
}

static void carries_the_headers_of_the_contract(void **state)
{
    (void)state;
    struct fixture f;
    const struct case_ c = {.endpoint = "x"};
    build(&f, &c, UUID, "T");
    assert_int_equal(f.result, 0);
    assert_int_equal(f.request.n_headers, 6);
    assert_string_equal(f.request.headers[0], "Content-Type: application/json");
    assert_string_equal(f.request.headers[1], "Accept: application/json");
    assert_string_equal(f.request.headers[2], "Authorization: Bearer T");
    assert_string_equal(header(&f, "webhook-id"), UUID ":7");
    assert_string_equal(f.request.webhook_id, UUID ":7");
    assert_string_equal(header(&f, "webhook-timestamp"), "1795348440");
    const char *trace = header(&f, "traceparent");
    assert_int_equal(strlen(trace), 55);
    assert_memory_equal(trace, "00-0192f0c17b3a7cde8f0123456789abcd-", 36);
    assert_int_equal(strspn(trace + 36, "0123456789abcdef"), 16);
    assert_string_equal(trace + 52, "-01");
    drop(&f);

    build(&f, &c, UUID, NULL);
    assert_int_equal(f.request.n_headers, 5);
    assert_null(header(&f, "Authorization"));
    drop(&f);
}

static void derives_a_trace_id_from_any_message_id(void **state)
{
    (void)state;
    static const struct {
        const char *id;
        const char *trace_id;
    } rows[] = {
        {"0192F0C1-7B3A-7CDE-8F01-23456789ABCD", "0192f0c17b3a7cde8f0123456789abcd"},
        {"hello", "2cf24dba5fb0a30e26e83b2ac5b9e29e"}, /* SHA-256 of it */
        {"00000000-0000-0000-0000-000000000000", "12b9377cbe7e5c94e8a70d9d23929523"},
        {"0192f0c1-7b3a-7cde-8f01-23456789abcdx", NULL},
        {"0192f0c1-7b3a-7cde-8f01-23456789abc", NULL},
        {"0192f0c107b3a-7cde-8f01-23456789abcd", NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fixture f;
        const struct case_ c = {.endpoint = "x"};
        build(&f, &c, rows[i].id, "T");
        assert_int_equal(f.result, 0);
        const char *trace = header(&f, "traceparent");
        assert_int_equal(strspn(trace + 3, "0123456789abcdef"), 32);
        if (rows[i].trace_id) {
            assert_memory_equal(trace + 3, rows[i].trace_id, 32);
        } else {
            assert_memory_not_equal(trace + 3, "0192f0c1", 8);
        }
        drop(&f);
    }
}

static void is_the_same_but_for_the_time_when_built_again(void **state)
{
    (void)state;
    struct fixture f;
    const struct case_ c = {
        .endpoint = "u/{{userid}}", .payload = "{\"a\":{{userid}}}", .event = "{\"userid\":5}"};
    build(&f, &c, UUID, "T");
    char trace[64];
    (void)snprintf(trace, sizeof(trace), "%s", header(&f, "traceparent"));
    const struct service *s = catalog_service(f.catalog, 3);
    for (int64_t now = -1; now < 3; now++) {
        char number[24];
        (void)snprintf(number, sizeof(number), "%lld", (long long)now);
        assert_int_equal(request_build(&f.request, s, service_rule(s, 7), &f.event, now, f.reason,
                                       sizeof(f.reason)),
                         0);
        assert_int_equal(f.request.n_headers, 6);
        assert_string_equal(header(&f, "traceparent"), trace);
        assert_string_equal(header(&f, "webhook-timestamp"), number);
        assert_string_equal(buf_text(&f.request.url), "https://h/api/u/5");
        assert_string_equal(body_of(&f), "{\"a\":5}");
    }
    drop(&f);
}

/* D2: three of the five methods of the existing plugin were broken. */
static void d2_sends_a_json_body_with_every_method_but_get(void **state)
{
    (void)state;
    static const char *const methods[] = {"POST", "PUT", "PATCH", "DELETE"};
    for (size_t i = 0; i < 4; i++) {
        struct fixture f;
        const struct case_ c = {
            .method = methods[i], .payload = "{\"id\":{{objectid}}}", .event = "{\"objectid\":4}"};
        build(&f, &c, UUID, "T");
        assert_int_equal(f.result, 0);
        assert_string_equal(f.request.method, methods[i]);
        assert_string_equal(header(&f, "Content-Type"), "application/json");
        assert_string_equal(body_of(&f), "{\"id\":4}");
        drop(&f);
    }
}

/* D10: a null field made the JSON invalid. */
static void d10_sends_null_as_null(void **state)
{
    (void)state;
    struct fixture f;
    const struct case_ c = {.payload = "{\"rel\":{{relateduserid}}}",
                            .event = "{\"relateduserid\":null}"};
    build(&f, &c, UUID, "T");
    assert_int_equal(f.result, 0);
    assert_string_equal(body_of(&f), "{\"rel\":null}");
    drop(&f);
}

/* D11: {{ip}} and {{other.grade}} were sent literally. */
static void d11_knows_ip_and_nested_paths(void **state)
{
    (void)state;
    struct fixture f;
    const struct case_ c = {.payload = "{\"ip\":\"{{ip}}\",\"g\":{{other.grade}},\"o\":{{other}}}",
                            .event = "{\"ip\":\"10.0.0.1\",\"other\":{\"grade\":\"8.5\"}}"};
    build(&f, &c, UUID, "T");
    assert_int_equal(f.result, 0);
    assert_string_equal(body_of(&f), "{\"ip\":\"10.0.0.1\",\"g\":8.5,\"o\":{\"grade\":\"8.5\"}}");
    drop(&f);
}

/* D9: an invalid template never reached the dead letters. */
static void d9_names_the_fault_of_a_rule_or_service(void **state)
{
    (void)state;
    struct fixture f;
    const struct case_ c = {.payload = "{\"a\":"};
    build(&f, &c, UUID, "T");
    assert_int_equal(f.result, -EBADMSG);
    assert_string_equal(f.reason, "policy: payload, line 1, column 6: expected a JSON value or a "
                                  "placeholder, but the template ends (rule 7, service 3, crm)");
    drop(&f);
    build(&f, &c, UUID, "sodium:xyz");
    assert_int_equal(f.result, -EBADMSG);
    assert_non_null(strstr(f.reason, "policy: the token cannot be decrypted"));
    assert_int_equal(f.request.n_headers, 0);
    drop(&f);
}

static void sends_an_empty_list_as_an_empty_body(void **state)
{
    (void)state;
    struct fixture f;
    const struct case_ list = {.payload = " [ ] "};
    build(&f, &list, UUID, "T");
    assert_int_equal(f.result, 0);
    assert_string_equal(body_of(&f), "");
    assert_string_equal(header(&f, "Content-Type"), "application/json");
    drop(&f);
    const struct case_ object = {.payload = "{{other}}", .event = "{\"other\":{}}"};
    build(&f, &object, UUID, "T");
    assert_string_equal(body_of(&f), "{}");
    drop(&f);
}

static void renders_the_endpoint_within_the_base(void **state)
{
    (void)state;
    static const struct {
        const char *base;
        const char *endpoint;
        const char *value;
        const char *url;
    } rows[] = {
        {"https://h/api/", "/users/{{v}}", "\"5\"", "https://h/api/users/5"},
        {"https://h/api", "{{v}}", "\"/etc\"", "https://h/api/%2Fetc"},
        {"https://h/api", "{{v}}", "\"//evil.example\"", "https://h/api/%2F%2Fevil.example"},
        {"https://h", "{{v}}", "\"@evil.example\"", "https://h/%40evil.example"},
        {"https://h", "x?a={{v}}&b=1", "\"1&c=2#\\r\\n \"",
         "https://h/x?a=1%26c%3D2%23%0D%0A%20&b=1"},
        {"https://h", "x?a={{v}}", "\"..\"", "https://h/x?a=.."},
        {"https://h", "{{v}}.json", "\"..\"", "https://h/...json"},
        {"https://h", "a/{{v}}", "null", "https://h/a/"},
        {"https://h", "/{{v}}/a", "null", "https://h/a"},
        {"https://h", "{{v}}", "\"\\u0000\\u007f\"", "https://h/%00%7F"},
        {"https://h", "{{v|urlencode}}", "\"a/b\"", "https://h/a%2Fb"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fixture f;
        char event[100];
        (void)snprintf(event, sizeof(event), "{\"v\":%s}", rows[i].value);
        const struct case_ c = {
            .base_url = rows[i].base, .endpoint = rows[i].endpoint, .event = event};
        build(&f, &c, UUID, "T");
        if (f.result != 0) {
            fail_msg("%s: %s", rows[i].endpoint, f.reason);
        }
        assert_string_equal(buf_text(&f.request.url), rows[i].url);
        drop(&f);
    }
}

static void refuses_events_that_would_climb_out_of_the_path(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"a/{{v}}", "\"..\""},     {"a/{{v}}/b", "\".\""},      {"a/.{{v}}", "\".\""},
        {"{{v}}", "\"../admin\""}, {"{{v}}", "\"x/../admin\""}, {"{{v}}", "\"..\\\\admin\""},
        {"{{v}}", "\"..;x\""},     {"a/{{v}}.", "\".\""},       {"a/{{v|default:\"..\"}}", "null"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fixture f;
        char event[100];
        (void)snprintf(event, sizeof(event), "{\"v\":%s}", rows[i][1]);
        const struct case_ c = {.endpoint = rows[i][0], .event = event};
        build(&f, &c, UUID, "T");
        assert_int_equal(f.result, -EBADMSG);
        assert_string_equal(f.reason, "policy: the endpoint makes a \".\" or \"..\" segment of "
                                      "this event (rule 7, service 3, crm)");
        drop(&f);
    }
}

/* The right column is what PHP 8.2's http_build_query() makes of it. */
static void makes_the_query_of_get_as_php_does(void **state)
{
    (void)state;
    static const struct {
        const char *endpoint;
        const char *payload;
        const char *url;
    } rows[] = {
        {"x", "{\"a\":1,\"b\":\"c d\",\"e\":\"~ -_.*\xc3\xa9/\"}",
         "https://h/api/x?a=1&b=c+d&e=%7E+-_.%2A%C3%A9%2F"},
        {"x?k=v", "{\"a\":1}", "https://h/api/x?k=v&a=1"},
        {"x", "{\"c\":true,\"d\":false,\"e\":null,\"f\":[],\"o\":{},\"g\":[1,[2,null]],\"\":\"x\"}",
         "https://h/api/x?c=1&d=0&g%5B0%5D=1&g%5B1%5D%5B0%5D=2&=x"},
        {"x", "{\"h i\":{\"k[]\":\"v\"},\"i\":{\"x\":{\"y\":\"z\"}},\"\":{\"b\":1}}",
         "https://h/api/x?h+i%5Bk%5B%5D%5D=v&i%5Bx%5D%5By%5D=z&%5Bb%5D=1"},
        {"x", "[\"a\",\"b\"]", "https://h/api/x?0=a&1=b"},
        {"x", "{}", "https://h/api/x"},
        {"x", "[null]", "https://h/api/x"},
        {"x?k", "[]", "https://h/api/x?k"},
        {"x", "{\"a\":1,\"b\":2,\"a\":3}", "https://h/api/x?a=3&b=2"},
        {"x", "{\"n\":-1.50}", "https://h/api/x?n=-1.50"},
        {"x/{{v}}", "{\"v\":{{v}}}", "https://h/api/x/5?v=5"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fixture f;
        const struct case_ c = {.endpoint = rows[i].endpoint,
                                .method = "GET",
                                .payload = rows[i].payload,
                                .event = "{\"v\":\"5\"}"};
        build(&f, &c, UUID, "T");
        assert_int_equal(f.result, 0);
        assert_string_equal(buf_text(&f.request.url), rows[i].url);
        assert_string_equal(body_of(&f), "");
        assert_null(header(&f, "Content-Type"));
        assert_string_equal(header(&f, "Accept"), "application/json");
        drop(&f);
    }
}

static void makes_the_query_of_the_whole_event_without_a_template(void **state)
{
    (void)state;
    struct fixture f;
    const struct case_ c = {.method = "GET", .event = "{\"a\":\"b\",\"other\":{\"c\":[1]}}"};
    build(&f, &c, UUID, "T");
    assert_int_equal(f.result, 0);
    assert_string_equal(buf_text(&f.request.url), "https://h/api/?a=b&other%5Bc%5D%5B0%5D=1");
    assert_string_equal(body_of(&f), "");
    drop(&f);
}

/* json-c alone would make U+FFFD of it. */
static void keeps_every_character_in_a_query(void **state)
{
    (void)state;
    static const char *const templates[] = {NULL, "{\"a\":\"{{a}}\"}"};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        const struct case_ c = {
            .method = "GET", .event = "{\"a\":\"\\ud876\\udc00\"}", .payload = templates[i]};
        build(&f, &c, UUID, "T");
        assert_int_equal(f.result, 0);
        assert_string_equal(buf_text(&f.request.url), "https://h/api/?a=%F0%AD%A0%80");
        drop(&f);
    }
}

static void refuses_a_query_of_a_scalar(void **state)
{
    (void)state;
    struct fixture f;
    const struct case_ c = {.method = "GET", .payload = "\"x\""};
    build(&f, &c, UUID, "T");
    assert_int_equal(f.result, -EBADMSG);
    assert_string_equal(f.reason,
                        "policy: a query string needs a payload that is an object or an array "
                        "(rule 7, service 3, crm)");
    drop(&f);
}

static void refuses_what_is_too_large(void **state)
{
    (void)state;
    static const size_t KIB = 1024;
    struct fixture f;
    char *event = calloc(1, 300 * KIB);
    assert_non_null(event);
    (void)snprintf(event, 100, "{\"v\":\"");
    memset(event + 6, 'x', 250 * KIB);
    memcpy(event + 6 + 250 * KIB, "\"}", 3);
    const struct case_ endpoint = {.endpoint = "{{v}}", .event = event};
    build(&f, &endpoint, UUID, "T");
    assert_int_equal(f.result, -EBADMSG);
    assert_string_equal(f.reason, "policy: the endpoint is larger than 16384 bytes (rule 7, "
                                  "service 3, crm)");
    drop(&f);
    const struct case_ query = {.method = "GET", .event = event};
    build(&f, &query, UUID, "T");
    assert_int_equal(f.result, -EBADMSG);
    assert_string_equal(f.reason,
                        "policy: the URL is larger than 8192 bytes (rule 7, service 3, crm)");
    drop(&f);
    const struct case_ body = {.payload = "[{{v}},{{v}},{{v}},{{v}},{{v}}]", .event = event};
    build(&f, &body, UUID, "T");
    assert_int_equal(f.result, -EBADMSG);
    assert_string_equal(
        f.reason, "policy: the payload is larger than 1048576 bytes (rule 7, service 3, crm)");
    drop(&f);
    free(event);
}

static void says_which_placeholder_a_filter_refused(void **state)
{
    (void)state;
    struct fixture f;
    const struct case_ c = {.payload = "{\"t\":\n{{other.when | iso8601}}}",
                            .event = "{\"other\":{\"when\":\"secret\"}}"};
    build(&f, &c, UUID, "T");
    assert_int_equal(f.result, -EBADMSG);
    assert_string_equal(f.reason, "policy: payload, line 2, column 1: {{other.when}}: iso8601 "
                                  "takes unix seconds, and this is no whole number (rule 7, "
                                  "service 3, crm)");
    drop(&f);
}

/* Builds it anew with a payload that was made before. */
static void build_again(struct fixture *f, const char *bytes, size_t len)
{
    const struct service *s = catalog_service(f->catalog, 3);
    const struct request_payload payload = {bytes, len};
    f->result = request_build_again(&f->request, service_rule(s, 7), &f->event, &payload, NOW,
                                    f->reason, sizeof(f->reason));
}

static void sends_a_ready_payload_byte_for_byte(void **state)
{
    static const char sent[] = "{ \"old\" : \"\xc3\xa9\0\xff\"}";
    const struct case_ c = {.endpoint = "x", .payload = "{\"new\": 1}", .method = "PUT"};
    struct fixture f;
    size_t len = 0;

    (void)state;
    build(&f, &c, UUID, "T");
    assert_int_equal(f.result, 0);
    assert_string_equal(request_payload(&f.request).bytes, "{\"new\":1}");
    build_again(&f, sent, sizeof(sent) - 1);
    assert_int_equal(f.result, 0);
    assert_memory_equal(request_body(&f.request, &len), sent, sizeof(sent) - 1);
    assert_int_equal(len, sizeof(sent) - 1);
    assert_int_equal(request_payload(&f.request).len, len);
    assert_string_equal(f.request.method, "PUT");
    assert_string_equal(buf_text(&f.request.url), "https://h/api/x");
    assert_string_equal(header(&f, "webhook-id"), UUID ":7");
    assert_string_equal(header(&f, "Authorization"), "Bearer T");
    build_again(&f, "", 0);
    assert_int_equal(f.result, 0);
    assert_string_equal(body_of(&f), "");
    drop(&f);
}

static void sends_the_pairs_of_a_query_again(void **state)
{
    static const struct {
        const char *endpoint, *sent, *url;
    } rows[] = {
        {"x", "a=1&b%5Bc%5D=%C3%A9+", "https://h/api/x?a=1&b%5Bc%5D=%C3%A9+"},
        {"x?k=v", "a=1", "https://h/api/x?k=v&a=1"},
        {"x", "", "https://h/api/x"},
        {"x", "{\"a\":1}", NULL},
        {"x", "a=1#b", NULL},
        {"x", "a=1 HTTP/1.1\r\n", NULL},
        {"x", "a=\xc3\xa9", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct case_ c = {
            .method = "GET", .endpoint = rows[i].endpoint, .event = "{\"n\":5}"};
        struct fixture f;

        build(&f, &c, UUID, "T");
        assert_int_equal(f.result, 0);
        assert_string_equal(request_payload(&f.request).bytes, "n=5");
        build_again(&f, rows[i].sent, strlen(rows[i].sent));
        assert_int_equal(f.result, rows[i].url ? 0 : -EBADMSG);
        if (rows[i].url) {
            assert_string_equal(buf_text(&f.request.url), rows[i].url);
            assert_string_equal(request_payload(&f.request).bytes, rows[i].sent);
            assert_int_equal(request_payload(&f.request).len, strlen(rows[i].sent));
        } else {
            assert_non_null(strstr(f.reason, "policy: what was sent before is no query string"));
        }
        drop(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_the_events_own_bytes_without_a_template),
        cmocka_unit_test(carries_the_headers_of_the_contract),
        cmocka_unit_test(derives_a_trace_id_from_any_message_id),
        cmocka_unit_test(is_the_same_but_for_the_time_when_built_again),
        cmocka_unit_test(d2_sends_a_json_body_with_every_method_but_get),
        cmocka_unit_test(d9_names_the_fault_of_a_rule_or_service),
        cmocka_unit_test(d10_sends_null_as_null),
        cmocka_unit_test(d11_knows_ip_and_nested_paths),
        cmocka_unit_test(sends_an_empty_list_as_an_empty_body),
        cmocka_unit_test(renders_the_endpoint_within_the_base),
        cmocka_unit_test(refuses_events_that_would_climb_out_of_the_path),
        cmocka_unit_test(makes_the_query_of_get_as_php_does),
        cmocka_unit_test(makes_the_query_of_the_whole_event_without_a_template),
        cmocka_unit_test(keeps_every_character_in_a_query),
        cmocka_unit_test(refuses_a_query_of_a_scalar),
        cmocka_unit_test(refuses_what_is_too_large),
        cmocka_unit_test(says_which_placeholder_a_filter_refused),
        cmocka_unit_test(sends_a_ready_payload_byte_for_byte),
        cmocka_unit_test(sends_the_pairs_of_a_query_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
