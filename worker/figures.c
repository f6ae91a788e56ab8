#include "worker/figures.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool figures_current(const struct child_look *child)
{
    return child->meter && child->pid > 0 && meter_gauge(&child->meter->pid) == child->pid;
}

/* A service's place in one child's meter. */
struct place {
    int64_t id;
    bool current; /* its gauges are of the process that runs */
    const struct meter_service *service;
};

static int by_id(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    return (x->id > y->id) - (x->id < y->id);
}

static bool is_used(const struct meter_service *s)
{
    bool used = __atomic_load_n(&s->id, __ATOMIC_ACQUIRE) != 0;

    for (size_t k = 0; !used && k < STAT_COUNTS; k++)
        used = meter_count(&s->n[k]) > 0;
    return used;
}

/* Places that are in use, of at most max; places: NULL counts them. More may come at any time. */
static size_t collect(const struct child_look *children, size_t n, struct place *places, size_t max)
{
    size_t found = 0;

    for (size_t i = 0; i < n; i++) {
        const struct meter *meter = children[i].meter;

        for (size_t k = 0; meter && k <= METER_SERVICES && found < max; k++) {
            const struct meter_service *s = &meter->services[k];
            bool used = is_used(s);

            if (used && places)
                places[found] =
                    (struct place){meter_gauge(&s->id), figures_current(&children[i]), s};
            found += used;
        }
    }
    return found;
}

/* Which of several states people should see: the worse one. */
static unsigned badness(enum breaker_state state)
{
    switch (state) {
    case BREAKER_CLOSED:
        return 0;
    case BREAKER_HALF_OPEN:
        return 1;
    case BREAKER_OPEN:
        return 2;
    }
    return 0;
}

static void add_gauges(struct service_figures *f, const int64_t *gauge)
{
    enum breaker_state breaker = (enum breaker_state)meter_gauge(&gauge[METER_BREAKER]);
    int64_t unserved_s = meter_gauge(&gauge[METER_UNSERVED_S]);
    int64_t looked_s = meter_gauge(&gauge[METER_LOOKED_S]);

    f->present = true;
    f->in_flight += meter_gauge(&gauge[METER_IN_FLIGHT]);
    f->held += meter_gauge(&gauge[METER_HELD]);
    f->wanting += meter_gauge(&gauge[METER_WANTED]);
    f->consuming += meter_gauge(&gauge[METER_CONSUMING]);
    if (badness(breaker) > badness(f->breaker))
        f->breaker = breaker;
    if (unserved_s > f->unserved_s)
        f->unserved_s = unserved_s;
    if (looked_s <= f->looked_s)
        return;
    f->looked_s = looked_s;
    f->waiting = meter_gauge(&gauge[METER_WAITING]);
    f->oldest_s = meter_gauge(&gauge[METER_OLDEST_S]);
    f->dead = meter_gauge(&gauge[METER_DEAD]);
}

static void add_place(struct service_figures *f, const struct place *place)
{
    const struct meter_service *s = place->service;
    bool present = place->current && meter_gauge(&s->gauge[METER_PRESENT]);

    if (present || !f->name[0]) {
        memcpy(f->name, s->name, sizeof f->name - 1); /* it may change under our hands */
        f->type = (enum service_type)meter_gauge(&s->gauge[METER_TYPE]);
    }
    for (size_t k = 0; k < STAT_COUNTS; k++)
        f->n[k] += meter_count(&s->n[k]);
    if (present)
        add_gauges(f, s->gauge);
}

static bool is_elected(const struct child_look *child)
{
    return figures_current(child) && meter_gauge(&child->meter->gauge[METER_ELECTED]);
}

static void add_process(struct figures *f, const struct child_look *child)
{
    const int64_t *gauge = child->meter->gauge;
    int64_t looked_s = meter_gauge(&gauge[METER_OUTBOX_LOOKED_S]);

    for (size_t k = 0; k < METER_COUNTS; k++)
        f->n[k] += meter_count(&child->meter->n[k]);
    if (!is_elected(child) || looked_s <= f->outbox_looked_s)
        return;
    f->outbox_looked_s = looked_s;
    f->outbox_rows = meter_gauge(&gauge[METER_OUTBOX_ROWS]);
    f->outbox_oldest_s = meter_gauge(&gauge[METER_OUTBOX_OLDEST_S]);
}

static void add_up(struct figures *f, const struct place *places, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || places[i].id != places[i - 1].id)
            f->services[f->n_services++].id = places[i].id;
        add_place(&f->services[f->n_services - 1], &places[i]);
    }
}

int figures_make(const struct child_look *children, size_t n, struct figures *ret_figures)
{
    size_t max = collect(children, n, NULL, SIZE_MAX);
    struct place *places = calloc(max + 1, sizeof *places);
    struct figures f = {.services = calloc(max + 1, sizeof *f.services)};

    if (!places || !f.services) {
        free(places);
        free(f.services);
        return -ENOMEM;
    }
    max = collect(children, n, places, max);
    qsort(places, max, sizeof *places, by_id);
    add_up(&f, places, max);
    for (size_t i = 0; i < n; i++)
        if (children[i].meter)
            add_process(&f, &children[i]);
    free(places);
    *ret_figures = f;
    return 0;
}

void figures_release(struct figures *f)
{
    free(f->services);
    *f = (struct figures){0};
}
