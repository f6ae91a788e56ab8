#include "worker/settle.h"

#include <errno.h>
#include <event2/event.h>

static const struct timeval flush_delay = {.tv_sec = 0, .tv_usec = 5000};

static void on_timer(evutil_socket_t fd, short what, void *context)
{
    struct settler *s = context;

    (void)fd;
    (void)what;
    s->flushed(s->context, settler_flush(s));
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
    if (s->window.settled >= s->batch) {
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

int settler_flush(struct settler *s)
{
    int r;

    s->scheduled = false;
    if (!s->bus)
        return 0;
    r = ackwindow_flush(&s->window, send_ack, s);
    if (r == 0 && s->window.settled > 0)
        schedule(s);
    return r;
}

int settle_hint(struct bus *bus, const struct bus_message *hint)
{
    return bus_ack(bus, hint->channel, hint->tag, false);
}
