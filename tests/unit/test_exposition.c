/* From what children show in their meters to the text that Prometheus reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/catalog_rows.h"
#include "worker/exposition.h"
#include "worker/monitor.h"

enum { CHILDREN = 3, PID = 1000 };

struct world {
    struct meter *meters[CHILDREN];
    struct child_look looks[CHILDREN];
    struct buf text;
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    for (unsigned i = 0; i < CHILDREN; i++) {
        w->meters[i] = calloc(1, sizeof *w->meters[i]);
        meter_open(w->meters[i], PID + i);
        w->looks[i] = (struct child_look){
            .number = i,
            .wanted = true,
            .pid = (pid_t)(PID + i),
            .starts = 1,
            .report = {.ready = true, .connected = true},
            .meter = w->meters[i],
        };
    }
    buf_init(&w->text, SIZE_MAX / 2);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    for (unsigned i = 0; i < CHILDREN; i++)
        free(w->meters[i]);
    buf_release(&w->text);
    free(w);
    return 0;
}

static struct catalog *catalog_with(int64_t id, const char *name)
{
    struct catalog_builder *b = catalog_builder_new();
    struct service_row row = plain_service;
    struct catalog *catalog;

    row.id = id;
    row.name = name;
    assert_int_equal(catalog_builder_service(b, &row), 0);
    assert_int_equal(catalog_builder_seal(b, &catalog), 0);
    return catalog;
}

static void describe(struct world *w, unsigned child, int64_t id, const char *name)
{
    struct catalog *catalog = catalog_with(id, name);

    meter_describe(w->meters[child], catalog);
    catalog_unref(catalog);
}

static const char *text_of(struct world *w)
{
    struct figures figures;

    assert_int_equal(figures_make(w->looks, CHILDREN, &figures), 0);
    buf_reset(&w->text);
    exposition_write(&w->text, &(struct exposition_own){.started_s = 1}, w->looks, CHILDREN,
                     &figures);
    figures_release(&figures);
    assert_int_equal(buf_error(&w->text), 0);
    return buf_text(&w->text);
}

/* The value of one series; a test fails when it is not there. */
static double value_of(struct world *w, const char *series)
{
    const char *text = text_of(w);

    for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (strncmp(line, series, strlen(series)) == 0 && line[strlen(series)] == ' ')
            return strtod(line + strlen(series), NULL);
    fail_msg("no %s in\n%s", series, text);
    return 0;
}

static bool has(struct world *w, const char *series)
{
    return strstr(text_of(w), series);
}

static void assert_value(struct world *w, const char *series, double wanted)
{
    double value = value_of(w, series);

    if (value < wanted || value > wanted)
        fail_msg("%s is %f, not %f", series, value, wanted);
}

static void counters_are_added_up_and_outlive_processes(void **state)
{
    static const char delivered[] =
        "mih_deliveries_total{service=\"7\",transport=\"rest\",verdict=\"delivered\"}";
    struct world *w = *state;

    for (unsigned i = 0; i < CHILDREN; i++) {
        describe(w, i, 7, "crm");
        meter_add(&meter_service(w->meters[i], 7)->n[STAT_DELIVERED], 10 + i);
    }
    assert_value(w, delivered, 33);
    w->looks[1].pid = 0; /* it died */
    assert_value(w, delivered, 33);
    w->looks[1].pid = PID + 100; /* started anew, and has not shown anything yet */
    assert_value(w, delivered, 33);
    meter_open(w->meters[1], PID + 100);
    assert_value(w, delivered, 33);
    w->looks[2].wanted = false; /* the fleet got smaller */
    w->looks[2].pid = 0;
    assert_value(w, delivered, 33);
    assert_false(has(w, "mih_child_up{child=\"2\"}"));
    assert_value(w, "mih_child_up{child=\"1\"}", 1);
}

