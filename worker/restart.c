#include "worker/restart.h"

int64_t restart_delay_ms(int64_t previous_ms, int64_t ran_ms)
{
    if (previous_ms < RESTART_FIRST_MS || ran_ms >= RESTART_HEALTHY_MS)
        return RESTART_FIRST_MS;
    return previous_ms >= RESTART_LAST_MS / 2 ? RESTART_LAST_MS : previous_ms * 2;
}
