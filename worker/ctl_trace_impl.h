/*
 * The steps of a message's way: ctl_trace.c orders and prints what ctl_trace_rows.c reads.
 */
#ifndef MIH_WORKER_CTL_TRACE_IMPL_H
#define MIH_WORKER_CTL_TRACE_IMPL_H

#include <stddef.h>
#include <stdint.h>

struct ctl;
struct trace;

struct trace_step {
    int64_t time_s;
    size_t order;
    char what[24];
    int64_t service_id, rule_id; /* 0: none */
    char text[1000];
};

/* The new step, to be filled; NULL: no memory. */
struct trace_step *ctl_trace_add(struct trace *t, int64_t time_s, const char *what);

/* Reads all tables; as db_query(). */
int ctl_trace_read(struct ctl *c, struct trace *t) __attribute__((warn_unused_result));

#endif
