#include "worker/stats.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/timing.h"
#include "worker/complaint.h"
#include "worker/statrows.h"
#include "worker/store.h"

/* On its way into the table. Outlives the stats when those are freed meanwhile. */
struct delivery {
    struct store_job job; /* first: the store hands it back */
    struct stats *owner;
    struct statbatch batch;
};

struct stats {
    struct store *store;
    struct event *timer;
    struct delivery *under_way; /* NULL: none */
    struct statcells cells;
    uint64_t lost_told;
    struct complaint complaint;
};

void stats_count(struct stats *s, int64_t service_id, int64_t rule_id, enum stat_count what)
{
    if (s)
        statcells_count(&s->cells, service_id, rule_id, timing_unix_s(), what);
}

void stats_latency(struct stats *s, int64_t service_id, int64_t rule_id, int64_t us)
{
    if (s)
        statcells_latency(&s->cells, service_id, rule_id, timing_unix_s(), us);
}

static int run(struct store_job *job, struct db *db)
{
    return statrows_write(db, &((struct delivery *)job)->batch);
}

static void submit(struct stats *s);

static void complain(struct stats *s, int result, const char *reason)
{
    if (complaint_due(&s->complaint, result, reason, timing_unix_s()))
        log_warning("the statistics could not be written", "reason", reason, "does",
                    "keeps counting and tries again", NULL);
}

static void done(struct store_job *job, int result, const char *reason)
{
    struct delivery *d = (struct delivery *)job;
    struct stats *s = d->owner;

    free(d);
    if (!s)
        return; /* the memory's next user asks the table what became of it */
    s->under_way = NULL;
    complain(s, result, reason);
    if (result < 0)
        return;
    statcells_written(&s->cells, timing_unix_s());
    submit(s);
}

static void submit(struct stats *s)
{
    struct delivery *d;

    if (s->under_way || statcells_clean(&s->cells))
        return;
    d = malloc(sizeof *d);
    if (!d)
        return; /* the next time */
    d->job = (struct store_job){.run = run, .done = done, .waits = true};
    d->owner = s;
    if (!statcells_batch(&s->cells, &d->batch) || store_submit(s->store, &d->job) < 0)
        free(d);
    else
        s->under_way = d;
}

static void tell_lost(struct stats *s)
{
    uint64_t lost = statcells_lost(&s->cells);

    if (lost == s->lost_told)
        return;
    log_error("more services than the statistics have room for: some deliveries are not counted",
              "not_counted", log_number((int64_t)(lost - s->lost_told)), NULL);
    s->lost_told = lost;
}

static void on_time(evutil_socket_t fd, short what, void *argument)
{
    struct stats *s = argument;

    (void)fd;
    (void)what;
    submit(s);
    tell_lost(s);
}

void stats_set_interval(struct stats *s, int64_t interval_ms)
{
    const struct timeval every = {.tv_sec = interval_ms / 1000,
                                  .tv_usec = interval_ms % 1000 * 1000};

    if (s && event_add(s->timer, &every) < 0)
        log_error("out of memory: statistics are not written", NULL);
}

uint64_t stats_not_counted(const struct stats *s)
{
    return s ? statcells_lost(&s->cells) : 0;
}

bool stats_flush(struct stats *s)
{
    if (!s)
        return true;
    submit(s);
    return !s->under_way && statcells_clean(&s->cells);
}

/* What tells this memory from all others in the table of batches: 32 digits. */
static void name_writer(char ret_name[STAT_WRITER_SIZE])
{
    snprintf(ret_name, STAT_WRITER_SIZE, "%012llx%08x%08x%04x",
             (unsigned long long)timing_unix_ms() & 0xffffffffffffULL, (unsigned)getpid(),
             timing_random(UINT32_MAX), timing_random(UINT16_MAX));
}

static bool open_memory(struct statmemory *memory, const char *writer, struct statcells *ret_cells)
{
    if (statcells_open(memory, writer, ret_cells))
        return true;
    log_error("the memory of this number's statistics is another version's", "does",
              "forgets what is in it", NULL);
    memset(memory, 0, sizeof *memory);
    return statcells_open(memory, writer, ret_cells);
}

int stats_new(struct event_base *base, struct store *store, struct statmemory *memory,
              int64_t interval_ms, struct stats **ret_stats)
{
    char writer[STAT_WRITER_SIZE];
    struct stats *s = calloc(1, sizeof *s);
    int r = s ? 0 : -ENOMEM;

    name_writer(writer);
    if (r == 0 && !open_memory(memory, writer, &s->cells))
        r = -EPROTO;
    if (r == 0) {
        s->store = store;
        s->timer = event_new(base, -1, EV_PERSIST, on_time, s);
        r = s->timer ? 0 : -ENOMEM;
    }
    if (r < 0) {
        free(s);
        return r;
    }
    s->lost_told = statcells_lost(&s->cells);
    stats_set_interval(s, interval_ms);
    *ret_stats = s;
    return 0;
}

void stats_free(struct stats *s)
{
    if (!s)
        return;
    if (!statcells_clean(&s->cells))
        log_warning("some statistics are not written", "does",
                    "leaves them to the next process of this number, if there is one", NULL);
    if (s->under_way)
        s->under_way->owner = NULL;
    event_free(s->timer);
    free(s);
}
