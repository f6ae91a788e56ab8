/*
 * The only place that reads clocks and randomness. Everything pure gets them as arguments.
 */
#ifndef MIH_COMMON_TIMING_H
#define MIH_COMMON_TIMING_H

#include <stdint.h>

/* Monotonic milliseconds since some fixed point; for delays, never for display. */
int64_t timing_mono_ms(void);

/* Monotonic microseconds; for latencies. */
int64_t timing_mono_us(void);

/* Unix time in seconds and in milliseconds. */
int64_t timing_unix_s(void);
int64_t timing_unix_ms(void);

/* A random number in [0, bound), bound > 0, from a generator seeded by getrandom(2). Good for
 * jitter, not for secrets. Each thread has its own state. */
uint32_t timing_random(uint32_t bound);

/*
 * Equal jitter: half of the delay fixed, half random. attempt counts from 1; the delay before
 * the jitter is base_ms * 2^(attempt-1), capped at cap_ms. random is in [0, 1000). Any attempt
 * and any delays that are not negative are right: nothing overflows.
 */
int64_t timing_backoff_ms(unsigned attempt, int64_t base_ms, int64_t cap_ms, uint32_t random);

/* 80 % to 120 % of the delay, for random in [0, 1000). delay_ms is from 0 to INT64_MAX / 2. */
int64_t timing_spread_ms(int64_t delay_ms, uint32_t random);

#endif
