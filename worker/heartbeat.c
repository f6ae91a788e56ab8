#include "worker/heartbeat.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/timing.h"
#include "worker/ownprocess.h"
#include "worker/store.h"

enum {
    INTERVAL_S = 2,
    PURGE_EVERY_MS = 3600 * 1000,
    HOST_MAX = 64, /* HOST_NAME_MAX; instance has room for 100 */
};

struct identity {
    char host[HOST_MAX + 1];
    char instance[101];
    int64_t pid;
};

/* What one beat writes. Outlives the heartbeat when that is freed meanwhile. */
struct beat {
    struct store_job job; /* first: the store hands it back */
    struct heartbeat *heartbeat;
    struct identity identity;
    struct counters counters;
    int64_t up_s;       /* since the start */
    int64_t progress_s; /* since the last progress, or since the start */
    int64_t memory;
    bool elected;
    bool purge; /* delete the rows of long dead processes */
};

struct heartbeat {
    struct event *timer;
    struct store *store;
    const struct counters *counters;
    struct identity identity;
    int64_t started_ms;
    int64_t purged_ms; /* 0: not yet in this election */
    bool elected;
    struct beat *beat; /* NULL while none is under way */
    char reason[256];  /* last failure logged */
};

static struct db_value number(uint64_t value)
{
    return (struct db_value){.number = value > INT64_MAX ? INT64_MAX : (int64_t)value};
}

/* INSERT ... ON DUPLICATE KEY UPDATE would use up an id every time. */
static int update_row(const struct beat *b, struct db *db, uint64_t *ret_rows)
{
    const struct db_value values[] = {
        number((uint64_t)b->progress_s), number(b->counters.inflight),
        number(b->counters.received),    number(b->counters.delivered),
        number(b->counters.skipped),     number(b->counters.dead),
        number((uint64_t)b->memory),     db_of_text(b->identity.instance),
    };
    return db_query(db,
                    "UPDATE {local_integrationhub_worker} SET timeseen = UNIX_TIMESTAMP(),"
                    " timeprogress = UNIX_TIMESTAMP() - ?, inflight = ?, received = ?,"
                    " delivered = ?, skipped = ?, dead = ?, memory = ? WHERE instance = ?",
                    values, sizeof values / sizeof values[0], NULL, NULL, ret_rows);
}

static int insert_row(const struct beat *b, struct db *db)
{
    const struct db_value values[] = {
        db_of_text(b->identity.instance),  db_of_text(b->identity.host),
        number((uint64_t)b->identity.pid), db_of_text(MIH_VERSION),
        number((uint64_t)b->up_s),         number((uint64_t)b->progress_s),
        number(b->counters.inflight),      number(b->counters.received),
        number(b->counters.delivered),     number(b->counters.skipped),
        number(b->counters.dead),          number((uint64_t)b->memory),
    };
    int r = db_query(db,
                     "INSERT INTO {local_integrationhub_worker} (instance, host, pid, version,"
                     " timestarted, timeseen, timeprogress, inflight, received, delivered,"
                     " skipped, dead, memory) VALUES (?, ?, ?, ?, UNIX_TIMESTAMP() - ?,"
                     " UNIX_TIMESTAMP(), UNIX_TIMESTAMP() - ?, ?, ?, ?, ?, ?, ?)",
                     values, sizeof values / sizeof values[0], NULL, NULL, NULL);
    return r == -EEXIST ? 0 : r; /* the UPDATE of the same second changed nothing */
}

/* Columns that a plugin older than this worker does not have: it shows the process without them. */
static int add_new_columns(const struct beat *b, struct db *db)
{
    const struct db_value values[] = {
        number(b->counters.retried),
        number(b->elected),
        db_of_text(b->identity.instance),
    };
    int r = db_query(db,
                     "UPDATE {local_integrationhub_worker} SET retried = ?, elected = ?"
                     " WHERE instance = ?",
                     values, sizeof values / sizeof values[0], NULL, NULL, NULL);
    return r == -ENOENT ? 0 : r;
}

static int run_beat(struct store_job *job, struct db *db)
{
    const struct beat *b = (const struct beat *)job;
    uint64_t rows = 0;
    int r = update_row(b, db, &rows);
    if (r == 0 && rows == 0)
        r = insert_row(b, db);
    if (r == 0)
        r = add_new_columns(b, db);
    if (r == 0 && b->purge)
        r = db_query(db,
                     "DELETE FROM {local_integrationhub_worker}"
                     " WHERE timeseen < UNIX_TIMESTAMP() - 86400",
                     NULL, 0, NULL, NULL, NULL);
    return r;
}

