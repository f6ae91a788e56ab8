/*
 * The thread's side: one connection after the other, publications under way, calls.
 *
 * Channel 1 publishes in confirm mode, channel 2 runs the calls. After some publications the
 * thread looks at what the broker says, so that it stops soon after an alarm.
 */
#include "common/timing.h"
#include "worker/publisher_impl.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

enum {
    CHANNEL_PUBLISH = 1,
    CHANNEL_CALLS = 2,
    BURST = 32, /* publications between two looks at the broker */
    TICK_MS = 1000,
    BACKOFF_MS = 500,
    BACKOFF_MAX_MS = 4000,
    STABLE_MS = 10000, /* a connection that lasted so long resets the backoff */
    NO_EXCHANGE = 404,
    NO_PERMISSION = 403,
};

/* What only the thread touches. */
struct side {
    struct publisher *p;
    struct bus *bus;
    struct publisher_list open;     /* under way, by number */
    struct publisher_list finished; /* not yet handed to the loop */
    unsigned attempt;
    unsigned url;
    int64_t now_ms;
    int64_t next_attempt_ms;
    int64_t connected_ms;
    int64_t unblocked_ms;
    bool blocked;
    struct bus_error last_failure;
};

static void finish(struct side *s, struct publisher_job *job, enum publish_result result,
                   const char *reason)
{
    job->result = result;
    if (job->reason[0] == '\0') {
        snprintf(job->reason, sizeof(job->reason), "%s", reason);
    }
    publisher_list_add(&s->finished, job);
}

/* Gives what is finished to the loop and wakes it; changed: there is news of the connection. */
static void hand_over(struct side *s, bool changed)
{
    if (s->finished.first == NULL && !changed) {
        return;
    }
    pthread_mutex_lock(&s->p->lock);
    publisher_list_join(&s->p->finished, &s->finished);
    pthread_mutex_unlock(&s->p->lock);
    eventfd_write(s->p->done_fd, 1);
}

static void tell_connection(struct side *s, bool connected, const char *text)
{
    struct publisher_state *state = &s->p->state;

    pthread_mutex_lock(&s->p->lock);
    s->p->bus = connected ? s->bus : NULL;
    if (state->connected && !connected) {
        state->losses++;
        snprintf(state->lost_text, sizeof(state->lost_text), "%s", text);
    }
    state->connected = connected;
    state->blocked = false;
    state->changes++;
    snprintf(state->text, sizeof(state->text), "%s", text);
    pthread_mutex_unlock(&s->p->lock);
    hand_over(s, true);
}

static void on_blocked(void *context, bool blocked, const char *reason)
{
    struct side *s = context;
    struct publisher_state *state = &s->p->state;

    s->blocked = blocked;
    s->unblocked_ms = timing_mono_ms();
    pthread_mutex_lock(&s->p->lock);
    state->blocked = blocked;
    snprintf(state->blocked_reason, sizeof(state->blocked_reason), "%s", reason);
    pthread_mutex_unlock(&s->p->lock);
    hand_over(s, true);
}

static struct publisher_job *find_open(const struct side *s, uint64_t number)
{
    struct publisher_job *job = s->open.first;

    while (job != NULL && job->number != number) {
        job = job->next;
    }
    return job;
}

/* Takes the job with that number off the list; confirms come nearly in order, so it is short. */
static struct publisher_job *take_open(struct side *s, uint64_t number)
{
    struct publisher_list *open = &s->open;
    struct publisher_job *before = NULL;
    struct publisher_job *job = open->first;

    while (job != NULL && job->number != number) {
        before = job;
        job = job->next;
    }
    if (job == NULL || before == NULL) {
        return job != NULL ? publisher_list_take(open) : NULL;
    }
    before->next = job->next;
    if (open->last == job) {
        open->last = before;
    }
    open->count--;
    open->bytes -= job->size;
    return job;
}

static void on_confirm(void *context, uint64_t number, bool ack)
{
    struct side *s = context;
    struct publisher_job *job = take_open(s, number);

    if (job == NULL) {
        return;
    }
    if (!ack) {
        finish(s, job, PUBLISH_NACKED, "refused by the broker (nack)");
    } else {
        finish(s, job, job->result, "");
    }
}

