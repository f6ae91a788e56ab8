/*
 * The consuming side of a worker process: one connection, one lane per service, hints.
 *
 * It keeps the connection up (with jittered back-off over the URLs), opens and closes lanes as
 * services come and go, and hands every frame to the lane it belongs to. It never blocks: the
 * connection is made on another thread, and everything sent to the broker from here is small.
 */
#ifndef MIH_WORKER_INTAKE_H
#define MIH_WORKER_INTAKE_H

#include <stdbool.h>
#include <stddef.h>

#include "dispatcher/catalog.h"
#include "worker/context.h"
#include "worker/followup.h"

struct intake;

struct intake_hooks {
    void *context;
    /* Something changed somewhere, or a message waits for newer rules: look at the database. */
    void (*on_hint)(void *context);
};

/* letters is lent to the lanes. 0 or a negative errno. */
int intake_new(struct context *ctx, const struct bus_options *options, struct followups *letters,
               const struct intake_hooks *hooks, struct intake **ret_intake)
    __attribute__((warn_unused_result));

/* A new snapshot; the intake takes its own reference. 0 or -ENOMEM. */
int intake_update(struct intake *in, struct catalog *catalog) __attribute__((warn_unused_result));

/* The leave of some breaker has changed. */
void intake_refresh(struct intake *in);

/* The context's limits have changed. */
void intake_limits_changed(struct intake *in);

/* A look at the rules has ended (context's rules_checked_ms is up to date). */
void intake_rules_checked(struct intake *in);

/* A look-up in Moodle's tables has ended. */
void intake_looked_up(struct intake *in);

/* Quiet: give back what has not begun, finish the rest, take nothing new; or take work again. */
void intake_set_quiet(struct intake *in, bool quiet);

/* Shows what the services' lanes do, once a second. */
void intake_meter(const struct intake *in);

/* When the newest event was sent (Unix seconds) that was taken from this service's queue, as it
 * came there first; 0: none was. */
int64_t intake_taken(const struct intake *in, int64_t service_id);

bool intake_connected(const struct intake *in);

/* True when no lane holds a message or an open channel: every ack has reached the broker. */
bool intake_is_idle(const struct intake *in);

/* Lanes that consume now, and lanes that should. */
void intake_lanes(const struct intake *in, size_t *ret_on, size_t *ret_wanted);

/* Messages held by this process, and those of them that wait for a look at the rules. */
size_t intake_held(const struct intake *in);
size_t intake_doubts(const struct intake *in);

/* Only after every attempt has ended (transport cancelled). Closes the connection. */
void intake_free(struct intake *in);

#endif