static void gauges_are_of_running_processes_alone(void **state)
{
    struct world *w = *state;

    for (unsigned i = 0; i < CHILDREN; i++) {
        int64_t *gauge;

        describe(w, i, 7, "crm");
        gauge = meter_service(w->meters[i], 7)->gauge;
        meter_set(&gauge[METER_IN_FLIGHT], 1 << i);
        meter_set(&gauge[METER_BREAKER], i == 1 ? BREAKER_OPEN : BREAKER_HALF_OPEN);
        meter_set(&gauge[METER_LOOKED_S], 100 + (int64_t)i * 2 % 3); /* the second one last */
        meter_set(&gauge[METER_WAITING], 5 + (int64_t)i);
    }
    assert_value(w, "mih_in_flight_requests{service=\"7\"}", 7);
    assert_value(w, "mih_breaker_state{service=\"7\",state=\"open\"}", 1);
    assert_value(w, "mih_breaker_state{service=\"7\",state=\"half_open\"}", 0);
    assert_value(w, "mih_backlog_messages{service=\"7\"}", 6); /* the newest look */
    w->looks[1].pid = 0;
    assert_value(w, "mih_in_flight_requests{service=\"7\"}", 5);
    assert_value(w, "mih_breaker_state{service=\"7\",state=\"open\"}", 0);
    assert_value(w, "mih_breaker_state{service=\"7\",state=\"half_open\"}", 1);
    assert_value(w, "mih_backlog_messages{service=\"7\"}", 7);
    w->looks[2].pid = 0;
    assert_value(w, "mih_backlog_messages{service=\"7\"}", 5);
    w->looks[0].pid = 0;
    assert_false(has(w, "mih_backlog_messages{"));
}

static void the_outbox_is_the_elected_one_s(void **state)
{
    struct world *w = *state;

    for (unsigned i = 0; i < CHILDREN; i++) {
        meter_set(&w->meters[i]->gauge[METER_OUTBOX_LOOKED_S], 100 + (int64_t)i);
        meter_set(&w->meters[i]->gauge[METER_OUTBOX_ROWS], 5 + (int64_t)i);
    }
    assert_false(has(w, "\nmih_outbox_events "));
    meter_set(&w->meters[1]->gauge[METER_ELECTED], 1);
    assert_value(w, "mih_outbox_events", 6);
    w->looks[1].pid = 0;
    assert_false(has(w, "\nmih_outbox_events "));
}

static void the_histogram_adds_up(void **state)
{
    static const char bucket[] = "mih_request_duration_seconds_bucket{service=\"7\",le=\"%s\"}";
    static const struct {
        const char *le;
        unsigned n;
    } rows[] = {{"0.0005", 1}, {"0.001", 2}, {"0.002", 3}, {"65.536", 18}, {"+Inf", 19}};
    struct world *w = *state;
    struct meter_service *place = meter_service(w->meters[0], 7);

    for (unsigned k = 0; k < STAT_BUCKETS; k++)
        meter_add(&place->n[STAT_BUCKET + k], 1);
    meter_add(&place->n[STAT_LATENCY_SUM], 1500000);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char series[128];

        snprintf(series, sizeof series, bucket, rows[i].le);
        assert_value(w, series, rows[i].n);
    }
    assert_value(w, "mih_request_duration_seconds_count{service=\"7\"}", 19);
    assert_value(w, "mih_request_duration_seconds_sum{service=\"7\"}", 1.5);
}

static void names_are_quoted(void **state)
{
    struct world *w = *state;

    describe(w, 0, 7, "a\"b\\c");
    assert_true(has(w, "{service=\"7\",transport=\"rest\",name=\"a\\\"b\\\\c\"} 1\n"));
}

static void a_service_that_is_gone_keeps_its_counters_alone(void **state)
{
    struct world *w = *state;

    describe(w, 0, 7, "crm");
    meter_add(&meter_service(w->meters[0], 7)->n[STAT_DEAD], 2);
    describe(w, 0, 8, "erp");
    assert_value(w, "mih_deliveries_total{service=\"7\",transport=\"rest\",verdict=\"dead\"}", 2);
    assert_false(has(w, "mih_in_flight_requests{service=\"7\"}"));
    assert_false(has(w, "mih_service_info{service=\"7\""));
    assert_true(has(w, "mih_service_info{service=\"8\""));
}

