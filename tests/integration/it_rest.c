/*
 * The REST transport against a service that misbehaves on purpose (tests/stub/http_stub.py).
 * tests/integration/test_rest.py starts the services and checks what they recorded.
 *
 *   MIH_TEST_HTTP_URL      the stub without TLS
 *   MIH_TEST_CA            the authority of the valid certificates
 *   MIH_TEST_HTTPS_<KIND>  with a certificate: VALID, EXPIRED, SELFSIGNED, WRONGNAME, OLD (TLS 1.1)
 *   MIH_TEST_DEAF_DNS      set when 127.0.0.1:53 is ours and the system's name server
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
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/netguard.h"
#include "common/timing.h"
#include "dispatcher/transport.h"

enum { MAX_BODY = 65536, LATE = 2000 };

static const char LOOPBACK[] = "127.0.0.0/8, ::1";

static const char *const kinds[] = {"HTTP", "DNS",     "CONNECT", "TIMEOUT",  "BROKEN",
                                    "TLS",  "INVALID", "LOCAL",   "CANCELLED"};

/* One request and what came of it. */
struct attempt {
    struct service service;
    struct request request;
    char header[3][256];
    struct outcome outcome;
    char body[2048];
    size_t body_len;
    int answers;
};

struct house {
    struct event_base *base;
    struct transport *transport;
    struct netguard *guard;
    size_t waiting;
};

static struct house house;

static int open_house(void **state)
{
    struct transport_settings settings = {.user_agent = "MoodleIntegrationHub/test",
                                          .max_response_bytes = MAX_BODY,
                                          .connect_timeout_ms = 1000,
                                          .ca_file = getenv("MIH_TEST_CA")};
    struct event_config *config = event_config_new();
    char error[128];
    (void)state;
    if (netguard_new(LOOPBACK, false, &house.guard, error, sizeof error) != 0)
        return -1;
    settings.guard = house.guard;
    event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
    house.base = event_base_new_with_config(config);
    event_config_free(config);
    house.waiting = 0;
    return rest_transport_new(house.base, &settings, &house.transport);
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
    a->outcome = *outcome;
    a->body_len = len;
    a->answers++;
    memcpy(a->body, body, len < sizeof a->body ? len : sizeof a->body - 1);
    house.waiting--;
    if (house.waiting == 0)
        event_base_loopbreak(house.base);
}

static void fill(struct attempt *a, const char *method, const char *base, const char *path,
                 const char *body, const char *id)
{
    memset(a, 0, sizeof *a);
    a->service.timeout_ms = LATE;
    a->request.service = &a->service;
    snprintf(a->request.method, sizeof a->request.method, "%s", method);
    buf_init(&a->request.url, REQUEST_MAX_URL);
    buf_init(&a->request.body, REQUEST_MAX_BODY);
    buf_adds(&a->request.url, base);
    buf_adds(&a->request.url, path);
    buf_adds(&a->request.body, body);
    snprintf(a->header[0], sizeof a->header[0], "webhook-id: %s", id);
    snprintf(a->header[1], sizeof a->header[1], "Content-Type: application/json");
    snprintf(a->header[2], sizeof a->header[2], "Authorization: Bearer not-for-everyone");
    for (size_t i = 0; i < 3; i++)
        a->request.headers[a->request.n_headers++] = a->header[i];
}

static void empty(struct attempt *a)
{
    buf_release(&a->request.url);
    buf_release(&a->request.body);
}

static void start(struct attempt *a)
{
    house.waiting++;
    int rc = house.transport->ops->send(house.transport, &a->request, on_done, a);
    assert_int_equal(rc, 0);
    assert_int_equal(a->answers, 0); /* never inside of send() */
}

static void wait_all(void)
{
    if (house.waiting > 0)
        event_base_dispatch(house.base);
    assert_int_equal(house.transport->ops->open_count(house.transport), 0);
}

static void go(struct attempt *a, const char *method, const char *base, const char *path,
               const char *body, const char *id)
{
    fill(a, method, base, path, body, id);
    start(a);
    wait_all();
    assert_int_equal(a->answers, 1);
    empty(a);
}

static const char *stub_or_skip(const char *variable)
{
    const char *url = getenv(variable);
    if (url == NULL || url[0] == '\0')
        skip();
    return url;
}

