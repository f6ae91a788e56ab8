#include "worker/ctl_service.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>
#include <sysexits.h>

#include "worker/ctl_base.h"
#include "worker/ctl_command.h"
#include "worker/ctl_print.h"

/* A row of the table cb. */
struct breaker_state {
    char state[16];
    int64_t failures;
    int64_t trips;
    int64_t last_failure_s;
    int64_t retry_s;
    int64_t retry_in_s;
    char holder[101];
};

static const char *hint_text(enum ctl_hint hint)
{
    static const char *const texts[] = {
        [CTL_HINTED] = "the fleet was told",
        [CTL_NOBODY_HEARS] = "no worker runs now",
        [CTL_NOT_HINTED] = "the fleet could not be told, and sees it at its next look",
    };

    return texts[hint];
}

static void print_done(const struct ctl *c, const struct ctl_service_row *s, const char *state,
                       bool changed, enum ctl_hint hint)
{
    struct json_object *object;

    if (!c->command->json) {
        printf("service %" PRId64 " %s: %s%s; %s\n", s->id, ctl_safe(s->name),
               changed ? "" : "was already ", state, hint_text(hint));
        if (hint == CTL_NOT_HINTED)
            fprintf(stderr, "mihctl: %s\n", ctl_safe(c->reason));
        return;
    }
    object = json_object_new_object();
    ctl_set_number(object, "service", s->id);
    ctl_set_text(object, "name", s->name);
    ctl_set_text(object, "state", state);
    ctl_set_bool(object, "changed", changed);
    ctl_set_bool(object, "hinted", hint == CTL_HINTED);
    ctl_print_object(stdout, object);
}

static int find(struct ctl *c, struct ctl_service_row *ret_row)
{
    *ret_row = (struct ctl_service_row){0};
    if (ctl_open_db(c) < 0)
        return ctl_fail(c, EX_UNAVAILABLE);
    return ctl_find_service(c, c->command->subject, ret_row);
}

int ctl_service_pause(struct ctl *c)
{
    bool pause = c->command->verb == CTL_PAUSE;
    struct ctl_service_row service;
    uint64_t changed = 0;
    int code = find(c, &service);

    if (code != 0)
        return code;
    const struct db_value values[] = {db_of_number(pause), db_of_number(service.id)};
    int r = db_query(c->db, "UPDATE {local_integrationhub_svc} SET paused = ? WHERE id = ?", values,
                     2, NULL, NULL, &changed);

    if (r < 0)
        return ctl_db_failed(c, r);
    print_done(c, &service, pause ? "paused" : "not paused", service.paused != pause,
               ctl_hint_send(c, "service", service.id));
    return EX_OK;
}

static int on_breaker(void *context, const struct db_row *row)
{
    struct breaker_state *b = context;

    snprintf(b->state, sizeof b->state, "%s", db_text(row, 0));
    b->failures = db_number(row, 1, 0);
    b->trips = db_number(row, 2, 0);
    b->last_failure_s = db_number(row, 3, 0);
    b->retry_s = db_number(row, 4, 0);
    b->retry_in_s = db_number(row, 5, 0);
    snprintf(b->holder, sizeof b->holder, "%s", db_text(row, 6));
    return 0;
}

static int read_breaker(struct ctl *c, int64_t service_id, struct breaker_state *ret_breaker)
{
    const struct db_value values[] = {db_of_number(service_id)};

    *ret_breaker = (struct breaker_state){.state = "closed"};
    return db_query(c->db,
                    "SELECT state, failure_count, trips, last_failure, retryat,"
                    " COALESCE(retryat, 0) - UNIX_TIMESTAMP(), holder"
                    " FROM {local_integrationhub_cb} WHERE serviceid = ?",
                    values, 1, on_breaker, ret_breaker, NULL);
}

static void print_breaker(const struct ctl_service_row *s, const struct breaker_state *b)
{
    char last[CTL_TIME_SIZE];
    char retry[CTL_TIME_SIZE];

    printf("service %" PRId64 " %s: breaker %s", s->id, ctl_safe(s->name), ctl_safe(b->state));
    if (strcmp(b->state, "open") == 0)
        printf(" after %" PRId64 " failures, opened %" PRId64 " times in a row, the last failure %s"
               "; the next try is at %s, in %" PRId64 " s",
               b->failures, b->trips, ctl_time(b->last_failure_s, last),
               ctl_time(b->retry_s, retry), b->retry_in_s > 0 ? b->retry_in_s : 0);
    else if (strcmp(b->state, "halfopen") == 0)
        printf(": %s sends one request", ctl_safe(b->holder));
    putchar('\n');
}

static void print_breaker_object(const struct ctl_service_row *s, const struct breaker_state *b)
{
    struct json_object *object = json_object_new_object();

    ctl_set_number(object, "service", s->id);
    ctl_set_text(object, "name", s->name);
    ctl_set_text(object, "state", b->state);
    ctl_set_number(object, "failures", b->failures);
    ctl_set_number(object, "trips", b->trips);
    ctl_set_number(object, "last_failure", b->last_failure_s);
    ctl_set_number(object, "retry_at", b->retry_s);
    ctl_set_text(object, "holder", b->holder);
    ctl_print_object(stdout, object);
}

static int reset(struct ctl *c, const struct ctl_service_row *service)
{
    const struct db_value values[] = {db_of_number(service->id)};
    uint64_t changed = 0;
    int r = db_query(c->db,
                     "UPDATE {local_integrationhub_cb} SET state = 'closed', failure_count = 0,"
                     " trips = 0, retryat = NULL, holder = NULL, timemodified = UNIX_TIMESTAMP()"
                     " WHERE serviceid = ? AND state <> 'closed'",
                     values, 1, NULL, NULL, &changed);

    if (r < 0)
        return ctl_db_failed(c, r);
    print_done(c, service, "closed", changed > 0, ctl_hint_send(c, "breaker", service->id));
    return EX_OK;
}

int ctl_service_breaker(struct ctl *c)
{
    struct breaker_state breaker;
    struct ctl_service_row service;
    int code = find(c, &service);

    if (code != 0)
        return code;
    if (c->command->reset)
        return reset(c, &service);
    int r = read_breaker(c, service.id, &breaker);
    if (r < 0)
        return ctl_db_failed(c, r);
    if (c->command->json)
        print_breaker_object(&service, &breaker);
    else
        print_breaker(&service, &breaker);
    return EX_OK;
}
