/*
 * The AMQP transport, as the loop sees it.
 *
 * One connection per service, with a thread of its own (amqp_link.c): it is opened by the first
 * message, kept for the next ones, and closed when none came for a minute. A service whose URL
 * changes gets another connection; the old one ends by itself. There are 64 at most; one more
 * makes the one that was idle the longest end, and the message waits a second for its place.
 *
 * Each message is copied, so that it may be answered while the thread still has it, and has a
 * timer: its service's time-out holds for connecting and confirm together. At the time-out what
 * was not sent yet is taken back and never sent; what was sent may be at the broker, and its
 * retry carries the same id. A connection that owes a confirm is of no use and is broken; one that
 * the broker blocks (memory, disk) is kept, for it will be read again.
 *
 * The network guard judges each address before it is connected to, and that of a kept connection
 * before each message.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/timing.h"
#include "dispatcher/amqp_impl.h"

enum {
    OVERDUE_MS = 10000,
    STOP_POLITELY_MS = 300,
    STOP_MS = 1000,
};

static struct amqp *amqp_of(struct transport *t)
{
    return (struct amqp *)t;
}

/* Answers. The job is freed by who has it. */
static void answer(struct amqp *a, struct amqp_job *job, enum outcome_kind kind, const char *text)
{
    struct outcome outcome = {.kind = kind, .retry_after_s = -1};
    char body[600];
    int len = 0;

    if (job->answered) {
        return;
    }
    job->answered = true;
    TAILQ_REMOVE(&a->open, job, open);
    a->n_open--;
    if (job->link != NULL) {
        job->link->n_open--;
    }
    if (job->timer != NULL) {
        event_free(job->timer);
        job->timer = NULL;
    }
    outcome.latency_us = timing_mono_us() - job->start_us;
    snprintf(outcome.text, sizeof(outcome.text), "%s", text);
    if (kind == OUTCOME_CONFIRMED) {
        const char *exchange = job->publication.exchange;
        len = snprintf(body, sizeof(body), "Published to %s%s -> RK:%s",
                       *exchange != '\0' ? "Ex:" : "DefEx", exchange, job->publication.routing_key);
    }
    job->done(job->context, &outcome, body, (size_t)len);
}

static void discard(struct amqp *a, struct amqp_job *job)
{
    a->open_bytes -= job->size;
    amqp_job_free(job);
}

/* Takes it out of its link's queue, when it is there; the lock is held. */
static bool take_back(struct amqp_job *job)
{
    struct amqp_list *queued = job->link != NULL ? &job->link->queued : NULL;
    struct amqp_job *before = NULL;

    if (!job->queued || queued == NULL) {
        return false;
    }
    for (struct amqp_job *at = queued->first; at != job; at = at->next) {
        before = at;
    }
    amqp_list_remove(queued, before, job);
    job->queued = false;
    return true;
}

/* What the time was spent with; the lock is held. */
static void explain_timeout(const struct amqp_link *link, bool was_sent, char *ret_text,
                            size_t size)
{
    if (link->bus == NULL) {
        snprintf(ret_text, size, "%.200s",
                 link->failure[0] != '\0' ? link->failure : "no connection yet");
    } else if (link->blocked) {
        snprintf(ret_text, size, "%.90s: the broker takes no messages (%s)", link->shown,
                 link->blocked_reason);
    } else {
        snprintf(ret_text, size, "%.90s: %s", link->shown,
                 was_sent ? "no confirm" : "the broker does not read");
    }
}

static void on_timeout(evutil_socket_t fd, short what, void *context)
{
    struct amqp_job *job = context;
    struct amqp *a = job->amqp;
    struct amqp_link *link = job->link;
    char text[OUTCOME_TEXT_SIZE];

    (void)fd;
    (void)what;
    pthread_mutex_lock(&a->hub->lock);
    if (job->finished) { /* on_done() has its outcome, and comes soon */
        pthread_mutex_unlock(&a->hub->lock);
        return;
    }
    bool ours = take_back(job);
    explain_timeout(link, !ours, text, sizeof(text));
    if (!ours && link->bus != NULL && !link->blocked) {
        link->overdue = true;
        bus_interrupt(link->bus);
    }
    pthread_mutex_unlock(&a->hub->lock);
    if (stillness_excuses(&a->stillness, job->still_us, job->timeout_ms, timing_mono_us())) {
        answer(a, job, OUTCOME_LOCAL, "this process stood still while the confirm was awaited");
    } else {
        answer(a, job, OUTCOME_TIMEOUT, text);
    }
    if (ours) {
        discard(a, job);
    }
}

