/*
 * Fills a service's queue with real Moodle events, as fast as the broker confirms them.
 *
 * Declares the queue with the fleet's arguments (DESIGN.md section 3; the service is what follows
 * the last dot of its name), or with none for --classic, empties it, and publishes the events of
 * one class from a file of JSON lines, again and again, until --messages are in: persistent,
 * each with a message id of its own and the properties that the plugin sets. Ends with 0 only
 * when the broker confirmed every one and counts as many. With --depth it prints the number of
 * messages that wait in the queue instead.
 */
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sysexits.h>
#include <time.h>

enum { CHANNEL = 1, MAX_EVENTS = 256, WINDOW = 2000, UUID_SIZE = 37, DELIVERY_LIMIT = 20 };

struct options {
    const char *url;
    const char *queue;
    const char *events;
    const char *type;
    uint64_t messages;
    bool classic;
    bool depth;
};

struct events {
    amqp_bytes_t bodies[MAX_EVENTS];
    int count;
};

struct confirms {
    uint64_t below;    /* every publication up to this one is confirmed */
    bool done[WINDOW]; /* by number modulo the window, for those above it */
};

static void expect_reply(amqp_rpc_reply_t reply, const char *step)
{
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
        errx(EX_UNAVAILABLE, "%s: %s", step, amqp_error_string2(reply.library_error));
    if (reply.reply_type != AMQP_RESPONSE_NORMAL)
        errx(EX_UNAVAILABLE, "%s: the broker refused", step);
}

static amqp_connection_state_t open_broker(const char *text)
{
    struct amqp_connection_info info;
    char *url = strdup(text);
    if (url == NULL || amqp_parse_url(url, &info) != AMQP_STATUS_OK)
        errx(EX_USAGE, "--url is not an AMQP URL");
    amqp_connection_state_t broker = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(broker);
    if (socket == NULL || amqp_socket_open(socket, info.host, info.port) != AMQP_STATUS_OK)
        errx(EX_UNAVAILABLE, "no broker at %s:%d", info.host, info.port);
    expect_reply(amqp_login(broker, info.vhost, 0, AMQP_DEFAULT_FRAME_SIZE, 0,
                            AMQP_SASL_METHOD_PLAIN, info.user, info.password),
                 "login");
    free(url);
    amqp_channel_open(broker, CHANNEL);
    expect_reply(amqp_get_rpc_reply(broker), "channel.open");
    return broker;
}

static amqp_table_entry_t text_argument(const char *key, const char *text)
{
    amqp_table_entry_t entry = {.key = amqp_cstring_bytes(key)};
    entry.value.kind = AMQP_FIELD_KIND_UTF8;
    entry.value.value.bytes = amqp_cstring_bytes(text);
    return entry;
}

static amqp_table_entry_t number_argument(const char *key, int32_t number)
{
    amqp_table_entry_t entry = {.key = amqp_cstring_bytes(key)};
    entry.value.kind = AMQP_FIELD_KIND_I32;
    entry.value.value.i32 = number;
    return entry;
}

static void declare_queue(amqp_connection_state_t broker, const struct options *options)
{
    const char *dot = strrchr(options->queue, '.');
    const char *service = dot == NULL ? options->queue : dot + 1;
    amqp_table_entry_t entries[] = {
        text_argument("x-queue-type", "quorum"),
        number_argument("x-delivery-limit", DELIVERY_LIMIT),
        text_argument("x-dead-letter-exchange", "mih.dead"),
        text_argument("x-dead-letter-routing-key", service),
        text_argument("x-dead-letter-strategy", "at-least-once"),
        text_argument("x-overflow", "reject-publish"),
    };
    amqp_table_t arguments = {
        .num_entries = options->classic ? 0 : sizeof entries / sizeof *entries, .entries = entries};
    amqp_bytes_t queue = amqp_cstring_bytes(options->queue);
    amqp_queue_declare(broker, CHANNEL, queue, 0, 1, 0, 0, arguments);
    expect_reply(amqp_get_rpc_reply(broker), "queue.declare");
    amqp_queue_purge(broker, CHANNEL, queue);
    expect_reply(amqp_get_rpc_reply(broker), "queue.purge");
}

static uint32_t depth(amqp_connection_state_t broker, const char *queue)
{
    const amqp_queue_declare_ok_t *ok = amqp_queue_declare(
        broker, CHANNEL, amqp_cstring_bytes(queue), 1, 0, 0, 0, amqp_empty_table);
    expect_reply(amqp_get_rpc_reply(broker), "queue.declare");
    return ok->message_count;
}

/* Writes a class name as JSON has it: each backslash twice. */
static void escape_type(const char *type, char *out, size_t size)
{
    size_t used = 0;
    for (; *type != '\0' && used + 3 < size; type++) {
        if (*type == '\\')
            out[used++] = '\\';
        out[used++] = *type;
    }
    out[used] = '\0';
}

/* Keeps the lines that name the wanted event class. */
static void load_events(struct events *events, const struct options *options)
{
    FILE *file = fopen(options->events, "re");
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    char needle[256];
    escape_type(options->type, needle, sizeof needle);
    if (file == NULL)
        err(EX_NOINPUT, "%s", options->events);
    while (events->count < MAX_EVENTS && (length = getline(&line, &size, file)) > 0) {
        if (strstr(line, needle) == NULL)
            continue;
        length -= line[length - 1] == '\n';
        amqp_bytes_t body = {.len = (size_t)length, .bytes = line};
        events->bodies[events->count++] = amqp_bytes_malloc_dup(body);
    }
    free(line);
    fclose(file);
    if (events->count == 0)
        errx(EX_DATAERR, "%s: no event has %s in it", options->events, options->type);
}

