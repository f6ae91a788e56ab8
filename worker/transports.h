/*
 * The transports of a worker process, one for each type of service. A type without a transport
 * has NULL: the catalog gives every service of it a fault, so that nothing is sent to it.
 */
#ifndef MIH_WORKER_TRANSPORTS_H
#define MIH_WORKER_TRANSPORTS_H

#include <stddef.h>

#include "dispatcher/catalog.h"
#include "dispatcher/soap_transport.h"
#include "dispatcher/transport.h"

struct transports {
    struct transport *of[SERVICE_TYPES]; /* by enum service_type */
};

/* Makes all of them; settings are copied. 0 or -ENOMEM: what was made is for transports_free(). */
int transports_make(struct transports *t, struct event_base *base,
                    const struct transport_settings *settings, const struct soap_settings *soap)
    __attribute__((warn_unused_result));

/* Cancels what is under way, and frees. Those that were never made are left out. */
void transports_free(struct transports *t);

/* As send() of the transport for the request's service; -ENOTSUP: there is none. */
int transports_send(const struct transports *t, const struct request *request, transport_done *done,
                    void *context) __attribute__((warn_unused_result));

/* Each over all transports: see transport.h. */
size_t transports_open_count(const struct transports *t);
size_t transports_overdue_count(const struct transports *t);
void transports_cancel_all(const struct transports *t);

#endif
