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
#include <unistd.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "dispatcher/catalog.h"
#include "dispatcher/request.h"
#include "worker/ctl_files.h"
#include "worker/ctl_render.h"

#define FOLDER "tests/cases"

static const char default_id[] = "0192f0c1-7b3a-7cde-8f01-23456789abcd";
enum { DEFAULT_NOW = 1795348440, MAX_FILE = 1024 * 1024 };

struct files {
    char *event;
    size_t event_len;
    struct json_object *rule;
    struct json_object *service;
    struct json_object *expect;
    struct json_object *data; /* NULL: the case looks nothing up */
};

static const char *path_of(const char *name, const char *file)
{
    static char path[512];
    (void)snprintf(path, sizeof(path), FOLDER "/%s/%s", name, file);
    return path;
}

static struct json_object *read_json(const char *name, const char *file)
{
    struct json_object *object = NULL;
    char reason[300];
    if (ctl_file_object(path_of(name, file), &object, reason, sizeof(reason)) < 0) {
        fail_msg("%s", reason);
    }
    return object;
}

static void read_event(const char *name, struct files *f)
{
    char reason[300];
    if (ctl_file_read(path_of(name, "event.json"), &f->event, &f->event_len, reason,
                      sizeof(reason)) < 0) {
        fail_msg("%s", reason);
    }
    assert_true(f->event_len > 0 && f->event[f->event_len - 1] == '\n');
    f->event[--f->event_len] = '\0';
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
    const char *prefix = ctl_row_text(expect, "traceparent_prefix");
    int found = 0;
    assert_true(json_object_object_get_ex(expect, "headers", &wanted));
    for (size_t i = 0; i < r->n_headers; i++) {
        char header[64];
        const char *colon = strchr(r->headers[i], ':');
        assert_non_null(colon);
        (void)snprintf(header, sizeof(header), "%.*s", (int)(colon - r->headers[i]), r->headers[i]);
        const char *value = ctl_row_text(wanted, header);
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
    check_text(name, "method", r->method, ctl_row_text(expect, "method"));
    check_text(name, "url", buf_text(&r->url), ctl_row_text(expect, "url"));
    check_text(name, "body", body, ctl_row_text(expect, "body"));
    assert_int_equal(strlen(body), len);
    check_headers(name, r, expect);
}

/* What the plugin says when such a rule is saved must be what the worker says, word for word. */
static void check_invalid(const char *name, const struct files *f, const struct rule *rule)
{
    static const char *const parts[] = {"policy: endpoint, line ", "policy: payload, line ",
                                        "policy: filter, line "};
    const char *invalid = ctl_row_text(f->expect, "invalid");
    bool is_syntax = false;
    for (size_t i = 0; rule->fault && i < sizeof(parts) / sizeof(parts[0]); i++) {
        is_syntax = is_syntax || strncmp(rule->fault, parts[i], strlen(parts[i])) == 0;
    }
    if (is_syntax != (invalid != NULL) ||
        (invalid && strncmp(rule->fault + strlen("policy: "), invalid, strlen(invalid)) != 0)) {
        fail_msg("%s: %s\n  not  %s", name, rule->fault ? rule->fault : "no fault",
                 invalid ? invalid : "(nothing)");
    }
}

/* Parses and builds; the reason as the dead letter will have it. */
static int build(const char *name, const struct files *f, struct ctl_rendering *r)
{
    const char *id = ctl_row_text(f->expect, "message_id");
    int result = ctl_rendering_parse(r, MAX_FILE, id ? id : default_id, f->event, f->event_len);
    if (result < 0) {
        return result;
    }
    assert_int_equal(ctl_rows_catalog(f->service, f->rule, NULL, &r->catalog), 0);
    r->service = catalog_service_at(r->catalog, 0);
    r->rule = service_rule(r->service, ctl_row_number(f->rule, "id", 0));
    assert_non_null(r->rule);
    check_invalid(name, f, r->rule);
    assert_int_equal(ctl_lookup_file(r, f->data), 0);
    return ctl_rendering_build(r, ctl_row_number(f->expect, "now", DEFAULT_NOW));
}

static void check_case(const char *name, const struct files *f)
{
    struct ctl_rendering r;
    ctl_rendering_init(&r);
    int result = build(name, f, &r);
    bool skipped = ctl_row_number(f->expect, "skipped", 0) != 0;
    const char *error = ctl_row_text(f->expect, "error");
    if ((result < 0) != (error != NULL)) {
        fail_msg("%s: %s", name, result < 0 ? r.reason : "no error");
    }
    if ((result == CTL_SKIPPED) != skipped) {
        fail_msg("%s: %s", name, skipped ? "is not skipped" : "is skipped");
    }
    if (!error && !skipped) {
        check_request(name, &r.request, f->expect);
    } else if (error && !strstr(r.reason, error)) {
        fail_msg("%s: the reason\n  is       %s\n  without  %s", name, r.reason, error);
    }
    ctl_rendering_release(&r);
}

static void run_case(const char *name)
{
    struct files f = {
        .rule = read_json(name, "rule.json"),
        .service = read_json(name, "service.json"),
        .expect = read_json(name, "expect.json"),
    };
    read_event(name, &f);
    if (access(path_of(name, "data.json"), R_OK) == 0) {
        f.data = read_json(name, "data.json");
    }
    check_case(name, &f);
    free(f.event);
    json_object_put(f.rule);
    json_object_put(f.service);
    json_object_put(f.expect);
    json_object_put(f.data);
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
