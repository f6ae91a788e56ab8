#include <inttypes.h>
#include <string.h>

#include "dispatcher/catalog.h"
#include "dispatcher/retry.h"
#include "worker/ctl_base.h"
#include "worker/ctl_check.h"
#include "worker/ctl_report.h"
#include "worker/queues.h"

/* The checks under way. `lost` ends them: the broker answers no more. */
struct looking {
    struct ctl *c;
    struct ctl_report *report;
    bool lost;
};

/* A finding of the queues that retries wait in, of which there are too many for a line each. */
struct delays {
    unsigned there, differ, refused;
    char first[600]; /* of what is not as it should be */
};

enum state { THERE, MISSING, DIFFERS, REFUSED, LOST };

static const char *reason(const struct looking *l)
{
    return bus_reason(l->c->bus);
}

static enum state state_of(struct looking *l, int result)
{
    if (result == 0)
        return THERE;
    if (result < 0) {
        l->lost = true;
        return LOST;
    }
    return bus_refusal(l->c->bus) == BUS_CODE_NOT_FOUND ? MISSING
           : bus_refusal(l->c->bus) == BUS_CODE_DIFFERS ? DIFFERS
                                                        : REFUSED;
}

static enum state look_at_exchange(struct looking *l, const char *name, const char *kind)
{
    enum state s = state_of(l, bus_look_at_exchange(l->c->bus, CTL_CHANNEL, name));

    if (s == THERE) /* as it is, or it is refused */
        s = state_of(l, bus_declare_exchange(l->c->bus, CTL_CHANNEL, name, kind));
    if (s == THERE)
        s = state_of(l, bus_may_use_exchange(l->c->bus, CTL_CHANNEL, name));
    return s;
}

static void check_exchange(struct looking *l, const char *name, const char *kind)
{
    char what[NAME_SIZE + 16];

    if (l->lost)
        return;
    snprintf(what, sizeof what, "exchange %s", name);
    switch (look_at_exchange(l, name, kind)) {
    case THERE:
        ctl_report_add(l->report, CTL_OK, what, "%s, and may be declared, written and read", kind);
        break;
    case MISSING:
        ctl_report_add(l->report, CTL_WARN, what, "is not there; the fleet declares it");
        break;
    case DIFFERS:
        ctl_report_add(l->report, CTL_DOWN, what,
                       "%s; delete it when nobody publishes: the fleet declares it anew",
                       reason(l));
        break;
    case REFUSED:
        ctl_report_add(l->report, CTL_DOWN, what, "%s; rabbitmqctl set_permissions grants it",
                       reason(l));
        break;
    case LOST:
        ctl_report_add(l->report, CTL_DOWN, what, "%s", reason(l));
        break;
    }
}

/* A look first: what is not there must not be made. `differs` is told apart from other refusals by
 * the declaration alone; what follows it are rights. */
static enum state look_at_queue(struct looking *l, const struct queue *q, char *ret_reason,
                                size_t size)
{
    struct bus *bus = l->c->bus;
    uint32_t messages;
    uint32_t consumers;
    enum state s = state_of(l, bus_queue_depth(bus, CTL_CHANNEL, q->name, &messages, &consumers));
    bool differs = false;

    if (s == THERE) {
        s = state_of(l, queue_declare(bus, CTL_CHANNEL, q));
        differs = s == DIFFERS;
        snprintf(ret_reason, size, "%s", reason(l));
    }
    if (s == THERE || differs)
        s = state_of(l, bus_unbind(bus, CTL_CHANNEL, q->name, q->exchange, "no such binding"));
    if (s == THERE)
        s = state_of(l, bus_may_consume(bus, CTL_CHANNEL, q->name));
    if (s != THERE)
        snprintf(ret_reason, size, "%s", reason(l));
    return s == THERE && differs ? DIFFERS : s;
}