static void on_return(void *context, uint64_t number, int code, const char *text)
{
    struct publisher_job *job = find_open(context, number);

    if (job != NULL) {
        job->result = PUBLISH_RETURNED;
        snprintf(job->reason, sizeof(job->reason), "%d %.40s: exchange '%.80s', key '%.80s'", code,
                 text, job->publication.exchange, job->publication.routing_key);
    }
}

/* The broker names the exchange that caused it in quotes. */
static bool is_culprit(const struct publisher_job *job, const char *text)
{
    char quoted[260];

    snprintf(quoted, sizeof(quoted), "'%s'", job->publication.exchange);
    return job->publication.exchange[0] != '\0' && strstr(text, quoted) != NULL;
}

/* Without the confirm channel nobody knows what became of what is open on it, except of the
 * publication that made the broker close it. */
static void on_channel_closed(void *context, uint16_t channel, int code, const char *text)
{
    struct side *s = context;
    struct publisher_list open = s->open;
    struct publisher_job *job;
    char reason[PUBLISHER_REASON];

    snprintf(reason, sizeof(reason), "channel closed by the broker: %d %s", code, text);
    if (channel == CHANNEL_PUBLISH) {
        s->open = (struct publisher_list){0};
        while ((job = publisher_list_take(&open)) != NULL) {
            enum publish_result result = PUBLISH_LOST;
            if (code == NO_EXCHANGE && is_culprit(job, text)) {
                result = PUBLISH_RETURNED;
            } else if (code == NO_PERMISSION && is_culprit(job, text)) {
                result = PUBLISH_NACKED;
            }
            finish(s, job, result, reason);
        }
    }
    /* A failure shows at the next use of the bus. */
    (void)!bus_channel_open(s->bus, channel, channel == CHANNEL_PUBLISH);
}

static void schedule_attempt(struct side *s)
{
    s->attempt++;
    s->url++;
    s->next_attempt_ms = timing_mono_ms() + timing_backoff_ms(s->attempt, BACKOFF_MS,
                                                              BACKOFF_MAX_MS, timing_random(1000));
}

/* The connection is lost, or given up: everything under way is answered. */
static void disconnect(struct side *s, const char *why)
{
    struct publisher_job *job;
    char reason[PUBLISHER_REASON];

    snprintf(reason, sizeof(reason), "%s: %s", bus_peer(s->bus), why);
    while ((job = publisher_list_take(&s->open)) != NULL) {
        job->reason[0] = '\0';
        finish(s, job, PUBLISH_LOST, reason);
    }
    tell_connection(s, false, reason);
    bus_free(s->bus);
    s->bus = NULL;
    s->blocked = false;
    snprintf(s->last_failure.text, sizeof(s->last_failure.text), "%s", reason);
    if (s->now_ms - s->connected_ms > STABLE_MS) {
        s->attempt = 0;
    }
    schedule_attempt(s);
}

static void connect_now(struct side *s)
{
    const struct bus_handlers handlers = {
        .context = s,
        .on_confirm = on_confirm,
        .on_return = on_return,
        .on_channel_closed = on_channel_closed,
        .on_blocked = on_blocked,
    };
    struct bus_error error = {""};
    int rc = bus_open(&s->p->options, s->url, &handlers, &s->bus, &error);

    if (rc < 0) {
        s->bus = NULL;
        if (strcmp(error.text, s->last_failure.text) != 0) {
            s->last_failure = error;
            tell_connection(s, false, error.text);
        }
        schedule_attempt(s);
        return;
    }
    s->now_ms = s->connected_ms = s->unblocked_ms = timing_mono_ms();
    tell_connection(s, true, bus_peer(s->bus));
    if (bus_channel_open(s->bus, CHANNEL_PUBLISH, true) < 0 ||
        bus_channel_open(s->bus, CHANNEL_CALLS, false) < 0) {
        disconnect(s, bus_reason(s->bus));
    }
}

/* Whether the first of the queue may be sent now. */
static bool may_take(const struct side *s, const struct publisher_job *job)
{
    if (s->bus == NULL || s->blocked || job == NULL) {
        return false;
    }
    return job->call != NULL || s->open.count == 0 ||
           (s->open.count < PUBLISHER_OPEN_MAX &&
            s->open.bytes + job->size <= PUBLISHER_OPEN_BYTES);
}

