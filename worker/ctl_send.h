/*
 * Sends one request through the worker's transports, the network guard in force, and tells what
 * came back. It is a test: nothing of it is counted, remembered or tried again, and breaker and
 * limits do not hold it back.
 */
#ifndef MIH_WORKER_CTL_SEND_H
#define MIH_WORKER_CTL_SEND_H

#include <stddef.h>

#include "dispatcher/verdict.h"

struct buf;
struct json_object;
struct request;
struct settings;

enum { CTL_MAX_ANSWER = 4096 }; /* bytes of the answer that are shown */

struct ctl_answer {
    struct outcome outcome;
    struct verdict verdict;
    char body[CTL_MAX_ANSWER]; /* its first bytes, printable, tokens masked */
};

/* Blocks until the answer is there, which the service's time-out bounds. 0, or negative with the
 * reason: nothing was sent. */
int ctl_send(const struct settings *settings, const struct request *request,
             struct ctl_answer *ret_answer, char *ret_reason, size_t reason_size)
    __attribute__((warn_unused_result));

/* The object: verdict, status, time_ms, token_ms (the part of it that passed until there was an
 * access token), reason, body; to put. NULL: no memory. */
struct json_object *ctl_answer_object(const struct ctl_answer *a);

/* The same in lines for people. */
void ctl_answer_print(const struct ctl_answer *a, struct buf *out);

/* The exit code, of sysexits.h: delivered, would be tried again, rejected. */
int ctl_answer_code(const struct ctl_answer *a);

#endif
