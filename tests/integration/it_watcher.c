/*
 * Sockets that never get connected, through the REST transport. tests/integration/test_rest.py runs
 * it, also under the sanitizers, which see what is lost.
 */
#include <event2/event.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/netguard.h"
#include "dispatcher/transport.h"

struct attempt {
    struct service service;
    struct request request;
    struct outcome outcome;
    bool answered;
};

static struct event_base *base;
static struct transport *transport;

static void on_done(void *context, const struct outcome *outcome, const char *body, size_t len)
{
    struct attempt *a = context;
    (void)body;
    (void)len;
    a->outcome = *outcome;
    a->answered = true;
    event_base_loopbreak(base);
}

static void start(struct attempt *a, int port)
{
    memset(a, 0, sizeof *a);
    a->service.timeout_ms = 7000;
    request_init(&a->request);
    a->request.service = &a->service;
    memcpy(a->request.method, "POST", sizeof "POST");
    buf_addf(&a->request.url, "http://127.0.0.1:%d/", port);
    assert_int_equal(transport->ops->send(transport, &a->request, on_done, a), 0);
}

/* Answers the first request of several connections, in a child, after a while. */
static void serve_late(int listener, int after_ms)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    struct pollfd fds[8] = {{.fd = listener, .events = POLLIN}};
    nfds_t n = 1;
    char bytes[2048];
    (void)poll(NULL, 0, after_ms);
    while (n < 8 && poll(fds, n, 20000) > 0) {
        for (nfds_t i = 1; i < n; i++)
            if (fds[i].revents != 0 && read(fds[i].fd, bytes, sizeof bytes) > 0)
                _exit(write(fds[i].fd, answer, sizeof answer - 1) > 0 ? 0 : 1);
        if (fds[0].revents != 0) {
            fds[n] = (struct pollfd){.fd = accept(listener, NULL, NULL), .events = POLLIN};
            n++;
        }
    }
    _exit(1);
}

/* A socket that listens, if it is to, and its port. */
static int bound(bool listens, struct sockaddr_in *ret_address)
{
    socklen_t len = sizeof *ret_address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    *ret_address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)ret_address, len), 0);
    if (listens)
        assert_int_equal(listen(fd, 0), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)ret_address, &len), 0);
    return fd;
}

/* One that was refused, or cancelled while it was waiting for its connection. */
static void fail_first(bool refused, int full_port)
{
    const struct timeval soon = {.tv_usec = 50000};
    struct sockaddr_in address;
    struct attempt a;
    int closed = bound(false, &address);
    start(&a, refused ? ntohs(address.sin_port) : full_port);
    if (!refused)
        event_base_loopexit(base, &soon);
    event_base_dispatch(base);
    transport->ops->cancel_all(transport);
    close(closed);
    assert_true(a.answered);
    assert_int_equal(a.outcome.kind, refused ? OUTCOME_CONNECT : OUTCOME_CANCELLED);
    request_release(&a.request);
}

/* A listener without room for another connection: the kernel drops what wants one, and the client
 * asks again after a second. Its socket has the number of the one before. */
static void connects_slowly(bool refused)
{
    struct sockaddr_in address;
    struct attempt a;
    int listener = bound(true, &address);
    int filler = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(filler, (struct sockaddr *)&address, sizeof address), 0);
    fail_first(refused, ntohs(address.sin_port));
    start(&a, ntohs(address.sin_port));
    pid_t server = fork();
    if (server == 0)
        serve_late(listener, 300);
    event_base_dispatch(base);
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    close(filler);
    close(listener);
    request_release(&a.request);
    if (a.outcome.status != 200)
        fail_msg("after one that was %s: %s", refused ? "refused" : "cancelled", a.outcome.text);
}

static void a_slow_connection_is_not_taken_for_a_former_one(void **state)
{
    struct transport_settings settings = {
        .user_agent = "x", .max_response_bytes = 1000, .connect_timeout_ms = 8000};
    struct event_config *config = event_config_new();
    struct netguard *guard;
    char error[128];
    (void)state;
    assert_int_equal(netguard_new("127.0.0.0/8", false, &guard, error, sizeof error), 0);
    settings.guard = guard;
    event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
    base = event_base_new_with_config(config);
    event_config_free(config);
    assert_int_equal(rest_transport_new(base, &settings, &transport), 0);
    connects_slowly(true);
    connects_slowly(false);
    transport->ops->free(transport);
    event_base_free(base);
    netguard_free(guard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slow_connection_is_not_taken_for_a_former_one)};
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
