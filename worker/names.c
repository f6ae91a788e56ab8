#include "worker/names.h"

#include <inttypes.h>
#include <stdio.h>

void names_init(struct names *n, const char *space, const char *events_exchange)
{
    snprintf(n->space, sizeof n->space, "%.64s", space);
    snprintf(n->events, sizeof n->events, "%.127s", events_exchange);
    snprintf(n->redeliver, sizeof n->redeliver, "%.64s.redeliver", space);
    snprintf(n->delay, sizeof n->delay, "%.64s.delay", space);
    snprintf(n->dead, sizeof n->dead, "%.64s.dead", space);
    snprintf(n->control, sizeof n->control, "%.64s.control", space);
}

void names_service_queue(const struct names *n, int64_t service_id, char ret_name[NAME_SIZE])
{
    snprintf(ret_name, NAME_SIZE, "%.64s.service.%" PRId64, n->space, service_id);
}

void names_dead_queue(const struct names *n, int64_t service_id, char ret_name[NAME_SIZE])
{
    snprintf(ret_name, NAME_SIZE, "%.64s.dead.%" PRId64, n->space, service_id);
}

void names_service_key(int64_t service_id, char ret_key[NAME_SIZE])
{
    snprintf(ret_key, NAME_SIZE, "%" PRId64, service_id);
}

void names_delay_queue(const struct names *n, int64_t delay_ms, char ret_name[NAME_SIZE])
{
    snprintf(ret_name, NAME_SIZE, "%.64s.delay.%" PRId64, n->space, delay_ms);
}

void names_delay_key(int64_t delay_ms, char ret_key[NAME_SIZE])
{
    snprintf(ret_key, NAME_SIZE, "d%" PRId64, delay_ms);
}
