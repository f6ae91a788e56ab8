/*
 * drain: takes a queue to its end and prints one JSON object per message.
 *
 * The end is reached when the broker counts no ready message and none has arrived for IDLE_MS.
 * Without --peek every message is acknowledged after it was printed. With it none is, and all
 * go back when the connection closes (their delivery count rises by one).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rabbit.h"

enum { IDLE_MS = 150, PREFETCH = 500, COUNT_CHANNEL = 2 };

static void say_message(const amqp_envelope_t *envelope)
{
    const amqp_message_t *message = &envelope->message;
    struct json_object *out = json_object_new_object();
    json_object_object_add(out, "exchange",
                           json_from_bytes(envelope->exchange.bytes, envelope->exchange.len));
    json_object_object_add(out, "routing_key",
                           json_from_bytes(envelope->routing_key.bytes, envelope->routing_key.len));
    json_object_object_add(out, "redelivered", json_object_new_boolean(envelope->redelivered));
    json_object_object_add(out, "properties", json_from_properties(&message->properties));
    json_object_object_add(out, "headers",
                           (message->properties._flags & AMQP_BASIC_HEADERS_FLAG) != 0
                               ? json_from_table(&message->properties.headers)
                               : json_object_new_object());
    json_object_object_add(out, "body", json_from_bytes(message->body.bytes, message->body.len));
    json_say(out);
}

/* 1 when the broker holds no ready message, 0 when it does, -1. */
static int is_empty(struct link *link, const char *queue)
{
    amqp_queue_declare_ok_t *ok = amqp_queue_declare(
        link->connection, COUNT_CHANNEL, amqp_cstring_bytes(queue), 1, 0, 0, 0, amqp_empty_table);
    if (link_result(link, queue))
        return complain("%s: cannot be counted", queue);
    return ok->message_count == 0;
}

/* Prints the next message: 1; 0 when none came in time; -1. */
static int take_one(struct link *link, bool acknowledge)
{
    struct timeval limit = {.tv_usec = IDLE_MS * 1000L};
    amqp_envelope_t envelope;
    amqp_maybe_release_buffers(link->connection);
    amqp_rpc_reply_t reply = amqp_consume_message(link->connection, &envelope, &limit, 0);
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION &&
        reply.library_error == AMQP_STATUS_TIMEOUT)
        return 0;
    if (reply.reply_type != AMQP_RESPONSE_NORMAL)
        return complain("consuming: %s", reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION
                                             ? amqp_error_string2(reply.library_error)
                                             : "the broker closed the channel");
    say_message(&envelope);
    uint64_t tag = envelope.delivery_tag;
    amqp_destroy_envelope(&envelope);
    if (acknowledge && link_status(amqp_basic_ack(link->connection, 1, tag, 0), "ack"))
        return -1;
    return 1;
}

static int drain_queue(struct link *link, const struct options *options, const char *queue)
{
    amqp_basic_qos(link->connection, 1, 0, options->peek ? 0 : PREFETCH, 0);
    if (link_result(link, "qos"))
        return -1;
    amqp_basic_consume(link->connection, 1, amqp_cstring_bytes(queue), amqp_cstring_bytes(queue), 0,
                       0, 0, amqp_empty_table);
    if (link_result(link, queue))
        return complain("%s: cannot be consumed", queue);
    for (uint64_t taken = 0; options->max == 0 || taken < options->max;) {
        int result = take_one(link, !options->peek);
        if (result < 0)
            return -1;
        taken += (uint64_t)result;
        if (result > 0)
            continue;
        result = is_empty(link, queue);
        if (result != 0)
            return result < 0 ? -1 : 0;
    }
    return 0;
}

int command_drain(struct link *link, const struct options *options)
{
    if (options->queues.count != 1)
        return complain("drain takes one --queue");
    if (link_channel(link, COUNT_CHANNEL) || drain_queue(link, options, options->queues.item[0]))
        return -1;
    /* An orderly close carries the last acks to the broker before the process is gone. */
    amqp_rpc_reply_t reply = amqp_connection_close(link->connection, AMQP_REPLY_SUCCESS);
    return reply.reply_type == AMQP_RESPONSE_NORMAL ? 0 : complain("closing: no answer");
}
