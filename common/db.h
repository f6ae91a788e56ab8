/*
 * One connection to Moodle's MySQL or MariaDB. This module alone knows Connector/C and its
 * traps (TLS that falls back to plain text, silent reconnects, time-outs). Every call blocks, for
 * at most the time-outs in the options: use it from a thread that may wait.
 *
 * The server ends a connection that is idle for 30 s, so that a host that died holds no locks.
 *
 * Statements are prepared; values are parameters, never text. `{name}` in a statement stands for
 * Moodle's table `<prefix>name`, as in Moodle's own code.
 */
#ifndef MIH_COMMON_DB_H
#define MIH_COMMON_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct db;

enum db_tls { DB_TLS_AUTO, DB_TLS_REQUIRE, DB_TLS_OFF };

/* DB_TLS_AUTO encrypts unless the server is this machine: localhost, 127.0.0.0/8, ::1 or a
 * socket. Encrypted always means: certificate and host name verified, or no connection. */
struct db_options {
    const char *host; /* a name or an address; always TCP, also for localhost */
    int port;
    const char *socket; /* path of a unix socket, used instead of host and port; or "" */
    const char *user;
    const char *password;
    const char *name;   /* of the database */
    const char *prefix; /* letters, digits and _, at most DB_PREFIX_MAX */
    enum db_tls tls;
    const char *ca_file; /* PEM file of trusted CAs; "" takes the system's */
    int connect_timeout_s;
    int io_timeout_s; /* for each read and write; also bounds waits for locks */
};

enum { DB_PREFIX_MAX = 32 };

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

static inline struct db_value db_of_number(int64_t number)
{
    return (struct db_value){.number = number};
}

/* NULL when it is not positive: an id or time that there is not. */
static inline struct db_value db_of_number_or_null(int64_t number)
{
    return (struct db_value){.number = number, .null = number <= 0};
}

/* The text is borrowed; NULL for NULL. */
static inline struct db_value db_of_text(const char *text)
{
    return (struct db_value){.text = text, .len = text ? strlen(text) : 0, .null = !text};
}

/* One row of a result; the columns are texts (NULL for SQL NULL), valid during the call. */
struct db_row {
    size_t n;
    const char *const *text;
    const size_t *len;
};

/* A non-zero return ends the reading and is returned by db_query. */
typedef int db_on_row(void *context, const struct db_row *row);

/* Prepares the library once for the process. db_open() does it too; call it before starting a
 * thread that may be left behind in a call, so that what exit() cleans up is not that thread's. */
void db_prepare(void);

/* Blocks. Everything is copied out of options. 0; -EINVAL: an option that makes no sense; -EPERM:
 * user or password refused; -ENOENT: no such database; -EPROTO: TLS refused or not to be trusted;
 * -ENOTCONN or -ETIMEDOUT: not reached; -EIO: other. ret_error has the words. */
int db_open(const struct db_options *options, struct db **ret_db, struct db_error *ret_error)
    __attribute__((warn_unused_result));
void db_free(struct db *db); /* NULL is allowed */

/* Runs a statement and hands each row to on_row (may be NULL). ret_affected may be NULL. 0, a
 * negative errno (-ENOTCONN and -ETIMEDOUT: the connection is lost; -EPERM: refused by the
 * grants; -ENOENT: no such table or column; -EEXIST: duplicate key; -EIO: other), or on_row's
 * own value. -EAGAIN: the statement lost against another one (deadlock, lock wait) and may be
 * repeated. on_row must not use the connection. db_reason() has the server's words. */
int db_query(struct db *db, const char *sql, const struct db_value *values, size_t n_values,
             db_on_row *on_row, void *context, uint64_t *ret_affected)
    __attribute__((warn_unused_result));

/* Starts a read-only transaction that sees the database as it is now; db_snapshot_end() ends it.
 * Errors as of db_query(). */
int db_snapshot_begin(struct db *db) __attribute__((warn_unused_result));
int db_snapshot_end(struct db *db) __attribute__((warn_unused_result));

/* A transaction, REPEATABLE READ: all of what follows, or nothing of it. A commit whose answer was
 * lost may have taken effect. Errors as of db_query(); of a lost connection the server undoes it.
 */
int db_begin(struct db *db) __attribute__((warn_unused_result));
int db_commit(struct db *db) __attribute__((warn_unused_result));

/* Undoes it after result, a failure that is returned. */
int db_rollback(struct db *db, int result) __attribute__((warn_unused_result));

/* The server's words for the last failure; never the statement's values. */
const char *db_reason(const struct db *db);

/* The server's number for this connection (CONNECTION_ID()). */
uint64_t db_connection_id(const struct db *db);

/* The only call that another thread may make while one is under way (the caller keeps the db from
 * being freed meanwhile): ends the connection, so that a call waiting for the server returns. */
void db_interrupt(const struct db *db);

/* True after a failure that ended the connection. */
bool db_lost(const struct db *db);

/* Values of a row: number of a column (fallback for NULL or what is no number), text or "". */
int64_t db_number(const struct db_row *row, size_t column, int64_t fallback);
const char *db_text(const struct db_row *row, size_t column);

#endif
