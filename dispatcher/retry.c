#include "dispatcher/retry.h"

#include <assert.h>

#include "common/timing.h"

enum { MINUTE_MS = 60 * 1000, HOUR_MS = 60 * MINUTE_MS, GRID_UNIT_MS = 10, GRID_PERCENT = 118 };

static const int long_steps_ms[RETRY_LONG_STEPS] = {
    1 * MINUTE_MS, 5 * MINUTE_MS, 30 * MINUTE_MS, 2 * HOUR_MS,  5 * HOUR_MS,
    10 * HOUR_MS,  14 * HOUR_MS,  20 * HOUR_MS,   24 * HOUR_MS,
};

/* No retry is left after so many counted attempts. */
static bool is_spent(const struct retry_policy *p, const struct verdict *v, unsigned attempts)
{
    if (v->max_attempts != 0 && attempts >= v->max_attempts)
        return true;
    if (attempts <= p->max_retries)
        return false;
    return !p->long_retries || attempts - p->max_retries > RETRY_LONG_STEPS;
}

static int64_t scheduled_ms(const struct retry_policy *p, unsigned attempts, uint32_t random)
{
    if (attempts <= p->max_retries || !p->long_retries)
        return timing_backoff_ms(attempts, p->backoff_ms, p->max_backoff_ms, random);
    /* Beyond the last step is only what does not count, after the service got fewer retries. */
    unsigned step = attempts - p->max_retries - 1;
    return timing_spread_ms(long_steps_ms[step < RETRY_LONG_STEPS ? step : RETRY_LONG_STEPS - 1],
                            random);
}

void retry_plan_make(const struct retry_policy *policy, const struct verdict *verdict,
                     unsigned attempts, uint32_t random, struct retry_plan *ret_plan)
{
    assert(verdict->kind == VERDICT_RETRY);
    *ret_plan = (struct retry_plan){.give_up = true};
    if (verdict->counts && is_spent(policy, verdict, attempts))
        return;
    int64_t delay_ms = scheduled_ms(policy, attempts, random);
    int64_t pause_ms = verdict->not_before_s < RETRY_GRID_LAST_MS / 1000
                           ? verdict->not_before_s * 1000
                           : RETRY_GRID_LAST_MS;
    *ret_plan = (struct retry_plan){.delay_ms = delay_ms > pause_ms ? delay_ms : pause_ms};
}

/* The longest step that may follow. */
static int64_t next_step(int64_t step)
{
    int64_t next = step * GRID_PERCENT / 100 / GRID_UNIT_MS * GRID_UNIT_MS;
    return next < RETRY_GRID_LAST_MS ? next : RETRY_GRID_LAST_MS;
}

int64_t retry_grid_step(int64_t delay_ms)
{
    int64_t step = RETRY_GRID_FIRST_MS;
    while (step < delay_ms && step < RETRY_GRID_LAST_MS)
        step = next_step(step);
    return step;
}

int64_t retry_grid_at(unsigned index)
{
    int64_t step = RETRY_GRID_FIRST_MS;
    assert(index < RETRY_GRID_STEPS);
    for (unsigned i = 0; i < index; i++)
        step = next_step(step);
    return step;
}
