/* Calls of services with OAuth 2.0: they wait for one fetch of their token, if they have none that
 * is good, and are sent again once when the service refuses it. */
#include <errno.h>
#include <event2/event.h>

#include "common/timing.h"
#include "dispatcher/rest_impl.h"
#include "dispatcher/resttrouble.h"

enum { LOOK_US = 10 * 1000 }; /* at the least between two looks at those who wait */

/* How long one that waits, or a fetch, may take. */
static int64_t patience_of(const struct call *call)
{
    return call->gets != NULL ? call->patience_us : rest_timeout_us(call);
}

static int64_t end_us(const struct call *call)
{
    return (call->gets != NULL ? call->start_us : call->began_us) + patience_of(call);
}

static void look_at(struct rest *rest, int64_t at_us, int64_t now_us)
{
    int64_t left_us = at_us > now_us ? at_us - now_us : 0;
    struct timeval in = {.tv_sec = left_us / 1000000, .tv_usec = left_us % 1000000};
    if (rest->patience_us != 0 && rest->patience_us <= at_us)
        return;
    /* It fails only when memory is out. Then the fetch's own time-out answers. */
    if (event_add(&rest->patience, &in) == 0)
        rest->patience_us = at_us;
}

static struct call *fetch_of(struct rest *rest, const struct oauth_token *token)
{
    struct call *fetch = TAILQ_FIRST(&rest->fetches);
    while (fetch != NULL && fetch->gets != token)
        fetch = TAILQ_NEXT(fetch, fetch_link);
    return fetch;
}

/* Waits for the fetch, which lasts as long as somebody has the patience. */
static void park(struct call *call)
{
    struct rest *rest = call->rest;
    struct call *fetch = fetch_of(rest, call->token);
    int64_t now_us = timing_mono_us();
    call->start_us = now_us;
    call->still_us = stillness_total_us(&rest->stillness, now_us);
    if (call->began_us == 0)
        call->began_us = now_us;
    TAILQ_INSERT_TAIL(&rest->waiting, call, link);
    rest->n_parked++;
    if (fetch != NULL && rest_timeout_us(call) > fetch->patience_us)
        fetch->patience_us = rest_timeout_us(call);
    look_at(rest, end_us(call), now_us);
}

/* Those that wait for the token, in the order in which they came; NULL: whose time is over. */
static void take_waiting(struct rest *rest, const struct oauth_token *token, int64_t now_us,
                         struct call_list *ret_list)
{
    struct call *call = TAILQ_FIRST(&rest->waiting);
    TAILQ_INIT(ret_list);
    while (call != NULL) {
        struct call *next = TAILQ_NEXT(call, link);
        if (token != NULL ? call->token == token : end_us(call) <= now_us) {
            TAILQ_REMOVE(&rest->waiting, call, link);
            TAILQ_INSERT_TAIL(ret_list, call, link);
        }
        call = next;
    }
}

static int start_with_token(struct call *call)
{
    call->token_number = oauth_number(call->token);
    return rest_start(call);
}

static void answer_waiting(struct call *call, bool good, const struct outcome *failure,
                           int64_t now_us)
{
    struct outcome o = *failure;
    call->rest->n_parked--;
    call->token_us += now_us - call->start_us;
    if (good && start_with_token(call) == 0)
        return;
    if (good)
        o = (struct outcome){.kind = OUTCOME_LOCAL, .retry_after_s = -1, .text = "no memory"};
    o.token_us = call->token_us;
    o.latency_us = now_us - call->began_us;
    rest_answer_parked(call, &o);
}

/* The fetch has ended. */
static void on_token(void *context, const struct outcome *outcome, const char *body,
                     size_t body_len)
{
    struct call *fetch = context;
    struct rest *rest = fetch->rest;
    int64_t now_us = timing_mono_us();
    struct call_list list;
    struct call *call;
    struct outcome failure;
    bool good = oauth_fetched(fetch->gets, outcome, body, body_len, now_us / 1000, &failure);
    TAILQ_REMOVE(&rest->fetches, fetch, fetch_link);
    take_waiting(rest, fetch->gets, now_us, &list);
    while ((call = TAILQ_FIRST(&list)) != NULL) {
        TAILQ_REMOVE(&list, call, link);
        answer_waiting(call, good, &failure, now_us);
    }
    if (TAILQ_EMPTY(&rest->waiting) && TAILQ_EMPTY(&rest->fetches)) {
        event_del(&rest->patience);
        rest->patience_us = 0;
    }
}

