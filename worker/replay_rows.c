#include "worker/replay_rows.h"

#include "worker/deadindex.h"
#include "worker/replay_index.h"

enum { BATCH_ROWS = 100 };

size_t replay_rows_limit(const struct replay_work *w)
{
    const struct replay *r = w->replay;

    if (r->action != REPLAY_REPLAY || r->rate > BATCH_ROWS)
        return BATCH_ROWS;
    return w->canary != CANARY_NONE ? 1 : (size_t)r->rate;
}

/* The letters from l on whose rows are to be written next. */
static size_t collect(const struct letter *l, struct dead_row *rows, size_t limit)
{
    size_t n = 0;

    for (; l && n < limit; l = TAILQ_NEXT(l, links))
        if (l->selected && !l->indexed)
            rows[n++] = letter_row(l);
    return n;
}

size_t replay_rows_missing(const struct letter *l, size_t limit)
{
    size_t n = 0;

    for (; l && n < limit; l = TAILQ_NEXT(l, links))
        if (l->selected && !l->indexed)
            n++;
    return n;
}

static int write_rows(const struct replay_work *w, const struct dead_row *rows, size_t n)
{
    const struct replay *r = w->replay;
    struct db *db = w->tools->db;

    if (r->action == REPLAY_REINDEX)
        return deadindex_put(db, rows, n);
    return deadindex_set(db, rows, n, r->action == REPLAY_DISCARD ? "discarded" : "replayed",
                         r->id);
}

int replay_rows_write(const struct replay_work *w, struct letter *l, size_t limit)
{
    struct dead_row rows[BATCH_ROWS];
    size_t n = collect(l, rows, limit < BATCH_ROWS ? limit : BATCH_ROWS);
    int r = write_rows(w, rows, n);

    for (; r == 0 && n > 0; l = TAILQ_NEXT(l, links)) {
        if (!l->selected || l->indexed)
            continue;
        l->indexed = true;
        n--;
    }
    return r;
}

int replay_rows_deselect(struct replay_work *w, struct letter *l)
{
    const struct dead_row row = letter_row(l);
    bool written = l->indexed && w->replay->action != REPLAY_REINDEX;

    if (l->selected)
        replay_work_stays(w);
    l->selected = l->indexed = false;
    return written ? replay_index_undo(w->tools->db, &row, w->replay->id, NULL) : 0;
}

int replay_rows_recall(struct replay_work *w, const struct letter *l)
{
    const struct dead_row row = letter_row(l);
    struct replay *replay = w->replay;
    uint64_t rows = 0;
    int r;

    /* One that this replay has moved, and that died again, did leave. */
    if (replay->action == REPLAY_REINDEX || replay->dry_run || l->replay_id == replay->id)
        return 0;
    r = replay_index_undo(w->tools->db, &row, replay->id, &rows);
    if (r == 0 && rows > 0 && replay->moved > 0) {
        replay->moved--;
        replay->matched--;
    }
    return r;
}
