#include "worker/delivery.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/timing.h"
#include "worker/attempt.h"
#include "worker/lane.h"
#include "worker/replayed.h"
#include "worker/selection.h"
#include "worker/stats.h"

enum { DOUBT_MAX_MS = 60000, STALE_MS = 5000, RETURN_WAIT_MS = 2000, RETURN_SPREAD_MS = 4000 };

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

struct job *delivery_unqueue(struct lane *lane)
{
    struct job *job = lane->waiting_first;

    lane->waiting_first = job->next;
    if (!lane->waiting_first)
        lane->waiting_last = NULL;
    job->next = NULL;
    lane->waiting--;
    return job;
}

void delivery_end(struct job *job)
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
        delivery_end(job);
}

/* What was parsed and matched is forgotten. */
static void begin_anew(struct job *job)
{
    job->next = NULL;
    envelope_reset(&job->event);
    catalog_unref(job->catalog);
    job->parsed = false;
    job->catalog = NULL;
    job->n_rules = job->next_rule = 0;
    job->particular = false;
}

void delivery_queue_again(struct lane *lane, struct job *job)
{
    struct job *first = lane->waiting_first;

    begin_anew(job);
    if (!first) {
        delivery_queue(lane, job);
        return;
    }
    if (first->parsed) { /* it may have begun, and then it stays the first */
        job->next = first->next;
        first->next = job;
        if (lane->waiting_last == first)
            lane->waiting_last = job;
    } else {
        job->next = first;
        lane->waiting_first = job;
    }
    lane->waiting++;
}

static void add_match(void *context, const struct rule *rule)
{
    struct job *job = context;

    if (!job->abandoned && job_add_rule(job, rule) < 0) {
        settler_give_back(&job->lane->settler, job->epoch, job->tag);
        job->abandoned = true; /* out of memory: the broker gives it to us again */
    }
    job->particular = job->particular || rule->filter || rule->needs;
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

void delivery_give_back(struct job *job)
{
    struct attempt *a = job->returns < DELIVERY_MAX_RETURNS ? NULL : attempt_take(job, NULL);

    if (!a) {
        give_back(job);
        return;
    }
    job->next_rule = job->n_rules;
    job->open++;
    attempt_hold(a, "hold: returned to its queue too often",
                 RETURN_WAIT_MS + timing_random(RETURN_SPREAD_MS));
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
    attempt_refuse(a, reason);
}

static void refuse_large(struct job *job)
{
    char reason[100];

    snprintf(reason, sizeof reason, "poison: the body has %zu bytes, more than the accepted %zu",
             job->body_len, job->lane->ctx->limits.max_bytes);
    refuse_message(job, reason);
}

static void know(struct job *job)
{
    if (job->suspect.word[1] == 0)
        suspect_key_make(job->lane->service_id, job->message_id, job->body, job->body_len,
                         &job->suspect);
}

/* True when it is a dead letter, for it has killed before. */
static bool refuse_poison(struct job *job)
{
    const struct suspects *suspects = &job->lane->ctx->suspects;
    char reason[100];
    unsigned deaths;

    if (!job->returned)
        return false;
    know(job);
    if (!suspects_is_poison(suspects, &job->suspect, job->returns, &deaths))
        return false;
    snprintf(reason, sizeof reason,
             "poison: the worker died %u times while it worked on this message", deaths);
    refuse_message(job, reason);
    return true;
}

void delivery_accept(struct job *job)
{
    struct lane *lane = job->lane;

    if (job->body_len > lane->ctx->limits.max_bytes) {
        refuse_large(job); /* at once: it would hold its memory while it waits */
    } else if (refuse_poison(job)) {
        return;
    } else if (!lane->wanted || job->returns >= DELIVERY_LAST_RETURNS) {
        delivery_give_back(job);
    } else {
        delivery_queue(lane, job);
        delivery_pump(lane);
    }
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
        delivery_end(job);
    } else if (lane->ctx->rules_checked_ms > job->arrived_ms && job->replayed) {
        refuse_message(job,
                       gone_reason); /* somebody asked for it and waits for what becomes of it */
    } else if (lane->ctx->rules_checked_ms > job->arrived_ms) {
        lane->ctx->counters.skipped++;
        stats_count(lane->ctx->stats, lane->service_id, job->only_rule > 0 ? job->only_rule : 0,
                    STAT_SKIPPED);
        delivery_end(job);
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

        begin_anew(job);
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
        seen_id_parse(job->event.message_id, &job->id);
        match_rules(job, lane->service);
        if (job->n_rules > 0 && !job->abandoned)
            return !job->particular || selection_begin(job);
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
static void start_rule(struct lane *lane)
{
    struct job *job = lane->waiting_first;
    const struct service *service;
    struct attempt *a;

    if (!job->parsed) {
        /* It leaves the queue while it begins: a dead letter may end it inside of the call. */
        delivery_unqueue(lane);
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
        delivery_unqueue(lane);
        give_back(job);
        return;
    }
    service = job->rules[job->next_rule]->service;
    job->open++;
    if (++job->next_rule == job->n_rules)
        delivery_unqueue(lane);
    attempt_start(a, service);
}

static void start_next(struct lane *lane)
{
    struct suspects *suspects = &lane->ctx->suspects;
    struct job *job = lane->waiting_first;
    struct suspect_key before;

    if (suspects_careful(suspects)) {
        lane->ctx->careful_served = true;
        know(job);
    }
    before = suspects_enter(suspects, job->suspect);
    start_rule(lane);
    suspects_leave(suspects, before);
}

/* When the process is careful, one request at a time, of the lane whose turn it is. */
static bool is_held_back(const struct lane *lane)
{
    const struct context *ctx = lane->ctx;

    return suspects_careful(&ctx->suspects) &&
           (ctx->counters.inflight > 0 || ctx->careful_service != lane->service_id);
}

/* A lane that stops finishes the message whose first rules have begun, and starts no other. */
static bool may_start(const struct lane *lane)
{
    const struct job *job = lane->waiting_first;

    if (!job || lane->active >= lane_limit(lane) || is_held_back(lane))
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
