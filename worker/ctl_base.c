#include "worker/ctl_base.h"

#include <errno.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "common/timing.h"
#include "common/utf8.h"
#include "worker/ctl_command.h"
#include "worker/ctl_print.h"
#include "worker/settings.h"

enum { HINT_CHANNEL = 2, HINT_MS = 3000, SAFE_SIZE = 1024, SAFE_TEXTS = 8 };

/* What the broker said of the hint. */
struct hinting {
    bool decided;
    bool acked;
    bool returned;
};

void ctl_init(struct ctl *c, const struct settings *settings, const struct ctl_command *command)
{
    *c = (struct ctl){.settings = settings, .command = command};
    names_init(&c->names, settings->broker_namespace, settings->broker_events_exchange);
}

void ctl_close_db(struct ctl *c)
{
    db_free(c->db);
    c->db = NULL;
}

void ctl_close_bus(struct ctl *c)
{
    bus_free(c->bus);
    c->bus = NULL;
}

void ctl_release(struct ctl *c)
{
    ctl_close_bus(c);
    ctl_close_db(c);
}

int ctl_open_db(struct ctl *c)
{
    struct db_options options;
    struct db_error error;
    int r;

    if (c->db)
        return 0;
    settings_db_options(c->settings, &options);
    r = db_open(&options, &c->db, &error);
    if (r < 0)
        snprintf(c->reason, sizeof c->reason, "database: %s", error.text);
    return r;
}

int ctl_open_bus(struct ctl *c)
{
    const struct bus_handlers none = {.context = NULL};
    struct bus_options options;
    struct bus_error error;
    int r;

    if (c->bus)
        return 0;
    settings_bus_options(c->settings, "mihctl", &options);
    r = bus_open(&options, 0, &none, &c->bus, &error);
    if (r < 0) {
        snprintf(c->reason, sizeof c->reason, "broker: %s", error.text);
        return r;
    }
    r = bus_channel_open(c->bus, CTL_CHANNEL, false);
    if (r < 0) {
        snprintf(c->reason, sizeof c->reason, "broker: %.500s", bus_reason(c->bus));
        ctl_close_bus(c);
    }
    return r;
}

const char *ctl_bare_reason(const struct ctl *c)
{
    static const char *const sides[] = {"database: ", "broker: "};

    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++)
        if (strncmp(c->reason, sides[i], strlen(sides[i])) == 0)
            return c->reason + strlen(sides[i]);
    return c->reason;
}

int ctl_fail(const struct ctl *c, int code)
{
    struct json_object *object;

    if (!c->command->json) {
        fprintf(stderr, "mihctl: %s\n", ctl_safe(c->reason));
        return code;
    }
    object = json_object_new_object();
    ctl_set_text(object, "error", c->reason);
    ctl_print_object(stdout, object);
    return code;
}

int ctl_refuse(struct ctl *c, int code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(c->reason, sizeof c->reason, format, arguments);
    va_end(arguments);
    return ctl_fail(c, code);
}

int ctl_db_failed(struct ctl *c, int result)
{
    const char *help = result == -EPERM    ? "; deploy/grants.sh grants it"
                       : result == -ENOENT ? "; has Moodle's upgrade of the plugin run?"
                                           : "";

    return ctl_refuse(c, EX_UNAVAILABLE, "database: %.400s%s", db_reason(c->db), help);
}

static void on_confirm(void *context, uint64_t number, bool ack)
{
    struct hinting *h = context;

    (void)number;
    h->decided = true;
    h->acked = ack;
}

static void on_return(void *context, uint64_t number, int code, const char *text)
{
    struct hinting *h = context;

    (void)number, (void)code, (void)text;
    h->returned = true;
}

static void on_closed(void *context, uint16_t channel, int code, const char *text)
{
    struct hinting *h = context;

    (void)channel, (void)code, (void)text;
    h->decided = true;
}

static int wait_decided(struct bus *bus, const struct hinting *h)
{
    const int64_t until_ms = timing_mono_ms() + HINT_MS;
    int r = 0;

    while (r == 0 && !h->decided) {
        struct pollfd fd = {.fd = bus_fd(bus), .events = POLLIN};
        int64_t left = until_ms - timing_mono_ms();

        if (left <= 0)
            return -ETIMEDOUT;
        if (!bus_pending(bus) && poll(&fd, 1, (int)left) < 0 && errno != EINTR)
            return -errno;
        r = bus_drain(bus);
    }
    return r;
}

