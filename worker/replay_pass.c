#include "worker/replay_pass.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/timing.h"
#include "worker/replay_mark.h"
#include "worker/replay_rows.h"

enum {
    HELD_BYTES = 8 * 1024 * 1024,
    BATCH_WAIT_MS = 10, /* for more letters whose rows are written together */
    IDLE_MS = 300,      /* without a delivery, before the broker is asked for the depth */
    IDLE_ROUNDS = 2,    /* so often in a row it must be 0: deliveries may be under way */
    CONFIRM_MS = 30000, /* longest wait for a confirm */
    FINISH_MS = 2000,   /* for confirms under way when told to stop */
    WAIT_MS = 100,
    WAITS = 1, /* this letter must wait, and all behind it */
};

struct pass {
    struct replay_work *work;
    struct deadlink *link;
    int64_t service_id;
    char queue[NAME_SIZE];
    char key[NAME_SIZE];
    struct letter_list letters; /* held, in order */
    struct letter *next;        /* the first that was not handled */
    size_t n, bytes;
    uint64_t base;    /* of this replay's numbers */
    bool fresh;       /* nothing in the queue is of an earlier run */
    size_t n_taken;   /* letters so far, up to DEADLINK_WINDOW */
    size_t n_refused; /* publications that did not arrive, to be dealt with */
    size_t n_left;    /* letters that cannot be moved at all */
    bool ended;       /* nothing more is taken */
    bool has_marker;  /* its own arrived, not yet acknowledged */
    uint64_t marker_tag;
    uint64_t marker_number; /* of its publication, until that is confirmed */
    int64_t came_ms;        /* the last delivery */
    unsigned idle_rounds;
    int wait_ms; /* until the next letter may be handled */
    int error;   /* of a hook */
};

static int failed_bus(struct pass *p, const struct bus *bus, int result)
{
    return result < 0 ? deadlink_failed(p->link, bus, result) : result;
}

/* Forgets the letter, settled or not. */
static void let_go(struct pass *p, struct letter *l)
{
    if (p->next == l)
        p->next = TAILQ_NEXT(l, links);
    TAILQ_REMOVE(&p->letters, l, links);
    p->n--;
    p->bytes -= l->bytes;
    letter_free(l);
}

static void take_letter(struct pass *p, const struct bus_message *m)
{
    struct letter *l = letter_new(p->link->in, m, p->work->tools->names, p->service_id);

    if (!l) {
        p->error = -ENOMEM;
        return;
    }
    /* What was held when an earlier run was interrupted is back at the head. */
    if (!p->fresh && p->n_taken < DEADLINK_WINDOW) {
        p->n_taken++;
        p->error = replay_rows_recall(p->work, l);
    }
    if (!l->body || p->error < 0) {
        p->n_left++;
        letter_free(l);
        return;
    }
    l->selected = replay_work_selects(p->work, l);
    if (l->selected && letter_keep_content(l, m) < 0)
        p->error = -ENOMEM;
    TAILQ_INSERT_TAIL(&p->letters, l, links);
    p->n++;
    p->bytes += l->bytes;
    if (!p->next)
        p->next = l;
}

static void on_letter(void *context, const struct bus_message *m)
{
    struct pass *p = context;

    if (p->ended || p->error < 0)
        return; /* goes back when the channel is closed */
    p->came_ms = timing_mono_ms();
    p->idle_rounds = 0;
    switch (replay_mark_of(p->base, p->fresh, letter_marker(m), bus_message_number(m))) {
    case REPLAY_MARK_END:
        p->ended = p->has_marker = true;
        p->marker_tag = m->tag;
        break;
    case REPLAY_MARK_ROUND:
        p->ended = true;
        break;
    case REPLAY_MARK_STALE:
        deadlink_settle(p->link, m->tag);
        break;
    case REPLAY_MARK_LETTER:
        take_letter(p, m);
        break;
    }
    deadlink_hold(p->link, p->bytes >= HELD_BYTES);
}

static void on_confirm(void *context, uint64_t number, bool safe)
{
    struct pass *p = context;
    struct letter *l;

    if (number == p->marker_number) {
        p->marker_number = 0;
        p->error = safe ? p->error : -ENOENT;
        return;
    }
    for (l = TAILQ_FIRST(&p->letters); l; l = TAILQ_NEXT(l, links))
        if (l->number == number)
            break;
    if (!l)
        return;
    l->number = 0;
    if (!safe) {
        l->refused = true;
        p->n_refused++;
        return;
    }
    deadlink_settle(p->link, l->tag);
    if (l->moving)
        replay_work_moved(p->work);
    else if (l->selected)
        replay_work_matched(p->work);
    let_go(p, l);
    deadlink_hold(p->link, p->bytes >= HELD_BYTES);
}

