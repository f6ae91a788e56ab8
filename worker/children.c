#include "worker/children.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/log.h"
#include "common/timing.h"
#include "worker/childlink.h"
#include "worker/restart.h"
#include "worker/statmap.h"

enum { TICK_S = 1, ABORT_GRACE_MS = 5000, DRAIN_GRACE_MS = 6000, NEVER = 0 };

static_assert((int)CHILDREN_MAX <= (int)SEEN_OWNERS, "every child can be told apart in the store");
static_assert((int)CHILDREN_MAX <= (int)SUSPECT_SLOTS, "every child can write down what it does");

/* One number of the fleet. It exists as long as children does, whether it runs or not. */
struct child {
    struct children *all;
    unsigned number;
    pid_t pid;           /* 0: does not run */
    int link_fd;         /* -1: none */
    int stat_fd;         /* of map; -1: none */
    struct statmap *map; /* for all processes of the number, in turn; NULL: none */
    uint64_t starts, stalls;
    struct event link;
    struct event start; /* the delay before a restart */
    int64_t started_ms;
    int64_t heard_ms; /* last report, or the start */
    int64_t delay_ms; /* before the run that is going on */
    int64_t kill_ms;  /* SIGKILL at this time */
    bool aborted;     /* it was silent and got SIGABRT */
    bool refused;     /* ended with EX_CONFIG */
    bool draining;    /* was sent SIGTERM by us */
    bool outdated;    /* to be replaced */
    bool renewing;    /* is being replaced, and the new one has not shown yet that it works */
    bool former;      /* uses the store before */
    bool reported;
    bool moved; /* since children_all_moved() was last true */
    struct child_report report;
};

struct children {
    struct event_base *base;
    struct children_options options;
    struct seen former; /* the store before options.seen, as long as a child uses it */
    children_changed *on_change;
    void *context;
    struct event ended; /* SIGCHLD */
    struct event tick;
    struct child *list[CHILDREN_MAX]; /* by number; NULL: never used */
    unsigned wanted;
    bool quiet;
    bool stopping;
};

static void send_signal(const struct child *child, int number)
{
    if (child->pid > 0)
        kill(child->pid, number); /* not reaped yet, so the number is still its own */
}

static void close_link(struct child *child)
{
    if (child->link_fd < 0)
        return;
    event_del(&child->link);
    close(child->link_fd);
    child->link_fd = -1;
}

static void start_after(struct child *child, int64_t delay_ms)
{
    struct timeval delay = {.tv_sec = delay_ms / 1000, .tv_usec = (delay_ms % 1000) * 1000};
    child->delay_ms = delay_ms;
    if (event_add(&child->start, &delay) != 0)
        log_error("child cannot be scheduled", "child", log_number(child->number), "does",
                  "leaves it out until the next reload", NULL);
}

static void drain(struct child *child)
{
    event_del(&child->start);
    child->draining = true;
    child->kill_ms = timing_mono_ms() + child->all->options.drain_ms + DRAIN_GRACE_MS;
    send_signal(child, SIGTERM);
}

static bool still_renewing(struct child *child)
{
    int64_t age_ms = timing_mono_ms() - child->started_ms;
    bool shown =
        child->pid > 0 && !child->draining && (child->report.ready || age_ms > RENEW_PATIENCE_MS);
    if (shown || child->refused || child->number >= child->all->wanted)
        child->renewing = false;
    return child->renewing;
}

static void renew_next(struct children *c)
{
    struct child *next = NULL;
    for (unsigned i = CHILDREN_MAX; i-- > 0;) {
        struct child *child = c->list[i];
        if (child != NULL && child->renewing && still_renewing(child))
            return;
        if (child != NULL && child->outdated && child->pid > 0 && !child->draining)
            next = child;
    }
    if (next == NULL || c->stopping)
        return;
    next->outdated = false;
    next->renewing = true;
    drain(next);
}

