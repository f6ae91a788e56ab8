/*
 * Hints to all processes of the fleet, this one included, on the control exchange: something in the
 * database has changed, look now. A lost hint costs a poll interval.
 */
#ifndef MIH_WORKER_HINT_H
#define MIH_WORKER_HINT_H

#include <stdint.h>

#include "worker/context.h"

/* what: one word, the hint's type; id: of what has changed. */
void hint_send(const struct context *ctx, const char *what, int64_t id);

#endif
