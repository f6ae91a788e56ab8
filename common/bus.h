/*
 * One connection to RabbitMQ. This module alone knows librabbitmq and owns its traps.
 *
 * A bus belongs to one thread. bus_open() blocks (name look-up, TCP, TLS, login) and so do the
 * calls marked "blocks", each for at most rpc_timeout_ms; bus_drain() never does: it takes the
 * frames that have arrived, puts messages together itself, and calls the handlers. Handlers run
 * inside bus_drain() and bus_tick() only, never inside other calls; they may call everything
 * here except bus_drain(), bus_tick() and bus_free(). After any call returned a negative value
 * the connection is lost: free it and open another one.
 *
 * Every publication is persistent, mandatory and confirmed. It is safe at the broker when
 * its confirm arrived with ack and no return came before it; bus tells both by number.
 *
 * librabbitmq sends heartbeats only inside its own calls: call bus_tick() every second.
 */
#ifndef MIH_COMMON_BUS_H
#define MIH_COMMON_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bus;

/* Returned where the broker or this module says no and the connection stays usable. */
enum { BUS_REFUSED = 1 };

struct sockaddr;
struct bus_error;

struct bus_options {
    const char *urls;            /* comma-separated amqp:// and amqps:// URLs, tried in turn */
    const char *ca_file;         /* PEM file for amqps; "" takes the system's bundle */
    const char *connection_name; /* shown by the broker's management */
    int heartbeat_s;
    int connect_timeout_ms;
    int rpc_timeout_ms;
    /* NULL, or asked about each address of the host before it is connected to, on the thread that
     * opens: 0, or negative with the reason, and the address is left out. */
    int (*judge)(void *context, const struct sockaddr *address, size_t len,
                 struct bus_error *ret_error);
    void *judge_context;
};

/* What went wrong, in words for the log: which URL (password masked), which step, why. */
struct bus_error {
    char text[256];
};

/* One header field of a message. Text unless text is NULL. */
struct bus_field {
    const char *name;
    const char *text;
    int64_t number;
    size_t text_len; /* of a text that may hold NUL; 0: up to its NUL */
};

/* Bytes of the text of a field. */
size_t bus_field_len(const struct bus_field *field);

/* A delivery. Everything in it is valid during the handler call only,
 * unless the handler takes the body with bus_take_body(). */
struct bus_message {
    uint16_t channel;
    uint64_t tag; /* for bus_ack(); never used again on this bus and channel */
    bool redelivered;
    const char *consumer_tag;
    const char *exchange;
    const char *routing_key;
    const char *message_id; /* "" where the publisher set none; likewise below */
    const char *type;
    const char *app_id;
    const char *content_type;
    uint64_t timestamp; /* seconds, 0 = none */
    const char *body;
    size_t body_len;
    bool body_too_large; /* above max_body_bytes: body is NULL, body_len tells its size */
    const struct bus_headers *headers;
    const void
        *properties; /* as they came, for bus_forward(); NULL without bus_keep_properties() */
    size_t properties_len;
};

/* From now on deliveries come with their properties. */
void bus_keep_properties(struct bus *bus);

/* The number under which a bus published the message (bus_number_from()), 0 for none. */
uint64_t bus_message_number(const struct bus_message *m);

/* What the broker noted when it dead-lettered a message itself, last time. */
struct bus_death {
    char reason[32]; /* rejected, expired, maxlen, delivery_limit */
    char queue[256];
    char exchange[256]; /* by which it had come into that queue */
    int64_t time_s;     /* 0: not known */
};

/* Reads it from properties that a delivery came with; false: the broker noted nothing. */
bool bus_last_death(const void *properties, size_t properties_len, struct bus_death *ret_death);

/* The text of a header; "" when it is missing or not text. Valid as long as the message. */
const char *bus_header_text(const struct bus_headers *headers, const char *name);

/* The same with its length, for what may hold NUL; NULL when it is missing or not text. */
const char *bus_header_bytes(const struct bus_headers *headers, const char *name, size_t *ret_len);

/* The number of a header, or fallback when it is missing or not a number. */
int64_t bus_header_number(const struct bus_headers *headers, const char *name, int64_t fallback);

/* Hands the body (malloc, NUL-terminated, in ret_room bytes) of the delivery being handled to the
 * caller. In exchange the bus takes a buffer that the caller has no use for any more (malloc, of
 * spare_room bytes; NULL for none), so that a steady flow needs no new memory. */
char *bus_take_body(struct bus *bus, char *spare, size_t spare_room, size_t *ret_room)
    __attribute__((warn_unused_result));

