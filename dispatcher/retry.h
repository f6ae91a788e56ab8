/*
 * When a delivery that failed is tried again, and when it is given up: DESIGN 5 as arithmetic.
 *
 * First comes the fast phase, max_retries retries: the n-th waits backoff * 2^(n-1), at most
 * max_backoff, half of it fixed and half random, so that what failed together does not come back
 * together. Then, where the service wants it, the nine long steps (1 min to 24 h, over three
 * days in all), each +-20 %. Then the delivery is given up. A verdict may allow fewer attempts,
 * and may ask for a longer wait (Retry-After, a pause): the longer one holds. An attempt that
 * does not count never leads to giving up, and waits as long as the retry it was; the first
 * attempt of all waits as the first retry would.
 *
 * The wait is served by the broker, in one queue for each step of a grid: from 1 s to 24 h, each
 * step at most 1.18 times the one before, in as few steps as possible. A wait gets the step that is
 * never early, and so less than 18 % late, which leaves the broker 2 % of what a service may expect
 * after its Retry-After. Only outside of the grid is that not so: what is shorter waits 1 s, what
 * is longer waits 24 h.
 *
 * Pure: randomness comes in, nothing is kept.
 */
#ifndef MIH_DISPATCHER_RETRY_H
#define MIH_DISPATCHER_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "dispatcher/verdict.h"

enum {
    RETRY_LONG_STEPS = 9,
    RETRY_GRID_STEPS = 70,
    RETRY_GRID_FIRST_MS = 1000,
    RETRY_GRID_LAST_MS = 24 * 60 * 60 * 1000,
};

/* Of one service. Delays below zero count as zero. */
struct retry_policy {
    int64_t backoff_ms;
    int64_t max_backoff_ms;
    unsigned max_retries;
    bool long_retries;
};

struct retry_plan {
    bool give_up;
    int64_t delay_ms; /* 0 when given up; not yet a step of the grid */
};

/* For a verdict of the kind VERDICT_RETRY. attempts: how many counted so far, this one included if
 * it counts. random is in [0, 1000). */
void retry_plan_make(const struct retry_policy *policy, const struct verdict *verdict,
                     unsigned attempts, uint32_t random, struct retry_plan *ret_plan);

/* The step in which to wait for a delay, in ms. */
int64_t retry_grid_step(int64_t delay_ms);

/* The step with this index below RETRY_GRID_STEPS, in ms, shortest first. */
int64_t retry_grid_at(unsigned index);

#endif
