/*
 * What child.c (its life), child_make.c (its parts, and what they call back) and child_meter.c
 * (what it shows) share, and nobody else includes.
 */
#ifndef MIH_WORKER_CHILD_IMPL_H
#define MIH_WORKER_CHILD_IMPL_H

#include <event2/util.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/bus.h"
#include "common/db.h"
#include "worker/context.h"
#include "worker/meter.h"
#include "worker/plainsecrets.h"
#include "worker/seenmap.h"
#include "worker/statmap.h"

enum phase { PHASE_RUNNING, PHASE_QUIET, PHASE_DRAINING, PHASE_GIVING_UP };

struct child {
    struct context ctx;
    struct settings *settings;
    struct netguard *guard; /* of all transports */
    const char *config_path;
    int number;
    int link_fd;
    enum phase phase;
    int64_t deadline_ms; /* of the phase, when draining or giving up */
    char connection_name[64];
    struct bus_options publish_options;
    struct bus_options consume_options;
    struct db_options db_options;
    struct store *store;
    struct loader *loader;
    struct election *election;
    struct relay *relay;
    struct heartbeat *heartbeat;
    struct statkeeper *statkeeper; /* NULL: without statistics */
    struct backlog *backlog;
    struct topology *topology;
    struct followups *letters;
    struct intake *intake;
    int64_t counted_ms; /* when draining: everything else had ended; 0: not yet */
    struct seenmap seen;
    struct statmap *map;      /* what the supervisor keeps for this number */
    struct secret_keys *keys; /* for as long as the process: the store's thread may use them */
    struct plainsecrets plain_secrets;
    uint64_t repeats_told;          /* of counters.repeats */
    uint64_t metered[METER_COUNTS]; /* what the metrics have of it */
    struct event *signals[5];
    struct event *second;
    struct event *leave_changed;
    struct event *drain_look;
    int64_t doubted_ms; /* when queues were last looked after for a doubt */
    bool has_rules;
    bool ready;
};

/* 0 or negative; child_unmake() takes down what was made, in either case. */
int child_make(struct child *c) __attribute__((warn_unused_result));
void child_unmake(struct child *c);

/* Whether this process keeps bindings and outbox, and tidies the tables. */
void child_set_elected(struct child *c, bool elected);

/* Shows in the metrics how it is. */
void child_meter(struct child *c);

/* Takes the settings of the statistics that can change. */
void child_set_statistics(struct child *c, const struct settings *settings);

/* Events of the loop. */
void child_on_signal(evutil_socket_t number, short what, void *context);
void child_on_second(evutil_socket_t fd, short what, void *context);
void child_look_at_drain(evutil_socket_t fd, short what, void *context);

#endif
