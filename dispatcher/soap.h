/*
 * SOAP messages: the envelope that a JSON payload becomes, and the JSON that an answer becomes.
 *
 * The payload maps to the message's parts by name, in the schema's order whatever the payload's:
 * of document/literal, what the (wrapper) element holds; of rpc, the parts. An object is what
 * the child elements are, an array an element that is repeated, null an element that is nil (or
 * left out where that is allowed). An attribute is the key "@name", or "name" when no child
 * element is called so; text beside attributes is the key "_"; "@xsi:type" names a derived type.
 * Dates are texts in XML's form, or Unix time. Binary data is base64 (or hexadecimal) text.
 * Nothing is guessed: what is missing, unknown or of the wrong type is refused with its path.
 *
 * SOAP headers are a JSON object: the name of an element, or "{namespace}name", to its value; an
 * element that the WSDL defines is checked like the payload, others are written as they come. The
 * keys "@mustUnderstand" and "@actor" (1.2: "@role") in a value become SOAP's attributes.
 *
 * The answer: of document/literal what the element holds, of rpc the part or, if there are
 * several, an object of them. Attributes are "name", text beside them "_"; an element that may be
 * repeated is always an array. Integers, floats and booleans are JSON's, decimals and dates text.
 *
 * Values get into the XML through libxml2's nodes only, and names are checked. Pure.
 */
#ifndef MIH_DISPATCHER_SOAP_H
#define MIH_DISPATCHER_SOAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "dispatcher/wsdl.h"

enum { SOAP_NONCE_SIZE = 16, SOAP_MAX_ANSWER = 256 * 1024, SOAP_FAULT_SIZE = 200 };

/* WS-Security UsernameToken Profile 1.0. */
struct soap_token {
    const char *user;
    const char *password;
    bool digest; /* else the password itself */
    unsigned char nonce[SOAP_NONCE_SIZE];
    int64_t now_s;
};

struct soap_input {
    const struct wsdl *wsdl;
    const struct wsdl_operation *operation;
    const char *payload; /* JSON; nothing is {} */
    size_t payload_len;
    const char *headers; /* JSON; nothing is {} */
    size_t headers_len;
    const struct soap_token *token; /* NULL: none */
};

/* Appends the envelope. 0; -EBADMSG with a reason that names what and where; -ENOMEM. */
int soap_write(const struct soap_input *input, struct buf *out, char *ret_reason,
               size_t reason_size) __attribute__((warn_unused_result));

/* Appends "SOAPAction: ..." (1.1) or the Content-Type's action (1.2), quoted, with every byte that
 * a header must not hold left out. */
void soap_add_headers(const struct wsdl_operation *operation, struct buf *out);

enum soap_blame { SOAP_SENDER, SOAP_RECEIVER };

struct soap_fault {
    enum soap_blame blame;
    char text[SOAP_FAULT_SIZE]; /* "Client: what went wrong" */
};

/* Reads an answer and appends what it says as JSON. 0; 1 for a fault, whose JSON is an object with
 * faultcode, faultstring and, if there is one, detail; -EBADMSG with the reason for what is no
 * SOAP message; -ENOMEM. */
int soap_read(const struct wsdl *wsdl, const struct wsdl_operation *operation, const char *bytes,
              size_t len, struct buf *out, struct soap_fault *ret_fault, char *ret_reason,
              size_t reason_size) __attribute__((warn_unused_result));

#endif
