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
#include "dispatcher/condition.h"
#include "dispatcher/path.h"
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

/* The objects that data.json holds, by kind and id, as views for this event. */
struct looked_up {
    struct json_object *file;
    struct jsonview views[PATH_ROOTS];
    struct enrichment data;
};

static void look_up(const char *name, const struct rule *rule, struct envelope *event,
                    struct looked_up *l)
{
    static const char *const kinds[ENRICHMENT_KINDS] = {"user", "profile", "course", "cm", "site"};
    char path[512];
    (void)snprintf(path, sizeof(path), FOLDER "/%s/data.json", name);
    if (access(path, R_OK) != 0) {
        return;
    }
    l->file = read_json(name, "data.json");
    for (unsigned root = ROOT_EVENT + 1; root < PATH_ROOTS; root++) {
        char id[24];
        char reason[100];
        struct json_object *kind = NULL;
        struct json_object *object = NULL;
        if (!(rule->needs & ROOT_BIT(root))) {
            continue;
        }
        l->data.roots |= ROOT_BIT(root);
        (void)snprintf(id, sizeof(id), "%lld",
                       (long long)enrichment_id(&event->view, (enum path_root)root));
        if (json_object_object_get_ex(l->file, kinds[enrichment_kind_of((enum path_root)root)],
                                      &kind) &&
            json_object_object_get_ex(kind, id, &object)) {
            const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);
            assert_int_equal(
                jsonview_parse(&l->views[root], text, strlen(text), 8, reason, sizeof(reason)), 0);
            l->data.views[root] = &l->views[root];
        }
    }
    event->data = &l->data;
}

static void looked_up_release(struct looked_up *l)
{
    for (unsigned root = 0; root < PATH_ROOTS; root++) {
        jsonview_release(&l->views[root]);
    }
    json_object_put(l->file);
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

enum { SKIPPED = 1 };

/* What becomes of a case. */
struct run {
    struct envelope event;
    struct looked_up looked_up;
    struct request request;
    char reason[600];
};

/* What the plugin says when such a rule is saved must be what the worker says, word for word. */
static void check_invalid(const char *name, const struct files *f, const struct rule *rule)
{
    static const char *const parts[] = {"policy: endpoint, line ", "policy: payload, line ",
                                        "policy: filter, line "};
    const char *invalid = text_of(f->expect, "invalid");
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

/* What the rule's filter says: 0, SKIPPED, or negative with the reason. */
static int ask_filter(const struct rule *rule, const struct envelope *event, char *ret_reason,
                      size_t size)
{
    char what[440];
    bool wanted = true;
    const struct path_source source = {&event->view, event->data};
    if (!rule->filter || rule->fault) {
        return 0;
    }
    int r = condition_match(rule->filter, &source, &wanted, what, sizeof(what));
    (void)snprintf(ret_reason, size, "policy: filter, %s", r < 0 ? what : "");
    return r < 0 ? r : wanted ? 0 : SKIPPED;
}

/* Parses and builds; the reason as the dead letter will have it. */
static int build(const char *name, const struct files *f, struct run *run, const struct catalog *c)
{
    struct envelope *event = &run->event;
    char *ret_reason = run->reason;
    const size_t size = sizeof(run->reason);
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
    check_invalid(name, f, rule);
    look_up(name, rule, event, &run->looked_up);
    result = ask_filter(rule, event, ret_reason, size);
    if (result != 0) {
        return result;
    }
    return request_build(&run->request, s, rule, event, number_of(f->expect, "now", DEFAULT_NOW),
                         ret_reason, size);
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
    struct run run = {0};
    size_t len = strlen(f.event);
    assert_true(len > 0 && f.event[len - 1] == '\n');
    f.event[len - 1] = '\0';
    request_init(&run.request);
    int result = build(name, &f, &run, c);
    bool skipped = number_of(f.expect, "skipped", 0) != 0;
    const char *error = text_of(f.expect, "error");
    if ((result < 0) != (error != NULL)) {
        fail_msg("%s: %s", name, result < 0 ? run.reason : "no error");
    }
    if ((result == SKIPPED) != skipped) {
        fail_msg("%s: %s", name, skipped ? "is not skipped" : "is skipped");
    }
    if (!error && !skipped) {
        check_request(name, &run.request, f.expect);
    } else if (error && !strstr(run.reason, error)) {
        fail_msg("%s: the reason\n  is       %s\n  without  %s", name, run.reason, error);
    }
    request_release(&run.request);
    envelope_release(&run.event);
    looked_up_release(&run.looked_up);
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
