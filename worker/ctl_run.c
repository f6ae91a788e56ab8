#include "worker/ctl_run.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "common/db.h"
#include "common/secret.h"
#include "common/timing.h"
#include "worker/catalog_rows.h"
#include "worker/ctl_command.h"
#include "worker/ctl_files.h"
#include "worker/ctl_print.h"
#include "worker/ctl_render.h"
#include "worker/ctl_send.h"
#include "worker/ctl_soap.h"
#include "worker/settings.h"

enum { MAX_OUTPUT = 8 * 1024 * 1024 };

struct run {
    const struct settings *settings;
    const struct ctl_command *command;
    struct secret_keys *keys;
    struct db *db; /* NULL with files */
    char *event;   /* the file's bytes; the rendering borrows them */
    size_t event_len;
    int code;                       /* of printing */
    struct ctl_rendering rendering; /* its reason is that of every failure */
};

static int fail(struct run *r, int code)
{
    struct json_object *object;

    if (!r->command->json) {
        fprintf(stderr, "mihctl: %s\n", r->rendering.reason);
        return code;
    }
    object = json_object_new_object();
    if (object)
        json_object_object_add(object, "error", json_object_new_string(r->rendering.reason));
    ctl_print_object(stdout, object);
    return code;
}

static int refuse(struct run *r, int code, const char *what)
{
    snprintf(r->rendering.reason, sizeof r->rendering.reason, "%s", what);
    return fail(r, code);
}

static int fail_file(struct run *r, int error)
{
    return fail(r, error == -EBADMSG || error == -EFBIG ? EX_DATAERR : EX_NOINPUT);
}

/* A worker without keys goes on, too: the services' faults tell. */
static void load_keys(struct run *r)
{
    char credential[PATH_MAX];
    const char *path =
        secret_key_path(r->settings->security_moodle_key_file, credential, sizeof credential);
    char *reason = r->rendering.reason;

    if (*path && secret_keys_load(path, &r->keys, reason, sizeof r->rendering.reason) < 0)
        fprintf(stderr, "mihctl: no secret can be decrypted: %s\n", reason);
    *reason = '\0';
}

/* The line feed that editors put at the end is not the event's. */
static int read_event(struct run *r)
{
    int error = ctl_file_read(r->command->event, &r->event, &r->event_len, r->rendering.reason,
                              sizeof r->rendering.reason);

    if (error < 0)
        return fail_file(r, error);
    if (r->event_len > 0 && r->event[r->event_len - 1] == '\n')
        r->event[--r->event_len] = '\0';
    if (ctl_rendering_parse(&r->rendering, (size_t)r->settings->worker_max_event_bytes,
                            r->command->message_id, r->event, r->event_len) < 0)
        return fail(r, EX_DATAERR);
    return 0;
}

/* The first service and its first rule: there is one of each. */
static int take_rows(struct run *r, struct json_object *service, struct json_object *rule)
{
    struct ctl_rendering *p = &r->rendering;
    int error = ctl_rows_catalog(service, rule, r->keys, &p->catalog);

    if (error == -EINVAL)
        return refuse(r, EX_DATAERR, "the rule's serviceid is not the service's id");
    if (error < 0)
        return refuse(r, EX_OSERR, strerror(-error));
    p->service = catalog_service_at(p->catalog, 0);
    p->rule = &p->service->rules[0];
    return 0;
}

static int read_rows(struct run *r)
{
    struct json_object *service = NULL;
    struct json_object *rule = NULL;
    char *reason = r->rendering.reason;
    int code = 0;
    int error = ctl_file_object(r->command->service, &service, reason, sizeof r->rendering.reason);

    if (error == 0)
        error = ctl_file_object(r->command->rule, &rule, reason, sizeof r->rendering.reason);
    code = error < 0 ? fail_file(r, error) : take_rows(r, service, rule);
    json_object_put(service);
    json_object_put(rule);
    return code;
}

static int look_up_file(struct run *r)
{
    struct json_object *kinds = NULL;
    int error = 0;

    if (!r->command->data)
        return 0;
    error =
        ctl_file_object(r->command->data, &kinds, r->rendering.reason, sizeof r->rendering.reason);
    if (error < 0)
        return fail_file(r, error);
    error = ctl_lookup_file(&r->rendering, kinds);
    json_object_put(kinds);
    return error < 0 ? fail(r, EX_DATAERR) : 0;
}

static int open_db(struct run *r)
{
    struct db_options options;
    struct db_error error;

    settings_db_options(r->settings, &options);
    if (db_open(&options, &r->db, &error) < 0)
        return refuse(r, EX_UNAVAILABLE, error.text);
    return 0;
}

static int find_rule(struct run *r)
{
    struct ctl_rendering *p = &r->rendering;

    for (size_t i = 0; i < catalog_service_count(p->catalog) && !p->rule; i++) {
        p->service = catalog_service_at(p->catalog, i);
        p->rule = service_rule(p->service, r->command->rule_id);
    }
    return p->rule ? 0 : refuse(r, EX_DATAERR, "no rule has this id");
}

