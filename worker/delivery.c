#include "worker/delivery.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/timing.h"
#include "dispatcher/retry.h"
#include "worker/attempt_note.h"
#include "worker/lane.h"
#include "worker/replayed.h"
#include "worker/ruleoff.h"

enum { DOUBT_MAX_MS = 60000, STALE_MS = 5000, BUDGET_WAIT_MS = 5000, BUDGET_SPREAD_MS = 25000 };

static const char doubt_reason[] = "policy: no rule known to this process wants the event, and the"
                                   " rules in the database could not be read since it came";
static const char gone_reason[] = "policy: its rule is gone or disabled";

void delivery_queue(struct lane *lane, struct job *job)
{
    if (lane->waiting_last)
        lane->waiting_last->next = job;
    else
        lane->waiting_first = job;
    lane->waiting_last = job;
    lane->waiting++;
}

static struct job *unqueue_first(struct lane *lane)
{
    struct job *job = lane->waiting_first;

    lane->waiting_first = job->next;
    if (!lane->waiting_first)
        lane->waiting_last = NULL;
    job->next = NULL;
    lane->waiting--;
    return job;
}

/* The message has no attempt under way any more and none to start. */
static void job_end(struct job *job)
{
    struct lane *lane = job->lane;

    if (!job->abandoned)
        settler_done(&lane->settler, job->epoch, job->tag);
    lane->ctx->counters.progress_ms = timing_mono_ms();
    lane->jobs--;
    job_put(job);
}

void delivery_abandon(struct job *job)
{
    job->abandoned = true;
    job->next_rule = job->n_rules;
    if (job->open == 0)
        job_end(job);
}

static void attempt_end(struct attempt *a)
{
    struct job *job = a->job;

    attempt_put(a);
    job->open--;
    if (job->open == 0 && job->next_rule == job->n_rules)
        job_end(job);
}

void lane_followup_done(struct attempt *a, enum followup_end end)
{
    if (a->retry_ms == 0 && end != FOLLOWUP_STALE)
        attempt_note(a, DEADNOTE_DIED);
    if (end == FOLLOWUP_SAFE) {
        a->job->followed++;
        if (a->retry_ms > 0)
            a->job->lane->ctx->counters.retried++;
        else
            a->job->lane->ctx->counters.dead++;
    } else if (end == FOLLOWUP_REJECTED) {
        a->job->abandoned = true; /* the rejection has settled it */
        a->job->lane->ctx->counters.dead++;
    } else {
        a->job->abandoned = true;
    }
    attempt_end(a);
}

/* One line a second and lane at most; retries and dead letters hold every reason. */
static void report(const struct attempt *a)
{
    struct lane *lane = a->job->lane;

    if (!log_every(&lane->reported_s, 1, timing_unix_s())) {
        lane->unreported++;
        return;
    }
    log_warning(a->retry_ms > 0 ? "not delivered: will be tried again"
                                : "not delivered: to the dead letters",
                "service_id", log_number(lane->service_id), "rule",
                log_number(a->rule ? a->rule->id : 0), "message_id", a->job->message_id, "reason",
                a->verdict.reason, "not_logged", log_number(lane->unreported), NULL);
    lane->unreported = 0;
}

static void follow_up(struct attempt *a)
{
    report(a);
    followups_add(a->job->lane->letters, a);
}

/* Nothing was sent: the message or the rule is at fault. */
static void refuse(struct attempt *a, const char *reason)
{
    a->verdict = (struct verdict){.kind = VERDICT_REJECT, .breaker = BREAKER_NEUTRAL};
    snprintf(a->verdict.reason, sizeof a->verdict.reason, "%s", reason);
    follow_up(a);
}

/* Failed, and worth another try: when, or not any more. */
static void plan_retry(struct attempt *a)
{
    const struct service *service = a->request.service;
    struct retry_plan plan;

    retry_plan_make(&service->retry, &a->verdict, (unsigned)a->attempts, timing_random(1000),
                    &plan);
    a->retry_ms = plan.give_up ? 0 : retry_grid_step(plan.delay_ms);
}

