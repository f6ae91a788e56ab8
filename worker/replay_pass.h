/*
 * One pass over the dead letters of one service: each is taken from the head of the queue once, and
 * moved (to mih.redeliver), discarded, or put back to the tail, all confirmed before it is
 * acknowledged; see replay_mark.h for its end.
 *
 * Letters are handled strictly in order, so that one that was selected and then is not moved (the
 * replay ended early) still finds its old place. At most DEADLINK_WINDOW letters and 8 MiB are
 * held, and a kill repeats no more than those.
 *
 * The index is written first: a letter's row says `replayed` or `discarded` before the letter
 * leaves. What cannot be held or sent (above 16 MiB, or with headers that fill a frame) stays where
 * it is: it goes back to the head when the pass is over.
 */
#ifndef MIH_WORKER_REPLAY_PASS_H
#define MIH_WORKER_REPLAY_PASS_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/replay_work.h"

/* fresh: this replay has not begun before on this queue. 0: the turn is complete, or there is no
 * such queue. -ECANCELED: told to stop; it goes on where it was when called again, not fresh.
 * Otherwise a negative errno: the database or the broker failed (deadlink's reason or db_reason()),
 * likewise. */
int replay_pass(struct replay_work *work, int64_t service_id, bool fresh)
    __attribute__((warn_unused_result));

#endif
