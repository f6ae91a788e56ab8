#include "worker/supervisor.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/timing.h"
#include "worker/children.h"
#include "worker/monitor.h"
#include "worker/seenmap.h"
#include "worker/stalls.h"

enum { N_SIGNALS = 5, END_GRACE_MS = 10000 };

struct supervisor {
    const struct supervisor_options *options;
    struct settings *settings;
    struct event_base *base;
    struct children *children;
    struct seenmap seen;
    struct seenmap former; /* the one before, as long as children use it */
    struct suspects suspects;
    int suspects_fd;
    struct monitor *monitor;
    struct monitor_state state;
    struct stalls *stalls;
    int64_t stalls_ms; /* when they were looked for last */
    struct child_look *looks;
    struct event signals[N_SIGNALS];
    char status[160]; /* as last told */
    bool said_ready;
    int exit_code;
};

static unsigned core_count(void)
{
    cpu_set_t cores;
    if (sched_getaffinity(0, sizeof cores, &cores) != 0)
        return 1;
    return (unsigned)CPU_COUNT(&cores);
}

static unsigned wanted_children(const struct settings *settings)
{
    unsigned n =
        settings->worker_processes > 0 ? (unsigned)settings->worker_processes : core_count();
    return n < CHILDREN_MAX ? n : CHILDREN_MAX;
}

static void finish(struct supervisor *s, int exit_code)
{
    s->exit_code = exit_code;
    event_base_loopbreak(s->base);
}

static void tell_status(struct supervisor *s, const struct children_summary *sum)
{
    char status[sizeof s->status];
    snprintf(status, sizeof status,
             "STATUS=%s%u of %u processes ready, %u connected, %" PRIu64 " requests under way",
             s->state.stopping ? "stopping: " : "", sum->ready, sum->wanted, sum->connected,
             sum->in_flight);
    if (strcmp(status, s->status) == 0)
        return;
    memcpy(s->status, status, sizeof status);
    sd_notify(0, status);
}

static void release_former(struct supervisor *s)
{
    if (!s->former.memory || children_use_former(s->children))
        return;
    children_forget_former(s->children);
    seenmap_release(&s->former);
}

static void look_for_stall(struct supervisor *s, const struct child_look *child,
                           const struct figures *figures)
{
    int64_t service = stalls_look(&s->stalls->children[child->number], child, figures,
                                  timing_mono_ms(), timing_unix_s());
    if (service == 0)
        return;
    log_error("a child takes nothing though its queue has work", "child", log_number(child->number),
              "child_pid", log_number(child->pid), "service_id", log_number(service), "does",
              "replaces it", NULL);
    children_replace_stalled(s->children, child->number);
}

static void look_for_stalls(struct supervisor *s)
{
    int64_t now_ms = timing_mono_ms();
    struct figures figures;
    if (s->state.stopping || now_ms - s->stalls_ms < STALLS_LOOK_MS)
        return;
    s->stalls_ms = now_ms;
    size_t n = children_look(s->children, s->looks, CHILDREN_MAX);
    if (figures_make(s->looks, n, &figures) < 0)
        return; /* the next time */
    for (size_t i = 0; i < n; i++)
        look_for_stall(s, &s->looks[i], &figures);
    figures_release(&figures);
}

/* Once a second, and when a child got ready or ended. */
static void on_children(void *context)
{
    struct supervisor *s = context;
    struct children_summary sum;
    children_summarize(s->children, &sum);
    release_former(s);
    look_for_stalls(s);
    tell_status(s, &sum);
    if (children_all_moved(s->children)) {
        s->state.moved_ms = timing_mono_ms();
        sd_notify(0, "WATCHDOG=1");
    }
    if (s->state.stopping && sum.running == 0) {
        finish(s, EX_OK);
    } else if (!s->state.stopping && sum.wanted > 0 && sum.refused == sum.wanted) {
        log_error("every child refused the configuration", "does", "ends", NULL);
        finish(s, EX_CONFIG);
    } else if (!s->said_ready && sum.ready == sum.wanted) {
        s->said_ready = true;
        log_info("ready", "processes", log_number(sum.ready), NULL);
        sd_notify(0, "READY=1");
    }
}

/* A drain_timeout above the unit's TimeoutStopSec would otherwise be cut short. systemd never
 * shortens its own limit for this. */
static void tell_stopping(const struct supervisor *s)
{
    sd_notifyf(0, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRId64,
               (s->settings->worker_drain_timeout_ms + END_GRACE_MS) * 1000);
}

static void stop(struct supervisor *s, int number)
{
    if (s->state.stopping && number == SIGINT) {
        log_warning("told to stop again", "does", "kills the children", NULL);
        children_kill(s->children);
    }
    if (s->state.stopping)
        return;
    s->state.stopping = true;
    log_info("stopping", "signal", sigabbrev_np(number), "drain_ms",
             log_number(s->settings->worker_drain_timeout_ms), NULL);
    tell_stopping(s);
    children_stop(s->children);
    on_children(s);
}