static void sends_each_method_with_its_body_and_headers(void **state)
{
    static const char *const methods[] = {"POST", "PUT", "PATCH", "DELETE", "GET", "POST", "GET"};
    const char *url = stub_or_skip("MIH_TEST_HTTP_URL");
    (void)state;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        struct attempt a;
        char id[64], quoted[32];
        bool get = strcmp(methods[i], "GET") == 0;
        snprintf(id, sizeof id, "method-%s", methods[i]);
        snprintf(quoted, sizeof quoted, "\"method\": \"%s\"", methods[i]);
        go(&a, methods[i], url, "/echo?a=1%20b", get ? "" : "{\"n\":1}", id);
        assert_int_equal(a.outcome.kind, OUTCOME_HTTP);
        assert_int_equal(a.outcome.status, 200);
        assert_non_null(strstr(a.body, quoted));
        assert_non_null(strstr(a.body, get ? "\"body\": \"\"" : "\"body\": \"{\\\"n\\\":1}\""));
        assert_non_null(strstr(a.body, "\"path\": \"/echo?a=1%20b\""));
        assert_non_null(strstr(a.body, "\"user-agent\": \"MoodleIntegrationHub/test\""));
        assert_null(strstr(a.body, "expect"));
        assert_null(strstr(a.body, "accept-encoding"));
        assert_true(a.outcome.latency_us > 0);
    }
}

static void refuses_a_method_it_does_not_know(void **state)
{
    struct attempt a;
    (void)state;
    fill(&a, "HEAD", "http://127.0.0.1:9", "/", "", "head");
    assert_int_equal(house.transport->ops->send(house.transport, &a.request, on_done, &a), -22);
    assert_int_equal(house.transport->ops->open_count(house.transport), 0);
    empty(&a);
}

static void sends_an_empty_and_a_large_body(void **state)
{
    const char *url = stub_or_skip("MIH_TEST_HTTP_URL");
    struct attempt a;
    (void)state;
    go(&a, "POST", url, "/status/204", "", "empty-body");
    assert_int_equal(a.outcome.status, 204);
    fill(&a, "PUT", url, "/status/200", "", "large-body");
    for (int i = 0; i < 16 * 1024; i++)
        buf_add(&a.request.body, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                64);
    start(&a);
    wait_all();
    assert_int_equal(a.outcome.status, 200);
    empty(&a);
}

static void borrows_the_events_own_bytes(void **state)
{
    const char *url = stub_or_skip("MIH_TEST_HTTP_URL");
    struct attempt a;
    (void)state;
    fill(&a, "POST", url, "/echo", "", "raw-body");
    a.request.raw_body = "{\"raw\":true}, but this is not sent";
    a.request.raw_body_len = 12;
    start(&a);
    wait_all();
    assert_non_null(strstr(a.body, "\"body\": \"{\\\"raw\\\":true}\""));
    empty(&a);
}

struct trouble_row {
    const char *path;
    enum outcome_kind kind;
    int status;
    const char *words; /* part of the outcome's text */
};

static const struct trouble_row troubles[] = {
    {"/status/200", OUTCOME_HTTP, 200, ""},
    {"/status/404", OUTCOME_HTTP, 404, ""},
    {"/status/500?body=oops", OUTCOME_HTTP, 500, ""},
    {"/close", OUTCOME_HTTP, 200, ""},
    {"/dropidle", OUTCOME_HTTP, 200, ""},
    {"/gzip", OUTCOME_HTTP, 200, ""},
    {"/delay/200", OUTCOME_HTTP, 200, ""},
    {"/redirect?to=http://user:pw@192.0.2.1/next%3Fsecret=1", OUTCOME_HTTP, 302,
     "http://192.0.2.1/next"},
    {"/hang", OUTCOME_TIMEOUT, 0, "timed out"},
    {"/drip?ms=100", OUTCOME_TIMEOUT, 0, "timed out"},
    {"/reset", OUTCOME_BROKEN, 0, "reset"},
    {"/empty", OUTCOME_BROKEN, 0, "Empty reply"},
    {"/partial", OUTCOME_BROKEN, 0, "991 bytes remaining"},
    {"/wronglength", OUTCOME_BROKEN, 0, "1 bytes remaining"},
    {"/chunkcut", OUTCOME_BROKEN, 0, "outstanding read data"},
    {"/huge?bytes=1000000", OUTCOME_BROKEN, 0, "body is too large"},
    {"/huge?bytes=65536", OUTCOME_HTTP, 200, ""},
    {"/endless", OUTCOME_BROKEN, 0, "body is too large"},
    {"/bigheaders?bytes=200000000", OUTCOME_BROKEN, 0, "headers are too large"},
    {"/longheader?bytes=50000000", OUTCOME_BROKEN, 0, "too long"},
    {"/1xx", OUTCOME_BROKEN, 0, "headers are too large"},
    {"/garbage", OUTCOME_BROKEN, 0, "HTTP/0.9"},
    {"/badlength", OUTCOME_BROKEN, 0, "Content-Length"},
};

