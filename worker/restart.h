/*
 * How long to wait before a process that ended is started again: 1 s, doubled each time up to
 * 60 s, and 1 s again once it has run for 60 s. Pure.
 */
#ifndef MIH_WORKER_RESTART_H
#define MIH_WORKER_RESTART_H

#include <stdint.h>

enum { RESTART_FIRST_MS = 1000, RESTART_LAST_MS = 60000, RESTART_HEALTHY_MS = 60000 };

/* previous_ms: the delay before the start of the run that just ended, 0 for the first run. */
int64_t restart_delay_ms(int64_t previous_ms, int64_t ran_ms);

#endif