static int run_farewell(struct store_job *job, struct db *db)
{
    const struct db_value instance = db_of_text(((struct beat *)job)->identity.instance);
    return db_query(db, "DELETE FROM {local_integrationhub_worker} WHERE instance = ?", &instance,
                    1, NULL, NULL, NULL);
}

static void log_failure(struct heartbeat *h, const char *reason)
{
    if (strcmp(h->reason, reason) == 0)
        return;
    snprintf(h->reason, sizeof h->reason, "%s", reason);
    log_warning("the dashboard does not see this process", "reason", reason, NULL);
}

static void beat_done(struct store_job *job, int result, const char *reason)
{
    struct beat *b = (struct beat *)job;
    struct heartbeat *h = b->heartbeat;
    if (h) {
        h->beat = NULL;
        if (result == 0) {
            h->reason[0] = '\0';
            if (b->purge)
                h->purged_ms = timing_mono_ms();
        } else if (result != -ENOTCONN && result != -ETIMEDOUT && result != -ECANCELED) {
            log_failure(h, reason);
        }
    }
    free(b);
}

static struct beat *beat_new(struct heartbeat *h)
{
    struct beat *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    const int64_t now_ms = timing_mono_ms();
    const int64_t progress_ms = h->counters->progress_ms;
    b->job.run = run_beat;
    b->job.done = beat_done;
    b->job.waits = true;
    b->identity = h->identity;
    b->counters = *h->counters;
    b->up_s = (now_ms - h->started_ms) / 1000;
    b->progress_s = progress_ms ? (now_ms - progress_ms) / 1000 : b->up_s;
    b->memory = ownprocess_resident_bytes();
    b->elected = h->elected;
    b->purge = h->elected && (!h->purged_ms || now_ms - h->purged_ms > PURGE_EVERY_MS);
    return b;
}

static void on_time(evutil_socket_t fd, short what, void *argument)
{
    (void)fd, (void)what;
    struct heartbeat *h = argument;
    if (h->beat)
        return;
    struct beat *b = beat_new(h);
    int r = b ? store_submit(h->store, &b->job) : -ENOMEM;
    if (r < 0) {
        log_failure(h, strerror(-r));
        free(b);
        return;
    }
    b->heartbeat = h;
    h->beat = b;
}

static void identify(struct identity *id)
{
    id->pid = getpid();
    if (gethostname(id->host, sizeof id->host) < 0)
        snprintf(id->host, sizeof id->host, "unknown");
    id->host[HOST_MAX] = '\0';
    snprintf(id->instance, sizeof id->instance, "%s:%lld:%lld", id->host, (long long)id->pid,
             (long long)timing_unix_s());
}

int heartbeat_new(struct event_base *base, struct store *store, const struct counters *counters,
                  struct heartbeat **ret_heartbeat)
{
    struct heartbeat *h = calloc(1, sizeof *h);
    if (!h)
        return -ENOMEM;
    h->store = store;
    h->counters = counters;
    h->started_ms = timing_mono_ms();
    identify(&h->identity);
    h->timer = event_new(base, -1, EV_PERSIST, on_time, h);
    const struct timeval every = {.tv_sec = INTERVAL_S};
    if (!h->timer || evtimer_add(h->timer, &every) < 0) {
        if (h->timer)
            event_free(h->timer);
        free(h);
        return -ENOMEM;
    }
    event_active(h->timer, EV_TIMEOUT, 0);
    *ret_heartbeat = h;
    return 0;
}

void heartbeat_set_elected(struct heartbeat *h, bool elected)
{
    h->elected = elected;
    h->purged_ms = 0;
}

const char *heartbeat_instance(const struct heartbeat *h)
{
    return h->identity.instance;
}

void heartbeat_free(struct heartbeat *h)
{
    if (!h)
        return;
    if (h->beat)
        h->beat->heartbeat = NULL;
    struct beat *farewell = beat_new(h);
    if (farewell)
        farewell->job.run = run_farewell;
    /* Without it the row is purged after a day. */
    if (farewell && store_submit(h->store, &farewell->job) < 0)
        free(farewell);
    event_free(h->timer);
    free(h);
}
