#include "worker/ctl_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dispatcher/retry.h"
#include "worker/ctl_base.h"
#include "worker/replay_store.h"
#include "worker/settings.h"

enum { MAX_ROWS = 100000 };

/* Of each service; the histogram has every request. */
#define LAST_MINUTE                                                                                \
    "SELECT serviceid, SUM(delivered) AS delivered, SUM(latencysum) DIV NULLIF(SUM(h0 + h1 + h2"   \
    " + h3 + h4 + h5 + h6 + h7 + h8 + h9 + h10 + h11 + h12 + h13 + h14 + h15 + h16 + h17 + h18),"  \
    " 0) AS latency FROM {local_integrationhub_stat} WHERE width = 60"                             \
    " AND timestart = (UNIX_TIMESTAMP() DIV 60 - 1) * 60 GROUP BY serviceid"

/* Room for one more at the end of an array, whose members are zero; NULL: no memory. */
static void *grow(void *array, size_t *n, size_t *cap, size_t size)
{
    if (*n == MAX_ROWS)
        return NULL;
    if (*n == *cap) {
        size_t more = *cap ? *cap * 2 : 16;
        void *all = reallocarray(array, more, size);

        if (!all)
            return NULL;
        array = all;
        *cap = more;
    }
    memset((char *)array + *n * size, 0, size);
    return array;
}

static int on_worker(void *context, const struct db_row *row)
{
    struct ctl_state *s = context;
    void *all = grow(s->workers, &s->n_workers, &s->cap_workers, sizeof *s->workers);

    if (!all)
        return -ENOMEM;
    s->workers = all;
    struct ctl_worker *w = &s->workers[s->n_workers++];
    snprintf(w->host, sizeof w->host, "%s", db_text(row, 0));
    w->pid = db_number(row, 1, 0);
    snprintf(w->version, sizeof w->version, "%s", db_text(row, 2));
    w->up_s = db_number(row, 3, 0);
    w->seen_s = db_number(row, 4, 0);
    w->progress_s = db_number(row, 5, 0);
    w->in_flight = db_number(row, 6, 0);
    w->received = db_number(row, 7, 0);
    w->delivered = db_number(row, 8, 0);
    w->skipped = db_number(row, 9, 0);
    w->dead = db_number(row, 10, 0);
    w->memory = db_number(row, 11, 0);
    w->retried = db_number(row, 12, 0);
    w->elected = db_number(row, 13, 0) != 0;
    return 0;
}

static int on_service(void *context, const struct db_row *row)
{
    struct ctl_state *s = context;
    void *all = grow(s->services, &s->n_services, &s->cap_services, sizeof *s->services);

    if (!all)
        return -ENOMEM;
    s->services = all;
    struct ctl_service *v = &s->services[s->n_services++];
    v->id = db_number(row, 0, 0);
    snprintf(v->name, sizeof v->name, "%s", db_text(row, 1));
    v->enabled = db_number(row, 2, 0) != 0;
    v->paused = db_number(row, 3, 0) != 0;
    snprintf(v->breaker, sizeof v->breaker, "%s", db_text(row, 4));
    v->trips = db_number(row, 5, 0);
    v->retry_in_s = db_number(row, 6, 0);
    v->rules = db_number(row, 7, 0);
    v->oldest_s = db_number(row, 8, -1);
    v->per_minute = db_number(row, 9, 0);
    v->latency_us = db_number(row, 10, -1);
    return 0;
}

static int on_outbox(void *context, const struct db_row *row)
{
    struct ctl_state *s = context;

    s->outbox_rows = db_number(row, 0, 0);
    s->outbox_oldest_s = db_number(row, 1, -1);
    s->replays = db_number(row, 2, 0);
    s->now_s = db_number(row, 3, 0);
    return 0;
}

