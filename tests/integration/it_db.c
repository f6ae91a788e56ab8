/* The database module against a real server; test_database.py starts it and sets dbenv.h's
 * variables, and MIH_TEST_DB_PID, the server's process, which some tests stop for a while. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/db.h"
#include "common/timing.h"
#include "tests/integration/dbenv.h"

#define MIB ((size_t)1024 * 1024)

enum { MAX_COLUMNS = 12 };

struct seen {
    int rows;
    size_t n;
    char *text[MAX_COLUMNS]; /* of the last row; NULL for SQL NULL */
    size_t len[MAX_COLUMNS];
    int stop_with;
};

static void seen_release(struct seen *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->text[i]);
    *s = (struct seen){0};
}

static int keep_row(void *context, const struct db_row *row)
{
    struct seen *s = context;
    struct seen kept = {.rows = s->rows + 1, .n = row->n, .stop_with = s->stop_with};
    assert_true(row->n <= MAX_COLUMNS);
    for (size_t i = 0; i < row->n; i++) {
        kept.len[i] = row->len[i];
        kept.text[i] =
            row->text[i] ? memcpy(malloc(row->len[i] + 1), row->text[i], row->len[i] + 1) : NULL;
        if (row->text[i])
            assert_int_equal(row->text[i][row->len[i]], '\0');
    }
    seen_release(s);
    *s = kept;
    return s->stop_with;
}

static struct db *open_as(const struct db_options *o)
{
    struct db *db = NULL;
    struct db_error error = {""};
    if (db_open(o, &db, &error) != 0)
        fail_msg("cannot open: %s", error.text);
    return db;
}

static int open_db(void **state)
{
    const struct db_options o = dbenv_options();
    *state = open_as(&o);
    return 0;
}

static int close_db(void **state)
{
    db_free(*state);
    return 0;
}

static int query(struct db *db, const char *sql, struct seen *seen)
{
    return db_query(db, sql, NULL, 0, seen ? keep_row : NULL, seen, NULL);
}

static struct db_value text_value(const char *text)
{
    return (struct db_value){.text = text, .len = strlen(text)};
}

static void ok(struct db *db, const char *sql)
{
    int r = query(db, sql, NULL);
    if (r != 0)
        fail_msg("%s: %d %s", sql, r, db_reason(db));
}

static void every_type_arrives_as_text(void **state)
{
    static const struct {
        const char *sql, *expect;
    } cases[] = {
        {"SELECT 1", "1"},
        {"SELECT -5", "-5"},
        {"SELECT 18446744073709551615", "18446744073709551615"},
        {"SELECT CAST(-9223372036854775808 AS SIGNED)", "-9223372036854775808"},
        {"SELECT 1.50", "1.50"},
        {"SELECT CAST(0.25 AS DOUBLE)", "0.25"},
        {"SELECT ''", ""},
        {"SELECT 'x'", "x"},
        {"SELECT TRUE", "1"},
        {"SELECT CAST('2026-01-02 03:04:05' AS DATETIME)", "2026-01-02 03:04:05"},
        {"SELECT NULL", NULL},
        {"SELECT 'Größe 🙂'", "Größe 🙂"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct seen seen = {0};
        print_message("%s\n", cases[i].sql);
        assert_int_equal(query(*state, cases[i].sql, &seen), 0);
        assert_int_equal(seen.rows, 1);
        if (cases[i].expect)
            assert_string_equal(seen.text[0], cases[i].expect);
        else
            assert_null(seen.text[0]);
        seen_release(&seen);
    }
}

static void values_come_back_as_they_went(void **state)
{
    const char bytes[] = "a'b\"c\\d\0e{x}%s?\xf0\x9f\x99\x82";
    const struct db_value values[] = {
        {.text = bytes, .len = sizeof bytes - 1},
        {.number = INT64_MIN},
        {.number = INT64_MAX},
        {.null = true},
        {.text = "", .len = 0},
    };
    struct seen seen = {0};
    assert_int_equal(db_query(*state, "SELECT ?, ?, ?, ?, ?", values, 5, keep_row, &seen, NULL), 0);
    assert_int_equal(seen.len[0], sizeof bytes - 1);
    assert_memory_equal(seen.text[0], bytes, sizeof bytes);
    assert_string_equal(seen.text[1], "-9223372036854775808");
    assert_string_equal(seen.text[2], "9223372036854775807");
    assert_null(seen.text[3]);
    assert_string_equal(seen.text[4], "");
    seen_release(&seen);
}

static int check_big(void *context, const struct db_row *row)
{
    int *rows = context;
    const int64_t n = db_number(row, 0, -1);
    assert_int_equal(row->len[1], n);
    for (size_t i = 0; i < row->len[1]; i++)
        if (row->text[1][i] != 'z')
            return -1;
    assert_string_equal(row->text[2], "end");
    ++*rows;
    return 0;
}

static void texts_of_megabytes_are_not_cut(void **state)
{
    ok(*state, "CREATE TEMPORARY TABLE big (id INT AUTO_INCREMENT PRIMARY KEY, body LONGTEXT)");
    static const size_t sizes[] = {1, 63, 64, 65, 3 * MIB, 0, 1000, 3 * MIB + 1, MIB, 5};
    char *body = malloc(4 * MIB);
    memset(body, 'z', 4 * MIB);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const struct db_value value = {.text = body, .len = sizes[i]};
        assert_int_equal(
            db_query(*state, "INSERT INTO big (body) VALUES (?)", &value, 1, NULL, NULL, NULL), 0);
    }
    free(body);
    int rows = 0;
    assert_int_equal(db_query(*state, "SELECT LENGTH(body), body, 'end' FROM big ORDER BY id", NULL,
                              0, check_big, &rows, NULL),
                     0);
    assert_int_equal(rows, 10);
}

