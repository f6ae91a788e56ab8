#include "worker/store.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "common/timing.h"
#include "worker/joblist.h"

enum {
    BACKOFF_BASE_MS = 250,
    BACKOFF_CAP_MS = 4000,
    STEADY_MS = 10 * 1000, /* a connection that lasted this long was not a failed attempt */
    INTERRUPT_MS = 250,    /* what an interrupted call gets to come back */
};

/*
 * What the loop and the thread share. Each holds a reference: the thread may have to be left
 * behind. Everything but the options is under the mutex.
 */
struct core {
    unsigned references;
    pthread_mutex_t mutex;
    pthread_cond_t work;  /* the thread waits: jobs, stopping, state taken */
    pthread_cond_t ended; /* store_free() waits */
    int wake_fd;
    struct db_options options;
    char *strings[7]; /* of the options, ours */

    struct joblist queued;
    struct joblist finished;
    struct store_job *running;
    struct db *db;  /* NULL while there is no connection */
    bool stopping;  /* end when the queue is empty */
    bool cancelled; /* end now */
    bool thread_ended;

    bool state_pending; /* the thread waits until the loop has told everybody */
    bool state_connected;
    char state_text[256];
};

struct store {
    struct core *core;
    pthread_t thread;
    struct event *wake;
    struct store_hooks hooks;
    struct store_watch *watches;
    bool connected;
    bool freeing;
};

static void core_unref(struct core *c)
{
    pthread_mutex_lock(&c->mutex);
    bool last = --c->references == 0;
    pthread_mutex_unlock(&c->mutex);
    if (!last)
        return;
    if (c->options.password)
        explicit_bzero(c->strings[3], strlen(c->strings[3]));
    for (size_t i = 0; i < sizeof c->strings / sizeof c->strings[0]; i++)
        free(c->strings[i]);
    if (c->wake_fd >= 0)
        close(c->wake_fd);
    pthread_cond_destroy(&c->work);
    pthread_cond_destroy(&c->ended);
    pthread_mutex_destroy(&c->mutex);
    free(c);
}

static int copy_options(struct core *c, const struct db_options *from)
{
    c->options = *from;
    const char **const texts[] = {&c->options.host,     &c->options.socket, &c->options.user,
                                  &c->options.password, &c->options.name,   &c->options.prefix,
                                  &c->options.ca_file};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (!*texts[i])
            continue;
        c->strings[i] = strdup(*texts[i]);
        if (!c->strings[i])
            return -ENOMEM;
        *texts[i] = c->strings[i];
    }
    return 0;
}

static struct core *core_new(const struct db_options *options)
{
    struct core *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&c->mutex, NULL);
    pthread_cond_init(&c->work, &monotonic);
    pthread_cond_init(&c->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    c->references = 1;
    c->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (copy_options(c, options) == 0 && c->wake_fd >= 0)
        return c;
    c->options.password = NULL;
    core_unref(c);
    return NULL;
}

static struct timespec monotonic_after(int64_t ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    int64_t ns = at.tv_nsec + ms % 1000 * 1000000;
    at.tv_sec += (time_t)(ms / 1000 + ns / 1000000000);
    at.tv_nsec = (long)(ns % 1000000000);
    return at;
}

static void wake_loop(struct core *c)
{
    const uint64_t one = 1;
    /* It fails only when the counter is full, and then the loop is awake anyway. */
    ssize_t written = write(c->wake_fd, &one, sizeof one);
    (void)written;
}

static void finish(struct core *c, struct store_job *job)
{
    joblist_append(&c->finished, job);
    wake_loop(c);
}

/* Tells the loop and waits until it has told everybody: nothing overtakes a change. */
static void post_state(struct core *c, bool connected, const char *text)
{
    if (c->state_connected == connected && strcmp(c->state_text, text) == 0)
        return;
    c->state_connected = connected;
    snprintf(c->state_text, sizeof c->state_text, "%s", text);
    c->state_pending = true;
    wake_loop(c);
    while (c->state_pending && !c->stopping)
        pthread_cond_wait(&c->work, &c->mutex);
}

