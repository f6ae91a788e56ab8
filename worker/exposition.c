#include "worker/exposition.h"

#include <inttypes.h>

/* What the lines of one metric have in common; help is what people read. */
static void head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add_number(struct buf *out, int64_t value)
{
    buf_addf(out, " %" PRId64 "\n", value);
}

/* Counters of 2^53 and more are rounded by whoever reads them. */
static void add_count(struct buf *out, uint64_t value)
{
    buf_addf(out, " %" PRIu64 "\n", value);
}

static void add_seconds(struct buf *out, uint64_t us)
{
    buf_addf(out, " %" PRIu64 ".%06" PRIu64 "\n", us / 1000000, us % 1000000);
}

static void single(struct buf *out, const char *name, const char *help, int64_t value)
{
    head(out, name, "gauge", help);
    buf_adds(out, name);
    add_number(out, value);
}

static void single_count(struct buf *out, const char *name, const char *help, uint64_t value)
{
    head(out, name, "counter", help);
    buf_adds(out, name);
    add_count(out, value);
}

/* The value of a label, between quotes. */
static void add_escaped(struct buf *out, const char *text)
{
    for (const char *c = text; *c; c++) {
        if (*c == '\\' || *c == '"')
            buf_addc(out, '\\');
        if (*c == '\n')
            buf_adds(out, "\\n");
        else
            buf_addc(out, *c);
    }
}

/* name{service="7" and what follows is the caller's. */
static void begin_service(struct buf *out, const char *name, const struct service_figures *s)
{
    if (s->id == 0)
        buf_addf(out, "%s{service=\"other\"", name);
    else
        buf_addf(out, "%s{service=\"%" PRId64 "\"", name, s->id);
}

static const char *transport_of(const struct service_figures *s)
{
    static const char *const names[SERVICE_TYPES] = {
        [SERVICE_REST] = "rest", [SERVICE_SOAP] = "soap", [SERVICE_AMQP] = "amqp"};

    return s->id == 0 || (unsigned)s->type >= SERVICE_TYPES ? "other" : names[s->type];
}

static void add_services(struct buf *out, const struct figures *f)
{
    head(out, "mih_service_info", "gauge", "Name and transport of a service.");
    for (size_t i = 0; i < f->n_services; i++) {
        if (!f->services[i].present)
            continue;
        begin_service(out, "mih_service_info", &f->services[i]);
        buf_addf(out, ",transport=\"%s\",name=\"", transport_of(&f->services[i]));
        add_escaped(out, f->services[i].name);
        buf_adds(out, "\"} 1\n");
    }
}

static void add_deliveries(struct buf *out, const struct figures *f)
{
    static const char *const verdicts[] = {
        [STAT_DELIVERED] = "delivered", [STAT_RETRIED] = "retried", [STAT_DEAD] = "dead",
        [STAT_SKIPPED] = "skipped",     [STAT_HELD] = "held",
    };

    head(out, "mih_deliveries_total", "counter",
         "What became of deliveries: delivered, to be tried again, dead letter, not wanted by the"
         " rule's filter, or held back without an attempt.");
    for (size_t i = 0; i < f->n_services; i++)
        for (size_t k = 0; k < sizeof verdicts / sizeof *verdicts; k++) {
            begin_service(out, "mih_deliveries_total", &f->services[i]);
            buf_addf(out, ",transport=\"%s\",verdict=\"%s\"}", transport_of(&f->services[i]),
                     verdicts[k]);
            add_count(out, f->services[i].n[k]);
        }
}

static void add_histogram(struct buf *out, const struct service_figures *s)
{
    static const char name[] = "mih_request_duration_seconds";
    uint64_t n = 0;

    for (unsigned k = 0; k < STAT_BUCKETS; k++) {
        uint64_t up_to_us = (uint64_t)STAT_FIRST_BUCKET_US << k;

        n += s->n[STAT_BUCKET + k];
        begin_service(out, "mih_request_duration_seconds_bucket", s);
        if (k == STAT_BUCKETS - 1)
            buf_adds(out, ",le=\"+Inf\"}");
        else
            buf_addf(out, ",le=\"%g\"}", (double)up_to_us / 1e6);
        add_count(out, n);
    }
    buf_adds(out, name);
    begin_service(out, "_sum", s);
    buf_adds(out, "}");
    add_seconds(out, s->n[STAT_LATENCY_SUM]);
    buf_adds(out, name);
    begin_service(out, "_count", s);
    buf_adds(out, "}");
    add_count(out, n);
}

static void add_durations(struct buf *out, const struct figures *f)
{
    head(out, "mih_request_duration_seconds", "histogram",
         "How long requests to a service took, whatever came of them.");
    for (size_t i = 0; i < f->n_services; i++)
        add_histogram(out, &f->services[i]);
}

