/* The pure parts of the replayer: filters, marks, the command line, retention. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "worker/replay_command.h"
#include "worker/replay_filter.h"
#include "worker/replay_mark.h"
#include "worker/retention.h"

static const struct replay_subject letter = {
    .service_id = 3,
    .rule_id = 5,
    .died_s = 1000,
    .message_id = "0191-a",
    .event_name = "\\mod_quiz\\event\\attempt_started",
    .reason = "HTTP 400 Bad Request",
};

static void each_part_of_a_filter_selects_by_itself(void **state)
{
    static const struct {
        struct replay_filter filter;
        bool matches;
    } rows[] = {
        {{.service_id = 0}, true},
        {{.service_id = 3}, true},
        {{.service_id = 4}, false},
        {{.rule_id = 5}, true},
        {{.rule_id = 6}, false},
        {{.message_id = "0191-a"}, true},
        {{.message_id = "0191-"}, false},
        {{.event_name = "\\mod_quiz\\event\\attempt_started"}, true},
        {{.event_name = "\\mod_quiz\\event\\*"}, true},
        {{.event_name = "\\mod_quiz\\event\\attempt"}, false},
        {{.event_name = "\\mod_forum\\event\\*"}, false},
        {{.reason = "bad request"}, true},
        {{.reason = "HTTP 401"}, false},
        {{.from_s = 1000}, true},
        {{.from_s = 1001}, false},
        {{.to_s = 1000}, true},
        {{.to_s = 999}, false},
        {{.from_s = 900, .to_s = 1100}, true},
        {{.service_id = 3, .rule_id = 6}, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (replay_filter_matches(&rows[i].filter, &letter) != rows[i].matches)
            fail_msg("row %zu", i);
}

static void a_letter_whose_death_nobody_knows_fits_no_time(void **state)
{
    struct replay_subject unknown = letter;

    (void)state;
    unknown.died_s = 0;
    assert_true(replay_filter_matches(&(struct replay_filter){.rule_id = 5}, &unknown));
    assert_false(replay_filter_matches(&(struct replay_filter){.to_s = 2000}, &unknown));
}

static void only_a_filter_without_any_part_is_empty(void **state)
{
    (void)state;
    assert_true(replay_filter_is_empty(&(struct replay_filter){.rule_id = 0}));
    assert_false(replay_filter_is_empty(&(struct replay_filter){.reason = "x"}));
    assert_false(replay_filter_is_empty(&(struct replay_filter){.to_s = 1}));
}

static void a_turn_ends_at_its_marker_or_when_a_letter_comes_round(void **state)
{
    const uint64_t own = replay_mark_base(7, 1700000000);
    const uint64_t other = replay_mark_base(6, 1700000000);

    (void)state;
    assert_int_equal(replay_mark_of(own, false, 0, 0), REPLAY_MARK_LETTER);
    assert_int_equal(replay_mark_of(own, false, 0, 123456), REPLAY_MARK_LETTER); /* a worker's */
    assert_int_equal(replay_mark_of(own, false, own, 0), REPLAY_MARK_END);
    assert_int_equal(replay_mark_of(own, false, other, 0), REPLAY_MARK_STALE);
    assert_int_equal(replay_mark_of(own, false, 7, 0), REPLAY_MARK_STALE);
    assert_int_equal(replay_mark_of(own, false, 0, own + 1), REPLAY_MARK_ROUND);
    assert_int_equal(replay_mark_of(own, false, 0, own + 99999999), REPLAY_MARK_ROUND);
    assert_int_equal(replay_mark_of(own, false, 0, other + 1), REPLAY_MARK_LETTER);
    assert_int_equal(replay_mark_of(own, false, own, own + 1), REPLAY_MARK_END);
}

static void a_pass_that_begins_takes_no_letter_for_its_own(void **state)
{
    const uint64_t own = replay_mark_base(7, 1700000000);

    (void)state;
    assert_int_equal(replay_mark_of(own, true, 0, own + 1), REPLAY_MARK_LETTER);
    assert_int_equal(replay_mark_of(own, true, own, 0), REPLAY_MARK_END);
}

static void numbers_fit_a_header_and_differ_when_an_id_is_used_again(void **state)
{
    char id[REPLAY_MARK_ID_SIZE];

    (void)state;
    for (int64_t i = 1; i < 1000; i++) {
        uint64_t base = replay_mark_base(i, 1700000000);
        assert_true(base > 0 && base < INT64_MAX / 2);
        assert_true(base != replay_mark_base(i, 1700000001));
        assert_true(base != replay_mark_base(i + 1, 1700000000));
    }
    replay_mark_id(UINT64_C(1) << 61, id);
    assert_string_equal(id, "marker-2305843009213693952");
}