/* NULL for what does not interest. */
struct bus_handlers {
    void *context;
    void (*on_delivery)(void *context, const struct bus_message *m);
    /* The broker decided on publication `number`: once for each, in the order of numbers where
     * the broker decided on several at once. */
    void (*on_confirm)(void *context, uint64_t number, bool ack);
    /* Publication `number` reached no queue; its confirm follows. */
    void (*on_return)(void *context, uint64_t number, int code, const char *text);
    /* The broker answered bus_consume(): deliveries come. RabbitMQ 3.10 never answers a channel
     * that is cancelled and closed before this was heard: wait for it. */
    void (*on_consuming)(void *context, uint16_t channel);
    /* The broker answered bus_cancel(): no delivery comes any more. */
    void (*on_consumer_ended)(void *context, uint16_t channel);
    /* The broker ended a consumer (its queue was deleted, or lost its leader). */
    void (*on_cancelled)(void *context, uint16_t channel, const char *consumer_tag);
    /* The broker closed a channel, or answered bus_channel_close() (code 0); everything
     * unacknowledged on it will be redelivered, and no confirm will come for what is open on it.
     * The channel may be opened again, in the handler if you like. */
    void (*on_channel_closed)(void *context, uint16_t channel, int code, const char *text);
    /* The broker stopped or resumed reading from this connection (memory or disk alarm). */
    void (*on_blocked)(void *context, bool blocked, const char *reason);
};

struct bus_publication {
    const char *exchange;
    const char *routing_key;
    const char *second_key; /* NULL, or routed by this key, too (RabbitMQ's header CC) */
    const char *message_id;
    const char *type;
    const char *app_id;
    const char *content_type;
    uint64_t timestamp; /* seconds, 0 = none */
    const void *body;
    size_t body_len;
    const struct bus_field *fields; /* headers; n_fields of them */
    size_t n_fields;
};

/* Blocks. Connects to the first of the URLs, from number `start` on (modulo their number), that
 * answers. 0, or a negative errno with ret_error filled. handlers are copied. */
int bus_open(const struct bus_options *options, unsigned start, const struct bus_handlers *handlers,
             struct bus **ret_bus, struct bus_error *ret_error) __attribute__((warn_unused_result));

/* A bus may be opened in one thread and handed to another; this sets the handlers anew. */
void bus_set_handlers(struct bus *bus, const struct bus_handlers *handlers);

/* Closes the connection without waiting for the broker and frees it; NULL is allowed. Acks that
 * the broker has not read yet may be lost with it: to be sure of them, bus_channel_close() and
 * drain until on_channel_closed. */
void bus_free(struct bus *bus);

/* The only call allowed from another thread, while the bus exists: breaks the connection, so that
 * a blocking call returns and everything after it fails. */
void bus_interrupt(struct bus *bus);

/* For poll(2) or an event; stays the same and open until bus_free(), whatever happens. */
int bus_fd(const struct bus *bus);

/* Which broker it is connected to, as host:port/vhost. */
const char *bus_peer(const struct bus *bus);

/* The highest channel number that the broker allows. */
uint16_t bus_channel_max(const struct bus *bus);

/* Largest body that is kept; larger messages arrive with body_too_large set. */
void bus_set_max_body(struct bus *bus, size_t max_body_bytes);

/* Takes what has arrived and calls the handlers. Never blocks, and returns after some hundred
 * messages even when there is more (bus_pending()), so that other work gets its turn. 0, or
 * negative: connection lost, bus_reason() tells why. */
int bus_drain(struct bus *bus) __attribute__((warn_unused_result));

/* While it holds, bus_drain() takes nothing, also not what is left of a call under way, and goes
 * on with heartbeats; the broker's messages wait in the sockets. For a handler that has enough. */
void bus_hold(struct bus *bus, bool hold);

/* True while data already read from the socket waits to be handled: poll(2) would not tell. */
bool bus_pending(const struct bus *bus);

/* Sends a heartbeat when one is due and notices a silent broker; drains. Call it every second. */
int bus_tick(struct bus *bus) __attribute__((warn_unused_result));

/* Why the last call failed. Valid until the next one. */
const char *bus_reason(const struct bus *bus);

/* Does not wait for the broker's answer: the channel is usable at once. confirms: put it into
 * confirm mode. Channels are numbered from 1; the broker allows 2047 unless configured. */
int bus_channel_open(struct bus *bus, uint16_t channel, bool confirms)
    __attribute__((warn_unused_result));

/* Does not wait for the broker's answer: at most `prefetch` unacknowledged for each consumer
 * that starts on the channel after it. */
int bus_qos(struct bus *bus, uint16_t channel, uint16_t prefetch)
    __attribute__((warn_unused_result));

/* Does not wait for the broker's answer: failure arrives as on_channel_closed. Deliveries go on
 * for a moment after bus_cancel(). */
int bus_consume(struct bus *bus, uint16_t channel, const char *queue, const char *consumer_tag,
                bool exclusive) __attribute__((warn_unused_result));
int bus_cancel(struct bus *bus, uint16_t channel, const char *consumer_tag)
    __attribute__((warn_unused_result));

/* Closes a channel without waiting: what is unacknowledged on it goes back to its queue. The
 * number may be opened again once on_channel_closed was called for it (code 0: as asked). */
int bus_channel_close(struct bus *bus, uint16_t channel) __attribute__((warn_unused_result));

/* Settling a delivery of a channel that was closed since, by whom and however, does nothing: the
 * broker redelivers it. */
