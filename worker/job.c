#include "worker/job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dispatcher/catalog.h"
#include "worker/enrich.h"
#include "worker/repeats.h"
#include "worker/replayed.h"

enum {
    MAX_ATTEMPTS = 1000000,
    NO_RULE = -1, /* of no rule that there is: the message is skipped */
    KEPT_BODY_BYTES = 4096,
};

/* Used by the loop's thread only. */
static struct job *free_jobs;
static struct attempt *free_attempts;

static void copy_text(char *target, size_t size, const char *source)
{
    size_t len = strnlen(source, size - 1);

    memcpy(target, source, len);
    target[len] = '\0';
}

static struct job *job_new(void)
{
    struct job *job = free_jobs;

    if (!job)
        return calloc(1, sizeof *job);
    free_jobs = job->next;
    job->next = NULL;
    return job;
}

static int64_t within(int64_t number, int64_t max)
{
    return number < 0 ? 0 : number > max ? max : number;
}

static int take_headers(struct job *job, const struct bus_headers *headers)
{
    const char *rule = bus_header_text(headers, "x-mih-rule");

    job->only_rule = strtoll(rule, NULL, 10);
    if (job->only_rule <= 0)
        job->only_rule = *rule ? NO_RULE : 0;
    job->first_s = within(bus_header_number(headers, "x-mih-first", 0), INT64_MAX);
    job->attempts = within(bus_header_number(headers, "x-mih-attempt", 0), MAX_ATTEMPTS);
    job->test = bus_header_number(headers, "x-mih-test", 0) > 0;
    return replayed_take(headers, &job->replayed);
}

struct job *job_take(struct bus *bus, const struct bus_message *m, const char *redeliver)
{
    struct job *job = job_new();

    if (!job)
        return NULL;
    job->body_len = m->body_len;
    job->body = bus_take_body(bus, job->body, job->body_room, &job->body_room);
    if (!job->body) {
        job_put(job);
        return NULL;
    }
    job->tag = m->tag;
    copy_text(job->message_id, sizeof job->message_id, m->message_id);
    copy_text(job->type, sizeof job->type, m->type);
    copy_text(job->app_id, sizeof job->app_id, m->app_id);
    job->timestamp = m->timestamp;
    job->returns = bus_header_number(m->headers, RETURNS_HEADER, 0);
    job->returned = m->redelivered || job->returns > 0;
    job->flagged = job->returned || bus_header_number(m->headers, REPUBLISHED_HEADER, 0) > 0;
    if (strcmp(m->exchange, redeliver) == 0 && take_headers(job, m->headers) < 0) {
        job_put(job);
        return NULL;
    }
    return job;
}

const char *job_message_id(const struct job *job)
{
    return *job->message_id ? job->message_id : job->event.message_id;
}

int64_t attempt_rule(const struct attempt *a)
{
    int64_t rule = a->rule ? a->rule->id : a->job->only_rule;

    return rule > 0 ? rule : 0;
}

void job_put(struct job *job)
{
    const struct rule **rules = job->rules;
    size_t cap_rules = job->cap_rules;
    struct jsonview view;

    envelope_reset(&job->event);
    view = job->event.view;
    catalog_unref(job->catalog);
    free(job->replayed);
    if (job->found) {
        enrich_found_release(job->found);
        free(job->found);
    }
    if (job->body_room > KEPT_BODY_BYTES) {
        free(job->body);
        job->body = NULL;
    }
    *job = (struct job){
        .next = free_jobs,
        .rules = rules,
        .cap_rules = cap_rules,
        .event.view = view,
        .body = job->body,
        .body_room = job->body ? job->body_room : 0,
    };
    free_jobs = job;
}

int job_add_rule(struct job *job, const struct rule *rule)
{
    if (job->n_rules == job->cap_rules) {
        size_t cap = job->cap_rules ? job->cap_rules * 2 : 4;
        const struct rule **rules = realloc(job->rules, cap * sizeof(const struct rule *));

        if (!rules)
            return -ENOMEM;
        job->rules = rules;
        job->cap_rules = cap;
    }
    job->rules[job->n_rules++] = rule;
    return 0;
}

struct attempt *attempt_take(struct job *job, const struct rule *rule)
{
    struct attempt *a = free_attempts;

    if (a) {
        free_attempts = a->next;
        a->next = NULL;
    } else {
        a = calloc(1, sizeof *a);
        if (!a)
            return NULL;
        request_init(&a->request);
    }
    a->job = job;
    a->rule = rule;
    a->rendered = false;
    a->begun = false;
    a->republished = false;
    a->attempts = job->attempts;
    a->retry_ms = 0;
    a->held = false;
    a->latency_us = -1;
    a->died_s = 0;
    return a;
}

void attempt_put(struct attempt *a)
{
    if (a->request.body.cap > KEPT_BODY_BYTES)
        request_release(&a->request);
    else
        request_reset(&a->request);
    free(a->response);
    a->response = NULL;
    a->job = NULL;
    a->rule = NULL;
    a->next = free_attempts;
    free_attempts = a;
}

void job_pools_free(void)
{
    while (free_jobs) {
        struct job *job = free_jobs;

        free_jobs = job->next;
        free(job->rules);
        envelope_release(&job->event);
        free(job->body);
        free(job);
    }
    while (free_attempts) {
        struct attempt *a = free_attempts;

        free_attempts = a->next;
        request_release(&a->request);
        free(a);
    }
}