/* Cannot be sent: it stays unacknowledged, and at the head of the queue when this is over. */
static int leave(struct pass *p, struct letter *l, const char *reason)
{
    int r;

    log_warning("dead letter cannot be moved: it stays at the head of its queue", "message_id",
                l->message_id, "service_id", log_number(p->service_id), "reason", reason, NULL);
    p->n_left++;
    r = l->selected ? replay_rows_deselect(p->work, l) : 0;
    let_go(p, l);
    return r;
}

static int sent(struct pass *p, struct letter *l, int result)
{
    if (result == BUS_REFUSED)
        return leave(p, l, bus_reason(p->link->out));
    if (result < 0)
        return failed_bus(p, p->link->out, result);
    l->sent_ms = timing_mono_ms();
    p->next = TAILQ_NEXT(l, links);
    return 0;
}

static int put_back(struct pass *p, struct letter *l)
{
    int r = letter_forward(l, p->link->out, DEADLINK_PUBLISH, p->work->tools->names->dead, p->key,
                           &l->number);

    l->moving = false;
    return sent(p, l, r);
}

static int move(struct pass *p, struct letter *l)
{
    const struct letter_replay how = {
        .exchange = p->work->tools->names->redeliver,
        .key = p->key,
        .replay_id = p->work->replay->id,
        .as_sent = p->work->replay->as_sent,
    };
    int r;

    p->wait_ms = replay_work_wait_ms(p->work);
    if (p->wait_ms > 0)
        return WAITS;
    l->moving = true;
    r = letter_publish(l, p->link->out, DEADLINK_PUBLISH, &how, &l->number);
    if (r == 0)
        replay_work_moving(p->work, l);
    return sent(p, l, r);
}

static int discard(struct pass *p, struct letter *l)
{
    deadlink_settle(p->link, l->tag);
    replay_work_moved(p->work);
    let_go(p, l);
    return 0;
}

/* Writes the rows of l and of those behind it; waits a moment for as many as one turn takes. */
static int write_index(struct pass *p, struct letter *l)
{
    size_t limit = replay_rows_limit(p->work);
    bool more = !p->ended && p->n < DEADLINK_WINDOW && p->bytes < HELD_BYTES &&
                timing_mono_ms() - p->came_ms < BATCH_WAIT_MS;

    if (more && replay_rows_missing(l, limit) < limit) {
        p->wait_ms = BATCH_WAIT_MS;
        return WAITS;
    }
    return replay_rows_write(p->work, l, limit);
}

/* 0: handled, WAITS, or a negative errno. */
static int handle(struct pass *p, struct letter *l)
{
    const struct replay *replay = p->work->replay;
    int r = 0;

    if (l->selected && !p->work->selecting)
        r = replay_rows_deselect(p->work, l);
    if (r == 0 && l->selected && replay_work_waits(p->work, l))
        return WAITS;
    if (r == 0 && l->selected && !l->indexed && !replay->dry_run)
        r = write_index(p, l);
    if (r != 0)
        return r;
    if (!l->selected || replay->dry_run || replay->action == REPLAY_REINDEX)
        return put_back(p, l);
    return replay->action == REPLAY_DISCARD ? discard(p, l) : move(p, l);
}

/* A publication came back, or was refused. Nothing is lost: the letter is unacknowledged. */
static int handle_refused(struct pass *p)
{
    struct letter *l;
    struct letter *after;
    int r = 0;

    for (l = TAILQ_FIRST(&p->letters); r == 0 && l && p->n_refused > 0; l = after) {
        after = TAILQ_NEXT(l, links);
        if (!l->refused)
            continue;
        if (!l->moving) {
            snprintf(p->link->reason, sizeof p->link->reason,
                     "the broker does not take letters into %s", p->queue);
            return -EAGAIN;
        }
        l->refused = false;
        p->n_refused--;
        replay_work_end(p->work, "failed", "the broker does not take messages for service %" PRId64,
                        p->service_id);
        struct letter *next = p->next;
        r = replay_rows_deselect(p->work, l);
        if (r == 0)
            r = put_back(p, l);
        p->next = next;
    }
    return r;
}

static int handle_all(struct pass *p)
{
    int r = handle_refused(p);

    p->wait_ms = WAIT_MS;
    while (r == 0 && p->next && p->error == 0 && !p->link->blocked)
        r = handle(p, p->next);
    deadlink_hold(p->link, p->bytes >= HELD_BYTES);
    return r == WAITS ? 0 : r;
}

/* A queue that is empty has no marker any more: somebody purged it, or the pass was nearly over
 * when its replayer died. */
static int look_for_end(struct pass *p)
{
    uint32_t depth;
    int r;

    if (p->ended || p->n > 0 || timing_mono_ms() - p->came_ms < IDLE_MS)
        return 0;
    p->came_ms = timing_mono_ms();
    r = deadlink_depth(p->link, p->queue, &depth);
    if (r != 0)
        return r < 0 ? r : -ENOENT;
    p->idle_rounds = depth == 0 ? p->idle_rounds + 1 : 0;
    p->ended = p->idle_rounds >= IDLE_ROUNDS || p->n_left >= DEADLINK_WINDOW;
    return 0;
}