static void fail_the_impatient(struct core *c, const char *reason)
{
    struct joblist all = joblist_take(&c->queued);
    while (all.n) {
        struct store_job *job = joblist_pop(&all);
        if (job->waits) {
            joblist_append(&c->queued, job);
            continue;
        }
        job->result = -ENOTCONN;
        snprintf(job->reason, sizeof job->reason, "%s", reason);
        finish(c, job);
    }
}

static void run_job(struct core *c, struct db *db)
{
    struct store_job *job = joblist_pop(&c->queued);
    c->running = job;
    pthread_mutex_unlock(&c->mutex);
    job->reason[0] = '\0';
    job->result = job->run(job, db);
    if (job->result < 0 && !job->reason[0])
        snprintf(job->reason, sizeof job->reason, "%s", db_reason(db));
    pthread_mutex_lock(&c->mutex);
    c->running = NULL;
    finish(c, job);
}

/* Runs jobs until the connection is lost or the store ends. */
static void serve(struct core *c, struct db *db)
{
    while (!c->cancelled && !db_lost(db)) {
        if (c->queued.n)
            run_job(c, db);
        else if (c->stopping)
            return;
        else
            pthread_cond_wait(&c->work, &c->mutex);
    }
}

static void pause_thread(struct core *c, unsigned attempt)
{
    int64_t ms = timing_backoff_ms(attempt, BACKOFF_BASE_MS, BACKOFF_CAP_MS, timing_random(1000));
    const struct timespec until = monotonic_after(ms);
    while (!c->stopping && pthread_cond_timedwait(&c->work, &c->mutex, &until) != ETIMEDOUT)
        ;
}

static void peer_name(const struct db_options *o, char *ret_text, size_t size)
{
    if (o->socket && *o->socket)
        snprintf(ret_text, size, "%s/%s", o->socket, o->name);
    else
        snprintf(ret_text, size, "%s:%d/%s", o->host, o->port, o->name);
}

/* One connection, from opening to its end. Called and left with the mutex locked; lets go of it
 * while it blocks. */
static void one_connection(struct core *c)
{
    struct db *db = NULL;
    struct db_error error;
    char text[256];
    pthread_mutex_unlock(&c->mutex);
    int r = db_open(&c->options, &db, &error);
    pthread_mutex_lock(&c->mutex);
    if (r < 0) {
        fail_the_impatient(c, error.text);
        post_state(c, false, error.text);
        return;
    }
    peer_name(&c->options, text, sizeof text);
    c->db = db;
    post_state(c, true, text);
    serve(c, db);
    c->db = NULL;
    snprintf(text, sizeof text, "%s", db_reason(db));
    pthread_mutex_unlock(&c->mutex);
    db_free(db);
    pthread_mutex_lock(&c->mutex);
    fail_the_impatient(c, text);
    post_state(c, false, text);
}

static void *thread_main(void *argument)
{
    struct core *c = argument;
    unsigned attempt = 0;
    pthread_mutex_lock(&c->mutex);
    while (!c->stopping) {
        const int64_t started_ms = timing_mono_ms();
        one_connection(c);
        attempt = timing_mono_ms() - started_ms > STEADY_MS ? 1 : attempt + 1;
        pause_thread(c, attempt);
    }
    c->thread_ended = true;
    pthread_cond_signal(&c->ended);
    pthread_mutex_unlock(&c->mutex);
    core_unref(c);
    return NULL;
}

static void finish_all(struct joblist *list)
{
    while (list->n) {
        struct store_job *job = joblist_pop(list);
        job->done(job, job->result, job->reason);
    }
}

static void tell_state(struct store *s, bool connected, const char *text)
{
    s->connected = connected;
    if (s->hooks.on_state)
        s->hooks.on_state(s->hooks.context, connected, text);
    struct store_watch *next;
    for (struct store_watch *w = s->watches; w; w = next) {
        next = w->next;
        w->hooks.on_state(w->hooks.context, connected, text);
    }
}

