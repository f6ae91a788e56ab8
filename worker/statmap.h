/*
 * The memory of one child's counters (statcells.h): made by the supervisor for each number,
 * inherited by every process that has the number in turn. It is there until the supervisor ends.
 *
 * 460 KiB for each, taken at once: no delivery ever fails for want of it.
 */
#ifndef MIH_WORKER_STATMAP_H
#define MIH_WORKER_STATMAP_H

#include "worker/statcells.h"
#include "worker/suspects.h"

enum { STATMAP_FD = SUSPECTS_FD + 1 }; /* where a child inherits it, when there is one */

/* The supervisor's part: a descriptor, close-on-exec; -1, told in the log: what a process of this
 * number has not written when it is killed will be lost. */
int statmap_make(void);

/* A child's part: takes the descriptor STATMAP_FD, or memory of its own when there is none. The
 * memory stays until the process ends. */
struct statmemory *statmap_attach(void);

#endif
