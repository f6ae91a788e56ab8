/* The publisher while there is no broker: what is refused, what waits, how it stops. */
#include "common/timing.h"
#include "worker/publisher.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct counts {
    unsigned told;
    bool connected;
    char text[240];
    unsigned lost, other;
    int call_result;
    unsigned calls;
};

static const struct bus_publication small = {
    .exchange = "e",
    .routing_key = "k",
    .message_id = "id",
    .type = "",
    .app_id = "",
    .content_type = "",
    .body = "body",
    .body_len = 4,
};

static void on_state(void *context, bool connected, const char *text)
{
    struct counts *c = context;

    c->told++;
    c->connected = connected;
    snprintf(c->text, sizeof(c->text), "%s", text);
}

static void on_published(void *context, enum publish_result result, const char *reason)
{
    struct counts *c = context;

    c->lost += result == PUBLISH_LOST && reason[0] != '\0';
    c->other += result != PUBLISH_LOST;
}

static int never_called(struct bus *bus, uint16_t channel, void *argument)
{
    (void)bus;
    (void)channel;
    (void)argument;
    abort();
}

static void on_call_done(void *context, int result, const char *reason)
{
    struct counts *c = context;

    (void)reason;
    c->calls++;
    c->call_result = result;
}

static struct publisher *start(struct event_base *base, const char *urls, struct counts *c)
{
    const struct bus_options options = {
        .urls = urls,
        .connection_name = "test",
        .heartbeat_s = 2,
        .connect_timeout_ms = 2000,
        .rpc_timeout_ms = 2000,
    };
    const struct publisher_hooks hooks = {.context = c, .on_state = on_state};
    struct publisher *p = NULL;

    assert_int_equal(publisher_new(base, &options, &hooks, &p), 0);
    return p;
}

static void turn_loop(struct event_base *base, int ms)
{
    const struct timeval delay = {ms / 1000, (ms % 1000) * 1000L};

    event_base_loopexit(base, &delay);
    event_base_dispatch(base);
}

static void tells_once_why_it_cannot_connect(void **state)
{
    struct event_base *base = event_base_new();
    struct counts c = {0};
    struct publisher *p = start(base, "amqp://u:secret@127.0.0.1:1/v", &c);

    (void)state;
    turn_loop(base, 2500);
    assert_int_equal(c.told, 1);
    assert_false(c.connected);
    assert_false(publisher_connected(p));
    assert_string_equal(c.text, "amqp://u@127.0.0.1:1: connect: Connection refused");
    publisher_free(p);
    event_base_free(base);
}

static void the_queue_is_bounded_and_answered_at_the_end(void **state)
{
    struct event_base *base = event_base_new();
    struct counts c = {0};
    struct publisher *p = start(base, "amqp://127.0.0.1:1", &c);
    unsigned n = 0;
    int rc;

    (void)state;
    assert_int_equal(publisher_run(p, never_called, NULL, on_call_done, &c), 0);
    while ((rc = publisher_submit(p, &small, on_published, &c)) == 0) {
        n++;
    }
    assert_int_equal(rc, -ENOBUFS);
    assert_int_equal(n, 9999);
    assert_int_equal(publisher_run(p, never_called, NULL, on_call_done, &c), -ENOBUFS);
    assert_int_equal(publisher_open_count(p), n);
    turn_loop(base, 100);
    assert_int_equal(c.lost + c.other + c.calls, 0);
    publisher_free(p);
    assert_int_equal(c.lost, n);
    assert_int_equal(c.other, 0);
    assert_int_equal(c.calls, 1);
    assert_int_equal(c.call_result, -ECANCELED);
    event_base_free(base);
}

static void the_queue_is_bounded_in_bytes_but_takes_one_of_any_size(void **state)
{
    const size_t mib = 1024UL * 1024;
    struct event_base *base = event_base_new();
    struct counts c = {0};
    struct publisher *p = start(base, "amqp://127.0.0.1:1", &c);
    struct bus_publication large = small;
    char *body = calloc(1, 20 * mib);
    unsigned n = 0;

    (void)state;
    large.body = body;
    large.body_len = 20 * mib;
    assert_int_equal(publisher_submit(p, &large, on_published, &c), 0);
    assert_int_equal(publisher_submit(p, &small, on_published, &c), -ENOBUFS);
    publisher_free(p);
    assert_int_equal(c.lost, 1);
    p = start(base, "amqp://127.0.0.1:1", &c);
    large.body_len = mib;
    while (publisher_submit(p, &large, on_published, &c) == 0) {
        n++;
    }
    assert_int_equal(n, 15);
    publisher_free(p);
    free(body);
    event_base_free(base);
}

static int mute_listener(uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static void stops_in_about_a_second_while_a_mute_broker_holds_the_login(void **state)
{
    struct event_base *base = event_base_new();
    struct counts c = {0};
    char url[64];
    uint16_t port;
    int listener = mute_listener(&port);

    (void)state;
    snprintf(url, sizeof(url), "amqp://127.0.0.1:%u", (unsigned)port);
    struct publisher *p = start(base, url, &c);
    assert_int_equal(publisher_submit(p, &small, on_published, &c), 0);
    turn_loop(base, 100);
    int64_t begin = timing_mono_ms();
    publisher_free(p);
    assert_in_range(timing_mono_ms() - begin, 0, 1500);
    assert_int_equal(c.lost, 1);
    usleep(2500000); /* the thread left behind ends, so that a leak would show */
    close(listener);
    event_base_free(base);
}

static void tells_that_a_mute_broker_did_not_answer(void **state)
{
    struct event_base *base = event_base_new();
    struct counts c = {0};
    char url[64];
    uint16_t port;
    int listener = mute_listener(&port);

    (void)state;
    snprintf(url, sizeof(url), "amqp://127.0.0.1:%u", (unsigned)port);
    struct publisher *p = start(base, url, &c);
    turn_loop(base, 2500);
    assert_int_equal(c.told, 1);
    assert_non_null(strstr(c.text, "login: no answer from the broker"));
    publisher_free(p);
    close(listener);
    usleep(2500000);
    event_base_free(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_once_why_it_cannot_connect),
        cmocka_unit_test(the_queue_is_bounded_and_answered_at_the_end),
        cmocka_unit_test(the_queue_is_bounded_in_bytes_but_takes_one_of_any_size),
        cmocka_unit_test(stops_in_about_a_second_while_a_mute_broker_holds_the_login),
        cmocka_unit_test(tells_that_a_mute_broker_did_not_answer),
    };

    return cmocka_run_group_tests_name("publisher", tests, NULL, NULL);
}
