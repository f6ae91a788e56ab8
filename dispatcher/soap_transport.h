/*
 * SOAP over the HTTP transport: it makes the message, which needs the service's WSDL, sends it
 * through the other transport with all its safety, and reads the answer.
 *
 * A delivery whose WSDL is not there yet waits for it within its own time-out, and so does what
 * cannot be sent at all: it is answered from the loop, like everything. The body that done() gets
 * is the answer as JSON, or, of what is no SOAP message, as it came.
 *
 * The WSDL says where to. To an address of another origin than the WSDL's, nothing goes that
 * proves who calls, unless the operator lists that origin.
 */
#ifndef MIH_DISPATCHER_SOAP_TRANSPORT_H
#define MIH_DISPATCHER_SOAP_TRANSPORT_H

#include "dispatcher/soap_store.h"

/* Borrows the HTTP transport, which is to be freed (or cancelled) first. 0 or -ENOMEM. */
int soap_transport_new(struct event_base *base, struct transport *http,
                       const struct soap_settings *settings, struct transport **ret_transport)
    __attribute__((warn_unused_result));

#endif