static int start_timer(struct amqp *a, struct amqp_job *job)
{
    const struct timeval timeout = {job->timeout_ms / 1000, (job->timeout_ms % 1000) * 1000L};

    job->timer = evtimer_new(a->base, on_timeout, job);
    return job->timer != NULL && evtimer_add(job->timer, &timeout) == 0 ? 0 : -ENOMEM;
}

/* A thread that ends has answered what it had, but for what came into its queue too late. */
static void bury(struct amqp *a, struct amqp_links *ended)
{
    struct amqp_link *link;
    struct amqp_job *job;

    while ((link = TAILQ_FIRST(ended)) != NULL) {
        TAILQ_REMOVE(ended, link, link);
        pthread_join(link->thread, NULL);
        while ((job = amqp_list_take(&link->queued)) != NULL) {
            answer(a, job, OUTCOME_LOST, "the connection is closed by the worker");
            discard(a, job);
        }
        amqp_link_free(link);
    }
}

static void on_done(evutil_socket_t fd, short what, void *context)
{
    struct amqp *a = context;
    struct amqp_links ended = TAILQ_HEAD_INITIALIZER(ended);
    struct amqp_list finished;
    struct amqp_job *job;
    eventfd_t count;

    (void)what;
    eventfd_read(fd, &count);
    pthread_mutex_lock(&a->hub->lock);
    finished = a->hub->finished;
    a->hub->finished = (struct amqp_list){0};
    amqp_pool_collect(a, &ended);
    pthread_mutex_unlock(&a->hub->lock);
    while ((job = amqp_list_take(&finished)) != NULL) {
        answer(a, job, job->kind, job->text);
        discard(a, job);
    }
    bury(a, &ended);
}

/* Sending. */

/* Answered soon, and not sent. */
static void refuse(struct amqp *a, struct amqp_job *job, enum outcome_kind kind)
{
    job->kind = kind;
    pthread_mutex_lock(&a->hub->lock);
    job->finished = true;
    amqp_list_add(&a->hub->finished, job);
    pthread_mutex_unlock(&a->hub->lock);
    eventfd_write(a->hub->done_fd, 1);
}

static bool enqueue(struct amqp *a, const struct service *service, struct amqp_job *job)
{
    pthread_mutex_lock(&a->hub->lock);
    struct amqp_link *link = amqp_pool_find(a, service);
    if (link != NULL) {
        job->link = link;
        job->queued = true;
        link->n_open++;
        link->used_ms = timing_mono_ms();
        amqp_list_add(&link->queued, job);
        amqp_link_wake(link);
    }
    pthread_mutex_unlock(&a->hub->lock);
    return link != NULL;
}

/* Gives it to a link, or sees to it that it is answered. */
static void dispatch(struct amqp *a, const struct service *service, struct amqp_job *job)
{
    struct amqp_link *link;

    if (job->publication.body_len > AMQP_MAX_BODY) {
        snprintf(job->text, sizeof(job->text),
                 "policy: the message has %zu bytes, more than the %d that are sent",
                 job->publication.body_len, AMQP_MAX_BODY);
        refuse(a, job, OUTCOME_INVALID);
        return;
    }
    if (a->open_bytes > AMQP_OPEN_BYTES && a->n_open > 1) {
        snprintf(job->text, sizeof(job->text), "too many bytes are under way to AMQP services");
        refuse(a, job, OUTCOME_LOCAL);
        return;
    }
    if (enqueue(a, service, job)) {
        return;
    }
    int r = a->n_links < AMQP_LINKS_MAX ? amqp_pool_add(a, service, &link) : -EUSERS;
    if (r == 0 && enqueue(a, service, job)) {
        return;
    }
    if (r == -EUSERS) {
        amqp_pool_make_room(a);
    }
    snprintf(job->text, sizeof(job->text), "no connection can be started: %s", strerror(-r));
    refuse(a, job, OUTCOME_LOCAL);
}

static int amqp_send(struct transport *t, const struct request *request, transport_done *done,
                     void *context)
{
    struct amqp *a = amqp_of(t);
    struct amqp_job *job = amqp_job_new(request);

    if (job == NULL) {
        return -ENOMEM;
    }
    job->amqp = a;
    job->done = done;
    job->context = context;
    job->start_us = timing_mono_us();
    job->still_us = stillness_total_us(&a->stillness, job->start_us);
    if (start_timer(a, job) < 0) {
        if (job->timer != NULL) {
            event_free(job->timer);
        }
        amqp_job_free(job);
        return -ENOMEM;
    }
    TAILQ_INSERT_TAIL(&a->open, job, open);
    a->n_open++;
    a->open_bytes += job->size;
    dispatch(a, request->service, job);
    return 0;
}

