#include "worker/topology.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/timing.h"
#include "worker/topology_apply.h"
#include "worker/topology_plan.h"

enum {
    FULL_ROUND_MS = 60000,
    RETRY_MS = 2000,
    REMOVE_WITHIN_MS = 5000,
    /* Retries of a service may come back for a day after it is gone. Without its queue they would
     * be unroutable, and block the queue that all services' retries wait in. */
    RETIRE_AFTER_MS = 25 * 3600 * 1000,
    MAX_GONE = 256,
};

/* Rows are read with a bound, so that a broken table cannot take all memory. */
enum { MAX_ROWS = 200000 };

struct rows {
    struct binding_row *row;
    size_t n, cap;
};

/* A service that is gone, and since when this process knows. */
struct gone {
    int64_t service_id;
    int64_t since_ms;
};

/* Queues with other arguments than this version declares: told when their number changes. */
struct differing {
    size_t told;
};

struct topology {
    struct context *ctx;
    struct store *store;
    struct catalog *catalog; /* the latest */
    bool elected;
    bool due;
    bool running;
    bool stopped;
    int64_t next_ms;
    int64_t delays_due_ms; /* when the queues for retries are looked after again */
    int64_t planned_ms;    /* when the round began to look at the tables */
    struct store_job job;  /* the one step of the round that is under way */
    struct catalog *planned;
    struct rows rows;
    struct topology_plan plan;
    struct topology_delays delays;
    struct differing services_differ; /* what was told of them */
    struct differing delays_differ;
    struct gone gone[MAX_GONE];
    size_t n_gone;
};

static struct topology *of_job(struct store_job *job)
{
    return (struct topology *)(void *)((char *)job - offsetof(struct topology, job));
}

int topology_new(struct context *ctx, struct store *store, struct topology **ret_topology)
{
    struct topology *t = calloc(1, sizeof *t);

    if (!t)
        return -ENOMEM;
    t->ctx = ctx;
    t->store = store;
    *ret_topology = t;
    return 0;
}

static void round_release(struct topology *t)
{
    topology_plan_release(&t->plan);
    free(t->rows.row);
    t->rows = (struct rows){0};
    catalog_unref(t->planned);
    t->planned = NULL;
    t->running = false;
}

static void round_failed(struct topology *t, const char *step, const char *reason)
{
    if (t->stopped) {
        round_release(t);
        return;
    }
    log_warning("bindings not brought up to date; trying again", "step", step, "reason", reason,
                "retry_in_ms", log_number(RETRY_MS), NULL);
    round_release(t);
    t->due = true;
    t->next_ms = timing_mono_ms() + RETRY_MS;
}

static void tell_differing(struct differing *d, const char *whose, size_t n, const char *first)
{
    if (n == d->told)
        return;
    d->told = n;
    if (n > 0)
        log_warning("queues of another version are used as they are", "of", whose, "number",
                    log_number((int64_t)n), "first", first, "advice", QUEUE_ADVICE, NULL);
}

static void report(struct topology *t)
{
    size_t bound = 0;
    size_t unbound = 0;
    size_t differ = 0;
    const char *first = "";

    for (size_t i = 0; i < t->plan.n; i++) {
        const struct topology_item *item = &t->plan.items[i];

        bound += item->action == TOPOLOGY_BIND && item->done && !item->bound;
        unbound += item->action == TOPOLOGY_UNBIND && item->done;
        if (item->differs && differ++ == 0)
            first = item->note;
        if (item->note[0] && !item->differs)
            log_warning("the broker's side of a service is not as it should be", "service_id",
                        log_number(item->service_id), "routing_key", item->key, "reason",
                        item->note, NULL);
    }
    tell_differing(&t->services_differ, "services", differ, first);
    if (bound || unbound)
        log_info("bindings changed", "bound", log_number((int64_t)bound), "unbound",
                 log_number((int64_t)unbound), NULL);
}

