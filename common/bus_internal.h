/*
 * What the files of the bus share with each other and with nobody else.
 *
 *   bus.c           life and death of a connection, heartbeats, the loop that reads
 *   bus_channel.c   channels, consumers, acks
 *   bus_connect.c   addresses, TLS, login
 *   bus_url.c       the list of URLs (pure)
 *   bus_frames.c    frames from the broker: methods
 *   bus_message.c   frames from the broker: messages, put together for each channel
 *   bus_publish.c   publications and their confirms
 *   bus_forward.c   messages that are sent on with the properties that they came with
 *   bus_topology.c  calls that wait for an answer
 *
 * Every frame is copied out of librabbitmq's memory when it is taken, so that this memory can be
 * released after each frame and stays flat.
 */
#ifndef MIH_COMMON_BUS_INTERNAL_H
#define MIH_COMMON_BUS_INTERNAL_H

#include "common/bus.h"

#include <amqp.h>
#include <amqp_framing.h>

/* The number of a publication, to know it again when it is returned. */
#define BUS_PUBLISH_HEADER "x-mih-publish"

/* A short string of AMQP (at most 255 bytes) with a NUL. */
typedef char bus_short[256];

struct bus_url {
    bool tls;
    uint16_t port;
    bus_short user;
    bus_short password;
    bus_short host;
    bus_short vhost;
};

enum {
    BUS_URLS_MAX = 32,
    /* What RabbitMQ offers. A smaller one would make every message with larger properties
     * undeliverable: the broker does not split them. */
    BUS_FRAME_MAX = 131072,
    BUS_HEADERS_MAX = 100 * 1024, /* bytes of header fields that are kept or sent */
    BUS_FIELDS_MAX = 256,
    BUS_DRAIN_FRAMES = 600, /* per call of bus_drain(): 200 messages */
    BUS_UNCONFIRMED_MAX = 1024 * 1024,
};

struct bus_header {
    const char *name;
    const char *text; /* NULL: a number */
    size_t text_len;
    int64_t number;
};

/* Header fields of the message at hand; names and texts are in `text`. */
struct bus_headers {
    size_t count;
    struct bus_header field[BUS_FIELDS_MAX];
    char *text;
    size_t used, size;
};

/* Publications whose confirm has not come, oldest first: a ring of their numbers. Delivery tags
 * of a confirm channel count its publications from 1, so a tag tells the place. 0: decided. */
struct bus_window {
    uint64_t *number;
    size_t size, first, count;
    uint64_t first_tag;
};

enum bus_channel_state { BUS_CHANNEL_CLOSED, BUS_CHANNEL_OPEN, BUS_CHANNEL_CLOSING };

enum bus_content { BUS_CONTENT_NONE, BUS_CONTENT_DELIVERY, BUS_CONTENT_RETURN };

/* One channel: owned by the bus, never freed before it. */
struct bus_channel {
    uint16_t number;
    enum bus_channel_state state;
    bool confirms;
    unsigned consumers;
    uint64_t tag_base; /* added to the broker's tags: those of earlier lives stay below */
    uint64_t tag_last;
    struct bus_window window;

    /* The message that is being put together. */
    enum bus_content content;
    bool header_taken;
    bool redelivered;
    int return_code;
    uint64_t tag;
    uint64_t timestamp;
    uint64_t body_size, body_got;
    bool body_skipped;
    char *body; /* NUL-terminated when complete; reused until the consumer takes it */
    size_t body_room;
    struct bus_headers *headers; /* NULL until a message has some */
    char *properties;            /* as they came, when the bus keeps them */
    size_t properties_len, properties_room;
    bus_short consumer_tag, exchange, routing_key, return_text;
    bus_short message_id, type, app_id, content_type;
};

