/*
 * The command line of mihctl: a command, what it is about, and how it is shown. Parsing checks what
 * can be checked without opening anything, and says what there is.
 */
#ifndef MIH_WORKER_CTL_COMMAND_H
#define MIH_WORKER_CTL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/replay_command.h"

enum ctl_verb {
    CTL_RENDER,
    CTL_SEND,
    CTL_CHECK,
    CTL_STATUS,
    CTL_TOP,
    CTL_PAUSE,
    CTL_RESUME,
    CTL_BREAKER,
    CTL_TRACE,
    CTL_DLQ,
    CTL_VERSION,
    CTL_HELP
};

struct ctl_command {
    enum ctl_verb verb;
    const char *config_path; /* NULL: the default, if there is one */
    const char *service;     /* files; NULL: of the database */
    const char *rule;
    const char *data; /* NULL: nothing is looked up in files */
    const char *event;
    const char *message_id; /* "": of the body */
    int64_t rule_id;        /* of the database; 0: of files */
    int64_t now_s;          /* 0: now */
    int64_t interval_s;     /* of top */
    const char *subject;    /* the service, by id or name, or the message; NULL: of neither */
    bool reset;             /* of breaker */
    bool json;
    struct replay_command dlq; /* of dlq, all but json and config_path, which stand above */
};

/* Texts are borrowed from argv. 0; -EINVAL with what is wrong. */
int ctl_command_parse(int argc, char **argv, struct ctl_command *ret_command, char *ret_reason,
                      size_t size) __attribute__((warn_unused_result));

#endif
