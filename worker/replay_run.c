#include "worker/replay_run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "worker/replay_index.h"
#include "worker/replay_pass.h"

/* A message for a service whose queue is gone would only come back. */
static int can_take(const struct replay_work *w, int64_t service_id)
{
    char queue[NAME_SIZE];
    uint32_t depth;
    int r;

    if (w->replay->action != REPLAY_REPLAY || w->replay->dry_run)
        return 1;
    names_service_queue(w->tools->names, service_id, queue);
    r = deadlink_depth(w->tools->link, queue, &depth);
    return r == 0 ? 1 : r < 0 ? r : 0;
}

/* Only when all letters of the service were written, as far as anybody could want. */
static bool saw_all(const struct replay_work *w)
{
    const struct replay *r = w->replay;
    struct replay_filter rest = r->filter;

    rest.service_id = 0;
    return !r->dry_run && r->max_count == 0 && replay_filter_is_empty(&rest) && w->left == 0 &&
           !w->end_state;
}

static int mend_index(const struct replay_work *w, int64_t service_id)
{
    uint64_t rows = 0;
    int r = replay_index_mend(w->tools->db, service_id, w->replay->started_s, &rows);

    if (r == 0 && rows > 0)
        log_info("rows of dead letters that have left their queue are set to dropped", "service_id",
                 log_number(service_id), "rows", log_number((int64_t)rows), NULL);
    return r;
}

static int run_service(struct replay_work *w, int64_t service_id, bool fresh)
{
    bool alone = w->replay->filter.service_id != 0;
    int r = can_take(w, service_id);

    if (r < 0)
        return r;
    if (r == 0) {
        if (alone)
            replay_work_end(w, "failed", "service %" PRId64 " has no queue: its letters stay",
                            service_id);
        return 0;
    }
    r = replay_pass(w, service_id, fresh);
    if (r == 0 && w->replay->action == REPLAY_REINDEX && saw_all(w))
        r = mend_index(w, service_id);
    return r;
}

static int run_services(struct replay_work *w, bool fresh)
{
    int64_t *ids = NULL;
    size_t n = 0;
    int r = 0;

    if (w->replay->filter.service_id != 0)
        return run_service(w, w->replay->filter.service_id, fresh);
    r = replay_store_services(w->tools->db, &ids, &n);
    /* Those it has not come to when it wants no more need no turn; of one that was interrupted
     * nobody knows which they are. */
    for (size_t i = 0; r == 0 && i < n && (!fresh || replay_work_wants_more(w)); i++)
        r = run_service(w, ids[i], fresh);
    free(ids);
    return r;
}

static int start(struct db *db, struct replay *replay)
{
    struct replay begun;
    int r = replay_store_start(db, replay->id);

    if (r == 0)
        r = replay_store_read(db, replay->id, &begun);
    if (r == 0) {
        replay->started_s = begun.started_s;
        snprintf(replay->state, sizeof replay->state, "%s", begun.state);
    }
    return r == 1 ? -ENOENT : r;
}

static int end(struct replay_work *w)
{
    struct replay *r = w->replay;
    int result = replay_work_tick(w);

    if (result == 0)
        result = replay_store_progress(w->tools->db, r);
    snprintf(r->state, sizeof r->state, "%s", w->end_state ? w->end_state : "done");
    snprintf(r->error, sizeof r->error, "%s", w->why);
    if (result == 0)
        result = replay_store_end(w->tools->db, r, r->state, r->error);
    if (result == 0)
        log_info("replay ended", "replay", log_number(r->id), "action",
                 replay_action_name(r->action), "state", r->state, "matched",
                 log_number(r->matched), "moved", log_number(r->moved), "failed",
                 log_number(r->failed), "why", r->error, NULL);
    return result;
}

int replay_run_refuse(struct db *db, struct replay *replay, const char *why)
{
    snprintf(replay->state, sizeof replay->state, "failed");
    snprintf(replay->error, sizeof replay->error, "%s", why);
    log_warning("replay failed", "replay", log_number(replay->id), "why", replay->error, NULL);
    return replay_store_end(db, replay, replay->state, replay->error);
}

int replay_run(const struct replay_tools *tools, struct replay *replay)
{
    bool fresh = replay->started_s == 0;
    struct replay_work work;
    int r;

    if (replay->action == REPLAY_ACTIONS)
        return replay_run_refuse(tools->db, replay, "its action is not replay, discard or reindex");
    r = start(tools->db, replay);
    if (r < 0)
        return r;
    log_info(fresh ? "replay begins" : "replay goes on", "replay", log_number(replay->id), "action",
             replay_action_name(replay->action), NULL);
    replay_work_init(&work, tools, replay);
    if (strcmp(replay->state, "running") != 0)
        replay_work_end(&work, "stopped", "stopped on request");
    r = fresh ? 0 : replay_work_resume(&work);
    if (r == 0 && (!fresh || !work.end_state))
        r = run_services(&work, fresh);
    if (r == -ECANCELED) { /* the next one counts on from here */
        int written = replay_store_progress(tools->db, replay);
        return written < 0 ? written : r;
    }
    return r == 0 ? end(&work) : r;
}
