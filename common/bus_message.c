/*
 * Putting messages together from method, header and body frames, channel by channel.
 *
 * The short properties have a fixed place in the channel; header fields are rare and get memory
 * when there are any. A body is one malloc, made once its size is known and acceptable; a larger
 * one passes by without being stored.
 */
#include "common/bus_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEPT_BODY_MAX = 64 * 1024, /* what a channel keeps for its next message */
    KEPT_TEXT_MAX = 8 * 1024,
};

static const char publish_header[] = BUS_PUBLISH_HEADER;

void bus_short_copy(bus_short to, amqp_bytes_t from)
{
    size_t len = from.len < sizeof(bus_short) ? from.len : sizeof(bus_short) - 1;

    if (len > 0) {
        memcpy(to, from.bytes, len);
    }
    to[len] = '\0';
}

/* A property that may be missing. */
static void copy_property(bus_short to, const amqp_basic_properties_t *p, amqp_flags_t flag,
                          amqp_bytes_t from)
{
    bus_short_copy(to, (p->_flags & flag) != 0 ? from : amqp_empty_bytes);
}

static void begin(struct bus_channel *channel, enum bus_content content)
{
    channel->content = content;
    channel->header_taken = false;
    channel->body_got = 0;
}

void bus_delivery_begin(struct bus_channel *channel, const amqp_basic_deliver_t *m)
{
    begin(channel, BUS_CONTENT_DELIVERY);
    channel->tag = channel->tag_base + m->delivery_tag;
    channel->tag_last = channel->tag;
    channel->redelivered = m->redelivered != 0;
    bus_short_copy(channel->consumer_tag, m->consumer_tag);
    bus_short_copy(channel->exchange, m->exchange);
    bus_short_copy(channel->routing_key, m->routing_key);
}

void bus_return_begin(struct bus_channel *channel, const amqp_basic_return_t *m)
{
    begin(channel, BUS_CONTENT_RETURN);
    channel->return_code = m->reply_code;
    bus_short_copy(channel->return_text, m->reply_text);
}

void bus_content_forget(struct bus_channel *channel)
{
    channel->content = BUS_CONTENT_NONE;
    if (channel->body_room > KEPT_BODY_MAX) {
        free(channel->body);
        channel->body = NULL;
        channel->body_room = 0;
    }
    if (channel->headers != NULL) {
        channel->headers->count = 0;
        if (channel->headers->size > KEPT_TEXT_MAX) {
            free(channel->headers->text);
            channel->headers->text = NULL;
            channel->headers->size = 0;
        }
    }
}

/* True and the number when the field is a number; text is NULL then. False for what is neither
 * text nor number: tables, arrays, decimals. */
static bool read_field(const amqp_field_value_t *v, amqp_bytes_t *ret_text, int64_t *ret_number)
{
    *ret_text = amqp_empty_bytes;
    *ret_number = 0;
    switch (v->kind) {
    case AMQP_FIELD_KIND_UTF8:
    case AMQP_FIELD_KIND_BYTES:
        *ret_text = v->value.bytes;
        return true;
    case AMQP_FIELD_KIND_BOOLEAN:
        *ret_number = v->value.boolean != 0;
        return true;
    case AMQP_FIELD_KIND_I8:
        *ret_number = (int64_t)v->value.i8;
        return true;
    case AMQP_FIELD_KIND_U8:
        *ret_number = v->value.u8;
        return true;
    case AMQP_FIELD_KIND_I16:
        *ret_number = v->value.i16;
        return true;
    case AMQP_FIELD_KIND_U16:
        *ret_number = v->value.u16;
        return true;
    case AMQP_FIELD_KIND_I32:
        *ret_number = v->value.i32;
        return true;
    case AMQP_FIELD_KIND_U32:
        *ret_number = v->value.u32;
        return true;
    case AMQP_FIELD_KIND_I64:
        *ret_number = v->value.i64;
        return true;
    case AMQP_FIELD_KIND_U64:
    case AMQP_FIELD_KIND_TIMESTAMP:
        *ret_number = v->value.u64 > INT64_MAX ? INT64_MAX : (int64_t)v->value.u64;
        return true;
    default:
        return false;
    }
}

static bool is_text(const amqp_field_value_t *v)
{
    return v->kind == AMQP_FIELD_KIND_UTF8 || v->kind == AMQP_FIELD_KIND_BYTES;
}

