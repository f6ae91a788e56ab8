/*
 * mih-test-soap: calls SOAP services through the worker's own transports.
 *
 *   mih-test-soap [--origins LIST] [--folder DIR] [--age MS] [--together]
 *       Reads one JSON object a line: the columns of a service (base_url, auth_type, ...), with
 *       "operation" and "payload" (any JSON). Prints one object a line: kind, verdict, reason,
 *       status, milliseconds, peak of memory, body. One after the other; --together all at once,
 * answers as they come. mih-test-soap --load CALLS IN_FLIGHT Reads one such line and prints calls
 * per second and CPU seconds per 1,000 calls.
 */
#include <err.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>

#include "common/envelope.h"
#include "common/netguard.h"
#include "common/timing.h"
#include "dispatcher/soap_transport.h"
#include "dispatcher/transport.h"
#include "dispatcher/xmlsafe.h"

static const char event_text[] =
    "{\"eventname\": \"\\\\core\\\\event\\\\user_created\", \"userid\": 7, \"courseid\": 3}";

static const char *const kinds[] = {
    [OUTCOME_HTTP] = "HTTP",
    [OUTCOME_DNS] = "DNS",
    [OUTCOME_CONNECT] = "CONNECT",
    [OUTCOME_TIMEOUT] = "TIMEOUT",
    [OUTCOME_BROKEN] = "BROKEN",
    [OUTCOME_TLS] = "TLS",
    [OUTCOME_INVALID] = "INVALID",
    [OUTCOME_LOCAL] = "LOCAL",
    [OUTCOME_FAULT_SENDER] = "FAULT_SENDER",
    [OUTCOME_FAULT_RECEIVER] = "FAULT_RECEIVER",
    [OUTCOME_CANCELLED] = "CANCELLED",
};
static const char *const verdicts[] = {
    [VERDICT_DELIVERED] = "delivered", [VERDICT_RETRY] = "retry", [VERDICT_REJECT] = "reject"};

struct house {
    struct event_base *base;
    struct transport *http, *soap;
    size_t open;
    long to_start; /* of --load */
    long failed;
    struct call *again;
};

/* One line. */
struct call {
    struct house *house;
    struct json_object *line;
    struct catalog *catalog;
    struct envelope event;
    struct request request;
};

static const char *text_of(struct json_object *o, const char *key)
{
    struct json_object *value = NULL;
    if (!json_object_object_get_ex(o, key, &value) || !value)
        return NULL;
    return json_object_is_type(value, json_type_string) ? json_object_get_string(value)
                                                        : json_object_to_json_string(value);
}

static int64_t number_of(struct json_object *o, const char *key, int64_t otherwise)
{
    struct json_object *value = NULL;
    return json_object_object_get_ex(o, key, &value) ? json_object_get_int64(value) : otherwise;
}

