/*
 * What the supervisor keeps for each number of a child: the counters that are on their way into the
 * database (statcells.h), and what the metrics show (meter.h). Every process that has the number
 * inherits it in turn; it is there until the supervisor ends.
 *
 * 750 KiB for each, taken at once: no delivery ever fails for want of it.
 */
#ifndef MIH_WORKER_STATMAP_H
#define MIH_WORKER_STATMAP_H

#include "worker/meter.h"
#include "worker/statcells.h"
#include "worker/suspects.h"

enum { STATMAP_FD = SUSPECTS_FD + 1 }; /* where a child inherits it, when there is one */

struct statmap {
    struct statmemory statistics;
    struct meter meter;
};

/* The supervisor's part: a descriptor, close-on-exec, and the memory; -1 and NULL, told in the log:
 * what a process of this number has not written when it is killed will be lost, and there are no
 * metrics of it. */
int statmap_make(struct statmap **ret_map);

/* Both; -1 and NULL are allowed. */
void statmap_release(int fd, struct statmap *map);

/* A child's part: takes the descriptor STATMAP_FD, or memory of its own when there is none. The
 * memory stays until the process ends. */
struct statmap *statmap_attach(void);

#endif