struct bus {
    amqp_connection_state_t connection;
    int fd;      /* a duplicate: librabbitmq closes its own when it likes */
    int lost;    /* 0, or the negative errno that all calls return from now on */
    int refusal; /* the broker's code of the last one; 0: our own */
    int heartbeat_ms;
    int64_t now_ms;
    int64_t sent_ms;
    bool blocked;
    bool held;
    bool keeps_properties;
    uint64_t last_number; /* of publications */
    size_t max_body;
    struct bus_handlers handlers;
    struct bus_channel **channels;
    size_t n_channels;
    struct bus_channel *delivering; /* whose body bus_take_body() hands over */
    char peer[600];
    char reason[512];
};

/* bus_url.c: number of URLs; the index-th one, parsed. 0, or -EINVAL with the reason. */
size_t bus_url_count(const char *urls);
int bus_url_parse(const char *urls, size_t index, struct bus_url *ret_url,
                  struct bus_error *ret_error) __attribute__((warn_unused_result));

/* bus_connect.c: a logged-in connection. 0, or a negative errno with the reason. */
int bus_connect(const struct bus_options *options, const struct bus_url *url,
                amqp_connection_state_t *ret_connection, struct bus_error *ret_error)
    __attribute__((warn_unused_result));

/* bus.c: remember that the connection is lost, and why; returns the negative errno. */
int bus_lose(struct bus *bus, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int bus_lose_status(struct bus *bus, const char *step, int status);
int bus_refuse(struct bus *bus, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Sends one method; 0 or negative. */
int bus_send_method(struct bus *bus, uint16_t channel, amqp_method_number_t method, void *fields)
    __attribute__((warn_unused_result));
void bus_blocked_changed(struct bus *bus, bool blocked, const char *reason);

/* bus_channel.c: the channel, or NULL when that number was never opened. */
struct bus_channel *bus_channel_find(const struct bus *bus, uint16_t number);

/* The same, but NULL also while it is not open. */
struct bus_channel *bus_channel_opened(const struct bus *bus, uint16_t number);

/* Sends channel.open, and confirm.select when it is a confirm channel. */
int bus_channel_begin(struct bus *bus, struct bus_channel *channel)
    __attribute__((warn_unused_result));

/* The channel has ended: forgets what was under way on it. */
void bus_channel_end(struct bus_channel *channel);
void bus_channel_free(struct bus_channel *channel);

/* bus_frames.c: acts on one frame. */
int bus_take_frame(struct bus *bus, const amqp_frame_t *frame) __attribute__((warn_unused_result));

/* bus_message.c */
void bus_short_copy(bus_short to, amqp_bytes_t from);
void bus_delivery_begin(struct bus_channel *channel, const amqp_basic_deliver_t *m);
void bus_return_begin(struct bus_channel *channel, const amqp_basic_return_t *m);
int bus_content_header(struct bus *bus, struct bus_channel *channel, const amqp_frame_t *frame)
    __attribute__((warn_unused_result));
int bus_content_body(struct bus *bus, struct bus_channel *channel, amqp_bytes_t part)
    __attribute__((warn_unused_result));
void bus_content_forget(struct bus_channel *channel);

/* bus_publish.c: the entry borrows the field's texts. */
amqp_table_entry_t bus_entry(const struct bus_field *f);

/* A message ready to be sent; its properties hold its number. */
struct bus_outgoing {
    const char *exchange, *routing_key;
    amqp_basic_properties_t *properties;
    const void *body;
    size_t body_len;
};

/* Whether the channel takes another publication: 0, or as of bus_publish(). */
int bus_publish_ready(struct bus *bus, uint16_t channel) __attribute__((warn_unused_result));

/* Sends it under the next number (last_number + 1), which its properties hold. */
int bus_publish_outgoing(struct bus *bus, uint16_t channel, const struct bus_outgoing *o,
                         uint64_t *ret_number) __attribute__((warn_unused_result));
int bus_confirm(struct bus *bus, struct bus_channel *channel, uint64_t tag, bool multiple, bool ack)
    __attribute__((warn_unused_result));

static inline amqp_bytes_t bus_bytes(const char *text)
{
    return amqp_cstring_bytes(text);
}

#endif
