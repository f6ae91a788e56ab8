#include "worker/topology_apply.h"

#include <stdio.h>

#include "dispatcher/retry.h"

enum { DELIVERY_LIMIT = 20 };

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

/*
 * One queue for each step of the grid: a time-to-live of the queue, not of the message, which would
 * wait behind those that live longer. What has waited goes on by the keys it was published with,
 * and the second of them is its service.
 */
static int declare_delay(struct bus *bus, uint16_t channel, const struct names *names,
                         int64_t delay_ms)
{
    const struct bus_field arguments[] = {
        {.name = "x-queue-type", .text = "quorum"},
        {.name = "x-message-ttl", .number = delay_ms},
        {.name = "x-dead-letter-exchange", .text = names->redeliver},
        {.name = "x-dead-letter-strategy", .text = "at-least-once"},
        {.name = "x-overflow", .text = "reject-publish"},
    };
    char queue[NAME_SIZE];
    char key[NAME_SIZE];
    int r;

    names_delay_queue(names, delay_ms, queue);
    names_delay_key(delay_ms, key);
    r = bus_declare_queue(bus, channel, queue, arguments, sizeof arguments / sizeof *arguments);
    if (r == 0)
        r = bus_bind(bus, channel, queue, names->delay, key);
    return r;
}

int topology_apply_delays(struct bus *bus, uint16_t channel, const struct names *names)
{
    int r = bus_declare_exchange(bus, channel, names->redeliver, "direct");

    if (r == 0)
        r = bus_declare_exchange(bus, channel, names->delay, "direct");
    for (unsigned i = 0; r == 0 && i < RETRY_GRID_STEPS; i++) {
        r = declare_delay(bus, channel, names, retry_grid_at(i));
        if (r == BUS_REFUSED) /* left by another version: those who publish to it will tell */
            r = 0;
    }
    return r;
}

/* The dead-letter side first: a service queue never exists without a place for its rejects. */
static int declare_dead(struct bus *bus, uint16_t channel, const struct names *names,
                        int64_t service_id)
{
    static const struct bus_field arguments[] = {{.name = "x-queue-type", .text = "quorum"}};
    char queue[NAME_SIZE];
    char key[NAME_SIZE];
    int r;

    names_dead_queue(names, service_id, queue);
    names_service_key(service_id, key);
    r = bus_declare_queue(bus, channel, queue, arguments, 1);
    if (r == 0)
        r = bus_bind(bus, channel, queue, names->dead, key);
    return r;
}

static int declare_service(struct bus *bus, uint16_t channel, const struct names *names,
                           int64_t service_id)
{
    char queue[NAME_SIZE];
    char key[NAME_SIZE];
    int r = declare_dead(bus, channel, names, service_id);

    names_service_queue(names, service_id, queue);
    names_service_key(service_id, key);
    if (r == 0) {
        const struct bus_field arguments[] = {
            {.name = "x-queue-type", .text = "quorum"},
            {.name = "x-delivery-limit", .number = DELIVERY_LIMIT},
            {.name = "x-dead-letter-exchange", .text = names->dead},
            {.name = "x-dead-letter-routing-key", .text = key},
            {.name = "x-dead-letter-strategy", .text = "at-least-once"},
            {.name = "x-overflow", .text = "reject-publish"},
        };

        r = bus_declare_queue(bus, channel, queue, arguments, sizeof arguments / sizeof *arguments);
    }
    if (r == 0)
        r = bus_bind(bus, channel, queue, names->redeliver, key);
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
        return declare_service(bus, channel, names, item->service_id);
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
            snprintf(item->note, sizeof item->note, "%.180s", bus_reason(bus));
        if (r == BUS_REFUSED)
            r = 0;
    }
    return r;
}
