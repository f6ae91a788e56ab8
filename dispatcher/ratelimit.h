/*
 * The rate limit of one service: requests per second, shared evenly by the processes of the
 * fleet, so that all together keep it without a word between them. Over any time no process sends
 * more than its share of it, and what it may catch up: what comes in a tenth of a second, or one
 * request. Pure.
 */
#ifndef MIH_DISPATCHER_RATELIMIT_H
#define MIH_DISPATCHER_RATELIMIT_H

#include <stdint.h>

#include "dispatcher/tokenbucket.h"

struct ratelimit {
    unsigned per_s; /* 0: no limit */
    struct tokenbucket bucket;
};

/* per_s is the whole fleet's, 0 for none; processes 0 counts as 1. */
void ratelimit_init(struct ratelimit *r, unsigned per_s, unsigned processes, int64_t now_us);

/* Another limit or number of processes from now on. */
void ratelimit_change(struct ratelimit *r, unsigned per_s, unsigned processes, int64_t now_us);

/* 0: send one request now. Else nothing was taken: ask again in so many microseconds. */
int64_t ratelimit_take(struct ratelimit *r, int64_t now_us) __attribute__((warn_unused_result));

#endif
