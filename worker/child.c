/* A worker process: its signals, its seconds, its end. child_make.c builds its parts. */
#include "worker/child.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <string.h>
#include <sysexits.h>

#include "common/log.h"
#include "common/netguard.h"
#include "common/timing.h"
#include "worker/catalog_loader.h"
#include "worker/child_impl.h"
#include "worker/childlink.h"
#include "worker/election.h"
#include "worker/followup.h"
#include "worker/intake.h"
#include "worker/relay.h"
#include "worker/stats.h"
#include "worker/store.h"
#include "worker/topology.h"

enum { DRAIN_LOOK_MS = 20, GIVE_UP_MS = 2000, DOUBT_EVERY_MS = 2000, COUNT_MS = 1000 };

/* Whether what was counted is written, or the database has had its time. */
static bool has_counted(struct child *c, int64_t now_ms)
{
    if (c->counted_ms == 0)
        c->counted_ms = now_ms;
    return stats_flush(c->ctx.stats) || !store_connected(c->store) ||
           now_ms - c->counted_ms >= COUNT_MS;
}

void child_look_at_drain(evutil_socket_t fd, short what, void *context)
{
    struct child *c = context;
    int64_t now = timing_mono_ms();
    bool idle =
        intake_is_idle(c->intake) && followups_open(c->letters) == 0 && relay_is_idle(c->relay);

    (void)fd;
    (void)what;
    if (idle || (c->phase == PHASE_GIVING_UP && now >= c->deadline_ms)) {
        if (has_counted(c, now))
            event_base_loopbreak(c->ctx.base);
    } else if (c->phase == PHASE_DRAINING && now >= c->deadline_ms) {
        log_warning("drain time-out: what is under way is given up and will be sent again", "held",
                    log_number((int64_t)intake_held(c->intake)), NULL);
        c->phase = PHASE_GIVING_UP;
        c->deadline_ms = now + GIVE_UP_MS;
        transports_cancel_all(&c->ctx.transports);
    }
}

static void drain(struct child *c)
{
    static const struct timeval interval = {.tv_usec = DRAIN_LOOK_MS * 1000L};

    if (c->phase == PHASE_DRAINING || c->phase == PHASE_GIVING_UP)
        return;
    log_info("draining", "held", log_number((int64_t)intake_held(c->intake)), NULL);
    c->phase = PHASE_DRAINING;
    c->deadline_ms = timing_mono_ms() + c->settings->worker_drain_timeout_ms;
    election_free(c->election); /* the lock goes to one that stays */
    c->election = NULL;
    child_set_elected(c, false);
    intake_set_quiet(c->intake, true);
    event_add(c->drain_look, &interval);
}

static void set_quiet(struct child *c, bool quiet)
{
    if (c->phase != (quiet ? PHASE_RUNNING : PHASE_QUIET))
        return;
    c->phase = quiet ? PHASE_QUIET : PHASE_RUNNING;
    log_info(quiet ? "quiet: no new work is taken" : "taking work again", NULL);
    intake_set_quiet(c->intake, quiet);
}

static void change_guard(struct child *c, const struct settings *fresh)
{
    char error[128];

    if (netguard_change(c->guard, fresh->security_allow_networks,
                        fresh->security_proxy_enforces_egress, error, sizeof error) < 0)
        log_error("the network guard stays as it is", "reason", error, NULL);
}

/* The settings that settings.c marks as reloadable. */
static void reload(struct child *c)
{
    struct settings fresh = {0};
    struct conf_error error;

    loader_poke(c->loader);
    if (conf_load(&settings_table, &fresh, c->config_path, &error) < 0) {
        log_error("the settings in force stay", "reason", error.text, NULL);
        return;
    }
    c->settings->worker_drain_timeout_ms = fresh.worker_drain_timeout_ms;
    c->settings->worker_max_event_bytes = fresh.worker_max_event_bytes;
    c->ctx.limits.max_bytes = (size_t)fresh.worker_max_event_bytes;
    intake_limits_changed(c->intake);
    relay_set_options(c->relay, fresh.relay_after_ms, fresh.relay_batch);
    child_set_statistics(c, &fresh);
    loader_set_interval(c->loader, fresh.database_poll_interval_ms);
    log_set_level((enum log_level)fresh.log_level);
    change_guard(c, &fresh);
    conf_release(&settings_table, &fresh);
    log_info("settings read again", NULL);
}

