/*
 * Carries out mihctl's commands: finds rule, service and event, renders, and prints or sends.
 */
#ifndef MIH_WORKER_CTL_RUN_H
#define MIH_WORKER_CTL_RUN_H

struct ctl_command;
struct settings;

/* The exit code, of sysexits.h. */
int ctl_run(const struct settings *settings, const struct ctl_command *command);

#endif
