#include "worker/replayer.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "common/log.h"
#include "common/timing.h"
#include "worker/replay_run.h"
#include "worker/replayer_impl.h"
#include "worker/retention_sweep.h"

enum {
    POLL_MS = 2000, /* a lost hint costs this much */
    HINT_MS = 100,  /* hints that come in a flood are taken so often */
    STEP_MS = 500,
    BACKOFF_BASE_MS = 250,
    BACKOFF_CAP_MS = 10000,
    REFRESH_MS = 10000,
    TRIES = 8, /* of one replay that fails and moves nothing meanwhile */
};

int replayer_init(struct replayer *r, const struct settings *settings)
{
    sigset_t set;

    *r = (struct replayer){.settings = settings, .signal_fd = -1};
    names_init(&r->names, settings->broker_namespace, settings->broker_events_exchange);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    r->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return r->signal_fd < 0 ? -errno : 0;
}

void replayer_release(struct replayer *r)
{
    replayer_disconnect(r);
    if (r->signal_fd >= 0)
        close(r->signal_fd);
}

bool replayer_stopping(void *context)
{
    struct replayer *r = context;
    struct signalfd_siginfo info;

    while (read(r->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGHUP)
            r->reload = true;
        else
            r->stopping = true;
    }
    return r->stopping;
}

struct replay_tools replayer_tools(struct replayer *r)
{
    return (struct replay_tools){
        .db = r->db,
        .link = &r->link,
        .names = &r->names,
        .canary_wait_ms = r->settings->replayer_canary_wait_ms,
        .wake_fd = r->signal_fd,
        .context = r,
        .stopping = replayer_stopping,
    };
}

int replayer_open_db(struct replayer *r)
{
    struct db_options options;
    struct db_error error;
    int result;

    if (r->db)
        return 0;
    settings_db_options(r->settings, &options);
    result = db_open(&options, &r->db, &error);
    if (result < 0)
        snprintf(r->reason, sizeof r->reason, "database: %s", error.text);
    return result;
}

static int lock(struct replayer *r)
{
    int result;

    if (r->locked)
        return 0;
    result = replay_store_lock(r->db, r->settings->broker_namespace);
    if (result < 0)
        snprintf(r->reason, sizeof r->reason, "database: %s", db_reason(r->db));
    r->locked = result == 0;
    return result;
}

static int open_link(struct replayer *r)
{
    struct bus_options options;
    int result;

    if (r->link.in)
        return 0;
    settings_bus_options(r->settings, "mih-replayer", &options);
    result = deadlink_open(&r->link, &options, &r->names);
    if (result < 0)
        snprintf(r->reason, sizeof r->reason, "broker: %.500s", r->link.reason);
    return result;
}

int replayer_connect(struct replayer *r)
{
    int result = replayer_open_db(r);

    if (result == 0)
        result = lock(r);
    return result == 0 ? open_link(r) : result;
}

void replayer_note_failure(struct replayer *r)
{
    if (*r->link.reason)
        snprintf(r->reason, sizeof r->reason, "broker: %.500s", r->link.reason);
    else
        snprintf(r->reason, sizeof r->reason, "database: %.500s", db_reason(r->db));
}

void replayer_disconnect(struct replayer *r)
{
    deadlink_close(&r->link); /* before the lock goes: nobody meets our consumer */
    db_free(r->db);
    r->db = NULL;
    r->locked = false;
}

static int wait_step(struct replayer *r, int ms)
{
    struct pollfd fd = {.fd = r->signal_fd, .events = POLLIN};

    if (r->link.in)
        return deadlink_wait(&r->link, ms, r->signal_fd);
    return poll(&fd, 1, ms) < 0 && errno != EINTR ? -errno : 0;
}

int replayer_wait(struct replayer *r, int64_t ms)
{
    const int64_t began_ms = timing_mono_ms();
    int64_t left = ms;
    int result = 0;

    while (result == 0 && left > 0 && !replayer_stopping(r) && !r->reload &&
           !(r->link.hinted && ms - left >= HINT_MS)) {
        result = wait_step(r, (int)(left < STEP_MS ? left : STEP_MS));
        left = ms - (timing_mono_ms() - began_ms);
    }
    r->link.hinted = false;
    return result;
}

/* The daemon's own state. */
struct daemon {
    struct replayer r;
    struct settings *settings;
    const char *config_path;
    struct retention_sweep sweep;
    int64_t sweep_ms;   /* when the next one is due */
    int64_t refresh_ms; /* likewise */
    unsigned attempt;   /* failures in a row */
    unsigned tries;     /* of them, those of the replay below */
    int64_t tried_id;
    int64_t tried_moved; /* as far as it had come */
    bool said_ready;
    bool said_waiting;
};

static void tell(const char *status)
{
    sd_notifyf(0, "STATUS=%s", status);
}

static void say_ready(struct daemon *d)
{
    if (d->said_ready)
        return;
    d->said_ready = true;
    log_info("ready", NULL);
    sd_notify(0, "READY=1");
}

static void on_progress(void *context, const struct replay *p)
{
    (void)context;
    sd_notifyf(0, "STATUS=replay %lld: %lld selected, %lld moved, %lld failed again\nWATCHDOG=1",
               (long long)p->id, (long long)p->matched, (long long)p->moved, (long long)p->failed);
}

