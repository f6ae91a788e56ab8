/* raw: one message with exactly the given body, properties and headers. Also ids and files. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "rabbit.h"

uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void uuid7(uint64_t milliseconds, char ret_text[UUID_SIZE])
{
    unsigned char b[16];
    if (getrandom(b, sizeof b, 0) != (ssize_t)sizeof b)
        abort(); /* cannot happen for 16 bytes once the kernel's pool is ready */
    for (int i = 0; i < 6; i++)
        b[i] = (unsigned char)(milliseconds >> (40 - 8 * i));
    b[6] = (unsigned char)(0x70 | (b[6] & 0x0f));
    b[8] = (unsigned char)(0x80 | (b[8] & 0x3f));
    snprintf(ret_text, UUID_SIZE,
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
             b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
             b[15]);
}

char *read_whole(const char *path, size_t *ret_length)
{
    FILE *stream = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    char *text = NULL;
    size_t length = 0, room = 0;
    bool good = stream != NULL;
    while (good && !feof(stream)) {
        if (room - length < 65536) {
            room = room * 2 + 65536 + 1;
            char *larger = realloc(text, room);
            if (!larger)
                break;
            text = larger;
        }
        length += fread(text + length, 1, room - length - 1, stream);
        good = !ferror(stream);
    }
    good = good && text && feof(stream);
    if (!good) {
        complain("%s: %s", path, strerror(errno));
        free(text);
        text = NULL;
    } else {
        text[length] = '\0';
        *ret_length = length;
    }
    if (stream && stream != stdin)
        fclose(stream);
    return text;
}

static void set_text(amqp_basic_properties_t *properties, amqp_flags_t flag, amqp_bytes_t *field,
                     const char *value)
{
    if (!value)
        return;
    properties->_flags |= flag;
    *field = amqp_cstring_bytes(value);
}

static int fill_properties(const struct options *options, amqp_table_entry_t *entries,
                           amqp_basic_properties_t *p)
{
    memset(p, 0, sizeof *p);
    set_text(p, AMQP_BASIC_MESSAGE_ID_FLAG, &p->message_id, options->id);
    set_text(p, AMQP_BASIC_TYPE_FLAG, &p->type, options->type);
    set_text(p, AMQP_BASIC_APP_ID_FLAG, &p->app_id, options->app_id);
    set_text(p, AMQP_BASIC_CONTENT_TYPE_FLAG, &p->content_type, options->content_type);
    p->_flags |= AMQP_BASIC_DELIVERY_MODE_FLAG;
    p->delivery_mode = 2;
    if (options->timestamp || !options->bare) {
        p->_flags |= AMQP_BASIC_TIMESTAMP_FLAG;
        p->timestamp = options->timestamp ? options->timestamp : now_ms() / 1000;
    }
    if (options->headers.count == 0)
        return 0;
    p->_flags |= AMQP_BASIC_HEADERS_FLAG;
    return table_from_list(&options->headers, entries, &p->headers);
}

/* Reads until the one publication is decided: 1 confirmed, 2 returned and confirmed, -1. */
static int wait_decision(struct link *link)
{
    int decision = 1;
    struct timeval limit = {.tv_sec = 30};
    for (;;) {
        amqp_frame_t frame;
        if (link_status(amqp_simple_wait_frame_noblock(link->connection, &frame, &limit),
                        "confirm"))
            return -1;
        if (frame.frame_type != AMQP_FRAME_METHOD)
            continue; /* header and body of a returned message */
        if (frame.payload.method.id == AMQP_BASIC_RETURN_METHOD)
            decision = 2;
        else if (frame.payload.method.id == AMQP_BASIC_ACK_METHOD)
            return decision;
        else
            return link_refused(&frame.payload.method, "raw");
    }
}

int command_raw(struct link *link, const struct options *given)
{
    struct options options = *given;
    if (!options.exchange || !options.key)
        return complain("raw needs --exchange and --key");
    char id[UUID_SIZE];
    if (!options.bare && !options.id) {
        uuid7(now_ms(), id);
        options.id = id;
    }
    amqp_table_entry_t entries[LIST_MAX];
    amqp_basic_properties_t properties;
    size_t length = 0;
    char *body = read_whole(options.file ? options.file : "-", &length);
    if (!body)
        return -1;
    amqp_bytes_t bytes = {length, body};
    int decision = fill_properties(&options, entries, &properties);
    amqp_confirm_select(link->connection, 1);
    if (decision == 0)
        decision = link_result(link, "confirm.select");
    if (decision == 0)
        decision = link_status(
            amqp_basic_publish(link->connection, 1, amqp_cstring_bytes(options.exchange),
                               amqp_cstring_bytes(options.key), 1, 0, &properties, bytes),
            "publish");
    if (decision == 0)
        decision = wait_decision(link);
    free(body);
    if (decision < 0)
        return -1;
    struct json_object *out = json_object_new_object();
    json_object_object_add(out, "message_id",
                           options.id ? json_object_new_string(options.id) : NULL);
    json_object_object_add(out, "returned", json_object_new_boolean(decision == 2));
    json_say(out);
    return 0;
}
