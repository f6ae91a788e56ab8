#include "worker/letter.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/envelope.h"
#include "dispatcher/history.h"
#include "worker/repeats.h"
#include "worker/replay_mark.h"

enum { ENVELOPE_BYTES_MAX = 16 * 1024 * 1024, REPLAY_FIELDS = 7 };

static const struct bus_field republished = {.name = REPUBLISHED_HEADER, .number = 1};

static int64_t not_negative(int64_t number)
{
    return number > 0 ? number : 0;
}

static void copy(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", from);
}

/* A publisher that keeps the contract sends both; the body has them, too. */
static void read_body(struct letter *l)
{
    const struct envelope_limits limits = {ENVELOPE_BYTES_MAX, ENVELOPE_MAX_DEPTH};
    struct envelope e = {.body = NULL};
    char why[128];

    if (l->body &&
        envelope_parse(&e, &limits, l->sent_id, l->body, l->body_len, why, sizeof why) == 0) {
        copy(l->message_id, sizeof l->message_id, e.message_id);
        copy(l->event_name, sizeof l->event_name, e.eventname);
    }
    envelope_release(&e);
}

/* See letter.h. */
static void read_origin(struct letter *l, const struct names *names)
{
    struct bus_death death;
    char queue[NAME_SIZE];

    l->by_broker = bus_last_death(l->properties, l->properties_len, &death);
    l->trusted = !l->by_broker;
    if (!l->by_broker)
        return;
    names_service_queue(names, l->service_id, queue);
    l->trusted = strcmp(death.queue, queue) == 0 && strcmp(death.exchange, names->redeliver) == 0;
    snprintf(l->reason, sizeof l->reason, "broker: %s", death.reason);
    l->died_s = not_negative(death.time_s);
    l->death_noted = l->died_s > 0;
}

static void read_headers(struct letter *l, const struct bus_headers *headers)
{
    if (!l->trusted)
        return;
    l->rule_id = not_negative(strtoll(bus_header_text(headers, "x-mih-rule"), NULL, 10));
    l->attempts = not_negative(bus_header_number(headers, "x-mih-attempt", 0));
    l->status = not_negative(bus_header_number(headers, "x-mih-status", 0));
    l->first_s = not_negative(bus_header_number(headers, "x-mih-first", 0));
    l->replay_id = not_negative(bus_header_number(headers, "x-mih-replay", 0));
    if (l->by_broker)
        return;
    l->died_s = not_negative(bus_header_number(headers, "x-mih-died", 0));
    l->death_noted = l->died_s > 0;
    copy(l->reason, sizeof l->reason, bus_header_text(headers, "x-mih-reason"));
}

static void read_message(struct letter *l, const struct bus_message *m, const struct names *names)
{
    l->tag = m->tag;
    l->republished = m->redelivered || bus_header_number(m->headers, REPUBLISHED_HEADER, 0) > 0;
    l->timestamp = m->timestamp;
    copy(l->sent_id, sizeof l->sent_id, m->message_id);
    copy(l->sent_type, sizeof l->sent_type, m->type);
    copy(l->message_id, sizeof l->message_id, m->message_id);
    copy(l->event_name, sizeof l->event_name, m->type);
    copy(l->app_id, sizeof l->app_id, m->app_id);
    copy(l->content_type, sizeof l->content_type, m->content_type);
    read_origin(l, names);
    read_headers(l, m->headers);
    if (!*l->message_id || !*l->event_name)
        read_body(l);
    if (l->died_s == 0)
        l->died_s =
            l->first_s > 0 ? l->first_s : (int64_t)(m->timestamp < INT64_MAX ? m->timestamp : 0);
}

uint64_t letter_marker(const struct bus_message *m)
{
    int64_t number = bus_header_number(m->headers, REPLAY_MARK_HEADER, 0);
    struct bus_death death;
    char id[REPLAY_MARK_ID_SIZE];

    if (number <= 0 || m->body_len != strlen(REPLAY_MARK_BODY) ||
        memcmp(m->body, REPLAY_MARK_BODY, m->body_len) != 0)
        return 0;
    replay_mark_id((uint64_t)number, id);
    if (strcmp(m->message_id, id) != 0 || bus_last_death(m->properties, m->properties_len, &death))
        return 0;
    return (uint64_t)number;
}

int letter_publish_marker(struct bus *bus, uint16_t channel, const char *exchange, const char *key,
                          uint64_t number, uint64_t *ret_number)
{
    const struct bus_field field = {.name = REPLAY_MARK_HEADER, .number = (int64_t)number};
    char id[REPLAY_MARK_ID_SIZE];
    const struct bus_publication marker = {
        .exchange = exchange,
        .routing_key = key,
        .message_id = id,
        .type = "",
        .app_id = "",
        .content_type = "application/json",
        .body = REPLAY_MARK_BODY,
        .body_len = strlen(REPLAY_MARK_BODY),
        .fields = &field,
        .n_fields = 1,
    };

    replay_mark_id(number, id);
    return bus_publish(bus, channel, &marker, ret_number);
}

