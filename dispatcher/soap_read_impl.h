/*
 * What the two files that read SOAP answers share, and nobody else includes.
 */
#ifndef MIH_DISPATCHER_SOAP_READ_IMPL_H
#define MIH_DISPATCHER_SOAP_READ_IMPL_H

#include <libxml/tree.h>

#include "dispatcher/soap.h"

#define NS_SOAP11 "http://schemas.xmlsoap.org/soap/envelope/"
#define NS_SOAP12 "http://www.w3.org/2003/05/soap-envelope"
#define NS_ENCODING11 "http://schemas.xmlsoap.org/soap/encoding/"
#define NS_ENCODING12 "http://www.w3.org/2003/05/soap-encoding"
#define NS_SCHEMA "http://www.w3.org/2001/XMLSchema"
#define NS_INSTANCE "http://www.w3.org/2001/XMLSchema-instance"

struct soap_reader {
    const struct wsdl *wsdl;
    const xmlNode *body; /* where multiple references point to */
    struct buf *out;     /* an error in it ends the work: references can multiply */
    struct buf text;     /* of one value */
};

/* Appends the value of an element as JSON; type NULL: unknown. Never fails but by out's error. */
void soap_read_value(struct soap_reader *r, const xmlNode *node, const struct wsdl_type *type,
                     unsigned depth);

void soap_add_quoted(struct buf *out, const char *text, size_t len);

#endif
