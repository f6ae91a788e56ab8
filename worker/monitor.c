#include "worker/monitor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/timing.h"
#include "worker/exposition.h"
#include "worker/ownprocess.h"
#include "worker/scrape.h"

struct monitor {
    const struct children *children;
    const struct monitor_state *state;
    struct scrape *scrape;
    int64_t started_s;
    struct child_look looks[CHILDREN_MAX];
};

static void tell_child(const struct child_look *child, struct buf *why)
{
    const char *what = NULL;

    if (child->pid == 0)
        what = "does not run";
    else if (!child->report.ready)
        what = "is not ready";
    else if (!child->report.connected)
        what = "has no connection to the broker";
    else if (child->report.quiet)
        what = "takes no work, as it was told";
    if (what)
        buf_addf(why, "child %u %s\n", child->number, what);
}

bool monitor_ready(const struct monitor_state *state, const struct child_look *children, size_t n,
                   const struct figures *figures, struct buf *why)
{
    unsigned wanted = 0;

    if (state->stopping)
        buf_adds(why, "stopping\n");
    if (state->quiet)
        buf_adds(why, "quiet: takes no work, as it was told\n");
    for (size_t i = 0; i < n; i++) {
        wanted += children[i].wanted;
        if (children[i].wanted)
            tell_child(&children[i], why);
    }
    if (wanted < state->wanted)
        buf_addf(why, "%u of %u children are there\n", wanted, state->wanted);
    for (size_t i = 0; i < figures->n_services; i++)
        if (figures->services[i].unserved_s >= MONITOR_UNSERVED_S)
            buf_addf(why, "service %" PRId64 " is not consumed, for %" PRId64 " s\n",
                     figures->services[i].id, figures->services[i].unserved_s);
    return why->len == 0 && buf_error(why) == 0;
}

static bool is_healthy(const struct monitor *m, struct buf *why)
{
    int64_t still_ms = timing_mono_ms() - m->state->moved_ms;

    if (m->state->stopping || still_ms <= m->state->watchdog_ms + MONITOR_GRACE_MS)
        return true;
    buf_addf(why, "a child has work and made no progress for %" PRId64 " s\n", still_ms / 1000);
    return false;
}

static void show(struct monitor *m, const char *path, const struct figures *figures, size_t n,
                 struct scrape_answer *answer)
{
    struct buf why;

    buf_init(&why, SCRAPE_ANSWER_MAX);
    bool ready = monitor_ready(m->state, m->looks, n, figures, &why);

    answer->status = 200;
    answer->content_type = "text/plain; charset=utf-8";
    if (strcmp(path, "/readyz") == 0) {
        answer->status = ready ? 200 : 503;
        buf_adds(&answer->body, ready ? "ready\n" : buf_text(&why));
    } else {
        answer->content_type = "text/plain; version=0.0.4; charset=utf-8";
        exposition_write(&answer->body,
                         &(struct exposition_own){
                             .started_s = m->started_s,
                             .cpu_us = ownprocess_cpu_us(),
                             .resident_bytes = ownprocess_resident_bytes(),
                             .open_files = ownprocess_open_files(),
                             .max_files = ownprocess_max_files(),
                             .wanted = m->state->wanted,
                             .ready = ready,
                         },
                         m->looks, n, figures);
    }
    buf_release(&why);
}

static void ask(void *context, const char *path, struct scrape_answer *answer)
{
    struct monitor *m = context;
    struct figures figures;

    if (strcmp(path, "/healthz") == 0) {
        answer->content_type = "text/plain; charset=utf-8";
        answer->status = is_healthy(m, &answer->body) ? 200 : 503;
        if (answer->status == 200)
            buf_adds(&answer->body, "ok\n");
        return;
    }
    if (strcmp(path, "/metrics") != 0 && strcmp(path, "/readyz") != 0)
        return;
    size_t n = children_look(m->children, m->looks, CHILDREN_MAX);

    if (figures_make(m->looks, n, &figures) < 0) {
        answer->status = 503;
        buf_adds(&answer->body, "out of memory\n");
        return;
    }
    show(m, path, &figures, n, answer);
    figures_release(&figures);
}

int monitor_new(struct event_base *base, const struct children *children,
                const struct monitor_state *state, struct monitor **ret_monitor)
{
    struct monitor *m = calloc(1, sizeof *m);
    int r = m ? scrape_new(base, ask, m, &m->scrape) : -ENOMEM;

    if (r < 0) {
        free(m);
        return r;
    }
    m->children = children;
    m->state = state;
    m->started_s = timing_unix_s();
    *ret_monitor = m;
    return 0;
}

void monitor_set_address(struct monitor *m, const char *address)
{
    scrape_set_address(m->scrape, address);
}

void monitor_free(struct monitor *m)
{
    if (!m)
        return;
    scrape_free(m->scrape);
    free(m);
}
