#include "worker/ctl_trace.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "worker/ctl_base.h"
#include "worker/ctl_command.h"
#include "worker/ctl_print.h"
#include "worker/ctl_trace_impl.h"

enum { MAX_STEPS = 100000 };

/* Steps at one second stay in the order of the tables, which is that of a message's way. */
struct trace {
    struct trace_step *steps;
    size_t n, cap;
};

struct trace_step *ctl_trace_add(struct trace *t, int64_t time_s, const char *what)
{
    struct trace_step *s;

    if (t->n == MAX_STEPS)
        return NULL;
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 16;
        struct trace_step *all = reallocarray(t->steps, cap, sizeof *all);

        if (!all)
            return NULL;
        t->steps = all;
        t->cap = cap;
    }
    s = &t->steps[t->n];
    *s = (struct trace_step){.time_s = time_s, .order = t->n++};
    snprintf(s->what, sizeof s->what, "%s", what);
    return s;
}

static int compare(const void *one, const void *other)
{
    const struct trace_step *a = one;
    const struct trace_step *b = other;

    if (a->time_s != b->time_s)
        return a->time_s < b->time_s ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static void print_step(const struct trace_step *s)
{
    char at[CTL_TIME_SIZE];

    printf("%-20s  %-10s", ctl_time(s->time_s, at), ctl_safe(s->what));
    if (s->service_id > 0)
        printf("  service %" PRId64, s->service_id);
    if (s->rule_id > 0)
        printf("  rule %" PRId64, s->rule_id);
    printf("  %s\n", ctl_safe(s->text));
}

static void print_object(const struct trace *t, const char *id)
{
    struct json_object *object = json_object_new_object();
    struct json_object *steps = json_object_new_array();

    for (size_t i = 0; steps && i < t->n; i++) {
        const struct trace_step *s = &t->steps[i];
        struct json_object *step = json_object_new_object();

        ctl_set_number(step, "time", s->time_s);
        ctl_set_text(step, "what", s->what);
        if (s->service_id > 0)
            ctl_set_number(step, "service", s->service_id);
        if (s->rule_id > 0)
            ctl_set_number(step, "rule", s->rule_id);
        ctl_set_text(step, "text", s->text);
        json_object_array_add(steps, step);
    }
    ctl_set_text(object, "message_id", id);
    if (object)
        json_object_object_add(object, "steps", steps);
    ctl_print_object(stdout, object);
}

static int tell(struct ctl *c, struct trace *t)
{
    if (t->n == 0)
        return ctl_refuse(c, EX_DATAERR,
                          "no table knows this message: it may wait at the broker, or be delivered "
                          "and not logged (mihctl status; [statistics] log_rate)");
    qsort(t->steps, t->n, sizeof *t->steps, compare);
    if (c->command->json)
        print_object(t, c->command->subject);
    for (size_t i = 0; !c->command->json && i < t->n; i++)
        print_step(&t->steps[i]);
    return EX_OK;
}

int ctl_trace(struct ctl *c)
{
    struct trace t = {0};
    int code;
    int r;

    if (ctl_open_db(c) < 0)
        return ctl_fail(c, EX_UNAVAILABLE);
    r = ctl_trace_read(c, &t);
    code = r < 0 ? ctl_db_failed(c, r) : tell(c, &t);
    free(t.steps);
    return code;
}