static void reading_may_be_ended_by_the_reader(void **state)
{
    struct seen seen = {.stop_with = 7};
    assert_int_equal(query(*state, "SELECT 1 UNION SELECT 2 UNION SELECT 3", &seen), 7);
    assert_int_equal(seen.rows, 1);
    seen.stop_with = 0;
    assert_int_equal(query(*state, "SELECT 4", &seen), 0);
    assert_string_equal(seen.text[0], "4");
    seen_release(&seen);
}

static void numbers_of_odd_rows_never_surprise(void **state)
{
    (void)state;
    const char *text[] = {"12", NULL, "", "12x", "99999999999999999999", "-3", "1.5"};
    const size_t len[7] = {0};
    const struct db_row row = {.n = 7, .text = text, .len = len};
    static const int64_t expect[] = {12, 5, 5, 5, 5, -3, 5, 5};
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(db_number(&row, i, 5), expect[i]);
    assert_string_equal(db_text(&row, 1), "");
    assert_string_equal(db_text(&row, 99), "");
}

static void affected_rows_are_counted(void **state)
{
    ok(*state, "CREATE TEMPORARY TABLE few (id INT)");
    uint64_t affected = 0;
    assert_int_equal(
        db_query(*state, "INSERT INTO few VALUES (1), (2), (3)", NULL, 0, NULL, NULL, &affected),
        0);
    assert_int_equal(affected, 3);
    assert_int_equal(
        db_query(*state, "DELETE FROM few WHERE id > 1", NULL, 0, NULL, NULL, &affected), 0);
    assert_int_equal(affected, 2);
}

