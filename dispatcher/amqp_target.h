/*
 * Where an AMQP service's messages go: what its base_url says, taken apart once.
 *
 *   amqp[s]://user:password@host:port/vhost?exchange=&routing_key=&queue_declare=&dlq=
 *
 * As in the existing plugin (COMPAT 4.5): port 5672, with TLS 5671, user and password guest and
 * the virtual host "/" are taken for granted; each part is percent-encoded, in the query "+" is a
 * space, too, and parameters that are not known are ignored.
 *
 * exchange, routing_key  where messages are published: "" is the default exchange; a rule's
 *                        endpoint, where it has one, is the routing key instead
 * queue_declare          a queue to declare, durable, before anything is published; also the
 *                        routing key where there is neither an exchange nor another key
 * dlq                    a queue to declare, durable, that gets what consumers of the declared
 *                        queue reject or let expire (x-dead-letter-exchange "" and this queue's
 *                        name as x-dead-letter-routing-key)
 *
 * Reasons never quote the URL. Pure.
 */
#ifndef MIH_DISPATCHER_AMQP_TARGET_H
#define MIH_DISPATCHER_AMQP_TARGET_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

enum { AMQP_MAX_NAME = 255 }; /* bytes of what AMQP calls a short string */

struct amqp_target {
    char *url;   /* for the bus, without the query: a secret */
    char *shown; /* scheme, host, port and virtual host, for people */
    char *host;  /* of it, an IPv6 address without its brackets */
    char *exchange;
    char *routing_key;
    char *queue; /* queue_declare */
    char *dlq;
};

/* 0; -EINVAL with what is wrong in ret_reason (without prefix); -ENOMEM. */
int amqp_target_new(const char *base_url, struct amqp_target **ret_target, char *ret_reason,
                    size_t reason_size) __attribute__((warn_unused_result));

/* Wipes and frees it; NULL is allowed. */
void amqp_target_free(struct amqp_target *t);

/* Where the password stands in a base_url, percent-encoded; false when it has none. */
bool amqp_url_password(const char *base_url, size_t *ret_at, size_t *ret_len);

/* Appends what percent-encoded text stands for; false when an escape is broken. And the way back.
 */
bool amqp_url_decode(const char *text, size_t len, struct buf *out);
void amqp_url_encode(const char *text, struct buf *out);

/* What keeps a text from being the name of a queue or exchange, or a routing key: too long, or a
 * byte below 0x20 or DEL, or no UTF-8. NULL: nothing. */
const char *amqp_name_fault(const char *text, size_t len);

/* Appends the routing key of a message to a buffer that is empty: the endpoint without leading
 * slashes, or what takes its place. NULL, or what is wrong. Whether the buffer could take it is
 * the caller's question. */
const char *amqp_target_key(const struct amqp_target *t, const char *endpoint, size_t endpoint_len,
                            struct buf *ret_key);

/* Appends the address of a message as people may see it: shown, exchange and routing key. */
void amqp_target_show(const struct amqp_target *t, const char *routing_key, struct buf *out);

#endif
