/*
 * `mihctl dlq`: dead letters are listed and shown from their index; to replay or discard them a row
 * in the table replay asks the daemon mih-replayer, which alone touches the queues.
 */
#ifndef MIH_WORKER_CTL_DLQ_H
#define MIH_WORKER_CTL_DLQ_H

struct ctl;

/* The exit code. */
int ctl_dlq(struct ctl *c);

/* One message's rows, all columns. The exit code: 65 when there are none. */
int ctl_dlq_show(struct ctl *c);

#endif
