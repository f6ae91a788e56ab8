#include "worker/meter.h"

#include <stdio.h>
#include <string.h>

enum { FORMAT_BASE = 0x4d455445 };

/* Another size is another format. */
static const uint64_t format = ((uint64_t)sizeof(struct meter) << 32) | FORMAT_BASE;

void meter_open(struct meter *m, int64_t pid)
{
    if (m->format != format)
        memset(m, 0, sizeof *m);
    meter_set(&m->pid, 0);
    for (size_t i = 0; i < METER_GAUGES; i++)
        meter_set(&m->gauge[i], 0);
    for (size_t i = 0; i <= METER_SERVICES; i++)
        for (size_t k = 0; k < METER_SERVICE_GAUGES; k++)
            if (k != METER_TYPE) /* which stands in the names of counters */
                meter_set(&m->services[i].gauge[k], 0);
    __atomic_store_n(&m->format, format, __ATOMIC_RELEASE);
    __atomic_store_n(&m->pid, pid, __ATOMIC_RELEASE);
}

bool meter_readable(const struct meter *m)
{
    return __atomic_load_n(&m->format, __ATOMIC_ACQUIRE) == format;
}

static struct meter_service *take(struct meter_service *place, int64_t id)
{
    __atomic_store_n(&place->id, 0, __ATOMIC_RELEASE);
    memset(place->name, 0, sizeof place->name);
    for (size_t k = 0; k < METER_SERVICE_GAUGES; k++)
        meter_set(&place->gauge[k], 0);
    for (size_t k = 0; k < STAT_COUNTS; k++)
        __atomic_store_n(&place->n[k], 0, __ATOMIC_RELAXED);
    __atomic_store_n(&place->id, id, __ATOMIC_RELEASE);
    return place;
}

struct meter_service *meter_service(struct meter *m, int64_t id)
{
    struct meter_service *unused = NULL, *gone = NULL;

    for (size_t i = 1; i <= METER_SERVICES; i++) {
        struct meter_service *place = &m->services[i];

        if (place->id == id)
            return place;
        if (place->id == 0)
            unused = unused ? unused : place;
        else if (!place->gauge[METER_PRESENT])
            gone = gone ? gone : place;
    }
    if (unused)
        return take(unused, id);
    return gone ? take(gone, id) : &m->services[0];
}

void meter_describe(struct meter *m, const struct catalog *catalog)
{
    for (size_t i = 1; i <= METER_SERVICES; i++)
        if (!catalog_service(catalog, m->services[i].id))
            meter_set(&m->services[i].gauge[METER_PRESENT], 0);
    for (size_t i = 0; i < catalog_service_count(catalog); i++) {
        const struct service *s = catalog_service_at(catalog, i);
        struct meter_service *place = meter_service(m, s->id);

        if (place == &m->services[0])
            continue;
        snprintf(place->name, sizeof place->name, "%s", s->name);
        meter_set(&place->gauge[METER_TYPE], (int64_t)s->type);
        meter_set(&place->gauge[METER_PRESENT], 1);
    }
}

void meter_follow(uint64_t *at, uint64_t *before, uint64_t now)
{
    meter_add(at, now - *before);
    *before = now;
}
