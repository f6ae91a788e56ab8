/*
 * The figures in the text format of Prometheus (version 0.0.4), named by its conventions.
 *
 * Labels: service is the id in Moodle's table (mih_service_info tells its name), transport is rest,
 * soap or amqp, child is the number of a process of this mih-worker. Pure.
 */
#ifndef MIH_WORKER_EXPOSITION_H
#define MIH_WORKER_EXPOSITION_H

#include "common/buf.h"
#include "worker/figures.h"

/* The supervisor itself. */
struct exposition_own {
    int64_t started_s;
    uint64_t cpu_us;
    int64_t resident_bytes, open_files, max_files; /* -1: not known */
    unsigned wanted;                               /* children */
    bool ready;
};

/* A failure stays in the buffer. */
void exposition_write(struct buf *out, const struct exposition_own *own,
                      const struct child_look *children, size_t n, const struct figures *figures);

#endif
