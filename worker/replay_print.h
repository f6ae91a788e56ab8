/*
 * What mih-replayer prints on the command line: dead letters and the progress of a replay, for
 * people or, with --json, one JSON object a line. Texts from outside are made safe for a terminal.
 */
#ifndef MIH_WORKER_REPLAY_PRINT_H
#define MIH_WORKER_REPLAY_PRINT_H

#include <stdbool.h>
#include <stdio.h>

#include "worker/deadindex.h"
#include "worker/replay_store.h"

void replay_print_letter(FILE *out, bool json, const struct dead_row *row);

/* One line: what it has done so far, or at its end. */
void replay_print_progress(FILE *out, bool json, const struct replay *replay);

#endif
