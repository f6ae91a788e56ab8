#include "worker/attempt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/timing.h"
#include "dispatcher/mask.h"
#include "dispatcher/retry.h"
#include "worker/attempt_note.h"
#include "worker/delivery.h"
#include "worker/lane.h"
#include "worker/repeats.h"
#include "worker/replayed.h"
#include "worker/ruleoff.h"
#include "worker/selection.h"

enum {
    BUDGET_WAIT_MS = 5000,
    BUDGET_SPREAD_MS = 25000,
    COPY_WAIT_MS = 1000,
    COPY_SPREAD_MS = 2000,
};

static void attempt_end(struct attempt *a)
{
    struct job *job = a->job;

    repeats_end(a);
    attempt_put(a);
    job->open--;
    if (job->open == 0 && job->next_rule == job->n_rules)
        delivery_end(job);
}

static void count(const struct attempt *a, enum stat_count what)
{
    lane_count(a->job->lane, attempt_rule(a), what);
}

void attempt_followed(struct attempt *a, enum followup_end end)
{
    if (a->retry_ms == 0 && end != FOLLOWUP_STALE)
        attempt_note(a, end == FOLLOWUP_REJECTED ? ATTEMPT_REJECTED : ATTEMPT_DIED);
    if (end == FOLLOWUP_SAFE) {
        a->job->followed++;
        if (a->retry_ms > 0)
            a->job->lane->ctx->counters.retried++;
        else
            a->job->lane->ctx->counters.dead++;
        count(a, a->held ? STAT_HELD : a->retry_ms > 0 ? STAT_RETRIED : STAT_DEAD);
    } else if (end == FOLLOWUP_REJECTED) {
        a->job->abandoned = true; /* the rejection has settled it */
        a->job->lane->ctx->counters.dead++;
        count(a, STAT_DEAD);
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
    if (!a->held)
        attempt_log(a);
    followups_add(a->job->lane->letters, a);
}

/* Nothing was sent: the message or the rule is at fault. */
void attempt_refuse(struct attempt *a, const char *reason)
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
    repeats_delivered(a);
    a->job->delivered++;
    a->job->lane->ctx->counters.delivered++;
    count(a, STAT_DELIVERED);
    attempt_log(a);
    if (a->job->replayed)
        attempt_note(a, ATTEMPT_DELIVERED);
    attempt_end(a);
}

/* Requests that never left the house have none. */
static void note_latency(struct attempt *a, const struct outcome *outcome)
{
    if (outcome->kind == OUTCOME_LOCAL || outcome->kind == OUTCOME_INVALID)
        return;
    a->latency_us = timing_mono_us() - a->begun_us;
    lane_latency(a->job->lane, attempt_rule(a), a->latency_us);
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

static void judge(struct attempt *a, const struct outcome *outcome, const char *body,
                  size_t body_len)
{
    if (outcome->kind == OUTCOME_CANCELLED) {
        a->job->abandoned = true;
        attempt_end(a);
        return;
    }
    verdict_of(outcome, &a->verdict);
    mask_service(a->request.service, a->verdict.reason, strlen(a->verdict.reason));
    note_latency(a, outcome);
    /* A probe is no attempt at the message: an outage of days must not use them up. */
    a->attempts += a->verdict.counts && !a->probe;
    note_result(a, outcome);
    if (a->verdict.kind == VERDICT_DELIVERED)
        delivered(a);
    else
        fail(a, body, body_len);
}

static void on_answer(void *context, const struct outcome *outcome, const char *body,
                      size_t body_len)
{
    struct attempt *a = context;
    struct lane *lane = a->job->lane;
    struct suspects *suspects = &lane->ctx->suspects;
    struct suspect_key before = suspects_enter(suspects, a->job->suspect);

    suspects->under_way = (struct suspect_key){{0, 0}};
    lane->active--;
    suspects_in_flight(suspects, (unsigned)--lane->ctx->counters.inflight);
    judge(a, outcome, body, body_len);
    suspects_leave(suspects, before);
    if (outcome->kind != OUTCOME_CANCELLED)
        delivery_pump(lane);
}

/* Out of memory in the middle of a message: its other rules are not started either. */
static void give_back_begun(struct attempt *a)
{
    struct job *job = a->job;

    if (job->lane->waiting_first == job)
        delivery_unqueue(job->lane);
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

void attempt_hold(struct attempt *a, const char *reason, int64_t delay_ms)
{
    a->verdict = (struct verdict){.kind = VERDICT_RETRY, .breaker = BREAKER_NEUTRAL};
    snprintf(a->verdict.reason, sizeof a->verdict.reason, "%s", reason);
    a->retry_ms = retry_grid_step(delay_ms);
    a->held = true;
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

/*
 * True when the message is a copy that is not to be sent: of what was delivered, and then it is
 * done; or of what is under way in this process or another, and then it comes back when that is
 * over.
 */
static bool end_copy(struct attempt *a)
{
    switch (repeats_look(a)) {
    case SEEN_DELIVERED:
        a->job->delivered++;
        a->job->lane->ctx->counters.repeats++;
        if (a->job->replayed)
            attempt_note(a, ATTEMPT_DELIVERED);
        attempt_end(a);
        return true;
    case SEEN_BEGUN:
        attempt_hold(a, "hold: another copy of it is under way",
                     COPY_WAIT_MS + timing_random(COPY_SPREAD_MS));
        return true;
    case SEEN_NOT:
        break;
    }
    return false;
}

static void send(struct attempt *a, const struct service *service)
{
    struct lane *lane = a->job->lane;
    enum breaker_leave leave = breakers_leave(lane->ctx->breakers, service->id);
    char reason[VERDICT_REASON_SIZE];
    int r = build_request(a, service, reason, sizeof reason);

    if (r == -ENOMEM) {
        give_back_begun(a);
        return;
    }
    if (r < 0) {
        attempt_refuse(a, reason);
        return;
    }
    if (!has_budget(a)) {
        attempt_hold(a, "hold: too many retries at once",
                     BUDGET_WAIT_MS + timing_random(BUDGET_SPREAD_MS));
        return;
    }
    if (leave == BREAKER_LEAVE_NONE) { /* the breaker opened between two of its rules */
        attempt_hold(a, "hold: breaker open", service->cb_cooldown_ms);
        return;
    }
    a->rendered = true;
    a->probe = leave == BREAKER_LEAVE_ONE;
    a->begun_us = timing_mono_us();
    a->begun_ms = a->begun_us / 1000;
    repeats_begin(a);
    lane->active++;
    suspects_in_flight(&lane->ctx->suspects, (unsigned)++lane->ctx->counters.inflight);
    r = transports_send(&lane->ctx->transports, &a->request, on_answer, a);
    if (r < 0) {
        lane->active--;
        suspects_in_flight(&lane->ctx->suspects, (unsigned)--lane->ctx->counters.inflight);
        snprintf(reason, sizeof reason, "local: the request could not be started: %s",
                 strerror(-r));
        attempt_refuse(a, reason);
    } else if (suspects_careful(&lane->ctx->suspects)) {
        lane->ctx->suspects.under_way = a->job->suspect;
    }
}

void attempt_start(struct attempt *a, const struct service *service)
{
    if (!selection_hold(a) && !end_copy(a))
        send(a, service);
}
