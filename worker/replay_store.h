/*
 * The table `replay`, where replays are asked for and their progress is told. Everything blocks.
 * Times are set by the server, so that hosts with different clocks agree.
 */
#ifndef MIH_WORKER_REPLAY_STORE_H
#define MIH_WORKER_REPLAY_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/db.h"
#include "worker/replay_filter.h"

enum replay_action { REPLAY_REPLAY, REPLAY_DISCARD, REPLAY_REINDEX, REPLAY_ACTIONS };

enum { REPLAY_STATE_SIZE = 16, REPLAY_ERROR_SIZE = 512, REPLAY_RATE = 100 };

/* One row. */
struct replay {
    int64_t id;
    enum replay_action action;
    bool as_sent; /* else rendered anew */
    struct replay_filter filter;
    int64_t rate;       /* per second; at least 1 */
    int64_t max_count;  /* 0: no limit */
    int64_t stop_after; /* failures; 0: never */
    bool canary;
    bool dry_run;
    char state[REPLAY_STATE_SIZE]; /* requested, running, done, stopped, failed */
    int64_t matched, moved, failed;
    int64_t started_s; /* 0: not yet */
    char error[REPLAY_ERROR_SIZE];
};

const char *replay_action_name(enum replay_action action);

/* All return 0 or a negative errno of db_query(), and where it says so 1: there is none. */

/* The next one to be carried out: what was interrupted first, then in order of request. One that
 * was stopped while it was interrupted is still to be ended. 1: none. */
int replay_store_next(struct db *db, struct replay *ret_replay) __attribute__((warn_unused_result));
int replay_store_read(struct db *db, int64_t id, struct replay *ret_replay)
    __attribute__((warn_unused_result));

/* Adds a row from the command line. */
int replay_store_add(struct db *db, const struct replay *replay, int64_t *ret_id)
    __attribute__((warn_unused_result));

/* Running from now on, unless somebody has stopped it; timestarted is that of the first start. */
int replay_store_start(struct db *db, int64_t id) __attribute__((warn_unused_result));

/* Takes it back: it is not started, or stops as soon as its replayer looks; one that has ended
 * stays as it is. */
int replay_store_withdraw(struct db *db, int64_t id) __attribute__((warn_unused_result));

/* Writes matched and moved, counts failed anew, and reads the state, which others may change. */
int replay_store_progress(struct db *db, struct replay *replay) __attribute__((warn_unused_result));

/* The end: the row's state and its error ("": none). */
int replay_store_end(struct db *db, const struct replay *replay, const char *state,
                     const char *error) __attribute__((warn_unused_result));

/* Counts `failed` anew for replays that ended a short time ago: their messages still fail. */
int replay_store_refresh(struct db *db) __attribute__((warn_unused_result));

/* The id of a service, given its name, or its id: also of one that is gone, while it has letters.
 * 1: none, or several have that name. */
int replay_store_service(struct db *db, const char *text, int64_t *ret_id)
    __attribute__((warn_unused_result));

/* Ids of all services that there are, or were while they had dead letters; malloc, ascending. */
int replay_store_services(struct db *db, int64_t **ret_ids, size_t *ret_n)
    __attribute__((warn_unused_result));

/* The lock that one replayer holds: 0, or 1: another one has it. It is the session's, so it ends
 * with the connection. space is the namespace of [broker]. */
int replay_store_lock(struct db *db, const char *space) __attribute__((warn_unused_result));

/* Whether somebody holds it: a replayer works. */
int replay_store_works(struct db *db, const char *space, bool *ret_works)
    __attribute__((warn_unused_result));

#endif
