/*
 * Starts this program again as a child of the supervisor, by fork and exec.
 *
 * The child gets its end of a link as descriptor CHILDLINK_FD, the store of delivered pairs as
 * SEENMAP_FD, what the processes work on as SUSPECTS_FD, its counters as STATMAP_FD, and no other
 * descriptor above standard error. It is sent SIGTERM when the supervisor dies, however that
 * happens. It starts with SIGHUP, SIGTSTP and SIGINT ignored: the first two would end or stop it
 * before it is ready to handle them, and the last one comes from a terminal, to the supervisor.
 */
#ifndef MIH_WORKER_SPAWN_H
#define MIH_WORKER_SPAWN_H

#include <sys/types.h>

struct spawn_options {
    const char *program;     /* file to execute */
    const char *config_path; /* passed on as --config; NULL: none */
    int seen_fd;             /* of the store of delivered pairs (seenmap.h); -1: none */
    int suspects_fd;         /* of what the processes work on (suspects.h); -1: none */
    int stat_fd;             /* of this child's counters (statmap.h); -1: none */
};

/* Starts child `number`. link_fd stays the caller's. 0 or a negative errno. A program that
 * cannot be executed shows as a child that exits with EX_OSERR. */
int spawn_child(const struct spawn_options *options, unsigned number, int link_fd, pid_t *ret_pid)
    __attribute__((warn_unused_result));

#endif
