/*
 * The process's database connection, on a thread of its own: no database work may hold up a
 * delivery. The loop submits jobs; each runs on the thread with the open connection and its
 * completion is called back in the loop, in order. With the database hung or away, jobs wait in a
 * bounded queue and the thread reconnects with jittered backoff; the loop never waits.
 *
 * Changes of the connection arrive in the same order as the completions around them: a job that
 * ran before a connection was lost is done before on_state tells of the loss, and the next
 * connection is not opened before that. So what a session holds (GET_LOCK) can be followed.
 */
#ifndef MIH_WORKER_STORE_H
#define MIH_WORKER_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/db.h"

struct event_base;
struct store;

enum { STORE_MAX_JOBS = 256 };

/*
 * The submitter embeds this as the first member of its own struct and owns it until submitted;
 * from then on the store does, until done() is called in the loop, once, which may free it.
 * run() may touch nothing but the job: everything else belongs to the loop's thread.
 */
struct store_job {
    /* On the thread. 0 or more, or a negative errno; db_reason() is copied when it fails. A lost
     * connection is noticed by the store itself. */
    int (*run)(struct store_job *job, struct db *db);
    /* In the loop. result: run's value, or -ECANCELED when the store shut down first, or
     * -ENOTCONN when there was no connection and the job does not wait for one. */
    void (*done)(struct store_job *job, int result, const char *reason);
    bool waits; /* true: wait for a connection; false: fail at once without one */

    /* The store's own. */
    struct store_job *next;
    int result;
    char reason[256];
};

struct store_hooks {
    void *context;
    /* In the loop: connected (text: the server) or not (text: why), called at every change and
     * when the reason changes. */
    void (*on_state)(void *context, bool connected, const char *text);
};

/* Another one who wants to know of every change; the caller owns it. */
struct store_watch {
    struct store_hooks hooks;
    struct store_watch *next;
};

/* Starts the thread. options are copied. Negative errno on failure. */
int store_new(struct event_base *base, const struct db_options *options,
              const struct store_hooks *hooks, struct store **ret_store)
    __attribute__((warn_unused_result));

void store_watch(struct store *s, struct store_watch *watch);
void store_unwatch(struct store *s, struct store_watch *watch);

/* Queues a job. 0; -ENOBUFS when STORE_MAX_JOBS are waiting already; -ECANCELED in store_free(). */
int store_submit(struct store *s, struct store_job *job) __attribute__((warn_unused_result));

bool store_connected(const struct store *s);

/*
 * Lets the jobs that are queued run for at most grace_ms, cancels the rest (their done() is
 * called), frees all. A call that hangs in the server is interrupted after the grace. If the
 * thread still does not come back (a connection being opened), it is left behind with the memory
 * it uses, and done() of the job it is in is never called: the process is about to exit.
 */
void store_free(struct store *s, int grace_ms);

#endif
