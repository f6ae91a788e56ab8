/* The bus against a real broker, as far as one program can go without touching the broker. */
#include "common/timing.h"
#include "tests/integration/recorder/recorder.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct bus_publication plain = {
    .exchange = "",
    .routing_key = "it.bus",
    .message_id = "",
    .type = "",
    .app_id = "",
    .content_type = "",
    .body = "x",
    .body_len = 1,
};

static int setup(void **state)
{
    struct recorder *r = calloc(1, sizeof(*r));

    assert_non_null(r);
    recorder_open(r);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    recorder_close(*state);
    free(*state);
    return 0;
}

static void check_properties(struct recorder *r, const struct bus_message *m)
{
    assert_string_equal(m->exchange, "");
    assert_string_equal(m->routing_key, "it.bus");
    assert_string_equal(m->consumer_tag, "reader");
    assert_string_equal(m->message_id, "0191-id");
    assert_string_equal(m->type, "\\core\\event\\user_created");
    assert_string_equal(m->app_id, "site");
    assert_string_equal(m->content_type, "application/json");
    assert_int_equal(m->timestamp, 1732270000);
    assert_int_equal(m->body_len, 10);
    assert_string_equal(m->body, "{\"a\": \"b\"}");
    assert_string_equal(bus_header_text(m->headers, "x-mih-reason"), "no answer");
    assert_string_equal(bus_header_text(m->headers, "x-mih-empty"), "");
    assert_int_equal(bus_header_number(m->headers, "x-mih-attempt", -1), 7);
    assert_true(bus_header_number(m->headers, "x-mih-first", 0) == 5000000000);
    assert_int_equal(bus_header_number(m->headers, "x-mih-reason", -1), -1);
    assert_string_equal(bus_header_text(m->headers, "x-mih-attempt"), "");
    assert_string_equal(bus_header_text(m->headers, "missing"), "");
    size_t len = 1;
    assert_memory_equal(bus_header_bytes(m->headers, "x-mih-rendered", &len), "a\0b\xff", 4);
    assert_int_equal(len, 4);
    assert_string_equal(bus_header_bytes(m->headers, "x-mih-empty", &len), "");
    assert_int_equal(len, 0);
    assert_null(bus_header_bytes(m->headers, "x-mih-attempt", &len));
    assert_null(bus_header_bytes(m->headers, "missing", &len));
    r->sum = 4711;
}

/* A message with everything that check_properties() looks at. */
static uint64_t publish_full(struct recorder *r)
{
    const struct bus_field fields[] = {
        {.name = "x-mih-reason", .text = "no answer"},
        {.name = "x-mih-attempt", .number = 7},
        {.name = "x-mih-first", .number = 5000000000},
        {.name = "x-mih-empty", .text = ""},
        {.name = "x-mih-rendered", .text = "a\0b\xff", .text_len = 4},
    };
    struct bus_publication p = plain;
    uint64_t number;

    p.message_id = "0191-id";
    p.type = "\\core\\event\\user_created";
    p.app_id = "site";
    p.content_type = "application/json";
    p.timestamp = 1732270000;
    p.body = "{\"a\": \"b\"}";
    p.body_len = 10;
    p.fields = fields;
    p.n_fields = sizeof fields / sizeof fields[0];
    assert_int_equal(bus_publish(r->bus, 2, &p, &number), 0);
    return number;
}

static void open_reader(struct recorder *r)
{
    recorder_queue(r, "it.bus", "quorum");
    assert_int_equal(bus_channel_open(r->bus, 1, false), 0);
    assert_int_equal(bus_channel_open(r->bus, 2, true), 0);
    assert_int_equal(bus_consume(r->bus, 1, "it.bus", "reader", false), 0);
}

static void carries_all_properties_and_headers(void **state)
{
    struct recorder *r = *state;

    r->on_message = check_properties;
    open_reader(r);
    uint64_t number = publish_full(r);
    recorder_wait(r, &r->deliveries, 1);
    recorder_wait(r, &r->confirmed, 1);
    assert_int_equal(r->last_confirmed, number);
    assert_int_equal(r->sum, 4711);
    assert_int_equal(r->returned, 0);
}

static const uint64_t range = UINT64_C(1) << 40;

