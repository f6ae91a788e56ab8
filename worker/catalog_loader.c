#include "worker/catalog_loader.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/timing.h"
#include "dispatcher/catalog.h"
#include "worker/store.h"

/* A look at the tables. It outlives the loader when that is freed while the look is under way. */
struct look {
    struct store_job job; /* first: the store hands it back */
    struct loader *loader;
    bool has_digest; /* whether there is a catalog to compare with */
    uint64_t digest; /* its digest */
    struct catalog_builder *builder;
    struct catalog *catalog; /* NULL: nothing changed */
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

static int on_service(void *context, const struct db_row *row)
{
    struct look *look = context;
    const struct service_row service = {
        .id = db_number(row, 0, 0),
        .name = row->text[1],
        .type = row->text[2],
        .base_url = row->text[3],
        .auth_type = row->text[4],
        .auth_token = row->text[5],
        .timeout_s = db_number(row, 6, 5),
        .max_concurrency = db_number(row, 7, 16),
        .enabled = db_number(row, 8, 0) != 0,
    };
    return catalog_builder_service(look->builder, &service);
}

static int on_rule(void *context, const struct db_row *row)
{
    struct look *look = context;
    const struct rule_row rule = {
        .id = db_number(row, 0, 0),
        .service_id = db_number(row, 1, 0),
        .eventname = row->text[2],
        .endpoint = row->text[3],
        .http_method = row->text[4],
        .payload_template = row->text[5],
        .enabled = db_number(row, 6, 0) != 0,
    };
    return catalog_builder_rule(look->builder, &rule);
}

/* Puts the table's name in front of the server's words, and what helps after them. */
static int read_table(struct look *look, struct db *db, const char *table, const char *sql,
                      db_on_row *on_row)
{
    int r = db_query(db, sql, NULL, 0, on_row, look, NULL);
    if (r < 0 && !db_lost(db))
        snprintf(look->job.reason, sizeof look->job.reason, "%s: %.180s%s", table,
                 r == -ENOMEM ? "out of memory" : db_reason(db),
                 r == -ENOENT ? "; has Moodle's upgrade of the plugin run?" : "");
    return r;
}

static int read_tables(struct look *look, struct db *db)
{
    int r = read_table(look, db, "local_integrationhub_svc",
                       "SELECT id, name, type, base_url, auth_type, auth_token, timeout,"
                       " max_concurrency, enabled FROM {local_integrationhub_svc} ORDER BY id",
                       on_service);
    if (r < 0)
        return r;
    return read_table(look, db, "local_integrationhub_rules",
                      "SELECT id, serviceid, eventname, endpoint, http_method, payload_template,"
                      " enabled FROM {local_integrationhub_rules} ORDER BY id",
                      on_rule);
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

static void look_done(struct store_job *job, int result, const char *reason)
{
    struct look *look = (struct look *)job;
    struct loader *l = look->loader;
    struct catalog *catalog = look->catalog;
    if (!l) {
        catalog_unref(catalog);
        free(look);
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
    int64_t began_ms = look->began_ms;
    free(look);
    if (catalog) {
        l->has_digest = true;
        l->digest = catalog_digest(catalog);
        l->hooks.on_catalog(l->hooks.context, catalog);
    }
    if (result >= 0 && l->hooks.on_checked)
        l->hooks.on_checked(l->hooks.context, began_ms);
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