static const int64_t day_s = 86400;

static const struct retention month = {.max_age_s = INT64_C(30) * 86400, .max_number = 1000};

static void nothing_is_dropped_by_the_look_that_warns_first(void **state)
{
    struct retention_view view = {.letters = 1200, .oldest_s = 1};
    struct retention_decision d;

    (void)state;
    retention_decide(&month, &view, 40 * day_s, &d);
    assert_true(d.warn_number && d.warn_age);
    assert_int_equal(d.surplus, 0);
    assert_false(d.drop_old);
    view.warned = true;
    retention_decide(&month, &view, 40 * day_s, &d);
    assert_int_equal(d.surplus, 200);
    assert_true(d.drop_old);
}

static void a_warning_comes_at_80_percent_and_a_day_before_the_age(void **state)
{
    const int64_t died_s = 1000000;
    struct retention_view view = {.letters = 799, .oldest_s = died_s, .warned = true};
    struct retention_decision d;

    (void)state;
    retention_decide(&month, &view, died_s + 29 * day_s - 1, &d);
    assert_false(d.warn_number || d.warn_age || d.drop_old || d.surplus > 0);
    assert_int_equal(d.look_s, died_s + 29 * day_s);
    view.letters = 800;
    retention_decide(&month, &view, died_s + 29 * day_s, &d);
    assert_true(d.warn_number && d.warn_age);
    assert_false(d.drop_old);
    assert_int_equal(d.surplus, 0);
    retention_decide(&month, &view, died_s + 30 * day_s + 1, &d);
    assert_true(d.drop_old);
}

static void a_letter_without_a_noted_death_has_no_age(void **state)
{
    const struct retention_view view = {.letters = 5, .oldest_s = 0, .warned = true};
    struct retention_decision d;

    (void)state;
    assert_false(retention_expired(&month, 0, INT64_C(4000000000)));
    assert_false(retention_expired(&month, 1000, 1000 + 30 * day_s));
    assert_true(retention_expired(&month, 1000, 1001 + 30 * day_s));
    retention_decide(&month, &view, INT64_C(4000000000), &d);
    assert_false(d.warn_age || d.drop_old);
    assert_true(d.look_s > INT64_C(4000000000));
}