static int check_confirms(struct pass *p)
{
    const struct letter *oldest = TAILQ_FIRST(&p->letters);

    if (!oldest || oldest->number == 0 || p->link->blocked ||
        timing_mono_ms() - oldest->sent_ms < CONFIRM_MS)
        return 0;
    snprintf(p->link->reason, sizeof p->link->reason, "the broker does not confirm");
    return -ETIMEDOUT;
}

static int step(struct pass *p)
{
    const struct replay_tools *tools = p->work->tools;
    int r = handle_all(p);

    if (r == 0)
        r = deadlink_wait(p->link, p->wait_ms, tools->wake_fd);
    if (r == 0)
        r = p->error;
    if (r == 0)
        r = check_confirms(p);
    if (r == 0)
        r = look_for_end(p);
    if (r == 0)
        r = replay_work_tick(p->work);
    return r == 0 && tools->stopping(tools->context) ? -ECANCELED : r;
}

/* Told to stop: what is on its way may arrive and be acknowledged, so that it is not repeated. */
static void finish(struct pass *p)
{
    int64_t end_ms = timing_mono_ms() + FINISH_MS;
    const struct letter *oldest;
    int r = 0;

    p->ended = true;
    while (r == 0 && p->error == 0 && timing_mono_ms() < end_ms &&
           (oldest = TAILQ_FIRST(&p->letters)) && oldest->number != 0)
        r = deadlink_wait(p->link, WAIT_MS, -1);
}

static int publish_marker(struct pass *p)
{
    int64_t end_ms = timing_mono_ms() + CONFIRM_MS;
    int r = letter_publish_marker(p->link->out, DEADLINK_PUBLISH, p->work->tools->names->dead,
                                  p->key, p->base, &p->marker_number);

    r = failed_bus(p, p->link->out, r);
    while (r == 0 && p->marker_number != 0 && timing_mono_ms() < end_ms)
        r = deadlink_wait(p->link, WAIT_MS, -1);
    if (r == 0 && p->marker_number != 0) {
        snprintf(p->link->reason, sizeof p->link->reason,
                 "the broker does not confirm what goes to %s", p->queue);
        r = -ETIMEDOUT;
    }
    return r == BUS_REFUSED ? failed_bus(p, p->link->out, -EAGAIN) : r;
}

/* Its marker did not arrive, so no letter would: the pass ends before it has begun. */
static int give_up(struct pass *p)
{
    replay_work_end(p->work, "failed", "the broker puts nothing into %s: it is not bound to %s",
                    p->queue, p->work->tools->names->dead);
    return deadlink_close_queue(p->link);
}

static int turn(struct pass *p)
{
    const struct deadlink_hooks hooks = {
        .context = p, .on_letter = on_letter, .on_confirm = on_confirm};
    int r;

    bus_number_from(p->link->out, p->base);
    r = deadlink_open_queue(p->link, p->queue, DEADLINK_WINDOW, &hooks);
    if (r == 0 && p->fresh)
        r = publish_marker(p);
    if (r == 0 && p->error == -ENOENT)
        return give_up(p);
    p->came_ms = timing_mono_ms();
    while (r == 0 && !(p->ended && p->n == 0))
        r = step(p);
    if (r == -ECANCELED)
        finish(p);
    if (r == 0 && p->has_marker)
        deadlink_settle(p->link, p->marker_tag);
    /* Also after a failure, as of the database: what is on its way must not lose its place. */
    int closed = deadlink_close_queue(p->link);
    return r == 0 ? closed : r;
}

/* What is still held lies in the queue, also what was published and not confirmed. */
static int drop_all(struct pass *p, int result)
{
    struct letter *l;

    while ((l = TAILQ_FIRST(&p->letters))) {
        int undone =
            l->selected && !db_lost(p->work->tools->db) ? replay_rows_deselect(p->work, l) : 0;
        if (undone < 0 && (result == 0 || result == -ECANCELED))
            result = undone;
        let_go(p, l);
    }
    return result;
}

int replay_pass(struct replay_work *work, int64_t service_id, bool fresh)
{
    struct pass p = {
        .work = work,
        .link = work->tools->link,
        .service_id = service_id,
        .base = replay_mark_base(work->replay->id, work->replay->started_s),
        .fresh = fresh,
    };
    uint32_t depth;
    int r;

    TAILQ_INIT(&p.letters);
    names_dead_queue(work->tools->names, service_id, p.queue);
    names_service_key(service_id, p.key);
    r = deadlink_depth(p.link, p.queue, &depth);
    if (r == BUS_REFUSED || (r == 0 && depth == 0 && fresh))
        return 0;
    if (r == 0)
        r = turn(&p);
    r = drop_all(&p, r);
    work->left += (int64_t)p.n_left;
    if (p.n_left > 0)
        log_warning("dead letters that cannot be moved are at the head of their queue",
                    "service_id", log_number(service_id), "letters", log_number((int64_t)p.n_left),
                    NULL);
    return r;
}
