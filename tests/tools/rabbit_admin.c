/* count, declare, delete, purge. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rabbit.h"

/* {"ready": n, "consumers": n}, or null when there is no such queue. A missing queue closes the
 * channel, so that the next one is opened: *channel is the one in use. */
static int count_queue(struct link *link, amqp_channel_t *channel, const char *queue,
                       struct json_object *out)
{
    amqp_queue_declare_ok_t *ok = amqp_queue_declare(
        link->connection, *channel, amqp_cstring_bytes(queue), 1, 0, 0, 0, amqp_empty_table);
    int result = link_result(link, queue);
    if (result == 404) {
        json_object_object_add(out, queue, NULL);
        return link_channel(link, ++*channel);
    }
    if (result)
        return -1;
    struct json_object *counts = json_object_new_object();
    json_object_object_add(counts, "ready", json_object_new_int64(ok->message_count));
    json_object_object_add(counts, "consumers", json_object_new_int64(ok->consumer_count));
    json_object_object_add(out, queue, counts);
    return 0;
}

int command_count(struct link *link, const struct options *options)
{
    struct json_object *out = json_object_new_object();
    amqp_channel_t channel = 1;
    for (size_t i = 0; i < options->queues.count; i++) {
        if (count_queue(link, &channel, options->queues.item[i], out)) {
            json_object_put(out);
            return -1;
        }
    }
    json_say(out);
    return 0;
}

static int declare_queue(struct link *link, const struct options *options, const char *queue)
{
    amqp_table_entry_t entries[LIST_MAX];
    amqp_table_t arguments;
    if (table_from_list(&options->arguments, entries, &arguments))
        return -1;
    amqp_queue_declare(link->connection, 1, amqp_cstring_bytes(queue), 0, 1, 0, 0, arguments);
    if (link_result(link, queue))
        return -1;
    for (size_t i = 0; i < options->bindings.count; i++) {
        const char *binding = options->bindings.item[i], *colon = strchr(binding, ':');
        if (!colon)
            return complain("'%s' is not exchange:key", binding);
        amqp_bytes_t exchange = amqp_cstring_bytes(binding);
        exchange.len = (size_t)(colon - binding);
        amqp_queue_bind(link->connection, 1, amqp_cstring_bytes(queue), exchange,
                        amqp_cstring_bytes(colon + 1), amqp_empty_table);
        if (link_result(link, binding) != 0)
            return complain("%s: cannot be bound", binding);
    }
    return 0;
}

int command_declare(struct link *link, const struct options *options)
{
    if (options->exchange) {
        amqp_exchange_declare(
            link->connection, 1, amqp_cstring_bytes(options->exchange),
            amqp_cstring_bytes(options->exchange_type ? options->exchange_type : "topic"), 0, 1, 0,
            0, amqp_empty_table);
        if (link_result(link, options->exchange))
            return -1;
    }
    for (size_t i = 0; i < options->queues.count; i++)
        if (declare_queue(link, options, options->queues.item[i]))
            return -1;
    return 0;
}

int command_delete(struct link *link, const struct options *options)
{
    for (size_t i = 0; i < options->queues.count; i++) {
        amqp_queue_delete(link->connection, 1, amqp_cstring_bytes(options->queues.item[i]), 0, 0);
        if (link_result(link, options->queues.item[i]))
            return -1;
    }
    if (!options->exchange)
        return 0;
    amqp_exchange_delete(link->connection, 1, amqp_cstring_bytes(options->exchange), 0);
    return link_result(link, options->exchange) ? -1 : 0;
}

int command_purge(struct link *link, const struct options *options)
{
    for (size_t i = 0; i < options->queues.count; i++) {
        amqp_queue_purge(link->connection, 1, amqp_cstring_bytes(options->queues.item[i]));
        int result = link_result(link, options->queues.item[i]);
        if (result)
            return result == 404 ? complain("%s: no such queue", options->queues.item[i]) : -1;
    }
    return 0;
}
