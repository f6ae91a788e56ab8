/*
 * How many requests at once one process sends to one service: as many as the service stands, and
 * never more than its maximum.
 *
 * Ordinarily it is the maximum. After a breaker closed it starts anew with one (slow start): each
 * success adds one, so that it doubles with each round trip, up to the maximum. When the service
 * asks for less (the verdict says so), it is halved, down to one at the least, and a slow start
 * ends; then each `limit` successes add one, until the maximum is reached again. One moment
 * of trouble is felt by all requests under way: so it is halved once a second at most, and never
 * for a request that began before the last halving.
 *
 * Pure.
 */
#ifndef MIH_DISPATCHER_PACE_H
#define MIH_DISPATCHER_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct pace {
    unsigned max;
    unsigned limit;     /* requests at once: 1 to max */
    unsigned successes; /* since the limit changed */
    bool starting;      /* since the last restart it was not halved */
    int64_t lowered_ms; /* when it was halved last */
};

/* A maximum of 0 counts as 1. */
void pace_init(struct pace *p, unsigned max);

/* Another maximum. A limit that was the maximum stays the maximum. */
void pace_change(struct pace *p, unsigned max);

/* Slow start from now on. */
void pace_restart(struct pace *p);

/* A request ended well. */
void pace_success(struct pace *p);

/* A request that began at begun_ms ended with the wish for fewer. */
void pace_lower(struct pace *p, int64_t begun_ms, int64_t now_ms);

#endif