/* Fourth step, database: what is done. */
static int run_finish(struct store_job *job, struct db *db)
{
    struct topology *t = of_job(job);
    int r = 0;

    for (size_t i = 0; r == 0 && i < t->plan.n; i++) {
        const struct topology_item *item = &t->plan.items[i];
        const struct db_value values[] = {
            {.number = item->service_id},
            {.text = item->key, .len = strlen(item->key)},
        };

        if (!item->done)
            continue;
        if (item->action == TOPOLOGY_UNBIND || item->action == TOPOLOGY_RETIRE)
            r = db_query(db,
                         "DELETE FROM {local_integrationhub_binding}"
                         " WHERE serviceid = ? AND routingkey = ?",
                         values, 2, NULL, NULL, NULL);
        else if (!item->bound)
            r = db_query(db,
                         "UPDATE {local_integrationhub_binding} SET timebound = UNIX_TIMESTAMP()"
                         " WHERE serviceid = ? AND routingkey = ?",
                         values, 2, NULL, NULL, NULL);
    }
    return r;
}

/* Fifth step, broker, now and then: the queues that retries wait in. */
static int run_delays(struct bus *bus, uint16_t channel, void *argument)
{
    struct topology *t = argument;

    return topology_apply_delays(bus, channel, &t->ctx->names, &t->delays);
}

static void on_delays(void *context, int result, const char *reason)
{
    struct topology *t = context;

    if (result != 0) {
        round_failed(t, "queues for retries", reason);
        return;
    }
    tell_differing(&t->delays_differ, "retries", t->delays.differ, t->delays.note);
    t->delays_due_ms = timing_mono_ms() + FULL_ROUND_MS;
    round_release(t);
}

static void on_finished(struct store_job *job, int result, const char *reason)
{
    struct topology *t = of_job(job);

    if (result < 0) {
        round_failed(t, "record what is bound", reason);
        return;
    }
    t->next_ms = timing_mono_ms() + FULL_ROUND_MS;
    if (t->stopped || timing_mono_ms() < t->delays_due_ms)
        round_release(t);
    else if (publisher_run(t->ctx->publisher, run_delays, t, on_delays, t) < 0)
        round_failed(t, "queues for retries", "too many calls are waiting");
}

static void submit(struct topology *t, int (*run)(struct store_job *, struct db *),
                   void (*done)(struct store_job *, int, const char *))
{
    if (t->stopped) {
        round_release(t);
        return;
    }
    t->job = (struct store_job){.run = run, .done = done};
    if (store_submit(t->store, &t->job) < 0)
        round_failed(t, "database", "too many jobs are waiting");
}

/* Third step, broker. */
static int run_apply(struct bus *bus, uint16_t channel, void *argument)
{
    struct topology *t = argument;

    /* It may have waited for a connection, and a rule may want its binding back since. */
    if (timing_mono_ms() - t->planned_ms > REMOVE_WITHIN_MS)
        topology_plan_keep_all(&t->plan);
    return topology_apply(bus, channel, &t->ctx->names, &t->plan);
}

static void on_applied(void *context, int result, const char *reason)
{
    struct topology *t = context;

    if (result != 0) {
        round_failed(t, "broker", reason);
        return;
    }
    report(t);
    submit(t, run_finish, on_finished);
}

/* Second step, database: a row before its binding. */
static int run_record(struct store_job *job, struct db *db)
{
    struct topology *t = of_job(job);
    int r = 0;

    for (size_t i = 0; r == 0 && i < t->plan.n; i++) {
        const struct topology_item *item = &t->plan.items[i];
        const struct db_value values[] = {
            {.number = item->service_id},
            {.text = item->key, .len = strlen(item->key)},
        };

        if (item->recorded)
            continue;
        r = db_query(db,
                     "INSERT IGNORE INTO {local_integrationhub_binding} (serviceid, routingkey)"
                     " VALUES (?, ?)",
                     values, 2, NULL, NULL, NULL);
    }
    return r;
}

