/*
 * What the broker says: one function for each kind of frame. Frames of several channels arrive
 * interleaved; those of one message on one channel do not.
 */
#include "common/bus_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int protocol_error(struct bus *bus, const amqp_frame_t *frame, const char *what)
{
    return bus_lose(bus, -EPROTO, "protocol: %s on channel %u (frame type %u)", what,
                    (unsigned)frame->channel, (unsigned)frame->frame_type);
}

static int connection_closed(struct bus *bus, const amqp_connection_close_t *m)
{
    amqp_connection_close_ok_t ok = {0};
    int rc = bus_send_method(bus, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &ok);

    if (rc < 0) {
        return rc;
    }
    return bus_lose(bus, -ECONNRESET, "closed by the broker: %u %.*s", (unsigned)m->reply_code,
                    (int)m->reply_text.len, (const char *)m->reply_text.bytes);
}

static int take_connection_method(struct bus *bus, const amqp_method_t *method)
{
    bus_short reason = "";

    switch (method->id) {
    case AMQP_CONNECTION_CLOSE_METHOD:
        return connection_closed(bus, method->decoded);
    case AMQP_CONNECTION_BLOCKED_METHOD:
        bus_short_copy(reason, ((const amqp_connection_blocked_t *)method->decoded)->reason);
        bus_blocked_changed(bus, true, reason);
        return 0;
    case AMQP_CONNECTION_UNBLOCKED_METHOD:
        bus_blocked_changed(bus, false, reason);
        return 0;
    default:
        return 0; /* close-ok and what later versions may tell */
    }
}

static void tell_closed(struct bus *bus, struct bus_channel *channel, int code, const char *text)
{
    bus_channel_end(channel);
    if (bus->handlers.on_channel_closed != NULL) {
        bus->handlers.on_channel_closed(bus->handlers.context, channel->number, code, text);
    }
}

/* Both ends may close at once: then each answers the other, and the answer to ours ends it. */
static int channel_closed(struct bus *bus, struct bus_channel *channel,
                          const amqp_channel_close_t *m)
{
    bool ours_under_way = channel->state == BUS_CHANNEL_CLOSING;
    amqp_channel_close_ok_t ok = {0};
    bus_short text;
    int code = m->reply_code;

    bus_short_copy(text, m->reply_text);
    int rc = bus_send_method(bus, channel->number, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
    if (rc == 0 && !ours_under_way) {
        tell_closed(bus, channel, code, text);
    }
    return rc;
}

static int cancelled(struct bus *bus, struct bus_channel *channel, const amqp_basic_cancel_t *m)
{
    bool wants_answer = m->nowait == 0;
    bus_short tag;
    int rc = 0;

    bus_short_copy(tag, m->consumer_tag);
    if (wants_answer) {
        amqp_basic_cancel_ok_t ok = {.consumer_tag = bus_bytes(tag)};
        rc = bus_send_method(bus, channel->number, AMQP_BASIC_CANCEL_OK_METHOD, &ok);
    }
    channel->consumers -= channel->consumers > 0;
    if (rc == 0 && bus->handlers.on_cancelled != NULL) {
        bus->handlers.on_cancelled(bus->handlers.context, channel->number, tag);
    }
    return rc;
}

/* Methods that may come at any time on an open channel. */
static int take_channel_method(struct bus *bus, struct bus_channel *channel,
                               const amqp_method_t *method)
{
    const amqp_basic_ack_t *ack = method->decoded;
    const amqp_basic_nack_t *nack = method->decoded;

    switch (method->id) {
    case AMQP_BASIC_DELIVER_METHOD:
        bus_delivery_begin(channel, method->decoded);
        return 0;
    case AMQP_BASIC_RETURN_METHOD:
        bus_return_begin(channel, method->decoded);
        return 0;
    case AMQP_BASIC_ACK_METHOD:
        return bus_confirm(bus, channel, ack->delivery_tag, ack->multiple != 0, true);
    case AMQP_BASIC_NACK_METHOD:
        return bus_confirm(bus, channel, nack->delivery_tag, nack->multiple != 0, false);
    case AMQP_BASIC_CANCEL_METHOD:
        return cancelled(bus, channel, method->decoded);
    case AMQP_BASIC_CONSUME_OK_METHOD:
        if (bus->handlers.on_consuming != NULL) {
            bus->handlers.on_consuming(bus->handlers.context, channel->number);
        }
        return 0;
    case AMQP_BASIC_CANCEL_OK_METHOD:
        channel->consumers -= channel->consumers > 0;
        if (bus->handlers.on_consumer_ended != NULL) {
            bus->handlers.on_consumer_ended(bus->handlers.context, channel->number);
        }
        return 0;
    default:
        return 0; /* the answers nobody waits for: open-ok, select-ok, qos-ok */
    }
}

static int take_method(struct bus *bus, const amqp_frame_t *frame)
{
    const amqp_method_t *method = &frame->payload.method;
    struct bus_channel *channel = bus_channel_find(bus, frame->channel);

    if (frame->channel == 0) {
        return take_connection_method(bus, method);
    }
    if (channel == NULL || channel->state == BUS_CHANNEL_CLOSED) {
        return 0;
    }
    if (method->id == AMQP_CHANNEL_CLOSE_METHOD) {
        return channel_closed(bus, channel, method->decoded);
    }
    if (channel->state == BUS_CHANNEL_CLOSING) {
        if (method->id == AMQP_CHANNEL_CLOSE_OK_METHOD) {
            tell_closed(bus, channel, 0, "");
        }
        return 0;
    }
    if (channel->content != BUS_CONTENT_NONE) {
        return protocol_error(bus, frame, "a method inside a message");
    }
    return take_channel_method(bus, channel, method);
}

static int take_content(struct bus *bus, const amqp_frame_t *frame)
{
    struct bus_channel *channel = bus_channel_opened(bus, frame->channel);
    bool is_header = frame->frame_type == AMQP_FRAME_HEADER;

    if (channel == NULL) {
        return 0; /* still on its way when the channel was closed */
    }
    if (channel->content == BUS_CONTENT_NONE || channel->header_taken == is_header) {
        return protocol_error(bus, frame, "a part of no message");
    }
    return is_header ? bus_content_header(bus, channel, frame)
                     : bus_content_body(bus, channel, frame->payload.body_fragment);
}

int bus_take_frame(struct bus *bus, const amqp_frame_t *frame)
{
    switch (frame->frame_type) {
    case AMQP_FRAME_METHOD:
        return take_method(bus, frame);
    case AMQP_FRAME_HEADER:
    case AMQP_FRAME_BODY:
        return take_content(bus, frame);
    default:
        return 0;
    }
}
