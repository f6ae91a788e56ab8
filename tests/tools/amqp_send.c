/*
 * mih-test-amqp [CA_FILE [ALLOWED_NETWORKS]]: the AMQP transport alone, driven by a test.
 *
 * Each line of standard input is an object: "url" and "endpoint" of a service and its rule,
 * "service" (its number), "count" (messages, 1), "window" (at once, 1), "timeout" (seconds, 2),
 * "body" (an event's payload template), "value" (a key of the event), "headers" and "signing"
 * (columns of the service). Each answer is a line of standard output, with the verdict as the
 * worker would make it; {"done":N} follows the last one. All lines share one transport. "stats"
 * tells threads, descriptors and what is open.
 */
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/netguard.h"
#include "common/timing.h"
#include "dispatcher/catalog.h"
#include "dispatcher/request.h"
#include "dispatcher/transport.h"

enum { MAX_LINE = 2 * 1024 * 1024 };

struct driver {
    struct event_base *base;
    struct transport *transport;
    char line[MAX_LINE];
    size_t len;
};

/* One line's messages. */
struct order {
    struct driver *driver;
    struct json_object *json;
    struct catalog *catalog;
    struct envelope event;
    char body[512];
    int64_t left, open, done;
};

struct message {
    struct order *order;
    struct request request;
};

static bool send_next(struct order *o);

static const char *text_of(struct json_object *json, const char *name, const char *missing)
{
    struct json_object *value = NULL;
    return json_object_object_get_ex(json, name, &value) ? json_object_get_string(value) : missing;
}

static int64_t number_of(struct json_object *json, const char *name, int64_t missing)
{
    struct json_object *value = NULL;
    return json_object_object_get_ex(json, name, &value) ? json_object_get_int64(value) : missing;
}

static void print(struct json_object *json)
{
    puts(json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN));
    fflush(stdout);
    json_object_put(json);
}

static void print_verdict(const char *id, const struct outcome *outcome, const char *body,
                          size_t len)
{
    static const char *const kinds[] = {"delivered", "retry", "reject"};
    static const char *const breakers[] = {"success", "failure", "neutral"};
    struct json_object *json = json_object_new_object();
    struct verdict v;
    verdict_of(outcome, &v);
    json_object_object_add(json, "id", json_object_new_string(id));
    json_object_object_add(json, "verdict", json_object_new_string(kinds[v.kind]));
    json_object_object_add(json, "breaker", json_object_new_string(breakers[v.breaker]));
    json_object_object_add(json, "counts", json_object_new_boolean(v.counts));
    json_object_object_add(json, "most", json_object_new_int64(v.max_attempts));
    json_object_object_add(json, "pause", json_object_new_int64(v.not_before_s));
    json_object_object_add(json, "reason", json_object_new_string(v.reason));
    json_object_object_add(json, "body", json_object_new_string_len(body, (int)len));
    json_object_object_add(json, "ms", json_object_new_int64(outcome->latency_us / 1000));
    print(json);
}

static void end(struct order *o)
{
    struct json_object *json = json_object_new_object();
    json_object_object_add(json, "done", json_object_new_int64(o->done));
    print(json);
    envelope_release(&o->event);
    catalog_unref(o->catalog);
    json_object_put(o->json);
    free(o);
}

static void on_answer(void *context, const struct outcome *outcome, const char *body, size_t len)
{
    struct message *m = context;
    struct order *o = m->order;
    print_verdict(m->request.webhook_id, outcome, body, len);
    request_release(&m->request);
    free(m);
    o->open--;
    o->done++;
    if (o->left > 0)
        (void)send_next(o);
    else if (o->open == 0)
        end(o);
}

static void refuse(struct order *o, const char *reason)
{
    struct json_object *json = json_object_new_object();
    json_object_object_add(json, "verdict", json_object_new_string("unsent"));
    json_object_object_add(json, "reason", json_object_new_string(reason));
    print(json);
    o->left = 0;
    if (o->open == 0)
        end(o);
}

/* False: the order could not be sent, and is gone. */
static bool send_next(struct order *o)
{
    const struct service *service = catalog_service_at(o->catalog, 0);
    struct message *m = calloc(1, sizeof(*m));
    char reason[VERDICT_REASON_SIZE] = "";
    static unsigned long number;
    if (!m)
        abort();
    m->order = o;
    o->left--;
    snprintf(o->event.message_id, sizeof(o->event.message_id), "00000000-0000-7000-8000-%012lx",
             ++number);
    request_init(&m->request);
    if (request_build(&m->request, service, service_rule(service, 7), &o->event, timing_unix_s(),
                      reason, sizeof(reason)) < 0) {
        request_release(&m->request);
        free(m);
        refuse(o, reason);
        return false;
    }
    o->open++;
    int r = o->driver->transport->ops->send(o->driver->transport, &m->request, on_answer, m);
    if (r < 0)
        abort();
    return true;
}

