/*
 * The HTTP request that the SOAP transport makes of a request to a SOAP service, shown instead of
 * sent. The WSDL is fetched for it, with the network guard in force; nothing else leaves.
 */
#ifndef MIH_WORKER_CTL_SOAP_H
#define MIH_WORKER_CTL_SOAP_H

#include <stddef.h>

struct request;
struct settings;

/* Gets the HTTP request, for the time of the call. */
typedef void ctl_soap_show(void *context, const struct request *http);

/* Blocks until the WSDL is there, which the service's time-out bounds. 0; or negative with the
 * reason, as the dead letter's: there is no such message. */
int ctl_soap_message(const struct settings *settings, const struct request *request,
                     ctl_soap_show *show, void *context, char *ret_reason, size_t reason_size)
    __attribute__((warn_unused_result));

#endif
