/*
 * The thread's side: the connection of one service, publications under way on it.
 *
 * librabbitmq's log-in, RPCs and writes block, so all of that happens here. Channel 1 publishes in
 * confirm mode, channel 2 declares. The thread connects when there is something to send, with a
 * growing pause after failures in which what waits goes on waiting, up to its own time-out; what
 * an attempt fails for is the answer to all that waits. It ends when nothing was sent for a while.
 *
 * Time-outs are the loop's business: it takes back what was not sent yet, and breaks a connection
 * that owes a confirm, which also ends a write that the broker does not take.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "common/timing.h"
#include "dispatcher/amqp_side.h"

enum {
    BURST = 32, /* publications between two looks at the broker */
    TICK_MS = 1000,
    REDECLARE_MS = 1000, /* at most so often after a return */
    OPEN_MAX = 1000,
    NO_EXCHANGE = 404,
    NO_PERMISSION = 403,
};

void amqp_side_finish(struct amqp_side *s, struct amqp_job *job, enum outcome_kind kind,
                      const char *text)
{
    job->kind = kind;
    snprintf(job->text, sizeof(job->text), "%s", text);
    amqp_list_add(&s->finished, job);
}

/* Gives what is finished to the loop and wakes it. */
static void hand_over(struct amqp_side *s)
{
    struct amqp_hub *hub = s->link->hub;
    struct amqp_job *job;

    if (s->finished.first == NULL) {
        return;
    }
    pthread_mutex_lock(&hub->lock);
    while ((job = amqp_list_take(&s->finished)) != NULL) {
        job->finished = true;
        amqp_list_add(&hub->finished, job);
    }
    pthread_mutex_unlock(&hub->lock);
    eventfd_write(hub->done_fd, 1);
}

static struct amqp_job *find_open(const struct amqp_side *s, uint64_t number,
                                  struct amqp_job **ret_before)
{
    struct amqp_job *job = s->open.first;

    *ret_before = NULL;
    while (job != NULL && job->number != number) {
        *ret_before = job;
        job = job->next;
    }
    return job;
}

static void on_confirm(void *context, uint64_t number, bool ack)
{
    struct amqp_side *s = context;
    struct amqp_job *before;
    struct amqp_job *job = find_open(s, number, &before);

    if (job == NULL) {
        return;
    }
    amqp_list_remove(&s->open, before, job);
    if (!ack) {
        job->kind = OUTCOME_NACKED;
        snprintf(job->text, sizeof(job->text), "nack: exchange '%.90s', routing key '%.90s'",
                 job->publication.exchange, job->publication.routing_key);
    }
    amqp_list_add(&s->finished, job);
}

static void on_return(void *context, uint64_t number, int code, const char *text)
{
    struct amqp_side *s = context;
    struct amqp_job *before;
    struct amqp_job *job = find_open(s, number, &before);

    if (job != NULL) {
        job->kind = OUTCOME_UNROUTED;
        snprintf(job->text, sizeof(job->text), "%d %.30s: exchange '%.90s', routing key '%.90s'",
                 code, text, job->publication.exchange, job->publication.routing_key);
    }
    s->declare_due = true; /* somebody may have deleted the queue */
}

static bool quotes(const char *text, const char *name)
{
    char quoted[260];

    snprintf(quoted, sizeof(quoted), "'%s'", name);
    return strstr(text, quoted) != NULL;
}

/* The broker names what it disliked in quotes: the exchange, and the key where that decides. */
static bool is_culprit(const struct amqp_job *job, const char *text)
{
    const char *exchange = job->publication.exchange;

    if (!quotes(text, *exchange != '\0' ? exchange : "amq.default")) {
        return false;
    }
    return strstr(text, "topic '") == NULL || quotes(text, job->publication.routing_key);
}

static enum outcome_kind kind_of_closing(int code, const struct amqp_job *job, const char *text)
{
    if (code == NO_EXCHANGE && is_culprit(job, text)) {
        return OUTCOME_UNROUTED;
    }
    return code == NO_PERMISSION && is_culprit(job, text) ? OUTCOME_ACCESS : OUTCOME_LOST;
}

/* Nobody knows what became of what is open on the channel, except of what made the broker close
 * it. */
static void on_channel_closed(void *context, uint16_t channel, int code, const char *text)
{
    struct amqp_side *s = context;
    struct amqp_list open = s->open;
    struct amqp_job *job;
    char reason[OUTCOME_TEXT_SIZE];

    if (channel == AMQP_CHANNEL_PUBLISH) {
        s->open = (struct amqp_list){0};
        while ((job = amqp_list_take(&open)) != NULL) {
            const struct bus_publication *p = &job->publication;
            snprintf(reason, sizeof(reason), "%d %.80s: exchange '%.60s', routing key '%.60s'",
                     code, text, p->exchange, p->routing_key);
            amqp_side_finish(s, job, kind_of_closing(code, job, text), reason);
        }
    }
    /* A failure shows at the next use of the bus. */
    (void)!bus_channel_open(s->bus, channel, channel == AMQP_CHANNEL_PUBLISH);
}

static void on_blocked(void *context, bool blocked, const char *reason)
{
    struct amqp_side *s = context;
    struct amqp_link *link = s->link;

    s->blocked = blocked;
    pthread_mutex_lock(&link->hub->lock);
    link->blocked = blocked;
    snprintf(link->blocked_reason, sizeof(link->blocked_reason), "%s", reason);
    pthread_mutex_unlock(&link->hub->lock);
}

