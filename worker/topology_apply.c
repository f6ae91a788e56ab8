#include "worker/topology_apply.h"

#include <stdio.h>

#include "dispatcher/retry.h"
#include "worker/queues.h"

_Static_assert(sizeof((struct topology_item){0}.note) == QUEUE_NOTE_SIZE, "a note fits");

static int declare_exchanges(struct bus *bus, uint16_t channel, const struct names *names)
{
    int r = bus_declare_exchange(bus, channel, names->events, "topic");

    if (r == 0)
        r = bus_declare_exchange(bus, channel, names->redeliver, "direct");
    if (r == 0)
        r = bus_declare_exchange(bus, channel, names->delay, "direct");
    if (r == 0)
        r = bus_declare_exchange(bus, channel, names->dead, "direct");
    if (r == 0)
        r = bus_declare_exchange(bus, channel, names->control, "fanout");
    return r;
}

int topology_apply_delays(struct bus *bus, uint16_t channel, const struct names *names,
                          struct topology_delays *ret_delays)
{
    int r = bus_declare_exchange(bus, channel, names->redeliver, "direct");

    *ret_delays = (struct topology_delays){0};
    if (r == 0)
        r = bus_declare_exchange(bus, channel, names->delay, "direct");
    for (unsigned i = 0; r == 0 && i < RETRY_GRID_STEPS; i++) {
        char note[QUEUE_NOTE_SIZE] = "";
        struct queue queue;

        queue_of_delay(&queue, names, retry_grid_at(i));
        r = queue_make(bus, channel, &queue, note);
        if (r == BUS_REFUSED) /* those who publish to it will tell */
            r = 0;
        if (note[0] && ret_delays->differ++ == 0)
            snprintf(ret_delays->note, sizeof ret_delays->note, "%s", note);
    }
    return r;
}

/* The dead-letter side first: a service queue never exists without a place for its rejects. */
static int declare_service(struct bus *bus, uint16_t channel, const struct names *names,
                           struct topology_item *item)
{
    struct queue queue;
    int r;

    queue_of_dead(&queue, names, item->service_id);
    r = queue_make(bus, channel, &queue, item->note);
    if (r == 0) {
        queue_of_service(&queue, names, item->service_id);
        r = queue_make(bus, channel, &queue, item->note);
    }
    item->differs = r == 0 && item->note[0];
    return r;
}

/* Deletes a queue that holds nothing; otherwise says so. */
static int delete_if_empty(struct bus *bus, uint16_t channel, const char *queue,
                           struct topology_item *item)
{
    uint32_t messages;
    uint32_t consumers;
    int r = bus_queue_depth(bus, channel, queue, &messages, &consumers);

    if (r == BUS_REFUSED)
        return 0; /* it is not there */
    if (r < 0)
        return r;
    if (messages == 0 && consumers == 0)
        return bus_delete_queue(bus, channel, queue);
    snprintf(item->note, sizeof item->note,
             "queue %.100s of a deleted service still has %u messages and %u consumers", queue,
             messages, consumers);
    return BUS_REFUSED;
}

static int retire(struct bus *bus, uint16_t channel, const struct names *names,
                  struct topology_item *item)
{
    char queue[NAME_SIZE];
    int r;

    names_service_queue(names, item->service_id, queue);
    r = delete_if_empty(bus, channel, queue, item); /* and with it its bindings */
    if (r != 0)
        return r;
    names_dead_queue(names, item->service_id, queue);
    return delete_if_empty(bus, channel, queue, item);
}

static int apply_item(struct bus *bus, uint16_t channel, const struct names *names,
                      struct topology_item *item)
{
    char queue[NAME_SIZE];

    names_service_queue(names, item->service_id, queue);
    switch (item->action) {
    case TOPOLOGY_DECLARE:
        return declare_service(bus, channel, names, item);
    case TOPOLOGY_BIND:
        return bus_bind(bus, channel, queue, names->events, item->key);
    case TOPOLOGY_UNBIND:
        return bus_unbind(bus, channel, queue, names->events, item->key);
    case TOPOLOGY_RETIRE:
        return retire(bus, channel, names, item);
    }
    return 0;
}

int topology_apply(struct bus *bus, uint16_t channel, const struct names *names,
                   struct topology_plan *plan)
{
    int r = declare_exchanges(bus, channel, names);

    for (size_t i = 0; r == 0 && i < plan->n; i++) {
        struct topology_item *item = &plan->items[i];

        r = apply_item(bus, channel, names, item);
        item->done = r == 0;
        if (r == BUS_REFUSED && item->note[0] == '\0')
            snprintf(item->note, sizeof item->note, "%.399s", bus_reason(bus));
        if (r == BUS_REFUSED)
            r = 0;
    }
    return r;
}
