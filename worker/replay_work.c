#include "worker/replay_work.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/timing.h"
#include "worker/replay_index.h"

enum {
    PROGRESS_MS = 500,
    CANARY_ASK_MS = 200,
    BURST_US = 250 * 1000, /* what may be caught up, such as while the index is written */
};

void replay_work_init(struct replay_work *w, const struct replay_tools *tools,
                      struct replay *replay)
{
    int64_t rate = replay->rate < TOKENBUCKET_RATE_MAX ? replay->rate : TOKENBUCKET_RATE_MAX;

    *w = (struct replay_work){.tools = tools, .replay = replay, .selecting = true};
    tokenbucket_init(&w->bucket, (unsigned)rate, 1, BURST_US, timing_mono_us());
    if (replay->canary && replay->action == REPLAY_REPLAY && !replay->dry_run)
        w->canary = CANARY_FIRST;
}

void replay_work_end(struct replay_work *w, const char *state, const char *format, ...)
{
    va_list arguments;

    w->selecting = false;
    if (w->end_state)
        return;
    w->end_state = state;
    va_start(arguments, format);
    vsnprintf(w->why, sizeof w->why, format, arguments);
    va_end(arguments);
}

bool replay_work_wants_more(const struct replay_work *w)
{
    const struct replay *r = w->replay;

    return w->selecting && (r->max_count == 0 || r->matched + w->held < r->max_count);
}

/* Whether it had died when the replay was asked for, as far as anybody knows. */
static bool was_dead(const struct replay_work *w, const struct letter *l)
{
    const struct replay *r = w->replay;

    if (!w->resumed || !l->death_noted || r->action == REPLAY_REINDEX)
        return true;
    return r->action == REPLAY_DISCARD ? l->died_s < r->started_s : l->died_s <= r->started_s;
}

bool replay_work_selects(struct replay_work *w, const struct letter *l)
{
    const struct replay_subject subject = letter_subject(l);
    struct replay *r = w->replay;

    /* What this replay has moved before and came back is not its again. */
    if (!replay_work_wants_more(w) || (r->action == REPLAY_REPLAY && l->replay_id == r->id) ||
        !was_dead(w, l) || !replay_filter_matches(&r->filter, &subject))
        return false;
    w->held++;
    if (w->tools->on_selected)
        w->tools->on_selected(w->tools->context, l);
    return true;
}

void replay_work_stays(struct replay_work *w)
{
    w->held--;
}

void replay_work_matched(struct replay_work *w)
{
    w->held--;
    w->replay->matched++;
}

int replay_work_wait_ms(struct replay_work *w)
{
    int64_t us = tokenbucket_take(&w->bucket, timing_mono_us());

    return us == 0 ? 0 : us < 60000000 ? (int)(us / 1000) + 1 : 60000;
}

static bool is_canary(const struct replay_work *w, const struct letter *l)
{
    return strncmp(w->canary_id, l->message_id, sizeof w->canary_id - 1) == 0 &&
           w->canary_rule == l->rule_id && w->canary_service == l->service_id;
}

void replay_work_moving(struct replay_work *w, const struct letter *l)
{
    if (w->canary != CANARY_FIRST && !(w->canary == CANARY_WAITS && is_canary(w, l)))
        return;
    w->canary = CANARY_MOVING;
    snprintf(w->canary_id, sizeof w->canary_id, "%.127s", l->message_id);
    w->canary_rule = l->rule_id;
    w->canary_service = l->service_id;
}

static void await_canary(struct replay_work *w)
{
    w->canary = CANARY_WAITS;
    w->canary_until_ms = timing_mono_ms() + w->tools->canary_wait_ms;
}

void replay_work_moved(struct replay_work *w)
{
    replay_work_matched(w);
    w->replay->moved++;
    if (w->canary == CANARY_MOVING)
        await_canary(w);
}

/* One that was written into the index, and not published when its replayer died, must not wait for
 * itself. */
bool replay_work_waits(const struct replay_work *w, const struct letter *l)
{
    return w->canary == CANARY_MOVING || (w->canary == CANARY_WAITS && !is_canary(w, l));
}

/* Others went only after it was delivered, so two rows tell that it was. */
static void resume_canary(struct replay_work *w, const struct replay_trace *trace)
{
    const struct replay *r = w->replay;

    w->canary = CANARY_NONE;
    if (trace->rows == 1 && trace->delivered == 0) {
        snprintf(w->canary_id, sizeof w->canary_id, "%s", trace->message_id);
        w->canary_rule = trace->rule_id;
        w->canary_service = trace->service_id;
        await_canary(w);
    } else if (trace->rows == 0 && r->moved == 0) {
        w->canary = CANARY_FIRST;
    } else if (trace->rows == 0 && r->moved == 1) {
        replay_work_end(w, "stopped",
                        "the index has lost the row of the first message, so nobody knows whether"
                        " it was delivered");
    }
}

int replay_work_resume(struct replay_work *w)
{
    struct replay *replay = w->replay;
    struct replay_trace trace;
    int r;

    w->resumed = true;
    if (replay->action == REPLAY_REINDEX || replay->dry_run)
        return 0;
    r = replay_index_trace(w->tools->db, replay->id, replay->started_s, &trace);
    if (r < 0)
        return r;
    if (replay->canary && replay->action == REPLAY_REPLAY)
        resume_canary(w, &trace);
    /* A kill loses the last count; rows of what was held are taken off again as it comes. */
    if (trace.rows > replay->moved)
        replay->moved = trace.rows;
    replay->matched = replay->moved;
    return 0;
}

static int look_for_canary(struct replay_work *w, int64_t now_ms)
{
    const struct dead_row row = {
        .message_id = w->canary_id, .rule_id = w->canary_rule, .service_id = w->canary_service};
    enum canary_state state;
    int r = replay_index_canary(w->tools->db, &row, w->replay->id, &state);

    if (r < 0)
        return r;
    if (state == CANARY_DELIVERED)
        w->canary = CANARY_NONE;
    else if (state == CANARY_DEAD)
        replay_work_end(w, "stopped", "the first message, %s, failed again", w->canary_id);
    else if (now_ms >= w->canary_until_ms)
        replay_work_end(w, "stopped",
                        "the first message, %s, was not delivered within %" PRId64 " s",
                        w->canary_id, w->tools->canary_wait_ms / 1000);
    if (w->end_state)
        w->canary = CANARY_NONE;
    return 0;
}

static int write_progress(struct replay_work *w)
{
    struct replay *replay = w->replay;
    int r = replay_store_progress(w->tools->db, replay);

    if (r < 0)
        return r;
    if (w->tools->on_progress)
        w->tools->on_progress(w->tools->context, replay);
    if (strcmp(replay->state, "running") != 0)
        replay_work_end(w, "stopped", "stopped on request");
    if (replay->stop_after > 0 && replay->failed >= replay->stop_after)
        replay_work_end(w, "stopped",
                        "%" PRId64 " of its messages failed again; the limit is %" PRId64,
                        replay->failed, replay->stop_after);
    return 0;
}

int replay_work_tick(struct replay_work *w)
{
    int64_t now_ms = timing_mono_ms();
    int r = 0;

    if (w->canary == CANARY_WAITS && now_ms >= w->ask_ms) {
        w->ask_ms = now_ms + CANARY_ASK_MS;
        r = look_for_canary(w, now_ms);
    }
    if (r == 0 && now_ms >= w->progress_ms) {
        w->progress_ms = now_ms + PROGRESS_MS;
        r = write_progress(w);
    }
    return r;
}
