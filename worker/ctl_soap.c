#include "worker/ctl_soap.h"

#include <errno.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "dispatcher/soap_transport.h"
#include "worker/ctl_house.h"

/* A transport below the SOAP transport: lets WSDLs be fetched, and keeps the message. */
struct keeper {
    struct transport transport; /* first: a transport is a keeper */
    struct ctl_house house;
    ctl_soap_show *show;
    void *context;
    transport_done *done; /* of the message, which is answered at the end */
    void *done_context;
    bool shown;
    bool failed;
    struct verdict verdict; /* when it failed */
};

static struct transport *http_of(struct transport *t)
{
    return ((struct keeper *)t)->house.transports.of[SERVICE_REST];
}

static int keeper_send(struct transport *t, const struct request *request, transport_done *done,
                       void *context)
{
    struct keeper *k = (struct keeper *)t;

    if (strcmp(request->method, "POST") != 0)
        return http_of(t)->ops->send(http_of(t), request, done, context);
    k->done = done;
    k->done_context = context;
    k->shown = true;
    k->show(k->context, request);
    event_base_loopbreak(k->house.base);
    return 0;
}

static size_t keeper_open_count(const struct transport *t)
{
    return ((const struct keeper *)t)->done ? 1 : 0;
}

static size_t keeper_overdue_count(const struct transport *t)
{
    (void)t;
    return 0;
}

static void keeper_cancel_all(struct transport *t)
{
    const struct outcome o = {.kind = OUTCOME_CANCELLED, .retry_after_s = -1};
    struct keeper *k = (struct keeper *)t;
    transport_done *done = k->done;

    k->done = NULL;
    if (done)
        done(k->done_context, &o, "", 0);
    http_of(t)->ops->cancel_all(http_of(t));
}

static void keeper_free(struct transport *t)
{
    (void)t; /* lives on the stack of ctl_soap_message() */
}

static const struct transport_ops keeper_ops = {
    .name = "keeper",
    .send = keeper_send,
    .open_count = keeper_open_count,
    .overdue_count = keeper_overdue_count,
    .cancel_all = keeper_cancel_all,
    .free = keeper_free,
};

/* Comes when there is no message, or at the end. */
static void on_end(void *context, const struct outcome *outcome, const char *body, size_t len)
{
    struct keeper *k = context;

    (void)body;
    (void)len;
    if (k->shown)
        return;
    k->failed = true;
    verdict_of(outcome, &k->verdict);
    event_base_loopbreak(k->house.base);
}

static int wait_for_message(struct keeper *k, struct transport *soap, const struct request *request)
{
    int r = soap->ops->send(soap, request, on_end, k);

    while (r == 0 && !k->shown && !k->failed)
        r = event_base_loop(k->house.base, 0) == 0 ? 0 : -EIO; /* no event is left: our fault */
    return r;
}

int ctl_soap_message(const struct settings *settings, const struct request *request,
                     ctl_soap_show *show, void *context, char *ret_reason, size_t reason_size)
{
    struct keeper k = {.transport.ops = &keeper_ops, .show = show, .context = context};
    struct soap_settings soap_settings = ctl_soap_settings(settings);
    struct transport *soap = NULL;
    int r = ctl_house_open(&k.house, settings, ret_reason, reason_size);

    if (r == 0)
        r = soap_transport_new(k.house.base, &k.transport, &soap_settings, &soap);
    if (r == 0)
        r = wait_for_message(&k, soap, request);
    if (r < 0 && *ret_reason == '\0')
        snprintf(ret_reason, reason_size, "local: the message could not be made: %s", strerror(-r));
    if (r == 0 && k.failed) {
        snprintf(ret_reason, reason_size, "%s", k.verdict.reason);
        r = k.verdict.kind == VERDICT_RETRY ? -EAGAIN : -EBADMSG;
    }
    if (soap) {
        keeper_cancel_all(&k.transport);
        soap->ops->free(soap);
    }
    ctl_house_close(&k.house);
    return r;
}