static void take_report(struct child *child, const struct child_report *report)
{
    bool first = !child->reported;
    if (first || report->idle || !report->connected || report->progress != child->report.progress)
        child->moved = true;
    bool newly_ready = report->ready && !child->report.ready;
    if (newly_ready)
        log_info("child is ready", "child", log_number(child->number), "child_pid",
                 log_number(child->pid), NULL);
    child->report = *report;
    child->reported = true;
    child->heard_ms = timing_mono_ms();
    /* A signal can come before a new child listens, or two of them be taken in the wrong order. */
    if (report->quiet != child->all->quiet && !child->draining)
        send_signal(child, child->all->quiet ? SIGTSTP : SIGCONT);
    if (newly_ready) {
        renew_next(child->all);
        child->all->on_change(child->all->context);
    }
}

static void on_link(evutil_socket_t fd, short what, void *argument)
{
    struct child *child = argument;
    struct child_report report;
    (void)what;
    int r = childlink_receive(fd, &report);
    if (r == 0)
        take_report(child, &report);
    else if (r != -EAGAIN)
        close_link(child); /* SIGCHLD follows; else silence_ms ends it */
}

static int open_link(struct child *child, int *ret_childs_fd)
{
    int fds[2];
    int r = childlink_open(fds);
    if (r != 0)
        return r;
    if (event_assign(&child->link, child->all->base, fds[0], EV_READ | EV_PERSIST, on_link,
                     child) != 0 ||
        event_add(&child->link, NULL) != 0) {
        close(fds[0]);
        close(fds[1]);
        return -ENOMEM;
    }
    child->link_fd = fds[0];
    *ret_childs_fd = fds[1];
    return 0;
}

static int launch(struct child *child)
{
    int childs_fd;
    int r = open_link(child, &childs_fd);
    if (r != 0)
        return r;
    struct spawn_options options = child->all->options.spawn;
    if (child->stat_fd < 0)
        child->stat_fd = statmap_make(&child->map);
    options.stat_fd = child->stat_fd;
    r = spawn_child(&options, child->number, childs_fd, &child->pid);
    close(childs_fd);
    if (r != 0)
        close_link(child);
    return r;
}

static void start(struct child *child)
{
    int64_t now_ms = timing_mono_ms();
    child->refused = child->draining = child->reported = child->moved = child->outdated = false;
    child->former = false;
    memset(&child->report, 0, sizeof child->report);
    child->kill_ms = NEVER;
    child->aborted = false;
    child->started_ms = child->heard_ms = now_ms;
    int r = launch(child);
    if (r == 0) {
        child->starts++;
        log_info("child started", "child", log_number(child->number), "child_pid",
                 log_number(child->pid), NULL);
        return;
    }
    start_after(child, restart_delay_ms(child->delay_ms, 0));
    log_error("child cannot be started", "child", log_number(child->number), "error", strerror(-r),
              "again_in_ms", log_number(child->delay_ms), NULL);
}

static void on_start(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    start(argument);
}

static void describe_end(int status, char *ret_text, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(ret_text, size, "signal %s", sigabbrev_np(WTERMSIG(status)));
    else
        snprintf(ret_text, size, "exit %d", WEXITSTATUS(status));
}

/* How much the end of a child says against the message that it was working on. */
static enum suspect_end end_of(const struct child *child, int status, bool expected)
{
    bool by_signal = WIFSIGNALED(status);
    bool as_asked =
        by_signal && expected && (WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGTERM);
    bool crashed = by_signal && WTERMSIG(status) != SIGKILL;
    bool clean = WIFEXITED(status) && WEXITSTATUS(status) == EX_OK;
    if (!child->aborted && (as_asked || clean))
        return SUSPECT_ASKED;
    if (!child->aborted && crashed)
        return SUSPECT_CRASHED;
    /* Killed from outside; by us, for it hung, perhaps in the message; or a library's exit(). */
    return SUSPECT_KILLED;
}

/* Counts the death for the message that the child was working on, if any. */
static void blame(const struct child *child, int status, bool expected)
{
    enum suspect_end end = end_of(child, status, expected);
    unsigned deaths =
        suspects_ended(child->all->options.suspects, child->number, end, timing_mono_ms());
    if (deaths > 0)
        log_warning("a child died while it worked on a message", "child", log_number(child->number),
                    "deaths", log_number(deaths), "does",
                    deaths < SUSPECT_DEATHS ? "lets it be tried again" : "lets it be a dead letter",
                    NULL);
}

