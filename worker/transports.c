#include "worker/transports.h"

#include <errno.h>

int transports_make(struct transports *t, struct event_base *base,
                    const struct transport_settings *settings, const struct soap_settings *soap)
{
    int r = rest_transport_new(base, settings, &t->of[SERVICE_REST]);

    if (r == 0)
        r = amqp_transport_new(base, settings, &t->of[SERVICE_AMQP]);
    /* Behind the one it works through: see transports_free(). */
    return r < 0 ? r : soap_transport_new(base, t->of[SERVICE_REST], soap, &t->of[SERVICE_SOAP]);
}

void transports_free(struct transports *t)
{
    for (size_t i = 0; i < SERVICE_TYPES; i++) {
        if (t->of[i])
            t->of[i]->ops->free(t->of[i]);
        t->of[i] = NULL;
    }
}

int transports_send(const struct transports *t, const struct request *request, transport_done *done,
                    void *context)
{
    struct transport *one = t->of[request->service->type];

    return one ? one->ops->send(one, request, done, context) : -ENOTSUP;
}

size_t transports_open_count(const struct transports *t)
{
    size_t n = 0;

    for (size_t i = 0; i < SERVICE_TYPES; i++)
        n += t->of[i] ? t->of[i]->ops->open_count(t->of[i]) : 0;
    return n;
}

size_t transports_overdue_count(const struct transports *t)
{
    size_t n = 0;

    for (size_t i = 0; i < SERVICE_TYPES; i++)
        n += t->of[i] ? t->of[i]->ops->overdue_count(t->of[i]) : 0;
    return n;
}

void transports_cancel_all(const struct transports *t)
{
    for (size_t i = 0; i < SERVICE_TYPES; i++)
        if (t->of[i])
            t->of[i]->ops->cancel_all(t->of[i]);
}