static void times_are_iso_8601_or_unix_seconds(void **state)
{
    static const struct {
        const char *text;
        int64_t expected; /* 0: refused */
    } rows[] = {
        {"1700000000", 1700000000},
        {"2023-11-14", 1699920000},
        {"2023-11-14T22:13:20Z", 1700000000},
        {"2023-11-14T22:13:20", 1700000000},
        {"2023-11-14 22:13:20", 1700000000},
        {"2023-11-14T22:13Z", 1699999980},
        {"2023-11-14T23:13:20+01:00", 1700000000},
        {"2023-11-14T17:13:20-05", 1700000000},
        {"2024-02-29", 1709164800},
        {"2023-02-29", 0},
        {"2023-13-01", 0},
        {"2023-11-14T24:00", 0},
        {"2023-11-14T22", 0},
        {"2023-11-14T22:13:20X", 0},
        {"2023-11-14T22:13:20+1", 0},
        {"yesterday", 0},
        {"", 0},
        {"0", 0},
        {"-5", 0},
        {"99999999999999", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t s = 0;
        int r = replay_command_time(rows[i].text, &s);
        if (s != rows[i].expected || (r == 0) != (rows[i].expected != 0))
            fail_msg("'%s': %d, %lld", rows[i].text, r, (long long)s);
    }
}

static int parse(char **argv, struct replay_command *c, char *reason, size_t size)
{
    int argc = 0;

    while (argv[argc])
        argc++;
    return replay_command_parse(argc, argv, c, reason, size);
}

static void a_command_line_becomes_a_replay(void **state)
{
    char *argv[] = {"mih-replayer", "replay",  "--rule",    "5",    "--reason", "refused",
                    "--mode",       "render",  "--rate",    "2000", "--limit",  "10",
                    "--stop-after", "3",       "--service", "erp",  "--canary", "--json",
                    "--from",       "1700000", "--dry-run", NULL};
    struct replay_command c;
    char reason[256];

    (void)state;
    assert_int_equal(parse(argv, &c, reason, sizeof reason), 0);
    assert_int_equal(c.verb, VERB_REPLAY);
    assert_int_equal(c.replay.action, REPLAY_REPLAY);
    assert_int_equal(c.replay.filter.rule_id, 5);
    assert_string_equal(c.replay.filter.reason, "refused");
    assert_int_equal(c.replay.filter.from_s, 1700000);
    assert_false(c.replay.as_sent);
    assert_int_equal(c.replay.rate, 2000);
    assert_int_equal(c.replay.max_count, 10);
    assert_int_equal(c.replay.stop_after, 3);
    assert_true(c.replay.canary && c.replay.dry_run && c.json);
    assert_string_equal(c.service, "erp");
}

static void the_defaults_are_as_sent_at_100_a_second(void **state)
{
    char *argv[] = {"mih-replayer", "discard", "--all", NULL};
    struct replay_command c;
    char reason[256];

    (void)state;
    assert_int_equal(parse(argv, &c, reason, sizeof reason), 0);
    assert_int_equal(c.replay.action, REPLAY_DISCARD);
    assert_true(c.replay.as_sent);
    assert_int_equal(c.replay.rate, 100);
    assert_true(replay_filter_is_empty(&c.replay.filter));
}

static void what_could_hit_more_than_was_meant_is_refused(void **state)
{
    static struct {
        char *argv[6];
        const char *expected;
    } rows[] = {
        {{"x", "replay", NULL}, "say which ones, or --all"},
        {{"x", "discard", NULL}, "say which ones, or --all"},
        {{"x", "discard", "--all", "--canary", NULL}, "--canary: only replay knows it"},
        {{"x", "discard", "--all", "--stop-after=2", NULL}, "--stop-after: only replay"},
        {{"x", "list", "--mode=render", NULL}, "--mode render: only replay knows it"},
        {{"x", "replay", "--all", "--rule", "5", NULL}, "not together"},
        {{"x", "--rule", "5", NULL}, "must be said"},
        {{"x", "reindex", "--rule", "5", NULL}, "only --service"},
        {{"x", "reindex", "--limit", "1", NULL}, "takes all letters"},
        {{"x", "replay", "discard", "--all", NULL}, "once"},
        {{"x", "replay", "--rule", "0", NULL}, "a number from 1"},
        {{"x", "replay", "--id", "", NULL}, "not empty"},
        {{"x", "replay", "--mode", "as-is", NULL}, "sent or render"},
        {{"x", "replay", "--rule", NULL}, "missing"},
        {{"x", "replay", "--from=20", "--to=10", NULL}, "before --from"},
        {{"x", "withdraw", NULL}, "the number of a replay"},
        {{"x", "withdraw", "0", NULL}, "the number of a replay"},
        {{"x", "withdraw", "1", "2", NULL}, "once"},
        {{"x", "withdraw", "1", "--rule", "5", NULL}, "nothing else"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct replay_command c;
        char reason[256] = "";
        int r = parse(rows[i].argv, &c, reason, sizeof reason);
        if (r != -EINVAL || !strstr(reason, rows[i].expected))
            fail_msg("row %zu: %d, %s", i, r, reason);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_part_of_a_filter_selects_by_itself),
        cmocka_unit_test(a_letter_whose_death_nobody_knows_fits_no_time),
        cmocka_unit_test(only_a_filter_without_any_part_is_empty),
        cmocka_unit_test(a_turn_ends_at_its_marker_or_when_a_letter_comes_round),
        cmocka_unit_test(a_pass_that_begins_takes_no_letter_for_its_own),
        cmocka_unit_test(numbers_fit_a_header_and_differ_when_an_id_is_used_again),
        cmocka_unit_test(nothing_is_dropped_by_the_look_that_warns_first),
        cmocka_unit_test(a_warning_comes_at_80_percent_and_a_day_before_the_age),
        cmocka_unit_test(a_letter_without_a_noted_death_has_no_age),
        cmocka_unit_test(times_are_iso_8601_or_unix_seconds),
        cmocka_unit_test(a_command_line_becomes_a_replay),
        cmocka_unit_test(the_defaults_are_as_sent_at_100_a_second),
        cmocka_unit_test(what_could_hit_more_than_was_meant_is_refused),
    };
    return cmocka_run_group_tests_name("replay", tests, NULL, NULL);
}