/* Decides what follows on the end of a child; the one place that logs it. */
static void ended(struct child *child, int status)
{
    const struct children *c = child->all;
    int64_t ran_ms = timing_mono_ms() - child->started_ms;
    const char *does = "starts it again";
    char how[64], pid[24];
    describe_end(status, how, sizeof how);
    snprintf(pid, sizeof pid, "%d", (int)child->pid);
    child->pid = 0;
    child->kill_ms = NEVER;
    close_link(child);
    seen_owner_ended(&c->options.seen, child->number);
    seen_owner_ended(&c->former, child->number);
    child->refused = WIFEXITED(status) && WEXITSTATUS(status) == EX_CONFIG;
    if (c->stopping || child->number >= c->wanted)
        does = "nothing: as asked";
    else if (child->refused)
        does = "nothing before the next reload: its configuration is refused";
    else
        start_after(child, child->draining ? 0 : restart_delay_ms(child->delay_ms, ran_ms));
    bool expected = c->stopping || child->draining;
    blame(child, status, expected);
    log_write(expected ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, "child ended", "child",
              log_number(child->number), "child_pid", pid, "how", how, "ran_ms", log_number(ran_ms),
              "does", does, "again_in_ms",
              event_pending(&child->start, EV_TIMEOUT, NULL) ? log_number(child->delay_ms)
                                                             : "never",
              NULL);
}

static void on_ended(evutil_socket_t fd, short what, void *argument)
{
    struct children *c = argument;
    (void)fd;
    (void)what;
    for (unsigned i = 0; i < CHILDREN_MAX; i++) {
        struct child *child = c->list[i];
        int status;
        if (child != NULL && child->pid > 0 && waitpid(child->pid, &status, WNOHANG) == child->pid)
            ended(child, status);
    }
    c->on_change(c->context);
}

static void watch_over(struct child *child, int64_t now_ms)
{
    if (child->kill_ms != NEVER && now_ms >= child->kill_ms) {
        log_warning("child does not end", "child", log_number(child->number), "child_pid",
                    log_number(child->pid), "does", "kills it", NULL);
        child->kill_ms = now_ms + ABORT_GRACE_MS;
        send_signal(child, SIGKILL);
    } else if (child->kill_ms == NEVER &&
               now_ms - child->heard_ms > child->all->options.silence_ms) {
        log_error("child is silent", "child", log_number(child->number), "child_pid",
                  log_number(child->pid), "silent_ms", log_number(now_ms - child->heard_ms), "does",
                  "aborts it", NULL);
        child->kill_ms = now_ms + ABORT_GRACE_MS;
        child->aborted = true;
        send_signal(child, SIGABRT);
    }
}

static void on_tick(evutil_socket_t fd, short what, void *argument)
{
    struct children *c = argument;
    int64_t now_ms = timing_mono_ms();
    (void)fd;
    (void)what;
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        if (c->list[i] != NULL && c->list[i]->pid > 0)
            watch_over(c->list[i], now_ms);
    renew_next(c);
    c->on_change(c->context);
}

int children_new(struct event_base *base, const struct children_options *options,
                 children_changed *on_change, void *context, struct children **ret_children)
{
    const struct timeval period = {.tv_sec = TICK_S};
    struct children *c = calloc(1, sizeof *c);
    if (c == NULL)
        return -ENOMEM;
    c->base = base;
    c->options = *options;
    c->on_change = on_change;
    c->context = context;
    if (event_assign(&c->ended, base, SIGCHLD, EV_SIGNAL | EV_PERSIST, on_ended, c) != 0 ||
        event_assign(&c->tick, base, -1, EV_PERSIST, on_tick, c) != 0 ||
        event_add(&c->ended, NULL) != 0 || event_add(&c->tick, &period) != 0) {
        free(c);
        return -ENOMEM;
    }
    *ret_children = c;
    return 0;
}

void children_set_limits(struct children *c, int64_t silence_ms, int64_t drain_ms)
{
    c->options.silence_ms = silence_ms;
    c->options.drain_ms = drain_ms;
}

void children_set_seen(struct children *c, int seen_fd, const struct seen *seen)
{
    c->options.spawn.seen_fd = seen_fd;
    c->former = c->options.seen;
    c->options.seen = *seen;
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        if (c->list[i] != NULL)
            c->list[i]->former = true;
}

