/*
 * Publications and their confirms.
 *
 * The frames are sent one by one instead of with amqp_basic_publish(): when the broker was silent
 * for two heartbeats, that function waits for data without any time-out.
 */
#include "common/bus_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FRAME_OVERHEAD = 8, OWN_HEADERS = 2 };

static bool too_long(const char *text)
{
    return strnlen(text, sizeof(bus_short)) > UINT8_MAX;
}

size_t bus_field_len(const struct bus_field *field)
{
    return field->text_len > 0 ? field->text_len : strlen(field->text);
}

static size_t field_size(const struct bus_field *f)
{
    return 1 + strlen(f->name) + 1 + (f->text != NULL ? 4 + bus_field_len(f) : 8);
}

/* librabbitmq would cut the length byte of a long text, not the text: the broker would then
 * close the connection. */
static const char *what_is_wrong(const struct bus_publication *p)
{
    size_t headers = 0;

    if (too_long(p->exchange) || too_long(p->routing_key) || too_long(p->message_id) ||
        too_long(p->type) || too_long(p->app_id) || too_long(p->content_type)) {
        return "a property is longer than 255 bytes";
    }
    for (size_t i = 0; i < p->n_fields; i++) {
        if (too_long(p->fields[i].name)) {
            return "the name of a header is longer than 255 bytes";
        }
        headers += field_size(&p->fields[i]);
        if (headers > BUS_HEADERS_MAX) {
            return "the headers are larger than 100 KiB";
        }
    }
    if (p->second_key != NULL && too_long(p->second_key)) {
        return "a routing key is longer than 255 bytes";
    }
    return p->n_fields + OWN_HEADERS > BUS_FIELDS_MAX ? "there are more than 254 headers" : NULL;
}

amqp_table_entry_t bus_entry(const struct bus_field *f)
{
    amqp_table_entry_t e = {.key = bus_bytes(f->name)};

    if (f->text != NULL) {
        e.value.kind = AMQP_FIELD_KIND_UTF8;
        e.value.value.bytes = bus_bytes(f->text);
        e.value.value.bytes.len = bus_field_len(f);
    } else {
        e.value.kind = AMQP_FIELD_KIND_I64;
        e.value.value.i64 = f->number;
    }
    return e;
}

static void set_property(amqp_basic_properties_t *p, amqp_flags_t flag, amqp_bytes_t *to,
                         const char *text)
{
    if (text[0] != '\0') {
        p->_flags |= flag;
        *to = bus_bytes(text);
    }
}

/* The header that adds a routing key: a list of one. The value is the caller's. */
static amqp_table_entry_t second_key(const char *key, amqp_field_value_t *value)
{
    amqp_table_entry_t e = {.key = amqp_cstring_bytes("CC")};

    value->kind = AMQP_FIELD_KIND_UTF8;
    value->value.bytes = bus_bytes(key);
    e.value.kind = AMQP_FIELD_KIND_ARRAY;
    e.value.value.array = (amqp_array_t){.num_entries = 1, .entries = value};
    return e;
}

static void set_properties(amqp_basic_properties_t *to, const struct bus_publication *p,
                           amqp_table_entry_t *entries, amqp_field_value_t *key, uint64_t number)
{
    size_t n = p->n_fields;
    const struct bus_field own = {.name = BUS_PUBLISH_HEADER, .number = (int64_t)number};

    *to = (amqp_basic_properties_t){
        ._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_HEADERS_FLAG,
        .delivery_mode = AMQP_DELIVERY_PERSISTENT,
    };
    set_property(to, AMQP_BASIC_MESSAGE_ID_FLAG, &to->message_id, p->message_id);
    set_property(to, AMQP_BASIC_TYPE_FLAG, &to->type, p->type);
    set_property(to, AMQP_BASIC_APP_ID_FLAG, &to->app_id, p->app_id);
    set_property(to, AMQP_BASIC_CONTENT_TYPE_FLAG, &to->content_type, p->content_type);
    if (p->timestamp != 0) {
        to->_flags |= AMQP_BASIC_TIMESTAMP_FLAG;
        to->timestamp = p->timestamp;
    }
    for (size_t i = 0; i < p->n_fields; i++) {
        entries[i] = bus_entry(&p->fields[i]);
    }
    entries[n++] = bus_entry(&own);
    if (p->second_key != NULL) {
        entries[n++] = second_key(p->second_key, key);
    }
    to->headers = (amqp_table_t){(int)n, entries};
}

static int send_frame(struct bus *bus, const amqp_frame_t *frame)
{
    int status = amqp_send_frame(bus->connection, frame);

    return status == AMQP_STATUS_OK ? 0 : bus_lose_status(bus, "publish", status);
}

