#include "worker/backlog.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/timing.h"
#include "dispatcher/catalog.h"
#include "worker/complaint.h"
#include "worker/intake.h"
#include "worker/meter.h"
#include "worker/statcells.h"
#include "worker/store.h"

enum { TURN_MS = 10, ROWS_AT_A_TIME = 100, SQL_MAX = 16 * 1024, COLUMNS = 5 };

/* One service's queues. */
struct depth {
    int64_t service_id;
    int64_t taken_s; /* when the newest that this process has taken was sent; 0: none */
    bool known;      /* there is such a queue */
    uint32_t waiting;
    uint32_t dead;
};

/* One look at all of them: first the broker's part, then the database's. Outlives the backlog when
 * that is freed meanwhile. */
struct look {
    struct store_job job; /* first: the store hands it back */
    struct backlog *owner;
    struct names names;
    int64_t asked_s;
    int64_t outbox_rows, outbox_oldest_s;
    size_t n, next;
    struct depth depths[];
};

struct backlog {
    struct context *ctx;
    struct store *store;
    const struct intake *intake;
    struct event *timer;
    struct catalog *catalog; /* a reference; NULL: none yet */
    struct look *look;       /* NULL: none is under way */
    bool shows, writes;      /* see backlog_options */
    bool elected;
    struct complaint complaint;
};

static void complain(struct backlog *b, int result, const char *reason)
{
    if (complaint_due(&b->complaint, result, reason, timing_unix_s()))
        log_warning("the backlog could not be looked at", "reason", reason, "does", "tries again",
                    NULL);
}

static void end_look(struct look *look, int result, const char *reason)
{
    if (look->owner) {
        look->owner->look = NULL;
        complain(look->owner, result, reason);
    }
    free(look);
}

/* A row that says 0 tells when the queue was empty. The assignments are made in this order. */
static const char backlog_changes[] =
    " ON DUPLICATE KEY UPDATE timeoldest = IF(VALUES(waiting) = 0, NULL,"
    " NULLIF(GREATEST(COALESCE(VALUES(timeoldest), 0), COALESCE(timeoldest, 0),"
    " IF(waiting = 0, timeseen, 0)), 0)), waiting = VALUES(waiting), dead = VALUES(dead),"
    " timeseen = VALUES(timeseen)";

static const char stat_changes[] =
    " ON DUPLICATE KEY UPDATE backlog = GREATEST(backlog, VALUES(backlog))";

/* Makes a row's values; false: it has none. */
typedef bool row_maker(const struct look *look, const struct depth *d,
                       struct db_value values[COLUMNS]);

static bool backlog_row(const struct look *look, const struct depth *d,
                        struct db_value values[COLUMNS])
{
    values[0] = db_of_number(d->service_id);
    values[1] = db_of_number(d->waiting);
    values[2] = db_of_number(d->dead);
    values[3] = db_of_number_or_null(d->waiting > 0 ? d->taken_s : 0);
    values[4] = db_of_number(look->asked_s);
    return d->known;
}

static bool stat_row(const struct look *look, const struct depth *d,
                     struct db_value values[COLUMNS])
{
    values[0] = db_of_number(d->service_id);
    values[1] = db_of_number(0);
    values[2] = db_of_number(STAT_MINUTE);
    values[3] = db_of_number(look->asked_s - look->asked_s % STAT_MINUTE);
    values[4] = db_of_number(d->waiting);
    return d->known && d->waiting > 0;
}

static int insert(struct db *db, const char *into, const struct db_value *values, size_t n,
                  const char *changes)
{
    struct buf sql;
    int r;

    buf_init(&sql, SQL_MAX);
    buf_adds(&sql, into);
    for (size_t i = 0; i < n; i++)
        buf_adds(&sql, i > 0 ? ", (?, ?, ?, ?, ?)" : " VALUES (?, ?, ?, ?, ?)");
    buf_adds(&sql, changes);
    r = buf_error(&sql);
    if (r == 0)
        r = db_query(db, buf_text(&sql), values, n * COLUMNS, NULL, NULL, NULL);
    buf_release(&sql);
    return r;
}

