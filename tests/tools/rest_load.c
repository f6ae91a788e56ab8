/*
 * mih-test-rest URL [REQUESTS [IN_FLIGHT]]: how fast the REST transport alone is.
 *
 * Sends POSTs of 300 bytes with the headers of a delivery, IN_FLIGHT (64) at once, and prints
 * requests per second, CPU seconds per 1,000 requests, latencies and the peak of memory.
 */
#include <err.h>
#include <event2/event.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>

#include "common/netguard.h"
#include "common/timing.h"
#include "dispatcher/transport.h"

enum { BODY_SIZE = 300, MAX_IN_FLIGHT = 4096 };

struct load {
    struct event_base *base;
    struct transport *transport;
    struct service service;
    struct request request; /* all are the same, so they share one */
    long to_start;
    long open;
    long failed;
    int64_t latency_us;
    int64_t worst_us;
};

static void on_done(void *context, const struct outcome *outcome, const char *body, size_t len);

static void start(struct load *load)
{
    if (load->transport->ops->send(load->transport, &load->request, on_done, load) != 0)
        errx(EX_OSERR, "send: out of memory");
    load->to_start--;
    load->open++;
}

static void on_done(void *context, const struct outcome *outcome, const char *body, size_t len)
{
    struct load *load = context;
    (void)body;
    (void)len;
    if (outcome->kind != OUTCOME_HTTP || outcome->status / 100 != 2) {
        if (load->failed++ == 0)
            warnx("first failure: status %d %s", outcome->status, outcome->text);
    }
    load->latency_us += outcome->latency_us;
    if (outcome->latency_us > load->worst_us)
        load->worst_us = outcome->latency_us;
    load->open--;
    if (load->to_start > 0)
        start(load);
    else if (load->open == 0)
        event_base_loopbreak(load->base);
}

static void fill(struct load *load, const char *url)
{
    static char headers[][96] = {
        "Content-Type: application/json",
        "Accept: application/json",
        "Authorization: Bearer 0123456789abcdef0123456789abcdef",
        "webhook-id: 01920000-0000-7000-8000-000000000000:12",
        "webhook-timestamp: 1760000000",
        "traceparent: 00-0192000000007000800000000000000a-00f067aa0ba902b7-01",
    };
    char body[BODY_SIZE];
    memset(body, 'x', sizeof body);
    load->service.timeout_ms = 5000;
    load->request.service = &load->service;
    memcpy(load->request.method, "POST", 5);
    buf_init(&load->request.url, REQUEST_MAX_URL);
    buf_init(&load->request.body, REQUEST_MAX_BODY);
    buf_adds(&load->request.url, url);
    buf_add(&load->request.body, body, sizeof body);
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        load->request.headers[load->request.n_headers++] = headers[i];
}

static struct event_base *new_base(void)
{
    struct event_config *config = event_config_new();
    if (config == NULL || event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST) != 0)
        errx(EX_OSERR, "libevent");
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

static double cpu_seconds(const struct rusage *r)
{
    return (double)(r->ru_utime.tv_sec + r->ru_stime.tv_sec) +
           (double)(r->ru_utime.tv_usec + r->ru_stime.tv_usec) / 1e6;
}

static void report(const struct load *load, long requests, int64_t took_us)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("requests_per_s=%.0f cpu_s_per_1000=%.4f mean_us=%.0f worst_us=%lld failed=%ld "
           "peak_mib=%.1f\n",
           (double)requests * 1e6 / (double)took_us,
           cpu_seconds(&usage) * 1000.0 / (double)requests,
           (double)load->latency_us / (double)requests, (long long)load->worst_us, load->failed,
           (double)usage.ru_maxrss / 1024.0);
}

static long number_within(const char *text, long max)
{
    char *end;
    long number = strtol(text, &end, 10);
    if (*end != '\0' || number < 1 || number > max)
        errx(EX_USAGE, "%s: give a number from 1 to %ld", text, max);
    return number;
}

int main(int argc, char **argv)
{
    struct load load = {0};
    char error[128];
    struct netguard *guard = NULL;
    if (netguard_new("127.0.0.0/8, ::1", false, &guard, error, sizeof error) != 0)
        errx(EX_OSERR, "%s", error);
    struct transport_settings settings = {.user_agent = "MoodleIntegrationHub/bench",
                                          .guard = guard,
                                          .max_response_bytes = 65536,
                                          .connect_timeout_ms = 3000};
    if (argc < 2 || argc > 4)
        errx(EX_USAGE, "usage: mih-test-rest URL [REQUESTS [IN_FLIGHT]]");
    long requests = argc > 2 ? number_within(argv[2], 1000000000) : 100000;
    long in_flight = argc > 3 ? number_within(argv[3], MAX_IN_FLIGHT) : 64;
    signal(SIGPIPE, SIG_IGN);
    fill(&load, argv[1]);
    load.base = new_base();
    if (load.base == NULL || rest_transport_new(load.base, &settings, &load.transport) != 0)
        errx(EX_OSERR, "out of memory");
    load.to_start = requests;
    int64_t began_us = timing_mono_us();
    for (long i = 0; i < in_flight && load.to_start > 0; i++)
        start(&load);
    event_base_dispatch(load.base);
    report(&load, requests, timing_mono_us() - began_us);
    load.transport->ops->free(load.transport);
    event_base_free(load.base);
    netguard_free(guard);
    buf_release(&load.request.url);
    buf_release(&load.request.body);
    return load.failed == 0 ? EX_OK : EX_UNAVAILABLE;
}
