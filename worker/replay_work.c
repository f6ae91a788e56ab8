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
    if (replay->canary && replay->moved == 0 && replay->action == REPLAY_REPLAY && !replay->dry_run)
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
    return w->selecting && (w->replay->max_count == 0 || w->replay->matched < w->replay->max_count);
}

bool replay_work_selects(struct replay_work *w, const struct letter *l)
{
    const struct replay_subject subject = letter_subject(l);
    struct replay *r = w->replay;

    /* What this replay has moved before and came back is not its again. */
    if (!replay_work_wants_more(w) || (r->action == REPLAY_REPLAY && l->replay_id == r->id) ||
        !replay_filter_matches(&r->filter, &subject))
        return false;
    r->matched++;
    if (w->tools->on_selected)
        w->tools->on_selected(w->tools->context, l);
    return true;
}

int replay_work_wait_ms(struct replay_work *w)
{
    int64_t us = tokenbucket_take(&w->bucket, timing_mono_us());

    return us == 0 ? 0 : us < 60000000 ? (int)(us / 1000) + 1 : 60000;
}

void replay_work_moving(struct replay_work *w, const struct letter *l)
{
    if (w->canary != CANARY_FIRST)
        return;
    w->canary = CANARY_MOVING;
    snprintf(w->canary_id, sizeof w->canary_id, "%s", l->message_id);
    w->canary_rule = l->rule_id;
    w->canary_service = l->service_id;
}

void replay_work_moved(struct replay_work *w, const struct letter *l)
{
    (void)l;
    w->replay->moved++;
    if (w->canary != CANARY_MOVING)
        return;
    w->canary = CANARY_WAITS;
    w->canary_until_ms = timing_mono_ms() + w->tools->canary_wait_ms;
}

bool replay_work_waits(const struct replay_work *w)
{
    return w->canary == CANARY_MOVING || w->canary == CANARY_WAITS;
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
        replay_work_end(w, "stopped", "the first message, %.127s, failed again", w->canary_id);
    else if (now_ms >= w->canary_until_ms)
        replay_work_end(w, "stopped",
                        "the first message, %.127s, was not delivered within %" PRId64 " s",
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