/* Not delivered: when it is tried again, or what is kept of it. */
static void fail(struct attempt *a, const char *body, size_t body_len)
{
    if (a->verdict.kind == VERDICT_RETRY)
        plan_retry(a);
    if (a->retry_ms == 0)
        attempt_keep_response(a, body, body_len);
    if (a->verdict.disable_rule && a->rule)
        ruleoff_add(a->job->lane->ctx->ruleoff, a->rule, buf_text(&a->request.url),
                    a->verdict.reason, a->begun_ms);
    follow_up(a);
}

static void delivered(struct attempt *a)
{
    a->job->delivered++;
    a->job->lane->ctx->counters.delivered++;
    if (a->job->replayed)
        attempt_note(a, DEADNOTE_DELIVERED);
    attempt_end(a);
}

/* What the answer tells of the service, for its breaker and its pace. */
static void note_result(const struct attempt *a, const struct outcome *outcome)
{
    struct lane *lane = a->job->lane;

    if (a->verdict.kind == VERDICT_DELIVERED)
        pace_success(&lane->pace);
    else if (a->verdict.lower_concurrency)
        pace_lower(&lane->pace, a->begun_ms, timing_mono_ms());
    if (outcome->kind != OUTCOME_LOCAL && outcome->kind != OUTCOME_INVALID)
        breakers_result(lane->ctx->breakers, a->request.service, a->probe, a->verdict.breaker,
                        a->begun_ms);
}

static void on_answer(void *context, const struct outcome *outcome, const char *body,
                      size_t body_len)
{
    struct attempt *a = context;
    struct lane *lane = a->job->lane;

    lane->active--;
    lane->ctx->counters.inflight--;
    if (outcome->kind == OUTCOME_CANCELLED) {
        a->job->abandoned = true;
        attempt_end(a);
        return;
    }
    verdict_of(outcome, &a->verdict);
    /* A probe is no attempt at the message: an outage of days must not use them up. */
    a->attempts += a->verdict.counts && !a->probe;
    note_result(a, outcome);
    if (a->verdict.kind == VERDICT_DELIVERED)
        delivered(a);
    else
        fail(a, body, body_len);
    delivery_pump(lane);
}

/* Out of memory in the middle of a message: its other rules are not started either. */
static void give_back_begun(struct attempt *a)
{
    struct job *job = a->job;

    if (job->lane->waiting_first == job)
        unqueue_first(job->lane);
    job->next_rule = job->n_rules;
    if (!job->abandoned)
        settler_give_back(&job->lane->settler, job->epoch, job->tag);
    job->abandoned = true;
    attempt_end(a);
}

/* Retries must not keep first attempts from a service that is barely coping. */
static bool has_budget(const struct attempt *a)
{
    struct lane *lane = a->job->lane;

    if (a->attempts == 0) {
        retrybudget_request(&lane->budget, timing_mono_us());
        return true;
    }
    return retrybudget_take(&lane->budget, timing_mono_us()) == 0;
}

/* Not sent, and not counted: it waits in the broker and comes back. */
static void postpone(struct attempt *a, const char *reason, int64_t delay_ms)
{
    a->verdict = (struct verdict){.kind = VERDICT_RETRY, .breaker = BREAKER_NEUTRAL};
    snprintf(a->verdict.reason, sizeof a->verdict.reason, "%s", reason);
    a->retry_ms = retry_grid_step(delay_ms);
    follow_up(a);
}

static int build_request(struct attempt *a, const struct service *service, char *ret_reason,
                         size_t reason_size)
{
    const struct replayed *replayed = a->job->replayed;

    if (replayed && replayed->has_payload)
        return request_build_again(&a->request, a->rule, &a->job->event, &replayed->payload,
                                   timing_unix_s(), ret_reason, reason_size);
    return request_build(&a->request, service, a->rule, &a->job->event, timing_unix_s(), ret_reason,
                         reason_size);
}

