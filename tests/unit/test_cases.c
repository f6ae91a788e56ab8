/* Runs every folder of tests/cases: event, rule and service in, the expected request or error
 * out. Started in the project's folder. */
#include <dirent.h>
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

#define FOLDER "tests/cases"

static const char default_id[] = "0192f0c1-7b3a-7cde-8f01-23456789abcd";
enum { DEFAULT_NOW = 1795348440, MAX_FILE = 1024 * 1024 };

struct files {
    char *event;
    struct json_object *rule;
    struct json_object *service;
    struct json_object *expect;
};

static char *read_file(const char *name, const char *file)
{
    char path[512];
    (void)snprintf(path, sizeof(path), FOLDER "/%s/%s", name, file);
    FILE *f = fopen(path, "rbe");
    if (!f) {
        fail_msg("%s cannot be opened", path);
        return NULL;
    }
    char *text = calloc(1, MAX_FILE + 1);
    assert_non_null(text);
    size_t n = fread(text, 1, MAX_FILE, f);
    (void)fclose(f);
    text[n] = '\0';
    return text;
}

static struct json_object *read_json(const char *name, const char *file)
{
    char *text = read_file(name, file);
    struct json_object *root = json_tokener_parse(text);
    if (!root) {
        fail_msg("%s/%s is not JSON", name, file);
    }
    free(text);
    return root;
}

/* The field as text; NULL for null and for what is missing. */
static const char *text_of(struct json_object *row, const char *field)
{
    struct json_object *value = NULL;
    return json_object_object_get_ex(row, field, &value) ? json_object_get_string(value) : NULL;
}

static int64_t number_of(struct json_object *row, const char *field, int64_t missing)
{
    struct json_object *value = NULL;
    return json_object_object_get_ex(row, field, &value) ? json_object_get_int64(value) : missing;
}

static struct catalog *catalog_of(const struct files *f)
{
    const struct service_row service = {
        .id = number_of(f->service, "id", 0),
        .name = text_of(f->service, "name"),
        .type = text_of(f->service, "type"),
        .base_url = text_of(f->service, "base_url"),
        .auth_type = text_of(f->service, "auth_type"),
        .auth_token = text_of(f->service, "auth_token"),
        .auth_user = text_of(f->service, "auth_user"),
        .auth_header = text_of(f->service, "auth_header"),
        .auth_url = text_of(f->service, "auth_url"),
        .auth_scope = text_of(f->service, "auth_scope"),
        .client_cert = text_of(f->service, "client_cert"),
        .headers = text_of(f->service, "headers"),
        .body_type = text_of(f->service, "body_type"),
        .content_type = text_of(f->service, "content_type"),
        .signing_secret = text_of(f->service, "signing_secret"),
        .signing_secret_old = text_of(f->service, "signing_secret_old"),
        .soap_version = text_of(f->service, "soap_version"),
        .soap_headers = text_of(f->service, "soap_headers"),
        .timeout_s = number_of(f->service, "timeout", 5),
        .max_concurrency = number_of(f->service, "max_concurrency", 16),
        .enabled = number_of(f->service, "enabled", 1) != 0,
    };
    const struct rule_row rule = {
        .id = number_of(f->rule, "id", 0),
        .service_id = number_of(f->rule, "serviceid", 0),
        .eventname = text_of(f->rule, "eventname"),
        .endpoint = text_of(f->rule, "endpoint"),
        .http_method = text_of(f->rule, "http_method"),
        .payload_template = text_of(f->rule, "payload_template"),
        .filter = text_of(f->rule, "filter"),
        .enabled = number_of(f->rule, "enabled", 1) != 0,
    };
    struct catalog *c = NULL;
    struct catalog_builder *b = catalog_builder_new();
    assert_non_null(b);
    assert_int_equal(catalog_builder_service(b, &service), 0);
    assert_int_equal(catalog_builder_rule(b, &rule), 0);
    assert_int_equal(catalog_builder_seal(b, &c), 0);
    assert_int_equal(catalog_orphan_count(c), 0);
    return c;
}

static void check_text(const char *name, const char *what, const char *is, const char *wanted)
{
    if (strcmp(is, wanted ? wanted : "(nothing)") != 0) {
        fail_msg("%s: %s\n  is  %s\n  not %s", name, what, is, wanted ? wanted : "(nothing)");
    }
}

