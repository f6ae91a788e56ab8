/*
 * One process of the fleet is elected for what must be done once: declaring topology, relaying
 * the outbox, tidying. The elected one's database session holds a named lock (GET_LOCK), which
 * the server frees with the session: by a clean end or kill -9 at once, by a dead host after 30 s.
 *
 * The election lasts while the connection does. Two processes may believe to be elected for the
 * moment it takes the first to notice its loss, so what they do must bear repetition.
 */
#ifndef MIH_WORKER_ELECTION_H
#define MIH_WORKER_ELECTION_H

#include <stdbool.h>

struct election;
struct event_base;
struct store;

struct election_hooks {
    void *context;
    void (*on_elected)(void *context);
    void (*on_dismissed)(void *context, const char *reason);
    /* The lock could not be asked for (not: it is another one's). At every change of reason. */
    void (*on_failure)(void *context, const char *reason);
};

/* name tells fleets on one database apart: the broker namespace. Database and table prefix
 * are added to it. Tries at once and every 2 s. hooks are copied. */
int election_new(struct event_base *base, struct store *store, const char *name,
                 const struct election_hooks *hooks, struct election **ret_election)
    __attribute__((warn_unused_result));

bool election_is_elected(const struct election *e);

/* Gives the lock back, without calling a hook. Before the store is freed. NULL is allowed. */
void election_free(struct election *e);

#endif
