#include "worker/connector.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { STACK_BYTES = 512 * 1024 };

/*
 * One attempt, shared by the thread and the loop: each drops its share, the last one frees. A
 * connector that goes away first just drops its share; nobody waits for a hung log-in.
 */
struct attempt {
    atomic_int shares;
    int wake_fd;
    struct bus_options options;
    const char *control_exchange;
    unsigned start;
    struct bus *bus; /* the result; owned by the attempt until the loop takes it */
    struct bus_error error;
};

struct connector {
    struct event_base *base;
    struct bus_options options;
    const char *control_exchange;
    connector_done *done;
    void *context;
    struct attempt *attempt; /* under way, or NULL */
    struct event *wake;
};

static void attempt_drop(struct attempt *a)
{
    if (atomic_fetch_sub(&a->shares, 1) > 1)
        return;
    bus_free(a->bus);
    close(a->wake_fd);
    free(a);
}

/* The hints are a convenience: when the broker refuses them, polling still finds changes. */
static int listen_for_hints(struct bus *bus, const char *exchange)
{
    char queue[256];
    int r = bus_channel_open(bus, CONTROL_CHANNEL, false);

    if (r == 0)
        r = bus_declare_exchange(bus, CONTROL_CHANNEL, exchange, "fanout");
    if (r == 0)
        r = bus_declare_private_queue(bus, CONTROL_CHANNEL, queue, sizeof queue);
    if (r == 0)
        r = bus_bind(bus, CONTROL_CHANNEL, queue, exchange, "");
    if (r == 0)
        r = bus_consume(bus, CONTROL_CHANNEL, queue, "control", true);
    return r == BUS_REFUSED ? 0 : r;
}

static void *connector_thread(void *argument)
{
    static const struct bus_handlers none = {0};
    struct attempt *a = argument;
    struct bus *bus = NULL;
    uint64_t one = 1;

    if (bus_open(&a->options, a->start, &none, &bus, &a->error) == 0 &&
        listen_for_hints(bus, a->control_exchange) < 0) {
        snprintf(a->error.text, sizeof a->error.text, "%s: %.200s", bus_peer(bus), bus_reason(bus));
        bus_free(bus);
        bus = NULL;
    }
    a->bus = bus;
    if (write(a->wake_fd, &one, sizeof one) < 0)
        a->error.text[0] = '\0'; /* an eventfd takes one more count always; nothing to tell */
    attempt_drop(a);
    return NULL;
}

static void on_wake(evutil_socket_t fd, short what, void *context)
{
    struct connector *c = context;
    struct attempt *a = c->attempt;
    struct bus *bus = a->bus;
    struct bus_error error = a->error;

    (void)fd;
    (void)what;
    a->bus = NULL;
    c->attempt = NULL;
    event_free(c->wake);
    c->wake = NULL;
    attempt_drop(a);
    c->done(c->context, bus, error.text);
}

int connector_new(struct event_base *base, const struct bus_options *options,
                  const char *control_exchange, connector_done *done, void *context,
                  struct connector **ret_connector)
{
    struct connector *c = calloc(1, sizeof *c);

    if (!c)
        return -ENOMEM;
    c->base = base;
    c->options = *options;
    c->control_exchange = control_exchange;
    c->done = done;
    c->context = context;
    *ret_connector = c;
    return 0;
}

static int start_thread(struct attempt *a)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int r = pthread_attr_init(&attributes);

    if (r != 0)
        return -r;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    r = pthread_create(&thread, &attributes, connector_thread, a);
    pthread_attr_destroy(&attributes);
    return -r;
}

static int watch(struct connector *c, struct attempt *a)
{
    c->wake = event_new(c->base, a->wake_fd, EV_READ, on_wake, c);
    if (!c->wake)
        return -ENOMEM;
    return event_add(c->wake, NULL) == 0 ? 0 : -ENOMEM;
}

int connector_start(struct connector *c, unsigned start)
{
    struct attempt *a;
    int r;

    if (c->attempt)
        return -EBUSY;
    a = calloc(1, sizeof *a);
    if (!a)
        return -ENOMEM;
    atomic_init(&a->shares, 2);
    a->options = c->options;
    a->control_exchange = c->control_exchange;
    a->start = start;
    a->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (a->wake_fd < 0) {
        r = -errno;
        free(a);
        return r;
    }
    r = watch(c, a);
    if (r == 0)
        r = start_thread(a);
    if (r < 0) {
        if (c->wake)
            event_free(c->wake);
        c->wake = NULL;
        atomic_store(&a->shares, 1);
        attempt_drop(a);
        return r;
    }
    c->attempt = a;
    return 0;
}

void connector_free(struct connector *c)
{
    if (!c)
        return;
    if (c->wake)
        event_free(c->wake);
    if (c->attempt)
        attempt_drop(c->attempt);
    free(c);
}
