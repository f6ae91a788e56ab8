/*
 * publish: the events of a file, again and again with new ids, as Moodle publishes them.
 *
 * Persistent, mandatory, confirmed; at most `window` open at a time. An event that no queue
 * wants comes back (basic.return) before its confirm: it counts as returned, not as lost. Each
 * publication is one line in the log: id, unix milliseconds, event name, outcome.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rabbit.h"

enum { READ_WAIT_S = 60, KEY_SIZE = 256 };

/* One line of the file: what every message made from it has in common. */
struct event {
    const char *body;
    size_t length;
    char *name;         /* as in the body, with the leading backslash */
    char key[KEY_SIZE]; /* routing key */
    uint64_t timestamp;
};

enum state { OPEN, CONFIRMED, REFUSED };

struct sent {
    uint64_t milliseconds;
    uint32_t event;
    uint8_t state;
    bool returned;
    char id[UUID_SIZE];
};

struct publisher {
    struct link *link;
    const struct options *options;
    struct event *event;
    size_t n_events;
    struct sent *sent;
    uint64_t n_sent, n_open;
    uint64_t oldest_open;   /* no publication before it is open */
    uint64_t next_returned; /* where to look for the id of a returned message */
    amqp_table_entry_t entries[LIST_MAX];
    amqp_table_t headers; /* the same on every message */
};

/* \mod_quiz\event\attempt_started is mod_quiz.attempt_started; deeper levels become dots. */
static int routing_key(const char *name, char key[KEY_SIZE])
{
    const char *component = name + (*name == '\\'), *marker = strstr(component, "\\event\\");
    if (!marker || strlen(component) >= KEY_SIZE)
        return complain("'%s' is not the name of an event", name);
    int length = snprintf(key, KEY_SIZE, "%.*s.%s", (int)(marker - component), component,
                          marker + strlen("\\event\\"));
    if (length <= 0 || length >= KEY_SIZE)
        return complain("'%s' is too long", name);
    for (char *p = key; *p; p++)
        if (*p == '\\')
            *p = '.';
    return 0;
}

static int read_event(const char *line, size_t length, struct event *ret_event)
{
    struct json_tokener *tokener = json_tokener_new();
    struct json_object *object = json_tokener_parse_ex(tokener, line, (int)length);
    struct json_object *name, *time_created;
    int result = -1;
    if (!json_object_object_get_ex(object, "eventname", &name)) {
        complain("the file has a line that is not an event");
    } else {
        ret_event->body = line;
        ret_event->length = length;
        ret_event->name = strdup(json_object_get_string(name));
        if (json_object_object_get_ex(object, "timecreated", &time_created))
            ret_event->timestamp = (uint64_t)json_object_get_int64(time_created);
        result = ret_event->name ? routing_key(ret_event->name, ret_event->key) : -1;
    }
    json_object_put(object);
    json_tokener_free(tokener);
    return result;
}

/* Splits the text at its line ends; the events point into it. */
static int read_events(struct publisher *p, char *text)
{
    size_t lines = 1;
    for (const char *c = text; *c; c++)
        lines += *c == '\n';
    p->event = calloc(lines, sizeof *p->event);
    if (!p->event)
        return complain("out of memory");
    for (char *line = text, *end; *line; line = end + 1) {
        end = strchrnul(line, '\n');
        bool last = *end == '\0';
        *end = '\0';
        if (end > line && read_event(line, (size_t)(end - line), &p->event[p->n_events++]))
            return -1;
        if (last)
            break;
    }
    return p->n_events ? 0 : complain("the file has no event");
}

static int settle(struct publisher *p, uint64_t number, bool multiple, enum state state)
{
    if (number == 0 || number > p->n_sent)
        return complain("confirm of publication %llu, which was never sent",
                        (unsigned long long)number);
    for (uint64_t i = multiple ? p->oldest_open : number - 1; i < number; i++) {
        if (p->sent[i].state != OPEN)
            continue;
        p->sent[i].state = (uint8_t)state;
        p->n_open--;
    }
    while (p->oldest_open < p->n_sent && p->sent[p->oldest_open].state != OPEN)
        p->oldest_open++;
    return 0;
}

