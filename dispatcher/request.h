/*
 * The request that a rule makes of an event: exactly what goes over the wire, nothing sent yet.
 * Pure. Every byte that a template could bring into the URL or a header is checked here, so an
 * event can never add a header, leave the service's host or climb out of its path.
 *
 * Methods are POST, PUT, PATCH and DELETE with a JSON body, and GET, whose payload becomes the
 * query string. Without a template the body is the event's own bytes, unaltered. A template
 * that renders to [] sends an empty body, as the existing plugin does (COMPAT 4.3). A service may
 * want the payload as a form instead, or as text of another type, whose template is a text one.
 *
 * To an AMQP service the method is AMQP, the endpoint makes the routing key, and the headers are
 * those of the message, without Accept and authorization.
 *
 * Headers: Content-Type (not for GET), Accept, the service's authorization, webhook-id,
 * webhook-timestamp, traceparent, webhook-signature where the service has a signing secret, and
 * the service's own ones. A token of OAuth 2.0 is the transport's business. webhook-id and
 * traceparent depend on message and rule alone, so they are the same on every retry and replay: the
 * trace id is the message's UUID, or the first 16 bytes of the SHA-256 of a message id that is
 * none.
 *
 * Of a SOAP service the request is what the event comes to, not yet the message: the body is JSON,
 * the URL is the WSDL's with "#" and the operation's name behind it. The transport, which has the
 * WSDL, makes the message of it. So a dead letter keeps the JSON, and a replay of it "as sent"
 * sends the same data, as the WSDL of that day wants it, with a new time and nonce.
 *
 * A request is used again and again: after the first few it allocates nothing, but for filters,
 * GET, and objects that go into strings.
 */
#ifndef MIH_DISPATCHER_REQUEST_H
#define MIH_DISPATCHER_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/envelope.h"
#include "dispatcher/catalog.h"
#include "dispatcher/headerset.h"

enum {
    REQUEST_MAX_URL = 8192,
    REQUEST_MAX_BODY = 1024 * 1024,
    REQUEST_MAX_HEADERS = 8 + HEADERSET_MAX
};

struct request {
    const struct service *service; /* the catalog reference is the caller's business */
    const struct rule *rule;
    char method[12];
    struct buf url;         /* of AMQP for people only: without user and password */
    struct buf routing_key; /* of AMQP */
    struct buf body;        /* empty for GET; else sent with Content-Type */
    const char *raw_body; /* instead of body: ready bytes (the event's, the sent ones), borrowed */
    size_t raw_body_len;
    size_t
        query_at; /* of GET: where in url the payload's pairs begin; its end when there are none */
    char *headers[REQUEST_MAX_HEADERS]; /* "Name: value"; point into header_text or the service */
    size_t n_headers;
    struct buf header_text;
    struct buf soap_headers; /* of SOAP: JSON of the message's own headers; else empty */
    size_t max_answer;       /* bytes that are read of the answer's body; 0: the transport's own */
    int64_t timeout_ms;      /* 0: the service's */
    char webhook_id[ENVELOPE_ID_SIZE + 32];
};

void request_init(struct request *r);
void request_reset(struct request *r); /* empties it, keeps the memory */
void request_release(struct request *r);

/* Builds it, whatever was in it before. now_s is the webhook-timestamp. 0, or -EBADMSG with the
 * reason ("policy: ...", as it will stand in the dead letter), or -ENOMEM.
 * After a failure the request holds service and rule, and must not be sent. */
int request_build(struct request *r, const struct service *service, const struct rule *rule,
                  const struct envelope *event, int64_t now_s, char *ret_reason, size_t reason_size)
    __attribute__((warn_unused_result));

/* A payload that was made before. */
struct request_payload {
    const char *bytes; /* may hold NUL */
    size_t len;
};

/* The same with a payload as request_payload() gave it when the message was sent before, byte for
 * byte, whatever the rule's template is today: the body, or for GET the pairs of the query. Its
 * bytes are borrowed until the request has been sent. -EBADMSG also when GET is to send what is no
 * query. */
int request_build_again(struct request *r, const struct rule *rule, const struct envelope *event,
                        const struct request_payload *payload, int64_t now_s, char *ret_reason,
                        size_t reason_size) __attribute__((warn_unused_result));

/* The body that is sent, whichever it is; "" when there is none. */
const char *request_body(const struct request *r, size_t *ret_len);

/* What the rule's template, or the event, came to: the body, or for GET the pairs of the query. */
struct request_payload request_payload(const struct request *r);

#endif
