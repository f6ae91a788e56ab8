#include "worker/deadlink.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "common/timing.h"
#include "worker/settle.h"

enum {
    /* The largest event that a worker can be told to accept, and a bit. Larger letters stay. */
    BODY_MAX = 16 * 1024 * 1024 + 1,
    CLOSE_MS = 5000,
    QUIET_MS = 100,
    TICK_MS = 500,
    HINT_PREFETCH = 100,
};

static void on_delivery(void *context, const struct bus_message *m)
{
    struct deadlink *d = context;

    if (m->channel == DEADLINK_CONTROL) {
        int r = settle_hint(d->in, m);
        (void)r; /* a lost connection shows at the next call */
        d->hinted = true;
        return;
    }
    d->open++;
    d->came_ms = timing_mono_ms();
    int r = ackwindow_delivered(&d->window, m->tag);
    if (r < 0)
        d->window_error = r;
    else if (d->hooks.on_letter)
        d->hooks.on_letter(d->hooks.context, m);
}

static void on_consuming(void *context, uint16_t channel)
{
    struct deadlink *d = context;

    if (channel == DEADLINK_LETTERS)
        d->consuming = true;
}

static void on_closed(void *context, uint16_t channel, int code, const char *text)
{
    struct deadlink *d = context;

    if (channel != DEADLINK_LETTERS)
        return;
    d->closed = true;
    if (code != 0)
        snprintf(d->reason, sizeof d->reason, "%d %.400s", code, text);
}

/* The exchange is missing, or may not be written to: without the channel nothing can be moved. */
static void on_publishing_closed(void *context, uint16_t channel, int code, const char *text)
{
    struct deadlink *d = context;

    if (channel != DEADLINK_PUBLISH)
        return;
    d->publish_error = -ENOENT;
    snprintf(d->reason, sizeof d->reason, "%d %.400s", code, text);
}

static void on_cancelled(void *context, uint16_t channel, const char *consumer_tag)
{
    struct deadlink *d = context;

    (void)consumer_tag;
    if (channel == DEADLINK_LETTERS) {
        d->cancelled = true;
        snprintf(d->reason, sizeof d->reason, "the queue was deleted or has lost its leader");
    }
}

static void on_return(void *context, uint64_t number, int code, const char *text)
{
    struct deadlink *d = context;

    (void)code, (void)text;
    if (d->n_returned < sizeof d->returned / sizeof d->returned[0])
        d->returned[d->n_returned++] = number;
}

static bool take_returned(struct deadlink *d, uint64_t number)
{
    for (size_t i = 0; i < d->n_returned; i++) {
        if (d->returned[i] != number)
            continue;
        d->returned[i] = d->returned[--d->n_returned];
        return true;
    }
    return false;
}

static void on_confirm(void *context, uint64_t number, bool ack)
{
    struct deadlink *d = context;
    bool returned = take_returned(d, number);

    if (d->hooks.on_confirm)
        d->hooks.on_confirm(d->hooks.context, number, ack && !returned);
}

static void on_blocked(void *context, bool blocked, const char *reason)
{
    struct deadlink *d = context;

    (void)reason;
    d->blocked = blocked;
}

int deadlink_failed(struct deadlink *d, const struct bus *bus, int result)
{
    snprintf(d->reason, sizeof d->reason, "%s", bus_reason(bus));
    return result;
}

static int open_hints(struct deadlink *d, const struct names *names)
{
    char queue[256];
    int r = bus_channel_open(d->in, DEADLINK_CONTROL, false);

    if (r == 0)
        r = bus_declare_exchange(d->in, DEADLINK_CONTROL, names->control, "fanout");
    if (r == 0)
        r = bus_declare_private_queue(d->in, DEADLINK_CONTROL, queue, sizeof queue);
    if (r == 0)
        r = bus_bind(d->in, DEADLINK_CONTROL, queue, names->control, "");
    if (r == 0)
        r = bus_qos(d->in, DEADLINK_CONTROL, HINT_PREFETCH);
    if (r == 0)
        r = bus_consume(d->in, DEADLINK_CONTROL, queue, "hints", true);
    return r == 0 ? 0 : deadlink_failed(d, d->in, r < 0 ? r : -EACCES);
}

static int open_publishing(struct deadlink *d)
{
    int r = bus_channel_open(d->out, DEADLINK_PUBLISH, true);

    if (r == 0)
        r = bus_channel_open(d->out, DEADLINK_ASK, false);
    return r == 0 ? 0 : deadlink_failed(d, d->out, r);
}

int deadlink_open(struct deadlink *d, const struct bus_options *options, const struct names *names)
{
    const struct bus_handlers in = {.context = d,
                                    .on_delivery = on_delivery,
                                    .on_consuming = on_consuming,
                                    .on_cancelled = on_cancelled,
                                    .on_channel_closed = on_closed};
    const struct bus_handlers out = {.context = d,
                                     .on_confirm = on_confirm,
                                     .on_return = on_return,
                                     .on_channel_closed = on_publishing_closed,
                                     .on_blocked = on_blocked};
    struct bus_error error;
    int r;

    *d = (struct deadlink){.closed = true};
    r = bus_open(options, 0, &in, &d->in, &error);
    if (r == 0)
        r = bus_open(options, 0, &out, &d->out, &error);
    if (r < 0) {
        snprintf(d->reason, sizeof d->reason, "%s", error.text);
        deadlink_close(d);
        return r;
    }
    bus_set_max_body(d->in, BODY_MAX);
    bus_keep_properties(d->in);
    r = open_hints(d, names);
    if (r == 0)
        r = open_publishing(d);
    if (r < 0)
        deadlink_close(d);
    return r;
}

