/*
 * What has to change at the broker so that it routes as the rules ask: computed, not done. Pure.
 *
 * The broker cannot be asked for its bindings, so the fleet keeps a record of them in the table
 * local_integrationhub_binding: a row is written before its binding is made and deleted after it is
 * removed, so that nothing that exists at the broker is ever unrecorded. A row with an empty
 * routing key records the service's queues themselves.
 *
 * Policy. Every enabled service has its queues, and a binding for each routing key that one of its
 * enabled, usable rules wants. A disabled service keeps what it has of these, so that its events
 * wait, and gets nothing new. A binding goes only when no rule wants it any more. A service that
 * is gone is retired: unbound, and its queues deleted when they are empty and no retry can come
 * back to them any more.
 */
#ifndef MIH_WORKER_TOPOLOGY_PLAN_H
#define MIH_WORKER_TOPOLOGY_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dispatcher/catalog.h"

enum { ROUTING_KEY_SIZE = 256 };

enum topology_action {
    TOPOLOGY_DECLARE, /* the service's queues and their fixed bindings */
    TOPOLOGY_BIND,
    TOPOLOGY_UNBIND,
    TOPOLOGY_RETIRE, /* the service is gone: delete its queues if they are empty */
};

struct topology_item {
    enum topology_action action;
    int64_t service_id;
    char key[ROUTING_KEY_SIZE]; /* "" for DECLARE and RETIRE */
    bool recorded;              /* a row exists */
    bool bound;                 /* the row says that it was bound */
    bool done;                  /* carried out at the broker */
    bool differs;               /* done, but a queue has other arguments: see note */
    char note[400];             /* why not, or what is left to do by hand */
};

struct topology_plan {
    struct topology_item *items; /* in the order in which they are to be carried out */
    size_t n, cap;
};

struct binding_row {
    int64_t service_id;
    char key[ROUTING_KEY_SIZE];
    bool bound;
};

/* 0 or -ENOMEM. The plan is the caller's; release it in any case. */
int topology_plan_make(struct topology_plan *plan, const struct catalog *catalog,
                       const struct binding_row *rows, size_t n_rows)
    __attribute__((warn_unused_result));
/* Takes out what removes something: the plan is too old for that. */
void topology_plan_keep_all(struct topology_plan *plan);
void topology_plan_release(struct topology_plan *plan);

#endif