/* How many bytes the copies of the first fields take that are kept. */
static size_t room_for(const amqp_table_t *table)
{
    size_t room = 0;

    for (int i = 0; i < table->num_entries && i < BUS_FIELDS_MAX; i++) {
        const amqp_table_entry_t *e = &table->entries[i];
        size_t len = e->key.len + 1 + (is_text(&e->value) ? e->value.value.bytes.len + 1 : 0);
        if (room + len > BUS_HEADERS_MAX) {
            break;
        }
        room += len;
    }
    return room;
}

static const char *keep(struct bus_headers *h, amqp_bytes_t from)
{
    char *to = h->text + h->used;

    if (from.len > 0) {
        memcpy(to, from.bytes, from.len);
    }
    to[from.len] = '\0';
    h->used += from.len + 1;
    return to;
}

/* Copies what fits of the table; the rest counts as missing. */
static int copy_headers(struct bus_channel *channel, const amqp_table_t *table)
{
    size_t room = room_for(table);

    if (channel->headers == NULL) {
        channel->headers = calloc(1, sizeof(*channel->headers));
        if (channel->headers == NULL) {
            return -ENOMEM;
        }
    }
    struct bus_headers *h = channel->headers;
    if (room > h->size) {
        free(h->text);
        h->text = malloc(room);
        h->size = h->text != NULL ? room : 0;
        if (h->text == NULL) {
            return -ENOMEM;
        }
    }
    h->count = 0;
    h->used = 0;
    for (int i = 0; i < table->num_entries && i < BUS_FIELDS_MAX && h->used < room; i++) {
        const amqp_table_entry_t *e = &table->entries[i];
        amqp_bytes_t text;
        int64_t number;
        size_t len = e->key.len + 1 + (is_text(&e->value) ? e->value.value.bytes.len + 1 : 0);
        if (len > room - h->used) {
            break;
        }
        if (read_field(&e->value, &text, &number)) {
            struct bus_header *field = &h->field[h->count++];
            field->name = keep(h, e->key);
            field->text = is_text(&e->value) ? keep(h, text) : NULL;
            field->text_len = text.len;
            field->number = number;
        }
    }
    return 0;
}

static const struct bus_header *find_header(const struct bus_headers *headers, const char *name)
{
    for (size_t i = 0; headers != NULL && i < headers->count; i++) {
        if (strcmp(headers->field[i].name, name) == 0) {
            return &headers->field[i];
        }
    }
    return NULL;
}

const char *bus_header_text(const struct bus_headers *headers, const char *name)
{
    const struct bus_header *field = find_header(headers, name);

    return field != NULL && field->text != NULL ? field->text : "";
}

const char *bus_header_bytes(const struct bus_headers *headers, const char *name, size_t *ret_len)
{
    const struct bus_header *field = find_header(headers, name);

    *ret_len = field != NULL && field->text != NULL ? field->text_len : 0;
    return field != NULL ? field->text : NULL;
}

int64_t bus_header_number(const struct bus_headers *headers, const char *name, int64_t fallback)
{
    const struct bus_header *field = find_header(headers, name);

    return field != NULL && field->text == NULL ? field->number : fallback;
}

static void deliver(struct bus *bus, struct bus_channel *channel)
{
    const struct bus_message m = {
        .channel = channel->number,
        .tag = channel->tag,
        .redelivered = channel->redelivered,
        .consumer_tag = channel->consumer_tag,
        .exchange = channel->exchange,
        .routing_key = channel->routing_key,
        .message_id = channel->message_id,
        .type = channel->type,
        .app_id = channel->app_id,
        .content_type = channel->content_type,
        .timestamp = channel->timestamp,
        .body = channel->body_skipped ? NULL : channel->body,
        .body_len = (size_t)channel->body_size,
        .body_too_large = channel->body_skipped,
        .headers = channel->headers,
        .properties = bus->keeps_properties ? channel->properties : NULL,
        .properties_len = bus->keeps_properties ? channel->properties_len : 0,
    };

    if (bus->handlers.on_delivery != NULL) {
        bus->delivering = channel->body_skipped ? NULL : channel;
        bus->handlers.on_delivery(bus->handlers.context, &m);
        bus->delivering = NULL;
    }
}

uint64_t bus_message_number(const struct bus_message *m)
{
    int64_t number = bus_header_number(m->headers, publish_header, 0);

    return number > 0 ? (uint64_t)number : 0;
}

