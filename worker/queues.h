/*
 * With which arguments the hub's queues are declared (DESIGN 3): the one place that says so, for
 * the fleet, which declares them, and for mihctl, which compares.
 *
 * A queue that exists with other arguments, made by another version, cannot be changed by declaring
 * it: the broker refuses (406). It is used as it is, because the alternative is no service at all.
 */
#ifndef MIH_WORKER_QUEUES_H
#define MIH_WORKER_QUEUES_H

#include <stddef.h>
#include <stdint.h>

#include "common/bus.h"
#include "worker/names.h"

enum { QUEUE_ARGUMENTS = 6, QUEUE_NOTE_SIZE = 400 };

/* What to do about a queue with other arguments. */
#define QUEUE_ADVICE                                                                               \
    "it may stay so; to change it, put Moodle into maintenance mode, let the queue run empty and " \
    "delete it: the fleet declares it anew within a minute"

/* A queue and its binding to the exchange by which the hub puts messages in. It borrows from the
 * names, and its arguments from itself: not to be copied. */
struct queue {
    char name[NAME_SIZE];
    char key[NAME_SIZE];
    const char *exchange;
    struct bus_field arguments[QUEUE_ARGUMENTS];
    size_t n_arguments;
};

void queue_of_service(struct queue *q, const struct names *names, int64_t service_id);
void queue_of_dead(struct queue *q, const struct names *names, int64_t service_id);

/* One queue for each step of the grid: a time-to-live of the queue, not of the message, which would
 * wait behind those that live longer. What has waited goes on by the keys it was published with,
 * and the second of them is its service. */
void queue_of_delay(struct queue *q, const struct names *names, int64_t delay_ms);

/* All block, and return as bus.h says of topology calls. */

int queue_declare(struct bus *bus, uint16_t channel, const struct queue *q)
    __attribute__((warn_unused_result));

/* Declares and binds it. One that exists with other arguments is bound as it is, and the note says
 * how they differ, in the broker's words; else the note stays as it was. */
int queue_make(struct bus *bus, uint16_t channel, const struct queue *q,
               char ret_note[QUEUE_NOTE_SIZE]) __attribute__((warn_unused_result));

#endif
