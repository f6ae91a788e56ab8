/*
 * What this process takes of the machine, as the system tells: for dashboard and metrics.
 */
#ifndef MIH_WORKER_OWNPROCESS_H
#define MIH_WORKER_OWNPROCESS_H

#include <stdint.h>

/* Resident memory; 0 when /proc does not tell. */
int64_t ownprocess_resident_bytes(void);

/* Processor time of all its threads, in the system and in itself. */
uint64_t ownprocess_cpu_us(void);

/* Open descriptors, -1 when /proc does not tell; and how many there may be. */
int64_t ownprocess_open_files(void);
int64_t ownprocess_max_files(void);

#endif
