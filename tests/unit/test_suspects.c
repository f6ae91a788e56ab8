#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/suspects.h"

enum { NOW_MS = 1000 };

static const struct suspect_key none;

/* A supervisor's view and those of two processes. */
struct fleet {
    struct suspects all, one, two;
};

static int set_up(void **state)
{
    struct fleet *f = calloc(1, sizeof *f);
    struct suspects_memory *memory = aligned_alloc(64, sizeof *memory);

    memset(memory, 0, sizeof *memory);
    f->all = (struct suspects){.memory = memory};
    f->one = (struct suspects){.memory = memory, .number = 1};
    f->two = (struct suspects){.memory = memory, .number = 2};
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fleet *f = *state;

    free(f->all.memory);
    free(f);
    return 0;
}

static struct suspect_key key_of(const char *id)
{
    struct suspect_key key;

    suspect_key_make(7, id, "{}", 2, &key);
    return key;
}

static bool is_poison(const struct fleet *f, const char *id, int64_t returns)
{
    struct suspect_key key = key_of(id);
    unsigned deaths;

    return suspects_is_poison(&f->two, &key, returns, &deaths);
}

static unsigned dies_at_work_on(struct fleet *f, const char *id, enum suspect_end end)
{
    (void)suspects_enter(&f->one, key_of(id));
    return suspects_ended(&f->all, 1, end, NOW_MS);
}

static void three_deaths_make_a_message_poison_for_all(void **state)
{
    struct fleet *f = *state;

    assert_int_equal(dies_at_work_on(f, "bad", SUSPECT_CRASHED), 1);
    assert_int_equal(dies_at_work_on(f, "other", SUSPECT_CRASHED), 1);
    assert_int_equal(dies_at_work_on(f, "bad", SUSPECT_KILLED), 2);
    assert_false(is_poison(f, "bad", 9));
    assert_int_equal(dies_at_work_on(f, "bad", SUSPECT_CRASHED), 3);
    assert_true(is_poison(f, "bad", 0));
    assert_false(is_poison(f, "other", 9));
    assert_false(is_poison(f, "never seen", 20));
}

static void two_deaths_are_enough_for_what_went_round_elsewhere(void **state)
{
    struct fleet *f = *state;

    dies_at_work_on(f, "bad", SUSPECT_CRASHED);
    assert_false(is_poison(f, "bad", SUSPECT_RETURNS));
    dies_at_work_on(f, "bad", SUSPECT_CRASHED);
    assert_false(is_poison(f, "bad", SUSPECT_RETURNS - 1));
    assert_true(is_poison(f, "bad", SUSPECT_RETURNS));
    assert_false(is_poison(f, "sound", SUSPECT_RETURNS));
}

static void a_process_that_was_told_to_end_blames_nobody(void **state)
{
    struct fleet *f = *state;

    assert_int_equal(dies_at_work_on(f, "sound", SUSPECT_ASKED), 0);
    assert_false(suspects_careful(&f->one));
}

static void a_death_is_counted_once(void **state)
{
    struct fleet *f = *state;

    assert_int_equal(dies_at_work_on(f, "bad", SUSPECT_CRASHED), 1);
    assert_int_equal(suspects_ended(&f->all, 1, SUSPECT_CRASHED, NOW_MS), 0);
}

static void what_is_left_is_not_blamed(void **state)
{
    struct fleet *f = *state;
    struct suspect_key outer = suspects_enter(&f->one, key_of("a"));
    struct suspect_key inner = suspects_enter(&f->one, key_of("b"));

    suspects_leave(&f->one, inner);
    assert_int_equal(suspects_ended(&f->all, 1, SUSPECT_KILLED, NOW_MS), 1); /* a, not b */
    suspects_leave(&f->one, outer);
    assert_int_equal(suspects_ended(&f->all, 1, SUSPECT_KILLED, NOW_MS), 0);
    assert_int_equal(dies_at_work_on(f, "a", SUSPECT_KILLED), 2);
    assert_int_equal(dies_at_work_on(f, "b", SUSPECT_KILLED), 1);
}

static void only_a_crash_that_is_nobodys_makes_careful(void **state)
{
    struct fleet *f = *state;
    int64_t now_ms = timing_mono_ms();

    suspects_in_flight(&f->one, 2);
    (void)suspects_ended(&f->all, 1, SUSPECT_KILLED, now_ms);
    (void)suspects_ended(&f->all, 1, SUSPECT_CRASHED, now_ms); /* the next one: it sent nothing */
    suspects_in_flight(&f->one, 2);
    (void)dies_at_work_on(f, "bad", SUSPECT_CRASHED);
    assert_false(suspects_careful(&f->two));
    suspects_in_flight(&f->one, 2);
    (void)suspects_ended(&f->all, 1, SUSPECT_CRASHED, now_ms - SUSPECT_CARE_MS);
    assert_false(suspects_careful(&f->two)); /* that is over */
    suspects_in_flight(&f->one, 1);
    (void)suspects_ended(&f->all, 1, SUSPECT_CRASHED, now_ms);
    assert_true(suspects_careful(&f->two));
}

