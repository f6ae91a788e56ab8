/* When a delivery is tried again: the schedule of DESIGN 5, the grid, and why there is jitter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dispatcher/retry.h"

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)

enum { GIVE_UP = -1 };

/* As the columns are by default, with the long steps. */
static const struct retry_policy usual = {
    .backoff_ms = 1 * SECOND, .max_backoff_ms = 1 * HOUR, .max_retries = 3, .long_retries = true};

static const struct verdict counted = {.kind = VERDICT_RETRY, .counts = true};

/* The delay, or GIVE_UP. */
static int64_t planned(const struct retry_policy *p, const struct verdict *v, unsigned attempts,
                       uint32_t random)
{
    struct retry_plan plan = {.delay_ms = -2};
    retry_plan_make(p, v, attempts, random, &plan);
    if (plan.give_up)
        assert_int_equal(plan.delay_ms, 0);
    return plan.give_up ? GIVE_UP : plan.delay_ms;
}

static void the_schedule_is_the_fast_phase_then_the_long_steps_then_the_end(void **state)
{
    static const struct {
        int64_t least, most;
    } rows[] = {
        {500, 1 * SECOND},           {1 * SECOND, 2 * SECOND},
        {2 * SECOND, 4 * SECOND},    {48 * SECOND, 72 * SECOND},
        {4 * MINUTE, 6 * MINUTE},    {24 * MINUTE, 36 * MINUTE},
        {96 * MINUTE, 144 * MINUTE}, {4 * HOUR, 6 * HOUR},
        {8 * HOUR, 12 * HOUR},       {672 * MINUTE, 1008 * MINUTE},
        {16 * HOUR, 24 * HOUR},      {1152 * MINUTE, 1728 * MINUTE},
    };
    const unsigned n = sizeof(rows) / sizeof(rows[0]);
    (void)state;
    for (unsigned i = 0; i < n; i++) {
        int64_t least = planned(&usual, &counted, i + 1, 0);
        int64_t most = planned(&usual, &counted, i + 1, 999);
        int64_t width = rows[i].most - rows[i].least;
        if (least != rows[i].least || most >= rows[i].most || most < rows[i].most - width / 500)
            fail_msg("attempt %u: %lld to %lld ms", i + 1, (long long)least, (long long)most);
    }
    assert_int_equal(planned(&usual, &counted, n + 1, 500), GIVE_UP);
    assert_int_equal(planned(&usual, &counted, UINT32_MAX, 500), GIVE_UP);
}

static void every_delay_lies_within_its_bounds_and_all_of_them_are_reached(void **state)
{
    (void)state;
    for (uint32_t random = 1; random < 1000; random++) {
        for (unsigned attempts = 1; attempts <= 12; attempts++) {
            int64_t before = planned(&usual, &counted, attempts, random - 1);
            int64_t delay = planned(&usual, &counted, attempts, random);
            int64_t span =
                planned(&usual, &counted, attempts, 999) - planned(&usual, &counted, attempts, 0);
            if (delay < before || delay - before > span / 900 + 1)
                fail_msg("attempt %u, random %u: %lld after %lld", attempts, (unsigned)random,
                         (long long)delay, (long long)before);
        }
    }
}

