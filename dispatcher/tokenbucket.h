/*
 * A token bucket: tokens come at a steady rate, a full bucket takes no more, and what is taken
 * was there. The rate is a number per second divided among equals (processes of a fleet that
 * share it), so it is exact for any number of them.
 *
 * It begins with one token: the first taker need not wait, and nobody gets a burst for having
 * started. Pure; times are monotonic microseconds.
 */
#ifndef MIH_DISPATCHER_TOKENBUCKET_H
#define MIH_DISPATCHER_TOKENBUCKET_H

#include <stdint.h>

/* Amounts are in parts of a token, so small that no rate is rounded to be felt. */
#define TOKENBUCKET_TOKEN INT64_C(1000000000000)

enum { TOKENBUCKET_RATE_MAX = 1000 * 1000, TOKENBUCKET_TOKENS_MAX = 1000 * 1000 };

struct tokenbucket {
    int64_t level;  /* parts */
    int64_t size;   /* parts, at least one token */
    int64_t per_us; /* parts that come each microsecond */
    int64_t at_us;  /* when level was right */
};

/* per_s is from 1 to TOKENBUCKET_RATE_MAX; among 0 counts as 1. The bucket holds what comes in
 * depth_us, but at least one token and at most TOKENBUCKET_TOKENS_MAX. */
void tokenbucket_init(struct tokenbucket *b, unsigned per_s, unsigned among, int64_t depth_us,
                      int64_t now_us);

/* Another rate from now on; what was there stays. */
void tokenbucket_change(struct tokenbucket *b, unsigned per_s, unsigned among, int64_t depth_us,
                        int64_t now_us);

/* Lets tokens come up to now. */
void tokenbucket_advance(struct tokenbucket *b, int64_t now_us);

/* Takes a token: 0. Or takes nothing: the microseconds until there is one. */
int64_t tokenbucket_take(struct tokenbucket *b, int64_t now_us) __attribute__((warn_unused_result));

#endif
