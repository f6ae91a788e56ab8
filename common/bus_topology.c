/*
 * Calls that wait for the broker's answer: queues, exchanges, bindings.
 *
 * amqp_simple_rpc() keeps the frames that arrive meanwhile, and closes the socket when the
 * time-out passes. A refusal closes the channel, which is opened again here.
 */
#include "common/bus_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* One call under way. */
struct call {
    struct bus_channel *channel;
    const char *step;
    const char *name;
};

/* Whether the channel may make a call that the broker could refuse. 0, BUS_REFUSED or negative. */
static int begin(struct bus *bus, uint16_t number, const char *step, const char *name,
                 struct call *ret_call)
{
    struct bus_channel *channel = bus_channel_opened(bus, number);

    *ret_call = (struct call){.channel = channel, .step = step, .name = name};
    if (bus->lost != 0) {
        return bus->lost;
    }
    if (channel == NULL) {
        return bus_refuse(bus, "%s %s: channel %u is not open", step, name, (unsigned)number);
    }
    if (channel->consumers > 0 || channel->window.count > 0) {
        return bus_refuse(bus, "%s %s: channel %u has consumers or unconfirmed publications", step,
                          name, (unsigned)number);
    }
    return 0;
}

static bool fits(const char *name)
{
    return strnlen(name, sizeof(bus_short)) <= UINT8_MAX;
}

static int refused_by_broker(struct bus *bus, const struct call *call,
                             const amqp_channel_close_t *m)
{
    amqp_channel_close_ok_t ok = {0};

    (void)bus_refuse(bus, "%s %s: %u %.*s", call->step, call->name, (unsigned)m->reply_code,
                     (int)m->reply_text.len, (const char *)m->reply_text.bytes);
    bus->refusal = m->reply_code;
    bus_channel_end(call->channel);
    int rc = bus_send_method(bus, call->channel->number, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
    if (rc == 0) {
        rc = bus_channel_begin(bus, call->channel);
    }
    return rc < 0 ? rc : BUS_REFUSED;
}

static int connection_closed(struct bus *bus, const struct call *call,
                             const amqp_connection_close_t *m)
{
    return bus_lose(bus, -ECONNRESET, "%s %s: closed by the broker: %u %.*s", call->step,
                    call->name, (unsigned)m->reply_code, (int)m->reply_text.len,
                    (const char *)m->reply_text.bytes);
}

/* What the last amqp_ call came to. Its answer stays valid until the next call. */
static int result(struct bus *bus, const struct call *call)
{
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(bus->connection);
    char step[400];
    int rc = 0;

    bus->sent_ms = bus->now_ms;
    if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION) {
        rc = reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD
                 ? refused_by_broker(bus, call, reply.reply.decoded)
                 : connection_closed(bus, call, reply.reply.decoded);
    } else if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
        snprintf(step, sizeof(step), "%s %s", call->step, call->name);
        rc = bus_lose_status(bus, step, reply.library_error);
    }
    amqp_maybe_release_buffers_on_channel(bus->connection, call->channel->number);
    return rc;
}

int bus_declare_exchange(struct bus *bus, uint16_t channel, const char *name, const char *kind)
{
    struct call call;
    int rc = begin(bus, channel, "declare exchange", name, &call);

    if (rc != 0) {
        return rc;
    }
    if (!fits(name) || !fits(kind)) {
        return bus_refuse(bus, "declare exchange: the name is longer than 255 bytes");
    }
    amqp_exchange_declare(bus->connection, channel, bus_bytes(name), bus_bytes(kind), 0, 1, 0, 0,
                          amqp_empty_table);
    return result(bus, &call);
}

int bus_declare_queue(struct bus *bus, uint16_t channel, const char *name,
                      const struct bus_field *arguments, size_t n_arguments)
{
    amqp_table_entry_t entries[BUS_FIELDS_MAX];
    amqp_table_t table = {(int)n_arguments, entries};
    struct call call;
    int rc = begin(bus, channel, "declare queue", name, &call);

    if (rc != 0) {
        return rc;
    }
    if (!fits(name) || n_arguments > BUS_FIELDS_MAX) {
        return bus_refuse(bus, "declare queue: the name or the arguments are too long");
    }
    for (size_t i = 0; i < n_arguments; i++) {
        /* It is read through the table. */
        // cppcheck-suppress unreadVariable
        entries[i] = bus_entry(&arguments[i]);
    }
    amqp_queue_declare(bus->connection, channel, bus_bytes(name), 0, 1, 0, 0, table);
    return result(bus, &call);
}

int bus_declare_private_queue(struct bus *bus, uint16_t channel, char *ret_name, size_t size)
{
    struct call call;
    int rc = begin(bus, channel, "declare", "private queue", &call);

    if (rc != 0) {
        return rc;
    }
    const amqp_queue_declare_ok_t *ok = amqp_queue_declare(
        bus->connection, channel, amqp_empty_bytes, 0, 0, 1, 1, amqp_empty_table);
    if (ok != NULL && ok->queue.len < size) {
        memcpy(ret_name, ok->queue.bytes, ok->queue.len);
        ret_name[ok->queue.len] = '\0';
    } else if (ok != NULL) {
        amqp_maybe_release_buffers_on_channel(bus->connection, channel);
        return bus_refuse(bus, "declare private queue: no room for its name");
    }
    return result(bus, &call);
}

