/* The index of dead letters against a real server; test_database.py starts it, sets dbenv.h's
 * variables and logs it in as the worker's user with the worker's rights. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/db.h"
#include "tests/integration/dbenv.h"
#include "worker/deadindex.h"

enum { MANY = 250, LONG_TEXT = 70000 };
#define NEXT_CENTURY 4102444800

static struct db *db;

/* The columns of a row as one text: "a|b|NULL|c". */
static int keep_text(void *context, const struct db_row *row)
{
    char *text = context;
    size_t used = strlen(text);

    for (size_t i = 0; i < row->n; i++)
        used += (size_t)snprintf(text + used, 4000 - used, "%s%s", i > 0 || used > 0 ? "|" : "",
                                 row->text[i] ? row->text[i] : "NULL");
    return 0;
}

static const char *ask(const char *sql)
{
    static char text[4000];

    text[0] = '\0';
    if (db_query(db, sql, NULL, 0, keep_text, text, NULL) != 0)
        fail_msg("%s: %s", sql, db_reason(db));
    return text;
}

static void assert_row(const char *message_id, const char *columns, const char *expect)
{
    char sql[1000];

    snprintf(sql, sizeof sql,
             "SELECT %s FROM {local_integrationhub_dlq} WHERE messageid = '%s' ORDER BY id",
             columns, message_id);
    assert_string_equal(ask(sql), expect);
}

static struct dead_row full_row(const char *message_id)
{
    return (struct dead_row){
        .service_id = 7,
        .rule_id = 70,
        .attempts = 13,
        .status = 503,
        .first_s = 1000,
        .died_s = 2000,
        .message_id = message_id,
        .event_name = "\\core\\event\\user_created",
        .reason = "answered 503",
        .payload = "{\"a\":\"Größe\"}",
        .endpoint = "https://erp.example/students",
        .method = "POST",
        .response = "busy",
    };
}

static void put(const struct dead_row *rows, size_t n)
{
    if (deadindex_put(db, rows, n) != 0)
        fail_msg("%s", db_reason(db));
}

static void died(const struct dead_row *rows, size_t n)
{
    if (deadindex_died(db, rows, n) != 0)
        fail_msg("%s", db_reason(db));
}

static void set(const struct dead_row *rows, size_t n, const char *state, int64_t replay_id)
{
    if (deadindex_set(db, rows, n, state, replay_id) != 0)
        fail_msg("%s", db_reason(db));
}

static void a_letter_becomes_a_row_with_every_column(void **state)
{
    const struct dead_row row = full_row("whole");

    (void)state;
    put(&row, 1);
    assert_row("whole",
               "eventname, serviceid, payload, error_message, timecreated, ruleid, endpoint,"
               " http_method, attempts, http_status, response, state, timefirst,"
               " ABS(UNIX_TIMESTAMP() - timemodified) < 60, replayid",
               "\\core\\event\\user_created|7|{\"a\":\"Größe\"}|answered 503|2000|70|"
               "https://erp.example/students|POST|13|503|busy|dead|1000|1|NULL");
}

static void what_is_not_known_stays_and_what_was_not_there_is_null(void **state)
{
    struct dead_row row = full_row("unknown");

    (void)state;
    put(&row, 1);
    row.payload = row.endpoint = row.method = row.event_name = NULL;
    row.response = "";
    row.reason = "no answer within 5 s";
    row.status = 0;
    row.died_s = 3000;
    put(&row, 1);
    assert_row(
        "unknown",
        "payload, endpoint, http_method, response, error_message, http_status, timecreated",
        "{\"a\":\"Größe\"}|https://erp.example/students|POST||no answer within 5 s|NULL|3000");
    row = (struct dead_row){.service_id = 7, .message_id = "bare"};
    put(&row, 1);
    assert_row("bare",
               "eventname, payload, error_message, ruleid, endpoint, http_method, http_status,"
               " response, timefirst, ABS(UNIX_TIMESTAMP() - timecreated) < 60",
               "|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|1");
}

static void the_key_is_message_rule_and_service(void **state)
{
    struct dead_row rows[5];

    (void)state;
    for (size_t i = 0; i < 5; i++)
        rows[i] = full_row("key");
    rows[1].rule_id = 71;
    rows[2].rule_id = 0;
    rows[3].service_id = 8;
    rows[4].message_id = "KEY"; /* equal in the table's collation, and another message */
    put(rows, 5);
    put(rows, 5);
    assert_row("key", "BINARY messageid, ruleid, serviceid",
               "key|70|7|key|71|7|key|NULL|7|key|70|8|KEY|70|7");
}

static void one_batch_may_hold_a_letter_twice(void **state)
{
    struct dead_row rows[2] = {full_row("twice"), full_row("twice")};

    (void)state;
    rows[0].attempts = 1;
    rows[1].attempts = 2;
    put(rows, 2);
    assert_row("twice", "attempts", "2");
    rows[0].attempts = 3;
    rows[1].attempts = 4;
    put(rows, 2);
    assert_row("twice", "attempts", "4");
}