static void columns_of_any_size_keep_to_the_schedule(void **state)
{
    static const struct {
        const char *name;
        struct retry_policy policy;
        unsigned attempts;
        uint32_t random;
        int64_t expected;
    } rows[] = {
        {"doubles", {1000, HOUR, 20, false}, 10, 0, 256 * SECOND},
        {"below the cap", {1000, HOUR, 20, false}, 12, 0, 1024 * SECOND},
        {"at the cap", {1000, HOUR, 20, false}, 13, 0, 30 * MINUTE},
        {"at the cap, all jitter", {1000, HOUR, 20, false}, 20, 999, HOUR - 1800},
        {"no retries, short", {1000, HOUR, 0, false}, 1, 0, GIVE_UP},
        {"no retries, long", {1000, HOUR, 0, true}, 1, 500, MINUTE},
        {"no retries, last long", {1000, HOUR, 0, true}, 9, 500, 24 * HOUR},
        {"no retries, end", {1000, HOUR, 0, true}, 10, 500, GIVE_UP},
        {"one retry", {1000, HOUR, 1, false}, 1, 0, 500},
        {"one retry, end", {1000, HOUR, 1, false}, 2, 0, GIVE_UP},
        {"short, last", {1000, HOUR, 3, false}, 3, 0, 2 * SECOND},
        {"short, end", {1000, HOUR, 3, false}, 4, 0, GIVE_UP},
        {"long begins", {1000, HOUR, 3, true}, 4, 500, MINUTE},
        {"largest backoff", {99999 * SECOND, HOUR, 3, false}, 1, 0, 30 * MINUTE},
        {"largest backoff, later", {99999 * SECOND, HOUR, 3, false}, 3, 999, HOUR - 1800},
        {"most retries", {99999 * SECOND, HOUR, 999, false}, 999, 0, 30 * MINUTE},
        {"most retries, end", {99999 * SECOND, HOUR, 999, false}, 1000, 0, GIVE_UP},
        {"most retries, long", {99999 * SECOND, HOUR, 999, true}, 1000, 500, MINUTE},
        {"most retries, last", {1, HOUR, 999, true}, 1008, 500, 24 * HOUR},
        {"most retries, long end", {1, HOUR, 999, true}, 1009, 500, GIVE_UP},
        {"beyond any column",
         {INT64_MAX, INT64_MAX, UINT32_MAX, true},
         UINT32_MAX,
         0,
         INT64_MAX / 2 + 1},
        {"no backoff", {0, HOUR, 3, false}, 3, 999, 0},
        {"no cap", {1000, 0, 3, false}, 3, 999, 0},
        {"below zero", {-5, -5, 3, false}, 1, 999, 0},
        {"attempts not known", {1000, HOUR, 3, true}, 0, 0, 500},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t got = planned(&rows[i].policy, &counted, rows[i].attempts, rows[i].random);
        if (got != rows[i].expected)
            fail_msg("%s: %lld", rows[i].name, (long long)got);
    }
}

static void a_verdict_limits_attempts_and_asks_for_a_pause(void **state)
{
    static const struct {
        const char *name;
        unsigned max_attempts;
        int64_t not_before_s;
        unsigned attempts;
        int64_t expected; /* at the middle of the jitter */
    } rows[] = {
        {"404, third retry", 4, 0, 3, 3 * SECOND},
        {"404, end", 4, 0, 4, GIVE_UP},
        {"404 after more of others", 4, 0, 7, GIVE_UP},
        {"401, paused", 3, 60, 1, MINUTE},
        {"401, end", 3, 60, 3, GIVE_UP},
        {"a limit above the service's own", 99, 0, 13, GIVE_UP},
        {"TLS, fast phase", 0, 300, 3, 5 * MINUTE},
        {"TLS, long step below the pause", 0, 300, 4, 5 * MINUTE},
        {"TLS, long step above the pause", 0, 300, 6, 30 * MINUTE},
        {"Retry-After above", 0, 7, 2, 7 * SECOND},
        {"Retry-After below", 0, 1, 2, 1500},
        {"Retry-After longest", 0, 86400, 1, 24 * HOUR},
        {"more than a day", 0, INT64_MAX, 1, 24 * HOUR},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct verdict v = counted;
        v.max_attempts = rows[i].max_attempts;
        v.not_before_s = rows[i].not_before_s;
        int64_t got = planned(&usual, &v, rows[i].attempts, 500);
        if (got != rows[i].expected)
            fail_msg("%s: %lld", rows[i].name, (long long)got);
    }
}