static int write_rows(struct db *db, const struct look *look, row_maker *make, const char *into,
                      const char *changes)
{
    struct db_value values[ROWS_AT_A_TIME * COLUMNS];
    size_t rows = 0;
    int r = 0;

    for (size_t i = 0; r == 0 && i < look->n; i++) {
        rows += make(look, &look->depths[i], values + rows * COLUMNS);
        if (rows == ROWS_AT_A_TIME || (rows > 0 && i + 1 == look->n)) {
            r = insert(db, into, values, rows, changes);
            rows = 0;
        }
    }
    return r;
}

static int on_outbox(void *context, const struct db_row *row)
{
    struct look *look = context;

    look->outbox_rows = db_number(row, 0, 0);
    look->outbox_oldest_s = db_number(row, 1, 0);
    return 0;
}

/* For the metrics; what a long outage of the broker left is not counted to its end. */
static int count_outbox(struct db *db, struct look *look)
{
    return db_query(db,
                    "SELECT COUNT(*), MIN(timecreated) FROM (SELECT timecreated FROM"
                    " {local_integrationhub_outbox} ORDER BY timecreated LIMIT 10000) o",
                    NULL, 0, on_outbox, look, NULL);
}

static int run(struct store_job *job, struct db *db)
{
    struct look *look = (struct look *)job;
    int r = write_rows(db, look, backlog_row,
                       "INSERT INTO {local_integrationhub_backlog}"
                       " (serviceid, waiting, dead, timeoldest, timeseen)",
                       backlog_changes);

    if (r == 0)
        r = write_rows(db, look, stat_row,
                       "INSERT INTO {local_integrationhub_stat}"
                       " (serviceid, ruleid, width, timestart, backlog)",
                       stat_changes);
    return r == 0 ? count_outbox(db, look) : r;
}

static void written(struct store_job *job, int result, const char *reason)
{
    struct look *look = (struct look *)job;

    if (look->owner && result == 0) {
        int64_t *gauge = look->owner->ctx->meter->gauge;

        meter_set(&gauge[METER_OUTBOX_LOOKED_S], look->asked_s);
        meter_set(&gauge[METER_OUTBOX_ROWS], look->outbox_rows);
        meter_set(&gauge[METER_OUTBOX_OLDEST_S], look->outbox_oldest_s);
    }
    end_look(look, result, reason);
}

/* As backlog_changes do it in the table. Where the bound is not known, it is from when on something
 * was seen to wait. */
static void show(struct meter *meter, const struct depth *d, int64_t asked_s)
{
    struct meter_service *place = meter_service(meter, d->service_id);
    int64_t *gauge = place->gauge;
    int64_t empty_s = gauge[METER_WAITING] == 0 ? gauge[METER_LOOKED_S] : 0;
    int64_t oldest_s = d->taken_s;

    if (!d->known || place->id == 0)
        return;
    if (gauge[METER_OLDEST_S] > oldest_s)
        oldest_s = gauge[METER_OLDEST_S];
    if (empty_s > oldest_s)
        oldest_s = empty_s;
    if (oldest_s == 0)
        oldest_s = asked_s;
    meter_set(&gauge[METER_LOOKED_S], asked_s);
    meter_set(&gauge[METER_WAITING], d->waiting);
    meter_set(&gauge[METER_DEAD], d->dead);
    meter_set(&gauge[METER_OLDEST_S], d->waiting > 0 ? oldest_s : 0);
}

/* On the publisher's thread: as many as their turn allows, so that nobody waits for long to
 * publish, however far away the broker is. */