static void forward_once(struct recorder *r, const struct bus_message *m)
{
    const struct bus_field field = {.name = "x-it", .number = 1};
    const struct bus_forwarding f = {
        .exchange = "",
        .routing_key = "it.bus",
        .properties = m->properties,
        .properties_len = m->properties_len,
        .body = m->body,
        .body_len = m->body_len,
        .field = &field,
    };
    struct bus_death death;
    uint64_t number;

    assert_int_equal(bus_header_number(m->headers, "x-it", 0), bus_message_number(m) > range);
    check_properties(r, m);
    assert_false(bus_last_death(m->properties, m->properties_len, &death));
    if (bus_message_number(m) > range)
        return;
    assert_int_equal(bus_message_number(m), 1);
    bus_number_from(r->bus, range);
    assert_int_equal(bus_forward(r->bus, 2, &f, &number), 0);
    assert_true(number == range + 1);
}

static void sends_a_delivery_on_as_it_came_under_a_number_of_its_own(void **state)
{
    struct recorder *r = *state;

    r->on_message = forward_once;
    bus_keep_properties(r->bus);
    open_reader(r);
    assert_int_equal(publish_full(r), 1);
    recorder_wait(r, &r->deliveries, 2);
    recorder_wait(r, &r->confirmed, 2);
    assert_true(r->last_confirmed == range + 1);
}

static void takes_nothing_while_it_holds(void **state)
{
    struct recorder *r = *state;

    open_reader(r);
    publish_full(r);
    recorder_wait(r, &r->confirmed, 1);
    recorder_wait(r, &r->deliveries, 1);
    bus_hold(r->bus, true);
    publish_full(r);
    recorder_idle(r, 300);
    assert_false(bus_pending(r->bus));
    assert_int_equal(r->deliveries, 1);
    bus_hold(r->bus, false);
    recorder_wait(r, &r->deliveries, 2);
}

static void returns_an_unroutable_publication_before_its_confirm(void **state)
{
    struct recorder *r = *state;

    assert_int_equal(bus_channel_open(r->bus, 1, true), 0);
    recorder_queue(r, "it.bus", "classic");
    for (unsigned i = 1; i <= 20; i++) {
        uint64_t routed = recorder_publish(r, 1, "it.bus", "here", 4);
        uint64_t lost = recorder_publish(r, 1, "it.nowhere", "there", 5);
        recorder_wait(r, &r->confirmed, 2 * i);
        assert_true(lost > routed);
        assert_int_equal(r->returned, i);
        assert_int_equal(r->last_returned, lost);
        assert_int_equal(r->last_code, 312);
        assert_string_equal(r->last_text, "NO_ROUTE");
    }
}

static void returns_large_bodies_without_keeping_them(void **state)
{
    struct recorder *r = *state;
    size_t len = 700000;
    char *body = calloc(1, len);

    assert_int_equal(bus_channel_open(r->bus, 1, true), 0);
    uint64_t number = recorder_publish(r, 1, "it.nowhere", body, len);
    recorder_wait(r, &r->confirmed, 1);
    assert_int_equal(r->last_returned, number);
    assert_int_equal(r->deliveries, 0);
    free(body);
}

static void confirms_every_publication_once(void **state)
{
    struct recorder *r = *state;
    const unsigned n = 3000;

    recorder_queue(r, "it.bus", "quorum");
    recorder_queue(r, "it.bus2", "classic");
    assert_int_equal(bus_channel_open(r->bus, 1, true), 0);
    assert_int_equal(bus_channel_open(r->bus, 2, true), 0);
    for (unsigned i = 0; i < n; i++) {
        recorder_publish(r, (uint16_t)(1 + i % 2), i % 3 == 0 ? "it.bus2" : "it.bus", "body", 4);
        if (i % 100 == 0) {
            assert_int_equal(bus_drain(r->bus), 0);
        }
    }
    recorder_wait(r, &r->confirmed, n);
    recorder_idle(r, 50);
    assert_int_equal(r->confirmed, n);
    assert_int_equal(r->nacked, 0);
}

