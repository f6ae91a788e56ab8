/*
 * What the daemon and the command line of mih-replayer share with each other and with nobody else.
 */
#ifndef MIH_WORKER_REPLAYER_IMPL_H
#define MIH_WORKER_REPLAYER_IMPL_H

#include <stdbool.h>

#include "common/db.h"
#include "worker/deadlink.h"
#include "worker/names.h"
#include "worker/replay_work.h"
#include "worker/replayer.h"

struct replayer {
    const struct settings *settings;
    struct names names;
    struct db *db; /* NULL while closed */
    struct deadlink link;
    bool locked; /* by this session of db */
    int signal_fd;
    bool stopping;
    bool reload; /* SIGHUP came */
    char reason[512];
};

/* 0 or a negative errno. Signals come by the descriptor from now on. */
int replayer_init(struct replayer *r, const struct settings *settings)
    __attribute__((warn_unused_result));
void replayer_release(struct replayer *r);

/* Opens what is not open, the broker last: 0; 1: another replayer has the lock; or a negative
 * errno with the reason. */
int replayer_open_db(struct replayer *r) __attribute__((warn_unused_result));
int replayer_connect(struct replayer *r) __attribute__((warn_unused_result));

/* After a failure of what was open: takes the reason from the one that failed. */
void replayer_note_failure(struct replayer *r);

/* Closes both. */
void replayer_disconnect(struct replayer *r);

/* Takes the signals that have come; whether to stop. The context is the replayer. */
bool replayer_stopping(void *context);

/* The tools of a replay; context and hooks are the caller's to set. */
struct replay_tools replayer_tools(struct replayer *r);

/* Waits, serving the broker's connections when they are open, until the time is over, a signal or
 * a hint has come. 0 or a negative errno of the broker. */
int replayer_wait(struct replayer *r, int64_t ms) __attribute__((warn_unused_result));

#endif