static void attempt_start(struct attempt *a, const struct service *service)
{
    struct lane *lane = a->job->lane;
    struct transport *rest = lane->ctx->rest;
    enum breaker_leave leave = breakers_leave(lane->ctx->breakers, service->id);
    char reason[VERDICT_REASON_SIZE];
    int r = build_request(a, service, reason, sizeof reason);

    if (r == -ENOMEM) {
        give_back_begun(a);
        return;
    }
    if (r < 0) {
        refuse(a, reason);
        return;
    }
    if (!has_budget(a)) {
        postpone(a, "hold: too many retries at once",
                 BUDGET_WAIT_MS + timing_random(BUDGET_SPREAD_MS));
        return;
    }
    if (leave == BREAKER_LEAVE_NONE) { /* the breaker opened between two of its rules */
        postpone(a, "hold: breaker open", service->cb_cooldown_ms);
        return;
    }
    a->rendered = true;
    a->probe = leave == BREAKER_LEAVE_ONE;
    a->begun_ms = timing_mono_ms();
    lane->active++;
    lane->ctx->counters.inflight++;
    r = rest->ops->send(rest, &a->request, on_answer, a);
    if (r < 0) {
        lane->active--;
        lane->ctx->counters.inflight--;
        snprintf(reason, sizeof reason, "local: the request could not be started: %s",
                 strerror(-r));
        refuse(a, reason);
    }
}

static void add_match(void *context, const struct rule *rule)
{
    struct job *job = context;

    if (!job->abandoned && job_add_rule(job, rule) < 0) {
        settler_give_back(&job->lane->settler, job->epoch, job->tag);
        job->abandoned = true; /* out of memory: the broker gives it to us again */
    }
}

static void match_rules(struct job *job, const struct service *service)
{
    const struct rule *rule;

    if (job->only_rule == 0) {
        service_match(service, job->event.eventname, add_match, job);
        return;
    }
    rule = service_rule(service, job->only_rule);
    if (rule && rule->enabled)
        add_match(job, rule);
}

/* Out of memory: the broker takes the message back and delivers it again. */
static void give_back(struct job *job)
{
    settler_give_back(&job->lane->settler, job->epoch, job->tag);
    delivery_abandon(job);
}

/* A dead letter of no rule. */
static void refuse_message(struct job *job, const char *reason)
{
    struct attempt *a = attempt_take(job, NULL);

    if (!a) {
        give_back(job);
        return;
    }
    job->next_rule = job->n_rules;
    job->open++;
    refuse(a, reason);
}

void delivery_refuse_large(struct job *job)
{
    char reason[100];

    snprintf(reason, sizeof reason, "poison: the body has %zu bytes, more than the accepted %zu",
             job->body_len, job->lane->ctx->limits.max_bytes);
    refuse_message(job, reason);
}

/*
 * No rule wants the message. Another process may have bound a rule that this one has not read yet,
 * and then skipping would lose the event: so it waits for a look at the rules that began after
 * it arrived. Where no look succeeds, it is no message to be skipped but one that nobody here can
 * judge: after a while, or when too many of them would keep others from coming, it becomes a
 * dead letter, from which it can be replayed.
 */
static bool may_doubt_on(const struct lane *lane, const struct job *job, int64_t now_ms)
{
    unsigned room = lane->prefetch / 4 > 0 ? lane->prefetch / 4 : 1;

    if (now_ms - job->arrived_ms > DOUBT_MAX_MS)
        return false;
    return lane->doubts < room || now_ms - lane->ctx->rules_checked_ms < STALE_MS;
}

static void skip(struct job *job)
{
    struct lane *lane = job->lane;

    job->next_rule = job->n_rules;
    if (job->abandoned) {
        job_end(job);
    } else if (lane->ctx->rules_checked_ms > job->arrived_ms && job->replayed) {
        refuse_message(job,
                       gone_reason); /* somebody asked for it and waits for what becomes of it */
    } else if (lane->ctx->rules_checked_ms > job->arrived_ms) {
        lane->ctx->counters.skipped++;
        job_end(job);
    } else if (!may_doubt_on(lane, job, timing_mono_ms())) {
        refuse_message(job, doubt_reason);
    } else {
        lane->ctx->rules_doubted = true;
        lane->doubts++;
        job->next = lane->doubtful;
        lane->doubtful = job;
    }
}