static void texts_are_cut_between_characters_and_made_valid(void **state)
{
    struct dead_row row = full_row("cut");
    char *text = malloc(LONG_TEXT + 1);

    (void)state;
    assert_non_null(text);
    text[0] = 'x';
    for (size_t i = 1; i < LONG_TEXT; i += 2) /* "ü": a cut at an even place would halve one */
        memcpy(text + i, "\xc3\xbc", i + 1 < LONG_TEXT ? 2 : 1);
    text[LONG_TEXT] = '\0';
    row.payload = row.event_name = row.reason = row.endpoint = row.response = text;
    row.method = "NONSENSEMETHOD";
    put(&row, 1);
    assert_row("cut",
               "LENGTH(payload), LENGTH(eventname), LENGTH(error_message), LENGTH(endpoint),"
               " LENGTH(response), http_method, RIGHT(payload, 1)",
               "65535|255|4095|1333|2047|NONSENSEME|ü");
    row.payload = "a\xff"
                  "b\xc3";
    row.attempts = INT64_MAX;
    put(&row, 1);
    assert_row("cut", "payload, attempts", "a?b?|8388607");
    free(text);
}

static void an_endpoint_keeps_no_secret(void **state)
{
    static const struct {
        const char *url, *expect;
    } cases[] = {
        {"https://erp.example/a?key=secret&b=1", "https://erp.example/a"},
        {"https://me:secret@erp.example:8443/a@b", "https://erp.example:8443/a@b"},
        {"https://me:se@cret@erp.example/", "https://erp.example/"},
        {"https://erp.example/a#Operation", "https://erp.example/a#Operation"},
        {"https://erp.example/a?wsdl&key=secret#Op?x@y", "https://erp.example/a#Op?x@y"},
        {"https://me:secret@erp.example#a@b", "https://erp.example#a@b"},
        {"me:secret@erp.example#a://b", "erp.example#a://b"},
        {"https://me:secret@erp.example", "https://erp.example"},
        {"https://me@erp.example?u=http://x@y", "https://erp.example"},
        {"me:secret@erp.example/x", "erp.example/x"},
        {"me:secret@erp.example/x?u=http://y@z", "erp.example/x"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dead_row row = full_row("endpoint");

        print_message("%s\n", cases[i].url);
        row.endpoint = cases[i].url;
        put(&row, 1);
        assert_row("endpoint", "endpoint", cases[i].expect);
    }
}

static void states_are_set_and_missing_rows_added(void **state)
{
    struct dead_row rows[2] = {full_row("there"), full_row("lost")};

    (void)state;
    put(rows, 1);
    set(rows, 2, "replayed", 5);
    assert_row("there", "state, replayid, error_message", "replayed|5|answered 503");
    assert_row("lost", "state, replayid, payload", "replayed|5|{\"a\":\"Größe\"}");
    rows[0].attempts = 99;
    rows[0].replay_id = 6; /* each its own, or what the table has */
    set(rows, 2, "delivered", 0);
    assert_row("there", "state, replayid, attempts", "delivered|6|13");
    assert_row("lost", "state, replayid", "delivered|5");
    assert_string_equal(ask("SELECT @@autocommit"), "1");
}

static void a_second_death_keeps_the_replay_and_tells_the_new_reason(void **state)
{
    struct dead_row row = full_row("again");

    (void)state;
    put(&row, 1);
    set(&row, 1, "replayed", 6);
    row.replay_id = 6;
    row.reason = "answered 500";
    row.died_s = 2500;
    died(&row, 1);
    assert_row("again", "state, replayid, error_message, timecreated", "dead|6|answered 500|2500");
    row.replay_id = 0;
    put(&row, 1);
    assert_row("again", "state, replayid", "dead|6");
}

static void a_death_that_is_written_late_does_not_undo_what_came_after(void **state)
{
    struct dead_row row = full_row("late");
    struct dead_row later;

    (void)state;
    set(&row, 1, "replayed", 8); /* by the replayer, before the worker's row is written */
    died(&row, 1);
    assert_row("late", "state, replayid, error_message", "replayed|8|answered 503");
    later = row;
    later.replay_id = 8;
    later.died_s = 2600;
    later.reason = "later";
    died(&later, 1);
    died(&row, 1);
    assert_row("late", "state, replayid, error_message, timecreated", "dead|8|later|2600");
    set(&row, 1, "delivered", 9);
    row.replay_id = 8; /* of an earlier replay than the one that delivered it */
    died(&row, 1);
    assert_row("late", "state, replayid", "delivered|9");
    later.replay_id = 10; /* of a later one, within the same second */
    later.died_s = 4000;
    died(&later, 1);
    assert_row("late", "state, replayid", "dead|10");
    set(&row, 1, "discarded", 11);
    row.replay_id = 0;
    put(&row, 1); /* the broker has it, whatever the index says */
    assert_row("late", "state, replayid, error_message", "dead|11|answered 503");
}

static void a_delivery_that_is_written_late_does_not_hide_the_next_death(void **state)
{
    struct dead_row row = full_row("twice");
    struct dead_row next = row;

    (void)state;
    set(&row, 1, "replayed", 7);
    row.replay_id = 7; /* delivered; another process is quicker to tell what became of replay 8 */
    next.replay_id = 8;
    died(&next, 1);
    set(&row, 1, "delivered", 0);
    assert_row("twice", "state, replayid", "dead|8");
    set(&next, 1, "delivered", 0);
    assert_row("twice", "state, replayid", "delivered|8");
}

static void a_death_that_is_written_late_does_not_revive_what_was_dropped(void **state)
{
    struct dead_row row = full_row("dropped");

    (void)state;
    row.replay_id = 0;
    set(&row, 1, "dropped", 0); /* retention, before the worker's row is written */
    died(&row, 1);
    assert_row("dropped", "state", "dropped");
    row.replay_id = 12;
    died(&row, 1);
    assert_row("dropped", "state", "dropped");
    row.died_s = NEXT_CENTURY; /* another copy of the message, after that */
    died(&row, 1);
    assert_row("dropped", "state, replayid", "dead|12");
    set(&row, 1, "dropped", 0);
    put(&row, 1); /* the broker has it, whatever the index says */
    assert_row("dropped", "state", "dead");
}

static void a_letter_without_a_rule_is_dropped_when_it_dies_again_under_one(void **state)
{
    struct dead_row row = full_row("ruleless");

    (void)state;
    row.rule_id = 0;
    put(&row, 1);
    set(&row, 1, "replayed", 5);
    row.rule_id = 70;
    row.replay_id = 4; /* an earlier replay's */
    row.was_ruleless = true;
    died(&row, 1);
    assert_row("ruleless", "ruleid, state, replayid", "NULL|replayed|5|70|dead|4");
    row.replay_id = 5;
    row.rule_id = 71;
    row.died_s = NEXT_CENTURY;
    died(&row, 1);
    row.rule_id = 72;
    died(&row, 1);
    assert_row("ruleless", "ruleid, state, replayid",
               "NULL|dropped|5|70|dead|4|71|dead|5|72|dead|5");
}

static void many_rows_of_any_size_are_written(void **state)
{
    static struct dead_row rows[MANY];
    static char ids[MANY][16];
    char *large = malloc(LONG_TEXT + 1);

    (void)state;
    assert_non_null(large);
    memset(large, 'x', LONG_TEXT);
    large[LONG_TEXT] = '\0';
    for (size_t i = 0; i < MANY; i++) {
        snprintf(ids[i], sizeof ids[i], "many-%zu", i);
        rows[i] = full_row(ids[i]);
        rows[i].service_id = 77;
        if (i >= MANY / 2)
            rows[i].payload = large;
    }
    put(rows, MANY);
    set(rows, MANY, "replayed", 10);
    died(rows, 0);
    assert_string_equal(
        ask("SELECT COUNT(*), SUM(LENGTH(payload) = 65536), MIN(state), MAX(replayid)"
            " FROM {local_integrationhub_dlq} WHERE serviceid = 77"),
        "250|125|replayed|10");
    free(large);
}

static void a_letter_without_an_id_gets_a_row_each_time(void **state)
{
    struct dead_row row = full_row("");

    (void)state;
    row.service_id = 78;
    put(&row, 1);
    row.message_id = NULL;
    put(&row, 1);
    assert_string_equal(ask("SELECT COUNT(*), MAX(messageid) FROM {local_integrationhub_dlq}"
                            " WHERE serviceid = 78"),
                        "2|NULL");
}

static int open_db(void **state)
{
    const struct db_options options = dbenv_options();
    struct db_error error = {""};

    (void)state;
    if (db_open(&options, &db, &error) != 0)
        fail_msg("cannot open: %s", error.text);
    return 0;
}

static int close_db(void **state)
{
    (void)state;
    db_free(db);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_letter_becomes_a_row_with_every_column),
        cmocka_unit_test(what_is_not_known_stays_and_what_was_not_there_is_null),
        cmocka_unit_test(the_key_is_message_rule_and_service),
        cmocka_unit_test(one_batch_may_hold_a_letter_twice),
        cmocka_unit_test(texts_are_cut_between_characters_and_made_valid),
        cmocka_unit_test(an_endpoint_keeps_no_secret),
        cmocka_unit_test(states_are_set_and_missing_rows_added),
        cmocka_unit_test(a_second_death_keeps_the_replay_and_tells_the_new_reason),
        cmocka_unit_test(a_death_that_is_written_late_does_not_undo_what_came_after),
        cmocka_unit_test(a_delivery_that_is_written_late_does_not_hide_the_next_death),
        cmocka_unit_test(a_death_that_is_written_late_does_not_revive_what_was_dropped),
        cmocka_unit_test(a_letter_without_a_rule_is_dropped_when_it_dies_again_under_one),
        cmocka_unit_test(many_rows_of_any_size_are_written),
        cmocka_unit_test(a_letter_without_an_id_gets_a_row_each_time),
    };

    return cmocka_run_group_tests(tests, open_db, close_db);
}