static void a_refusal_leaves_the_channel_usable(void **state)
{
    struct recorder *r = *state;
    const struct bus_field other[] = {{.name = "x-max-length", .number = 5}};
    uint32_t messages;
    uint32_t consumers;

    recorder_queue(r, "it.bus", "classic");
    assert_int_equal(bus_channel_open(r->bus, 1, true), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(bus_queue_depth(r->bus, 1, "it.missing", &messages, &consumers),
                         BUS_REFUSED);
        assert_non_null(strstr(bus_reason(r->bus), "404 NOT_FOUND"));
        assert_non_null(strstr(bus_reason(r->bus), "it.missing"));
        assert_int_equal(bus_declare_queue(r->bus, 1, "it.bus", other, 1), BUS_REFUSED);
        assert_non_null(strstr(bus_reason(r->bus), "406 PRECONDITION_FAILED"));
        assert_int_equal(bus_bind(r->bus, 1, "it.bus", "it.noexchange", "k"), BUS_REFUSED);
        assert_int_equal(bus_queue_depth(r->bus, 1, "it.bus", &messages, &consumers), 0);
        assert_int_equal(messages, (unsigned)i);
        assert_int_equal(consumers, 0);
        recorder_publish(r, 1, "it.bus", "still in confirm mode", 21);
        recorder_wait(r, &r->confirmed, (unsigned)i + 1);
    }
    assert_int_equal(r->closed, 0);
}

static void topology_is_idempotent_and_routes(void **state)
{
    struct recorder *r = *state;
    struct bus_publication p = plain;
    char name[256] = "";
    uint64_t number;

    recorder_queue(r, "it.bus", "quorum");
    assert_int_equal(bus_channel_open(r->bus, 1, false), 0);
    assert_int_equal(bus_channel_open(r->bus, 2, true), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(bus_declare_exchange(r->bus, 1, "it.topic", "topic"), 0);
        assert_int_equal(bus_bind(r->bus, 1, "it.bus", "it.topic", "core.#"), 0);
    }
    assert_int_equal(bus_declare_exchange(r->bus, 1, "it.topic", "fanout"), BUS_REFUSED);
    assert_int_equal(bus_declare_private_queue(r->bus, 1, name, 4), BUS_REFUSED);
    assert_int_equal(bus_declare_private_queue(r->bus, 1, name, sizeof(name)), 0);
    assert_true(strlen(name) > 8);
    assert_int_equal(bus_bind(r->bus, 1, name, "it.topic", "#"), 0);
    assert_int_equal(bus_consume(r->bus, 1, "it.bus", "a", false), 0);
    assert_int_equal(bus_consume(r->bus, 1, name, "b", true), 0);
    p.exchange = "it.topic";
    p.routing_key = "core.user.created";
    assert_int_equal(bus_publish(r->bus, 2, &p, &number), 0);
    recorder_wait(r, &r->deliveries, 2);
    assert_int_equal(bus_channel_open(r->bus, 3, false), 0);
    assert_int_equal(bus_unbind(r->bus, 3, "it.bus", "it.topic", "core.#"), 0);
    assert_int_equal(bus_publish(r->bus, 2, &p, &number), 0);
    recorder_wait(r, &r->deliveries, 3);
    recorder_idle(r, 100);
    assert_int_equal(r->deliveries, 3);
    assert_int_equal(bus_bind(r->bus, 1, "it.bus", "it.topic", "x"), BUS_REFUSED);
    assert_non_null(strstr(bus_reason(r->bus), "has consumers"));
}

static void frames_that_arrive_during_a_call_are_kept(void **state)
{
    struct recorder *r = *state;
    const unsigned n = 500;
    uint32_t messages;
    uint32_t consumers;

    recorder_queue(r, "it.bus", "classic");
    assert_int_equal(bus_channel_open(r->bus, 1, false), 0);
    assert_int_equal(bus_channel_open(r->bus, 2, true), 0);
    assert_int_equal(bus_channel_open(r->bus, 3, false), 0);
    assert_int_equal(bus_consume(r->bus, 1, "it.bus", "reader", false), 0);
    for (unsigned i = 0; i < n; i++) {
        recorder_publish(r, 2, "it.bus", "0123456789", 10);
        if (i % 10 == 0) {
            assert_int_equal(bus_queue_depth(r->bus, 3, "it.bus", &messages, &consumers), 0);
            assert_int_equal(bus_queue_depth(r->bus, 3, "it.none", &messages, &consumers),
                             BUS_REFUSED);
        }
        assert_int_equal(r->deliveries + r->confirmed, 0);
    }
    recorder_wait(r, &r->deliveries, n);
    recorder_wait(r, &r->confirmed, n);
    assert_int_equal(r->bytes, 10 * n);
}

