#include "worker/stalls.h"

#include <stdbool.h>

static const struct meter_service *place_of(const struct meter *meter, int64_t id)
{
    for (size_t i = 1; i <= METER_SERVICES; i++)
        if (meter_gauge(&meter->services[i].id) == id)
            return &meter->services[i];
    return NULL;
}

static uint64_t done_of(const struct meter_service *s)
{
    uint64_t n = 0;

    for (size_t k = 0; k <= STAT_HELD; k++)
        n += meter_count(&s->n[k]);
    return n;
}

static bool has_work(const struct service_figures *f, int64_t now_s)
{
    return f->present && f->looked_s > 0 && now_s - f->looked_s < STALLS_FRESH_S && f->waiting > 0;
}

/* Whether the child looks now as one that stalls does. */
static bool takes_nothing(const struct meter_service *s)
{
    return s && meter_gauge(&s->gauge[METER_CONSUMING]) && !meter_gauge(&s->gauge[METER_HELD]);
}

/* One that was seen before, and has done nothing since. */
static bool stalls_still(const struct stall *stall, const struct child_look *child,
                         const struct figures *figures, int64_t now_s)
{
    for (size_t i = 0; stall->service_id && i < figures->n_services; i++) {
        const struct service_figures *f = &figures->services[i];

        if (f->id == stall->service_id && has_work(f, now_s)) {
            const struct meter_service *s = place_of(child->meter, f->id);

            return takes_nothing(s) && done_of(s) == stall->done;
        }
    }
    return false;
}

static void begin(struct stall *stall, const struct child_look *child,
                  const struct figures *figures, int64_t now_ms, int64_t now_s)
{
    stall->service_id = 0;
    for (size_t i = 0; i < figures->n_services; i++) {
        const struct service_figures *f = &figures->services[i];
        const struct meter_service *s = has_work(f, now_s) ? place_of(child->meter, f->id) : NULL;

        if (!takes_nothing(s))
            continue;
        stall->service_id = f->id;
        stall->done = done_of(s);
        stall->since_ms = now_ms;
        return;
    }
}

static int64_t patience_ms(unsigned times)
{
    int64_t ms = STALLS_PATIENCE_MS;

    while (times-- > 0 && ms < STALLS_PATIENCE_MAX_MS)
        ms *= 2;
    return ms < STALLS_PATIENCE_MAX_MS ? ms : STALLS_PATIENCE_MAX_MS;
}

int64_t stalls_look(struct stall *stall, const struct child_look *child,
                    const struct figures *figures, int64_t now_ms, int64_t now_s)
{
    if (!figures_current(child) || child->report.quiet || stall->pid != child->pid) {
        stall->pid = child->pid;
        stall->service_id = 0;
        return 0;
    }
    if (!stalls_still(stall, child, figures, now_s)) {
        if (now_ms - stall->since_ms > STALLS_PATIENCE_MAX_MS)
            stall->times = 0;
        begin(stall, child, figures, now_ms, now_s);
        return 0;
    }
    if (now_ms - stall->since_ms < patience_ms(stall->times))
        return 0;
    stall->times++;
    stall->since_ms = now_ms;
    return stall->service_id;
}
