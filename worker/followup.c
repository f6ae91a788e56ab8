#include "worker/followup.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/timing.h"
#include "worker/hint.h"
#include "worker/lane.h"
#include "worker/repeats.h"
#include "worker/replayed.h"

enum { DOUBT_EVERY_S = 2 };
enum { MAX_FIELDS = 12 }; /* of a retry that is part of a replay; a dead letter has fewer */

struct followups {
    struct context *ctx;
    followup_done *done;
    struct attempt *unsafe; /* to be tried again at the next tick, in this order */
    struct attempt *unsafe_last;
    bool full;   /* the publisher has no room: trying the others now would be in vain */
    size_t open; /* unsafe, and on their way to the broker */
    int64_t warned_s;
    int64_t doubted_s; /* when the fleet was last told that something is missing at the broker */
};

int followups_new(struct context *ctx, followup_done *done, struct followups **ret_followups)
{
    struct followups *d = calloc(1, sizeof *d);

    if (!d)
        return -ENOMEM;
    d->ctx = ctx;
    d->done = done;
    *ret_followups = d;
    return 0;
}

static void end(struct followups *d, struct attempt *a, enum followup_end how)
{
    d->open--;
    d->done(a, how);
}

static void try_later(struct followups *d, struct attempt *a, const char *reason)
{
    a->next = NULL;
    if (d->unsafe_last)
        d->unsafe_last->next = a;
    else
        d->unsafe = a;
    d->unsafe_last = a;
    if (log_every(&d->warned_s, 10, timing_unix_s()))
        log_warning("retry or dead letter not safe yet: its message stays at the broker,"
                    " next try in 1 s",
                    "service_id", log_number(a->job->lane->service_id), "message_id",
                    a->job->message_id, "reason", reason, "waiting", log_number((int64_t)d->open),
                    NULL);
}

static const char *const result_text[] = {
    [PUBLISH_CONFIRMED] = "confirmed",
    [PUBLISH_RETURNED] = "its queue is not bound, or not yet",
    [PUBLISH_NACKED] = "the broker refused it",
    [PUBLISH_LOST] = "the connection was lost before the broker confirmed",
    [PUBLISH_UNSENT] = "the broker blocks publishing",
};

static void on_published(void *context, enum publish_result result, const char *reason)
{
    struct attempt *a = context;
    struct followups *d = a->job->lane->letters;
    struct suspect_key before;

    (void)reason;
    before = suspects_enter(&d->ctx->suspects, a->job->suspect);
    a->republished |= result == PUBLISH_LOST || result == PUBLISH_NACKED;
    if (result == PUBLISH_RETURNED && log_every(&d->doubted_s, DOUBT_EVERY_S, timing_unix_s()))
        hint_send(d->ctx, HINT_TOPOLOGY, a->job->lane->service_id);
    if (result == PUBLISH_CONFIRMED)
        end(d, a, FOLLOWUP_SAFE);
    else
        try_later(d, a, result_text[result]);
    suspects_leave(&d->ctx->suspects, before);
}

/* The headers of DESIGN 4 and the storage of their texts. */
struct fields {
    struct bus_field field[MAX_FIELDS];
    size_t n;
    char service[32];
    char rule[32];
};

static void add_text(struct fields *f, const char *name, const char *text)
{
    assert(f->n < MAX_FIELDS);
    f->field[f->n++] = (struct bus_field){.name = name, .text = text};
}

static void add_number(struct fields *f, const char *name, int64_t number)
{
    assert(f->n < MAX_FIELDS);
    f->field[f->n++] = (struct bus_field){.name = name, .number = number};
}

/* What a later replay can send as it was: of a dead letter what was sent last, and where nothing
 * was sent, or of a retry, what the message brought along. Left out when it is too large. */
static void add_rendered(const struct attempt *a, struct fields *f)
{
    const struct replayed *replayed = a->job->replayed;
    struct request_payload p = {0};

    if (a->rendered && a->retry_ms == 0)
        p = request_payload(&a->request);
    else if (replayed && replayed->has_payload)
        p = replayed->payload;
    if (!p.bytes || p.len > REPLAYED_RENDERED_MAX)
        return;
    add_text(f, "x-mih-rendered", p.len > 0 ? p.bytes : "");
    f->field[f->n - 1].text_len = p.len;
}

