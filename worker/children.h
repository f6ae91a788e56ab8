/*
 * The supervisor's children: started, watched, restarted, stopped.
 *
 * A child that ends is started again after a delay (restart.h). One that ended with EX_CONFIG is
 * not, because the same configuration would end it again: children_resize() gives it another
 * chance. One that is alive but has sent no report for silence_ms is sent SIGABRT, for
 * its core, then SIGKILL, and started again. Numbers 0 to n-1 are used; a child whose number is no
 * longer wanted is drained with SIGTERM. No child is ever waited for in a blocking way.
 */
#ifndef MIH_WORKER_CHILDREN_H
#define MIH_WORKER_CHILDREN_H

#include <stdbool.h>
#include <stdint.h>

#include "dispatcher/seen.h"
#include "worker/childlink.h"
#include "worker/meter.h"
#include "worker/spawn.h"
#include "worker/suspects.h"

struct event_base;
struct children;

enum { CHILDREN_MAX = 512, RENEW_PATIENCE_MS = 30000 };

struct children_options {
    struct spawn_options spawn;
    int64_t silence_ms; /* a child is killed when it is silent for this long */
    int64_t drain_ms;   /* a child that is told to end is killed after this long and 6 s */
    struct seen seen;   /* the store behind spawn.seen_fd: is told of each child that ended */
    struct suspects *suspects; /* likewise, behind spawn.suspects_fd; borrowed */
};

struct children_summary {
    unsigned wanted;
    unsigned running;
    unsigned ready; /* of the running ones */
    unsigned connected;
    unsigned refused; /* wanted ones that ended with EX_CONFIG */
    uint64_t in_flight;
};

struct child_look {
    unsigned number;
    bool wanted;
    pid_t pid; /* 0: it does not run */
    uint64_t starts;
    uint64_t stalls;            /* how often it was replaced for one */
    struct child_report report; /* the newest one; all zero before the first */
    const struct meter *meter;  /* NULL: it has shown nothing, or not in a way that is known here */
};

/* on_change is called in the loop: about once a second, and when a child got ready or ended. */
typedef void children_changed(void *context);

/* Options are copied, their texts borrowed. Handles SIGCHLD. 0 or a negative errno. */
int children_new(struct event_base *base, const struct children_options *options,
                 children_changed *on_change, void *context, struct children **ret_children)
    __attribute__((warn_unused_result));

/* Takes new limits; the program and the path of the configuration stay. */
void children_set_limits(struct children *c, int64_t silence_ms, int64_t drain_ms);

/* Children that are started from now on get this store of delivered pairs; both are borrowed. The
 * one before, which those that run go on with, stays borrowed and is told of ends, too, as long as
 * children_use_former(). One change at a time: a further one takes the place of that one. */
void children_set_seen(struct children *c, int seen_fd, const struct seen *seen);

/* Whether a child runs that was started before the last children_set_seen(). */
bool children_use_former(const struct children *c);

/* The store before is told nothing more, and is not borrowed any more. */
void children_forget_former(struct children *c);

/* Makes n the number of children, n <= CHILDREN_MAX: starts what is missing, drains the rest. */
void children_resize(struct children *c, unsigned n);

/* Replaces every child that runs now, one after the other: the next one is drained when the
 * replacement of the one before is ready, or has refused, or has had RENEW_PATIENCE_MS. */
void children_renew(struct children *c);

/* Replaces one that runs: it takes nothing though there is work. */
void children_replace_stalled(struct children *c, unsigned number);

/* Sends a signal to every child that runs. */
void children_signal(struct children *c, int number);

/* Sends SIGTSTP, or SIGCONT, now and whenever a child reports otherwise. */
void children_set_quiet(struct children *c, bool quiet);

/* Sends SIGTERM to all and starts none any more; SIGKILL follows after drain_ms and 6 s. */
void children_stop(struct children *c);

/* Sends SIGKILL to all. */
void children_kill(struct children *c);

void children_summarize(const struct children *c, struct children_summary *ret_summary);

/* Tells of each child, by number, of at most max; returns how many. Those that are not wanted any
 * more belong to it, for their counters. The meters are borrowed until children_free(). */
size_t children_look(const struct children *c, struct child_look *ret_looks, size_t max);

/* True when each child that runs and has reported made progress, or was idle or not connected,
 * since the last call that returned true. */
bool children_all_moved(struct children *c);

/* Kills what still runs, without waiting for it. NULL is allowed. */
void children_free(struct children *c);

#endif
