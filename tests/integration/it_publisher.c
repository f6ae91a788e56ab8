/* The publisher against a real broker. */
#include "common/timing.h"
#include "tests/integration/recorder/recorder.h"
#include "worker/publisher.h"

#include <errno.h>
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    struct recorder recorder; /* a second connection, to look at the queues */
    struct event_base *base;
    struct publisher *p;
    unsigned results[PUBLISH_LOST + 1];
    char reason[240];
    unsigned connects;
    unsigned calls;
    int call_result;
    char call_reason[240];
};

static const struct bus_publication plain = {
    .exchange = "",
    .routing_key = "it.publisher",
    .message_id = "id",
    .type = "type",
    .app_id = "app",
    .content_type = "text/plain",
    .body = "body",
    .body_len = 4,
};

static void on_state(void *context, bool connected, const char *text)
{
    struct fixture *f = context;

    (void)text;
    f->connects += connected;
}

static void on_published(void *context, enum publish_result result, const char *reason)
{
    struct fixture *f = context;

    f->results[result]++;
    if (reason[0] != '\0') {
        snprintf(f->reason, sizeof(f->reason), "%s", reason);
    }
}

static void on_called(void *context, int result, const char *reason)
{
    struct fixture *f = context;

    f->calls++;
    f->call_result = result;
    snprintf(f->call_reason, sizeof(f->call_reason), "%s", reason);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    const struct bus_options options = recorder_options(recorder_url());
    const struct publisher_hooks hooks = {.context = f, .on_state = on_state};

    assert_non_null(f);
    recorder_open(&f->recorder);
    recorder_queue(&f->recorder, "it.publisher", "quorum");
    f->base = event_base_new();
    assert_int_equal(publisher_new(f->base, &options, &hooks, &f->p), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    publisher_free(f->p);
    event_base_free(f->base);
    recorder_close(&f->recorder);
    free(f);
    return 0;
}

/* Turns the loop until the counter is there, ten seconds at most. */
static void loop_until(struct fixture *f, const unsigned *counter, unsigned least)
{
    const struct timeval moment = {0, 20000};
    int64_t end = timing_mono_ms() + 10000;

    while (*counter < least && timing_mono_ms() < end) {
        event_base_loopexit(f->base, &moment);
        event_base_dispatch(f->base);
    }
    assert_true(*counter >= least);
}

static void submit(struct fixture *f, const struct bus_publication *publication)
{
    const struct timeval moment = {0, 1000};
    int rc;

    while ((rc = publisher_submit(f->p, publication, on_published, f)) == -ENOBUFS) {
        event_base_loopexit(f->base, &moment);
        event_base_dispatch(f->base);
    }
    assert_int_equal(rc, 0);
}

static unsigned depth(struct fixture *f)
{
    uint32_t messages = 0;
    uint32_t consumers;

    assert_int_equal(bus_channel_open(f->recorder.bus, 1, false), 0);
    assert_int_equal(bus_queue_depth(f->recorder.bus, 1, "it.publisher", &messages, &consumers), 0);
    return messages;
}

static void confirms_what_is_routed_and_returns_what_is_not(void **state)
{
    struct fixture *f = *state;
    struct bus_publication nowhere = plain;

    nowhere.routing_key = "it.nowhere";
    for (int i = 0; i < 50; i++) {
        submit(f, &plain);
        submit(f, &nowhere);
    }
    assert_int_equal(publisher_open_count(f->p), 100);
    loop_until(f, &f->results[PUBLISH_CONFIRMED], 50);
    loop_until(f, &f->results[PUBLISH_RETURNED], 50);
    assert_int_equal(publisher_open_count(f->p), 0);
    assert_string_equal(f->reason, "312 NO_ROUTE: exchange '', key 'it.nowhere'");
    assert_int_equal(f->connects, 1);
    assert_true(publisher_connected(f->p));
    assert_false(publisher_blocked(f->p));
    assert_int_equal(depth(f), 50);
}

static void a_missing_exchange_harms_its_own_publications_only(void **state)
{
    struct fixture *f = *state;
    struct bus_publication missing = plain;

    missing.exchange = "it.missing";
    submit(f, &plain);
    loop_until(f, &f->results[PUBLISH_CONFIRMED], 1);
    submit(f, &missing);
    loop_until(f, &f->results[PUBLISH_RETURNED], 1);
    assert_non_null(strstr(f->reason, "404 NOT_FOUND - no exchange 'it.missing'"));
    submit(f, &plain);
    loop_until(f, &f->results[PUBLISH_CONFIRMED], 2);
    assert_int_equal(f->connects, 1);
}

static void answers_what_cannot_be_sent(void **state)
{
    struct fixture *f = *state;
    struct bus_publication wrong = plain;
    char name[300];

    memset(name, 'n', 299);
    name[299] = '\0';
    wrong.message_id = name;
    submit(f, &wrong);
    submit(f, &plain);
    loop_until(f, &f->results[PUBLISH_CONFIRMED], 1);
    assert_int_equal(f->results[PUBLISH_NACKED], 1);
    assert_string_equal(f->reason, "publish: a property is longer than 255 bytes");
}

static int look(struct bus *bus, uint16_t channel, void *argument)
{
    uint32_t *messages = argument;
    uint32_t consumers;

    return bus_queue_depth(bus, channel, "it.publisher", messages, &consumers);
}

static int bind_nothing(struct bus *bus, uint16_t channel, void *argument)
{
    return bus_bind(bus, channel, argument, "amq.topic", "k");
}

static void calls_run_between_publications(void **state)
{
    struct fixture *f = *state;
    char queue[] = "it.missing";
    uint32_t messages = 0;

    for (int i = 0; i < 20; i++) {
        submit(f, &plain);
    }
    loop_until(f, &f->results[PUBLISH_CONFIRMED], 20);
    assert_int_equal(publisher_run(f->p, look, &messages, on_called, f), 0);
    loop_until(f, &f->calls, 1);
    assert_int_equal(f->call_result, 0);
    assert_int_equal(messages, 20);
    assert_int_equal(publisher_run(f->p, bind_nothing, queue, on_called, f), 0);
    submit(f, &plain);
    assert_int_equal(publisher_run(f->p, look, &messages, NULL, NULL), 0);
    loop_until(f, &f->calls, 2);
    assert_int_equal(f->call_result, BUS_REFUSED);
    assert_non_null(strstr(f->call_reason, "404 NOT_FOUND - no queue 'it.missing'"));
    loop_until(f, &f->results[PUBLISH_CONFIRMED], 21);
}

static void answers_each_of_many_once(void **state)
{
    struct fixture *f = *state;
    const unsigned n = 30000;
    char body[600];
    struct bus_publication p = plain;
    const struct bus_field fields[] = {{.name = "x-mih-attempt", .number = 3},
                                       {.name = "x-mih-reason", .text = "busy"}};

    memset(body, 'b', sizeof(body));
    p.body = body;
    p.body_len = sizeof(body);
    p.fields = fields;
    p.n_fields = 2;
    loop_until(f, &f->connects, 1);
    int64_t begin = timing_mono_ms();
    for (unsigned i = 0; i < n; i++) {
        submit(f, &p);
    }
    loop_until(f, &f->results[PUBLISH_CONFIRMED], n);
    print_message("%u publications of 600 bytes confirmed in %lld ms\n", n,
                  (long long)(timing_mono_ms() - begin));
    assert_int_equal(f->results[PUBLISH_CONFIRMED], n);
    assert_int_equal(publisher_open_count(f->p), 0);
    assert_int_equal(depth(f), n);
}

static void passes_bodies_larger_than_its_window(void **state)
{
    struct fixture *f = *state;
    const size_t len = 9UL * 1024 * 1024;
    char *body = calloc(1, len);
    struct bus_publication p = plain;

    p.body = body;
    p.body_len = len;
    for (int i = 0; i < 3; i++) {
        submit(f, &p);
    }
    loop_until(f, &f->results[PUBLISH_CONFIRMED], 3);
    free(body);
}

static void answers_what_is_open_when_it_is_freed(void **state)
{
    struct fixture *f = *state;

    loop_until(f, &f->connects, 1);
    for (int i = 0; i < 5000; i++) {
        submit(f, &plain);
    }
    int64_t begin = timing_mono_ms();
    publisher_free(f->p);
    f->p = NULL;
    assert_in_range(timing_mono_ms() - begin, 0, 1500);
    assert_int_equal(f->results[PUBLISH_CONFIRMED] + f->results[PUBLISH_LOST], 5000);
    assert_true(f->results[PUBLISH_LOST] > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(confirms_what_is_routed_and_returns_what_is_not, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_missing_exchange_harms_its_own_publications_only, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(answers_what_cannot_be_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(calls_run_between_publications, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_each_of_many_once, setup, teardown),
        cmocka_unit_test_setup_teardown(passes_bodies_larger_than_its_window, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_what_is_open_when_it_is_freed, setup, teardown),
    };

    recorder_url();
    return cmocka_run_group_tests_name("publisher and broker", tests, NULL, NULL);
}