static void add_breakers(struct buf *out, const struct figures *f)
{
    static const char *const states[] = {
        [BREAKER_CLOSED] = "closed", [BREAKER_OPEN] = "open", [BREAKER_HALF_OPEN] = "half_open"};

    head(out, "mih_breaker_state", "gauge",
         "1 for the state that a service's circuit breaker is in, 0 for the others.");
    for (size_t i = 0; i < f->n_services; i++)
        for (size_t k = 0; f->services[i].present && k < sizeof states / sizeof *states; k++) {
            begin_service(out, "mih_breaker_state", &f->services[i]);
            buf_addf(out, ",state=\"%s\"}", states[k]);
            add_number(out, f->services[i].breaker == k);
        }
}

/* A gauge of each service that is there. */
static const struct {
    const char *name, *help;
    size_t offset;
    bool looked_at; /* once somebody has looked */
    bool no_zero;   /* 0 tells nothing */
} service_gauges[] = {
#define FIELD(name) offsetof(struct service_figures, name)
    {"mih_in_flight_requests", "Requests to a service that are under way.", FIELD(in_flight), false,
     false},
    {"mih_held_messages", "Messages taken from a service's queue and not yet settled.", FIELD(held),
     false, false},
    {"mih_consumers_wanted", "Processes that should take messages from a service's queue now.",
     FIELD(wanting), false, false},
    {"mih_consumers", "Processes that take messages from a service's queue.", FIELD(consuming),
     false, false},
    {"mih_backlog_messages", "Messages that wait in a service's queue.", FIELD(waiting), true,
     false},
    {"mih_backlog_oldest_timestamp_seconds",
     "When the oldest message that waits in a service's queue came there at the earliest.",
     FIELD(oldest_s), true, true},
    {"mih_dead_letters", "Dead letters of a service at the broker.", FIELD(dead), true, false},
#undef FIELD
};

static void add_service_gauges(struct buf *out, const struct figures *f)
{
    for (size_t g = 0; g < sizeof service_gauges / sizeof *service_gauges; g++) {
        head(out, service_gauges[g].name, "gauge", service_gauges[g].help);
        for (size_t i = 0; i < f->n_services; i++) {
            const struct service_figures *s = &f->services[i];
            int64_t value;

            memcpy(&value, (const char *)s + service_gauges[g].offset, sizeof value);
            if (!s->present || (service_gauges[g].looked_at && s->looked_s == 0) ||
                (service_gauges[g].no_zero && value == 0))
                continue;
            begin_service(out, service_gauges[g].name, s);
            buf_adds(out, "}");
            add_number(out, value);
        }
    }
}

static void add_outbox(struct buf *out, const struct figures *f)
{
    static const struct {
        const char *result;
        enum meter_count which;
    } results[] = {
        {"published", METER_OUTBOX_PUBLISHED},
        {"unwanted", METER_OUTBOX_UNWANTED},
        {"returned", METER_OUTBOX_RETURNED},
        {"refused", METER_OUTBOX_REFUSED},
    };

    head(out, "mih_outbox_events_relayed_total", "counter",
         "Events of Moodle's outbox by what the broker made of them; returned and refused ones"
         " stay.");
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        buf_addf(out, "mih_outbox_events_relayed_total{result=\"%s\"}", results[i].result);
        add_count(out, f->n[results[i].which]);
    }
    head(out, "mih_outbox_events", "gauge",
         "Events in Moodle's outbox, up to 10000; told by the elected process alone.");
    if (f->outbox_looked_s > 0)
        buf_addf(out, "mih_outbox_events %" PRId64 "\n", f->outbox_rows);
    head(out, "mih_outbox_oldest_timestamp_seconds", "gauge",
         "When the oldest of them was written.");
    if (f->outbox_oldest_s > 0)
        buf_addf(out, "mih_outbox_oldest_timestamp_seconds %" PRId64 "\n", f->outbox_oldest_s);
}

static void add_sums(struct buf *out, const struct figures *f)
{
    single_count(out, "mih_messages_received_total", "Messages taken from the services' queues.",
                 f->n[METER_RECEIVED]);
    single_count(out, "mih_repeats_total",
                 "Requests that were not sent, for a copy of the message had been delivered.",
                 f->n[METER_REPEATS]);
    single_count(out, "mih_log_entries_left_out_total",
                 "Entries that the log of requests lacks, for the database was away or refused.",
                 f->n[METER_LOG_LEFT_OUT]);
    single_count(out, "mih_deliveries_not_counted_total",
                 "Deliveries that the statistics lack for want of room.", f->n[METER_NOT_COUNTED]);
}

/* Per child. */

static void begin_child(struct buf *out, const char *name, const struct child_look *child)
{
    buf_addf(out, "%s{child=\"%u\"", name, child->number);
}

/* What the supervisor knows of each child that should run, or does. */
static void add_children(struct buf *out, const struct child_look *children, size_t n)
{
    static const char *const names[] = {"mih_child_up", "mih_child_ready", "mih_child_starts_total",
                                        "mih_child_stalls_total"};
    static const char *const helps[] = {
        "Whether a worker process runs.",
        "Whether it has started completely and is connected to the broker.",
        "How often it was started.",
        "How often it was replaced because it took nothing though its queue had work."};

    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        head(out, names[k], k >= 2 ? "counter" : "gauge", helps[k]);
        for (size_t i = 0; i < n; i++) {
            const struct child_look *child = &children[i];
            const int64_t values[] = {
                child->pid > 0, child->pid > 0 && child->report.ready && child->report.connected,
                (int64_t)child->starts, (int64_t)child->stalls};

            if (!child->wanted && child->pid == 0)
                continue;
            begin_child(out, names[k], child);
            buf_adds(out, "}");
            add_number(out, values[k]);
        }
    }
}

