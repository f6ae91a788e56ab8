#include "tests/integration/recorder/recorder.h"
#include "common/timing.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TOPOLOGY_CHANNEL = 9, WAIT_MS = 10000 };

const char *recorder_url(void)
{
    const char *url = getenv("MIH_TEST_AMQP_URL");

    if (url == NULL || url[0] == '\0') {
        puts("skipped: MIH_TEST_AMQP_URL names no broker");
        exit(77);
    }
    return url;
}

struct bus_options recorder_options(const char *urls)
{
    const char *ca_file = getenv("MIH_TEST_CA_FILE");

    return (struct bus_options){
        .urls = urls,
        .ca_file = ca_file != NULL ? ca_file : "",
        .connection_name = "test of the bus",
        .heartbeat_s = 2,
        .connect_timeout_ms = 3000,
        .rpc_timeout_ms = 5000,
    };
}

static void on_delivery(void *context, const struct bus_message *m)
{
    struct recorder *r = context;

    r->deliveries++;
    r->too_large += m->body_too_large;
    r->redelivered += m->redelivered;
    r->last_tag = m->tag;
    r->last_channel = m->channel;
    r->last_len = m->body_len;
    r->bytes += m->body_len;
    snprintf(r->last_consumer, RECORD_TEXT, "%s", m->consumer_tag);
    snprintf(r->last_key, RECORD_TEXT, "%s", m->routing_key);
    for (size_t i = 0; m->body != NULL && i < m->body_len; i++) {
        r->sum += (unsigned char)m->body[i];
    }
    if (r->on_message != NULL) {
        r->on_message(r, m);
    }
    if (r->keep_body) {
        size_t room; /* the old body is the spare: of unknown size, so no room is promised */
        r->body = bus_take_body(r->bus, r->body, 0, &room);
    }
    if (r->ack) {
        assert_int_equal(bus_ack(r->bus, m->channel, m->tag, false), 0);
    }
}

static void on_confirm(void *context, uint64_t number, bool ack)
{
    struct recorder *r = context;

    r->confirmed += ack;
    r->nacked += !ack;
    r->last_confirmed = number;
}

static void on_return(void *context, uint64_t number, int code, const char *text)
{
    struct recorder *r = context;

    r->returned++;
    r->last_returned = number;
    r->last_code = code;
    snprintf(r->last_text, RECORD_TEXT, "%s", text);
}

static void on_cancelled(void *context, uint16_t channel, const char *consumer_tag)
{
    struct recorder *r = context;

    r->cancelled++;
    r->last_channel = channel;
    snprintf(r->last_consumer, RECORD_TEXT, "%s", consumer_tag);
}

static void on_channel_closed(void *context, uint16_t channel, int code, const char *text)
{
    struct recorder *r = context;

    r->closed++;
    r->last_channel = channel;
    r->last_code = code;
    snprintf(r->last_text, RECORD_TEXT, "%s", text);
    if (r->reopen) {
        assert_int_equal(bus_channel_open(r->bus, channel, false), 0);
    }
}

static void on_blocked(void *context, bool blocked, const char *reason)
{
    struct recorder *r = context;

    r->blocked += blocked;
    r->unblocked += !blocked;
    snprintf(r->last_text, RECORD_TEXT, "%s", reason);
}

struct bus_handlers recorder_handlers(struct recorder *r)
{
    return (struct bus_handlers){
        .context = r,
        .on_delivery = on_delivery,
        .on_confirm = on_confirm,
        .on_return = on_return,
        .on_cancelled = on_cancelled,
        .on_channel_closed = on_channel_closed,
        .on_blocked = on_blocked,
    };
}

void recorder_open(struct recorder *r)
{
    const struct bus_options options = recorder_options(recorder_url());
    const struct bus_handlers handlers = recorder_handlers(r);
    struct bus_error error = {""};

    if (bus_open(&options, 0, &handlers, &r->bus, &error) != 0) {
        fail_msg("%s", error.text);
    }
}

void recorder_close(struct recorder *r)
{
    bus_free(r->bus);
    free(r->body);
}

/* One round of what an event loop does. */
static int turn(struct recorder *r, int ms)
{
    struct pollfd ready = {.fd = bus_fd(r->bus), .events = POLLIN};

    if (!bus_pending(r->bus)) {
        poll(&ready, 1, ms < 200 ? ms : 200);
    }
    return bus_drain(r->bus);
}

void recorder_wait(struct recorder *r, const unsigned *counter, unsigned least)
{
    int64_t end = timing_mono_ms() + WAIT_MS;

    while (*counter < least) {
        if (turn(r, 200) < 0) {
            fail_msg("connection lost: %s", bus_reason(r->bus));
        }
        if (timing_mono_ms() > end) {
            fail_msg("waited for %u, got %u", least, *counter);
        }
    }
}

void recorder_idle(struct recorder *r, int ms)
{
    int64_t end = timing_mono_ms() + ms;

    for (int64_t now = end - ms; now < end; now = timing_mono_ms()) {
        if (turn(r, (int)(end - now)) < 0) {
            fail_msg("connection lost: %s", bus_reason(r->bus));
        }
    }
}

int recorder_wait_lost(struct recorder *r, int ms)
{
    int64_t end = timing_mono_ms() + ms;
    int rc = 0;

    while (rc == 0 && timing_mono_ms() < end) {
        rc = turn(r, 200);
    }
    return rc;
}

void recorder_queue(struct recorder *r, const char *name, const char *kind)
{
    const struct bus_field arguments[] = {{.name = "x-queue-type", .text = kind}};

    assert_int_equal(bus_channel_open(r->bus, TOPOLOGY_CHANNEL, false), 0);
    assert_int_equal(bus_delete_queue(r->bus, TOPOLOGY_CHANNEL, name), 0);
    if (bus_declare_queue(r->bus, TOPOLOGY_CHANNEL, name, arguments, 1) != 0) {
        fail_msg("%s", bus_reason(r->bus));
    }
    unsigned closed = r->closed;
    bool reopen = r->reopen;
    r->reopen = false;
    assert_int_equal(bus_channel_close(r->bus, TOPOLOGY_CHANNEL), 0);
    recorder_wait(r, &r->closed, closed + 1);
    r->closed = closed;
    r->reopen = reopen;
}

uint64_t recorder_publish(struct recorder *r, uint16_t channel, const char *queue, const void *body,
                          size_t len)
{
    const struct bus_publication p = {
        .exchange = "",
        .routing_key = queue,
        .message_id = "",
        .type = "",
        .app_id = "",
        .content_type = "",
        .body = body,
        .body_len = len,
    };
    uint64_t number = 0;

    if (bus_publish(r->bus, channel, &p, &number) != 0) {
        fail_msg("%s", bus_reason(r->bus));
    }
    return number;
}
