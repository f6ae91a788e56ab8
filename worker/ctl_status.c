#include "worker/ctl_status.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "common/buf.h"
#include "worker/ctl_base.h"
#include "worker/ctl_command.h"
#include "worker/ctl_print.h"
#include "worker/ctl_state.h"
#include "worker/ctl_table.h"

enum { MAX_SCREEN = 32 * 1024 * 1024 };

static const char *state_of(const struct ctl_service *v)
{
    return !v->enabled ? "disabled" : v->paused ? "paused" : "enabled";
}

static void add_workers(const struct ctl_state *s, struct buf *out)
{
    struct ctl_table t;
    size_t silent = 0;

    for (size_t i = 0; i < s->n_workers; i++)
        silent += s->workers[i].seen_s > CTL_SILENT_S;
    buf_addf(out, "processes: %zu", s->n_workers - silent);
    if (silent)
        buf_addf(out, ", and %zu silent", silent);
    buf_addc(out, '\n');
    if (s->n_workers == 0)
        return;
    ctl_table_init(&t, "host|>pid|version|>up|>seen ago|>progress ago|>in flight|>received|"
                       ">delivered|>skipped|>retried|>dead|>MiB");
    for (size_t i = 0; i < s->n_workers; i++) {
        const struct ctl_worker *w = &s->workers[i];

        ctl_table_text(&t, w->host);
        ctl_table_number(&t, w->pid);
        ctl_table_text(&t, w->version);
        ctl_table_seconds(&t, w->up_s);
        ctl_table_seconds(&t, w->seen_s);
        ctl_table_seconds(&t, w->progress_s);
        ctl_table_number(&t, w->in_flight);
        ctl_table_number(&t, w->received);
        ctl_table_number(&t, w->delivered);
        ctl_table_number(&t, w->skipped);
        ctl_table_number(&t, w->retried);
        ctl_table_number(&t, w->dead);
        ctl_table_number(&t, w->memory / 1024 / 1024);
    }
    ctl_table_print(&t, out);
    ctl_table_release(&t);
}

static void breaker_cell(struct ctl_table *t, const struct ctl_service *v)
{
    char wait[CTL_SPAN_SIZE];
    char text[CTL_CELL_SIZE];

    if (strcmp(v->breaker, "open") != 0) {
        ctl_table_text(t, v->breaker);
        return;
    }
    snprintf(text, sizeof text, "open, next try in %s", ctl_span(v->retry_in_s, wait));
    ctl_table_text(t, text);
}

/* Unknown while the broker does not answer, or where there is no queue. */
static void queue_cell(struct ctl_table *t, bool there, uint32_t number)
{
    if (there)
        ctl_table_number(t, number);
    else
        ctl_table_text(t, "-");
}

static void age_cell(struct ctl_table *t, int64_t age_s)
{
    if (age_s < 0)
        ctl_table_text(t, "-");
    else
        ctl_table_seconds(t, age_s);
}

static void latency_cell(struct ctl_table *t, int64_t us)
{
    char text[32] = "-";

    if (us >= 0)
        snprintf(text, sizeof text, "%.1f", (double)us / 1000);
    ctl_table_text(t, text);
}

static void add_services(const struct ctl_state *s, struct buf *out)
{
    struct ctl_table t;

    buf_addf(out, "services: %zu\n", s->n_services);
    if (s->n_services == 0)
        return;
    ctl_table_init(&t,
                   ">id|name|state|breaker|>rules|>ready|>oldest|>consumers|>dead|>per min|>ms");
    for (size_t i = 0; i < s->n_services; i++) {
        const struct ctl_service *v = &s->services[i];

        ctl_table_number(&t, v->id);
        ctl_table_text(&t, v->name);
        ctl_table_text(&t, state_of(v));
        breaker_cell(&t, v);
        ctl_table_number(&t, v->rules);
        queue_cell(&t, v->has_queue, v->ready);
        age_cell(&t, v->oldest_s);
        queue_cell(&t, v->has_queue, v->consumers);
        queue_cell(&t, v->has_dead, v->dead);
        ctl_table_number(&t, v->per_minute);
        latency_cell(&t, v->latency_us);
    }
    ctl_table_print(&t, out);
    ctl_table_release(&t);
}

static void add_tables(const struct ctl_state *s, struct buf *out)
{
    char age[CTL_SPAN_SIZE];

    add_workers(s, out);
    buf_addc(out, '\n');
    add_services(s, out);
    buf_addf(out, "\noutbox: %" PRId64, s->outbox_rows);
    if (s->outbox_oldest_s >= 0)
        buf_addf(out, ", the oldest %s", ctl_span(s->outbox_oldest_s, age));
    buf_addf(out, "   replays under way: %" PRId64 "   replayer: %s\n", s->replays,
             s->replayer ? "works" : "none");
}

