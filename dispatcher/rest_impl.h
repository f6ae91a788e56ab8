/*
 * What the files of the HTTP transport share, and nobody else includes. rest.c sends and answers;
 * rest_token.c keeps calls that wait for an access token, rest_proxy.c decides which calls go
 * through the forward proxy.
 *
 * A call is in one list of its rest at a time: idle, active, waiting (for a token) or refused
 * (about to be told so, because done() is never called inside of send()). The fetch of a token is a
 * call of our own, and among the fetches besides.
 *
 * Nobody waits for a token longer than the time-out of its own request, of which the request then
 * has what is left; and a fetch lasts until the last one who waits for it has waited long enough.
 */
#ifndef MIH_DISPATCHER_REST_IMPL_H
#define MIH_DISPATCHER_REST_IMPL_H

#include <curl/curl.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "dispatcher/oauth.h"
#include "dispatcher/stillness.h"
#include "dispatcher/transport.h"
#include "dispatcher/watcher.h"

enum { NODES = REQUEST_MAX_HEADERS + 2 };

/* One request under way, or waiting in the pool. Owned by rest. */
struct call {
    struct rest *rest;
    TAILQ_ENTRY(call) link;
    CURL *easy;
    const struct request *request; /* the caller's; while it is under way */
    transport_done *done;
    void *context;
    int64_t start_us; /* when it was sent, or began to wait */
    int64_t still_us; /* the stillness there had been by then */
    int64_t began_us; /* 0: with start_us; else before, for it had to wait or to be renewed */
    int64_t token_us; /* how long it has waited */
    struct oauth_token *gets; /* of a fetch: what it brings; else NULL */
    int64_t patience_us;      /* of a fetch: the longest time-out of those who have waited */
    TAILQ_ENTRY(call) fetch_link;
    struct curl_slist nodes[NODES];
    struct buf lines;                                    /* see rest_set_headers() */
    char method[sizeof((struct request *)NULL)->method]; /* as set in the handle */
    long timeout_ms;                                     /* as set in the handle */
    size_t max_body;
    curl_off_t max_file; /* as set in the handle */
    size_t header_bytes;
    bool header_too_large;
    bool body_too_large;
    bool has_cert;             /* one is set in the handle */
    bool renewed;              /* the token, once, after a 401 */
    bool fails;                /* among the refused: as the token's last fetch did */
    struct oauth_token *token; /* NULL: the service wants none */
    uint64_t token_number;     /* of the token that was sent */
    struct buf body;           /* of the answer */
    struct watcher_sockets sockets;
    char words[CURL_ERROR_SIZE];
};

TAILQ_HEAD(call_list, call);

struct rest {
    struct transport transport; /* first: a transport is a rest */
    CURLM *multi;
    struct watcher *watcher;
    struct call_list active; /* the oldest first */
    struct call_list idle;   /* the last used first: its memory is warm */
    struct call_list waiting;
    struct call_list refused;
    struct call_list fetches;
    size_t n_active, n_idle, n_parked; /* parked: waiting and refused */
    struct event refuse;               /* answers the refused ones */
    struct event patience;             /* while somebody waits: looks whose time is over */
    int64_t patience_us;               /* when it does next; 0: nobody waits */
    struct stillness stillness;
    struct oauth *oauth;
    char *user_agent; /* "User-Agent: ..." */
    char *ca_file;
    char *proxy; /* NULL: none */
    char *no_proxy;
    size_t max_body;
    long connect_timeout_ms;
    const struct netguard *guard;
};

/* A call out of the pool; NULL: no memory. */
struct call *rest_take(struct rest *rest);
/* How long the request may take, from when it was to be sent. */
int64_t rest_timeout_us(const struct call *call);
/* Sends the call, which is in no list. 0, or -ENOMEM and it still is in none. */
int rest_start(struct call *call) __attribute__((warn_unused_result));
/* Puts its headers into the call. 0, -EMSGSIZE or -ENOMEM. */
int rest_set_headers(struct call *call, const struct request *request)
    __attribute__((warn_unused_result));
/* Takes the access token that was sent out of an answer, or its words, that repeat it. */
void rest_mask_token(struct call *call, struct outcome *o);
/* Back into the pool. */
void rest_keep(struct call *call);
/* Empties it of what the answer brought. */
void rest_reset(struct call *call);
/* Ends one that is active, and answers it. */
void rest_end(struct call *call, struct outcome *o);
/* Answers a call that is in no list, without a body. */
void rest_answer_parked(struct call *call, struct outcome *o);

/* As rest_start(), for a service with OAuth 2.0: now, or when its token has come. */
int rest_start_authorized(struct call *call) __attribute__((warn_unused_result));
/* After a 401, of a call that is active: whether it is sent once more with a new token. */
bool rest_renew(struct call *call);
void rest_on_patience(evutil_socket_t fd, short what, void *context);

/* Answers it from the loop: as the token's last fetch failed, or that no proxy may be used. */
void rest_refuse(struct call *call);
/* Before the call is sent where there is a proxy: 0; 1: it may not be used, and the call is among
 * the refused; -ENOMEM. */
int rest_route(struct call *call) __attribute__((warn_unused_result));
/* What the proxy said when it made no connection, if it did. */
bool rest_note_proxy(const struct call *call, struct outcome *o);
/* Answers all refused ones: with why, or with the outcome. */
void rest_answer_refused(struct rest *rest, const struct outcome *o);
void rest_on_refuse(evutil_socket_t fd, short what, void *context);

#endif
