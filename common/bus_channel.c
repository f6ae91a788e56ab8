/* Channels, and what consumers send. */
#include "common/bus_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct bus_channel *bus_channel_find(const struct bus *bus, uint16_t number)
{
    return number < bus->n_channels ? bus->channels[number] : NULL;
}

struct bus_channel *bus_channel_opened(const struct bus *bus, uint16_t number)
{
    struct bus_channel *channel = bus_channel_find(bus, number);

    return channel != NULL && channel->state == BUS_CHANNEL_OPEN ? channel : NULL;
}

static struct bus_channel *channel_new(struct bus *bus, uint16_t number)
{
    if (number >= bus->n_channels) {
        size_t n = (size_t)number + 16;
        struct bus_channel **more = reallocarray(bus->channels, n, sizeof(struct bus_channel *));
        if (more == NULL) {
            return NULL;
        }
        memset(more + bus->n_channels, 0, (n - bus->n_channels) * sizeof(struct bus_channel *));
        bus->channels = more;
        bus->n_channels = n;
    }
    struct bus_channel *channel = calloc(1, sizeof(*channel));
    if (channel != NULL) {
        channel->number = number;
        bus->channels[number] = channel;
    }
    return channel;
}

int bus_channel_begin(struct bus *bus, struct bus_channel *channel)
{
    amqp_channel_open_t open = {.out_of_band = amqp_empty_bytes};
    amqp_confirm_select_t select = {.nowait = 0};
    int rc = bus_send_method(bus, channel->number, AMQP_CHANNEL_OPEN_METHOD, &open);

    if (rc == 0 && channel->confirms) {
        rc = bus_send_method(bus, channel->number, AMQP_CONFIRM_SELECT_METHOD, &select);
    }
    channel->state = BUS_CHANNEL_OPEN;
    channel->window.first_tag = 1;
    return rc;
}

void bus_channel_end(struct bus_channel *channel)
{
    channel->state = BUS_CHANNEL_CLOSED;
    channel->consumers = 0;
    channel->tag_base = channel->tag_last;
    channel->window.count = 0;
    bus_content_forget(channel);
}

void bus_channel_free(struct bus_channel *channel)
{
    if (channel->headers != NULL) {
        free(channel->headers->text);
        free(channel->headers);
    }
    free(channel->body);
    free(channel->properties);
    free(channel->window.number);
    free(channel);
}

uint16_t bus_channel_max(const struct bus *bus)
{
    return (uint16_t)amqp_get_channel_max(bus->connection);
}

int bus_channel_open(struct bus *bus, uint16_t number, bool confirms)
{
    struct bus_channel *channel = bus_channel_find(bus, number);

    if (bus->lost != 0) {
        return bus->lost;
    }
    if (number == 0 || number > amqp_get_channel_max(bus->connection)) {
        return bus_lose(bus, -EINVAL, "channel %u: the broker allows 1 to %d", (unsigned)number,
                        amqp_get_channel_max(bus->connection));
    }
    if (channel == NULL) {
        channel = channel_new(bus, number);
    }
    if (channel == NULL) {
        return bus_lose(bus, -ENOMEM, "out of memory");
    }
    if (channel->state != BUS_CHANNEL_CLOSED) {
        return bus_lose(bus, -EBUSY, "channel %u is in use", (unsigned)number);
    }
    channel->confirms = confirms;
    return bus_channel_begin(bus, channel);
}

int bus_channel_close(struct bus *bus, uint16_t number)
{
    char text[] = "done";
    amqp_channel_close_t close = {.reply_code = AMQP_REPLY_SUCCESS, .reply_text = bus_bytes(text)};
    struct bus_channel *channel = bus_channel_opened(bus, number);

    if (channel == NULL) {
        return bus->lost;
    }
    channel->state = BUS_CHANNEL_CLOSING;
    bus_content_forget(channel);
    return bus_send_method(bus, number, AMQP_CHANNEL_CLOSE_METHOD, &close);
}

int bus_qos(struct bus *bus, uint16_t channel, uint16_t prefetch)
{
    amqp_basic_qos_t qos = {.prefetch_count = prefetch};

    if (bus_channel_opened(bus, channel) == NULL) {
        return bus->lost;
    }
    return bus_send_method(bus, channel, AMQP_BASIC_QOS_METHOD, &qos);
}

int bus_consume(struct bus *bus, uint16_t number, const char *queue, const char *consumer_tag,
                bool exclusive)
{
    struct bus_channel *channel = bus_channel_opened(bus, number);
    amqp_basic_consume_t consume = {
        .queue = bus_bytes(queue),
        .consumer_tag = bus_bytes(consumer_tag),
        .exclusive = exclusive,
    };

    if (channel == NULL) {
        return bus->lost;
    }
    if (strlen(queue) > UINT8_MAX || strlen(consumer_tag) > UINT8_MAX) {
        return bus_lose(bus, -EINVAL, "consume: a name is longer than 255 bytes");
    }
    channel->consumers++;
    return bus_send_method(bus, number, AMQP_BASIC_CONSUME_METHOD, &consume);
}

int bus_cancel(struct bus *bus, uint16_t number, const char *consumer_tag)
{
    amqp_basic_cancel_t cancel = {.consumer_tag = bus_bytes(consumer_tag)};

    if (bus_channel_opened(bus, number) == NULL) {
        return bus->lost;
    }
    return bus_send_method(bus, number, AMQP_BASIC_CANCEL_METHOD, &cancel);
}

/* The broker's tag for one of ours; false when it belongs to an earlier life of the channel. */
static bool broker_tag(const struct bus *bus, uint16_t number, uint64_t tag, uint64_t *ret_tag)
{
    const struct bus_channel *channel = bus_channel_opened(bus, number);

    if (channel == NULL || tag <= channel->tag_base) {
        return false;
    }
    *ret_tag = tag - channel->tag_base;
    return true;
}

int bus_ack(struct bus *bus, uint16_t channel, uint64_t tag, bool multiple)
{
    amqp_basic_ack_t ack = {.multiple = multiple};

    if (!broker_tag(bus, channel, tag, &ack.delivery_tag)) {
        return bus->lost;
    }
    return bus_send_method(bus, channel, AMQP_BASIC_ACK_METHOD, &ack);
}

int bus_reject(struct bus *bus, uint16_t channel, uint64_t tag, bool requeue)
{
    amqp_basic_reject_t reject = {.requeue = requeue};

    if (!broker_tag(bus, channel, tag, &reject.delivery_tag)) {
        return bus->lost;
    }
    return bus_send_method(bus, channel, AMQP_BASIC_REJECT_METHOD, &reject);
}