static void make_catalog(struct order *o)
{
    const struct service_row service = {.id = number_of(o->json, "service", 3),
                                        .name = "crm",
                                        .type = "amqp",
                                        .base_url = text_of(o->json, "url", ""),
                                        .headers = text_of(o->json, "headers", NULL),
                                        .signing_secret = text_of(o->json, "signing", NULL),
                                        .timeout_s = number_of(o->json, "timeout", 2),
                                        .max_concurrency = 16,
                                        .enabled = true};
    const struct rule_row rule = {.id = 7,
                                  .service_id = service.id,
                                  .eventname = "\\core\\event\\user_created",
                                  .endpoint = text_of(o->json, "endpoint", NULL),
                                  .payload_template = text_of(o->json, "body", NULL),
                                  .enabled = true};
    struct catalog_builder *b = catalog_builder_new();
    if (!b || catalog_builder_service(b, &service) < 0 || catalog_builder_rule(b, &rule) < 0 ||
        catalog_builder_seal(b, &o->catalog) < 0)
        abort();
}

static void make_event(struct order *o)
{
    const struct envelope_limits limits = {.max_bytes = sizeof(o->body),
                                           .max_depth = ENVELOPE_MAX_DEPTH};
    struct json_object *event = json_object_new_object();
    struct json_object *value = NULL; /* as it is: it may hold NUL */
    char reason[400];
    (void)json_object_object_get_ex(o->json, "value", &value);
    json_object_object_add(event, "eventname",
                           json_object_new_string("\\core\\event\\user_created"));
    json_object_object_add(event, "value", json_object_get(value));
    snprintf(o->body, sizeof(o->body), "%s",
             json_object_to_json_string_ext(event, JSON_C_TO_STRING_PLAIN));
    json_object_put(event);
    if (envelope_parse(&o->event, &limits, "id", o->body, strlen(o->body), reason, sizeof(reason)) <
        0)
        abort();
}

static void take_order(struct driver *d, const char *line)
{
    struct order *o = calloc(1, sizeof(*o));
    if (!o || !(o->json = json_tokener_parse(line)))
        abort();
    o->driver = d;
    o->left = number_of(o->json, "count", 1);
    make_catalog(o);
    make_event(o);
    int64_t window = number_of(o->json, "window", 1);
    window = window < o->left ? window : o->left;
    while (window-- > 0 && send_next(o)) {
    }
}

static size_t entries(const char *folder)
{
    DIR *dir = opendir(folder);
    size_t n = 0;
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n - 2;
}

static void tell(const struct driver *d)
{
    struct json_object *json = json_object_new_object();
    json_object_object_add(json, "threads",
                           json_object_new_int64((int64_t)entries("/proc/self/task")));
    json_object_object_add(json, "descriptors",
                           json_object_new_int64((int64_t)entries("/proc/self/fd")));
    json_object_object_add(
        json, "open", json_object_new_int64((int64_t)d->transport->ops->open_count(d->transport)));
    json_object_object_add(
        json, "overdue",
        json_object_new_int64((int64_t)d->transport->ops->overdue_count(d->transport)));
    print(json);
}

static void on_input(evutil_socket_t fd, short what, void *context)
{
    struct driver *d = context;
    char *end_of_line;
    (void)what;
    ssize_t n = read(fd, d->line + d->len, sizeof(d->line) - 1 - d->len);
    if (n <= 0) {
        event_base_loopbreak(d->base);
        return;
    }
    d->len += (size_t)n;
    d->line[d->len] = '\0';
    while ((end_of_line = strchr(d->line, '\n')) != NULL) {
        *end_of_line = '\0';
        if (strcmp(d->line, "stats") == 0)
            tell(d);
        else if (strcmp(d->line, "cancel") == 0)
            d->transport->ops->cancel_all(d->transport);
        else
            take_order(d, d->line);
        d->len -= (size_t)(end_of_line + 1 - d->line);
        memmove(d->line, end_of_line + 1, d->len + 1);
    }
}

int main(int argc, char **argv)
{
    static struct driver driver;
    struct netguard *guard = NULL;
    char error[128] = "";
    struct transport_settings settings = {.user_agent = "MoodleIntegrationHub/test",
                                          .max_response_bytes = 65536,
                                          .connect_timeout_ms = 5000,
                                          .ca_file = argc > 1 ? argv[1] : ""};
    signal(SIGPIPE, SIG_IGN);
    if (netguard_new(argc > 2 ? argv[2] : "127.0.0.0/8 ::1", false, &guard, error, sizeof(error)) <
        0) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    settings.guard = guard;
    driver.base = event_base_new();
    if (!driver.base || amqp_transport_new(driver.base, &settings, &driver.transport) < 0)
        return 1;
    struct event *input = event_new(driver.base, 0, EV_READ | EV_PERSIST, on_input, &driver);
    if (!input || event_add(input, NULL) < 0)
        return 1;
    event_base_dispatch(driver.base);
    event_free(input);
    int64_t start = timing_mono_ms();
    driver.transport->ops->free(driver.transport);
    fprintf(stderr, "freed in %lld ms\n", (long long)(timing_mono_ms() - start));
    event_base_free(driver.base);
    netguard_free(guard);
    return 0;
}