static int start_fetch(struct call *call)
{
    struct rest *rest = call->rest;
    struct call *own = rest_take(rest);
    const struct request *request =
        own != NULL ? oauth_request(call->token, call->request->service) : NULL;
    if (request == NULL) {
        if (own != NULL)
            rest_keep(own);
        return -ENOMEM;
    }
    own->request = request;
    own->done = on_token;
    own->context = own;
    own->gets = call->token;
    own->patience_us = rest_timeout_us(call);
    own->start_us = 0; /* until it is sent */
    int r = rest_start(own);
    if (r < 0) {
        oauth_not_sent(call->token);
        rest_keep(own);
        return r;
    }
    TAILQ_INSERT_TAIL(&rest->fetches, own, fetch_link);
    if (own->start_us != 0)
        look_at(rest, end_us(own), own->start_us);
    return 0;
}

int rest_start_authorized(struct call *call)
{
    int64_t now_ms = timing_mono_ms();
    if (call->token == NULL)
        call->token = oauth_get(call->rest->oauth, call->request->service);
    if (call->token == NULL)
        return -ENOMEM;
    enum oauth_answer answer = oauth_ask(call->token, now_ms);
    if (answer == OAUTH_FETCH) {
        int r = start_fetch(call);
        if (r < 0)
            return r;
        answer = oauth_ask(call->token, now_ms); /* the old one may be good still */
    }
    if (answer == OAUTH_READY)
        return start_with_token(call);
    if (answer == OAUTH_PAUSE) {
        call->fails = true;
        rest_refuse(call);
    } else {
        park(call);
    }
    return 0;
}

static void tell_late(const struct call *call, int64_t now_us, struct outcome *o)
{
    struct stillness *stillness = &call->rest->stillness;
    int64_t timeout_ms = patience_of(call) / 1000; /* the handle's is another one */
    struct resttrouble trouble = {
        .code = CURLE_OPERATION_TIMEDOUT,
        .words = "no answer",
        .stood_still = stillness_excuses(stillness, call->still_us, timeout_ms, now_us)};
    *o = (struct outcome){.retry_after_s = -1};
    resttrouble_explain(&trouble, o);
}

static void answer_late(struct rest *rest, int64_t now_us)
{
    struct call_list list;
    struct call *call;
    struct outcome late;
    take_waiting(rest, NULL, now_us, &list);
    while ((call = TAILQ_FIRST(&list)) != NULL) {
        TAILQ_REMOVE(&list, call, link);
        tell_late(call, now_us, &late);
        if (late.kind == OUTCOME_TIMEOUT)
            oauth_late(call->token, &late);
        answer_waiting(call, false, &late, now_us);
    }
}

static struct call *late_fetch(struct rest *rest, int64_t now_us)
{
    struct call *fetch = TAILQ_FIRST(&rest->fetches);
    while (fetch != NULL && (fetch->start_us == 0 || end_us(fetch) > now_us))
        fetch = TAILQ_NEXT(fetch, fetch_link);
    return fetch;
}

static void end_late_fetches(struct rest *rest, int64_t now_us)
{
    struct call *fetch;
    while ((fetch = late_fetch(rest, now_us)) != NULL) {
        struct outcome late;
        tell_late(fetch, now_us, &late);
        rest_end(fetch, &late);
    }
}

static void look_again(struct rest *rest, int64_t now_us)
{
    const struct call *call;
    int64_t next_us = INT64_MAX;
    TAILQ_FOREACH(call, &rest->waiting, link)
    next_us = end_us(call) < next_us ? end_us(call) : next_us;
    TAILQ_FOREACH(call, &rest->fetches, fetch_link)
    next_us = call->start_us != 0 && end_us(call) < next_us ? end_us(call) : next_us;
    if (next_us != INT64_MAX)
        look_at(rest, next_us > now_us + LOOK_US ? next_us : now_us + LOOK_US, now_us);
}

void rest_on_patience(evutil_socket_t fd, short what, void *context)
{
    struct rest *rest = context;
    int64_t now_us = timing_mono_us();
    (void)fd;
    (void)what;
    rest->patience_us = 0;
    end_late_fetches(rest, now_us); /* first: who is told may ask again at once */
    answer_late(rest, now_us);
    look_again(rest, now_us);
}

bool rest_renew(struct call *call)
{
    struct rest *rest = call->rest;
    if (call->renewed || !oauth_refused(call->token, call->token_number, timing_mono_ms()))
        return false;
    call->renewed = true;
    if (call->began_us == 0)
        call->began_us = call->start_us;
    curl_multi_remove_handle(rest->multi, call->easy);
    TAILQ_REMOVE(&rest->active, call, link);
    rest->n_active--;
    rest_reset(call);
    if (rest_start_authorized(call) == 0)
        return true;
    TAILQ_INSERT_TAIL(&rest->active, call, link); /* to be answered with the 401 */
    rest->n_active++;
    return false;
}
