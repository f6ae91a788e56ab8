/*
 * The circuit breakers of the services, shared by the fleet through the table cb (DESIGN 5).
 *
 * Each process counts the failures that it sees itself (dispatcher/breaker.h). The one that has
 * seen enough opens the breaker in the table, in one statement that changes a closed row only, and
 * tells all others by a hint on the control exchange; whoever misses the hint finds the row at
 * its next look. While it is open nobody consumes the service's queue, so nothing is burnt.
 *
 * After the cooldown exactly one process gets the probe: an UPDATE that changes an open row whose
 * time has come into a half-open one, with the process's name in it; one row changed is the
 * leave to send one request. Its success closes the breaker, its failure opens it again for twice
 * as long. A prober renews its name while it has nothing to send; one that died loses the probe
 * after PROBE_LEASE_S. Whatever the table says wins over what a process believes, so a reset by an
 * administrator takes effect at the next look.
 *
 * With the database away each process opens, waits and probes by itself.
 */
#ifndef MIH_WORKER_BREAKERS_H
#define MIH_WORKER_BREAKERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dispatcher/breaker.h"
#include "dispatcher/catalog.h"
#include "dispatcher/verdict.h"
#include "worker/context.h"

struct breakers;
struct store;

enum breaker_leave {
    BREAKER_LEAVE_ALL,  /* closed: send */
    BREAKER_LEAVE_ONE,  /* half-open, and this process has the probe */
    BREAKER_LEAVE_NONE, /* open, or somebody else probes */
};

enum { PROBE_LEASE_S = 60, BREAKER_STATE_SIZE = 11, BREAKER_HOLDER_SIZE = 101 };

/* A row of the table cb, as a look found it. Times relative to the database's clock. */
struct breaker_row {
    int64_t service_id;
    char state[BREAKER_STATE_SIZE];
    int64_t trips;
    int64_t retry_in_s; /* 0 or less: now */
    char holder[BREAKER_HOLDER_SIZE];
};

/* instance names this process in the table; it must outlive the breakers. on_change is called in
 * the loop when some service's leave has changed. */
int breakers_new(struct context *ctx, struct store *store, const char *instance,
                 void (*on_change)(void *context), void *context, struct breakers **ret_breakers)
    __attribute__((warn_unused_result));

/* What a look at the table found; began_ms is when the look began. */
void breakers_rows(struct breakers *b, const struct breaker_row *rows, size_t n, int64_t began_ms);

/* An attempt at the service, begun at begun_ms, ended. probe: it was sent by BREAKER_LEAVE_ONE; any
 * answer to it but a failure closes the breaker. */
void breakers_result(struct breakers *b, const struct service *service, bool probe,
                     enum verdict_breaker result, int64_t begun_ms);

enum breaker_leave breakers_leave(const struct breakers *b, int64_t service_id);

/* As this process knows it, for people to see. */
enum breaker_state breakers_state(const struct breakers *b, int64_t service_id);

/* Gives back every probe that this process has: it cannot send now. */
void breakers_release(struct breakers *b);

/* Claims and renews probes. Call it several times a second, while this process can send. */
void breakers_tick(struct breakers *b, struct catalog *catalog);

/* Before the store is freed. NULL is allowed. */
void breakers_free(struct breakers *b);

#endif