static void on_wake(evutil_socket_t fd, short what, void *argument)
{
    (void)what;
    struct store *s = argument;
    struct core *c = s->core;
    uint64_t count;
    char text[sizeof c->state_text];
    ssize_t got = read(fd, &count, sizeof count);
    (void)got; /* nothing to read is nothing to do, and the lists tell */
    pthread_mutex_lock(&c->mutex);
    struct joblist finished = joblist_take(&c->finished);
    bool state_pending = c->state_pending, connected = c->state_connected;
    memcpy(text, c->state_text, sizeof text);
    pthread_mutex_unlock(&c->mutex);
    finish_all(&finished);
    if (!state_pending)
        return;
    tell_state(s, connected, text);
    pthread_mutex_lock(&c->mutex);
    c->state_pending = false;
    pthread_cond_signal(&c->work);
    pthread_mutex_unlock(&c->mutex);
}

static int start_thread(struct store *s)
{
    sigset_t all, before;
    sigfillset(&all);
    db_prepare();
    s->core->references++;
    /* Signals are for the loop; a broken connection may raise SIGPIPE in the TLS library. */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&s->thread, NULL, thread_main, s->core);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r)
        s->core->references--;
    else
        pthread_setname_np(s->thread, "mih-store");
    return -r;
}

int store_new(struct event_base *base, const struct db_options *options,
              const struct store_hooks *hooks, struct store **ret_store)
{
    struct store *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->hooks = *hooks;
    s->core = core_new(options);
    if (s->core)
        s->wake = event_new(base, s->core->wake_fd, EV_READ | EV_PERSIST, on_wake, s);
    int r = s->wake && event_add(s->wake, NULL) == 0 ? start_thread(s) : -ENOMEM;
    if (r < 0) {
        if (s->wake)
            event_free(s->wake);
        if (s->core)
            core_unref(s->core);
        free(s);
        return r;
    }
    *ret_store = s;
    return 0;
}

void store_watch(struct store *s, struct store_watch *watch)
{
    watch->next = s->watches;
    s->watches = watch;
}

void store_unwatch(struct store *s, struct store_watch *watch)
{
    struct store_watch **at = &s->watches;
    while (*at && *at != watch)
        at = &(*at)->next;
    if (*at)
        *at = watch->next;
}

int store_submit(struct store *s, struct store_job *job)
{
    struct core *c = s->core;
    if (s->freeing)
        return -ECANCELED;
    int r = 0;
    pthread_mutex_lock(&c->mutex);
    if (!job->waits && !c->db) {
        job->result = -ENOTCONN;
        snprintf(job->reason, sizeof job->reason, "no connection to the database");
        finish(c, job);
    } else if (c->queued.n >= STORE_MAX_JOBS) {
        r = -ENOBUFS;
    } else {
        joblist_append(&c->queued, job);
        pthread_cond_signal(&c->work);
    }
    pthread_mutex_unlock(&c->mutex);
    return r;
}

bool store_connected(const struct store *s)
{
    return s->connected;
}

static bool await_end(struct core *c, int64_t ms)
{
    const struct timespec until = monotonic_after(ms);
    while (!c->thread_ended)
        if (pthread_cond_timedwait(&c->ended, &c->mutex, &until) == ETIMEDOUT)
            break;
    return c->thread_ended;
}

/* True: the thread has ended; false: it hangs in a call that does not come back. */
static bool stop_thread(struct core *c, int grace_ms)
{
    c->stopping = true;
    pthread_cond_signal(&c->work);
    if (await_end(c, grace_ms))
        return true;
    c->cancelled = true;
    if (c->db)
        db_interrupt(c->db);
    return await_end(c, INTERRUPT_MS);
}

void store_free(struct store *s, int grace_ms)
{
    if (!s)
        return;
    struct core *c = s->core;
    s->freeing = true;
    pthread_mutex_lock(&c->mutex);
    bool ended = stop_thread(c, grace_ms);
    struct joblist finished = joblist_take(&c->finished), queued = joblist_take(&c->queued);
    pthread_mutex_unlock(&c->mutex);
    if (ended)
        pthread_join(s->thread, NULL);
    else
        pthread_detach(s->thread);
    finish_all(&finished);
    while (queued.n) {
        struct store_job *job = joblist_pop(&queued);
        job->done(job, -ECANCELED, "the program ends");
    }
    event_free(s->wake);
    core_unref(c);
    free(s);
}