static int sweep(struct daemon *d, const struct replay_tools *tools)
{
    const struct retention retention = {
        .max_age_s = d->settings->deadletters_max_age_ms / 1000,
        .max_number = d->settings->deadletters_max_number,
    };
    int r;

    if (timing_mono_ms() < d->sweep_ms)
        return 0;
    r = retention_sweep(&d->sweep, tools, &retention);
    d->sweep_ms = timing_mono_ms() + d->settings->deadletters_check_interval_ms;
    return r;
}

static int refresh(struct daemon *d)
{
    if (timing_mono_ms() < d->refresh_ms)
        return 0;
    d->refresh_ms = timing_mono_ms() + REFRESH_MS;
    return replay_store_refresh(d->r.db);
}

/* A replay that fails each time would hold up all others, and retention. What is the database's
 * fault, or a broker's that cannot be reached, is not its own. */
static int try_failed(struct daemon *d, struct replay *replay, int result)
{
    char why[REPLAY_ERROR_SIZE];
    bool again = replay->id == d->tried_id && replay->moved <= d->tried_moved;

    if (result == -ECANCELED || db_lost(d->r.db))
        return result;
    d->tries = again ? d->tries + 1 : 1;
    d->tried_id = replay->id;
    d->tried_moved = replay->moved;
    if (d->tries < TRIES)
        return result;
    snprintf(why, sizeof why, "given up after %d tries: %.400s", TRIES,
             *d->r.link.reason ? d->r.link.reason : db_reason(d->r.db));
    int written = replay_run_refuse(d->r.db, replay, why);
    return written < 0 ? written : result;
}

/* One thing: a replay, or else what is due. 0: nothing more to do now; 1: there may be. */
static int work(struct daemon *d)
{
    struct replay_tools tools = replayer_tools(&d->r);
    struct replay replay;
    int r = replay_store_next(d->r.db, &replay);

    d->r.link.reason[0] = '\0';
    tools.on_progress = on_progress;
    if (r == 0) {
        r = replay_run(&tools, &replay);
        return r == 0 ? 1 : try_failed(d, &replay, r);
    }
    tell("waits for replays");
    if (r == 1)
        r = sweep(d, &tools);
    return r == 0 ? refresh(d) : r;
}

static void reload(struct daemon *d)
{
    struct settings fresh = {0};
    struct conf_error error;

    d->r.reload = false;
    if (conf_load(&settings_table, &fresh, d->config_path, &error) != 0) {
        log_error("configuration not taken", "error", error.text, "does", "keeps the old one",
                  NULL);
        return;
    }
    replayer_disconnect(&d->r);
    conf_release(&settings_table, d->settings);
    *d->settings = fresh;
    names_init(&d->r.names, fresh.broker_namespace, fresh.broker_events_exchange);
    log_set_level((enum log_level)fresh.log_level);
    d->sweep_ms = 0;
    log_info("configuration read again", NULL);
}

static void back_off(struct daemon *d)
{
    int64_t ms =
        timing_backoff_ms(++d->attempt, BACKOFF_BASE_MS, BACKOFF_CAP_MS, timing_random(1000));
    int r;

    log_warning("database or broker failed", "reason", d->r.reason, "does", "tries again",
                "after_ms", log_number(ms), NULL);
    tell("tries to connect");
    r = replayer_wait(&d->r, ms);
    (void)r; /* nothing is open that could fail */
}

/* Another one works: this one stands by, and is as good as ready. */
static int stand_by(struct daemon *d)
{
    if (!d->said_waiting)
        log_info("another replayer works", "does", "stands by", NULL);
    d->said_waiting = true;
    tell("stands by: another replayer works");
    say_ready(d);
    return replayer_wait(&d->r, POLL_MS);
}

static int serve_once(struct daemon *d)
{
    bool had = d->r.link.in != NULL;
    int r = replayer_connect(&d->r);

    if (r == 1)
        return stand_by(d);
    if (r == 0 && !had) {
        d->said_waiting = false;
        log_info("connected", "broker", bus_peer(d->r.link.in), NULL);
        say_ready(d);
    }
    if (r < 0)
        return r;
    r = work(d);
    if (r >= 0)
        d->attempt = 0;
    if (r == 0)
        r = replayer_wait(&d->r, POLL_MS);
    if (r < 0)
        replayer_note_failure(&d->r);
    return r;
}

int replayer_serve(struct settings *settings, const char *config_path)
{
    struct daemon d = {.settings = settings, .config_path = config_path};

    if (replayer_init(&d.r, settings) < 0) {
        log_error("cannot start", "error", strerror(errno), NULL);
        return EX_OSERR;
    }
    while (!replayer_stopping(&d.r)) {
        int r = serve_once(&d);
        sd_notify(0, "WATCHDOG=1");
        if (r < 0 && !d.r.stopping) {
            replayer_disconnect(&d.r);
            back_off(&d);
        }
        if (d.r.reload)
            reload(&d);
    }
    log_info("stopping", NULL);
    sd_notify(0, "STOPPING=1");
    retention_sweep_release(&d.sweep);
    replayer_release(&d.r);
    return EX_OK;
}