static int send_body(struct bus *bus, uint16_t channel, const struct bus_outgoing *p)
{
    const size_t most = (size_t)amqp_get_frame_max(bus->connection) - FRAME_OVERHEAD;
    size_t sent = 0;
    int rc = 0;

    while (rc == 0 && sent < p->body_len) {
        size_t len = p->body_len - sent < most ? p->body_len - sent : most;
        amqp_frame_t frame = {.frame_type = AMQP_FRAME_BODY, .channel = channel};
        frame.payload.body_fragment.len = len;
        /* amqp_bytes_t has no const; the bytes are only read. */
        // NOLINTNEXTLINE(performance-no-int-to-ptr): how a const is taken off without a warning
        frame.payload.body_fragment.bytes = (void *)((uintptr_t)p->body + sent);
        rc = send_frame(bus, &frame);
        sent += len;
    }
    return rc;
}

static int send_outgoing(struct bus *bus, uint16_t channel, const struct bus_outgoing *o)
{
    amqp_basic_publish_t method = {
        .exchange = bus_bytes(o->exchange),
        .routing_key = bus_bytes(o->routing_key),
        .mandatory = 1,
    };
    amqp_frame_t header = {.frame_type = AMQP_FRAME_HEADER, .channel = channel};

    header.payload.properties.class_id = AMQP_BASIC_CLASS;
    header.payload.properties.body_size = o->body_len;
    header.payload.properties.decoded = o->properties;
    int rc = bus_send_method(bus, channel, AMQP_BASIC_PUBLISH_METHOD, &method);
    if (rc == 0) {
        rc = send_frame(bus, &header);
    }
    if (rc == 0) {
        rc = send_body(bus, channel, o);
    }
    return rc;
}

static uint64_t *window_at(const struct bus_window *w, size_t i)
{
    return &w->number[(w->first + i) & (w->size - 1)];
}

/* Makes room for one more. */
static bool window_grow(struct bus_window *w)
{
    if (w->count < w->size) {
        return true;
    }
    if (w->size >= BUS_UNCONFIRMED_MAX) {
        return false;
    }
    size_t size = w->size == 0 ? 64 : 2 * w->size;
    uint64_t *number = malloc(size * sizeof(*number));
    if (number == NULL) {
        return false;
    }
    for (size_t i = 0; i < w->count; i++) {
        number[i] = *window_at(w, i);
    }
    free(w->number);
    w->number = number;
    w->size = size;
    w->first = 0;
    return true;
}

int bus_publish_ready(struct bus *bus, uint16_t number)
{
    struct bus_channel *channel = bus_channel_opened(bus, number);

    if (bus->lost != 0) {
        return bus->lost;
    }
    if (channel == NULL) {
        return bus_refuse(bus, "publish: the channel is not open");
    }
    if (channel->confirms && !window_grow(&channel->window)) {
        return bus_refuse(bus, "publish: too many publications are unconfirmed");
    }
    return 0;
}

int bus_publish_outgoing(struct bus *bus, uint16_t number, const struct bus_outgoing *o,
                         uint64_t *ret_number)
{
    struct bus_channel *channel = bus_channel_opened(bus, number);
    uint64_t id = ++bus->last_number;
    int rc = send_outgoing(bus, number, o);

    if (rc == 0 && channel->confirms) {
        *window_at(&channel->window, channel->window.count++) = id;
    }
    if (rc == 0) {
        *ret_number = id;
    }
    return rc;
}

int bus_publish(struct bus *bus, uint16_t number, const struct bus_publication *p,
                uint64_t *ret_number)
{
    amqp_table_entry_t entries[BUS_FIELDS_MAX];
    amqp_field_value_t key;
    amqp_basic_properties_t properties;
    const char *wrong = what_is_wrong(p);
    int rc = bus_publish_ready(bus, number);

    if (rc == 0 && wrong != NULL) {
        rc = bus_refuse(bus, "publish: %s", wrong);
    }
    if (rc != 0) {
        return rc;
    }
    set_properties(&properties, p, entries, &key, bus->last_number + 1);
    const struct bus_outgoing o = {p->exchange, p->routing_key, &properties, p->body, p->body_len};
    return bus_publish_outgoing(bus, number, &o, ret_number);
}

/* Decides the i-th place, if it is still open. */
static void decide(struct bus *bus, struct bus_window *w, size_t i, bool ack)
{
    uint64_t number = *window_at(w, i);

    *window_at(w, i) = 0;
    if (number != 0 && bus->handlers.on_confirm != NULL) {
        bus->handlers.on_confirm(bus->handlers.context, number, ack);
    }
}

int bus_confirm(struct bus *bus, struct bus_channel *channel, uint64_t tag, bool multiple, bool ack)
{
    struct bus_window *w = &channel->window;
    uint64_t end = tag + 1 - w->first_tag;

    if (tag == 0 && multiple) {
        end = w->count;
    } else if (tag < w->first_tag) {
        return 0; /* decided already */
    }
    if (end > w->count) {
        return bus_lose(bus, -EPROTO, "protocol: a confirm for nothing");
    }
    for (size_t i = multiple ? 0 : (size_t)end - 1; i < end; i++) {
        decide(bus, w, i, ack);
    }
    while (w->count > 0 && *window_at(w, 0) == 0) {
        w->first = (w->first + 1) & (w->size - 1);
        w->first_tag++;
        w->count--;
    }
    return 0;
}
