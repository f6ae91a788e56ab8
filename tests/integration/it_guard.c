/*
 * The network guard in the REST transport: with listeners that count who knocks, a name server
 * that changes its mind, and a connection that is kept. tests/integration/test_guard.py starts
 * what it needs.
 *
 *   MIH_TEST_HTTP_URL   the stub on 127.0.0.1
 *   MIH_TEST_GOOD_PORT  where a server listens on GOOD, and a canary on 127.0.0.1 and ::1. Names
 * that begin with "rebind-" have now GOOD, now 127.0.0.1, now ::1 as their address, those that
 * begin with "both-" all three of them
 */
#include <event2/event.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/netguard.h"
#include "dispatcher/transport.h"

enum { MAX_BODY = 65536, TIMEOUT_MS = 5000, REBINDINGS = 1000, AT_ONCE = 25 };

static const char LOOPBACK[] = "127.0.0.0/8, ::1";
static const char GOOD[] = "127.64.0.9"; /* the only address that the guard lets through there */
static const char REFUSED[] = "policy: refused by the network guard: ";

/* One request and what came of it. */
struct attempt {
    struct service service;
    struct request request;
    struct outcome outcome;
};

struct house {
    struct event_base *base;
    struct transport *transport;
    struct netguard *guard;
    size_t waiting;
};

static struct house house;

static void change_guard(const char *networks)
{
    char error[128];
    assert_int_equal(netguard_change(house.guard, networks, false, error, sizeof error), 0);
}

static int open_house(void **state)
{
    char error[128];
    (void)state;
    house.base = event_base_new();
    house.waiting = 0;
    if (netguard_new(LOOPBACK, false, &house.guard, error, sizeof error) != 0)
        return -1;
    return rest_transport_new(house.base,
                              &(struct transport_settings){.user_agent = "test",
                                                           .max_response_bytes = MAX_BODY,
                                                           .connect_timeout_ms = TIMEOUT_MS,
                                                           .guard = house.guard},
                              &house.transport);
}

static int close_house(void **state)
{
    (void)state;
    house.transport->ops->free(house.transport);
    event_base_free(house.base);
    netguard_free(house.guard);
    return 0;
}

static void on_done(void *context, const struct outcome *outcome, const char *body, size_t len)
{
    struct attempt *a = context;
    (void)body;
    (void)len;
    a->outcome = *outcome;
    buf_release(&a->request.url);
    house.waiting--;
    if (house.waiting == 0)
        event_base_loopbreak(house.base);
}

static void start(struct attempt *a, const char *url)
{
    memset(a, 0, sizeof *a);
    a->service.timeout_ms = TIMEOUT_MS;
    a->request.service = &a->service;
    snprintf(a->request.method, sizeof a->request.method, "POST");
    buf_init(&a->request.url, REQUEST_MAX_URL);
    buf_adds(&a->request.url, url);
    a->request.raw_body = "{}";
    a->request.raw_body_len = 2;
    house.waiting++;
    assert_int_equal(house.transport->ops->send(house.transport, &a->request, on_done, a), 0);
}

static struct outcome ask(const char *url)
{
    struct attempt a;
    start(&a, url);
    event_base_dispatch(house.base);
    return a.outcome;
}

static bool is_refused(const struct outcome *o)
{
    return o->kind == OUTCOME_INVALID && strncmp(o->text, REFUSED, sizeof REFUSED - 1) == 0;
}

/* A listener on every address of this machine. */
static int listen_everywhere(int *ret_port)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6};
    socklen_t len = sizeof address;
    int off = 0;
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    assert_int_equal(listen(fd, 64), 0);
    *ret_port = ntohs(address.sin6_port);
    return fd;
}