char *bus_take_body(struct bus *bus, char *spare, size_t spare_room, size_t *ret_room)
{
    struct bus_channel *channel = bus->delivering;

    *ret_room = 0;
    if (channel == NULL) {
        free(spare);
        return NULL;
    }
    char *body = channel->body;
    *ret_room = channel->body_room;
    channel->body = spare;
    channel->body_room = spare != NULL ? spare_room : 0;
    return body;
}

static void returned(struct bus *bus, const struct bus_channel *channel)
{
    int64_t number = bus_header_number(channel->headers, publish_header, 0);

    if (bus->handlers.on_return != NULL && number > 0) {
        bus->handlers.on_return(bus->handlers.context, (uint64_t)number, channel->return_code,
                                channel->return_text);
    }
}

/* The message is complete. The handler may close the channel, even open it again. */
static void finish(struct bus *bus, struct bus_channel *channel)
{
    enum bus_content content = channel->content;

    channel->content = BUS_CONTENT_NONE;
    if (content == BUS_CONTENT_DELIVERY) {
        deliver(bus, channel);
    } else {
        returned(bus, channel);
    }
    bus_content_forget(channel);
}

/* Room for the body; exactly that much, as the consumer usually takes and keeps it. */
static int make_room(struct bus_channel *channel)
{
    size_t room = (size_t)channel->body_size + 1;

    if (room > channel->body_room || channel->body_room > 2 * room + 1024) {
        free(channel->body);
        channel->body = malloc(room);
        channel->body_room = channel->body != NULL ? room : 0;
    }
    if (channel->body == NULL) {
        return -ENOMEM;
    }
    channel->body[channel->body_size] = '\0';
    return 0;
}

static int keep_properties(struct bus_channel *channel, amqp_bytes_t raw)
{
    if (raw.len > channel->properties_room) {
        free(channel->properties);
        channel->properties = malloc(raw.len);
        channel->properties_room = channel->properties != NULL ? raw.len : 0;
    }
    channel->properties_len = 0;
    if (channel->properties == NULL) {
        return -ENOMEM;
    }
    memcpy(channel->properties, raw.bytes, raw.len);
    channel->properties_len = raw.len;
    return 0;
}

int bus_content_header(struct bus *bus, struct bus_channel *channel, const amqp_frame_t *frame)
{
    const amqp_basic_properties_t *p = frame->payload.properties.decoded;
    int rc = 0;

    if (frame->payload.properties.class_id != AMQP_BASIC_CLASS) {
        return bus_lose(bus, -EPROTO, "protocol: a message of class %u",
                        (unsigned)frame->payload.properties.class_id);
    }
    channel->header_taken = true;
    channel->body_size = frame->payload.properties.body_size;
    channel->body_skipped =
        channel->content == BUS_CONTENT_RETURN || channel->body_size > bus->max_body;
    copy_property(channel->message_id, p, AMQP_BASIC_MESSAGE_ID_FLAG, p->message_id);
    copy_property(channel->type, p, AMQP_BASIC_TYPE_FLAG, p->type);
    copy_property(channel->app_id, p, AMQP_BASIC_APP_ID_FLAG, p->app_id);
    copy_property(channel->content_type, p, AMQP_BASIC_CONTENT_TYPE_FLAG, p->content_type);
    channel->timestamp = (p->_flags & AMQP_BASIC_TIMESTAMP_FLAG) != 0 ? p->timestamp : 0;
    if ((p->_flags & AMQP_BASIC_HEADERS_FLAG) != 0 && p->headers.num_entries > 0) {
        rc = copy_headers(channel, &p->headers);
    }
    if (rc == 0 && bus->keeps_properties) {
        rc = keep_properties(channel, frame->payload.properties.raw);
    }
    if (rc == 0 && !channel->body_skipped) {
        rc = make_room(channel);
    }
    if (rc < 0) {
        return bus_lose(bus, rc, "message of %llu bytes: out of memory",
                        (unsigned long long)channel->body_size);
    }
    if (channel->body_size == 0) {
        finish(bus, channel);
    }
    return 0;
}

int bus_content_body(struct bus *bus, struct bus_channel *channel, amqp_bytes_t part)
{
    if (part.len > channel->body_size - channel->body_got) {
        return bus_lose(bus, -EPROTO, "protocol: a body longer than announced");
    }
    if (!channel->body_skipped && part.len > 0) {
        memcpy(channel->body + channel->body_got, part.bytes, part.len);
    }
    channel->body_got += part.len;
    if (channel->body_got == channel->body_size) {
        finish(bus, channel);
    }
    return 0;
}
