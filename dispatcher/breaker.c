#include "dispatcher/breaker.h"

#include "common/timing.h"

enum {
    CALLS_MIN = 10,
    CALL_AGE_MS = 60 * 1000,
    COOLDOWN_MIN_MS = 1000,
    COOLDOWN_MAX_MS = 10 * 60 * 1000,
};

static void become_closed(struct breaker *b)
{
    *b = (struct breaker){.state = BREAKER_CLOSED};
}

static void become_open(struct breaker *b)
{
    b->state = BREAKER_OPEN;
    if (b->trips < BREAKER_TRIPS_MAX)
        b->trips++;
}

static void note(struct breaker *b, bool failed, int64_t now_ms)
{
    b->failures = failed ? b->failures + 1 : 0;
    b->calls[b->next_call].at_ms = now_ms;
    b->calls[b->next_call].failed = failed;
    b->next_call = (b->next_call + 1) % BREAKER_CALLS;
    if (b->n_calls < BREAKER_CALLS)
        b->n_calls++;
}

static bool half_failed(const struct breaker *b, int64_t now_ms)
{
    unsigned calls = 0;
    unsigned failed = 0;
    for (unsigned i = 0; i < b->n_calls; i++) {
        if (now_ms - b->calls[i].at_ms > CALL_AGE_MS)
            continue;
        calls++;
        failed += b->calls[i].failed;
    }
    return calls >= CALLS_MIN && failed * 2 >= calls;
}

void breaker_init(struct breaker *b)
{
    become_closed(b);
}

bool breaker_result(struct breaker *b, unsigned threshold, enum verdict_breaker result,
                    int64_t now_ms)
{
    if (b->state != BREAKER_CLOSED || result == BREAKER_NEUTRAL)
        return false;
    note(b, result == BREAKER_FAILURE, now_ms);
    if (result != BREAKER_FAILURE || (b->failures < threshold && !half_failed(b, now_ms)))
        return false;
    become_open(b);
    return true;
}

void breaker_probing(struct breaker *b)
{
    if (b->state == BREAKER_OPEN)
        b->state = BREAKER_HALF_OPEN;
}

bool breaker_probed(struct breaker *b, enum verdict_breaker result)
{
    if (b->state != BREAKER_HALF_OPEN || result == BREAKER_NEUTRAL)
        return false;
    if (result == BREAKER_SUCCESS)
        become_closed(b);
    else
        become_open(b);
    return true;
}

bool breaker_learn(struct breaker *b, enum breaker_state state, unsigned trips)
{
    bool changed = b->state != state;
    if (changed)
        *b = (struct breaker){.state = state};
    if (state != BREAKER_CLOSED)
        b->trips = trips < BREAKER_TRIPS_MAX ? trips : BREAKER_TRIPS_MAX;
    return changed;
}

int64_t breaker_cooldown_ms(int64_t cooldown_ms, unsigned trips, uint32_t random)
{
    int64_t cooldown = cooldown_ms > COOLDOWN_MIN_MS ? cooldown_ms : COOLDOWN_MIN_MS;
    for (unsigned i = 1; i < trips && cooldown < COOLDOWN_MAX_MS; i++)
        cooldown = cooldown * 2 < COOLDOWN_MAX_MS ? cooldown * 2 : COOLDOWN_MAX_MS;
    return timing_spread_ms(cooldown, random);
}