static bool is_volatile(const char *header)
{
    static const char *const names[] = {"webhook-id", "webhook-timestamp", "traceparent"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(header, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void check_headers(const char *name, const struct request *r, struct json_object *expect)
{
    struct json_object *wanted = NULL;
    const char *prefix = text_of(expect, "traceparent_prefix");
    int found = 0;
    assert_true(json_object_object_get_ex(expect, "headers", &wanted));
    for (size_t i = 0; i < r->n_headers; i++) {
        char header[64];
        const char *colon = strchr(r->headers[i], ':');
        assert_non_null(colon);
        (void)snprintf(header, sizeof(header), "%.*s", (int)(colon - r->headers[i]), r->headers[i]);
        const char *value = text_of(wanted, header);
        if (value || !is_volatile(header)) {
            check_text(name, header, colon + 2, value);
            found++;
        }
        if (prefix && strcmp(header, "traceparent") == 0) {
            assert_memory_equal(colon + 2, prefix, strlen(prefix));
        }
    }
    if (found != json_object_object_length(wanted)) {
        fail_msg("%s: a header is missing", name);
    }
}

static void check_request(const char *name, const struct request *r, struct json_object *expect)
{
    size_t len = 0;
    const char *body = request_body(r, &len);
    check_text(name, "method", r->method, text_of(expect, "method"));
    check_text(name, "url", buf_text(&r->url), text_of(expect, "url"));
    check_text(name, "body", body, text_of(expect, "body"));
    assert_int_equal(strlen(body), len);
    check_headers(name, r, expect);
}

/* Parses and builds; the reason as the dead letter will have it. */
static int build(const struct files *f, struct envelope *event, struct request *r,
                 const struct catalog *c, char *ret_reason, size_t size)
{
    const struct envelope_limits limits = {.max_bytes = MAX_FILE, .max_depth = ENVELOPE_MAX_DEPTH};
    const char *id = text_of(f->expect, "message_id");
    char reason[400] = "";
    int result = envelope_parse(event, &limits, id ? id : default_id, f->event, strlen(f->event),
                                reason, sizeof(reason));
    if (result < 0) {
        (void)snprintf(ret_reason, size, "poison: %s", reason);
        return result;
    }
    const struct service *s = catalog_service_at(c, 0);
    const struct rule *rule = service_rule(s, number_of(f->rule, "id", 0));
    assert_non_null(rule);
    return request_build(r, s, rule, event, number_of(f->expect, "now", DEFAULT_NOW), ret_reason,
                         size);
}

static void run_case(const char *name)
{
    struct files f = {
        .event = read_file(name, "event.json"),
        .rule = read_json(name, "rule.json"),
        .service = read_json(name, "service.json"),
        .expect = read_json(name, "expect.json"),
    };
    struct catalog *c = catalog_of(&f);
    struct envelope event = {0};
    struct request r;
    char reason[600] = "";
    size_t len = strlen(f.event);
    assert_true(len > 0 && f.event[len - 1] == '\n');
    f.event[len - 1] = '\0';
    request_init(&r);
    int result = build(&f, &event, &r, c, reason, sizeof(reason));
    const char *error = text_of(f.expect, "error");
    if ((result < 0) != (error != NULL)) {
        fail_msg("%s: %s", name, result < 0 ? reason : "no error");
    }
    if (!error) {
        check_request(name, &r, f.expect);
    } else if (!strstr(reason, error)) {
        fail_msg("%s: the reason\n  is       %s\n  without  %s", name, reason, error);
    }
    request_release(&r);
    envelope_release(&event);
    catalog_unref(c);
    free(f.event);
    json_object_put(f.rule);
    json_object_put(f.service);
    json_object_put(f.expect);
}

static int is_case(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && entry->d_type != DT_REG;
}

static void makes_of_every_case_what_it_expects(void **state)
{
    (void)state;
    struct dirent **entries = NULL;
    int n = scandir(FOLDER, &entries, is_case, alphasort);
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        run_case(entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    print_message("%d cases\n", n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_of_every_case_what_it_expects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
