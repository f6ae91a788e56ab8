/*
 * The process that systemd knows: it starts the children, keeps them alive, and passes on what
 * it is told. It does no work of its own and holds no connection, so it hardly can fail.
 *
 *   SIGTERM, SIGINT  children drain; what is left after drain_timeout and 6 s is killed; exit 0.
 *                    A second SIGINT kills at once.
 *   SIGHUP           reads the configuration again, changes the number of children, and sends
 *                    SIGHUP on. A configuration with an error is reported and changes nothing.
 *   SIGTSTP          quiet: children stop taking work.   SIGCONT  they take it again.
 *
 * systemd is told READY=1 once every child said that it is ready, and WATCHDOG=1 only while
 * every child that runs makes progress, is idle, or waits for the broker. When it stops it asks for
 * the time that drain_timeout allows, whatever the unit's TimeoutStopSec.
 */
#ifndef MIH_WORKER_SUPERVISOR_H
#define MIH_WORKER_SUPERVISOR_H

#include "worker/settings.h"

struct supervisor_options {
    const char *program;     /* executed for each child, with `--child N` */
    const char *config_path; /* NULL: defaults and environment alone */
};

/* Runs until it is told to stop. settings stay the caller's and hold the newest good ones
 * afterwards. Returns the exit code: 0; EX_CONFIG when every child refused the configuration;
 * EX_OSERR. */
int supervisor_run(const struct supervisor_options *options, struct settings *settings)
    __attribute__((warn_unused_result));

#endif