/* Marks the publication that has the returned message's id. Returns come in order. */
static int take_return(struct publisher *p)
{
    amqp_message_t message;
    amqp_rpc_reply_t reply = amqp_read_message(p->link->connection, 1, &message, 0);
    if (reply.reply_type != AMQP_RESPONSE_NORMAL)
        return complain("reading a returned message failed");
    size_t skip = p->options->prefix ? strlen(p->options->prefix) : 0;
    const amqp_bytes_t id = message.properties.message_id;
    int result = 1;
    for (uint64_t i = p->next_returned; i < p->n_sent && result; i++) {
        if (id.len != skip + UUID_SIZE - 1 ||
            memcmp((const char *)id.bytes + skip, p->sent[i].id, UUID_SIZE - 1) != 0)
            continue;
        p->sent[i].returned = true;
        p->next_returned = i + 1;
        result = 0;
    }
    amqp_destroy_message(&message);
    return result ? complain("a message was returned that was not sent") : 0;
}

static int take_frame(struct publisher *p, const amqp_frame_t *frame)
{
    if (frame->frame_type != AMQP_FRAME_METHOD)
        return 0;
    const amqp_method_t *method = &frame->payload.method;
    const amqp_basic_ack_t *ack = method->decoded;
    const amqp_basic_nack_t *nack = method->decoded;
    switch (method->id) {
    case AMQP_BASIC_ACK_METHOD:
        return settle(p, ack->delivery_tag, ack->multiple, CONFIRMED);
    case AMQP_BASIC_NACK_METHOD:
        return settle(p, nack->delivery_tag, nack->multiple, REFUSED);
    case AMQP_BASIC_RETURN_METHOD:
        return take_return(p);
    default:
        return link_refused(method, "publish");
    }
}

/* Reads what the broker says until at most `open` publications are undecided. */
static int read_until(struct publisher *p, uint64_t open)
{
    while (p->n_open > open) {
        struct timeval limit = {.tv_sec = READ_WAIT_S};
        amqp_frame_t frame;
        amqp_maybe_release_buffers_on_channel(p->link->connection, 1);
        int status = amqp_simple_wait_frame_noblock(p->link->connection, &frame, &limit);
        if (link_status(status, "waiting for confirms") || take_frame(p, &frame))
            return -1;
    }
    return 0;
}

static int send_one(struct publisher *p, uint64_t number)
{
    const struct options *options = p->options;
    const struct event *event = &p->event[number % p->n_events];
    struct sent *sent = &p->sent[number];
    char id[256];
    sent->milliseconds = now_ms();
    sent->event = (uint32_t)(number % p->n_events);
    uuid7(sent->milliseconds, sent->id);
    snprintf(id, sizeof id, "%s%s", options->prefix ? options->prefix : "", sent->id);
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_TIMESTAMP_FLAG | AMQP_BASIC_TYPE_FLAG |
                  AMQP_BASIC_APP_ID_FLAG | AMQP_BASIC_CONTENT_TYPE_FLAG |
                  AMQP_BASIC_DELIVERY_MODE_FLAG,
        .message_id = amqp_cstring_bytes(id),
        .timestamp = event->timestamp,
        .type = amqp_cstring_bytes(event->name),
        .app_id = amqp_cstring_bytes(options->app_id ? options->app_id : "moodle"),
        .content_type = amqp_cstring_bytes("application/json"),
        .delivery_mode = 2,
        .headers = p->headers,
    };
    if (p->headers.num_entries > 0)
        properties._flags |= AMQP_BASIC_HEADERS_FLAG;
    amqp_bytes_t body = amqp_cstring_bytes(event->body);
    body.len = event->length;
    p->n_sent = number + 1;
    p->n_open++;
    return link_status(
        amqp_basic_publish(p->link->connection, 1, amqp_cstring_bytes(options->exchange),
                           amqp_cstring_bytes(options->key ? options->key : event->key), 1, 0,
                           &properties, body),
        "publish");
}

