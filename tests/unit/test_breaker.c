/* The breaker of a service: every transition, by table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dispatcher/breaker.h"

enum { NEVER = -1, THRESHOLD = 5, FAR = 1000, STEP_MS = 10 };

static struct breaker in_state(enum breaker_state state, unsigned trips)
{
    struct breaker b;
    breaker_init(&b);
    breaker_learn(&b, state, trips);
    return b;
}

/* Feeds calls, one each 10 ms: F failure, S success, N neutral, a digit so many times ten seconds
 * of silence. The index of the call that opened it, or NEVER. */
static int opened_by(struct breaker *b, unsigned threshold, const char *calls)
{
    int64_t now_ms = 1000000;
    for (int i = 0; calls[i] != '\0'; i++) {
        if (calls[i] >= '0' && calls[i] <= '9') {
            now_ms += (calls[i] - '0') * INT64_C(10000);
            continue;
        }
        enum verdict_breaker result = calls[i] == 'F'   ? BREAKER_FAILURE
                                      : calls[i] == 'S' ? BREAKER_SUCCESS
                                                        : BREAKER_NEUTRAL;
        if (breaker_result(b, threshold, result, now_ms))
            return i;
        assert_int_equal(b->state, BREAKER_CLOSED);
        now_ms += STEP_MS;
    }
    return NEVER;
}

static void opens_at_the_threshold_or_when_half_of_the_last_calls_failed(void **state)
{
    static const struct {
        const char *name;
        unsigned threshold;
        const char *calls;
        int opened;
    } rows[] = {
        {"threshold", THRESHOLD, "FFFFF", 4},
        {"below it", THRESHOLD, "FFFF", NEVER},
        {"a success between", THRESHOLD, "FFFFSFFFF", NEVER},
        {"neutral between", THRESHOLD, "FFNNFFNF", 7},
        {"neutral alone", 1, "NNNNNNNNNNNNNNNNNNNNNNNNNNNNNN", NEVER},
        {"threshold of 1", 1, "SSF", 2},
        {"threshold of 0", 0, "SF", 1},
        {"in a row over hours", THRESHOLD, "F99999F99999F99999F99999F", 24},
        {"half of 10", FAR, "SFSFSFSFSF", 9},
        {"half of 9 is too few", FAR, "FSFSFSFSF", NEVER},
        {"neutral ones are not among the 10", FAR, "SFSFSFSFNNNNNNSF", 15},
        {"a success opens nothing", FAR, "FFFFFSSSSS", NEVER},
        {"the failure after it does", FAR, "FFFFFSSSSSF", 10},
        {"less than half of 20", FAR, "SSSSSSSSSSSFFFFFFFFF", NEVER},
        {"half of 20", FAR, "SSSSSSSSSSFFFFFFFFFF", 19},
        {"the 20th before counts", FAR, "FSSSSSSSSSSFFFFFFFFF", 19},
        {"the 21st pushes out the first", FAR, "SSSSSSSSSSSFFFFFFFFFF", 20},
        {"failures that were pushed out", FAR, "FFFFFFFFFSSSSSSSSSSSSSSSSSSSSFFFFFFFFF", NEVER},
        {"failures of a minute ago", FAR, "FFFFFFFFF51SSSFF", NEVER},
        {"failures of less than a minute ago", FAR, "FFFFFFFFF5SSSFF", 13},
        {"successes of a minute ago", FAR, "SSSSSSSSSSSSSSSSSSSS6FFFFFFFFFF", 30},
        {"old ones do not make 10", FAR, "SSSSSSSSSSSSSSSSSSSS6FFFFFFFFF", NEVER},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct breaker b = in_state(BREAKER_CLOSED, 0);
        int opened = opened_by(&b, rows[i].threshold, rows[i].calls);
        if (opened != rows[i].opened)
            fail_msg("%s: %d", rows[i].name, opened);
        assert_int_equal(b.state, opened == NEVER ? BREAKER_CLOSED : BREAKER_OPEN);
        assert_int_equal(b.trips, opened == NEVER ? 0 : 1);
    }
}

