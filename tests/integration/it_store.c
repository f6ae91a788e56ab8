/*
 * A worker process without deliveries: event loop, store, loader, election and heartbeat. Prints
 * what happens, a line each, and the longest pause of its loop; test_database.py does things to the
 * server meanwhile. Commands on standard input: `poke`, `job` (one that waits for a connection),
 * `now` (one that does not), `age`, `pause`, `end GRACE_MS`, `die` (SIGKILL).
 */
#include <event2/event.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/log.h"
#include "common/timing.h"
#include "dispatcher/catalog.h"
#include "tests/integration/dbenv.h"
#include "worker/catalog_loader.h"
#include "worker/election.h"
#include "worker/heartbeat.h"
#include "worker/store.h"

enum { TICK_MS = 2 };

struct program {
    struct event_base *base;
    struct event *tick, *input;
    struct store *store;
    struct loader *loader;
    struct election *election;
    struct heartbeat *heartbeat;
    struct counters counters;
    int64_t ticked_ms;
    int64_t pause_ms;
    unsigned jobs;
};

struct probe {
    struct store_job job;
    unsigned number;
    int64_t started_ms;
};

static void say(const char *what, const char *text)
{
    printf("%s %s\n", what, text);
    fflush(stdout);
}

static void on_state(void *context, bool connected, const char *text)
{
    (void)context;
    say(connected ? "connected" : "lost", text);
}

static void on_catalog(void *context, struct catalog *take)
{
    (void)context;
    size_t rules = 0, faults = 0;
    for (size_t i = 0; i < catalog_service_count(take); i++) {
        const struct service *s = catalog_service_at(take, i);
        rules += s->n_rules;
        for (size_t k = 0; k < s->n_rules; k++)
            faults += s->rules[k].fault != NULL;
    }
    printf("catalog services=%zu rules=%zu faults=%zu\n", catalog_service_count(take), rules,
           faults);
    fflush(stdout);
    catalog_unref(take);
}

static void on_loader_failure(void *context, const char *reason)
{
    (void)context;
    say("loader-failure", reason);
}

static void on_election_failure(void *context, const char *reason)
{
    (void)context;
    say("election-failure", reason);
}

static void on_elected(void *context)
{
    struct program *p = context;
    heartbeat_set_elected(p->heartbeat, true);
    say("elected", "");
}

static void on_dismissed(void *context, const char *reason)
{
    struct program *p = context;
    heartbeat_set_elected(p->heartbeat, false);
    say("dismissed", reason);
}

static int run_probe(struct store_job *job, struct db *db)
{
    (void)job;
    return db_query(db, "SELECT 1", NULL, 0, NULL, NULL, NULL);
}

static void probe_done(struct store_job *job, int result, const char *reason)
{
    struct probe *probe = (struct probe *)job;
    printf("job %u result=%d ms=%" PRId64 " %s\n", probe->number, result,
           timing_mono_ms() - probe->started_ms, reason);
    fflush(stdout);
    free(probe);
}

static void submit(struct program *p, bool waits)
{
    struct probe *probe = calloc(1, sizeof *probe);
    if (!probe)
        abort();
    probe->job = (struct store_job){.run = run_probe, .done = probe_done, .waits = waits};
    probe->number = ++p->jobs;
    probe->started_ms = timing_mono_ms();
    int r = store_submit(p->store, &probe->job);
    if (r == 0)
        return;
    printf("job %u refused=%d\n", probe->number, r);
    free(probe);
}

static void on_tick(evutil_socket_t fd, short what, void *argument)
{
    (void)fd, (void)what;
    struct program *p = argument;
    const int64_t now_ms = timing_mono_ms(), pause_ms = now_ms - p->ticked_ms;
    if (p->ticked_ms && pause_ms > p->pause_ms)
        p->pause_ms = pause_ms;
    p->ticked_ms = now_ms;
}

static void end(struct program *p, int grace_ms)
{
    const int64_t start_ms = timing_mono_ms();
    loader_free(p->loader);
    election_free(p->election);
    heartbeat_free(p->heartbeat);
    store_free(p->store, grace_ms);
    printf("ended ms=%" PRId64 "\n", timing_mono_ms() - start_ms);
    fflush(stdout);
    event_base_loopbreak(p->base);
}

static void obey(struct program *p, const char *line)
{
    if (strcmp(line, "poke") == 0)
        loader_poke(p->loader);
    else if (strcmp(line, "job") == 0)
        submit(p, true);
    else if (strcmp(line, "now") == 0)
        submit(p, false);
    else if (strcmp(line, "age") == 0)
        say("age", log_number(loader_age_ms(p->loader)));
    else if (strcmp(line, "pause") == 0)
        say("pause", log_number(p->pause_ms));
    else if (strcmp(line, "die") == 0)
        raise(SIGKILL);
    else if (strncmp(line, "end ", 4) == 0)
        end(p, (int)strtol(line + 4, NULL, 10));
}

static void on_input(evutil_socket_t fd, short what, void *argument)
{
    (void)what;
    char text[4096], *rest = text;
    ssize_t got = read(fd, text, sizeof text - 1);
    if (got <= 0) {
        end(argument, 0);
        return;
    }
    text[got] = '\0';
    for (char *line; (line = strsep(&rest, "\n"));)
        obey(argument, line);
}

static int start(struct program *p, const char *namespace, int64_t interval_ms)
{
    const struct db_options options = dbenv_options();
    const struct store_hooks store_hooks = {.on_state = on_state};
    const struct loader_hooks loader_hooks = {
        .context = p, .on_catalog = on_catalog, .on_failure = on_loader_failure};
    const struct election_hooks election_hooks = {p, on_elected, on_dismissed, on_election_failure};
    int r = store_new(p->base, &options, &store_hooks, &p->store);
    if (r == 0)
        r = loader_new(p->base, p->store, interval_ms, &loader_hooks, &p->loader);
    if (r == 0)
        r = election_new(p->base, p->store, namespace, &election_hooks, &p->election);
    if (r == 0)
        r = heartbeat_new(p->base, p->store, &p->counters, &p->heartbeat);
    return r;
}

int main(int argc, char **argv)
{
    struct program p = {.counters = {.received = 11, .delivered = 7, .skipped = 3, .dead = 1}};
    const struct timeval tick = {.tv_usec = TICK_MS * 1000L};
    log_init("it_store", LOG_LEVEL_INFO);
    p.base = event_base_new();
    if (start(&p, argc > 1 ? argv[1] : "mih", 500) != 0)
        return 1;
    p.tick = event_new(p.base, -1, EV_PERSIST, on_tick, &p);
    p.input = event_new(p.base, 0, EV_READ | EV_PERSIST, on_input, &p);
    evtimer_add(p.tick, &tick);
    event_add(p.input, NULL);
    say("instance", heartbeat_instance(p.heartbeat));
    event_base_dispatch(p.base);
    event_free(p.tick);
    event_free(p.input);
    event_base_free(p.base);
    return 0;
}