static void use_settings(struct supervisor *s)
{
    log_set_level((enum log_level)s->settings->log_level);
    children_set_limits(s->children, s->settings->worker_watchdog_ms,
                        s->settings->worker_drain_timeout_ms);
    s->state.wanted = wanted_children(s->settings);
    s->state.watchdog_ms = s->settings->worker_watchdog_ms;
    children_resize(s->children, s->state.wanted);
    monitor_set_address(s->monitor, s->settings->metrics_listen);
}

static void tell_reloading(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); /* what sd_notify(3) asks for, to the microsecond */
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
               (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

/* The children that run go on with the old store until they are replaced, and until then that is
 * told of those that ended: what they had begun in it must not wait for them. */
static void use_seen(struct supervisor *s, const struct settings *old)
{
    const struct settings *now = s->settings;
    if (strcmp(old->worker_seen_file, now->worker_seen_file) == 0 &&
        seen_entries(old->worker_seen_entries) == seen_entries(now->worker_seen_entries))
        return;
    struct seenmap before = s->former;
    s->former = s->seen;
    seenmap_make(now->worker_seen_file, now->worker_seen_entries, &s->seen);
    children_set_seen(s->children, s->seen.fd, &s->seen.seen);
    seenmap_release(&before);
}

static void reload(struct supervisor *s)
{
    struct settings fresh = {0};
    struct conf_error error;
    tell_reloading();
    if (conf_load(&settings_table, &fresh, s->options->config_path, &error) != 0) {
        log_error("configuration not taken", "error", error.text, "does", "keeps the old one",
                  NULL);
    } else {
        bool renew = !conf_same_fixed(&settings_table, s->settings, &fresh);
        struct settings old = *s->settings;
        *s->settings = fresh;
        use_seen(s, &old);
        conf_release(&settings_table, &old);
        log_info("configuration read again", "processes", log_number(wanted_children(s->settings)),
                 "does", renew ? "replaces the children one after the other" : "tells the children",
                 NULL);
        if (renew)
            children_renew(s->children);
        else
            children_signal(s->children, SIGHUP);
        use_settings(s);
    }
    sd_notify(0, "READY=1");
}

static void set_quiet(struct supervisor *s, bool quiet)
{
    s->state.quiet = quiet;
    children_set_quiet(s->children, quiet);
}

static void on_signal(evutil_socket_t number, short what, void *argument)
{
    struct supervisor *s = argument;
    (void)what;
    if (number == SIGTERM || number == SIGINT)
        stop(s, number);
    else if (s->state.stopping)
        return; /* systemd sends SIGCONT after SIGTERM */
    else if (number == SIGHUP)
        reload(s);
    else
        set_quiet(s, number == SIGTSTP);
}

static int watch_signals(struct supervisor *s)
{
    static const int numbers[N_SIGNALS] = {SIGTERM, SIGINT, SIGHUP, SIGTSTP, SIGCONT};
    for (size_t i = 0; i < N_SIGNALS; i++) {
        if (event_assign(&s->signals[i], s->base, numbers[i], EV_SIGNAL | EV_PERSIST, on_signal,
                         s) != 0 ||
            event_add(&s->signals[i], NULL) != 0)
            return -1;
    }
    return 0;
}

static int open_all(struct supervisor *s)
{
    seenmap_make(s->settings->worker_seen_file, s->settings->worker_seen_entries, &s->seen);
    suspects_make(&s->suspects, &s->suspects_fd);
    struct children_options options = {
        .spawn = {.program = s->options->program,
                  .config_path = s->options->config_path,
                  .seen_fd = s->seen.fd,
                  .suspects_fd = s->suspects_fd},
        .suspects = &s->suspects,
        .seen = s->seen.seen,
        .silence_ms = s->settings->worker_watchdog_ms,
        .drain_ms = s->settings->worker_drain_timeout_ms,
    };
    s->base = event_base_new();
    if (s->base == NULL || watch_signals(s) != 0)
        return -1;
    s->state.moved_ms = timing_mono_ms();
    s->stalls = calloc(1, sizeof *s->stalls);
    s->looks = calloc(CHILDREN_MAX, sizeof *s->looks);
    if (s->stalls == NULL || s->looks == NULL)
        return -1;
    if (children_new(s->base, &options, on_children, s, &s->children) != 0)
        return -1;
    return monitor_new(s->base, s->children, &s->state, &s->monitor);
}

static void close_all(struct supervisor *s)
{
    monitor_free(s->monitor);
    children_free(s->children);
    free(s->stalls);
    free(s->looks);
    for (size_t i = 0; i < N_SIGNALS && s->base != NULL; i++)
        if (event_initialized(&s->signals[i]))
            event_del(&s->signals[i]);
    if (s->base != NULL)
        event_base_free(s->base);
    seenmap_release(&s->seen);
    seenmap_release(&s->former);
    suspects_release(&s->suspects);
    if (s->suspects_fd >= 0)
        close(s->suspects_fd);
}

int supervisor_run(const struct supervisor_options *options, struct settings *settings)
{
    struct supervisor s = {
        .options = options, .settings = settings, .former = {.fd = -1}, .exit_code = EX_OSERR};
    if (open_all(&s) == 0) {
        use_settings(&s);
        event_base_dispatch(s.base);
    } else {
        log_error("cannot start", "error", "out of memory or descriptors", NULL);
    }
    close_all(&s);
    return s.exit_code;
}