static void a_call_is_forgotten_when_it_is_older_than_a_minute(void **state)
{
    static const struct {
        int64_t later_ms;
        bool opens;
    } rows[] = {{59999, true}, {60000, true}, {60001, false}, {INT64_C(1) << 40, false}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct breaker b = in_state(BREAKER_CLOSED, 0);
        for (int call = 0; call < 9; call++)
            assert_false(breaker_result(&b, FAR, BREAKER_FAILURE, 500));
        if (breaker_result(&b, FAR, BREAKER_FAILURE, 500 + rows[i].later_ms) != rows[i].opens)
            fail_msg("row %zu", i);
    }
}

enum input { FAILURE, SUCCESS, NEUTRAL, PROBING, PROBE_FAILURE, PROBE_SUCCESS, PROBE_NEUTRAL };

static bool put_in(struct breaker *b, enum input input)
{
    switch (input) {
    case FAILURE:
        return breaker_result(b, 1, BREAKER_FAILURE, 0);
    case SUCCESS:
        return breaker_result(b, 1, BREAKER_SUCCESS, 0);
    case NEUTRAL:
        return breaker_result(b, 1, BREAKER_NEUTRAL, 0);
    case PROBING:
        breaker_probing(b);
        return b->state == BREAKER_HALF_OPEN;
    case PROBE_FAILURE:
        return breaker_probed(b, BREAKER_FAILURE);
    case PROBE_SUCCESS:
        return breaker_probed(b, BREAKER_SUCCESS);
    case PROBE_NEUTRAL:
        return breaker_probed(b, BREAKER_NEUTRAL);
    }
    return false;
}

static void every_state_answers_every_input(void **state)
{
    static const struct {
        enum breaker_state before;
        enum input input;
        bool told;
        enum breaker_state after;
        unsigned trips; /* 2 before, where it is not closed */
    } rows[] = {
        {BREAKER_CLOSED, FAILURE, true, BREAKER_OPEN, 1},
        {BREAKER_CLOSED, SUCCESS, false, BREAKER_CLOSED, 0},
        {BREAKER_CLOSED, NEUTRAL, false, BREAKER_CLOSED, 0},
        {BREAKER_CLOSED, PROBING, false, BREAKER_CLOSED, 0},
        {BREAKER_CLOSED, PROBE_FAILURE, false, BREAKER_CLOSED, 0},
        {BREAKER_CLOSED, PROBE_SUCCESS, false, BREAKER_CLOSED, 0},
        {BREAKER_CLOSED, PROBE_NEUTRAL, false, BREAKER_CLOSED, 0},
        {BREAKER_OPEN, FAILURE, false, BREAKER_OPEN, 2},
        {BREAKER_OPEN, SUCCESS, false, BREAKER_OPEN, 2},
        {BREAKER_OPEN, NEUTRAL, false, BREAKER_OPEN, 2},
        {BREAKER_OPEN, PROBING, true, BREAKER_HALF_OPEN, 2},
        {BREAKER_OPEN, PROBE_FAILURE, false, BREAKER_OPEN, 2},
        {BREAKER_OPEN, PROBE_SUCCESS, false, BREAKER_OPEN, 2},
        {BREAKER_OPEN, PROBE_NEUTRAL, false, BREAKER_OPEN, 2},
        {BREAKER_HALF_OPEN, FAILURE, false, BREAKER_HALF_OPEN, 2},
        {BREAKER_HALF_OPEN, SUCCESS, false, BREAKER_HALF_OPEN, 2},
        {BREAKER_HALF_OPEN, NEUTRAL, false, BREAKER_HALF_OPEN, 2},
        {BREAKER_HALF_OPEN, PROBING, true, BREAKER_HALF_OPEN, 2},
        {BREAKER_HALF_OPEN, PROBE_FAILURE, true, BREAKER_OPEN, 3},
        {BREAKER_HALF_OPEN, PROBE_SUCCESS, true, BREAKER_CLOSED, 0},
        {BREAKER_HALF_OPEN, PROBE_NEUTRAL, false, BREAKER_HALF_OPEN, 2},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct breaker b = in_state(rows[i].before, 2);
        bool told = put_in(&b, rows[i].input);
        if (told != rows[i].told || b.state != rows[i].after || b.trips != rows[i].trips)
            fail_msg("row %zu: told %d, state %d, trips %u", i, told, (int)b.state, b.trips);
    }
}