static void tells_what_went_wrong(void **state)
{
    const char *url = stub_or_skip("MIH_TEST_HTTP_URL");
    size_t failed = 0;
    (void)state;
    for (size_t i = 0; i < sizeof troubles / sizeof *troubles; i++) {
        const struct trouble_row *row = &troubles[i];
        struct attempt a;
        char id[64];
        snprintf(id, sizeof id, "trouble-%zu", i);
        go(&a, "POST", url, row->path, "{}", id);
        bool right = a.outcome.kind == row->kind && strstr(a.outcome.text, row->words) != NULL &&
                     (row->kind != OUTCOME_HTTP || a.outcome.status == row->status);
        if (!right)
            print_error("%s: %s %d \"%s\", expected %s %d \"%s\"\n", row->path,
                        kinds[a.outcome.kind], a.outcome.status, a.outcome.text, kinds[row->kind],
                        row->status, row->words);
        failed += !right;
        assert_null(strstr(a.outcome.text, "pw@"));
        assert_null(strstr(a.outcome.text, "secret"));
    }
    assert_int_equal(failed, 0);
}

static void hands_over_status_body_and_retry_after(void **state)
{
    const char *url = stub_or_skip("MIH_TEST_HTTP_URL");
    struct attempt a;
    (void)state;
    go(&a, "POST", url, "/status/503?retry-after=7&body=busy", "{}", "retry-after");
    assert_int_equal(a.outcome.status, 503);
    assert_int_equal(a.outcome.retry_after_s, 7);
    assert_int_equal(a.body_len, 4);
    assert_memory_equal(a.body, "busy", 4);
    go(&a, "POST", url, "/status/503", "{}", "retry-after-none");
    assert_int_equal(a.outcome.retry_after_s, -1);
}

static void keeps_to_the_time_outs(void **state)
{
    const char *url = stub_or_skip("MIH_TEST_HTTP_URL");
    static const int64_t limits[] = {100, 700};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct attempt a;
        fill(&a, "POST", url, "/hang", "{}", "time-out");
        a.service.timeout_ms = limits[i];
        start(&a);
        wait_all();
        assert_int_equal(a.outcome.kind, OUTCOME_TIMEOUT);
        assert_in_range(a.outcome.latency_us, limits[i] * 1000 - 2000, limits[i] * 1000 + 300000);
        empty(&a);
    }
}

static int closed_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void tells_failures_before_the_request(void **state)
{
    struct attempt a;
    char url[64];
    (void)state;
    snprintf(url, sizeof url, "http://127.0.0.1:%d", closed_port());
    go(&a, "POST", url, "/", "{}", "x");
    assert_int_equal(a.outcome.kind, OUTCOME_CONNECT);
    go(&a, "POST", "http://no-such-host.invalid", "/", "{}", "x");
    assert_int_equal(a.outcome.kind, OUTCOME_DNS);
    static const char *const invalid[] = {"file:///etc/passwd", "ftp://127.0.0.1", "http://a b/",
                                          "gopher://127.0.0.1:70/x", "http://127.0.0.1/a\r\nb"};
    for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++) {
        go(&a, "POST", invalid[i], "", "{}", "x");
        assert_int_equal(a.outcome.kind, OUTCOME_INVALID);
        assert_string_not_equal(a.outcome.text, "");
    }
}

static void ignores_a_proxy_of_the_environment(void **state)
{
    const char *url = stub_or_skip("MIH_TEST_HTTP_URL");
    struct attempt a;
    char proxy[64];
    (void)state;
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%d", closed_port());
    setenv("http_proxy", proxy, 1);
    setenv("ALL_PROXY", proxy, 1);
    go(&a, "POST", url, "/status/200", "{}", "no-proxy");
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
    assert_int_equal(a.outcome.status, 200);
}