void ctl_status_print(const struct ctl *c, const struct ctl_state *s, struct buf *out)
{
    char now[CTL_TIME_SIZE];

    buf_addf(out, "%s   namespace %s   broker %s\n", ctl_time(s->now_s, now), c->names.space,
             *s->broker ? ctl_safe(s->broker) : "-");
    if (*s->db_reason)
        buf_addf(out, "%s\n", ctl_safe(s->db_reason));
    else
        add_tables(s, out);
    if (*s->bus_reason)
        buf_addf(out, "%s\n", ctl_safe(s->bus_reason));
    else
        buf_addf(out, "waiting for a retry: %" PRIu64 "\n", s->retries);
}

static struct json_object *worker_object(const struct ctl_worker *w)
{
    struct json_object *o = json_object_new_object();

    ctl_set_text(o, "host", w->host);
    ctl_set_number(o, "pid", w->pid);
    ctl_set_text(o, "version", w->version);
    ctl_set_number(o, "up", w->up_s);
    ctl_set_number(o, "seen_ago", w->seen_s);
    ctl_set_number(o, "progress_ago", w->progress_s);
    ctl_set_bool(o, "silent", w->seen_s > CTL_SILENT_S);
    ctl_set_number(o, "in_flight", w->in_flight);
    ctl_set_number(o, "received", w->received);
    ctl_set_number(o, "delivered", w->delivered);
    ctl_set_number(o, "skipped", w->skipped);
    ctl_set_number(o, "retried", w->retried);
    ctl_set_number(o, "dead", w->dead);
    ctl_set_number(o, "memory", w->memory);
    ctl_set_bool(o, "elected", w->elected);
    return o;
}

static void set_queue(struct json_object *o, const char *key, bool there, uint32_t number)
{
    if (there)
        ctl_set_number(o, key, number);
    else if (o)
        json_object_object_add(o, key, NULL);
}

static struct json_object *service_object(const struct ctl_service *v)
{
    struct json_object *o = json_object_new_object();

    ctl_set_number(o, "id", v->id);
    ctl_set_text(o, "name", v->name);
    ctl_set_bool(o, "enabled", v->enabled);
    ctl_set_bool(o, "paused", v->paused);
    ctl_set_text(o, "breaker", v->breaker);
    ctl_set_number(o, "trips", v->trips);
    if (strcmp(v->breaker, "open") == 0)
        ctl_set_number(o, "retry_in", v->retry_in_s);
    ctl_set_number(o, "rules", v->rules);
    set_queue(o, "ready", v->has_queue, v->ready);
    set_queue(o, "consumers", v->has_queue, v->consumers);
    set_queue(o, "dead", v->has_dead, v->dead);
    if (v->oldest_s >= 0)
        ctl_set_number(o, "oldest", v->oldest_s);
    ctl_set_number(o, "delivered_per_minute", v->per_minute);
    if (v->latency_us >= 0)
        json_object_object_add(o, "latency_ms",
                               json_object_new_double((double)v->latency_us / 1000));
    return o;
}

static void set_tables(struct json_object *object, const struct ctl_state *s)
{
    struct json_object *workers = json_object_new_array();
    struct json_object *services = json_object_new_array();

    for (size_t i = 0; workers && i < s->n_workers; i++)
        json_object_array_add(workers, worker_object(&s->workers[i]));
    for (size_t i = 0; services && i < s->n_services; i++)
        json_object_array_add(services, service_object(&s->services[i]));
    ctl_set_number(object, "time", s->now_s);
    json_object_object_add(object, "processes", workers);
    json_object_object_add(object, "services", services);
    ctl_set_number(object, "outbox", s->outbox_rows);
    if (s->outbox_oldest_s >= 0)
        ctl_set_number(object, "outbox_oldest", s->outbox_oldest_s);
    ctl_set_number(object, "replays", s->replays);
    ctl_set_bool(object, "replayer", s->replayer);
}

struct json_object *ctl_status_object(const struct ctl_state *s)
{
    struct json_object *object = json_object_new_object();

    if (!object)
        return NULL;
    ctl_set_text(object, "broker", s->broker);
    if (*s->db_reason)
        ctl_set_text(object, "database_error", s->db_reason);
    else
        set_tables(object, s);
    if (*s->bus_reason)
        ctl_set_text(object, "broker_error", s->bus_reason);
    else
        ctl_set_number(object, "retries", (int64_t)s->retries);
    return object;
}

int ctl_status_code(const struct ctl_state *s)
{
    return *s->db_reason || *s->bus_reason ? EX_UNAVAILABLE : EX_OK;
}

int ctl_status(struct ctl *c)
{
    struct ctl_state s;
    struct buf out;
    int code;

    ctl_state_read(c, &s);
    code = ctl_status_code(&s);
    if (c->command->json) {
        ctl_print_object(stdout, ctl_status_object(&s));
    } else {
        buf_init(&out, MAX_SCREEN);
        ctl_status_print(c, &s, &out);
        fputs(buf_error(&out) == 0 ? buf_text(&out) : "out of memory\n", stdout);
        buf_release(&out);
    }
    ctl_state_release(&s);
    return code;
}