static void names_in_braces_get_the_prefix(void **state)
{
    struct seen seen = {0};
    assert_int_equal(query(*state, "SELECT COUNT(*) FROM {local_integrationhub_svc}", &seen), 0);
    seen_release(&seen);
    static const char *const bad[] = {"SELECT * FROM {}", "SELECT * FROM {a b}", "SELECT * FROM {a",
                                      "SELECT * FROM {A}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(query(*state, bad[i], NULL), -EINVAL);
    assert_int_equal(query(*state, "SELECT ?", NULL), -EINVAL);
    assert_false(db_lost(*state));
}

static void errors_say_what_they_mean(void **state)
{
    ok(*state, "CREATE TEMPORARY TABLE one (name VARCHAR(50) UNIQUE, n INT)");
    ok(*state, "INSERT INTO one VALUES ('secret-value', 1)");
    static const struct {
        const char *sql;
        int expect;
    } cases[] = {
        {"SELECT * FROM {no_such_table}", -ENOENT},
        {"SELECT no_such_column FROM one", -ENOENT},
        {"INSERT INTO one VALUES ('secret-value', 2)", -EEXIST},
        {"INSERT INTO one VALUES ('x', 'secret-value')", -EIO},
        {"SELEKT", -EIO},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int r = query(*state, cases[i].sql, NULL);
        print_message("%d %s\n", r, db_reason(*state));
        assert_int_equal(r, cases[i].expect);
        assert_null(strstr(db_reason(*state), "secret-value"));
        assert_false(db_lost(*state));
    }
}

static void what_the_grants_refuse_is_eperm(void **state)
{
    (void)state;
    struct db_options o = dbenv_options();
    o.user = dbenv("MIH_TEST_DB_LESS_USER", "");
    struct db *db = open_as(&o);
    static const char *const refused[] = {
        "SELECT * FROM {local_integrationhub_svc}",
        "SELECT * FROM mysql.user",
        "CREATE TABLE mine (id INT)",
        "SET GLOBAL wait_timeout = 10",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        int r = query(db, refused[i], NULL);
        print_message("%d %s\n", r, db_reason(db));
        assert_int_equal(r, -EPERM);
    }
    db_free(db);
}

static void opening_fails_with_words(void **state)
{
    (void)state;
    const struct db_options good = dbenv_options();
    struct db_options o[7];
    static const int expect[] = {-EPERM, -EPERM, -ENOTCONN, -EINVAL, -EINVAL, -EINVAL, -ENOTCONN};
    for (size_t i = 0; i < 7; i++)
        o[i] = good;
    o[0].password = "wrong";
    o[1].name = "no_such_database";
    o[2].port = 1;
    o[3].prefix = "mdl`; DROP";
    o[4].io_timeout_s = 0;
    o[5].socket = "/nonexistent";
    o[5].tls = DB_TLS_REQUIRE;
    o[6].socket = "/nonexistent";
    for (size_t i = 0; i < 7; i++) {
        struct db *db = NULL;
        struct db_error error = {""};
        int r = db_open(&o[i], &db, &error);
        print_message("%d %s\n", r, error.text);
        assert_int_equal(r, expect[i]);
        assert_null(db);
        assert_true(strlen(error.text) > 10);
    }
}

static void a_socket_works_too(void **state)
{
    (void)state;
    struct db_options o = dbenv_options();
    o.socket = dbenv("MIH_TEST_DB_PATH", "");
    if (!*o.socket)
        skip();
    struct db *db = open_as(&o);
    ok(db, "SELECT 1");
    db_free(db);
}

static void a_snapshot_does_not_move(void **state)
{
    struct db *other = NULL;
    open_db((void **)&other);
    ok(other, "CREATE TABLE IF NOT EXISTS moving (id INT) ENGINE=InnoDB");
    ok(other, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
    ok(*state, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
    struct seen seen = {0};
    assert_int_equal(db_snapshot_begin(*state), 0);
    ok(other, "INSERT INTO moving VALUES (1)");
    assert_int_equal(query(*state, "SELECT COUNT(*) FROM moving", &seen), 0);
    assert_string_equal(seen.text[0], "0");
    assert_int_equal(query(*state, "INSERT INTO moving VALUES (2)", NULL), -EIO);
    assert_int_equal(db_snapshot_end(*state), 0);
    assert_int_equal(query(*state, "SELECT COUNT(*) FROM moving", &seen), 0);
    assert_string_equal(seen.text[0], "1");
    seen_release(&seen);
    ok(other, "DROP TABLE moving");
    db_free(other);
}

static void a_lock_wait_ends_and_may_be_repeated(void **state)
{
    struct db *other = NULL;
    open_db((void **)&other);
    ok(other, "CREATE TABLE IF NOT EXISTS locked (id INT PRIMARY KEY) ENGINE=InnoDB");
    ok(other, "REPLACE INTO locked VALUES (1)");
    ok(other, "SET autocommit = 0");
    ok(other, "DELETE FROM locked WHERE id = 1");
    int r = query(*state, "DELETE FROM locked WHERE id = 1", NULL);
    print_message("%d %s\n", r, db_reason(*state));
    assert_int_equal(r, -EAGAIN);
    assert_false(db_lost(*state));
    ok(other, "ROLLBACK");
    ok(*state, "DELETE FROM locked WHERE id = 1");
    ok(other, "DROP TABLE locked");
    db_free(other);
}

static void idle_too_long_is_a_lost_connection(void **state)
{
    ok(*state, "SET SESSION wait_timeout = 1");
    const struct timespec pause = {.tv_sec = 1, .tv_nsec = 600000000};
    nanosleep(&pause, NULL);
    int r = query(*state, "SELECT 1", NULL);
    print_message("%d %s\n", r, db_reason(*state));
    assert_int_equal(r, -ENOTCONN);
    assert_true(db_lost(*state));
    assert_int_equal(query(*state, "SELECT 1", NULL), -ENOTCONN);
    assert_int_equal(db_snapshot_begin(*state), -ENOTCONN);
}

static void a_killed_connection_is_a_lost_one(void **state)
{
    struct db *other = NULL;
    open_db((void **)&other);
    const struct db_value id = {.number = (int64_t)db_connection_id(*state)};
    assert_int_equal(db_query(other, "KILL ?", &id, 1, NULL, NULL, NULL), 0);
    int r = query(*state, "SELECT 1", NULL);
    print_message("%d %s\n", r, db_reason(*state));
    assert_int_equal(r, -ENOTCONN);
    assert_true(db_lost(*state));
    db_free(other);
}

static void a_hanging_server_is_a_time_out(void **state)
{
    const pid_t server = (pid_t)strtol(dbenv("MIH_TEST_DB_PID", "0"), NULL, 10);
    if (server <= 1)
        skip();
    const struct db_options o = dbenv_options();
    struct db *opened = NULL;
    struct db_error error = {""};
    assert_int_equal(kill(server, SIGSTOP), 0);
    const int64_t start = timing_mono_ms();
    int r = query(*state, "SELECT 1", NULL);
    const int64_t query_ms = timing_mono_ms() - start;
    int r_open = db_open(&o, &opened, &error);
    const int64_t open_ms = timing_mono_ms() - start - query_ms;
    db_free(opened);
    assert_int_equal(kill(server, SIGCONT), 0);
    print_message("query %d after %" PRId64 " ms: %s\n", r, query_ms, db_reason(*state));
    print_message("open %d after %" PRId64 " ms: %s\n", r_open, open_ms, error.text);
    assert_int_equal(r, -ETIMEDOUT);
    assert_true(db_lost(*state));
    assert_in_range(query_ms, 1800, 2500);
    assert_int_equal(r_open, -ETIMEDOUT);
    assert_in_range(open_ms, 1800, 2500);
}

static void *interrupt_soon(void *db)
{
    const struct timespec pause = {.tv_nsec = 300000000};
    nanosleep(&pause, NULL);
    db_interrupt(db);
    return NULL;
}

static void an_interrupt_ends_a_waiting_call(void **state)
{
    pthread_t thread;
    const int64_t start = timing_mono_ms();
    assert_int_equal(pthread_create(&thread, NULL, interrupt_soon, *state), 0);
    int r = query(*state, "SELECT SLEEP(20)", NULL);
    const int64_t took_ms = timing_mono_ms() - start;
    pthread_join(thread, NULL);
    print_message("%d after %" PRId64 " ms: %s\n", r, took_ms, db_reason(*state));
    assert_int_equal(r, -ENOTCONN);
    assert_in_range(took_ms, 250, 800);
}

static void a_statement_is_cheap(void **state)
{
    const struct db_value value = text_value("x");
    const int64_t start = timing_mono_us();
    for (int i = 0; i < 500; i++)
        assert_int_equal(db_query(*state, "SELECT ?", &value, 1, NULL, NULL, NULL), 0);
    const int64_t each_us = (timing_mono_us() - start) / 500;
    print_message("%" PRId64 " us each\n", each_us);
    assert_in_range(each_us, 1, 20000);
}

int main(void)
{
#define WITH_DB(test) cmocka_unit_test_setup_teardown(test, open_db, close_db)
    const struct CMUnitTest tests[] = {
        WITH_DB(every_type_arrives_as_text),
        WITH_DB(values_come_back_as_they_went),
        WITH_DB(texts_of_megabytes_are_not_cut),
        WITH_DB(reading_may_be_ended_by_the_reader),
        cmocka_unit_test(numbers_of_odd_rows_never_surprise),
        WITH_DB(affected_rows_are_counted),
        WITH_DB(names_in_braces_get_the_prefix),
        WITH_DB(errors_say_what_they_mean),
        cmocka_unit_test(what_the_grants_refuse_is_eperm),
        cmocka_unit_test(opening_fails_with_words),
        cmocka_unit_test(a_socket_works_too),
        WITH_DB(a_snapshot_does_not_move),
        WITH_DB(a_lock_wait_ends_and_may_be_repeated),
        WITH_DB(idle_too_long_is_a_lost_connection),
        WITH_DB(a_killed_connection_is_a_lost_one),
        WITH_DB(an_interrupt_ends_a_waiting_call),
        WITH_DB(a_statement_is_cheap),
        WITH_DB(a_hanging_server_is_a_time_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
