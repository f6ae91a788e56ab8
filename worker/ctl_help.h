/*
 * What mihctl says of itself when it is asked for help.
 */
#ifndef MIH_WORKER_CTL_HELP_H
#define MIH_WORKER_CTL_HELP_H

extern const char ctl_help[];

#endif