static void it_learns_every_state_from_others(void **state)
{
    static const enum breaker_state states[] = {BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN};
    (void)state;
    for (size_t from = 0; from < 3; from++)
        for (size_t to = 0; to < 3; to++) {
            struct breaker b = in_state(states[from], 2);
            assert_int_equal(breaker_learn(&b, states[to], 7), from != to);
            assert_int_equal(b.state, states[to]);
            assert_int_equal(b.trips, to == 0 ? 0 : 7);
        }
}

static void news_of_the_state_it_is_in_takes_nothing_from_what_was_noted(void **state)
{
    struct breaker b = in_state(BREAKER_CLOSED, 0);
    (void)state;
    assert_int_equal(opened_by(&b, THRESHOLD, "FFFF"), NEVER);
    assert_false(breaker_learn(&b, BREAKER_CLOSED, 0));
    assert_int_equal(opened_by(&b, THRESHOLD, "F"), 0);
}

static void a_breaker_that_closed_has_forgotten_everything(void **state)
{
    struct breaker probed = in_state(BREAKER_CLOSED, 0), reset;
    (void)state;
    assert_int_equal(opened_by(&probed, FAR, "SFSFSFSFSF"), 9);
    reset = probed;
    breaker_probing(&probed);
    assert_true(breaker_probed(&probed, BREAKER_SUCCESS));
    assert_true(breaker_learn(&reset, BREAKER_CLOSED, 0));
    assert_int_equal(opened_by(&probed, 9, "FFFFFFFF"), NEVER);
    assert_int_equal(opened_by(&reset, 9, "FFFFFFFF"), NEVER);
}

static void the_number_of_trips_stays_within_its_column(void **state)
{
    struct breaker b = in_state(BREAKER_HALF_OPEN, 4000000000);
    (void)state;
    assert_int_equal(b.trips, 99999);
    assert_true(breaker_probed(&b, BREAKER_FAILURE));
    assert_int_equal(b.trips, 99999);
}

static void the_cooldown_doubles_up_to_ten_minutes_and_spreads(void **state)
{
    static const struct {
        int64_t cooldown_s;
        unsigned trips;
        int64_t expected_s; /* the middle */
    } rows[] = {
        {30, 0, 30},      {30, 1, 30},          {30, 2, 60},       {30, 3, 120},
        {30, 4, 240},     {30, 5, 480},         {30, 6, 600},      {30, 7, 600},
        {30, 99999, 600}, {1, 10, 512},         {1, 11, 600},      {0, 1, 1},
        {0, 2, 2},        {-7, 1, 1},           {600, 1, 600},     {600, 2, 600},
        {601, 1, 601},    {601, 5, 601},        {99999, 1, 99999}, {99999, 99999, 99999},
        {400, 2, 600},    {5, UINT32_MAX, 600},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t expected = rows[i].expected_s * 1000;
        int64_t cooldown = rows[i].cooldown_s * 1000;
        if (breaker_cooldown_ms(cooldown, rows[i].trips, 500) != expected)
            fail_msg("row %zu: %lld", i,
                     (long long)breaker_cooldown_ms(cooldown, rows[i].trips, 500));
        assert_int_equal(breaker_cooldown_ms(cooldown, rows[i].trips, 0), expected / 10 * 8);
        assert_in_range(breaker_cooldown_ms(cooldown, rows[i].trips, 999), expected / 1000 * 1199,
                        expected / 10 * 12);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_at_the_threshold_or_when_half_of_the_last_calls_failed),
        cmocka_unit_test(a_call_is_forgotten_when_it_is_older_than_a_minute),
        cmocka_unit_test(every_state_answers_every_input),
        cmocka_unit_test(it_learns_every_state_from_others),
        cmocka_unit_test(news_of_the_state_it_is_in_takes_nothing_from_what_was_noted),
        cmocka_unit_test(a_breaker_that_closed_has_forgotten_everything),
        cmocka_unit_test(the_number_of_trips_stays_within_its_column),
        cmocka_unit_test(the_cooldown_doubles_up_to_ten_minutes_and_spreads),
    };
    return cmocka_run_group_tests_name("breaker", tests, NULL, NULL);
}