static void an_attempt_that_does_not_count_waits_as_long_again_and_never_gives_up(void **state)
{
    static const struct {
        const char *name;
        unsigned max_retries;
        bool long_retries;
        unsigned attempts;
        int64_t expected; /* at the middle of the jitter */
    } rows[] = {
        {"first attempt", 3, true, 0, 750},
        {"first attempt, no retries", 0, true, 0, 750},
        {"first attempt, no retries at all", 0, false, 0, 750},
        {"second retry", 3, true, 2, 1500},
        {"last fast retry", 3, true, 3, 3 * SECOND},
        {"last retry, short", 3, false, 3, 3 * SECOND},
        {"first long step", 3, true, 4, MINUTE},
        {"last long step", 3, true, 12, 24 * HOUR},
        {"beyond, for the service got fewer retries", 3, true, 400, 24 * HOUR},
        {"the same, short", 3, false, 5, 12 * SECOND},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct retry_policy p = usual;
        struct verdict v = {.kind = VERDICT_RETRY, .counts = false, .max_attempts = 1};
        p.max_retries = rows[i].max_retries;
        p.long_retries = rows[i].long_retries;
        int64_t got = planned(&p, &v, rows[i].attempts, 500);
        if (got != rows[i].expected)
            fail_msg("%s: %lld", rows[i].name, (long long)got);
    }
}

static void the_grid_goes_from_a_second_to_a_day_in_the_fewest_steps(void **state)
{
    double reach = RETRY_GRID_FIRST_MS;
    (void)state;
    assert_int_equal(retry_grid_at(0), 1 * SECOND);
    assert_int_equal(retry_grid_at(RETRY_GRID_STEPS - 1), 24 * HOUR);
    for (unsigned i = 1; i < RETRY_GRID_STEPS; i++) {
        int64_t before = retry_grid_at(i - 1), step = retry_grid_at(i);
        if (step <= before || step * 100 > before * 118 || step % 10 != 0)
            fail_msg("step %u: %lld after %lld", i, (long long)step, (long long)before);
        reach *= i < RETRY_GRID_STEPS - 1 ? 1.18 : 1;
    }
    assert_true(reach < 24.0 * HOUR); /* one step fewer cannot reach it, however they are cut */
}

static void any_delay_gets_the_step_that_is_never_early_and_hardly_late(void **state)
{
    static const int64_t outside[][2] = {
        {INT64_MIN, 1 * SECOND}, {-1, 1 * SECOND},       {0, 1 * SECOND},
        {1, 1 * SECOND},         {999, 1 * SECOND},      {24 * HOUR + 1, 24 * HOUR},
        {103645440, 24 * HOUR},  {30 * HOUR, 24 * HOUR}, {INT64_MAX, 24 * HOUR},
    };
    unsigned index = 0;
    (void)state;
    for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++)
        if (retry_grid_step(outside[i][0]) != outside[i][1])
            fail_msg("%lld: %lld", (long long)outside[i][0],
                     (long long)retry_grid_step(outside[i][0]));
    for (int64_t delay = 1 * SECOND; delay <= 24 * HOUR; delay += delay < MINUTE ? 1 : 997) {
        int64_t step = retry_grid_step(delay);
        while (retry_grid_at(index) < delay)
            index++;
        if (step != retry_grid_at(index) || step < delay || step * 100 > delay * 118)
            fail_msg("%lld: %lld", (long long)delay, (long long)step);
    }
    for (unsigned i = 0; i < RETRY_GRID_STEPS; i++) {
        assert_int_equal(retry_grid_step(retry_grid_at(i)), retry_grid_at(i));
        if (i > 0)
            assert_int_equal(retry_grid_step(retry_grid_at(i - 1) + 1), retry_grid_at(i));
    }
}

/* Why there is jitter, as a model: messages that all fail at once, a sink that is down for 30 s and
 * then takes 200 a second and refuses what is above that. */
enum { MESSAGES = 2000, TICK_MS = 100, DOWN_MS = 30000, PER_SECOND = 200, MODEL_END_MS = 3600000 };

struct model {
    bool jitter, grid;
    uint64_t seed;
    int64_t drained_ms;
    unsigned taken;   /* by the sink in this second */
    unsigned peak;    /* attempts in one tick, those at 0 left out */
    unsigned peak_up; /* the same since the sink is up again */
    unsigned long attempts;
    struct {
        int64_t next_ms;
        unsigned attempts;
        bool delivered;
    } messages[MESSAGES];
};

