/*
 * What each outcome of a delivery means: the whole policy of DESIGN 5 in one table-driven file.
 * Pure; the header of verdict.c states the policy in sentences.
 */
#ifndef MIH_DISPATCHER_VERDICT_H
#define MIH_DISPATCHER_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

enum { VERDICT_REASON_SIZE = 512, OUTCOME_TEXT_SIZE = 256 };

/* What happened, as the transport saw it. */
enum outcome_kind {
    OUTCOME_HTTP, /* a whole answer: status is valid */
    OUTCOME_DNS,
    OUTCOME_CONNECT,
    OUTCOME_TIMEOUT,
    OUTCOME_BROKEN,         /* reset, partial, empty or garbled answer, answer too large */
    OUTCOME_TLS,            /* certificate not valid, handshake refused */
    OUTCOME_INVALID,        /* the request itself cannot be sent: URL, header, template, policy */
    OUTCOME_LOCAL,          /* our own fault: out of memory or descriptors, stopped for a while */
    OUTCOME_CANCELLED,      /* given up by us, at shutdown */
    OUTCOME_FAULT_SENDER,   /* a SOAP fault that blames our message, whatever the status */
    OUTCOME_FAULT_RECEIVER, /* one that does not */
    OUTCOME_CONFIRMED,      /* AMQP: the broker has it, and queues for it */
    OUTCOME_UNROUTED,       /* AMQP: no queue is bound for it, or there is no such exchange */
    OUTCOME_NACKED,         /* AMQP: the broker does not take it */
    OUTCOME_LOST,           /* AMQP: the connection broke before the confirm */
    OUTCOME_ACCESS,         /* AMQP: user, password, virtual host or permissions */
};

struct outcome {
    enum outcome_kind kind;
    int status;            /* HTTP status, 0 without one */
    int64_t retry_after_s; /* -1: none */
    int64_t latency_us;    /* from when it was to be sent to the end, all that was waited for */
    int64_t token_us;      /* the part of it that passed until there was an access token */
    char text[OUTCOME_TEXT_SIZE]; /* the transport's words; the location of a redirect */
};

enum verdict_kind { VERDICT_DELIVERED, VERDICT_RETRY, VERDICT_REJECT };
enum verdict_breaker { BREAKER_SUCCESS, BREAKER_FAILURE, BREAKER_NEUTRAL };

struct verdict {
    enum verdict_kind kind;
    enum verdict_breaker breaker;
    bool counts;           /* the attempt counts */
    unsigned max_attempts; /* 0: the service's own; else at most so many */
    int64_t not_before_s;  /* seconds from now at the least */
    bool lower_concurrency;
    bool disable_rule;
    bool warn;
    int status;
    char reason[VERDICT_REASON_SIZE]; /* "" when delivered; goes word for word to log, header, DLQ,
                                         dashboard */
};

void verdict_of(const struct outcome *o, struct verdict *ret_verdict);

/* Retry-After as in RFC 9110: seconds or an HTTP date, relative to now_s; -1 when it is neither.
 * Between 1 s and 24 h. */
int64_t verdict_retry_after(const char *value, int64_t now_s);

#endif