static void connects_to_nothing_that_the_guard_refuses(void **state)
{
    static const char *const hosts[] = {
        "127.0.0.1", "127.1",     "2130706433", "0x7f000001",      "0177.0.0.1",   "0",
        "[::1]",     "LOCALHOST", "[::]",       "[::ffff:7f00:1]", "[::127.0.0.1]"};
    char url[64];
    int port;
    int canary = listen_everywhere(&port);
    (void)state;
    change_guard("10.0.0.0/8");
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        snprintf(url, sizeof url, "http://%s:%d/", hosts[i], port);
        struct outcome o = ask(url);
        if (!is_refused(&o))
            fail_msg("%s: %d %s", hosts[i], (int)o.kind, o.text);
        assert_int_equal(accept(canary, NULL, NULL), -1);
    }
    int met = socket(AF_INET6, SOCK_STREAM, 0); /* the canary is alive */
    struct sockaddr_in6 there = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    there.sin6_addr = (struct in6_addr)IN6ADDR_LOOPBACK_INIT;
    assert_int_equal(connect(met, (struct sockaddr *)&there, sizeof there), 0);
    int knock = accept(canary, NULL, NULL);
    assert_true(knock >= 0);
    close(knock);
    close(met);
    close(canary);
}

/* A connection that lies in the cache is no way around a guard that has become stricter. */
static void asks_the_guard_about_a_kept_connection(void **state)
{
    char url[128];
    (void)state;
    snprintf(url, sizeof url, "%s/status/200?kept", getenv("MIH_TEST_HTTP_URL"));
    assert_int_equal(ask(url).status, 200);
    change_guard("10.0.0.0/8");
    struct outcome o = ask(url);
    assert_int_equal(o.kind, OUTCOME_INVALID);
    assert_true(is_refused(&o));
    assert_non_null(strstr(o.text, " has the loopback address 127.0.0.1; [security] allow_networks "
                                   "in the worker's configuration can allow it"));
    change_guard(LOOPBACK);
    assert_int_equal(ask(url).status, 200);
}

static void tell_url(char *url, size_t size, const char *name, int number)
{
    snprintf(url, size, "http://%s-%d.test:%s/", name, number, getenv("MIH_TEST_GOOD_PORT"));
}

/* Every name is looked up once, by the transport: there is no moment between check and use. */
static void is_not_moved_by_a_name_that_changes_its_address(void **state)
{
    static struct attempt all[AT_ONCE];
    size_t delivered = 0, refused = 0;
    char url[64];
    (void)state;
    change_guard(GOOD);
    for (int number = 0; number < REBINDINGS; number += AT_ONCE) {
        for (int i = 0; i < AT_ONCE; i++) {
            tell_url(url, sizeof url, "rebind", number + i);
            start(&all[i], url);
        }
        event_base_dispatch(house.base);
        for (int i = 0; i < AT_ONCE; i++) {
            delivered += all[i].outcome.kind == OUTCOME_HTTP && all[i].outcome.status == 200;
            refused += is_refused(&all[i].outcome);
        }
    }
    print_message("rebinding: %zu refused, %zu delivered\n", refused, delivered);
    assert_int_equal(refused + delivered, REBINDINGS);
    assert_true(refused >= REBINDINGS / 4 && delivered >= REBINDINGS / 4);
}

static void takes_the_allowed_one_of_several_addresses(void **state)
{
    char url[64];
    (void)state;
    change_guard(GOOD);
    for (int number = 0; number < 50; number++) {
        tell_url(url, sizeof url, "both", number);
        struct outcome o = ask(url);
        if (o.kind != OUTCOME_HTTP || o.status != 200)
            fail_msg("%s: %d %d %s", url, (int)o.kind, o.status, o.text);
    }
    change_guard("::1"); /* allowed, and nobody there: it is the service that fails */
    snprintf(url, sizeof url, "http://both-99.test:%d/", 1);
    assert_int_equal(ask(url).kind, OUTCOME_CONNECT);
}

#define T(name) cmocka_unit_test_setup_teardown(name, open_house, close_house)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(connects_to_nothing_that_the_guard_refuses),
        T(asks_the_guard_about_a_kept_connection),
        T(is_not_moved_by_a_name_that_changes_its_address),
        T(takes_the_allowed_one_of_several_addresses),
    };
    if (getenv("MIH_TEST_HTTP_URL") == NULL || getenv("MIH_TEST_GOOD_PORT") == NULL) {
        fprintf(stderr, "run it by tests/integration/test_guard.py\n");
        return 64;
    }
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
