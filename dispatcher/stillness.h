/*
 * How long this process stood still: stopped, swapped out, or kept from the processor. A call that
 * timed out because of that is no fault of the service, and must not open its breaker; it is, where
 * the service had most of its time.
 *
 * A timer notes the time four times a second; a gap that is longer by STILLNESS_MS is stillness.
 * Sockets may be looked at before the timer after such a gap, so each question looks for one, too.
 */
#ifndef MIH_DISPATCHER_STILLNESS_H
#define MIH_DISPATCHER_STILLNESS_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>

enum { STILLNESS_PULSE_MS = 250, STILLNESS_MS = 1000 };

/* Belongs to the loop. All zero is one that was never started. */
struct stillness {
    struct event pulse;
    bool is_started;
    int64_t seen_us;  /* the last look at the time */
    int64_t total_us; /* of all stillness */
};

/* Monotonic microseconds. 0, or -ENOMEM. */
int stillness_start(struct stillness *s, struct event_base *base, int64_t now_us)
    __attribute__((warn_unused_result));
void stillness_stop(struct stillness *s);

/* All stillness so far: to be kept when a call begins. */
int64_t stillness_total_us(struct stillness *s, int64_t now_us);

/* Whether a call that began at that total stood still for at least half of its time-out. */
bool stillness_excuses(struct stillness *s, int64_t total_at_start_us, int64_t timeout_ms,
                       int64_t now_us);

#endif