void child_on_signal(evutil_socket_t number, short what, void *context)
{
    struct child *c = context;

    (void)what;
    switch (number) {
    case SIGTERM:
    case SIGINT:
        drain(c);
        break;
    case SIGTSTP:
        set_quiet(c, true);
        break;
    case SIGCONT:
        set_quiet(c, false);
        break;
    case SIGHUP:
        reload(c);
        break;
    default:
        break;
    }
}

/* Whether it is in order that nothing gets done at the moment: there is nothing to do, or it waits
 * for somebody else, and not for longer than that may take. */
static bool has_reason_to_wait(const struct child *c)
{
    if (transports_overdue_count(&c->ctx.transports) > 0)
        return false;
    return intake_held(c->intake) == 0 || c->ctx.counters.inflight > 0 ||
           followups_open(c->letters) > 0 || intake_doubts(c->intake) > 0;
}

/* Once ready it stays so: what happens later is for the log and the metrics to tell. */
static void report(struct child *c)
{
    const struct counters *n = &c->ctx.counters;
    int r;

    if (c->link_fd < 0)
        return;
    c->ready = c->ready || (c->has_rules && intake_connected(c->intake));
    r = childlink_report(
        c->link_fd, &(struct child_report){
                        .ready = c->ready,
                        .connected = intake_connected(c->intake),
                        .idle = has_reason_to_wait(c),
                        .quiet = c->phase == PHASE_QUIET,
                        .in_flight = (uint32_t)n->inflight,
                        .progress = n->delivered + n->skipped + n->repeats + n->retried + n->dead,
                    });
    if (r == -EPIPE)
        drain(c); /* the supervisor is gone, and with it whoever would stop this process */
}

static void tell_repeats(struct child *c)
{
    uint64_t repeats = c->ctx.counters.repeats;

    if (repeats == c->repeats_told)
        return;
    log_info("delivered before: not sent again", "repeats",
             log_number((int64_t)(repeats - c->repeats_told)), "since_start",
             log_number((int64_t)repeats), NULL);
    c->repeats_told = repeats;
}

/* What is missing at the broker is made anew soon, but not again and again: it may be for the
 * broker to heal. */
static void look_after_queues(struct child *c)
{
    int64_t now_ms = timing_mono_ms();

    if (!c->ctx.queues_doubted || now_ms - c->doubted_ms < DOUBT_EVERY_MS) {
        topology_tick(c->topology);
        return;
    }
    c->ctx.queues_doubted = false;
    c->doubted_ms = now_ms;
    topology_changed(c->topology, NULL);
}

void child_on_second(evutil_socket_t fd, short what, void *context)
{
    struct child *c = context;

    (void)fd;
    (void)what;
    followups_tick(c->letters);
    look_after_queues(c);
    tell_repeats(c);
    child_meter(c);
    report(c);
}

int child_run(int number, int link_fd, struct settings *settings, const char *config_path)
{
    static struct child child;
    struct child *c = &child;
    int r;

    c->settings = settings;
    c->config_path = config_path;
    c->number = number;
    c->link_fd = link_fd;
    r = child_make(c);
    if (r == 0) {
        log_info("worker started", "number", log_number(number), "version", MIH_VERSION, NULL);
        event_base_dispatch(c->ctx.base);
        log_info("worker ended", "delivered", log_number((int64_t)c->ctx.counters.delivered),
                 "dead", log_number((int64_t)c->ctx.counters.dead), "skipped",
                 log_number((int64_t)c->ctx.counters.skipped), NULL);
    } else {
        log_error("worker could not start", "reason", strerror(-r), NULL);
    }
    child_unmake(c);
    return r == 0 ? EX_OK : EX_OSERR;
}