/* Whether the first of the queue may be sent now; the lock is held. */
static bool may_take(const struct amqp_side *s)
{
    return s->bus != NULL && !s->blocked && s->link->queued.first != NULL &&
           s->open.count < OPEN_MAX;
}

const struct bus_handlers amqp_side_handlers = {
    .on_confirm = on_confirm,
    .on_return = on_return,
    .on_channel_closed = on_channel_closed,
    .on_blocked = on_blocked,
};

static struct amqp_job *take_queued(struct amqp_side *s)
{
    struct amqp_link *link = s->link;
    struct amqp_job *job = NULL;

    pthread_mutex_lock(&link->hub->lock);
    if (!link->stopping && may_take(s)) {
        job = amqp_list_take(&link->queued);
        job->queued = false;
    }
    pthread_mutex_unlock(&link->hub->lock);
    return job;
}

static int publish(struct amqp_side *s, struct amqp_job *job)
{
    int rc = bus_publish(s->bus, AMQP_CHANNEL_PUBLISH, &job->publication, &job->number);

    s->used_ms = s->now_ms;
    if (rc == BUS_REFUSED) {
        amqp_side_finish(s, job, OUTCOME_INVALID, bus_reason(s->bus));
        return 0;
    }
    amqp_list_add(&s->open, job); /* also after a failure: amqp_side_disconnect() answers it */
    return rc;
}

/* Sends what may be sent; 0 or negative. */
static int send_queued(struct amqp_side *s)
{
    struct amqp_job *job;
    int rc = 0;

    if (s->declare_due && !s->blocked && s->now_ms - s->declared_ms >= REDECLARE_MS) {
        rc = amqp_side_declare(s);
        rc = rc < 0 ? rc : 0; /* a refusal shows as the next return */
    }
    for (int i = 0; rc == 0 && i < BURST && (job = take_queued(s)) != NULL; i++) {
        rc = publish(s, job);
    }
    return rc;
}

/* One round on the connection. */
static void work(struct amqp_side *s)
{
    s->now_ms = timing_mono_ms();
    if (bus_tick(s->bus) < 0 || send_queued(s) < 0) {
        amqp_side_disconnect(s, bus_reason(s->bus));
    }
    hand_over(s);
}

/* How long there is nothing to do; the lock is held. Sets ending when it was too long. */
static int time_to_sleep(struct amqp_side *s)
{
    struct amqp_link *link = s->link;
    int64_t now_ms = timing_mono_ms();
    int64_t left_ms = TICK_MS;

    if (link->queued.first == NULL && s->open.first == NULL) {
        link->ending = link->ending || now_ms - s->used_ms >= AMQP_IDLE_MS;
    } else if (s->bus == NULL) {
        left_ms = s->next_attempt_ms - now_ms;
    }
    if (link->stopping || link->ending || may_take(s) || (s->bus != NULL && bus_pending(s->bus)) ||
        left_ms < 0) {
        return 0;
    }
    return left_ms < TICK_MS ? (int)left_ms : TICK_MS;
}

/* Sleeps until something can be done. False: the thread ends. */
static bool wait_for_work(struct amqp_side *s)
{
    struct amqp_link *link = s->link;
    struct pollfd ready[2] = {
        {.fd = link->wake_fd, .events = POLLIN},
        {.fd = s->bus != NULL ? bus_fd(s->bus) : -1, .events = POLLIN},
    };
    eventfd_t count;

    pthread_mutex_lock(&link->hub->lock);
    int timeout_ms = time_to_sleep(s);
    bool go_on = !link->stopping && !link->ending;
    link->sleeping = timeout_ms > 0;
    pthread_mutex_unlock(&link->hub->lock);
    if (timeout_ms > 0) {
        poll(ready, 2, timeout_ms);
        eventfd_read(link->wake_fd, &count);
    }
    return go_on;
}

static bool wants_connection(const struct amqp_side *s)
{
    pthread_mutex_lock(&s->link->hub->lock);
    bool wanted = s->link->queued.first != NULL && !s->link->stopping;
    pthread_mutex_unlock(&s->link->hub->lock);
    return wanted && timing_mono_ms() >= s->next_attempt_ms;
}

void *amqp_link_thread(void *context)
{
    struct amqp_link *link = context;
    struct amqp_hub *hub = link->hub;
    struct amqp_side side = {.link = link, .used_ms = timing_mono_ms()};

    while (wait_for_work(&side)) {
        if (side.bus == NULL && wants_connection(&side)) {
            amqp_side_connect(&side);
        }
        if (side.bus != NULL) {
            work(&side);
        }
        hand_over(&side);
    }
    if (side.bus != NULL) {
        amqp_side_disconnect(&side, "the connection is closed by the worker");
    }
    hand_over(&side);
    pthread_mutex_lock(&hub->lock);
    bool orphaned = link->orphaned;
    link->ending = link->exited = true;
    pthread_cond_broadcast(&hub->changed);
    eventfd_write(hub->done_fd, 1);
    pthread_mutex_unlock(&hub->lock);
    if (orphaned) {
        amqp_link_free(link);
    }
    amqp_hub_release(hub);
    return NULL;
}
