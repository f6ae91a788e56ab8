/*
 * Carries a topology plan out at the broker, on the publisher's thread.
 */
#ifndef MIH_WORKER_TOPOLOGY_APPLY_H
#define MIH_WORKER_TOPOLOGY_APPLY_H

#include "common/bus.h"
#include "worker/names.h"
#include "worker/queues.h"
#include "worker/topology_plan.h"

/* Blocks. Declares the exchanges, then carries out each item and sets its done and note. A refused
 * item does not stop the others. 0, BUS_REFUSED when an exchange was refused (nothing else was
 * tried then), or negative: connection lost, what is not done has to be done again. */
int topology_apply(struct bus *bus, uint16_t channel, const struct names *names,
                   struct topology_plan *plan) __attribute__((warn_unused_result));

/* What is to be told of the queues that retries wait in: how many have other arguments than this
 * version declares (they are used as they are), and how the first of them differs. */
struct topology_delays {
    unsigned differ;
    char note[QUEUE_NOTE_SIZE];
};

/* Blocks. Declares the queues that retries wait in (DESIGN 3); when they are there already it costs
 * the broker some milliseconds. Returns as topology_apply(). */
int topology_apply_delays(struct bus *bus, uint16_t channel, const struct names *names,
                          struct topology_delays *ret_delays) __attribute__((warn_unused_result));

#endif
