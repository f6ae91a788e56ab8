/*
 * Whether this process stood still: stopped, swapped out, or kept from the processor. What timed
 * out over that time is no fault of the service, and must not open its breaker.
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
    int64_t seen_us;  /* the last pulse */
    int64_t ended_us; /* of the last stillness; 0: none yet */
};

/* Monotonic microseconds. 0, or -ENOMEM. */
int stillness_start(struct stillness *s, struct event_base *base, int64_t now_us)
    __attribute__((warn_unused_result));
void stillness_stop(struct stillness *s);

/* Whether the process stood still at some time between since_us and now. */
bool stillness_since(struct stillness *s, int64_t since_us, int64_t now_us);

/* What the timer does. */
void stillness_pulse(struct stillness *s, int64_t now_us);

#endif