static void on_recorded(struct store_job *job, int result, const char *reason)
{
    struct topology *t = of_job(job);

    if (result < 0)
        round_failed(t, "record what will be bound", reason);
    else if (t->stopped)
        round_release(t);
    else if (publisher_run(t->ctx->publisher, run_apply, t, on_applied, t) < 0)
        round_failed(t, "broker", "too many calls are waiting");
}

/* First step, database: the record. */
static int add_row(void *context, const struct db_row *row)
{
    struct rows *rows = context;
    struct binding_row *last;

    if (rows->n == MAX_ROWS)
        return -E2BIG;
    if (rows->n == rows->cap) {
        size_t cap = rows->cap ? rows->cap * 2 : 64;
        struct binding_row *all = realloc(rows->row, cap * sizeof *all);

        if (!all)
            return -ENOMEM;
        rows->row = all;
        rows->cap = cap;
    }
    last = &rows->row[rows->n++];
    last->service_id = db_number(row, 0, 0);
    snprintf(last->key, sizeof last->key, "%s", db_text(row, 1));
    last->bound = db_number(row, 2, 0) > 0;
    return 0;
}

static int run_read(struct store_job *job, struct db *db)
{
    struct topology *t = of_job(job);

    return db_query(db,
                    "SELECT serviceid, routingkey, timebound FROM {local_integrationhub_binding}",
                    NULL, 0, add_row, &t->rows, NULL);
}

/* Whether the service has been gone for long. An overflowing list keeps queues that could go. */
static bool may_retire(struct topology *t, int64_t service_id)
{
    int64_t now_ms = timing_mono_ms();

    for (size_t i = 0; i < t->n_gone; i++)
        if (t->gone[i].service_id == service_id)
            return now_ms - t->gone[i].since_ms > RETIRE_AFTER_MS;
    if (t->n_gone < MAX_GONE)
        t->gone[t->n_gone++] = (struct gone){service_id, now_ms};
    return false;
}

static void keep_young_queues(struct topology *t)
{
    size_t kept = 0;

    for (size_t i = 0; i < t->plan.n; i++)
        if (t->plan.items[i].action != TOPOLOGY_RETIRE ||
            may_retire(t, t->plan.items[i].service_id))
            t->plan.items[kept++] = t->plan.items[i];
    t->plan.n = kept;
}

static void on_read(struct store_job *job, int result, const char *reason)
{
    struct topology *t = of_job(job);

    if (result < 0) {
        round_failed(t, "read the record of bindings", reason);
        return;
    }
    if (topology_plan_make(&t->plan, t->planned, t->rows.row, t->rows.n) < 0) {
        round_failed(t, "plan", "out of memory");
        return;
    }
    keep_young_queues(t);
    submit(t, run_record, on_recorded);
}

static void round_start(struct topology *t)
{
    t->due = false;
    t->running = true;
    t->planned_ms = timing_mono_ms();
    t->next_ms = timing_mono_ms() + FULL_ROUND_MS;
    t->planned = catalog_ref(t->catalog);
    submit(t, run_read, on_read);
}

void topology_tick(struct topology *t)
{
    int64_t now = timing_mono_ms();

    if (t->running || t->stopped || !t->elected || !t->catalog ||
        !publisher_connected(t->ctx->publisher) || publisher_blocked(t->ctx->publisher))
        return;
    if (t->due || now >= t->next_ms)
        round_start(t);
}

void topology_set_elected(struct topology *t, bool elected)
{
    t->elected = elected;
    t->due = true;
    topology_tick(t);
}

void topology_changed(struct topology *t, struct catalog *catalog)
{
    if (catalog) {
        catalog_ref(catalog);
        catalog_unref(t->catalog);
        t->catalog = catalog;
    } else {
        t->delays_due_ms = 0;
    }
    t->due = true;
    topology_tick(t);
}

void topology_stop(struct topology *t)
{
    if (t)
        t->stopped = true;
}

void topology_free(struct topology *t)
{
    if (!t || t->running) /* running: a thread that was left behind in a hung call uses it */
        return;
    catalog_unref(t->catalog);
    free(t);
}
