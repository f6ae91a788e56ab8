/*
 * How many retries one process may send to one service, so that retries never starve first
 * attempts: a fifth of a retry for each first attempt, and 10 per second on top, which the
 * processes of the fleet share evenly. What is not used is kept for ten seconds: a balance is
 * never more than what came in the last ten. A retry without budget waits; it is not given up.
 * Pure.
 */
#ifndef MIH_DISPATCHER_RETRYBUDGET_H
#define MIH_DISPATCHER_RETRYBUDGET_H

#include <stdint.h>

#include "dispatcher/tokenbucket.h"

enum { RETRYBUDGET_SECONDS = 10 };

struct retrybudget {
    struct tokenbucket bucket;
    int64_t floor_size;                  /* of the bucket, without what requests earned */
    int64_t earned[RETRYBUDGET_SECONDS]; /* by requests, second by second, a ring */
    int64_t second;                      /* of the newest */
};

/* processes 0 counts as 1. */
void retrybudget_init(struct retrybudget *b, unsigned processes, int64_t now_us);

/* Another number of processes from now on. */
void retrybudget_change(struct retrybudget *b, unsigned processes, int64_t now_us);

/* A first attempt was sent. */
void retrybudget_request(struct retrybudget *b, int64_t now_us);

/* 0: send one retry now. Else nothing was taken: ask again in so many microseconds, or after the
 * next request. */
int64_t retrybudget_take(struct retrybudget *b, int64_t now_us) __attribute__((warn_unused_result));

#endif