static int ask(struct bus *bus, uint16_t channel, void *argument)
{
    struct look *look = argument;
    int64_t end_ms = timing_mono_ms() + TURN_MS;
    char queue[NAME_SIZE];
    uint32_t consumers;
    int r = 0;

    for (; r >= 0 && look->next < look->n && timing_mono_ms() <= end_ms; look->next++) {
        struct depth *d = &look->depths[look->next];

        names_service_queue(&look->names, d->service_id, queue);
        r = bus_queue_depth(bus, channel, queue, &d->waiting, &consumers);
        d->known = r == 0;
        names_dead_queue(&look->names, d->service_id, queue);
        if (r == 0)
            r = bus_queue_depth(bus, channel, queue, &d->dead, &consumers);
    }
    return r < 0 ? r : 0;
}

static void asked(void *context, int result, const char *reason);

/* The broker has told all. */
static int use(struct look *look)
{
    struct backlog *b = look->owner;

    for (size_t i = 0; i < look->n; i++)
        show(b->ctx->meter, &look->depths[i], look->asked_s);
    if (!b->writes || !b->elected) {
        end_look(look, 0, "");
        return 0;
    }
    look->job = (struct store_job){.run = run, .done = written};
    return store_submit(b->store, &look->job);
}

static void go_on(struct look *look)
{
    struct backlog *b = look->owner;
    int r =
        look->next < look->n ? publisher_run(b->ctx->publisher, ask, look, asked, look) : use(look);

    if (r < 0)
        end_look(look, r, "too much is waiting already");
}

static void asked(void *context, int result, const char *reason)
{
    struct look *look = context;

    if (result < 0 || !look->owner)
        end_look(look, result, reason);
    else
        go_on(look);
}

static struct look *look_new(struct backlog *b)
{
    size_t n = catalog_service_count(b->catalog);
    struct look *look = calloc(1, sizeof *look + n * sizeof look->depths[0]);

    if (!look)
        return NULL;
    look->owner = b;
    look->names = b->ctx->names;
    look->asked_s = timing_unix_s();
    look->n = n;
    for (size_t i = 0; i < n; i++) {
        look->depths[i].service_id = catalog_service_at(b->catalog, i)->id;
        look->depths[i].taken_s = intake_taken(b->intake, look->depths[i].service_id);
    }
    return look;
}

static void on_time(evutil_socket_t fd, short what, void *argument)
{
    struct backlog *b = argument;

    (void)fd;
    (void)what;
    if (b->look || !(b->shows || (b->writes && b->elected)) || !b->catalog ||
        !publisher_connected(b->ctx->publisher) || publisher_blocked(b->ctx->publisher))
        return;
    b->look = look_new(b);
    if (b->look)
        go_on(b->look);
}

void backlog_set_elected(struct backlog *b, bool elected)
{
    if (b)
        b->elected = elected;
}

void backlog_set_catalog(struct backlog *b, struct catalog *catalog)
{
    if (!b)
        return;
    catalog_unref(b->catalog);
    b->catalog = catalog_ref(catalog);
}

void backlog_set_interval(struct backlog *b, int64_t interval_ms)
{
    const struct timeval every = {.tv_sec = interval_ms / 1000,
                                  .tv_usec = interval_ms % 1000 * 1000};

    if (b && event_add(b->timer, &every) < 0)
        log_error("out of memory: the backlog is not looked at", NULL);
}

int backlog_new(struct context *ctx, struct store *store, const struct intake *intake,
                const struct backlog_options *options, struct backlog **ret_backlog)
{
    struct backlog *b = calloc(1, sizeof *b);

    if (!b)
        return -ENOMEM;
    b->ctx = ctx;
    b->store = store;
    b->intake = intake;
    b->shows = options->shows;
    b->writes = options->writes;
    b->timer = event_new(ctx->base, -1, EV_PERSIST, on_time, b);
    if (!b->timer) {
        free(b);
        return -ENOMEM;
    }
    backlog_set_interval(b, options->interval_ms);
    *ret_backlog = b;
    return 0;
}

void backlog_free(struct backlog *b)
{
    if (!b)
        return;
    if (b->look)
        b->look->owner = NULL;
    catalog_unref(b->catalog);
    event_free(b->timer);
    free(b);
}
