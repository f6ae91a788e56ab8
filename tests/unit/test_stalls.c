/* Children that take nothing though their queue has work. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/stalls.h"

enum { PID = 1000, SERVICE = 7, NOW_S = 1795000000 };

struct world {
    struct meter *meter;
    struct child_look child;
    struct stall stall;
    int64_t ms;
};

static int64_t *gauges(struct world *w)
{
    return meter_service(w->meter, SERVICE)->gauge;
}

/* It consumes, holds nothing, and five messages wait. */
static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    w->meter = calloc(1, sizeof *w->meter);
    meter_open(w->meter, PID);
    w->child = (struct child_look){.pid = PID, .wanted = true, .meter = w->meter};
    meter_set(&gauges(w)[METER_PRESENT], 1);
    meter_set(&gauges(w)[METER_CONSUMING], 1);
    meter_set(&gauges(w)[METER_WAITING], 5);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    free(w->meter);
    free(w);
    return 0;
}

static int64_t look(struct world *w)
{
    struct figures figures;
    int64_t found;

    w->ms += STALLS_LOOK_MS;
    assert_int_equal(figures_make(&w->child, 1, &figures), 0);
    found = stalls_look(&w->stall, &w->child, &figures, w->ms, NOW_S + w->ms / 1000);
    figures_release(&figures);
    return found;
}

/* How long until it is to be replaced, up to max_ms; -1: it is not. The queue is looked at, too. */
static int64_t patience(struct world *w, int64_t max_ms)
{
    int64_t began_ms = w->ms;

    while (w->ms - began_ms < max_ms) {
        meter_set(&gauges(w)[METER_LOOKED_S], NOW_S + w->ms / 1000);
        if (look(w) == SERVICE)
            return w->ms - began_ms;
    }
    return -1;
}

static void one_that_takes_nothing_is_replaced_in_time(void **state)
{
    struct world *w = *state;
    int64_t ms = patience(w, 120000);

    assert_in_range(ms, STALLS_PATIENCE_MS, STALLS_PATIENCE_MS + 3 * STALLS_LOOK_MS);
}

static void with_each_time_there_is_more_patience_up_to_a_bound(void **state)
{
    struct world *w = *state;
    int64_t wanted_ms = STALLS_PATIENCE_MS;

    for (unsigned times = 0; times < 8; times++) {
        int64_t ms = patience(w, 2 * (int64_t)STALLS_PATIENCE_MAX_MS);

        assert_in_range(ms, wanted_ms, wanted_ms + INT64_C(3) * STALLS_LOOK_MS);
        wanted_ms = wanted_ms * 2 < STALLS_PATIENCE_MAX_MS ? wanted_ms * 2 : STALLS_PATIENCE_MAX_MS;
        meter_open(w->meter, ++w->child.pid);
        meter_set(&gauges(w)[METER_PRESENT], 1);
        meter_set(&gauges(w)[METER_CONSUMING], 1);
        meter_set(&gauges(w)[METER_WAITING], 5);
    }
}

static void one_that_was_well_for_long_is_not_held_its_past_against(void **state)
{
    struct world *w = *state;

    assert_true(patience(w, 120000) > 0);
    meter_set(&gauges(w)[METER_WAITING], 0);
    assert_int_equal(patience(w, 2 * (int64_t)STALLS_PATIENCE_MAX_MS), -1);
    meter_set(&gauges(w)[METER_WAITING], 5);
    assert_in_range(patience(w, 120000), STALLS_PATIENCE_MS,
                    STALLS_PATIENCE_MS + 3 * STALLS_LOOK_MS);
}

static void one_that_has_a_reason_is_left_alone(void **state)
{
    static const struct {
        const char *what;
        enum meter_service_gauge gauge;
        int64_t value;
    } rows[] = {
        {"nothing waits", METER_WAITING, 0},
        {"it does not consume", METER_CONSUMING, 0},
        {"it holds something", METER_HELD, 1},
        {"the service is gone", METER_PRESENT, 0},
    };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t before = gauges(w)[rows[i].gauge];

        meter_set(&gauges(w)[rows[i].gauge], rows[i].value);
        if (patience(w, 120000) >= 0)
            fail_msg("replaced though %s", rows[i].what);
        meter_set(&gauges(w)[rows[i].gauge], before);
    }
    w->child.report.quiet = true;
    assert_int_equal(patience(w, 120000), -1);
}

static void one_that_gets_something_done_is_left_alone(void **state)
{
    struct world *w = *state;

    for (unsigned i = 0; i < 100; i++) {
        meter_set(&gauges(w)[METER_LOOKED_S], NOW_S + w->ms / 1000);
        meter_add(&meter_service(w->meter, SERVICE)->n[STAT_DELIVERED], i % 5 == 0);
        assert_int_equal(look(w), 0);
    }
}

static void what_was_seen_long_ago_is_not_known(void **state)
{
    struct world *w = *state;

    meter_set(&gauges(w)[METER_LOOKED_S], NOW_S);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(look(w), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_that_takes_nothing_is_replaced_in_time),
        TEST(with_each_time_there_is_more_patience_up_to_a_bound),
        TEST(one_that_was_well_for_long_is_not_held_its_past_against),
        TEST(one_that_has_a_reason_is_left_alone),
        TEST(one_that_gets_something_done_is_left_alone),
        TEST(what_was_seen_long_ago_is_not_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
