/*
 * A worker process: one event loop that consumes, delivers and settles, and two threads for
 * what blocks (database, publishing).
 *
 * SIGTERM drains and ends; SIGTSTP finishes what has begun and takes nothing new; SIGCONT takes
 * work again; SIGHUP looks at the rules at once and takes the settings that can change in a
 * running process. For any other setting the supervisor replaces its children.
 */
#ifndef MIH_WORKER_CHILD_H
#define MIH_WORKER_CHILD_H

#include "worker/settings.h"

/* Runs until it is told to stop; returns the exit code. settings stay the caller's; reloadable
 * ones are changed in it. Do not release them afterwards: a thread that hangs in the database
 * may be left behind with them. link_fd is where reports to the supervisor go (childlink.h), or
 * -1; config_path is NULL for no file. */
int child_run(int number, int link_fd, struct settings *settings, const char *config_path);

#endif