static struct publisher_job *take_queued(struct side *s)
{
    struct publisher_job *job = NULL;

    pthread_mutex_lock(&s->p->lock);
    if (!s->p->stopping && may_take(s, s->p->queued.first)) {
        job = publisher_list_take(&s->p->queued);
    }
    pthread_mutex_unlock(&s->p->lock);
    return job;
}

static int publish(struct side *s, struct publisher_job *job)
{
    int rc = bus_publish(s->bus, CHANNEL_PUBLISH, &job->publication, &job->number);

    job->result = PUBLISH_CONFIRMED; /* unless something else is heard */
    job->sent_ms = s->now_ms;
    if (rc == BUS_REFUSED) {
        finish(s, job, PUBLISH_NACKED, bus_reason(s->bus));
        return 0;
    }
    publisher_list_add(&s->open, job); /* also after a failure: disconnect() answers it */
    return rc;
}

static int run_call(struct side *s, struct publisher_job *job)
{
    int rc = job->call(s->bus, CHANNEL_CALLS, job->argument);

    job->call_result = rc;
    if (rc != 0) {
        snprintf(job->reason, sizeof(job->reason), "%s", bus_reason(s->bus));
    }
    publisher_list_add(&s->finished, job);
    return rc < 0 ? rc : 0;
}

/* Sends what may be sent; 0 or negative. */
static int send_queued(struct side *s)
{
    struct publisher_job *job;
    int rc = 0;

    for (int i = 0; rc == 0 && i < BURST && (job = take_queued(s)) != NULL; i++) {
        rc = job->call != NULL ? run_call(s, job) : publish(s, job);
    }
    return rc;
}

static bool confirm_overdue(const struct side *s)
{
    const struct publisher_job *oldest = s->open.first;

    if (oldest == NULL || s->blocked) {
        return false;
    }
    int64_t since = oldest->sent_ms > s->unblocked_ms ? oldest->sent_ms : s->unblocked_ms;
    return s->now_ms - since > PUBLISHER_CONFIRM_MS;
}

/* One round on the connection. */
static void work(struct side *s)
{
    s->now_ms = timing_mono_ms();
    if (bus_tick(s->bus) < 0 || send_queued(s) < 0) {
        disconnect(s, bus_reason(s->bus));
    } else if (confirm_overdue(s)) {
        disconnect(s, "a publication was not confirmed in time");
    }
    hand_over(s, false);
}

/* Sleeps until something can be done. False: the publisher stops. */
static bool wait_for_work(struct side *s)
{
    struct pollfd ready[2] = {
        {.fd = s->p->wake_fd, .events = POLLIN},
        {.fd = s->bus != NULL ? bus_fd(s->bus) : -1, .events = POLLIN},
    };
    int timeout_ms = TICK_MS;
    eventfd_t count;

    if (s->bus == NULL) {
        int64_t left = s->next_attempt_ms - timing_mono_ms();
        timeout_ms = left > 0 ? (int)left : 0;
    } else if (bus_pending(s->bus)) {
        timeout_ms = 0;
    }
    pthread_mutex_lock(&s->p->lock);
    bool go_on = !s->p->stopping;
    if (!go_on || may_take(s, s->p->queued.first)) {
        timeout_ms = 0;
    }
    s->p->sleeping = timeout_ms > 0;
    pthread_mutex_unlock(&s->p->lock);
    if (timeout_ms > 0) {
        poll(ready, 2, timeout_ms);
        eventfd_read(s->p->wake_fd, &count);
    }
    return go_on;
}

void *publisher_thread(void *publisher)
{
    struct side side = {.p = publisher};

    while (wait_for_work(&side)) {
        if (side.bus == NULL && timing_mono_ms() >= side.next_attempt_ms) {
            connect_now(&side);
        }
        if (side.bus != NULL) {
            work(&side);
        }
    }
    if (side.bus != NULL) {
        disconnect(&side, "the publisher stops");
    }
    pthread_mutex_lock(&side.p->lock);
    side.p->exited = true;
    pthread_cond_broadcast(&side.p->changed);
    pthread_mutex_unlock(&side.p->lock);
    publisher_release(side.p);
    return NULL;
}
