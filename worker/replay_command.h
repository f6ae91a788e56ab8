/*
 * The command line of mih-replayer, and of `mihctl dlq`, which names letters in the same way.
 * Parsing is pure; names of services are looked up later.
 */
#ifndef MIH_WORKER_REPLAY_COMMAND_H
#define MIH_WORKER_REPLAY_COMMAND_H

#include <stdbool.h>

#include "worker/replay_store.h"

enum replay_verb {
    VERB_DAEMON,
    VERB_REPLAY,
    VERB_DISCARD,
    VERB_REINDEX,
    VERB_LIST,
    VERB_WITHDRAW, /* the replay of this id */
    VERB_SHOW,     /* of mihctl alone */
    VERB_CHECK_CONFIG,
    VERB_DUMP_CONFIG,
    VERB_VERSION,
    VERB_HELP,
};

struct replay_command {
    enum replay_verb verb;
    const char *config_path; /* NULL: not given */
    const char *service;     /* id or name; NULL: any */
    bool all;
    bool json;
    bool wait;             /* of mihctl alone: until the daemon has carried it out */
    struct replay replay;  /* what is asked for, but for the service */
    int64_t canary_wait_s; /* 0: the setting's */
};

/* 0, or -EINVAL with what is wrong. Texts point into argv. */
int replay_command_parse(int argc, char **argv, struct replay_command *ret_command,
                         char *ret_reason, size_t size) __attribute__((warn_unused_result));

/* The same of what follows `mihctl`: argv[0] is "dlq", and a verb must be said. What mih-replayer
 * does by itself is not known here; what `show` shows is in the filter. */
int replay_command_parse_dlq(int argc, char **argv, struct replay_command *ret_command,
                             char *ret_reason, size_t size) __attribute__((warn_unused_result));

/* Unix seconds from an ISO 8601 time (2026-11-25, 2026-11-25T08:30, with :SS, and Z or an offset;
 * without one UTC) or a number of seconds. 0 or -EINVAL. */
int replay_command_time(const char *text, int64_t *ret_s) __attribute__((warn_unused_result));

#endif
