/*
 * The process's database connection, on a thread of its own: no database work may hold up a
 * delivery. The loop submits jobs; each runs on the thread with the open connection and its
 * completion is called back in the loop. With the database hung or away, jobs wait in a
 * bounded queue and the thread reconnects with jittered backoff; the loop never waits.
 */
#ifndef MIH_WORKER_STORE_H
#define MIH_WORKER_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/db.h"

struct event_base;
struct store;
struct store_job;

/*
 * The submitter embeds this as the first member of its own struct and owns it until submitted;
 * from then on the store does, until done() is called in the loop, once, which may free it.
 */
struct store_job {
    /* On the thread. 0 or a negative errno; db_reason() is copied when it fails. A lost
     * connection is noticed by the store itself. */
    int (*run)(struct store_job *job, struct db *db);
    /* In the loop. result: run's value, or -ECANCELED when the store shut down first, or
     * -ENOTCONN when there was no connection and the job does not wait for one. */
    void (*done)(struct store_job *job, int result, const char *reason);
    bool waits; /* true: wait for a connection; false: fail at once without one */
    struct store_job *next;
};

struct store_hooks {
    void *context;
    /* In the loop: connected or lost, called at every change. */
    void (*on_state)(void *context, bool connected, const char *text);
};

/* Starts the thread. options' strings must outlive the store. Negative errno on failure. */
int store_new(struct event_base *base, const struct db_options *options,
              const struct store_hooks *hooks, struct store **ret_store)
    __attribute__((warn_unused_result));

/* Queues a job. 0, or -ENOBUFS when max_jobs are waiting already. */
int store_submit(struct store *s, struct store_job *job) __attribute__((warn_unused_result));

bool store_connected(const struct store *s);

/* Lets the running job end for at most grace_ms, cancels the rest, frees all. A thread stuck in
 * a hung database after that is left behind: the process is about to exit. */
void store_free(struct store *s, int grace_ms);

#endif
