/* The forward proxy: which calls go through it, and what its own answers mean. */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>

#include "common/netguard.h"
#include "dispatcher/proxyroute.h"
#include "dispatcher/rest_impl.h"

void rest_refuse(struct call *call)
{
    struct rest *rest = call->rest;
    TAILQ_INSERT_TAIL(&rest->refused, call, link);
    rest->n_parked++;
    event_active(&rest->refuse, EV_TIMEOUT, 0);
}

int rest_route(struct call *call)
{
    const struct rest *rest = call->rest;
    bool is_direct = proxyroute_is_direct(rest->no_proxy, buf_text(&call->request->url));
    const struct netguard *guard = is_direct ? rest->guard : netguard_for_proxy(rest->guard);
    if (!is_direct && guard == NULL) {
        rest_refuse(call);
        return 1;
    }
    call->sockets.guard = guard;
    return curl_easy_setopt(call->easy, CURLOPT_PROXY, is_direct ? "" : rest->proxy) == CURLE_OK
               ? 0
               : -ENOMEM;
}

bool rest_note_proxy(const struct call *call, struct outcome *o)
{
    long status = 0;
    curl_easy_getinfo(call->easy, CURLINFO_HTTP_CONNECTCODE, &status);
    if (status < 300)
        return false;
    o->kind = status == 407 ? OUTCOME_HTTP : OUTCOME_CONNECT;
    o->status = status == 407 ? 407 : 0;
    snprintf(o->text, sizeof o->text, "the proxy of [http] proxy answered %ld", status);
    return true;
}

void rest_answer_refused(struct rest *rest, const struct outcome *o)
{
    struct call_list list;
    struct call *call;
    TAILQ_INIT(&list);
    TAILQ_CONCAT(&list, &rest->refused, link);
    while ((call = TAILQ_FIRST(&list)) != NULL) {
        bool cancelled = o->kind == OUTCOME_CANCELLED;
        struct outcome copy = call->fails && !cancelled ? *oauth_failure(call->token) : *o;
        TAILQ_REMOVE(&list, call, link);
        rest->n_parked--;
        rest_answer_parked(call, &copy);
    }
}

void rest_on_refuse(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    rest_answer_refused(context, &(struct outcome){.kind = OUTCOME_INVALID,
                                                   .retry_after_s = -1,
                                                   .text = NETGUARD_PROXY_REFUSED});
}