static void add_replay(const struct attempt *a, struct fields *f)
{
    const struct replayed *replayed = a->job->replayed;

    if (!replayed)
        return;
    add_number(f, "x-mih-replay", replayed->id);
    if (a->retry_ms > 0)
        add_text(f, "x-mih-mode", replayed_mode(replayed));
    if (a->retry_ms > 0 && replayed->ruleless)
        add_number(f, "x-mih-ruleless", 1);
    if (*replayed->history)
        add_text(f, "x-mih-history", replayed->history);
}

static void fields_of(const struct attempt *a, struct fields *f)
{
    const struct job *job = a->job;
    int64_t rule = attempt_rule(a);

    *f = (struct fields){0};
    snprintf(f->service, sizeof f->service, "%" PRId64, job->lane->service_id);
    add_text(f, "x-mih-service", f->service);
    if (rule > 0) {
        snprintf(f->rule, sizeof f->rule, "%" PRId64, rule);
        add_text(f, "x-mih-rule", f->rule);
    }
    add_number(f, "x-mih-attempt", a->attempts);
    add_number(f, "x-mih-first", job->first_s);
    add_text(f, "x-mih-reason", a->verdict.reason);
    add_number(f, "x-mih-status", a->verdict.status);
    if (a->retry_ms == 0)
        add_number(f, "x-mih-died", a->died_s);
    add_replay(a, f);
    add_rendered(a, f);
    if (job->flagged || a->republished)
        add_number(f, REPUBLISHED_HEADER, 1);
}

static void publish(struct followups *d, struct attempt *a)
{
    const struct job *job = a->job;
    const struct names *names = &d->ctx->names;
    bool retry = a->retry_ms > 0;
    struct fields fields;
    char service[NAME_SIZE];
    char delay[NAME_SIZE];
    int r;

    fields_of(a, &fields);
    names_service_key(job->lane->service_id, service);
    names_delay_key(a->retry_ms, delay);
    r = publisher_submit(d->ctx->publisher,
                         &(struct bus_publication){
                             .exchange = retry ? names->delay : names->dead,
                             .routing_key = retry ? delay : service,
                             .second_key = retry ? service : NULL,
                             .message_id = job_message_id(job),
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
    d->full = r == -ENOBUFS;
    if (r < 0)
        try_later(d, a, r == -ENOBUFS ? "too many publications are waiting" : "out of memory");
}

/* True when rejecting the whole message repeats nothing: this is all that is left of it. */
static bool may_reject(const struct job *job)
{
    return job->open == 1 && job->next_rule == job->n_rules && job->delivered == 0 &&
           job->followed == 0 && !job->abandoned;
}

static void attend(struct followups *d, struct attempt *a)
{
    struct job *job = a->job;
    struct suspect_key before = suspects_enter(&d->ctx->suspects, job->suspect);

    if (settler_is_stale(&job->lane->settler, job->epoch)) {
        end(d, a, FOLLOWUP_STALE);
    } else if (a->retry_ms == 0 && publisher_blocked(d->ctx->publisher) && may_reject(job)) {
        settler_reject(&job->lane->settler, job->epoch, job->tag);
        end(d, a, FOLLOWUP_REJECTED);
    } else {
        publish(d, a);
    }
    suspects_leave(&d->ctx->suspects, before);
}

void followups_add(struct followups *d, struct attempt *a)
{
    if (a->retry_ms == 0)
        a->died_s = timing_unix_s();
    d->open++;
    attend(d, a);
}

void followups_tick(struct followups *d)
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

size_t followups_open(const struct followups *d)
{
    return d->open;
}

void followups_free(struct followups *d)
{
    if (!d)
        return;
    while (d->unsafe) {
        struct attempt *a = d->unsafe;

        d->unsafe = a->next;
        if (!d->unsafe)
            d->unsafe_last = NULL;
        end(d, a, FOLLOWUP_STALE);
    }
    free(d);
}
