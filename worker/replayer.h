/*
 * The program mih-replayer: carries out the rows of the table `replay`, one after the other, and
 * looks after the age and number of dead letters. One thread, whose calls may block: it delivers
 * nothing and nobody waits for it.
 *
 * Only one replayer works at a time for a namespace: it holds a lock of the database (GET_LOCK),
 * which ends with its session; the others wait for it. Whatever fails, database or broker, it
 * closes both connections (what is not acknowledged goes back to its queue), opens them again after
 * a jittered delay, and goes on with the row that says `running`.
 *
 *   SIGTERM, SIGINT  end in order: what is confirmed is acknowledged, the rest goes back
 *   SIGHUP           read the configuration again (daemon)
 */
#ifndef MIH_WORKER_REPLAYER_H
#define MIH_WORKER_REPLAYER_H

#include "worker/replay_command.h"
#include "worker/settings.h"

/* The daemon: until told to stop. Returns the exit code. settings are replaced at SIGHUP. */
int replayer_serve(struct settings *settings, const char *config_path)
    __attribute__((warn_unused_result));

/* One command: adds its row, and carries it out or, when another replayer works, waits until that
 * has done so; or lists. Prints on standard output, faults on standard error. Returns the exit
 * code: EX_OK; EX_UNAVAILABLE when it was stopped or failed; EX_TEMPFAIL when it will go on as soon
 * as a replayer works again. */
int replayer_command(const struct settings *settings, struct replay_command *command)
    __attribute__((warn_unused_result));

#endif