bool children_use_former(const struct children *c)
{
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        if (c->list[i] != NULL && c->list[i]->pid > 0 && c->list[i]->former)
            return true;
    return false;
}

void children_forget_former(struct children *c)
{
    c->former = (struct seen){0};
}

static struct child *child_at(struct children *c, unsigned number)
{
    struct child *child = c->list[number];
    if (child != NULL)
        return child;
    child = calloc(1, sizeof *child);
    if (child == NULL || event_assign(&child->start, c->base, -1, 0, on_start, child) != 0) {
        free(child);
        return NULL;
    }
    child->all = c;
    child->number = number;
    child->link_fd = child->stat_fd = -1;
    c->list[number] = child;
    return child;
}

void children_resize(struct children *c, unsigned n)
{
    c->wanted = n;
    for (unsigned i = 0; i < n; i++) {
        struct child *child = child_at(c, i);
        if (child == NULL)
            log_error("out of memory", "does", "runs fewer children", NULL);
        else if (child->pid == 0 && !event_pending(&child->start, EV_TIMEOUT, NULL))
            start(child);
    }
    for (unsigned i = n; i < CHILDREN_MAX; i++)
        if (c->list[i] != NULL && !c->list[i]->draining)
            drain(c->list[i]);
}

void children_renew(struct children *c)
{
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        if (c->list[i] != NULL)
            c->list[i]->outdated = c->list[i]->pid > 0;
    renew_next(c);
}

void children_replace_stalled(struct children *c, unsigned number)
{
    struct child *child = c->list[number];
    if (child == NULL || child->pid == 0 || child->draining)
        return;
    child->stalls++;
    drain(child);
}

void children_signal(struct children *c, int number)
{
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        if (c->list[i] != NULL)
            send_signal(c->list[i], number);
}

void children_set_quiet(struct children *c, bool quiet)
{
    c->quiet = quiet;
    children_signal(c, quiet ? SIGTSTP : SIGCONT);
}

void children_stop(struct children *c)
{
    c->stopping = true;
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        if (c->list[i] != NULL && !c->list[i]->draining)
            drain(c->list[i]);
}

void children_kill(struct children *c)
{
    children_signal(c, SIGKILL);
}

void children_summarize(const struct children *c, struct children_summary *ret_summary)
{
    struct children_summary s = {.wanted = c->wanted};
    for (unsigned i = 0; i < CHILDREN_MAX; i++) {
        const struct child *child = c->list[i];
        if (child == NULL)
            continue;
        s.refused += child->refused && i < c->wanted;
        if (child->pid == 0)
            continue;
        s.running++;
        s.ready += child->report.ready;
        s.connected += child->report.connected;
        s.in_flight += child->report.in_flight;
    }
    *ret_summary = s;
}

size_t children_look(const struct children *c, struct child_look *ret_looks, size_t max)
{
    size_t n = 0;
    for (unsigned i = 0; i < CHILDREN_MAX && n < max; i++) {
        const struct child *child = c->list[i];
        if (child == NULL)
            continue;
        ret_looks[n++] = (struct child_look){
            .number = i,
            .wanted = i < c->wanted,
            .pid = child->pid,
            .starts = child->starts,
            .stalls = child->stalls,
            .report = child->report,
            .meter = child->map && meter_readable(&child->map->meter) ? &child->map->meter : NULL,
        };
    }
    return n;
}

bool children_all_moved(struct children *c)
{
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        if (c->list[i] != NULL && c->list[i]->pid > 0 && c->list[i]->reported && !c->list[i]->moved)
            return false;
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        if (c->list[i] != NULL)
            c->list[i]->moved = false;
    return true;
}

void children_free(struct children *c)
{
    if (c == NULL)
        return;
    children_kill(c);
    event_del(&c->ended);
    event_del(&c->tick);
    for (unsigned i = 0; i < CHILDREN_MAX; i++) {
        if (c->list[i] == NULL)
            continue;
        close_link(c->list[i]);
        event_del(&c->list[i]->start);
        statmap_release(c->list[i]->stat_fd, c->list[i]->map);
        free(c->list[i]);
    }
    free(c);
}