struct letter *letter_new(struct bus *bus, const struct bus_message *m, const struct names *names,
                          int64_t service_id)
{
    struct letter *l = calloc(1, sizeof *l);
    size_t room;

    if (!l)
        return NULL;
    l->service_id = service_id;
    l->properties = malloc(m->properties_len + 1);
    l->body = m->body_too_large ? NULL : bus_take_body(bus, NULL, 0, &room);
    if (!l->properties || (!l->body && !m->body_too_large)) {
        letter_free(l);
        return NULL;
    }
    if (m->properties_len > 0)
        memcpy(l->properties, m->properties, m->properties_len);
    l->properties_len = m->properties_len;
    l->body_len = m->body_len;
    l->bytes = sizeof *l + l->properties_len + (l->body ? l->body_len : 0);
    read_message(l, m, names);
    return l;
}

void letter_free(struct letter *l)
{
    if (!l)
        return;
    free(l->body);
    free(l->properties);
    free(l->rendered);
    free(l->history);
    free(l);
}

int letter_keep_content(struct letter *l, const struct bus_message *m)
{
    size_t history_len;
    const char *history = bus_header_bytes(m->headers, "x-mih-history", &history_len);
    const char *rendered = bus_header_bytes(m->headers, "x-mih-rendered", &l->rendered_len);

    if (!l->trusted)
        history = NULL;
    if (l->by_broker)
        rendered = NULL;
    l->history = calloc(1, HISTORY_SIZE);
    if (!l->history)
        return -ENOMEM;
    history_copy(l->history, history ? history : "", history ? history_len : 0);
    l->bytes += HISTORY_SIZE;
    if (!rendered)
        return 0;
    l->rendered = malloc(l->rendered_len + 1);
    if (!l->rendered)
        return -ENOMEM;
    memcpy(l->rendered, rendered, l->rendered_len);
    l->rendered[l->rendered_len] = '\0';
    l->bytes += l->rendered_len;
    return 0;
}

struct replay_subject letter_subject(const struct letter *l)
{
    return (struct replay_subject){
        .service_id = l->service_id,
        .rule_id = l->rule_id,
        .died_s = l->died_s,
        .message_id = l->message_id,
        .event_name = l->event_name,
        .reason = l->reason,
    };
}

struct dead_row letter_row(const struct letter *l)
{
    return (struct dead_row){
        .service_id = l->service_id,
        .rule_id = l->rule_id,
        .attempts = l->attempts,
        .status = l->status,
        .first_s = l->first_s,
        .died_s = l->died_s,
        .replay_id = l->replay_id,
        .message_id = l->message_id,
        .event_name = l->event_name,
        .reason = l->reason,
        .payload = l->rendered ? l->rendered : l->body,
    };
}

int letter_forward(const struct letter *l, struct bus *bus, uint16_t channel, const char *exchange,
                   const char *key, uint64_t *ret_number)
{
    const struct bus_forwarding f = {
        .exchange = exchange,
        .routing_key = key,
        .properties = l->properties,
        .properties_len = l->properties_len,
        .body = l->body,
        .body_len = l->body_len,
        .field = l->republished ? &republished : NULL,
    };

    return bus_forward(bus, channel, &f, ret_number);
}

/* The history with this death added; HISTORY_SIZE bytes. */
static void history_of(const struct letter *l, char *ret_text)
{
    copy(ret_text, HISTORY_SIZE, l->history ? l->history : "");
    history_add(ret_text, &(struct history_death){
                              .died_s = l->died_s,
                              .attempts = l->attempts,
                              .status = l->status,
                              .reason = l->reason,
                          });
}

int letter_publish(const struct letter *l, struct bus *bus, uint16_t channel,
                   const struct letter_replay *how, uint64_t *ret_number)
{
    struct bus_field fields[REPLAY_FIELDS];
    char rule[24];
    char history[HISTORY_SIZE];
    size_t n = 0;

    snprintf(rule, sizeof rule, "%" PRId64, l->rule_id);
    history_of(l, history);
    if (l->rule_id > 0)
        fields[n++] = (struct bus_field){.name = "x-mih-rule", .text = rule};
    fields[n++] = (struct bus_field){.name = "x-mih-first", .number = l->first_s};
    fields[n++] = (struct bus_field){.name = "x-mih-history", .text = history};
    fields[n++] = (struct bus_field){.name = "x-mih-replay", .number = how->replay_id};
    fields[n++] =
        (struct bus_field){.name = "x-mih-mode", .text = how->as_sent ? "sent" : "render"};
    if (how->as_sent && l->rendered)
        fields[n++] = (struct bus_field){
            .name = "x-mih-rendered", .text = l->rendered, .text_len = l->rendered_len};
    if (l->republished)
        fields[n++] = republished;
    const struct bus_publication p = {
        .exchange = how->exchange,
        .routing_key = how->key,
        .message_id = l->sent_id,
        .type = l->sent_type,
        .app_id = l->app_id,
        .content_type = l->content_type,
        .timestamp = l->timestamp,
        .body = l->body,
        .body_len = l->body_len,
        .fields = fields,
        .n_fields = n,
    };

    return bus_publish(bus, channel, &p, ret_number);
}
