/*
 * One connection to Moodle's MySQL or MariaDB. This module alone knows Connector/C and its
 * traps (TLS that falls back to plain text, silent reconnects, time-outs). Every call blocks, for
 * at most the time-outs in the options: use it from a thread that may wait.
 *
 * Statements are prepared; values are parameters, never text. `{name}` in a statement stands for
 * Moodle's table `<prefix>name`, as in Moodle's own code.
 */
#ifndef MIH_COMMON_DB_H
#define MIH_COMMON_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;

enum db_tls { DB_TLS_AUTO, DB_TLS_REQUIRE, DB_TLS_OFF };

struct db_options {
    const char *host;
    int port;
    const char *socket;
    const char *user;
    const char *password;
    const char *name;
    const char *prefix;
    enum db_tls tls;
    const char *ca_file;
    int connect_timeout_s;
    int io_timeout_s;
};

struct db_error {
    char text[256];
};

/* One parameter of a statement: a text, or a number when text is NULL, or NULL when both are
 * absent (null = true). */
struct db_value {
    const char *text;
    size_t len;
    int64_t number;
    bool null;
};

/* One row of a result; the columns are texts (NULL for SQL NULL), valid during the call. */
struct db_row {
    size_t n;
    const char *const *text;
    const size_t *len;
};

/* A non-zero return ends the reading and is returned by db_query. */
typedef int db_on_row(void *context, const struct db_row *row);

int db_open(const struct db_options *options, struct db **ret_db, struct db_error *ret_error)
    __attribute__((warn_unused_result));
void db_free(struct db *db);

/* Runs a statement and hands each row to on_row (may be NULL). ret_affected may be NULL. 0, a
 * negative errno (-ENOTCONN and -ETIMEDOUT: the connection is lost; -EPERM: refused by the
 * grants; -ENOENT: no such table or column; -EEXIST: duplicate key; -EIO: other), or on_row's
 * own value. db_reason() has the server's words. */
int db_query(struct db *db, const char *sql, const struct db_value *values, size_t n_values,
             db_on_row *on_row, void *context, uint64_t *ret_affected)
    __attribute__((warn_unused_result));

/* The server's words for the last failure; never the statement's values. */
const char *db_reason(const struct db *db);

/* True after a failure that ended the connection. */
bool db_lost(const struct db *db);

/* Values of a row: number of a column (fallback for NULL or what is no number), text or "". */
int64_t db_number(const struct db_row *row, size_t column, int64_t fallback);
const char *db_text(const struct db_row *row, size_t column);

#endif