void deadlink_close(struct deadlink *d)
{
    bus_free(d->in);
    bus_free(d->out);
    d->in = d->out = NULL;
    ackwindow_release(&d->window);
}

int deadlink_open_queue(struct deadlink *d, const char *queue, uint16_t prefetch,
                        const struct deadlink_hooks *hooks)
{
    char tag[32];
    int r = bus_channel_open(d->in, DEADLINK_LETTERS, false);

    snprintf(tag, sizeof tag, "replayer-%u", ++d->turn);
    snprintf(d->queue, sizeof d->queue, "%s", queue);
    d->prefetch = prefetch;
    d->open = 0;
    ackwindow_restart(&d->window);
    d->window_error = 0;
    d->hooks = *hooks;
    d->consuming = d->cancelled = d->closed = false;
    d->n_returned = 0;
    if (r == 0)
        r = bus_qos(d->in, DEADLINK_LETTERS, prefetch);
    if (r == 0)
        r = bus_consume(d->in, DEADLINK_LETTERS, queue, tag, true);
    return r == 0 ? 0 : deadlink_failed(d, d->in, r);
}

void deadlink_hold(struct deadlink *d, bool hold)
{
    d->held = hold;
    bus_hold(d->in, hold);
}

static int flush(struct deadlink *d, bool all)
{
    int r = d->closed ? 0 : settle_window(d->in, DEADLINK_LETTERS, &d->window, all);

    return r < 0 ? deadlink_failed(d, d->in, r) : 0;
}

void deadlink_settle(struct deadlink *d, uint64_t tag)
{
    ackwindow_settled(&d->window, tag);
    d->open--;
}

/* Whether the broker has sent all it may: what it sends to a channel that ends meanwhile goes to
 * the tail of the queue, but what the channel has goes back to the head. */
static int is_quiet(struct deadlink *d, bool *ret_quiet)
{
    uint32_t depth = 0;
    int r = 0;

    *ret_quiet = false;
    if (!d->consuming || timing_mono_ms() - d->came_ms < QUIET_MS)
        return 0;
    if (d->open < d->prefetch)
        r = deadlink_depth(d, d->queue, &depth);
    *ret_quiet = depth == 0;
    return r < 0 ? r : 0;
}

/* A channel that is closed before its consumer was heard of is never answered. */
static int wait_quiet(struct deadlink *d, int64_t end_ms)
{
    bool quiet = false;
    int r = flush(d, true);

    d->came_ms = timing_mono_ms();
    while (r == 0 && !quiet && !d->closed && !d->cancelled && timing_mono_ms() < end_ms) {
        r = deadlink_wait(d, QUIET_MS, -1);
        if (r == 0)
            r = is_quiet(d, &quiet);
    }
    return r;
}

int deadlink_close_queue(struct deadlink *d)
{
    int64_t end_ms = timing_mono_ms() + CLOSE_MS;
    int r;

    d->hooks = (struct deadlink_hooks){.context = NULL};
    deadlink_hold(d, false);
    r = wait_quiet(d, end_ms);
    if (r == 0 && !d->closed)
        r = bus_channel_close(d->in, DEADLINK_LETTERS);
    while (r == 0 && !d->closed && timing_mono_ms() < end_ms)
        r = deadlink_wait(d, TICK_MS, -1);
    return r < 0 ? r : d->closed ? 0 : -ETIMEDOUT;
}

static int drain(struct deadlink *d, struct bus *bus)
{
    int r = bus_drain(bus);

    return r < 0 ? deadlink_failed(d, bus, r) : 0;
}

int deadlink_wait(struct deadlink *d, int timeout_ms, int wake_fd)
{
    struct pollfd fds[] = {{.fd = bus_fd(d->out), .events = POLLIN},
                           {.fd = wake_fd, .events = POLLIN},
                           {.fd = bus_fd(d->in), .events = POLLIN}};
    bool waits = !bus_pending(d->in) && !bus_pending(d->out);
    /* One that stays open at the front must not hold up the others for ever. */
    int r = flush(d, d->window.settled >= DEADLINK_WINDOW / 4);

    if (r < 0)
        return r;
    /* While held, `in` is readable all the time and would only keep the loop busy. */
    if (d->held)
        fds[2].fd = -1;
    if (poll(fds, 3, waits ? (timeout_ms < TICK_MS ? timeout_ms : TICK_MS) : 0) < 0 &&
        errno != EINTR)
        return -errno;
    r = drain(d, d->out);
    if (r == 0)
        r = drain(d, d->in);
    if (r == 0)
        r = d->window_error < 0 ? d->window_error : d->publish_error;
    return r == 0 && (d->closed || d->cancelled) && d->hooks.on_letter ? -ENOENT : r;
}

int deadlink_depth(struct deadlink *d, const char *queue, uint32_t *ret_messages)
{
    uint32_t consumers;
    int r = bus_queue_depth(d->out, DEADLINK_ASK, queue, ret_messages, &consumers);

    return r == 0 ? 0 : deadlink_failed(d, d->out, r);
}
