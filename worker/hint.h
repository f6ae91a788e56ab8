/*
 * Hints to all processes of the fleet, this one included, on the control exchange: something in the
 * database has changed, look now. A lost hint costs a poll interval. HINT_TOPOLOGY: an exchange or
 * queue of ours seems to be missing at the broker; the elected process looks. mihctl sends hints of
 * its own (ctl_base.h).
 */
#ifndef MIH_WORKER_HINT_H
#define MIH_WORKER_HINT_H

#include <stdint.h>

#include "worker/context.h"

#define HINT_TOPOLOGY "topology"

/* what: one word, the hint's type; id: of what has changed. */
void hint_send(const struct context *ctx, const char *what, int64_t id);

#endif