static int publish_hint(struct ctl *c, const char *what, int64_t id, struct hinting *h)
{
    char body[80];
    int n = snprintf(body, sizeof body, "{\"%.30s\":%lld}", what, (long long)id);
    const struct bus_publication hint = {
        .exchange = c->names.control,
        .routing_key = "",
        .message_id = "",
        .type = what,
        .app_id = "",
        .content_type = "application/json",
        .body = body,
        .body_len = (size_t)n,
    };
    uint64_t number;
    int r = bus_channel_open(c->bus, HINT_CHANNEL, true);

    if (r == 0)
        r = bus_publish(c->bus, HINT_CHANNEL, &hint, &number);
    if (r == 0)
        r = wait_decided(c->bus, h);
    return r;
}

/* The connection is given up after it: who goes on opens another one. */
enum ctl_hint ctl_hint_send(struct ctl *c, const char *what, int64_t id)
{
    struct hinting h = {0};
    const struct bus_handlers handlers = {.context = &h,
                                          .on_confirm = on_confirm,
                                          .on_return = on_return,
                                          .on_channel_closed = on_closed};
    int r = ctl_open_bus(c);

    if (r < 0)
        return CTL_NOT_HINTED;
    bus_set_handlers(c->bus, &handlers);
    r = publish_hint(c, what, id, &h);
    if (r != 0)
        snprintf(c->reason, sizeof c->reason, "broker: %.500s", bus_reason(c->bus));
    ctl_close_bus(c);
    if (r == 0 && h.acked)
        return h.returned ? CTL_NOBODY_HEARS : CTL_HINTED;
    if (r == 0) /* there is no control exchange yet, or it may not be written to */
        snprintf(c->reason, sizeof c->reason, "broker: the hint was refused");
    return CTL_NOT_HINTED;
}

/* Rows of a service that is looked for. */
struct search {
    struct ctl_service_row *row;
    size_t n;
};

static int on_service(void *context, const struct db_row *row)
{
    struct search *s = context;

    *s->row = (struct ctl_service_row){
        .id = db_number(row, 0, 0),
        .enabled = db_number(row, 2, 0) != 0,
        .paused = db_number(row, 3, 0) != 0,
    };
    snprintf(s->row->name, sizeof s->row->name, "%s", db_text(row, 1));
    s->n++;
    return 0;
}

int ctl_find_service(struct ctl *c, const char *text, struct ctl_service_row *ret_row)
{
    bool number = *text && strspn(text, "0123456789") == strlen(text) && strlen(text) < 19;
    const struct db_value values[] = {db_of_text(text),
                                      db_of_number(number ? strtoll(text, NULL, 10) : 0)};
    struct search search = {.row = ret_row};
    int r = db_query(c->db,
                     "SELECT id, name, enabled, paused FROM {local_integrationhub_svc}"
                     " WHERE name = ? OR id = ?",
                     values, 2, on_service, &search, NULL);

    if (r < 0)
        return ctl_db_failed(c, r);
    if (search.n == 0)
        return ctl_refuse(c, EX_DATAERR, "%.200s: no service has this id or name", text);
    if (search.n > 1)
        return ctl_refuse(c, EX_DATAERR, "%.200s: one service has this id, another this name",
                          text);
    return 0;
}

const char *ctl_safe(const char *text)
{
    static char safe[SAFE_TEXTS][SAFE_SIZE];
    static unsigned next;
    char *to = safe[next++ % SAFE_TEXTS];

    utf8_copy_safe(to, SAFE_SIZE, text, strlen(text));
    return to;
}

const char *ctl_time(int64_t unix_s, char ret_text[CTL_TIME_SIZE])
{
    time_t at = (time_t)unix_s;
    struct tm t;

    if (unix_s <= 0 || !gmtime_r(&at, &t) ||
        strftime(ret_text, CTL_TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &t) == 0)
        snprintf(ret_text, CTL_TIME_SIZE, "-");
    return ret_text;
}

void ctl_set_text(struct json_object *object, const char *key, const char *text)
{
    if (object)
        json_object_object_add(object, key, json_object_new_string(text));
}

void ctl_set_number(struct json_object *object, const char *key, int64_t number)
{
    if (object)
        json_object_object_add(object, key, json_object_new_int64(number));
}

void ctl_set_bool(struct json_object *object, const char *key, bool value)
{
    if (object)
        json_object_object_add(object, key, json_object_new_boolean(value));
}
