/*
 * `mihctl trace MESSAGE_ID`: everything that the tables know of one message, in order of time: the
 * outbox, the log of requests, the index of dead letters, and replays of it. What only the broker
 * knows, that it waits there, no table tells.
 */
#ifndef MIH_WORKER_CTL_TRACE_H
#define MIH_WORKER_CTL_TRACE_H

struct ctl;

/* The exit code: 0, or 65 when nothing is known of it. */
int ctl_trace(struct ctl *c);

#endif