static int read_db(struct run *r)
{
    struct ctl_rendering *p = &r->rendering;
    struct catalog_builder *b = catalog_builder_new();
    int error;

    if (!b)
        return refuse(r, EX_OSERR, strerror(ENOMEM));
    catalog_builder_set_keys(b, r->keys);
    error = catalog_rows_read(r->db, b, p->reason, sizeof p->reason);
    if (error < 0) {
        catalog_builder_free(b);
        return db_lost(r->db) ? refuse(r, EX_UNAVAILABLE, db_reason(r->db))
                              : fail(r, EX_UNAVAILABLE);
    }
    error = catalog_builder_seal(b, &p->catalog);
    return error < 0 ? refuse(r, EX_OSERR, strerror(-error)) : find_rule(r);
}

static void note_match(void *context, const struct rule *rule)
{
    struct ctl_rendering *p = context;

    if (rule == p->rule)
        p->rule = NULL;
}

/* What would keep the worker from asking this rule at all. */
static void warn_of_no_match(const struct run *r)
{
    struct ctl_rendering p = r->rendering;

    service_match(p.service, p.event.eventname, note_match, &p);
    if (p.rule)
        fputs("mihctl: note: the rule is disabled, or is of other events\n", stderr);
    if (!p.service->enabled)
        fputs("mihctl: note: the service is disabled\n", stderr);
}

static void print_request(void *context, const struct request *request)
{
    struct run *r = context;
    struct buf out;

    if (r->command->json) {
        ctl_print_object(stdout, ctl_request_object(request));
        return;
    }
    buf_init(&out, MAX_OUTPUT);
    if (ctl_print_command(request, &out) < 0)
        r->code = refuse(r, EX_OSERR, "the request cannot be shown: no memory");
    else
        fputs(buf_text(&out), stdout);
    buf_release(&out);
}

static int show(struct run *r)
{
    const struct request *request = &r->rendering.request;
    int error;

    if (r->rendering.service->type != SERVICE_SOAP) {
        print_request(r, request);
        return r->code;
    }
    error = ctl_soap_message(r->settings, request, print_request, r, r->rendering.reason,
                             sizeof r->rendering.reason);
    if (error < 0)
        return fail(r, error == -EAGAIN ? EX_TEMPFAIL : EX_DATAERR);
    return r->code;
}

static int send(struct run *r)
{
    static struct ctl_answer answer;
    struct buf out;

    if (ctl_send(r->settings, &r->rendering.request, &answer, r->rendering.reason,
                 sizeof r->rendering.reason) < 0)
        return fail(r, EX_DATAERR);
    if (r->command->json) {
        ctl_print_object(stdout, ctl_answer_object(&answer));
        return ctl_answer_code(&answer);
    }
    buf_init(&out, MAX_OUTPUT);
    ctl_answer_print(&answer, &out);
    fputs(buf_text(&out), stdout);
    buf_release(&out);
    return ctl_answer_code(&answer);
}

static int tell_skipped(const struct run *r)
{
    struct json_object *object;

    if (!r->command->json) {
        puts("The rule's filter does not want this event: nothing would be sent.");
        return EX_OK;
    }
    object = json_object_new_object();
    if (object)
        json_object_object_add(object, "skipped", json_object_new_boolean(1));
    ctl_print_object(stdout, object);
    return EX_OK;
}

static int render(struct run *r)
{
    int64_t now_s = r->command->now_s ? r->command->now_s : timing_unix_s();
    int result;

    warn_of_no_match(r);
    result = ctl_rendering_build(&r->rendering, now_s);
    if (result == CTL_SKIPPED)
        return tell_skipped(r);
    if (result < 0)
        return fail(r, result == -ENOMEM ? EX_OSERR : EX_DATAERR);
    return r->command->verb == CTL_SEND ? send(r) : show(r);
}

static int from_files(struct run *r)
{
    int code = read_rows(r);

    return code ? code : look_up_file(r);
}

static int from_db(struct run *r)
{
    int code = open_db(r);

    if (code == 0)
        code = read_db(r);
    if (code == 0 && ctl_lookup_db(&r->rendering, r->db) < 0)
        code = fail(r, EX_UNAVAILABLE);
    return code;
}

int ctl_run(const struct settings *settings, const struct ctl_command *command)
{
    static struct run r;
    int code;

    r = (struct run){.settings = settings, .command = command};
    ctl_rendering_init(&r.rendering);
    load_keys(&r);
    code = read_event(&r);
    if (code == 0)
        code = command->rule_id ? from_db(&r) : from_files(&r);
    if (code == 0)
        code = render(&r);
    ctl_rendering_release(&r.rendering);
    db_free(r.db);
    secret_keys_free(r.keys);
    free(r.event);
    return code;
}
