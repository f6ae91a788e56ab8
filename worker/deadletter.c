#include "worker/deadletter.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/timing.h"
#include "worker/lane.h"

enum { RENDERED_MAX = 64 * 1024, MAX_FIELDS = 8 };

struct deadletters {
    struct context *ctx;
    deadletter_done *done;
    struct attempt *unsafe; /* to be tried again at the next tick, in this order */
    struct attempt *unsafe_last;
    bool full;   /* the publisher has no room: trying the others now would be in vain */
    size_t open; /* unsafe, and on their way to the broker */
    int64_t warned_s;
};

int deadletters_new(struct context *ctx, deadletter_done *done, struct deadletters **ret_letters)
{
    struct deadletters *d = calloc(1, sizeof *d);

    if (!d)
        return -ENOMEM;
    d->ctx = ctx;
    d->done = done;
    *ret_letters = d;
    return 0;
}

static void end(struct deadletters *d, struct attempt *a, enum deadletter_end how)
{
    d->open--;
    d->done(a, how);
}

static void try_later(struct deadletters *d, struct attempt *a, const char *reason)
{
    a->next = NULL;
    if (d->unsafe_last)
        d->unsafe_last->next = a;
    else
        d->unsafe = a;
    d->unsafe_last = a;
    if (log_every(&d->warned_s, 10, timing_unix_s()))
        log_warning("dead letter not safe yet: its message stays at the broker, next try in 1 s",
                    "service_id", log_number(a->job->lane->service_id), "message_id",
                    a->job->message_id, "reason", reason, "waiting", log_number((int64_t)d->open),
                    NULL);
}

static const char *const result_text[] = {
    [PUBLISH_CONFIRMED] = "confirmed",
    [PUBLISH_RETURNED] = "no dead-letter queue is bound for this service",
    [PUBLISH_NACKED] = "the broker refused it",
    [PUBLISH_LOST] = "the connection was lost before the broker confirmed",
    [PUBLISH_UNSENT] = "the broker blocks publishing",
};

static void on_published(void *context, enum publish_result result, const char *reason)
{
    struct attempt *a = context;
    struct deadletters *d = a->job->lane->letters;

    (void)reason;
    if (result == PUBLISH_CONFIRMED)
        end(d, a, DEADLETTER_SAFE);
    else
        try_later(d, a, result_text[result]);
}

/* The headers of DESIGN 4 and the storage of their texts. */
struct fields {
    struct bus_field field[MAX_FIELDS];
    size_t n;
    char service[32];
    char rule[32];
    char *rendered;
};

static void add_text(struct fields *f, const char *name, const char *text)
{
    f->field[f->n++] = (struct bus_field){.name = name, .text = text};
}

static void add_number(struct fields *f, const char *name, int64_t number)
{
    f->field[f->n++] = (struct bus_field){.name = name, .number = number};
}

/* The body as last sent, cut at RENDERED_MAX; malloc, or NULL when nothing was sent. */
static char *rendered_copy(const struct attempt *a)
{
    size_t len;
    const char *body;
    char *copy;

    if (!a->rendered)
        return NULL;
    body = request_body(&a->request, &len);
    if (len > RENDERED_MAX)
        len = RENDERED_MAX;
    copy = malloc(len + 1);
    if (!copy)
        return NULL;
    snprintf(copy, len + 1, "%.*s", (int)len, body);
    return copy;
}

static void fields_of(const struct attempt *a, struct fields *f)
{
    const struct job *job = a->job;

    *f = (struct fields){.rendered = rendered_copy(a)};
    snprintf(f->service, sizeof f->service, "%" PRId64, job->lane->service_id);
    add_text(f, "x-mih-service", f->service);
    if (a->rule) {
        snprintf(f->rule, sizeof f->rule, "%" PRId64, a->rule->id);
        add_text(f, "x-mih-rule", f->rule);
    }
    add_number(f, "x-mih-attempt", job->attempts + (a->rendered ? 1 : 0));
    add_number(f, "x-mih-first", job->first_s);
    add_text(f, "x-mih-reason", a->verdict.reason);
    add_number(f, "x-mih-status", a->verdict.status);
    if (f->rendered)
        add_text(f, "x-mih-rendered", f->rendered);
}

static void publish(struct deadletters *d, struct attempt *a)
{
    const struct job *job = a->job;
    struct fields fields;
    char key[NAME_SIZE];
    int r;

    fields_of(a, &fields);
    names_service_key(job->lane->service_id, key);
    r = publisher_submit(d->ctx->publisher,
                         &(struct bus_publication){
                             .exchange = d->ctx->names.dead,
                             .routing_key = key,
                             .message_id = job->message_id,
                             .type = job->type,
                             .app_id = job->app_id,
                             .content_type = "application/json",
                             .timestamp = job->timestamp,
                             .body = job->body,
                             .body_len = job->body_len,
                             .fields = fields.field,
                             .n_fields = fields.n,
                         },
                         on_published, a);
    free(fields.rendered);
    d->full = r == -ENOBUFS;
    if (r < 0)
        try_later(d, a, r == -ENOBUFS ? "too many publications are waiting" : "out of memory");
}

/* True when rejecting the whole message repeats nothing: this is all that is left of it. */
static bool may_reject(const struct job *job)
{
    return job->open == 1 && job->next_rule == job->n_rules && job->delivered == 0 &&
           job->dead == 0 && job->only_rule == 0 && !job->abandoned;
}

static void attend(struct deadletters *d, struct attempt *a)
{
    struct job *job = a->job;

    if (settler_is_stale(&job->lane->settler, job->epoch)) {
        end(d, a, DEADLETTER_STALE);
    } else if (publisher_blocked(d->ctx->publisher) && may_reject(job)) {
        settler_reject(&job->lane->settler, job->epoch, job->tag);
        end(d, a, DEADLETTER_REJECTED);
    } else {
        publish(d, a);
    }
}

void deadletters_add(struct deadletters *d, struct attempt *a)
{
    d->open++;
    attend(d, a);
}

void deadletters_tick(struct deadletters *d)
{
    struct attempt *a = d->unsafe;

    d->unsafe = d->unsafe_last = NULL;
    d->full = false;
    while (a) {
        struct attempt *next = a->next;

        a->next = NULL;
        if (d->full && !publisher_blocked(d->ctx->publisher))
            try_later(d, a, "too many publications are waiting");
        else
            attend(d, a);
        a = next;
    }
}

size_t deadletters_open(const struct deadletters *d)
{
    return d->open;
}

void deadletters_free(struct deadletters *d)
{
    if (!d)
        return;
    while (d->unsafe) {
        struct attempt *a = d->unsafe;

        d->unsafe = a->next;
        if (!d->unsafe)
            d->unsafe_last = NULL;
        end(d, a, DEADLETTER_STALE);
    }
    free(d);
}