static int read_rows(struct ctl *c, struct ctl_state *s)
{
    int r = db_query(c->db,
                     "SELECT host, pid, version, UNIX_TIMESTAMP() - timestarted,"
                     " UNIX_TIMESTAMP() - timeseen, UNIX_TIMESTAMP() - timeprogress, inflight,"
                     " received, delivered, skipped, dead, memory, retried, elected"
                     " FROM {local_integrationhub_worker} ORDER BY host, pid",
                     NULL, 0, on_worker, s, NULL);

    if (r == 0)
        r = db_query(c->db,
                     "SELECT s.id, s.name, s.enabled, s.paused, COALESCE(b.state, 'closed'),"
                     " COALESCE(b.trips, 0), COALESCE(b.retryat, 0) - UNIX_TIMESTAMP(),"
                     " (SELECT COUNT(*) FROM {local_integrationhub_rules} r"
                     " WHERE r.serviceid = s.id AND r.enabled = 1),"
                     " UNIX_TIMESTAMP() - l.timeoldest, t.delivered, t.latency"
                     " FROM {local_integrationhub_svc} s"
                     " LEFT JOIN {local_integrationhub_cb} b ON b.serviceid = s.id"
                     " LEFT JOIN {local_integrationhub_backlog} l ON l.serviceid = s.id"
                     " LEFT JOIN (" LAST_MINUTE ") t ON t.serviceid = s.id ORDER BY s.id",
                     NULL, 0, on_service, s, NULL);
    if (r == 0)
        r = db_query(c->db,
                     "SELECT COUNT(*), UNIX_TIMESTAMP() - MIN(timecreated),"
                     " (SELECT COUNT(*) FROM {local_integrationhub_replay}"
                     " WHERE state IN ('requested', 'running')), UNIX_TIMESTAMP()"
                     " FROM {local_integrationhub_outbox}",
                     NULL, 0, on_outbox, s, NULL);
    if (r == 0)
        r = replay_store_works(c->db, c->settings->broker_namespace, &s->replayer);
    return r;
}

static void read_tables(struct ctl *c, struct ctl_state *s)
{
    int r;

    if (c->db && db_lost(c->db))
        ctl_close_db(c);
    if (ctl_open_db(c) < 0) {
        snprintf(s->db_reason, sizeof s->db_reason, "%s", c->reason);
        return;
    }
    r = read_rows(c, s);
    if (r < 0)
        snprintf(s->db_reason, sizeof s->db_reason, "database: %s%s", db_reason(c->db),
                 r == -ENOENT ? "; has Moodle's upgrade of the plugin run?" : "");
}

/* The broker's side of one queue. 0: it is there or not; or negative. */
static int look_at(struct ctl *c, const char *queue, bool *there, uint32_t *ready,
                   uint32_t *consumers)
{
    int r = bus_queue_depth(c->bus, CTL_CHANNEL, queue, ready, consumers);

    *there = r == 0;
    return r < 0 ? r : 0;
}

static int look_at_service(struct ctl *c, struct ctl_service *v)
{
    char queue[NAME_SIZE];
    uint32_t ignored;
    int r;

    names_service_queue(&c->names, v->id, queue);
    r = look_at(c, queue, &v->has_queue, &v->ready, &v->consumers);
    if (r < 0)
        return r;
    names_dead_queue(&c->names, v->id, queue);
    return look_at(c, queue, &v->has_dead, &v->dead, &ignored);
}

static int look_at_retries(struct ctl *c, struct ctl_state *s)
{
    int r = 0;

    for (unsigned i = 0; r == 0 && i < RETRY_GRID_STEPS; i++) {
        char queue[NAME_SIZE];
        uint32_t ready = 0;
        uint32_t consumers;
        bool there;

        names_delay_queue(&c->names, retry_grid_at(i), queue);
        r = look_at(c, queue, &there, &ready, &consumers);
        s->retries += ready;
    }
    return r;
}

static void look_at_broker(struct ctl *c, struct ctl_state *s)
{
    int r = 0;

    if (ctl_open_bus(c) < 0) {
        snprintf(s->bus_reason, sizeof s->bus_reason, "%s", c->reason);
        return;
    }
    snprintf(s->broker, sizeof s->broker, "%.127s", bus_peer(c->bus));
    for (size_t i = 0; r == 0 && i < s->n_services; i++)
        r = look_at_service(c, &s->services[i]);
    if (r == 0)
        r = look_at_retries(c, s);
    if (r == 0)
        return;
    snprintf(s->bus_reason, sizeof s->bus_reason, "broker: %.500s", bus_reason(c->bus));
    ctl_close_bus(c);
}

void ctl_state_read(struct ctl *c, struct ctl_state *ret_state)
{
    *ret_state = (struct ctl_state){.outbox_oldest_s = -1};
    read_tables(c, ret_state);
    look_at_broker(c, ret_state);
}

void ctl_state_release(struct ctl_state *s)
{
    free(s->workers);
    free(s->services);
    s->workers = NULL;
    s->services = NULL;
}
