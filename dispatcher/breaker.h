/*
 * The circuit breaker of one service as one process knows it: after which results it opens, how
 * long it stays open, what a probe does to it.
 *
 * Closed: every call's result is noted. It opens by a failure that is the threshold-th in a row,
 * or with which at least half of the last 20 calls failed, if there were at least 10 in the last
 * 60 s (older ones are forgotten). A neutral result counts nothing at all. Open: nothing is
 * sent; what calls from before bring back changes nothing. After the cooldown one process of the
 * fleet probes (the table decides which): half open. The probe's success closes the breaker, its
 * failure opens it again; a neutral probe says nothing, so the next call is a probe too.
 * Closing forgets all that was noted. The cooldown doubles with each opening in a row, up to
 * 10 min (or the service's own, when that is longer), +-20 %, so that the fleets of many
 * services do not probe in step.
 *
 * Pure: it tells transitions; the worker shares them, logs them and holds the queue.
 */
#ifndef MIH_DISPATCHER_BREAKER_H
#define MIH_DISPATCHER_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "dispatcher/verdict.h"

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

enum { BREAKER_CALLS = 20, BREAKER_TRIPS_MAX = 99999 };

/* The caller's storage; zeroed it is a closed breaker. Only breaker.c writes it. */
struct breaker {
    enum breaker_state state;
    unsigned trips;    /* openings in a row; 0 when closed */
    unsigned failures; /* in a row, up to the one that opened it */
    struct {
        int64_t at_ms;
        bool failed;
    } calls[BREAKER_CALLS]; /* ring of what was noted while closed */
    unsigned n_calls;
    unsigned next_call;
};

void breaker_init(struct breaker *b);

/* The result of a call that is no probe. True: the breaker opens by it. A threshold of 0 counts
 * as 1. now_ms never goes back. */
bool breaker_result(struct breaker *b, unsigned threshold, enum verdict_breaker result,
                    int64_t now_ms) __attribute__((warn_unused_result));

/* This process has the probe: half open, if it was open. */
void breaker_probing(struct breaker *b);

/* The result of a probe. True: the state changed, to closed or open. */
bool breaker_probed(struct breaker *b, enum verdict_breaker result)
    __attribute__((warn_unused_result));

/* What the table or another process says, also a reset by an administrator. True: the state
 * changed. */
bool breaker_learn(struct breaker *b, enum breaker_state state, unsigned trips);

/* How long it stays open at the trips-th opening in a row (0 counts as 1), in ms. cooldown_ms is
 * the service's own, at least 1 s; random is in [0, 1000). */
int64_t breaker_cooldown_ms(int64_t cooldown_ms, unsigned trips, uint32_t random);

#endif
