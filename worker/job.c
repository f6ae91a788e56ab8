#include "worker/job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dispatcher/catalog.h"

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

struct job *job_take(struct bus *bus, const struct bus_message *m)
{
    struct job *job = job_new();

    if (!job)
        return NULL;
    job->body_len = m->body_len;
    job->body = bus_take_body(bus);
    if (!job->body) {
        job_put(job);
        return NULL;
    }
    job->tag = m->tag;
    copy_text(job->message_id, sizeof job->message_id, m->message_id);
    copy_text(job->type, sizeof job->type, m->type);
    copy_text(job->app_id, sizeof job->app_id, m->app_id);
    job->timestamp = m->timestamp;
    job->only_rule = strtoll(bus_header_text(m->headers, "x-mih-rule"), NULL, 10);
    job->first_s = bus_header_number(m->headers, "x-mih-first", 0);
    job->attempts = bus_header_number(m->headers, "x-mih-attempt", 0);
    return job;
}

void job_put(struct job *job)
{
    const struct rule **rules = job->rules;
    size_t cap_rules = job->cap_rules;
    struct jsonview view;

    envelope_reset(&job->event);
    view = job->event.view;
    catalog_unref(job->catalog);
    free(job->body);
    *job =
        (struct job){.next = free_jobs, .rules = rules, .cap_rules = cap_rules, .event.view = view};
    free_jobs = job;
}

int job_add_rule(struct job *job, const struct rule *rule)
{
    if (job->n_rules == job->cap_rules) {
        size_t cap = job->cap_rules ? job->cap_rules * 2 : 4;
        const struct rule **rules = realloc(job->rules, cap * sizeof *rules);

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
    return a;
}

void attempt_put(struct attempt *a)
{
    request_reset(&a->request);
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
        free(job);
    }
    while (free_attempts) {
        struct attempt *a = free_attempts;

        free_attempts = a->next;
        request_release(&a->request);
        free(a);
    }
}
