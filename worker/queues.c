#include "worker/queues.h"

#include <stdio.h>

enum { DELIVERY_LIMIT = 20 };

static void add_text(struct queue *q, const char *name, const char *text)
{
    q->arguments[q->n_arguments++] = (struct bus_field){.name = name, .text = text};
}

static void add_number(struct queue *q, const char *name, int64_t number)
{
    q->arguments[q->n_arguments++] = (struct bus_field){.name = name, .number = number};
}

/* What it dead-letters is kept until it has arrived, and what does not fit is refused. */
static void add_safe_dead_lettering(struct queue *q, const char *exchange)
{
    add_text(q, "x-dead-letter-exchange", exchange);
    add_text(q, "x-dead-letter-strategy", "at-least-once");
    add_text(q, "x-overflow", "reject-publish");
}

void queue_of_service(struct queue *q, const struct names *names, int64_t service_id)
{
    *q = (struct queue){.exchange = names->redeliver};
    names_service_queue(names, service_id, q->name);
    names_service_key(service_id, q->key);
    add_text(q, "x-queue-type", "quorum");
    add_number(q, "x-delivery-limit", DELIVERY_LIMIT);
    add_text(q, "x-dead-letter-routing-key", q->key);
    add_safe_dead_lettering(q, names->dead);
}

void queue_of_dead(struct queue *q, const struct names *names, int64_t service_id)
{
    *q = (struct queue){.exchange = names->dead};
    names_dead_queue(names, service_id, q->name);
    names_service_key(service_id, q->key);
    add_text(q, "x-queue-type", "quorum");
}

void queue_of_delay(struct queue *q, const struct names *names, int64_t delay_ms)
{
    *q = (struct queue){.exchange = names->delay};
    names_delay_queue(names, delay_ms, q->name);
    names_delay_key(delay_ms, q->key);
    add_text(q, "x-queue-type", "quorum");
    add_number(q, "x-message-ttl", delay_ms);
    add_safe_dead_lettering(q, names->redeliver);
}

int queue_declare(struct bus *bus, uint16_t channel, const struct queue *q)
{
    return bus_declare_queue(bus, channel, q->name, q->arguments, q->n_arguments);
}

/* The broker gives the same code to arguments that it does not know: then there is no queue, and
 * the bind says so. */
int queue_make(struct bus *bus, uint16_t channel, const struct queue *q,
               char ret_note[QUEUE_NOTE_SIZE])
{
    int r = queue_declare(bus, channel, q);

    if (r == BUS_REFUSED && bus_refusal(bus) == BUS_CODE_DIFFERS) {
        snprintf(ret_note, QUEUE_NOTE_SIZE, "%.399s", bus_reason(bus));
        r = 0;
    }
    return r == 0 ? bus_bind(bus, channel, q->name, q->exchange, q->key) : r;
}
