#include "common/timing.h"

#include <stdbool.h>
#include <sys/random.h>
#include <time.h>

static int64_t read_clock(clockid_t clock, int64_t units_per_s)
{
    struct timespec now;
    clock_gettime(clock, &now); /* cannot fail for these clocks and a valid pointer */
    return (int64_t)now.tv_sec * units_per_s + now.tv_nsec / (1000000000 / units_per_s);
}

int64_t timing_mono_ms(void)
{
    return read_clock(CLOCK_MONOTONIC, 1000);
}

int64_t timing_mono_us(void)
{
    return read_clock(CLOCK_MONOTONIC, 1000000);
}

int64_t timing_unix_s(void)
{
    return read_clock(CLOCK_REALTIME, 1);
}

int64_t timing_unix_ms(void)
{
    return read_clock(CLOCK_REALTIME, 1000);
}

/* splitmix64 (Vigna): every 64-bit seed is good, one word of state. */
static uint64_t next_random(void)
{
    static _Thread_local uint64_t state;
    static _Thread_local bool seeded;
    if (!seeded) {
        /* Up to 256 bytes are never interrupted (getrandom(2)); without the call the clock and
         * the thread's own address still tell processes and threads apart. */
        if (getrandom(&state, sizeof(state), 0) != (ssize_t)sizeof(state))
            state = (uint64_t)read_clock(CLOCK_REALTIME, 1000000) ^ (uintptr_t)&state;
        seeded = true;
    }
    uint64_t z = (state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint32_t timing_random(uint32_t bound)
{
    /* Multiply and shift: the bias is below bound / 2^32, which jitter does not notice. */
    return (uint32_t)(((next_random() >> 32) * bound) >> 32);
}

/* whole * random / 1000, split so that nothing that fits in 64 bits overflows. */
static int64_t share_of(int64_t whole, uint32_t random)
{
    return whole / 1000 * random + whole % 1000 * random / 1000;
}

int64_t timing_backoff_ms(unsigned attempt, int64_t base_ms, int64_t cap_ms, uint32_t random)
{
    int64_t delay = base_ms < cap_ms ? base_ms : cap_ms;
    for (unsigned i = 1; i < attempt && delay > 0 && delay < cap_ms; i++)
        delay = delay > cap_ms / 2 ? cap_ms : delay * 2;
    int64_t half = delay / 2;
    return delay - half + share_of(half, random);
}

int64_t timing_spread_ms(int64_t delay_ms, uint32_t random)
{
    int64_t fifth = delay_ms / 5;
    return delay_ms - fifth + share_of(2 * fifth, random);
}
