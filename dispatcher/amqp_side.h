/*
 * What the files of the thread's side share, and nobody else includes: amqp_link.c sends,
 * amqp_connect.c connects.
 */
#ifndef MIH_DISPATCHER_AMQP_SIDE_H
#define MIH_DISPATCHER_AMQP_SIDE_H

#include "dispatcher/amqp_impl.h"

enum { AMQP_CHANNEL_PUBLISH = 1, AMQP_CHANNEL_DECLARE = 2 };

/* What only the thread touches. */
struct amqp_side {
    struct amqp_link *link;
    struct bus *bus;
    struct amqp_list open;     /* under way, by number */
    struct amqp_list finished; /* not yet handed to the loop */
    unsigned attempt;
    unsigned refused, allowed; /* addresses of the attempt to connect, by the guard */
    int64_t now_ms;
    int64_t next_attempt_ms;
    int64_t connected_ms;
    int64_t used_ms;
    int64_t declared_ms;
    bool declare_due;
    bool blocked;
};

/* What the bus tells of publications; the context is the side. */
extern const struct bus_handlers amqp_side_handlers;

/* Puts it among what is finished. */
void amqp_side_finish(struct amqp_side *s, struct amqp_job *job, enum outcome_kind kind,
                      const char *text);

/* Connects; on failure everything that waits is finished. Blocks. */
void amqp_side_connect(struct amqp_side *s);

/* The connection is lost, or given up: everything under way is finished. */
void amqp_side_disconnect(struct amqp_side *s, const char *why);

/* Declares the target's queues. 0, BUS_REFUSED or negative. Blocks. */
int amqp_side_declare(struct amqp_side *s) __attribute__((warn_unused_result));

#endif