/* Sleeps until publication `number` is due at the wanted rate. */
static void wait_due(const struct timespec *start, uint64_t number, uint64_t rate)
{
    struct timespec due = *start;
    uint64_t nanoseconds = (uint64_t)due.tv_nsec + number % rate * 1000000000 / rate;
    due.tv_sec += (time_t)(number / rate + nanoseconds / 1000000000);
    due.tv_nsec = (long)(nanoseconds % 1000000000);
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
}

static int send_all(struct publisher *p, uint64_t count)
{
    const struct options *options = p->options;
    uint64_t window = options->window ? options->window : 500;
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (uint64_t i = 0; i < count; i++) {
        if (options->rate)
            wait_due(&start, i, options->rate);
        if (p->n_open >= window && read_until(p, window / 2))
            return -1;
        if (send_one(p, i))
            return -1;
    }
    return read_until(p, 0);
}

static int write_log(const struct publisher *p)
{
    static const char *const outcome[] = {"open", "confirmed", "refused"};
    const char *path = p->options->log;
    FILE *stream = path ? fopen(path, "ae") : NULL;
    if (!path)
        return 0;
    if (!stream)
        return complain("%s: cannot be written", path);
    for (uint64_t i = 0; i < p->n_sent; i++) {
        const struct sent *s = &p->sent[i];
        bool returned = s->state == CONFIRMED && s->returned;
        fprintf(stream, "%s%s %llu %s %s\n", p->options->prefix ? p->options->prefix : "", s->id,
                (unsigned long long)s->milliseconds, p->event[s->event].name,
                returned ? "returned" : outcome[s->state]);
    }
    return fclose(stream) == 0 ? 0 : complain("%s: cannot be written", path);
}

static void say_summary(const struct publisher *p, uint64_t milliseconds)
{
    int64_t count[REFUSED + 1] = {0}, returned = 0;
    for (uint64_t i = 0; i < p->n_sent; i++) {
        count[p->sent[i].state]++;
        returned += p->sent[i].state == CONFIRMED && p->sent[i].returned;
    }
    struct json_object *out = json_object_new_object();
    json_object_object_add(out, "published", json_object_new_int64((int64_t)p->n_sent));
    json_object_object_add(out, "confirmed", json_object_new_int64(count[CONFIRMED]));
    json_object_object_add(out, "returned", json_object_new_int64(returned));
    json_object_object_add(out, "refused", json_object_new_int64(count[REFUSED]));
    json_object_object_add(out, "open", json_object_new_int64(count[OPEN]));
    json_object_object_add(out, "milliseconds", json_object_new_int64((int64_t)milliseconds));
    json_say(out);
}

static int publish(struct publisher *p)
{
    uint64_t count = p->options->events ? p->options->events : p->n_events;
    uint64_t start = now_ms();
    if (p->n_events == 0 || count == 0)
        return complain("no events");
    p->sent = calloc(count, sizeof *p->sent);
    if (!p->sent)
        return complain("out of memory");
    amqp_confirm_select(p->link->connection, 1);
    if (link_result(p->link, "confirm.select"))
        return -1;
    int result = send_all(p, count);
    /* Also after a failure: what the broker had confirmed until then must be known. */
    if (write_log(p))
        result = -1;
    say_summary(p, now_ms() - start);
    return result;
}

int command_publish(struct link *link, const struct options *options)
{
    struct publisher p = {.link = link, .options = options};
    size_t length = 0;
    if (!options->exchange || !options->file)
        return complain("publish needs --exchange and --file");
    if (table_from_list(&options->headers, p.entries, &p.headers))
        return -1;
    char *text = read_whole(options->file, &length);
    int result = text && read_events(&p, text) == 0 ? publish(&p) : -1;
    for (size_t i = 0; i < p.n_events; i++)
        free(p.event[i].name);
    free(p.event);
    free(p.sent);
    free(text);
    return result;
}
