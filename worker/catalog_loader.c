#include "worker/catalog_loader.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/timing.h"
#include "dispatcher/catalog.h"
#include "worker/breakers.h"
#include "worker/catalog_rows.h"
#include "worker/store.h"

enum { MAX_BREAKERS = 100000 };

/* A look at the tables. It outlives the loader when that is freed while the look is under way. */
struct look {
    struct store_job job; /* first: the store hands it back */
    struct loader *loader;
    bool has_digest; /* whether there is a catalog to compare with */
    uint64_t digest; /* its digest */
    const struct secret_keys *keys;
    struct catalog_builder *builder;
    struct catalog *catalog; /* NULL: nothing changed */
    struct breaker_row *breakers;
    size_t n_breakers, cap_breakers;
    unsigned processes;
    int64_t began_ms;
};

struct loader {
    struct event *timer;
    struct store *store;
    struct loader_hooks hooks;
    int64_t interval_ms;
    int64_t looked_ms; /* last success */
    bool has_looked;
    bool has_digest;
    uint64_t digest;
    struct look *look; /* NULL while none is under way */
    bool poked;        /* look again after it */
    char reason[256];  /* last failure told; "" after a success */
};

static int on_breaker(void *context, const struct db_row *row)
{
    struct look *look = context;
    if (look->n_breakers == MAX_BREAKERS)
        return -E2BIG;
    if (look->n_breakers == look->cap_breakers) {
        size_t cap = look->cap_breakers ? look->cap_breakers * 2 : 16;
        struct breaker_row *all = reallocarray(look->breakers, cap, sizeof *all);
        if (!all)
            return -ENOMEM;
        look->breakers = all;
        look->cap_breakers = cap;
    }
    struct breaker_row *b = &look->breakers[look->n_breakers++];
    b->service_id = db_number(row, 0, 0);
    snprintf(b->state, sizeof b->state, "%s", db_text(row, 1));
    b->trips = db_number(row, 2, 0);
    b->retry_in_s = db_number(row, 3, 0);
    snprintf(b->holder, sizeof b->holder, "%s", db_text(row, 4));
    return 0;
}

static int on_fleet(void *context, const struct db_row *row)
{
    struct look *look = context;
    look->processes = (unsigned)db_number(row, 0, 1);
    return 0;
}

static const struct catalog_table breaker_table = {
    "local_integrationhub_cb",
    "SELECT serviceid, state, trips, COALESCE(retryat, 0) - UNIX_TIMESTAMP(),"
    " holder FROM {local_integrationhub_cb}",
    on_breaker,
};

static const struct catalog_table worker_table = {
    "local_integrationhub_worker",
    "SELECT GREATEST(1, COUNT(*)) FROM {local_integrationhub_worker}"
    " WHERE timeseen >= UNIX_TIMESTAMP() - 10",
    on_fleet,
};

static int read_tables(struct look *look, struct db *db)
{
    char *reason = look->job.reason;
    const size_t size = sizeof look->job.reason;
    int r = catalog_rows_read(db, look->builder, reason, size);
    if (r == 0)
        r = catalog_table_read(db, &breaker_table, look, reason, size);
    return r < 0 ? r : catalog_table_read(db, &worker_table, look, reason, size);
}

static int read_snapshot(struct look *look, struct db *db)
{
    int r = db_snapshot_begin(db);
    if (r < 0)
        return r;
    r = read_tables(look, db);
    /* Its failure is a lost connection, which the store notices; what was read is good. */
    int ended = db_snapshot_end(db);
    return r < 0 ? r : ended;
}

static int run_look(struct store_job *job, struct db *db)
{
    struct look *look = (struct look *)job;
    look->began_ms = timing_mono_ms();
    look->builder = catalog_builder_new();
    if (!look->builder) {
        snprintf(job->reason, sizeof job->reason, "out of memory");
        return -ENOMEM;
    }
    catalog_builder_set_keys(look->builder, look->keys);
    int r = read_snapshot(look, db);
    bool changed = !look->has_digest || catalog_builder_digest(look->builder) != look->digest;
    if (r == 0 && changed) {
        r = catalog_builder_seal(look->builder, &look->catalog);
        look->builder = NULL;
        if (r < 0)
            snprintf(job->reason, sizeof job->reason, "cannot build the catalog: %s", strerror(-r));
    }
    catalog_builder_free(look->builder);
    look->builder = NULL;
    return r;
}

