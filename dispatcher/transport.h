/*
 * How a request leaves the house: one struct of functions per transport. A transport runs in the
 * event loop, never blocks it, and answers every request exactly once through done().
 */
#ifndef MIH_DISPATCHER_TRANSPORT_H
#define MIH_DISPATCHER_TRANSPORT_H

#include <stddef.h>

#include "dispatcher/request.h"
#include "dispatcher/verdict.h"

struct event_base;
struct netguard;
struct transport;

/* The outcome and the first bytes of the answer's body (bounded) are valid during the call. */
typedef void transport_done(void *context, const struct outcome *outcome, const char *body,
                            size_t body_len);

struct transport_settings {
    const char *user_agent;
    size_t max_response_bytes;
    long connect_timeout_ms; /* at most; the service's own time-out if that is shorter */
    const char *ca_file;     /* PEM file with the authorities to trust; "" takes the system's */
    /* Asked about every address before it is connected to. Not copied: it outlives the transport
     * and may change. NULL: refuses what is not of the public Internet. */
    const struct netguard *guard;
    const char *proxy;    /* URL of the forward proxy of HTTP; "" and NULL: none */
    const char *no_proxy; /* hosts that are called without it: see proxyroute.h */
};

struct transport_ops {
    const char *name;
    /* Sends. The request must stay as it is until done() is called, which never happens inside of
     * this call. 0, or negative (-ENOMEM, -EINVAL: no such method): done() will not be called. */
    int (*send)(struct transport *t, const struct request *request, transport_done *done,
                void *context) __attribute__((warn_unused_result));
    /* Requests under way. */
    size_t (*open_count)(const struct transport *t);
    /* Requests under way for clearly longer than their time-out: a fault of ours. */
    size_t (*overdue_count)(const struct transport *t);
    /* Answers everything under way with OUTCOME_CANCELLED. */
    void (*cancel_all)(struct transport *t);
    /* Cancels all, where done() must not send again, and frees it. Never from within done(). */
    void (*free)(struct transport *t);
};

struct transport {
    const struct transport_ops *ops;
};

/* HTTP over curl's multi interface, driven by the loop. Copies the settings. The process must
 * ignore SIGPIPE. */
int rest_transport_new(struct event_base *base, const struct transport_settings *settings,
                       struct transport **ret_transport) __attribute__((warn_unused_result));

/* AMQP over one connection for each service, each on a thread of its own: never more than 64.
 * Copies the settings. */
int amqp_transport_new(struct event_base *base, const struct transport_settings *settings,
                       struct transport **ret_transport) __attribute__((warn_unused_result));

#endif
