/*
 * The thread's side: from nothing to a connection with its channels and queues, and back. What an
 * attempt fails for is the answer to all that waits.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "common/timing.h"
#include "dispatcher/amqp_side.h"

enum {
    BACKOFF_MS = 250,
    BACKOFF_MAX_MS = 4000,
    STABLE_MS = 10000, /* a connection that lasted so long resets the pause */
};

/* The bus asks whether it may connect to an address, and the thread asks the loop, whose guard may
 * change. */
static int judge(void *context, const struct sockaddr *address, size_t len,
                 struct bus_error *ret_error)
{
    struct amqp_side *s = context;
    struct amqp_link *link = s->link;
    struct amqp_hub *hub = link->hub;

    pthread_mutex_lock(&hub->lock);
    memcpy(&link->address, address, len < sizeof(link->address) ? len : sizeof(link->address));
    link->asks = true;
    snprintf(link->refusal, sizeof(link->refusal), "the worker ends");
    eventfd_write(hub->done_fd, 1);
    while (link->asks && !link->stopping) {
        pthread_cond_wait(&hub->changed, &hub->lock);
    }
    bool refused = link->refusal[0] != '\0';
    snprintf(ret_error->text, sizeof(ret_error->text), "%s", link->refusal);
    pthread_mutex_unlock(&hub->lock);
    s->refused += refused;
    s->allowed += !refused;
    return refused ? -EPERM : 0;
}

static void schedule_attempt(struct amqp_side *s)
{
    s->attempt++;
    s->next_attempt_ms = timing_mono_ms() + timing_backoff_ms(s->attempt, BACKOFF_MS,
                                                              BACKOFF_MAX_MS, timing_random(1000));
}

/* What waits is answered; failure: for time-outs until the next attempt, as the loop sees them. */
static void fail_queued(struct amqp_side *s, enum outcome_kind kind, const char *text)
{
    struct amqp_link *link = s->link;
    struct amqp_list queued;
    struct amqp_job *job;

    s->used_ms = s->now_ms; /* while it is wanted, the thread and its pause stay */
    pthread_mutex_lock(&link->hub->lock);
    queued = link->queued;
    link->queued = (struct amqp_list){0};
    for (job = queued.first; job != NULL; job = job->next) {
        job->queued = false;
    }
    snprintf(link->failure, sizeof(link->failure), "%s", text);
    pthread_mutex_unlock(&link->hub->lock);
    while ((job = amqp_list_take(&queued)) != NULL) {
        amqp_side_finish(s, job, kind, text);
    }
}

static void set_bus(struct amqp_side *s, struct bus *bus)
{
    struct amqp_link *link = s->link;

    pthread_mutex_lock(&link->hub->lock);
    s->bus = link->bus = bus;
    link->blocked = link->overdue = false;
    if (bus != NULL) {
        link->failure[0] = '\0';
    }
    pthread_mutex_unlock(&link->hub->lock);
    s->blocked = false;
}

/* The connection is lost, or given up: everything under way is answered. */
void amqp_side_disconnect(struct amqp_side *s, const char *why)
{
    struct bus *bus = s->bus;
    struct amqp_job *job;
    char text[OUTCOME_TEXT_SIZE];

    pthread_mutex_lock(&s->link->hub->lock);
    bool overdue = s->link->overdue;
    pthread_mutex_unlock(&s->link->hub->lock);
    snprintf(text, sizeof(text), "%.90s: %.150s", s->link->shown,
             overdue ? "another message was not confirmed in time" : why);
    while ((job = amqp_list_take(&s->open)) != NULL) {
        amqp_side_finish(s, job, OUTCOME_LOST, text);
    }
    set_bus(s, NULL);
    bus_free(bus);
    if (s->now_ms - s->connected_ms > STABLE_MS) {
        s->attempt = 0;
    }
    schedule_attempt(s);
}