static const struct {
    const char *name, *help;
    enum meter_gauge which;
    bool no_zero;
} child_gauges[] = {
    {"mih_child_start_time_seconds", "When a worker process started.", METER_STARTED_S, true},
    {"mih_child_last_progress_timestamp_seconds", "When it finished a message last.",
     METER_PROGRESS_S, true},
    {"mih_child_elected", "Whether it keeps bindings and outbox for the fleet.", METER_ELECTED,
     false},
    {"mih_child_publishing_blocked", "Whether the broker blocks what it publishes.",
     METER_PUBLISHER_BLOCKED, false},
    {"mih_child_resident_memory_bytes", "Its resident memory.", METER_RESIDENT_BYTES, true},
};

static void add_child_gauges(struct buf *out, const struct child_look *children, size_t n)
{
    for (size_t g = 0; g < sizeof child_gauges / sizeof *child_gauges; g++) {
        head(out, child_gauges[g].name, "gauge", child_gauges[g].help);
        for (size_t i = 0; i < n; i++) {
            int64_t value = figures_current(&children[i])
                                ? meter_gauge(&children[i].meter->gauge[child_gauges[g].which])
                                : 0;

            if (!figures_current(&children[i]) || (value == 0 && child_gauges[g].no_zero))
                continue;
            begin_child(out, child_gauges[g].name, &children[i]);
            buf_adds(out, "}");
            add_number(out, value);
        }
    }
}

static const struct {
    const char *name;
    enum meter_gauge connected;
    enum meter_count connects;
} connections[] = {
    {"consumer", METER_CONSUMER_CONNECTED, METER_CONSUMER_CONNECTS},
    {"publisher", METER_PUBLISHER_CONNECTED, METER_PUBLISHER_CONNECTS},
    {"database", METER_DATABASE_CONNECTED, METER_DATABASE_CONNECTS},
};

static void add_connection(struct buf *out, const char *name, const struct child_look *child,
                           size_t which)
{
    begin_child(out, name, child);
    buf_addf(out, ",connection=\"%s\"}", connections[which].name);
}

static void add_connections(struct buf *out, const struct child_look *children, size_t n)
{
    enum { N = sizeof connections / sizeof *connections };

    head(out, "mih_child_connected", "gauge",
         "Whether its connections to broker (consumer, publisher) and database are open.");
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; figures_current(&children[i]) && k < N; k++) {
            add_connection(out, "mih_child_connected", &children[i], k);
            add_number(out, meter_gauge(&children[i].meter->gauge[connections[k].connected]));
        }
    head(out, "mih_child_connects_total", "counter", "How often they were opened.");
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; children[i].meter && k < N; k++) {
            add_connection(out, "mih_child_connects_total", &children[i], k);
            add_count(out, meter_count(&children[i].meter->n[connections[k].connects]));
        }
}

static void add_child_times(struct buf *out, const struct child_look *children, size_t n)
{
    head(out, "mih_child_cpu_seconds_total", "counter",
         "Processor time of the processes that have had this number.");
    for (size_t i = 0; i < n; i++) {
        if (!children[i].meter)
            continue;
        begin_child(out, "mih_child_cpu_seconds_total", &children[i]);
        buf_adds(out, "}");
        add_seconds(out, meter_count(&children[i].meter->n[METER_CPU_US]));
    }
}

/* By the names that every client library uses. */
static void add_own(struct buf *out, const struct exposition_own *own)
{
    head(out, "mih_build_info", "gauge", "The version of mih-worker.");
    buf_adds(out, "mih_build_info{version=\"" MIH_VERSION "\"} 1\n");
    single(out, "mih_ready", "Whether /readyz says so.", own->ready);
    single(out, "mih_children_wanted", "Worker processes that should run.", own->wanted);
    head(out, "process_cpu_seconds_total", "counter", "Processor time of the supervisor.");
    buf_adds(out, "process_cpu_seconds_total");
    add_seconds(out, own->cpu_us);
    single(out, "process_start_time_seconds", "When the supervisor started.", own->started_s);
    single(out, "process_resident_memory_bytes", "Resident memory of the supervisor.",
           own->resident_bytes);
    single(out, "process_open_fds", "Descriptors that the supervisor has open.", own->open_files);
    single(out, "process_max_fds", "Descriptors that it may have open.", own->max_files);
}

void exposition_write(struct buf *out, const struct exposition_own *own,
                      const struct child_look *children, size_t n, const struct figures *figures)
{
    add_own(out, own);
    add_children(out, children, n);
    add_child_gauges(out, children, n);
    add_connections(out, children, n);
    add_child_times(out, children, n);
    add_services(out, figures);
    add_deliveries(out, figures);
    add_durations(out, figures);
    add_breakers(out, figures);
    add_service_gauges(out, figures);
    add_outbox(out, figures);
    add_sums(out, figures);
}
