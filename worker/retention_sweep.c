#include "worker/retention_sweep.h"

#include <errno.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/timing.h"
#include "worker/deadindex.h"

enum { BATCH = 100, WAIT_MS = 100, IDLE_MS = 1000, HELD_BYTES = 8 * 1024 * 1024 };

/* The head of one queue under work. */
struct head {
    const struct replay_tools *tools;
    const struct retention *retention;
    int64_t service_id;
    int64_t now_s;
    int64_t surplus; /* still to be dropped for their number */
    bool drop_old;
    struct letter_list batch; /* to be dropped */
    size_t n, bytes;
    int64_t dropped;
    int64_t markers;  /* that were at the head: no letters, though the queue counts them */
    int64_t oldest_s; /* of the first letter that stays; 0: none was seen, or not known */
    bool ended;       /* a letter stays, and all behind it */
    int error;
    int64_t came_ms;
};

static void drop(struct head *h, struct letter *l)
{
    TAILQ_INSERT_TAIL(&h->batch, l, links);
    h->n++;
    h->bytes += l->bytes;
    if (h->surplus > 0)
        h->surplus--;
}

static void on_letter(void *context, const struct bus_message *m)
{
    struct head *h = context;
    struct bus *in = h->tools->link->in;

    if (h->ended || h->error < 0)
        return;
    h->came_ms = timing_mono_ms();
    if (letter_marker(m) > 0) { /* no replay is under way that it could be of */
        deadlink_settle(h->tools->link, m->tag);
        h->markers++;
        h->surplus -= h->surplus > 0;
        return;
    }
    struct letter *l = letter_new(in, m, h->tools->names, h->service_id);
    if (!l) {
        h->error = -ENOMEM;
        return;
    }
    int64_t died_s = l->death_noted ? l->died_s : 0;
    if (h->surplus > 0 || (h->drop_old && retention_expired(h->retention, died_s, h->now_s))) {
        drop(h, l);
    } else {
        h->oldest_s = died_s;
        h->ended = true;
        letter_free(l);
    }
    deadlink_hold(h->tools->link, h->bytes >= HELD_BYTES);
}

static void let_go(struct head *h, struct letter *l)
{
    TAILQ_REMOVE(&h->batch, l, links);
    h->n--;
    h->bytes -= l->bytes;
    letter_free(l);
}

/* The index first, so that no letter is gone that the index shows as dead. */
static int write_batch(struct head *h)
{
    struct dead_row rows[BATCH] = {{0}};
    struct letter *l = TAILQ_FIRST(&h->batch);
    size_t n = 0;
    int r;

    for (; l && n < BATCH; l = TAILQ_NEXT(l, links))
        rows[n++] = letter_row(l);
    r = deadindex_set(h->tools->db, rows, n, "dropped", 0);
    for (; r == 0 && n > 0; n--) {
        deadlink_settle(h->tools->link, TAILQ_FIRST(&h->batch)->tag);
        h->dropped++;
        let_go(h, TAILQ_FIRST(&h->batch));
    }
    deadlink_hold(h->tools->link, h->bytes >= HELD_BYTES);
    return r;
}

static int work(struct head *h)
{
    int r = 0;

    h->came_ms = timing_mono_ms();
    while (r == 0 && !(h->ended && h->n == 0) && timing_mono_ms() - h->came_ms < IDLE_MS) {
        r = deadlink_wait(h->tools->link, WAIT_MS, h->tools->wake_fd);
        if (r == 0)
            r = h->error;
        while (r == 0 && h->n > 0)
            r = write_batch(h);
        if (r == 0 && h->tools->stopping(h->tools->context))
            r = -ECANCELED;
    }
    return r;
}

static int work_at_head(struct head *h, const char *queue)
{
    const struct deadlink_hooks hooks = {.context = h, .on_letter = on_letter};
    /* A whole window also for a look: what goes back stands behind others that went back, so all
     * of them must be taken for the order to stay. */
    int r = deadlink_open_queue(h->tools->link, queue, DEADLINK_WINDOW, &hooks);

    if (r < 0)
        return r;
    r = work(h);
    while (h->n > 0)
        let_go(h, TAILQ_FIRST(&h->batch));
    int closed = deadlink_close_queue(h->tools->link);
    return r == 0 ? closed : r;
}