static void print(struct json_object *o)
{
    puts(
        json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    fflush(stdout);
    json_object_put(o);
}

static void add_text(struct json_object *o, const char *key, const char *text, size_t len)
{
    json_object_object_add(o, key, json_object_new_string_len(text, (int)len));
}

static void put_call(struct call *call)
{
    request_release(&call->request);
    envelope_release(&call->event);
    catalog_unref(call->catalog);
    json_object_put(call->line);
    free(call);
}

static void close_one(struct house *house)
{
    if (--house->open == 0)
        event_base_loopbreak(house->base);
}

static void on_done(void *context, const struct outcome *outcome, const char *body, size_t len)
{
    struct call *call = context;
    struct house *house = call->house;
    struct json_object *answer = json_object_new_object();
    struct verdict verdict;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    verdict_of(outcome, &verdict);
    json_object_object_add(answer, "id", json_object_new_int64(number_of(call->line, "id", 0)));
    add_text(answer, "kind", kinds[outcome->kind], strlen(kinds[outcome->kind]));
    add_text(answer, "verdict", verdicts[verdict.kind], strlen(verdicts[verdict.kind]));
    add_text(answer, "reason", verdict.reason, strlen(verdict.reason));
    json_object_object_add(answer, "status", json_object_new_int(outcome->status));
    json_object_object_add(answer, "ms", json_object_new_int64(outcome->latency_us / 1000));
    json_object_object_add(answer, "peak_kib", json_object_new_int64(usage.ru_maxrss));
    add_text(answer, "body", body, len);
    print(answer);
    put_call(call);
    close_one(house);
}

/* A line becomes a catalog with one service and one rule, as the worker would have it. */
static struct catalog *catalog_of(struct json_object *line)
{
    struct service_row service = {
        .id = number_of(line, "service", 3),
        .name = "soap",
        .type = "soap",
        .base_url = text_of(line, "base_url"),
        .auth_type = text_of(line, "auth_type"),
        .auth_token = text_of(line, "auth_token"),
        .auth_user = text_of(line, "auth_user"),
        .auth_header = text_of(line, "auth_header"),
        .headers = text_of(line, "headers"),
        .soap_version = text_of(line, "soap_version"),
        .soap_headers = text_of(line, "soap_headers"),
        .auth_url = text_of(line, "auth_url"),
        .signing_secret = text_of(line, "signing_secret"),
        .signing_secret_old = text_of(line, "signing_secret_old"),
        .timeout_s = number_of(line, "timeout", 5),
        .max_concurrency = 16,
        .enabled = true,
    };
    struct rule_row rule = {
        .id = 7,
        .service_id = service.id,
        .eventname = "\\core\\event\\user_created",
        .endpoint = text_of(line, "operation"),
        .payload_template = text_of(line, "payload"),
        .enabled = true,
    };
    struct catalog *catalog = NULL;
    struct catalog_builder *builder = catalog_builder_new();
    if (!builder || catalog_builder_service(builder, &service) < 0 ||
        catalog_builder_rule(builder, &rule) < 0 || catalog_builder_seal(builder, &catalog) < 0)
        errx(EX_OSERR, "catalog: no memory");
    return catalog;
}

/* Fills in the request; prints a refusal and returns false where there is none. */
static bool build(struct call *call)
{
    static const struct envelope_limits limits = {1 << 20, ENVELOPE_MAX_DEPTH};
    char reason[VERDICT_REASON_SIZE];
    const struct service *service;
    call->catalog = catalog_of(call->line);
    service = catalog_service_at(call->catalog, 0);
    request_init(&call->request);
    if (envelope_parse(&call->event, &limits, "0192f0c1-7b3a-7cde-8f01-23456789abcd", event_text,
                       sizeof event_text - 1, reason, sizeof reason) != 0)
        errx(EX_SOFTWARE, "event: %s", reason);
    if (request_build(&call->request, service, service_rule(service, 7), &call->event,
                      timing_unix_s(), reason, sizeof reason) == 0)
        return true;
    struct json_object *answer = json_object_new_object();
    json_object_object_add(answer, "id", json_object_new_int64(number_of(call->line, "id", 0)));
    add_text(answer, "kind", "BUILD", 5);
    add_text(answer, "verdict", "reject", 6);
    add_text(answer, "reason", reason, strlen(reason));
    print(answer);
    return false;
}

static struct call *read_call(struct house *house)
{
    static char *text;
    static size_t cap;
    if (getline(&text, &cap, stdin) < 0)
        return NULL;
    struct call *call = calloc(1, sizeof *call);
    struct json_object *line = json_tokener_parse(text);
    if (!call || !line)
        errx(EX_DATAERR, "no JSON: %s", text);
    call->house = house;
    call->line = line;
    return call;
}

static void send_call(struct call *call)
{
    struct house *house = call->house;
    house->open++;
    if (!build(call)) {
        put_call(call);
        house->open--;
        return;
    }
    if (house->soap->ops->send(house->soap, &call->request, on_done, call) != 0)
        errx(EX_OSERR, "send: out of memory");
}

static void go(struct house *house, bool together)
{
    struct call *call;
    while ((call = read_call(house)) != NULL) {
        send_call(call);
        if (!together && house->open > 0)
            event_base_dispatch(house->base);
    }
    if (house->open > 0)
        event_base_dispatch(house->base);
}

static void on_loaded(void *context, const struct outcome *outcome, const char *body, size_t len)
{
    struct house *house = context;
    (void)len;
    if (outcome->kind != OUTCOME_HTTP && house->failed++ == 0)
        warnx("first failure: %s %s %.100s", kinds[outcome->kind], outcome->text, body);
    if (house->to_start > 0) {
        house->to_start--;
        house->open++;
        if (house->soap->ops->send(house->soap, &house->again->request, on_loaded, house) != 0)
            errx(EX_OSERR, "send: out of memory");
    }
    close_one(house);
}

static double cpu_seconds(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

/* The first call fetches the WSDL and is not counted. */
static void load(struct house *house, long calls, long in_flight)
{
    house->again = read_call(house);
    if (!house->again || !build(house->again))
        errx(EX_DATAERR, "nothing to send");
    for (int round = 0; round < 2; round++) {
        long now = round == 0 ? 1 : in_flight;
        double cpu = cpu_seconds();
        int64_t began = timing_mono_us();
        house->to_start = round == 0 ? 0 : calls - now;
        for (long i = 0; i < now; i++) {
            house->open++;
            if (house->soap->ops->send(house->soap, &house->again->request, on_loaded, house) != 0)
                errx(EX_OSERR, "send: out of memory");
        }
        event_base_dispatch(house->base);
        if (round == 1)
            printf("{\"calls_per_s\": %.0f, \"cpu_s_per_1000\": %.4f, \"failed\": %ld}\n",
                   (double)calls * 1e6 / (double)(timing_mono_us() - began),
                   (cpu_seconds() - cpu) * 1000 / (double)calls, house->failed);
    }
    put_call(house->again);
}

static void open_house(struct house *house, const struct soap_settings *soap,
                       struct netguard **ret_guard)
{
    char error[200];
    struct event_config *config = event_config_new();
    const char *networks = getenv("MIH_TEST_NETWORKS");
    struct transport_settings settings = {.user_agent = "MoodleIntegrationHub/test",
                                          .max_response_bytes = 65536,
                                          .connect_timeout_ms = 1000,
                                          .ca_file = getenv("MIH_TEST_CA")};
    signal(SIGPIPE, SIG_IGN);
    if (!config || netguard_new(networks ? networks : "127.0.0.0/8, ::1", false, ret_guard, error,
                                sizeof error) != 0)
        errx(EX_OSERR, "no network guard");
    settings.guard = *ret_guard;
    event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
    house->base = event_base_new_with_config(config);
    event_config_free(config);
    if (!house->base || rest_transport_new(house->base, &settings, &house->http) != 0 ||
        soap_transport_new(house->base, house->http, soap, &house->soap) != 0)
        errx(EX_OSERR, "no transport");
}

int main(int argc, char **argv)
{
    struct house house = {0};
    struct netguard *guard = NULL;
    struct soap_settings soap = {.wsdl_folder = "", .allow_origins = "", .max_age_ms = 3600000};
    bool together = false;
    long calls = 0;
    long in_flight = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--together") == 0)
            together = true;
        else if (strcmp(argv[i], "--origins") == 0 && i + 1 < argc)
            soap.allow_origins = argv[++i];
        else if (strcmp(argv[i], "--folder") == 0 && i + 1 < argc)
            soap.wsdl_folder = argv[++i];
        else if (strcmp(argv[i], "--age") == 0 && i + 1 < argc)
            soap.max_age_ms = strtol(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--load") == 0 && i + 2 < argc) {
            calls = strtol(argv[++i], NULL, 10);
            in_flight = strtol(argv[++i], NULL, 10);
        } else
            errx(EX_USAGE, "see the head of tests/tools/soap_call.c");
    }
    open_house(&house, &soap, &guard);
    if (calls > 0)
        load(&house, calls, in_flight);
    else
        go(&house, together);
    if (xmlsafe_refused_loads() > 0)
        errx(EX_SOFTWARE, "libxml2 asked for something external");
    house.http->ops->free(house.http);
    house.soap->ops->free(house.soap);
    event_base_free(house.base);
    netguard_free(guard);
    return 0;
}