static void blames_itself_when_descriptors_run_out(void **state)
{
    const char *url = stub_or_skip("MIH_TEST_HTTP_URL");
    struct rlimit limit, small;
    struct attempt a, b;
    (void)state;
    getrlimit(RLIMIT_NOFILE, &limit);
    int next = dup(0);
    close(next);
    small = limit;
    small.rlim_cur = (rlim_t)next;
    fill(&a, "POST", url, "/status/200", "{}", "no-descriptors");
    fill(&b, "POST", "http://localhost:1", "/", "{}", "no-descriptors");
    setrlimit(RLIMIT_NOFILE, &small);
    start(&a);
    start(&b);
    wait_all();
    setrlimit(RLIMIT_NOFILE, &limit);
    assert_int_equal(a.outcome.kind, OUTCOME_LOCAL);
    assert_int_equal(b.outcome.kind, OUTCOME_LOCAL);
    assert_non_null(strstr(a.outcome.text, "Too many open files"));
    empty(&a);
    empty(&b);
    go(&a, "POST", url, "/status/200", "{}", "descriptors-again");
    assert_int_equal(a.outcome.status, 200);
}

static void cancels_what_is_under_way(void **state)
{
    const char *url = stub_or_skip("MIH_TEST_HTTP_URL");
    struct attempt all[8];
    (void)state;
    for (size_t i = 0; i < 8; i++) {
        fill(&all[i], "POST", url, "/hang", "{}", "cancelled");
        start(&all[i]);
    }
    struct timeval soon = {.tv_usec = 100000};
    event_base_loopexit(house.base, &soon);
    event_base_dispatch(house.base);
    assert_int_equal(house.transport->ops->open_count(house.transport), 8);
    house.transport->ops->cancel_all(house.transport);
    assert_int_equal(house.transport->ops->open_count(house.transport), 0);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(all[i].answers, 1);
        assert_int_equal(all[i].outcome.kind, OUTCOME_CANCELLED);
        empty(&all[i]);
    }
}

static void answers_each_of_many_at_once(void **state)
{
    enum { MANY = 300 };
    static const char *const paths[] = {"/status/200", "/delay/50", "/close", "/dropidle",
                                        "/empty"};
    const char *url = stub_or_skip("MIH_TEST_HTTP_URL");
    struct attempt *all = calloc(MANY, sizeof *all);
    (void)state;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < MANY; i++) {
            fill(&all[i], "POST", url, paths[i % 5], "{}", "many");
            start(&all[i]);
        }
        wait_all();
        for (size_t i = 0; i < MANY; i++) {
            assert_int_equal(all[i].answers, 1);
            assert_int_equal(all[i].outcome.kind, i % 5 == 4 ? OUTCOME_BROKEN : OUTCOME_HTTP);
            empty(&all[i]);
        }
    }
    free(all);
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void does_not_spin_on_a_connection_that_was_closed_while_idle(void **state)
{
    const char *url = stub_or_skip("MIH_TEST_HTTP_URL");
    const struct timeval while_idle = {.tv_usec = 300000};
    struct attempt a;
    (void)state;
    go(&a, "POST", url, "/dropidle", "{}", "drop-idle");
    double before = cpu_seconds();
    event_base_loopexit(house.base, &while_idle);
    event_base_dispatch(house.base);
    assert_true(cpu_seconds() - before < 0.03);
    go(&a, "POST", url, "/status/200", "{}", "after-drop-idle");
    assert_int_equal(a.outcome.status, 200);
}

static void sends_over_tls_when_the_certificate_is_valid(void **state)
{
    const char *url = stub_or_skip("MIH_TEST_HTTPS_VALID");
    struct attempt a;
    (void)state;
    for (int i = 0; i < 3; i++) {
        go(&a, "POST", url, "/echo", "{}", "tls-valid");
        assert_int_equal(a.outcome.kind, OUTCOME_HTTP);
        assert_int_equal(a.outcome.status, 200);
    }
}

static void refuses_certificates_that_are_not_valid(void **state)
{
    static const char *const stubs[] = {"MIH_TEST_HTTPS_EXPIRED", "MIH_TEST_HTTPS_SELFSIGNED",
                                        "MIH_TEST_HTTPS_WRONGNAME", "MIH_TEST_HTTPS_OLD"};
    (void)state;
    for (size_t i = 0; i < sizeof stubs / sizeof *stubs; i++) {
        struct attempt a;
        go(&a, "POST", stub_or_skip(stubs[i]), "/echo", "{}", "tls-refused");
        if (a.outcome.kind != OUTCOME_TLS)
            print_error("%s: %s \"%s\"\n", stubs[i], kinds[a.outcome.kind], a.outcome.text);
        assert_int_equal(a.outcome.kind, OUTCOME_TLS);
    }
}