static struct job *take_doubts(struct lane *lane)
{
    struct job *job = lane->doubtful;

    lane->doubtful = NULL;
    lane->doubts = 0;
    return job;
}

void delivery_recheck(struct lane *lane)
{
    struct job *job = take_doubts(lane);

    while (job) {
        struct job *next = job->next;

        job->next = NULL;
        envelope_reset(&job->event);
        catalog_unref(job->catalog);
        job->parsed = false;
        job->catalog = NULL;
        delivery_queue(lane, job);
        job = next;
    }
    delivery_pump(lane);
}

void delivery_end_doubts(struct lane *lane, int64_t now_ms)
{
    struct job *job = take_doubts(lane);

    while (job) {
        struct job *next = job->next;

        job->next = NULL;
        if (may_doubt_on(lane, job, now_ms)) {
            lane->doubts++;
            job->next = lane->doubtful;
            lane->doubtful = job;
        } else {
            refuse_message(job, doubt_reason);
        }
        job = next;
    }
}

/* Parses and matches. False when the job has ended or waits for its dead letter. */
static bool job_begin(struct job *job)
{
    struct lane *lane = job->lane;
    char reason[VERDICT_REASON_SIZE];
    char poison[VERDICT_REASON_SIZE];
    int r;

    job->catalog = catalog_ref(lane->catalog);
    if (job->first_s == 0)
        job->first_s = timing_unix_s();
    r = envelope_parse(&job->event, &lane->ctx->limits, job->message_id, job->body, job->body_len,
                       reason, sizeof reason);
    if (r == 0) {
        job->parsed = true;
        match_rules(job, lane->service);
        if (job->n_rules > 0 && !job->abandoned)
            return true;
        skip(job);
        return false;
    }
    if (r == -ENOMEM) {
        give_back(job);
    } else {
        snprintf(poison, sizeof poison, "poison: %.500s", reason);
        refuse_message(job, poison);
    }
    return false;
}

/* Starts the next rule of the first waiting job; unqueues the job with its last rule. */
static void start_next(struct lane *lane)
{
    struct job *job = lane->waiting_first;
    const struct service *service;
    struct attempt *a;

    if (!job->parsed) {
        /* It leaves the queue while it begins: a dead letter may end it inside of the call. */
        unqueue_first(lane);
        if (!job_begin(job))
            return;
        job->next = lane->waiting_first;
        lane->waiting_first = job;
        if (!lane->waiting_last)
            lane->waiting_last = job;
        lane->waiting++;
    }
    a = attempt_take(job, job->rules[job->next_rule]);
    if (!a) {
        unqueue_first(lane);
        give_back(job);
        return;
    }
    service = job->rules[job->next_rule]->service;
    job->open++;
    if (++job->next_rule == job->n_rules)
        unqueue_first(lane);
    attempt_start(a, service);
}

/* A lane that stops finishes the message whose first rules have begun, and starts no other. */
static bool may_start(const struct lane *lane)
{
    const struct job *job = lane->waiting_first;

    if (!job || lane->active >= lane_limit(lane))
        return false;
    /* The lane itself hears of a breaker that has opened a moment later. */
    if (!job->parsed && breakers_leave(lane->ctx->breakers, lane->service_id) == BREAKER_LEAVE_NONE)
        return false;
    if (lane->state == LANE_ON)
        return lane->wanted || job->parsed;
    return lane->state == LANE_STOPPING && (lane->wanted || job->parsed);
}

void delivery_pump(struct lane *lane)
{
    while (may_start(lane) && ratelimit_take(&lane->rate, timing_mono_us()) == 0)
        start_next(lane);
}
