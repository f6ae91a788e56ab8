/*
 * drain: takes a queue to its end and prints one JSON object per message.
 *
 * The end is reached when the broker counts no ready message and none has arrived for IDLE_MS.
 * Without --peek every message is acknowledged after it was printed. With it none is, and all
 * go back when the connection closes (their delivery count rises by one); of a quorum queue that is
 * possible for up to PEEK_MAX messages. With --follow there is no end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rabbit.h"

/* PEEK_MAX: without any prefetch a quorum queue would give 2000. */
enum { IDLE_MS = 150, PREFETCH = 500, PEEK_MAX = 65535, IDLE_ROUNDS_MAX = 100, COUNT_CHANNEL = 2 };

static void say_message(const amqp_envelope_t *envelope, bool with_time)
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
    if (with_time)
        json_object_object_add(out, "arrived", json_object_new_int64((int64_t)now_ms()));
    json_say(out);
}

/* How many ready messages the broker counts; -1. */
static int64_t count_ready(struct link *link, const char *queue)
{
    amqp_queue_declare_ok_t *ok = amqp_queue_declare(
        link->connection, COUNT_CHANNEL, amqp_cstring_bytes(queue), 1, 0, 0, 0, amqp_empty_table);
    if (link_result(link, queue))
        return complain("%s: cannot be counted", queue);
    return ok->message_count;
}

/* Prints the next message: 1; 0 when none came in time; -1. */
static int take_one(struct link *link, const struct options *options)
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
    say_message(&envelope, options->follow);
    uint64_t tag = envelope.delivery_tag;
    amqp_destroy_envelope(&envelope);
    if (!options->peek && link_status(amqp_basic_ack(link->connection, 1, tag, 0), "ack"))
        return -1;
    return 1;
}

/* Whether nothing more comes. What was there at the start comes, though it may take its time: the
 * broker counts a message as not ready as soon as it is on its way. 1, 0 or -1. */
static int at_end(struct link *link, const char *queue, bool missing, unsigned idle_rounds)
{
    int64_t ready = count_ready(link, queue);
    if (ready < 0)
        return -1;
    return ready == 0 && (!missing || idle_rounds > IDLE_ROUNDS_MAX);
}

static int drain_queue(struct link *link, const struct options *options, const char *queue)
{
    const int64_t at_start = count_ready(link, queue);
    unsigned idle_rounds = 0;
    amqp_basic_qos(link->connection, 1, 0, options->peek ? PEEK_MAX : PREFETCH, 0);
    if (at_start < 0 || link_result(link, "qos"))
        return -1;
    amqp_basic_consume(link->connection, 1, amqp_cstring_bytes(queue), amqp_cstring_bytes(queue), 0,
                       0, 0, amqp_empty_table);
    if (link_result(link, queue))
        return complain("%s: cannot be consumed", queue);
    for (uint64_t taken = 0; options->max == 0 || taken < options->max;) {
        int result = take_one(link, options);
        if (result < 0)
            return -1;
        taken += (uint64_t)result;
        idle_rounds = result > 0 ? 0 : idle_rounds + 1;
        if (result > 0 || options->follow)
            continue;
        result = at_end(link, queue, taken < (uint64_t)at_start, idle_rounds);
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