static void tells_a_cut_handshake_from_a_refusal(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    char url[64];
    struct attempt a;
    (void)state;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(listener, 8), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    snprintf(url, sizeof url, "https://127.0.0.1:%d", ntohs(address.sin_port));
    pid_t cutter = fork();
    if (cutter == 0) {
        char bytes[64];
        int fd = accept(listener, NULL, NULL);
        _exit(read(fd, bytes, sizeof bytes) > 0 ? 0 : 1);
    }
    go(&a, "POST", url, "/", "{}", "x");
    close(listener);
    assert_int_equal(a.outcome.kind, OUTCOME_BROKEN);
}

struct pulse {
    struct event *event;
    int64_t last_us;
    int64_t last_waited_us;
    int64_t longest_us;
};

/* How long this thread was ready to run and had no processor, so far: not the loop's fault. */
static int64_t waited_us(void)
{
    long long ran, waited = 0;
    FILE *file = fopen("/proc/thread-self/schedstat", "r");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%lld %lld", &ran, &waited) != 2) // NOLINT(cert-err34-c): the kernel's own
        waited = 0;
    fclose(file);
    return waited / 1000;
}

static void on_pulse(evutil_socket_t fd, short what, void *context)
{
    struct pulse *pulse = context;
    int64_t now_us = timing_mono_us(), waited = waited_us();
    int64_t pause_us = now_us - pulse->last_us - (waited - pulse->last_waited_us);
    (void)fd;
    (void)what;
    if (pause_us > pulse->longest_us)
        pulse->longest_us = pause_us;
    pulse->last_us = now_us;
    pulse->last_waited_us = waited;
}

static void a_name_server_that_never_answers_stalls_nothing(void **state)
{
    enum { STUCK = 10 };
    const struct timeval period = {.tv_usec = 5000};
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct pulse pulse = {.last_us = timing_mono_us(), .last_waited_us = waited_us()};
    struct attempt all[STUCK];
    (void)state;
    (void)stub_or_skip("MIH_TEST_DEAF_DNS");
    int deaf = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(deaf, (struct sockaddr *)&address, sizeof address), 0);
    pulse.event = event_new(house.base, -1, EV_PERSIST, on_pulse, &pulse);
    event_add(pulse.event, &period);
    for (size_t i = 0; i < STUCK; i++) {
        char url[64];
        snprintf(url, sizeof url, "http://host%zu.example", i);
        fill(&all[i], "POST", url, "/", "{}", "x");
        start(&all[i]);
    }
    wait_all();
    for (size_t i = 0; i < STUCK; i++) {
        assert_int_equal(all[i].outcome.kind, OUTCOME_TIMEOUT);
        assert_non_null(strstr(all[i].outcome.text, "Resolving timed out"));
        assert_in_range(all[i].outcome.latency_us, 990000, 1500000);
        empty(&all[i]);
    }
    print_message("longest pause of the loop: %lld us\n", (long long)pulse.longest_us);
    assert_in_range(pulse.longest_us, 0, 50000);
    event_free(pulse.event);
    close(deaf);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_house, close_house)
    const struct CMUnitTest tests[] = {
        T(sends_each_method_with_its_body_and_headers),
        T(refuses_a_method_it_does_not_know),
        T(sends_an_empty_and_a_large_body),
        T(borrows_the_events_own_bytes),
        T(tells_what_went_wrong),
        T(hands_over_status_body_and_retry_after),
        T(keeps_to_the_time_outs),
        T(tells_failures_before_the_request),
        T(ignores_a_proxy_of_the_environment),
        T(blames_itself_when_descriptors_run_out),
        T(cancels_what_is_under_way),
        T(answers_each_of_many_at_once),
        T(does_not_spin_on_a_connection_that_was_closed_while_idle),
        T(sends_over_tls_when_the_certificate_is_valid),
        T(refuses_certificates_that_are_not_valid),
        T(tells_a_cut_handshake_from_a_refusal),
    };
    const struct CMUnitTest deaf[] = {T(a_name_server_that_never_answers_stalls_nothing)};
    signal(SIGPIPE, SIG_IGN);
    if (getenv("MIH_TEST_DEAF_DNS") != NULL)
        return cmocka_run_group_tests(deaf, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