int bus_ack(struct bus *bus, uint16_t channel, uint64_t tag, bool multiple)
    __attribute__((warn_unused_result));
int bus_reject(struct bus *bus, uint16_t channel, uint64_t tag, bool requeue)
    __attribute__((warn_unused_result));

/* Sends a publication; ret_number is what on_confirm and on_return will tell. May block while
 * the broker does not read: publish only from a thread that may wait. BUS_REFUSED: it cannot be
 * sent (a property above 255 bytes, headers above 100 KiB, channel not open); nothing was sent. */
int bus_publish(struct bus *bus, uint16_t channel, const struct bus_publication *p,
                uint64_t *ret_number) __attribute__((warn_unused_result));

/* A message that is sent on as it came: see bus_forward(). */
struct bus_forwarding {
    const char *exchange;
    const char *routing_key;
    const void *properties; /* of the delivery; properties_len of them */
    size_t properties_len;
    const void *body;
    size_t body_len;
    const struct bus_field *field; /* NULL, or a header that it gets, in place of one it has */
};

/* As bus_publish(), with all properties and headers of a delivery, whatever their kinds. Other than
 * they were are only: delivery_mode (persistent) and our number; user_id, CC and BCC, which would
 * make the broker refuse it or send it elsewhere; x-delivery-count, which the broker adds to a
 * redelivery; and the header `field`. BUS_REFUSED, too: it does not fit into a frame any more, or
 * is no valid AMQP. */
int bus_forward(struct bus *bus, uint16_t channel, const struct bus_forwarding *f,
                uint64_t *ret_number) __attribute__((warn_unused_result));

/* Publications are numbered from here on, above it. They carry their number, and a bus that
 * consumes them can tell by it who published them; it has meaning to the program alone. Before
 * the first publication. */
void bus_number_from(struct bus *bus, uint64_t number);

/*
 * Topology. All block. 0 is done; BUS_REFUSED: the broker said no (bus_reason() has its code
 * and words; the channel was reopened and is usable); negative: connection lost. A refusal
 * closes the channel at the broker, so these calls are for channels that nobody consumes or
 * publishes on: while one has consumers or unconfirmed publications they refuse by themselves.
 * Frames that arrive while they wait are kept for bus_drain().
 */

int bus_declare_exchange(struct bus *bus, uint16_t channel, const char *name, const char *kind)
    __attribute__((warn_unused_result));

/* Durable. fields are the x-arguments. */
int bus_declare_queue(struct bus *bus, uint16_t channel, const char *name,
                      const struct bus_field *arguments, size_t n_arguments)
    __attribute__((warn_unused_result));

/* A queue of this connection alone, deleted with it; the broker chooses the name. */
int bus_declare_private_queue(struct bus *bus, uint16_t channel, char *ret_name, size_t size)
    __attribute__((warn_unused_result));

/* Passive declare: the number of ready messages and of consumers; never creates anything. */
int bus_queue_depth(struct bus *bus, uint16_t channel, const char *name, uint32_t *ret_messages,
                    uint32_t *ret_consumers) __attribute__((warn_unused_result));
int bus_delete_queue(struct bus *bus, uint16_t channel, const char *name)
    __attribute__((warn_unused_result));
int bus_bind(struct bus *bus, uint16_t channel, const char *queue, const char *exchange,
             const char *routing_key) __attribute__((warn_unused_result));
int bus_unbind(struct bus *bus, uint16_t channel, const char *queue, const char *exchange,
               const char *routing_key) __attribute__((warn_unused_result));

/* Of the last refusal the broker's code; 0: this module refused by itself. 406: what is there was
 * declared otherwise, or cannot be declared so. */
enum { BUS_CODE_FORBIDDEN = 403, BUS_CODE_NOT_FOUND = 404, BUS_CODE_DIFFERS = 406 };
int bus_refusal(const struct bus *bus);

/*
 * Looks that change nothing, also topology calls (above).
 */

/* Passive declare of an exchange. */
int bus_look_at_exchange(struct bus *bus, uint16_t channel, const char *name)
    __attribute__((warn_unused_result));

/* Takes away a binding of an exchange to itself that there never was: the broker wants the right to
 * write to it and to read from it, and answers as if there had been one. */
int bus_may_use_exchange(struct bus *bus, uint16_t channel, const char *name)
    __attribute__((warn_unused_result));

/* Asks for a consumer with a priority that is no number. The broker looks at the right to read the
 * queue first, and refuses the priority then: nothing is consumed. */
int bus_may_consume(struct bus *bus, uint16_t channel, const char *queue)
    __attribute__((warn_unused_result));

/* Writes url with its password masked, for logs: amqp://user:***@host:5672/vhost. */
void bus_mask_url(const char *url, char *ret_text, size_t size);

/* 0 when every URL of the list can be parsed; otherwise -EINVAL and the reason. For settings. */
int bus_check_urls(const char *urls, struct bus_error *ret_error)
    __attribute__((warn_unused_result));

#endif
