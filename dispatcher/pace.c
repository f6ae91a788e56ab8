#include "dispatcher/pace.h"

enum { LOWER_PAUSE_MS = 1000 };

static unsigned at_least_one(unsigned n)
{
    return n > 0 ? n : 1;
}

static void set_limit(struct pace *p, unsigned limit)
{
    p->limit = limit;
    p->successes = 0;
}

void pace_init(struct pace *p, unsigned max)
{
    *p = (struct pace){.max = at_least_one(max), .lowered_ms = INT64_MIN};
    set_limit(p, p->max);
}

void pace_change(struct pace *p, unsigned max)
{
    bool was_max = p->limit == p->max;
    p->max = at_least_one(max);
    if (was_max || p->limit >= p->max)
        set_limit(p, p->max);
}

void pace_restart(struct pace *p)
{
    p->starting = true;
    set_limit(p, 1);
}

void pace_success(struct pace *p)
{
    if (p->limit >= p->max)
        return;
    p->successes++;
    if (p->starting || p->successes >= p->limit)
        set_limit(p, p->limit + 1);
}

void pace_lower(struct pace *p, int64_t begun_ms, int64_t now_ms)
{
    if (begun_ms < p->lowered_ms || now_ms < p->lowered_ms + LOWER_PAUSE_MS)
        return;
    p->lowered_ms = now_ms;
    p->starting = false;
    set_limit(p, at_least_one(p->limit / 2));
}
