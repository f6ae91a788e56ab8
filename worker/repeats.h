/*
 * What to do with a message that may be a repeat: its flag says so (the broker's redelivered flag,
 * or the header x-mih-republished), and the store of delivered pairs (seen.h) knows.
 *
 * Every attempt is written down, and only what is flagged is looked up: a message that nobody
 * flagged is always sent. A forged flag costs a look and nothing else.
 */
#ifndef MIH_WORKER_REPEATS_H
#define MIH_WORKER_REPEATS_H

#include "dispatcher/seen.h"
#include "worker/job.h"

/* Header of what is published and may have been published before: number 1. */
#define REPUBLISHED_HEADER "x-mih-republished"

/* What is known of the attempt's message and rule: SEEN_NOT unless its message is flagged. */
enum seen_state repeats_look(const struct attempt *a);

/* The request is about to be sent. */
void repeats_begin(struct attempt *a);

/* It was delivered. Call it before the message may be acknowledged. */
void repeats_delivered(struct attempt *a);

/* The attempt ends, however: one that was begun and not delivered is unknown again. */
void repeats_end(struct attempt *a);

#endif