/* UUID version 7 (RFC 9562): milliseconds, then a random part that counts up by one. */
static void next_message_id(char out[UUID_SIZE])
{
    static uint64_t counter;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    if (counter == 0 && getrandom(&counter, sizeof counter, 0) != sizeof counter)
        err(EX_OSERR, "getrandom");
    counter++;
    snprintf(out, UUID_SIZE, "%08" PRIx32 "-%04" PRIx16 "-7%03x-%04x-%08" PRIx32 "%04" PRIx16,
             (uint32_t)(ms >> 16), (uint16_t)ms, (unsigned)(counter >> 52) & 0xfff,
             0x8000 | ((unsigned)(counter >> 48) & 0xf), (uint32_t)(counter >> 16),
             (uint16_t)counter);
}

static void publish(amqp_connection_state_t broker, const struct options *options,
                    amqp_bytes_t body)
{
    char id[UUID_SIZE];
    next_message_id(id);
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG |
                  AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_TIMESTAMP_FLAG | AMQP_BASIC_TYPE_FLAG |
                  AMQP_BASIC_APP_ID_FLAG,
        .content_type = amqp_cstring_bytes("application/json"),
        .delivery_mode = AMQP_DELIVERY_PERSISTENT,
        .message_id = amqp_cstring_bytes(id),
        .timestamp = (uint64_t)time(NULL),
        .type = amqp_cstring_bytes(options->type),
        .app_id = amqp_cstring_bytes("bench"),
    };
    int status = amqp_basic_publish(broker, CHANNEL, amqp_empty_bytes,
                                    amqp_cstring_bytes(options->queue), 0, 0, &properties, body);
    if (status != AMQP_STATUS_OK)
        errx(EX_UNAVAILABLE, "publish: %s", amqp_error_string2(status));
}

/* Takes one frame and moves the mark below which everything is confirmed. The broker may
 * confirm out of order, singly or "all up to this one". */
static void take_confirm(amqp_connection_state_t broker, struct confirms *confirms)
{
    amqp_frame_t frame;
    amqp_maybe_release_buffers(broker);
    int status = amqp_simple_wait_frame(broker, &frame);
    if (status != AMQP_STATUS_OK)
        errx(EX_UNAVAILABLE, "confirm: %s", amqp_error_string2(status));
    if (frame.frame_type != AMQP_FRAME_METHOD || frame.payload.method.id != AMQP_BASIC_ACK_METHOD)
        errx(EX_UNAVAILABLE, "the broker did not confirm");
    const amqp_basic_ack_t *ack = frame.payload.method.decoded;
    uint64_t first = ack->multiple ? confirms->below + 1 : ack->delivery_tag;
    for (uint64_t tag = first; tag <= ack->delivery_tag; tag++)
        confirms->done[tag % WINDOW] = true;
    while (confirms->done[(confirms->below + 1) % WINDOW]) {
        confirms->below++;
        confirms->done[confirms->below % WINDOW] = false;
    }
}

static void fill_queue(amqp_connection_state_t broker, const struct options *options)
{
    static struct events events;
    static struct confirms confirms;
    load_events(&events, options);
    amqp_confirm_select(broker, CHANNEL);
    expect_reply(amqp_get_rpc_reply(broker), "confirm.select");
    for (uint64_t sent = 0; sent < options->messages; sent++) {
        publish(broker, options, events.bodies[sent % (uint64_t)events.count]);
        while (sent + 1 - confirms.below >= WINDOW)
            take_confirm(broker, &confirms);
    }
    while (confirms.below < options->messages)
        take_confirm(broker, &confirms);
    uint64_t found = depth(broker, options->queue);
    if (found != options->messages)
        errx(EX_SOFTWARE, "the queue holds %" PRIu64 " of %" PRIu64 " messages", found,
             options->messages);
}

static struct options parse_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"url", required_argument, NULL, 'u'},      {"queue", required_argument, NULL, 'q'},
        {"events", required_argument, NULL, 'e'},   {"type", required_argument, NULL, 't'},
        {"messages", required_argument, NULL, 'm'}, {"classic", no_argument, NULL, 'c'},
        {"depth", no_argument, NULL, 'd'},          {NULL, 0, NULL, 0}};
    struct options options = {0};
    int option;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == 'u')
            options.url = optarg;
        else if (option == 'q')
            options.queue = optarg;
        else if (option == 'e')
            options.events = optarg;
        else if (option == 't')
            options.type = optarg;
        else if (option == 'm')
            options.messages = strtoull(optarg, NULL, 10);
        else if (option == 'c')
            options.classic = true;
        else if (option == 'd')
            options.depth = true;
        else
            exit(EX_USAGE);
    }
    bool fill = options.events != NULL && options.type != NULL && options.messages > 0;
    if (options.url == NULL || options.queue == NULL || fill == options.depth)
        errx(EX_USAGE, "usage: mih-bench-preload --url AMQP-URL --queue NAME (--depth | "
                       "--events FILE --type CLASS --messages N [--classic])");
    return options;
}

int main(int argc, char **argv)
{
    struct options options = parse_options(argc, argv);
    amqp_connection_state_t broker = open_broker(options.url);
    if (options.depth) {
        printf("%" PRIu32 "\n", depth(broker, options.queue));
    } else {
        declare_queue(broker, &options);
        fill_queue(broker, &options);
    }
    amqp_connection_close(broker, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(broker);
    return EX_OK;
}
