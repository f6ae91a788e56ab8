#include "worker/selection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/timing.h"
#include "dispatcher/catalog.h"
#include "dispatcher/condition.h"
#include "dispatcher/path.h"
#include "worker/attempt.h"
#include "worker/delivery.h"
#include "worker/enrich.h"
#include "worker/lane.h"
#include "worker/replayed.h"

enum { PATIENCE_MS = 500, CROWDED_MS = 100 }; /* for a look-up */

enum { WAIT_MIN_MS = 5000, WAIT_MAX_MS = 300000, AGE_PARTS = 4 };

static const char unwanted_reason[] = "policy: its rule's filter does not want it";
static const char missing_reason[] =
    "hold: what it needs of Moodle's tables cannot be looked up now";

/* What a filter says; later: it needs what is not there. */
enum answer { ANSWER_YES, ANSWER_NO, ANSWER_LATER, ANSWER_REFUSED, ANSWER_NO_MEMORY };

/* Somebody who replays a message as it was sent has it sent, whatever the filter is today. */
static bool has_filter(const struct job *job, const struct rule *rule)
{
    return rule->filter && !rule->fault && !rule->service->fault &&
           !(job->replayed && job->replayed->has_payload);
}

static enum answer ask_filter(const struct job *job, const struct rule *rule,
                              char reason[VERDICT_REASON_SIZE])
{
    const struct enrichment *data = job->found ? &job->found->data : NULL;
    const struct path_source source = {&job->event.view, data};
    char what[440];
    bool wanted = true;
    int r;

    if (!has_filter(job, rule))
        return ANSWER_YES;
    if (condition_needs(rule->filter) & ~(data ? data->roots : 0))
        return ANSWER_LATER;
    r = condition_match(rule->filter, &source, &wanted, what, sizeof what);
    if (r == 0)
        return wanted ? ANSWER_YES : ANSWER_NO;
    if (r == -ENOMEM)
        return ANSWER_NO_MEMORY;
    snprintf(reason, VERDICT_REASON_SIZE, "policy: filter, %s (rule %lld, service %lld, %s)", what,
             (long long)rule->id, (long long)rule->service->id, rule->service->name);
    return ANSWER_REFUSED;
}

/* A dead letter of one rule. */
static bool refuse_rule(struct job *job, const struct rule *rule, const char *reason)
{
    struct attempt *a = attempt_take(job, rule);

    if (!a)
        return false;
    job->open++;
    attempt_refuse(a, reason);
    return true;
}

/* What remains to be looked up for rules that may want the event: those that surely do not are
 * left out, so that nothing is looked up for them. */
static unsigned needs_of(const struct job *job)
{
    char reason[VERDICT_REASON_SIZE];
    unsigned needs = 0;

    for (size_t i = 0; i < job->n_rules; i++)
        if (job->rules[i]->needs & ~needs && ask_filter(job, job->rules[i], reason) != ANSWER_NO)
            needs |= job->rules[i]->needs;
    return needs;
}

/* Messages that are parked take the place of others, which may need nothing. */
static int64_t patience_of(const struct lane *lane)
{
    return lane->parked_jobs * 2 >= lane->prefetch ? CROWDED_MS : PATIENCE_MS;
}

/* False: it is not there yet. */
static bool look_up(struct job *job, unsigned needs)
{
    if (!job->found)
        job->found = calloc(1, sizeof *job->found);
    if (!job->found)
        return false;
    const struct enrich_question question = {
        .event = &job->event.view,
        .needs = needs,
        .arrived_ms = job->arrived_ms,
        .patience_ms = patience_of(job->lane),
    };
    if (!enrich_find(job->lane->ctx->enrich, job->found, &question))
        return false;
    job->event.data = &job->found->data;
    return true;
}

static void skip(const struct job *job, const struct rule *rule)
{
    job->lane->ctx->counters.skipped++;
    lane_count(job->lane, rule->id, STAT_SKIPPED);
}

/* Takes the rules out that do not want the event. False: out of memory. */
static bool select_rules(struct job *job)
{
    char reason[VERDICT_REASON_SIZE];
    size_t kept = 0;
    bool ok = true;

    for (size_t i = 0; i < job->n_rules && ok; i++) {
        const struct rule *rule = job->rules[i];
        enum answer answer = ask_filter(job, rule, reason);

        if (answer == ANSWER_YES || answer == ANSWER_LATER)
            job->rules[kept++] = rule;
        else if (answer == ANSWER_REFUSED)
            ok = refuse_rule(job, rule, reason);
        else if (answer == ANSWER_NO_MEMORY)
            ok = false;
        else if (job->replayed) /* somebody asked for it and waits for what becomes of it */
            ok = refuse_rule(job, rule, unwanted_reason);
        else
            skip(job, rule);
    }
    job->n_rules = kept;
    return ok;
}

static void park(struct job *job)
{
    job->next = job->lane->parked;
    job->lane->parked = job;
    job->lane->parked_jobs++;
}

bool selection_begin(struct job *job)
{
    unsigned needs = needs_of(job);
    bool ok;

    if (needs && !look_up(job, needs)) {
        if (job->found)
            park(job);
        else
            delivery_give_back(job);
        return false;
    }
    job->open++; /* dead letters of rules may end within the call: the job must not */
    ok = select_rules(job);
    job->open--;
    if (!ok)
        delivery_give_back(job);
    else if (job->n_rules == 0 && job->open == 0)
        delivery_end(job);
    return ok && job->n_rules > 0;
}

/* The longer it has waited, the longer it waits on. */
bool selection_hold(struct attempt *a)
{
    const struct job *job = a->job;
    int64_t wait_ms;

    if (!job->found || !a->rule || !(a->rule->needs & job->found->missing))
        return false;
    wait_ms = (timing_unix_s() - job->first_s) * 1000 / AGE_PARTS;
    wait_ms = wait_ms < WAIT_MIN_MS ? WAIT_MIN_MS : wait_ms > WAIT_MAX_MS ? WAIT_MAX_MS : wait_ms;
    attempt_hold(a, missing_reason, wait_ms / 2 + timing_random((unsigned)wait_ms));
    return true;
}

struct job *selection_take(struct lane *lane)
{
    struct job *all = lane->parked;

    lane->parked = NULL;
    lane->parked_jobs = 0;
    return all;
}

static void begin_again(struct lane *lane, int64_t before_ms)
{
    struct job *job = selection_take(lane);

    while (job) {
        struct job *next = job->next;

        if (job->found->since_ms > before_ms) {
            park(job);
        } else {
            job->found->hurried = before_ms != INT64_MAX;
            delivery_queue_again(lane, job);
        }
        job = next;
    }
    delivery_pump(lane);
}

void selection_recheck(struct lane *lane)
{
    if (lane->parked)
        begin_again(lane, INT64_MAX);
}

void selection_tick(struct lane *lane, int64_t now_ms)
{
    if (lane->parked)
        begin_again(lane, now_ms - patience_of(lane) - 1);
}