static size_t amqp_open_count(const struct transport *t)
{
    return ((const struct amqp *)t)->n_open;
}

static size_t amqp_overdue_count(const struct transport *t)
{
    const struct amqp *a = (const struct amqp *)t;
    int64_t now_us = timing_mono_us();
    const struct amqp_job *job;
    size_t n = 0;

    for (job = TAILQ_FIRST(&a->open); job != NULL; job = TAILQ_NEXT(job, open)) {
        n += now_us - job->start_us > (job->timeout_ms + OVERDUE_MS) * 1000;
    }
    return n;
}

/* Answers what is under way now, not what done() may send meanwhile. */
static void amqp_cancel_all(struct transport *t)
{
    struct amqp *a = amqp_of(t);

    for (size_t n = a->n_open; n > 0 && a->n_open > 0; n--) {
        struct amqp_job *job = TAILQ_FIRST(&a->open);
        pthread_mutex_lock(&a->hub->lock);
        bool ours = take_back(job);
        pthread_mutex_unlock(&a->hub->lock);
        answer(a, job, OUTCOME_CANCELLED, "given up at shutdown");
        if (ours) {
            discard(a, job);
        }
    }
}

/* The end. */

/* A thread that is looking up a name or logging in holds no message; it ends by itself later. */
static void stop_links(struct amqp *a)
{
    struct amqp_links ended = TAILQ_HEAD_INITIALIZER(ended);
    int64_t start_ms = timing_mono_ms();
    struct amqp_link *link;
    int64_t past_ms = 0;

    pthread_mutex_lock(&a->hub->lock);
    for (link = TAILQ_FIRST(&a->links); link != NULL; link = TAILQ_NEXT(link, link)) {
        amqp_link_stop(link);
    }
    while (amqp_pool_running(a, past_ms > STOP_POLITELY_MS) > 0 && past_ms < STOP_MS) {
        amqp_hub_wait(a->hub, 50);
        past_ms = timing_mono_ms() - start_ms;
    }
    amqp_pool_collect(a, &ended);
    while ((link = TAILQ_FIRST(&a->links)) != NULL) {
        TAILQ_REMOVE(&a->links, link, link);
        link->orphaned = true;
        pthread_detach(link->thread);
    }
    pthread_mutex_unlock(&a->hub->lock);
    bury(a, &ended);
}

static void amqp_free(struct transport *t)
{
    struct amqp *a = amqp_of(t);
    struct amqp_job *job;

    if (a->hub != NULL) {
        amqp_cancel_all(t);
        stop_links(a);
        pthread_mutex_lock(&a->hub->lock);
        struct amqp_list finished = a->hub->finished;
        a->hub->finished = (struct amqp_list){0};
        pthread_mutex_unlock(&a->hub->lock);
        while ((job = amqp_list_take(&finished)) != NULL) {
            discard(a, job);
        }
        if (a->done_event != NULL) {
            event_free(a->done_event);
        }
        amqp_hub_release(a->hub);
    }
    stillness_stop(&a->stillness);
    free(a);
}

static const struct transport_ops amqp_ops = {
    .name = "amqp",
    .send = amqp_send,
    .open_count = amqp_open_count,
    .overdue_count = amqp_overdue_count,
    .cancel_all = amqp_cancel_all,
    .free = amqp_free,
};

int amqp_transport_new(struct event_base *base, const struct transport_settings *settings,
                       struct transport **ret_transport)
{
    struct amqp *a = calloc(1, sizeof(*a));

    if (a == NULL) {
        return -ENOMEM;
    }
    a->transport.ops = &amqp_ops;
    a->base = base;
    a->guard = settings->guard;
    TAILQ_INIT(&a->links);
    TAILQ_INIT(&a->open);
    a->hub = amqp_hub_new(settings);
    if (a->hub != NULL) {
        a->done_event = event_new(base, a->hub->done_fd, EV_READ | EV_PERSIST, on_done, a);
    }
    if (a->done_event == NULL || event_add(a->done_event, NULL) != 0 ||
        stillness_start(&a->stillness, base, timing_mono_us()) != 0) {
        amqp_free(&a->transport);
        return -ENOMEM;
    }
    *ret_transport = &a->transport;
    return 0;
}