static void skips_bodies_above_the_maximum(void **state)
{
    struct recorder *r = *state;
    const size_t mib = 1024UL * 1024;
    const struct {
        size_t len;
        bool too_large;
    } row[] = {{0, false},      {1, false},      {mib, false},    {mib + 1, true},
               {2 * mib, true}, {131064, false}, {131065, false}, {262128, false},
               {mib, false},    {5, false},      {3 * mib, true}, {600, false}};
    char *body = calloc(1, 3 * mib);

    memset(body, 1, 3 * mib);
    r->keep_body = true;
    recorder_queue(r, "it.bus", "classic");
    assert_int_equal(bus_channel_open(r->bus, 1, false), 0);
    assert_int_equal(bus_channel_open(r->bus, 2, true), 0);
    assert_int_equal(bus_consume(r->bus, 1, "it.bus", "reader", false), 0);
    unsigned too_large = 0;
    unsigned long sum = 0;
    for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        recorder_publish(r, 2, "it.bus", body, row[i].len);
        recorder_wait(r, &r->deliveries, i + 1);
        too_large += row[i].too_large;
        sum += row[i].too_large ? 0 : row[i].len;
        print_message("body of %zu bytes\n", row[i].len);
        assert_int_equal(r->too_large, too_large);
        assert_int_equal(r->last_len, row[i].len);
        assert_int_equal(r->sum, sum);
        assert_true((r->body == NULL) == row[i].too_large);
        assert_true(r->body == NULL || strlen(r->body) == row[i].len);
    }
    free(body);
}

static void puts_messages_of_many_channels_together(void **state)
{
    struct recorder *r = *state;
    const unsigned n_channels = 100;
    const unsigned n_messages = 400;
    const size_t len = 300000;
    char *body = malloc(len);

    memset(body, 3, len);
    r->ack = true;
    recorder_queue(r, "it.bus", "classic");
    assert_int_equal(bus_channel_open(r->bus, 1000, true), 0);
    for (unsigned i = 1; i <= n_channels; i++) {
        char tag[32];
        snprintf(tag, sizeof(tag), "c%u", i);
        assert_int_equal(bus_channel_open(r->bus, (uint16_t)(10 + i), false), 0);
        assert_int_equal(bus_qos(r->bus, (uint16_t)(10 + i), 2), 0);
        assert_int_equal(bus_consume(r->bus, (uint16_t)(10 + i), "it.bus", tag, false), 0);
    }
    for (unsigned i = 0; i < n_messages; i++) {
        recorder_publish(r, 1000, "it.bus", body, i % 2 == 0 ? len : 600);
        assert_int_equal(bus_drain(r->bus), 0);
    }
    recorder_wait(r, &r->deliveries, n_messages);
    recorder_wait(r, &r->confirmed, n_messages);
    assert_int_equal(r->sum, 3UL * (n_messages / 2) * (len + 600));
    free(body);
}

static void a_drain_is_bounded_and_says_so(void **state)
{
    struct recorder *r = *state;
    const unsigned n = 5000;

    recorder_queue(r, "it.bus", "classic");
    assert_int_equal(bus_channel_open(r->bus, 1, false), 0);
    assert_int_equal(bus_channel_open(r->bus, 2, true), 0);
    for (unsigned i = 0; i < n; i++) {
        recorder_publish(r, 2, "it.bus", "", 0);
    }
    recorder_wait(r, &r->confirmed, n);
    assert_int_equal(bus_consume(r->bus, 1, "it.bus", "reader", false), 0);
    poll(NULL, 0, 500); /* so that more has arrived than one call takes */
    unsigned most = 0;
    bool pending = false;
    int64_t end = timing_mono_ms() + 10000;
    while (r->deliveries < n && timing_mono_ms() < end) {
        unsigned before = r->deliveries;
        assert_int_equal(bus_drain(r->bus), 0);
        pending = pending || bus_pending(r->bus);
        most = r->deliveries - before > most ? r->deliveries - before : most;
    }
    assert_int_equal(r->deliveries, n);
    assert_true(most <= 300);
    assert_true(pending);
}

