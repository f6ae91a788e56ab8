/*
 * One rule's delivery of one message (struct attempt of job.h): render, send, judge the answer, and
 * see to what follows it. delivery.c decides which attempts there are and when they start.
 *
 * An attempt that is held (no retry budget, breaker open, another copy under way) is not sent and
 * not counted: it goes to a delay queue and comes back.
 */
#ifndef MIH_WORKER_ATTEMPT_H
#define MIH_WORKER_ATTEMPT_H

#include "worker/followup.h"
#include "worker/job.h"

struct service;

/* Starts it; its job counts it as open. It may have ended, and its job too, when this returns. */
void attempt_start(struct attempt *a, const struct service *service);

/* Nothing is sent, for the message or the rule is at fault: a dead letter. */
void attempt_refuse(struct attempt *a, const char *reason);

/* Not sent now, and not counted: it waits in a delay queue and comes back. */
void attempt_hold(struct attempt *a, const char *reason, int64_t delay_ms);

/* What followed it is safe, or not needed any more: a followup_done. */
void attempt_followed(struct attempt *a, enum followup_end end);

#endif
