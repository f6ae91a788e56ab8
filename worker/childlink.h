/*
 * What a child tells its supervisor, once a second: a message of fixed size over a socket pair
 * that it inherits as descriptor CHILDLINK_FD. The newest one counts. Neither side ever waits for
 * the other. The supervisor kills a child that is silent for too long, so the report must come
 * from the event loop that does the work, never from a thread beside it.
 */
#ifndef MIH_WORKER_CHILDLINK_H
#define MIH_WORKER_CHILDLINK_H

#include <stdbool.h>
#include <stdint.h>

enum { CHILDLINK_FD = 3 };

struct child_report {
    bool ready;         /* it started completely; stays true */
    bool connected;     /* to the broker: it can take work */
    bool idle;          /* nothing to do, or waiting for others and not for too long */
    bool quiet;         /* takes no new work, as SIGTSTP told it */
    uint32_t in_flight; /* requests under way */
    uint64_t progress;  /* counts whatever it finishes; any change is progress */
};

/* A pair, both ends non-blocking and close-on-exec: [0] the supervisor's, [1] the child's. */
int childlink_open(int ret_fds[2]) __attribute__((warn_unused_result));

/* True when the descriptor is a child's end: not so when somebody ran `--child` by hand. */
bool childlink_valid(int fd);

/* Tells the supervisor. 0; -EAGAIN: it has not read the earlier ones, a later report will do;
 * -EPIPE: it is gone. */
int childlink_report(int fd, const struct child_report *report) __attribute__((warn_unused_result));

/* Takes the newest report. 0; -EAGAIN: none; -EPIPE: the child closed its end; -EPROTO. */
int childlink_receive(int fd, struct child_report *ret_report) __attribute__((warn_unused_result));

#endif
