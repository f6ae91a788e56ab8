/*
 * Messages that are sent on with the properties that they came with, and what a broker noted in
 * them. The properties were copied as bytes when they came; they are decoded for a moment only.
 */
#include "common/bus_internal.h"

#include <stdlib.h>
#include <string.h>

enum { POOL_PAGE = 4096, OWN_ROOM = 128, OWN_HEADERS = 2 };

static bool is_named(const amqp_table_entry_t *e, const char *name)
{
    return e->key.len == strlen(name) && memcmp(e->key.bytes, name, e->key.len) == 0;
}

/* What renumber() sets itself, and what must not go with it. */
static bool is_left_out(const amqp_table_entry_t *e, const struct bus_field *set)
{
    return is_named(e, BUS_PUBLISH_HEADER) || is_named(e, "CC") || is_named(e, "BCC") ||
           is_named(e, "x-delivery-count") || (set != NULL && is_named(e, set->name));
}

/* Decodes into the pool. The bytes are only read; amqp_bytes_t has no const. */
static amqp_basic_properties_t *decode(amqp_pool_t *pool, const void *bytes, size_t len)
{
    // NOLINTNEXTLINE(performance-no-int-to-ptr): how a const is taken off without a warning
    amqp_bytes_t encoded = {len, (void *)(uintptr_t)bytes};
    void *decoded = NULL;

    if (len == 0 || amqp_decode_properties(AMQP_BASIC_CLASS, pool, encoded, &decoded) < 0) {
        return NULL;
    }
    return decoded;
}

/* The headers anew, with our own; entries has room for OWN_HEADERS more than there were. */
static void renumber(amqp_basic_properties_t *p, amqp_table_entry_t *entries,
                     const struct bus_field *number, const struct bus_field *set)
{
    int n = 0;

    if ((p->_flags & AMQP_BASIC_HEADERS_FLAG) != 0) {
        for (int i = 0; i < p->headers.num_entries; i++) {
            if (!is_left_out(&p->headers.entries[i], set)) {
                entries[n++] = p->headers.entries[i];
            }
        }
    }
    entries[n++] = bus_entry(number);
    if (set != NULL) {
        entries[n++] = bus_entry(set);
    }
    p->headers = (amqp_table_t){n, entries};
    p->_flags |= AMQP_BASIC_HEADERS_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG;
    p->_flags &= ~(amqp_flags_t)AMQP_BASIC_USER_ID_FLAG;
    p->delivery_mode = AMQP_DELIVERY_PERSISTENT;
}

static int send_decoded(struct bus *bus, uint16_t channel, const struct bus_forwarding *f,
                        amqp_basic_properties_t *p, uint64_t *ret_number)
{
    const struct bus_field own = {.name = BUS_PUBLISH_HEADER,
                                  .number = (int64_t)(bus->last_number + 1)};
    size_t n = (p->_flags & AMQP_BASIC_HEADERS_FLAG) != 0 ? (size_t)p->headers.num_entries : 0;
    amqp_table_entry_t *entries = calloc(n + OWN_HEADERS, sizeof(*entries));

    if (entries == NULL) {
        return bus_refuse(bus, "publish: out of memory");
    }
    renumber(p, entries, &own, f->field);
    const struct bus_outgoing o = {f->exchange, f->routing_key, p, f->body, f->body_len};
    int rc = bus_publish_outgoing(bus, channel, &o, ret_number);
    free(entries);
    return rc;
}

int bus_forward(struct bus *bus, uint16_t channel, const struct bus_forwarding *f,
                uint64_t *ret_number)
{
    const size_t most = (size_t)amqp_get_frame_max(bus->connection) - OWN_ROOM;
    int rc = bus_publish_ready(bus, channel);
    amqp_pool_t pool;

    if (rc == 0 && f->properties_len > most) {
        rc = bus_refuse(bus, "publish: its headers fill a whole frame");
    }
    if (rc != 0) {
        return rc;
    }
    init_amqp_pool(&pool, POOL_PAGE);
    amqp_basic_properties_t *p = decode(&pool, f->properties, f->properties_len);
    rc = p != NULL ? send_decoded(bus, channel, f, p, ret_number)
                   : bus_refuse(bus, "publish: its properties cannot be decoded");
    empty_amqp_pool(&pool);
    return rc;
}

static const amqp_field_value_t *find(const amqp_table_t *table, const char *name)
{
    for (int i = 0; i < table->num_entries; i++) {
        if (is_named(&table->entries[i], name)) {
            return &table->entries[i].value;
        }
    }
    return NULL;
}

static void copy_field(char *to, size_t size, const amqp_table_t *table, const char *name)
{
    const amqp_field_value_t *v = find(table, name);
    size_t len = v != NULL && v->kind == AMQP_FIELD_KIND_UTF8 ? v->value.bytes.len : 0;

    len = len < size ? len : size - 1;
    if (len > 0) {
        memcpy(to, v->value.bytes.bytes, len);
    }
    to[len] = '\0';
}

/* RabbitMQ's x-death: an array of tables, the latest death first
 * (https://www.rabbitmq.com/dlx.html). */
static bool read_death(const amqp_basic_properties_t *p, struct bus_death *ret_death)
{
    if ((p->_flags & AMQP_BASIC_HEADERS_FLAG) == 0) {
        return false;
    }
    const amqp_field_value_t *deaths = find(&p->headers, "x-death");
    if (deaths == NULL || deaths->kind != AMQP_FIELD_KIND_ARRAY ||
        deaths->value.array.num_entries == 0 ||
        deaths->value.array.entries[0].kind != AMQP_FIELD_KIND_TABLE) {
        return false;
    }
    const amqp_table_t *latest = &deaths->value.array.entries[0].value.table;
    const amqp_field_value_t *time = find(latest, "time");
    copy_field(ret_death->reason, sizeof(ret_death->reason), latest, "reason");
    copy_field(ret_death->queue, sizeof(ret_death->queue), latest, "queue");
    copy_field(ret_death->exchange, sizeof(ret_death->exchange), latest, "exchange");
    bool timed =
        time != NULL && time->kind == AMQP_FIELD_KIND_TIMESTAMP && time->value.u64 <= INT64_MAX;
    ret_death->time_s = timed ? (int64_t)time->value.u64 : 0;
    return true;
}

bool bus_last_death(const void *properties, size_t properties_len, struct bus_death *ret_death)
{
    amqp_pool_t pool;

    init_amqp_pool(&pool, POOL_PAGE);
    const amqp_basic_properties_t *p = decode(&pool, properties, properties_len);
    bool found = p != NULL && read_death(p, ret_death);
    empty_amqp_pool(&pool);
    return found;
}