/* Knuth's MMIX generator: the model is the same in every run. */
static uint32_t drawn(struct model *m)
{
    m->seed = m->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return m->jitter ? (uint32_t)((m->seed >> 33) % 1000) : 999;
}

static void model_fails(struct model *m, unsigned i, int64_t now_ms)
{
    static const struct retry_policy policy = {
        .backoff_ms = 1000, .max_backoff_ms = 60000, .max_retries = 999};
    int64_t delay = planned(&policy, &counted, ++m->messages[i].attempts, drawn(m));
    m->messages[i].next_ms = now_ms + (m->grid ? retry_grid_step(delay) : delay);
}

/* How many were delivered in the tick. */
static unsigned model_tick(struct model *m, int64_t tick_ms)
{
    unsigned tried = 0, delivered = 0;
    if (tick_ms % 1000 == 0)
        m->taken = 0;
    for (unsigned i = 0; i < MESSAGES; i++) {
        if (m->messages[i].delivered || m->messages[i].next_ms >= tick_ms + TICK_MS)
            continue;
        tried++;
        if (tick_ms >= DOWN_MS && m->taken < PER_SECOND) {
            m->messages[i].delivered = true;
            m->taken++;
            delivered++;
        } else {
            model_fails(m, i, m->messages[i].next_ms);
        }
    }
    m->attempts += tried;
    if (tick_ms > 0 && tried > m->peak)
        m->peak = tried;
    if (tick_ms >= DOWN_MS && tried > m->peak_up)
        m->peak_up = tried;
    return delivered;
}

static void model_run(struct model *m)
{
    unsigned delivered = 0;
    for (int64_t tick = 0; delivered < MESSAGES && tick < MODEL_END_MS; tick += TICK_MS) {
        delivered += model_tick(m, tick);
        m->drained_ms = tick + TICK_MS;
    }
    assert_int_equal(delivered, MESSAGES);
    print_message("%-6s %-4s %5.1f attempts each, peak %u, then %u, drained after %.1f s\n",
                  m->jitter ? "jitter" : "none", m->grid ? "grid" : "",
                  (double)m->attempts / MESSAGES, m->peak, m->peak_up,
                  (double)m->drained_ms / 1000);
}

static void with_jitter_an_outage_drains_far_sooner_and_with_a_far_smaller_peak(void **state)
{
    static struct model none = {.jitter = false, .grid = false};
    (void)state;
    model_run(&none);
    assert_int_equal(none.peak, MESSAGES);
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct model m = {.jitter = true, .grid = false, .seed = seed};
        model_run(&m);
        assert_true(m.drained_ms * 5 < none.drained_ms);
        assert_true(m.peak * 3 < none.peak);
        assert_true(m.attempts < none.attempts);
    }
}

/* The first retry has one step only, so what failed in one moment is together once more; after a
 * few retries it is spread nearly as without the grid. */
static void the_grid_keeps_the_jitter(void **state)
{
    static struct model none = {.jitter = false, .grid = true};
    (void)state;
    model_run(&none);
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct model m = {.jitter = true, .grid = true, .seed = seed};
        model_run(&m);
        assert_true(m.drained_ms * 5 < none.drained_ms);
        assert_true(m.peak_up * 3 < none.peak_up);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_schedule_is_the_fast_phase_then_the_long_steps_then_the_end),
        cmocka_unit_test(every_delay_lies_within_its_bounds_and_all_of_them_are_reached),
        cmocka_unit_test(columns_of_any_size_keep_to_the_schedule),
        cmocka_unit_test(a_verdict_limits_attempts_and_asks_for_a_pause),
        cmocka_unit_test(an_attempt_that_does_not_count_waits_as_long_again_and_never_gives_up),
        cmocka_unit_test(the_grid_goes_from_a_second_to_a_day_in_the_fewest_steps),
        cmocka_unit_test(any_delay_gets_the_step_that_is_never_early_and_hardly_late),
        cmocka_unit_test(with_jitter_an_outage_drains_far_sooner_and_with_a_far_smaller_peak),
        cmocka_unit_test(the_grid_keeps_the_jitter),
    };
    return cmocka_run_group_tests_name("retry", tests, NULL, NULL);
}