static void too_many_services_share_a_place_until_some_are_gone(void **state)
{
    struct world *w = *state;
    struct meter *m = w->meters[0];

    for (int64_t id = 1; id <= METER_SERVICES; id++) {
        struct meter_service *place = meter_service(m, id);

        assert_int_equal(place->id, id);
        meter_set(&place->gauge[METER_PRESENT], 1);
    }
    assert_false(has(w, "service=\"other\""));
    meter_add(&meter_service(m, 9999)->n[STAT_DELIVERED], 3);
    assert_value(
        w, "mih_deliveries_total{service=\"other\",transport=\"other\",verdict=\"delivered\"}", 3);
    meter_set(&meter_service(m, 77)->gauge[METER_PRESENT], 0);
    meter_add(&meter_service(m, 77)->n[STAT_DEAD], 1);
    assert_int_equal(meter_service(m, 9999)->id, 9999);
    assert_int_equal(meter_service(m, 9999)->n[STAT_DEAD], 0);
}

static void a_meter_of_another_version_is_not_read(void **state)
{
    struct world *w = *state;

    assert_true(meter_readable(w->meters[0]));
    w->meters[0]->format++;
    meter_add(&w->meters[0]->n[METER_RECEIVED], 5);
    assert_false(meter_readable(w->meters[0]));
    meter_open(w->meters[0], PID);
    assert_true(meter_readable(w->meters[0]));
    assert_int_equal(w->meters[0]->n[METER_RECEIVED], 0);
}

static void what_follows_another_counter_goes_on_after_it_began_anew(void **state)
{
    uint64_t at = 0, before = 0;

    (void)state;
    meter_follow(&at, &before, 5);
    meter_follow(&at, &before, 7);
    before = 0; /* another process */
    meter_follow(&at, &before, 2);
    assert_int_equal(at, 9);
}

static bool is_ready(struct world *w, const struct monitor_state *monitor, const char *reason)
{
    struct figures figures;
    struct buf why;
    bool ready;

    buf_init(&why, 4096);
    assert_int_equal(figures_make(w->looks, CHILDREN, &figures), 0);
    ready = monitor_ready(monitor, w->looks, CHILDREN, &figures, &why);
    if (!strstr(buf_text(&why), reason) || ready != (why.len == 0))
        fail_msg("not \"%s\" but \"%s\"", reason, buf_text(&why));
    buf_release(&why);
    figures_release(&figures);
    return ready;
}

static void it_is_ready_when_nothing_is_missing(void **state)
{
    struct world *w = *state;
    struct monitor_state monitor = {.wanted = CHILDREN};
    int64_t *gauge;

    assert_true(is_ready(w, &monitor, ""));
    monitor.wanted = CHILDREN + 1;
    assert_false(is_ready(w, &monitor, "3 of 4 children"));
    monitor = (struct monitor_state){.wanted = CHILDREN, .stopping = true};
    assert_false(is_ready(w, &monitor, "stopping"));
    monitor = (struct monitor_state){.wanted = CHILDREN, .quiet = true};
    assert_false(is_ready(w, &monitor, "quiet"));
    monitor.quiet = false;
    w->looks[1].report.connected = false;
    assert_false(is_ready(w, &monitor, "child 1 has no connection"));
    w->looks[1].report.ready = false;
    assert_false(is_ready(w, &monitor, "child 1 is not ready"));
    w->looks[1].pid = 0;
    assert_false(is_ready(w, &monitor, "child 1 does not run"));
    w->looks[1].wanted = false;
    monitor.wanted = CHILDREN - 1;
    assert_true(is_ready(w, &monitor, ""));
    describe(w, 0, 7, "crm");
    gauge = meter_service(w->meters[0], 7)->gauge;
    meter_set(&gauge[METER_UNSERVED_S], MONITOR_UNSERVED_S - 1);
    assert_true(is_ready(w, &monitor, ""));
    meter_set(&gauge[METER_UNSERVED_S], MONITOR_UNSERVED_S);
    assert_false(is_ready(w, &monitor, "service 7 is not consumed"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(counters_are_added_up_and_outlive_processes),
        TEST(gauges_are_of_running_processes_alone),
        TEST(the_outbox_is_the_elected_one_s),
        TEST(the_histogram_adds_up),
        TEST(names_are_quoted),
        TEST(a_service_that_is_gone_keeps_its_counters_alone),
        TEST(too_many_services_share_a_place_until_some_are_gone),
        TEST(a_meter_of_another_version_is_not_read),
        TEST(what_follows_another_counter_goes_on_after_it_began_anew),
        TEST(it_is_ready_when_nothing_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