static void a_closed_channel_requeues_and_ignores_stale_acks(void **state)
{
    struct recorder *r = *state;

    recorder_queue(r, "it.bus", "quorum");
    assert_int_equal(bus_channel_open(r->bus, 1, false), 0);
    assert_int_equal(bus_channel_open(r->bus, 2, true), 0);
    for (int i = 0; i < 5; i++) {
        recorder_publish(r, 2, "it.bus", "m", 1);
    }
    assert_int_equal(bus_consume(r->bus, 1, "it.bus", "first", false), 0);
    recorder_wait(r, &r->deliveries, 5);
    uint64_t stale = r->last_tag;
    assert_int_equal(bus_channel_close(r->bus, 1), 0);
    assert_int_equal(bus_ack(r->bus, 1, stale, true), 0);
    recorder_wait(r, &r->closed, 1);
    assert_int_equal(r->last_code, 0);
    assert_int_equal(bus_channel_open(r->bus, 1, false), 0);
    assert_int_equal(bus_consume(r->bus, 1, "it.bus", "second", false), 0);
    recorder_wait(r, &r->deliveries, 10);
    assert_true(r->last_tag > stale);
    assert_int_equal(r->redelivered, 5);
    assert_int_equal(bus_ack(r->bus, 1, stale, true), 0);
    assert_int_equal(bus_reject(r->bus, 1, stale, true), 0);
    recorder_idle(r, 200);
    assert_int_equal(r->deliveries, 10);
    assert_int_equal(r->closed, 1);
    assert_int_equal(bus_reject(r->bus, 1, r->last_tag, true), 0);
    recorder_wait(r, &r->deliveries, 11);
    assert_int_equal(bus_ack(r->bus, 1, r->last_tag, true), 0);
    assert_int_equal(bus_channel_close(r->bus, 1), 0);
    recorder_wait(r, &r->closed, 2);
}

static void a_channel_error_is_told_and_the_channel_can_be_opened_in_the_handler(void **state)
{
    struct recorder *r = *state;

    recorder_queue(r, "it.bus", "classic");
    r->reopen = true;
    assert_int_equal(bus_channel_open(r->bus, 1, false), 0);
    assert_int_equal(bus_channel_open(r->bus, 2, true), 0);
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(bus_consume(r->bus, 1, "it.missing", "reader", false), 0);
        recorder_wait(r, &r->closed, i);
        assert_int_equal(r->last_code, 404);
        assert_int_equal(r->last_channel, 1);
    }
    assert_int_equal(bus_consume(r->bus, 1, "it.bus", "reader", false), 0);
    recorder_publish(r, 2, "it.bus", "m", 1);
    recorder_wait(r, &r->deliveries, 1);
    assert_int_equal(bus_ack(r->bus, 1, r->last_tag, false), 0);
    assert_int_equal(bus_ack(r->bus, 1, r->last_tag, false), 0);
    recorder_wait(r, &r->closed, 4);
    assert_int_equal(r->last_code, 406);
}

static void a_deleted_queue_cancels_its_consumers(void **state)
{
    struct recorder *r = *state;

    recorder_queue(r, "it.bus", "quorum");
    assert_int_equal(bus_channel_open(r->bus, 1, false), 0);
    assert_int_equal(bus_consume(r->bus, 1, "it.bus", "reader", false), 0);
    assert_int_equal(bus_channel_open(r->bus, 2, false), 0);
    recorder_idle(r, 100);
    assert_int_equal(bus_delete_queue(r->bus, 2, "it.bus"), 0);
    recorder_wait(r, &r->cancelled, 1);
    assert_string_equal(r->last_consumer, "reader");
    assert_int_equal(r->last_channel, 1);
    assert_int_equal(bus_declare_queue(r->bus, 1, "it.bus", NULL, 0), 0);
}

static void a_cancelled_consumer_gets_nothing_more(void **state)
{
    struct recorder *r = *state;

    recorder_queue(r, "it.bus", "classic");
    assert_int_equal(bus_channel_open(r->bus, 1, false), 0);
    assert_int_equal(bus_channel_open(r->bus, 2, true), 0);
    assert_int_equal(bus_consume(r->bus, 1, "it.bus", "reader", false), 0);
    recorder_publish(r, 2, "it.bus", "m", 1);
    recorder_wait(r, &r->deliveries, 1);
    assert_int_equal(bus_cancel(r->bus, 1, "reader"), 0);
    recorder_idle(r, 100);
    recorder_publish(r, 2, "it.bus", "m", 1);
    recorder_wait(r, &r->confirmed, 2);
    recorder_idle(r, 100);
    assert_int_equal(r->deliveries, 1);
}