/* Whose fault it is that there is no connection. */
static enum outcome_kind kind_of(const struct amqp_side *s, int error, const char *text)
{
    if (s->refused > 0 && s->allowed == 0) {
        return OUTCOME_INVALID;
    }
    switch (-error) {
    case EACCES:
        return OUTCOME_ACCESS;
    case EKEYREJECTED:
        return OUTCOME_TLS;
    case EPROTO: /* a handshake that the network cut is no refusal */
        return strstr(text, "unexpected eof") != NULL ? OUTCOME_CONNECT : OUTCOME_TLS;
    case ENOENT: /* our file with authorities */
    case ENOMEM:
    case EMFILE:
    case ENFILE:
        return OUTCOME_LOCAL;
    case EINVAL:
        return OUTCOME_INVALID;
    default:
        return OUTCOME_CONNECT;
    }
}

/* Declares one queue. One that exists with other properties stays as it is: it is there. 0,
 * BUS_REFUSED or negative. */
static int declare(struct amqp_side *s, const char *queue, const char *dlq)
{
    const struct bus_field arguments[] = {
        {.name = "x-dead-letter-exchange", .text = ""},
        {.name = "x-dead-letter-routing-key", .text = dlq},
    };
    int rc;

    if (*queue == '\0') {
        return 0;
    }
    rc = bus_declare_queue(s->bus, AMQP_CHANNEL_DECLARE, queue, arguments, *dlq != '\0' ? 2 : 0);
    return rc == BUS_REFUSED && strstr(bus_reason(s->bus), ": 406 ") != NULL ? 0 : rc;
}

int amqp_side_declare(struct amqp_side *s)
{
    int rc = declare(s, s->link->dlq, "");

    s->declare_due = false;
    s->declared_ms = timing_mono_ms();
    return rc != 0 ? rc : declare(s, s->link->queue, s->link->dlq);
}

/* How long the first that waits would wait for a connection. */
static int time_to_connect(const struct amqp_side *s)
{
    int64_t ms = s->link->hub->connect_timeout_ms;

    pthread_mutex_lock(&s->link->hub->lock);
    const struct amqp_job *job = s->link->queued.first;
    if (job != NULL && job->timeout_ms < ms) {
        ms = job->timeout_ms;
    }
    pthread_mutex_unlock(&s->link->hub->lock);
    return (int)ms;
}

static int open_bus(struct amqp_side *s, struct bus_error *ret_error)
{
    const int timeout_ms = time_to_connect(s);
    const struct bus_options options = {
        .urls = s->link->url,
        .ca_file = s->link->hub->ca_file,
        .connection_name = s->link->name,
        .heartbeat_s = AMQP_HEARTBEAT_S,
        .connect_timeout_ms = timeout_ms,
        .rpc_timeout_ms = timeout_ms,
        .judge = judge,
        .judge_context = s,
    };
    struct bus_handlers handlers = amqp_side_handlers;
    struct bus *bus = NULL;

    handlers.context = s;
    int rc = bus_open(&options, 0, &handlers, &bus, ret_error);

    if (rc == 0) {
        set_bus(s, bus);
    }
    return rc;
}

/* Channels and queues on a new connection. */
static void set_up(struct amqp_side *s)
{
    int rc = bus_channel_open(s->bus, AMQP_CHANNEL_PUBLISH, true);
    char text[OUTCOME_TEXT_SIZE];

    if (rc == 0) {
        rc = bus_channel_open(s->bus, AMQP_CHANNEL_DECLARE, false);
    }
    if (rc == 0) {
        rc = amqp_side_declare(s);
    }
    if (rc == 0) {
        return;
    }
    snprintf(text, sizeof(text), "%.90s: %.150s", s->link->shown, bus_reason(s->bus));
    enum outcome_kind kind = rc == BUS_REFUSED ? OUTCOME_NACKED : OUTCOME_LOST;
    if (rc == BUS_REFUSED && strstr(text, ": 403 ") != NULL) {
        kind = OUTCOME_ACCESS;
    }
    amqp_side_disconnect(s, bus_reason(s->bus));
    fail_queued(s, kind, text);
}

void amqp_side_connect(struct amqp_side *s)
{
    struct bus_error error = {""};

    s->refused = s->allowed = 0;
    int rc = open_bus(s, &error);
    s->now_ms = s->connected_ms = timing_mono_ms();
    if (rc == 0) {
        set_up(s);
        return;
    }
    enum outcome_kind kind = kind_of(s, rc, error.text);
    schedule_attempt(s);
    fail_queued(s, kind, kind == OUTCOME_INVALID && s->refused > 0 ? s->link->refusal : error.text);
}
