/*
 * What a worker process has done since it started. The loop's thread alone writes and reads it;
 * heartbeat.c shows it to the dashboard in the table local_integrationhub_worker.
 */
#ifndef MIH_WORKER_COUNTERS_H
#define MIH_WORKER_COUNTERS_H

#include <stdint.h>

struct counters {
    uint64_t received;   /* messages taken from the queues */
    uint64_t delivered;  /* requests that succeeded */
    uint64_t skipped;    /* messages that no rule wanted any more */
    uint64_t repeats;    /* requests not sent, because an earlier copy was delivered */
    uint64_t retried;    /* retries written */
    uint64_t dead;       /* dead letters written */
    uint64_t inflight;   /* requests under way now */
    int64_t progress_ms; /* timing_mono_ms() when anything above last changed; 0: not yet */
};

#endif