static void schedule(struct loader *l, int64_t after_ms)
{
    const struct timeval after = {.tv_sec = after_ms / 1000,
                                  .tv_usec = (suseconds_t)(after_ms % 1000 * 1000)};
    evtimer_add(l->timer, &after);
}

static void tell_failure(struct loader *l, const char *reason)
{
    if (strcmp(l->reason, reason) == 0)
        return;
    snprintf(l->reason, sizeof l->reason, "%s", reason);
    l->hooks.on_failure(l->hooks.context, l->reason);
}

static void look_free(struct look *look)
{
    free(look->breakers);
    free(look);
}

static void look_done(struct store_job *job, int result, const char *reason)
{
    struct look *look = (struct look *)job;
    struct loader *l = look->loader;
    struct catalog *catalog = look->catalog;
    if (!l) {
        catalog_unref(catalog);
        look_free(look);
        return;
    }
    l->look = NULL;
    schedule(l, l->poked ? 0 : l->interval_ms);
    l->poked = false;
    if (result < 0) {
        tell_failure(l, reason);
    } else {
        l->looked_ms = timing_mono_ms();
        l->has_looked = true;
        l->reason[0] = '\0';
    }
    if (catalog) {
        l->has_digest = true;
        l->digest = catalog_digest(catalog);
        l->hooks.on_catalog(l->hooks.context, catalog);
    }
    if (result >= 0 && l->hooks.on_fleet)
        l->hooks.on_fleet(l->hooks.context, look->processes);
    if (result >= 0 && l->hooks.on_breakers)
        l->hooks.on_breakers(l->hooks.context, look->breakers, look->n_breakers, look->began_ms);
    if (result >= 0 && l->hooks.on_checked)
        l->hooks.on_checked(l->hooks.context, look->began_ms);
    look_free(look);
}

static void begin_look(evutil_socket_t fd, short what, void *argument)
{
    (void)fd, (void)what;
    struct loader *l = argument;
    if (l->look)
        return;
    struct look *look = calloc(1, sizeof *look);
    if (look) {
        look->job = (struct store_job){.run = run_look, .done = look_done, .waits = true};
        look->loader = l;
        look->keys = l->hooks.keys;
        look->has_digest = l->has_digest;
        look->digest = l->digest;
    }
    int r = look ? store_submit(l->store, &look->job) : -ENOMEM;
    if (r == 0) {
        l->look = look;
        return;
    }
    free(look);
    tell_failure(l, strerror(-r));
    schedule(l, l->interval_ms);
}

int loader_new(struct event_base *base, struct store *store, int64_t interval_ms,
               const struct loader_hooks *hooks, struct loader **ret_loader)
{
    struct loader *l = calloc(1, sizeof *l);
    if (!l)
        return -ENOMEM;
    l->store = store;
    l->hooks = *hooks;
    l->interval_ms = interval_ms;
    l->timer = evtimer_new(base, begin_look, l);
    if (!l->timer) {
        free(l);
        return -ENOMEM;
    }
    schedule(l, 0);
    *ret_loader = l;
    return 0;
}

void loader_poke(struct loader *l)
{
    if (l->look)
        l->poked = true;
    else
        schedule(l, 0);
}

void loader_set_interval(struct loader *l, int64_t interval_ms)
{
    l->interval_ms = interval_ms;
}

int64_t loader_age_ms(const struct loader *l)
{
    return l->has_looked ? timing_mono_ms() - l->looked_ms : -1;
}

void loader_free(struct loader *l)
{
    if (!l)
        return;
    if (l->look)
        l->look->loader = NULL;
    event_free(l->timer);
    free(l);
}