static void check_queue(struct looking *l, const struct queue *q, bool wanted)
{
    char what[NAME_SIZE + 16];
    char why[600];

    if (l->lost)
        return;
    snprintf(what, sizeof what, "queue %s", q->name);
    switch (look_at_queue(l, q, why, sizeof why)) {
    case THERE:
        ctl_report_add(l->report, CTL_OK, what, "is as this version declares it");
        break;
    case MISSING:
        if (wanted)
            ctl_report_add(l->report, CTL_WARN, what, "is not there; the fleet declares it");
        break;
    case DIFFERS:
        ctl_report_add(l->report, CTL_WARN, what, "%s; the fleet uses it as it is; " QUEUE_ADVICE,
                       why);
        break;
    case REFUSED:
        ctl_report_add(l->report, CTL_DOWN, what, "%s; rabbitmqctl set_permissions grants it", why);
        break;
    case LOST:
        ctl_report_add(l->report, CTL_DOWN, what, "%s", why);
        break;
    }
}

static void count_delay(struct looking *l, struct delays *d, int64_t delay_ms)
{
    struct queue q;
    char why[sizeof d->first];
    enum state s;

    queue_of_delay(&q, &l->c->names, delay_ms);
    s = look_at_queue(l, &q, why, sizeof why);
    d->there += s == THERE;
    d->differ += s == DIFFERS;
    d->refused += s == REFUSED || s == LOST;
    if (s != THERE && s != MISSING && !*d->first)
        snprintf(d->first, sizeof d->first, "%s", why);
}

static void check_delays(struct looking *l)
{
    struct delays d = {0};

    for (unsigned i = 0; i < RETRY_GRID_STEPS && !l->lost; i++)
        count_delay(l, &d, retry_grid_at(i));
    if (d.refused > 0)
        ctl_report_add(l->report, CTL_DOWN, "queues of retries", "%u cannot be used: %s", d.refused,
                       d.first);
    if (d.differ > 0)
        ctl_report_add(l->report, CTL_WARN, "queues of retries",
                       "%u of other arguments, the first: %s; the fleet uses them as they "
                       "are; " QUEUE_ADVICE,
                       d.differ, d.first);
    if (d.refused == 0 && d.differ == 0)
        ctl_report_add(l->report, d.there == RETRY_GRID_STEPS ? CTL_OK : CTL_WARN,
                       "queues of retries", "%u of %d are as this version declares them%s", d.there,
                       RETRY_GRID_STEPS,
                       d.there == RETRY_GRID_STEPS ? "" : "; the fleet declares the others");
}

/* Hints come by a queue of the process's own. */
static void check_own_queue(struct looking *l)
{
    char name[256];
    enum state s =
        state_of(l, bus_declare_private_queue(l->c->bus, CTL_CHANNEL, name, sizeof name));

    if (s == THERE)
        ctl_report_add(l->report, CTL_OK, "virtual host", "queues of our own may be declared");
    else
        ctl_report_add(l->report, CTL_DOWN, "virtual host",
                       "%s; each process needs a queue of its own", reason(l));
}

static void check_services(struct looking *l, const struct catalog *catalog)
{
    for (size_t i = 0; i < catalog_service_count(catalog); i++) {
        const struct service *s = catalog_service_at(catalog, i);
        struct queue q;

        queue_of_service(&q, &l->c->names, s->id);
        check_queue(l, &q, s->enabled);
        queue_of_dead(&q, &l->c->names, s->id);
        check_queue(l, &q, s->enabled);
    }
}

void ctl_check_broker(struct ctl *c, struct ctl_report *report, const struct catalog *catalog)
{
    struct looking l = {.c = c, .report = report};

    if (ctl_open_bus(c) < 0) {
        ctl_report_add(report, CTL_DOWN, "broker", "%s", ctl_bare_reason(c));
        return;
    }
    ctl_report_add(report, CTL_OK, "broker", "connected to %s", bus_peer(c->bus));
    check_own_queue(&l);
    check_exchange(&l, c->names.events, "topic");
    check_exchange(&l, c->names.redeliver, "direct");
    check_exchange(&l, c->names.delay, "direct");
    check_exchange(&l, c->names.dead, "direct");
    check_exchange(&l, c->names.control, "fanout");
    if (catalog)
        check_services(&l, catalog);
    check_delays(&l);
}