static void careful(struct fleet *f)
{
    suspects_in_flight(&f->two, 1);
    (void)suspects_ended(&f->all, 2, SUSPECT_CRASHED, timing_mono_ms());
}

static void the_one_request_under_way_is_blamed_between_its_steps(void **state)
{
    struct fleet *f = *state;
    struct suspect_key before;

    careful(f);
    before = suspects_enter(&f->one, key_of("bad"));
    f->one.under_way = key_of("bad");
    suspects_leave(&f->one, before);
    before = suspects_enter(&f->one, key_of("another's retry was confirmed"));
    suspects_leave(&f->one, before);
    assert_int_equal(suspects_ended(&f->all, 1, SUSPECT_CRASHED, NOW_MS), 1);
    before = suspects_enter(&f->one, key_of("bad"));
    f->one.under_way = none;
    suspects_leave(&f->one, before);
    assert_int_equal(suspects_ended(&f->all, 1, SUSPECT_CRASHED, NOW_MS), 0);
    assert_int_equal(dies_at_work_on(f, "bad", SUSPECT_CRASHED), 2);
}

static void a_kill_does_not_blame_what_is_merely_under_way(void **state)
{
    struct fleet *f = *state;
    struct suspect_key before;

    careful(f);
    before = suspects_enter(&f->one, key_of("slow"));
    f->one.under_way = key_of("slow");
    suspects_leave(&f->one, before);
    assert_int_equal(suspects_ended(&f->all, 1, SUSPECT_KILLED, NOW_MS), 0);
    assert_int_equal(dies_at_work_on(f, "slow", SUSPECT_KILLED), 1);
}

static void what_is_under_way_is_forgotten_when_the_care_is_over(void **state)
{
    struct fleet *f = *state;
    struct suspect_key before = suspects_enter(&f->one, key_of("slow"));

    f->one.under_way = key_of("slow");
    suspects_leave(&f->one, before);
    assert_int_equal(suspects_ended(&f->all, 1, SUSPECT_CRASHED, NOW_MS), 0);
}

static void the_one_that_killed_longest_ago_gives_way(void **state)
{
    struct fleet *f = *state;
    char id[16];

    for (int i = 0; i <= SUSPECTS_MAX; i++) {
        snprintf(id, sizeof id, "%d", i);
        assert_int_equal(dies_at_work_on(f, id, SUSPECT_CRASHED), 1);
        assert_int_equal(dies_at_work_on(f, id, SUSPECT_CRASHED), 2);
    }
    assert_false(is_poison(f, "0", SUSPECT_RETURNS));
    assert_true(is_poison(f, "1", SUSPECT_RETURNS));
    assert_true(is_poison(f, id, SUSPECT_RETURNS));
}

static void service_id_and_body_tell_messages_apart(void **state)
{
    struct suspect_key keys[6];

    (void)state;
    suspect_key_make(7, "id", "{}", 2, &keys[0]);
    suspect_key_make(8, "id", "{}", 2, &keys[1]);
    suspect_key_make(7, "di", "{}", 2, &keys[2]);
    suspect_key_make(7, "id", "[]", 2, &keys[3]);
    suspect_key_make(7, "", "{}", 2, &keys[4]);
    suspect_key_make(7, "", "", 0, &keys[5]);
    for (size_t i = 0; i < 6; i++) {
        assert_int_not_equal(keys[i].word[1], 0);
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(&keys[i], &keys[j], sizeof keys[i]);
    }
    suspect_key_make(7, "id", "{}", 2, &keys[1]);
    assert_memory_equal(&keys[0], &keys[1], sizeof keys[0]);
}

static void what_is_not_written_down_is_never_poison(void **state)
{
    struct fleet *f = *state;
    unsigned deaths;

    (void)suspects_enter(&f->one, none);
    assert_int_equal(suspects_ended(&f->all, 1, SUSPECT_KILLED, NOW_MS), 0);
    assert_false(suspects_is_poison(&f->one, &none, 20, &deaths));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(three_deaths_make_a_message_poison_for_all),
        TEST(two_deaths_are_enough_for_what_went_round_elsewhere),
        TEST(a_process_that_was_told_to_end_blames_nobody),
        TEST(a_death_is_counted_once),
        TEST(what_is_left_is_not_blamed),
        TEST(only_a_crash_that_is_nobodys_makes_careful),
        TEST(the_one_request_under_way_is_blamed_between_its_steps),
        TEST(a_kill_does_not_blame_what_is_merely_under_way),
        TEST(what_is_under_way_is_forgotten_when_the_care_is_over),
        TEST(the_one_that_killed_longest_ago_gives_way),
        TEST(service_id_and_body_tell_messages_apart),
        TEST(what_is_not_written_down_is_never_poison),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
