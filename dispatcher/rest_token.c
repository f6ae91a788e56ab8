/* Calls of services with OAuth 2.0: they wait for one fetch of their token, and are sent again
 * once when the service refuses it. The first that waits stands for its token in the fetch. */
#include <errno.h>

#include "common/timing.h"
#include "dispatcher/rest_impl.h"

static void park(struct call *call)
{
    TAILQ_INSERT_TAIL(&call->rest->waiting, call, link);
    call->rest->n_parked++;
}

static int fetch(struct call *call)
{
    struct transport *t = &call->rest->transport;
    const struct request *request = oauth_request(call->token, call->request->service);
    if (request == NULL)
        return -ENOMEM;
    int r = t->ops->send(t, request, rest_on_token, call);
    if (r < 0)
        oauth_not_sent(call->token);
    return r;
}

static int start_with_token(struct call *call)
{
    call->token_number = oauth_number(call->token);
    return rest_start(call);
}

int rest_start_authorized(struct call *call)
{
    int r = 0;
    if (call->token == NULL)
        call->token = oauth_get(call->rest->oauth, call->request->service);
    if (call->token == NULL)
        return -ENOMEM;
    switch (oauth_ask(call->token, timing_mono_ms())) {
    case OAUTH_READY:
        return start_with_token(call);
    case OAUTH_FETCH:
        r = fetch(call);
        break;
    case OAUTH_WAIT:
        break;
    }
    if (r == 0)
        park(call);
    return r;
}

/* Those that wait for the token, in the order in which they came. */
static void take_waiting(struct rest *rest, const struct oauth_token *token,
                         struct call_list *ret_list)
{
    struct call *call = TAILQ_FIRST(&rest->waiting);
    TAILQ_INIT(ret_list);
    while (call != NULL) {
        struct call *next = TAILQ_NEXT(call, link);
        if (call->token == token) {
            TAILQ_REMOVE(&rest->waiting, call, link);
            TAILQ_INSERT_TAIL(ret_list, call, link);
        }
        call = next;
    }
}

void rest_on_token(void *context, const struct outcome *outcome, const char *body, size_t body_len)
{
    struct call *first = context;
    struct rest *rest = first->rest;
    struct call_list list;
    struct call *call;
    struct outcome failure;
    bool good = oauth_fetched(first->token, outcome, body, body_len, timing_mono_ms(), &failure);
    take_waiting(rest, first->token, &list);
    while ((call = TAILQ_FIRST(&list)) != NULL) {
        struct outcome o = failure;
        TAILQ_REMOVE(&list, call, link);
        rest->n_parked--;
        if (good && start_with_token(call) == 0)
            continue;
        if (good)
            o = (struct outcome){.kind = OUTCOME_LOCAL, .retry_after_s = -1, .text = "no memory"};
        rest_answer_parked(call, &o);
    }
}

bool rest_renew(struct call *call)
{
    struct rest *rest = call->rest;
    if (call->renewed || !oauth_refused(call->token, call->token_number, timing_mono_ms()))
        return false;
    call->renewed = true;
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
