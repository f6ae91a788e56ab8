#include "worker/ctl_dlq.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/timing.h"
#include "worker/ctl_base.h"
#include "worker/ctl_command.h"
#include "worker/replay_index.h"
#include "worker/replay_print.h"
#include "worker/settings.h"

enum { LIST_ROWS = 1000, LOOK_MS = 300, PROGRESS_MS = 1000, NOBODY_MS = 5000 };

/* A replay that is waited for. */
struct waiting {
    struct ctl *c;
    struct replay replay;
    int64_t said_ms;
    int64_t worked_ms; /* when a replayer was last seen at work */
    int signal_fd;
};

static int on_listed(void *context, int64_t id, const struct dead_row *row)
{
    const struct ctl *c = context;

    (void)id;
    replay_print_letter(stdout, c->command->json, row);
    return 0;
}

static int list(struct ctl *c, const struct replay *asked)
{
    int64_t limit = asked->max_count > 0 ? asked->max_count : LIST_ROWS;
    int r = replay_index_list(c->db, &asked->filter, limit, on_listed, c);

    return r < 0 ? ctl_db_failed(c, r) : EX_OK;
}

static bool is_open(const struct replay *r)
{
    return strcmp(r->state, "requested") == 0 || strcmp(r->state, "running") == 0;
}

static void tell_nobody(int64_t id)
{
    fprintf(stderr,
            "mihctl: no mih-replayer works; replay %" PRId64 " is carried out when one does\n", id);
}

/* One look. 0; a negative errno; or 1: it has ended, or nobody carries it out. */
static int look(struct waiting *w)
{
    const int64_t now_ms = timing_mono_ms();
    bool works = false;
    int r = replay_store_read(w->c->db, w->replay.id, &w->replay);

    if (r == 0)
        r = replay_store_works(w->c->db, w->c->settings->broker_namespace, &works);
    if (r != 0)
        return r;
    if (works)
        w->worked_ms = now_ms;
    if (now_ms - w->said_ms >= PROGRESS_MS) {
        w->said_ms = now_ms;
        replay_print_progress(stderr, false, &w->replay);
    }
    return !is_open(&w->replay) || now_ms - w->worked_ms > NOBODY_MS;
}

static bool interrupted(const struct waiting *w)
{
    struct pollfd fd = {.fd = w->signal_fd, .events = POLLIN};

    return poll(&fd, 1, LOOK_MS) > 0;
}

static int ended(struct waiting *w)
{
    replay_print_progress(stdout, w->c->command->json, &w->replay);
    if (!is_open(&w->replay))
        return strcmp(w->replay.state, "done") == 0 ? EX_OK : EX_UNAVAILABLE;
    tell_nobody(w->replay.id);
    return EX_TEMPFAIL;
}

static int wait_for(struct ctl *c, const struct replay *replay)
{
    struct waiting w = {.c = c, .replay = *replay, .said_ms = timing_mono_ms()};
    sigset_t set;
    int r;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    w.signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
    w.worked_ms = w.said_ms;
    do
        r = look(&w);
    while (r == 0 && !interrupted(&w));
    close(w.signal_fd);
    if (r < 0)
        return ctl_db_failed(c, r);
    if (r == 1)
        return ended(&w);
    fprintf(stderr, "mihctl: replay %" PRId64 " goes on\n", w.replay.id);
    return EX_TEMPFAIL;
}

static int ask(struct ctl *c, struct replay *replay)
{
    bool works = false;
    int r = replay_store_add(c->db, replay, &replay->id);

    if (r == 0)
        r = replay_store_works(c->db, c->settings->broker_namespace, &works);
    if (r < 0)
        return ctl_db_failed(c, r);
    if (ctl_hint_send(c, "replay", replay->id) == CTL_NOT_HINTED) /* it looks by itself */
        fprintf(stderr, "mihctl: %s\n", ctl_safe(c->reason));
    snprintf(replay->state, sizeof replay->state, "requested");
    if (c->command->dlq.wait)
        return wait_for(c, replay);
    replay_print_progress(stdout, c->command->json, replay);
    if (!works)
        tell_nobody(replay->id);
    return EX_OK;
}

int ctl_dlq(struct ctl *c)
{
    const struct replay_command *asked = &c->command->dlq;
    struct replay replay = asked->replay;
    int r;

    if (ctl_open_db(c) < 0)
        return ctl_fail(c, EX_UNAVAILABLE);
    if (asked->verb == VERB_SHOW)
        return ctl_dlq_show(c);
    if (asked->service) {
        r = replay_store_service(c->db, asked->service, &replay.filter.service_id);
        if (r < 0)
            return ctl_db_failed(c, r);
        if (r == 1)
            return ctl_refuse(c, EX_DATAERR, "%.200s: no service has this id or name",
                              asked->service);
    }
    return asked->verb == VERB_LIST ? list(c, &replay) : ask(c, &replay);
}