int bus_queue_depth(struct bus *bus, uint16_t channel, const char *name, uint32_t *ret_messages,
                    uint32_t *ret_consumers)
{
    struct call call;
    int rc = begin(bus, channel, "look at queue", name, &call);

    if (rc != 0) {
        return rc;
    }
    if (!fits(name)) {
        return bus_refuse(bus, "look at queue: the name is longer than 255 bytes");
    }
    const amqp_queue_declare_ok_t *ok =
        amqp_queue_declare(bus->connection, channel, bus_bytes(name), 1, 0, 0, 0, amqp_empty_table);
    if (ok != NULL) {
        *ret_messages = ok->message_count;
        *ret_consumers = ok->consumer_count;
    }
    return result(bus, &call);
}

int bus_delete_queue(struct bus *bus, uint16_t channel, const char *name)
{
    struct call call;
    int rc = begin(bus, channel, "delete queue", name, &call);

    if (rc != 0) {
        return rc;
    }
    if (!fits(name)) {
        return bus_refuse(bus, "delete queue: the name is longer than 255 bytes");
    }
    amqp_queue_delete(bus->connection, channel, bus_bytes(name), 0, 0);
    return result(bus, &call);
}

int bus_bind(struct bus *bus, uint16_t channel, const char *queue, const char *exchange,
             const char *routing_key)
{
    struct call call;
    int rc = begin(bus, channel, "bind queue", queue, &call);

    if (rc != 0) {
        return rc;
    }
    if (!fits(queue) || !fits(exchange) || !fits(routing_key)) {
        return bus_refuse(bus, "bind: a name is longer than 255 bytes");
    }
    amqp_queue_bind(bus->connection, channel, bus_bytes(queue), bus_bytes(exchange),
                    bus_bytes(routing_key), amqp_empty_table);
    return result(bus, &call);
}

int bus_unbind(struct bus *bus, uint16_t channel, const char *queue, const char *exchange,
               const char *routing_key)
{
    struct call call;
    int rc = begin(bus, channel, "unbind queue", queue, &call);

    if (rc != 0) {
        return rc;
    }
    if (!fits(queue) || !fits(exchange) || !fits(routing_key)) {
        return bus_refuse(bus, "unbind: a name is longer than 255 bytes");
    }
    amqp_queue_unbind(bus->connection, channel, bus_bytes(queue), bus_bytes(exchange),
                      bus_bytes(routing_key), amqp_empty_table);
    return result(bus, &call);
}

int bus_look_at_exchange(struct bus *bus, uint16_t channel, const char *name)
{
    struct call call;
    int rc = begin(bus, channel, "look at exchange", name, &call);

    if (rc != 0) {
        return rc;
    }
    if (!fits(name)) {
        return bus_refuse(bus, "look at exchange: the name is longer than 255 bytes");
    }
    amqp_exchange_declare(bus->connection, channel, bus_bytes(name), amqp_empty_bytes, 1, 0, 0, 0,
                          amqp_empty_table);
    return result(bus, &call);
}

int bus_may_use_exchange(struct bus *bus, uint16_t channel, const char *name)
{
    struct call call;
    int rc = begin(bus, channel, "use exchange", name, &call);

    if (rc != 0) {
        return rc;
    }
    if (!fits(name)) {
        return bus_refuse(bus, "use exchange: the name is longer than 255 bytes");
    }
    amqp_exchange_unbind(bus->connection, channel, bus_bytes(name), bus_bytes(name),
                         bus_bytes("no such binding"), amqp_empty_table);
    return result(bus, &call);
}

int bus_may_consume(struct bus *bus, uint16_t channel, const char *queue)
{
    amqp_table_entry_t entry = {
        .key = bus_bytes("x-priority"),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = bus_bytes("none")},
    };
    const amqp_table_t arguments = {1, &entry};
    struct call call;
    int rc = begin(bus, channel, "consume from", queue, &call);

    if (rc != 0) {
        return rc;
    }
    if (!fits(queue)) {
        return bus_refuse(bus, "consume: the name is longer than 255 bytes");
    }
    amqp_basic_consume(bus->connection, channel, bus_bytes(queue), amqp_empty_bytes, 0, 0, 0,
                       arguments);
    rc = result(bus, &call);
    if (rc == 0) { /* a broker that takes any priority: what it sends now must go back */
        return bus_lose(bus, -EPROTO, "consume from %s: the broker does not refuse a bad priority",
                        queue);
    }
    return rc == BUS_REFUSED && bus->refusal == BUS_CODE_DIFFERS ? 0 : rc;
}