static int look(struct sweep_service *s, const struct replay_tools *tools,
                const struct retention *retention, const struct retention_decision *d)
{
    struct head h = {
        .tools = tools,
        .retention = retention,
        .service_id = s->id,
        .now_s = timing_unix_s(),
        .surplus = d ? d->surplus : 0,
        .drop_old = d && d->drop_old,
    };
    char queue[NAME_SIZE];
    int r;

    TAILQ_INIT(&h.batch);
    names_dead_queue(tools->names, s->id, queue);
    r = work_at_head(&h, queue);
    if (h.dropped > 0)
        log_warning("dead letters dropped: they were too many, or too old", "service_id",
                    log_number(s->id), "letters", log_number(h.dropped), NULL);
    s->oldest_s = h.oldest_s;
    s->markers = h.markers;
    return r;
}

static void warn(const struct sweep_service *s, const struct retention *retention,
                 const struct retention_view *view, const struct retention_decision *d)
{
    if (d->warn_number)
        log_warning("dead letters near or above [deadletters] max_number: the oldest will be"
                    " dropped above it; replay or discard them",
                    "service_id", log_number(s->id), "letters", log_number(view->letters),
                    "max_number", log_number(retention->max_number), NULL);
    if (d->warn_age)
        log_warning("dead letters near or above [deadletters] max_age: the oldest will be dropped"
                    " above it; replay or discard them",
                    "service_id", log_number(s->id), "oldest", log_number(view->oldest_s),
                    "max_age_s", log_number(retention->max_age_s), NULL);
}

static int sweep_service(struct sweep_service *s, const struct replay_tools *tools,
                         const struct retention *retention)
{
    struct retention_view view = {.warned = s->warned};
    struct retention_decision d;
    char queue[NAME_SIZE];
    uint32_t depth;
    int64_t now_s = timing_unix_s();
    int r;

    names_dead_queue(tools->names, s->id, queue);
    r = deadlink_depth(tools->link, queue, &depth);
    if (r == BUS_REFUSED || (r == 0 && depth == 0)) {
        *s = (struct sweep_service){.id = s->id};
        return 0;
    }
    s->markers = 0;
    if (r == 0 && now_s >= s->look_s)
        r = look(s, tools, retention, NULL);
    if (r < 0)
        return r;
    view.letters = depth - s->markers;
    view.oldest_s = s->oldest_s;
    retention_decide(retention, &view, now_s, &d);
    s->look_s = d.look_s;
    s->warned = d.warn_number || d.warn_age;
    warn(s, retention, &view, &d);
    return d.surplus > 0 || d.drop_old ? look(s, tools, retention, &d) : 0;
}

/* Keeps what is known of the services that are still there. Both lists ascend. */
static int take_services(struct retention_sweep *s, struct db *db)
{
    struct sweep_service *services;
    int64_t *ids = NULL;
    size_t n = 0;
    int r = replay_store_services(db, &ids, &n);

    if (r < 0)
        return r;
    services = calloc(n + 1, sizeof *services);
    for (size_t i = 0, k = 0; services && i < n; i++) {
        services[i].id = ids[i];
        while (k < s->n && s->services[k].id < ids[i])
            k++;
        if (k < s->n && s->services[k].id == ids[i])
            services[i] = s->services[k];
    }
    free(ids);
    if (!services)
        return -ENOMEM;
    free(s->services);
    s->services = services;
    s->n = n;
    return 0;
}

int retention_sweep(struct retention_sweep *s, const struct replay_tools *tools,
                    const struct retention *retention)
{
    int r = take_services(s, tools->db);

    for (size_t i = 0; r == 0 && i < s->n; i++)
        r = sweep_service(&s->services[i], tools, retention);
    return r;
}

void retention_sweep_release(struct retention_sweep *s)
{
    free(s->services);
    *s = (struct retention_sweep){NULL, 0};
}
