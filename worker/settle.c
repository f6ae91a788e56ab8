#include "worker/settle.h"

#include <errno.h>
#include <event2/event.h>

#include "common/timing.h"

enum { BEHIND_MS = 100 };

static const struct timeval flush_delay = {.tv_usec = 5000};
static const struct timeval behind_delay = {.tv_usec = BEHIND_MS * 1000L};

static int flush(struct settler *s, bool all);

static void on_timer(evutil_socket_t fd, short what, void *context)
{
    struct settler *s = context;

    (void)fd;
    (void)what;
    s->flushed(s->context, flush(s, false));
}

int settler_init(struct settler *s, struct event_base *base, settler_flushed *flushed,
                 void *context)
{
    *s = (struct settler){.batch = 1, .flushed = flushed, .context = context};
    ackwindow_init(&s->window);
    s->timer = evtimer_new(base, on_timer, s);
    return s->timer ? 0 : -ENOMEM;
}

void settler_release(struct settler *s)
{
    if (s->timer)
        event_free(s->timer);
    s->timer = NULL;
    ackwindow_release(&s->window);
}

void settler_attach(struct settler *s, struct bus *bus, uint16_t channel, unsigned prefetch)
{
    s->bus = bus;
    s->channel = channel;
    settler_set_prefetch(s, prefetch);
    ackwindow_restart(&s->window);
}

void settler_set_prefetch(struct settler *s, unsigned prefetch)
{
    s->batch = prefetch >= 8 ? prefetch / 4 : 1;
}

void settler_detach(struct settler *s)
{
    s->bus = NULL;
    s->epoch++;
    s->scheduled = false;
    s->fresh = 0;
    s->front = 0;
    evtimer_del(s->timer);
    ackwindow_restart(&s->window);
}

int settler_took(struct settler *s, uint64_t tag)
{
    return ackwindow_delivered(&s->window, tag);
}

bool settler_is_stale(const struct settler *s, unsigned epoch)
{
    return !s->bus || s->epoch != epoch;
}

/* The flush runs from the loop, never from inside of the bus or the transport. */
static void schedule(struct settler *s)
{
    if (s->fresh >= s->batch) {
        s->fresh = 0; /* once */
        event_active(s->timer, EV_TIMEOUT, 0);
        s->scheduled = true;
    } else if (!s->scheduled) {
        evtimer_add(s->timer, &flush_delay);
        s->scheduled = true;
    }
}

void settler_done(struct settler *s, unsigned epoch, uint64_t tag)
{
    if (settler_is_stale(s, epoch))
        return;
    ackwindow_settled(&s->window, tag);
    s->fresh++;
    schedule(s);
}

static void reject(struct settler *s, unsigned epoch, uint64_t tag, bool requeue)
{
    int r;

    if (settler_is_stale(s, epoch))
        return;
    ackwindow_told(&s->window, tag);
    r = bus_reject(s->bus, s->channel, tag, requeue);
    if (r < 0)
        s->flushed(s->context, r);
}

void settler_give_back(struct settler *s, unsigned epoch, uint64_t tag)
{
    reject(s, epoch, tag, true);
}

void settler_reject(struct settler *s, unsigned epoch, uint64_t tag)
{
    reject(s, epoch, tag, false);
}

static int send_ack(void *context, uint64_t tag, bool multiple)
{
    struct settler *s = context;

    return bus_ack(s->bus, s->channel, tag, multiple);
}

/* Whether to spend a frame on each of those that lie behind the first open delivery. */
static bool held_for_long(struct settler *s)
{
    int64_t now_ms = timing_mono_ms();

    if (s->front != s->window.first) {
        s->front = s->window.first;
        s->front_ms = now_ms;
    }
    return s->window.settled >= 2 * s->batch || now_ms - s->front_ms >= BEHIND_MS;
}

static int flush(struct settler *s, bool all)
{
    int r;

    s->scheduled = false;
    s->fresh = 0;
    if (!s->bus)
        return 0;
    r = ackwindow_flush(&s->window, all, send_ack, s);
    if (r == 0 && !all && s->window.settled > 0 && held_for_long(s))
        r = ackwindow_flush(&s->window, true, send_ack, s);
    if (r == 0 && s->window.settled > 0) {
        s->scheduled = true;
        evtimer_add(s->timer, &behind_delay);
    }
    return r;
}

int settler_flush_all(struct settler *s)
{
    return flush(s, true);
}

int settle_hint(struct bus *bus, const struct bus_message *hint)
{
    return bus_ack(bus, hint->channel, hint->tag, false);
}

struct channel_of {
    struct bus *bus;
    uint16_t channel;
};

static int ack_on(void *context, uint64_t tag, bool multiple)
{
    const struct channel_of *c = context;

    return bus_ack(c->bus, c->channel, tag, multiple);
}

int settle_window(struct bus *bus, uint16_t channel, struct ackwindow *window, bool all)
{
    struct channel_of c = {bus, channel};

    return ackwindow_flush(window, all, ack_on, &c);
}