/*
 * A quorum queue knows a consumer by channel and tag, and keeps a cancelled one until its messages
 * are settled.  Under the same tag a new one would count as the old one that had missed something,
 * and would be given again what is still open: with "first" below, 5 repeats.
 */
static void a_new_tag_is_not_given_what_is_open(void **state)
{
    struct recorder *r = *state;

    recorder_queue(r, "it.bus", "quorum");
    assert_int_equal(bus_channel_open(r->bus, 1, false), 0);
    assert_int_equal(bus_channel_open(r->bus, 2, true), 0);
    for (int i = 0; i < 5; i++) {
        recorder_publish(r, 2, "it.bus", "m", 1);
    }
    assert_int_equal(bus_consume(r->bus, 1, "it.bus", "first", false), 0);
    recorder_wait(r, &r->deliveries, 5);
    assert_int_equal(bus_cancel(r->bus, 1, "first"), 0);
    recorder_idle(r, 100);
    assert_int_equal(bus_consume(r->bus, 1, "it.bus", "second", false), 0);
    recorder_publish(r, 2, "it.bus", "m", 1);
    recorder_wait(r, &r->deliveries, 6);
    recorder_idle(r, 200);
    assert_int_equal(r->deliveries, 6);
    assert_int_equal(bus_ack(r->bus, 1, r->last_tag, true), 0);
}

static void refuses_what_cannot_be_sent_before_sending_it(void **state)
{
    struct recorder *r = *state;
    struct bus_publication p = plain;
    char *large = malloc(110001);
    char name[300];
    struct bus_field field = {.name = "x", .text = large};
    uint64_t number = 0;

    memset(large, 'l', 110000);
    large[110000] = '\0';
    memset(name, 'n', sizeof(name));
    name[256] = '\0';
    recorder_queue(r, "it.bus", "classic");
    assert_int_equal(bus_channel_open(r->bus, 1, true), 0);
    assert_int_equal(bus_publish(r->bus, 2, &p, &number), BUS_REFUSED);
    p.message_id = name;
    assert_int_equal(bus_publish(r->bus, 1, &p, &number), BUS_REFUSED);
    p.message_id = "";
    p.fields = &field;
    p.n_fields = 1;
    assert_int_equal(bus_publish(r->bus, 1, &p, &number), BUS_REFUSED);
    assert_int_equal(number, 0);
    large[100 * 1024 - 20] = '\0';
    assert_int_equal(bus_publish(r->bus, 1, &p, &number), 0);
    recorder_wait(r, &r->confirmed, 1);
    assert_int_equal(bus_declare_queue(r->bus, 1, name, NULL, 0), BUS_REFUSED);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(carries_all_properties_and_headers, setup, teardown),
        cmocka_unit_test_setup_teardown(sends_a_delivery_on_as_it_came_under_a_number_of_its_own,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(takes_nothing_while_it_holds, setup, teardown),
        cmocka_unit_test_setup_teardown(returns_an_unroutable_publication_before_its_confirm, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(returns_large_bodies_without_keeping_them, setup, teardown),
        cmocka_unit_test_setup_teardown(confirms_every_publication_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refusal_leaves_the_channel_usable, setup, teardown),
        cmocka_unit_test_setup_teardown(topology_is_idempotent_and_routes, setup, teardown),
        cmocka_unit_test_setup_teardown(frames_that_arrive_during_a_call_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(skips_bodies_above_the_maximum, setup, teardown),
        cmocka_unit_test_setup_teardown(puts_messages_of_many_channels_together, setup, teardown),
        cmocka_unit_test_setup_teardown(a_drain_is_bounded_and_says_so, setup, teardown),
        cmocka_unit_test_setup_teardown(a_closed_channel_requeues_and_ignores_stale_acks, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            a_channel_error_is_told_and_the_channel_can_be_opened_in_the_handler, setup, teardown),
        cmocka_unit_test_setup_teardown(a_deleted_queue_cancels_its_consumers, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cancelled_consumer_gets_nothing_more, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_tag_is_not_given_what_is_open, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_what_cannot_be_sent_before_sending_it, setup,
                                        teardown),
    };

    recorder_url();
    return cmocka_run_group_tests_name("bus and broker", tests, NULL, NULL);
}
