/*
 * Access tokens of OAuth 2.0 client credentials (RFC 6749 section 4.4): one for each client of a
 * token endpoint, however many services and deliveries use it. Pure: whoever has a transport
 * fetches, and tells the time.
 *
 * A token is used until a minute (or a fifth of its life) before it expires; then one fetch is
 * asked for. All go on with the old token while it is good, and wait when there is none. A fetch
 * that fails costs nothing while the old token is still good. A token that the service has refused
 * is forgotten.
 *
 * An endpoint that is of no use is left alone for five seconds: after a fetch that failed, and
 * after one whose token is to replace another one that the service has refused. Who asks in this
 * pause has the old token while that is good, else the failure. A service that gets another client,
 * secret, endpoint, scope or certificate gets another token, and no pause.
 *
 * What a failure means for the deliveries that wait: trouble on the way to the endpoint is the
 * same trouble, and its 5xx a broken answer, so they are tried again; a 4xx says that the client is
 * not known, and counts as a 401 of the service. Every reason names the endpoint, and none holds a
 * secret.
 */
#ifndef MIH_DISPATCHER_OAUTH_H
#define MIH_DISPATCHER_OAUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dispatcher/request.h"
#include "dispatcher/verdict.h"

struct oauth;
struct oauth_token;

enum oauth_answer {
    OAUTH_READY, /* oauth_header() is good */
    OAUTH_WAIT,  /* a fetch is under way */
    OAUTH_FETCH, /* the caller fetches, as oauth_request() says, and asks again */
    OAUTH_PAUSE, /* there is none, and oauth_failure() is why */
};

enum { OAUTH_MAX_TOKENS = 1024 }; /* those that nobody uses go, the oldest first */

/* NULL when memory is out. */
struct oauth *oauth_new(void);
void oauth_free(struct oauth *o); /* wipes; NULL is allowed */

/* The token of the service's client; the same one for the same client, endpoint, scope and client
 * certificate. It is the caller's until
 * oauth_put(). NULL when memory is out. */
struct oauth_token *oauth_get(struct oauth *o, const struct service *service);
void oauth_put(struct oauth_token *t);

/* What to do about it now. */
enum oauth_answer oauth_ask(const struct oauth_token *t, int64_t now_ms);

/* The request that fetches it, with the service's certificate. It belongs to the token, not to the
 * service, and stays as it is until oauth_fetched(). It has the longest time-out that there is: the
 * caller ends it when nobody waits any more. NULL when memory is out. */
const struct request *oauth_request(struct oauth_token *t, const struct service *service);

/* The fetch could not be sent at all. */
void oauth_not_sent(struct oauth_token *t);

/* The fetch has ended. True: the token is good. False: *ret_failure is the outcome of all that
 * wait. */
bool oauth_fetched(struct oauth_token *t, const struct outcome *outcome, const char *body,
                   size_t body_len, int64_t now_ms, struct outcome *ret_failure);

/* Of OAUTH_PAUSE. */
const struct outcome *oauth_failure(const struct oauth_token *t);

/* The outcome of one whose time was over before the token came; latency_us is the caller's. */
void oauth_late(const struct oauth_token *t, struct outcome *ret_outcome);

/* "Authorization: Bearer ...", a secret; and its number, which no other one has. */
const char *oauth_header(const struct oauth_token *t);
uint64_t oauth_number(const struct oauth_token *t);

/* The service has refused the token of this number. True: there is another one by now, or one is
 * to be fetched. False: it is so new that the next one would fare no better. */
bool oauth_refused(struct oauth_token *t, uint64_t number, int64_t now_ms);

#endif
