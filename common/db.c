#include "common/db.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <mysql.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/dberror.h"
#include "common/dbresult.h"
#include "common/timing.h"

enum {
    STATEMENT_MAX = 256 * 1024,    /* bytes of one statement's text */
    PACKET_MAX = 64 * 1024 * 1024, /* bytes of one row */
    /* A session idle for this long is ended by the server: what it locks (GET_LOCK) is free soon
     * after its host died, not after the hours that servers wait by default. */
    IDLE_MAX_S = 30,
};

struct db {
    MYSQL *mysql;
    int socket; /* for db_interrupt() alone */
    char prefix[DB_PREFIX_MAX + 1];
    int64_t io_timeout_ms;
    int64_t call_started_ms; /* of the library call under way */
    bool lost;
    char reason[256];
};

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

/* mysql_init() would do it, but not safely from two threads at once. */
static void library_init(void)
{
    if (mysql_library_init(0, NULL, NULL))
        abort();
}

void db_prepare(void)
{
    pthread_once(&library_once, library_init);
}

static int refuse(struct db_error *ret_error, int error, const char *words)
{
    snprintf(ret_error->text, sizeof ret_error->text, "%s", words);
    return error;
}

/* The library's functions take what they do not change without const. */
static void *without_const(const void *pointer)
{
    union {
        const void *from;
        void *to;
    } u = {.from = pointer};
    return u.to;
}

static bool set(const char *text)
{
    return text && *text;
}

static bool is_local(const struct db_options *o)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (set(o->socket) || !set(o->host) || strcasecmp(o->host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, o->host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, o->host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static int check_options(const struct db_options *o, struct db_error *ret_error)
{
    const char *prefix = o->prefix ? o->prefix : "";
    if (strlen(prefix) > DB_PREFIX_MAX ||
        prefix[strspn(prefix, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")])
        return refuse(ret_error, -EINVAL,
                      "the table prefix may hold letters, digits and _, 32 at most");
    if (o->tls == DB_TLS_REQUIRE && set(o->socket))
        return refuse(ret_error, -EINVAL,
                      "tls = require needs a host: a socket has no host name "
                      "to verify");
    if (!set(o->socket) && (o->port < 1 || o->port > 65535))
        return refuse(ret_error, -EINVAL, "the port must be 1 to 65535");
    if (o->connect_timeout_s < 1 || o->io_timeout_s < 1)
        return refuse(ret_error, -EINVAL, "time-outs must be at least 1 s");
    return 0;
}

static int set_options(MYSQL *mysql, const struct db_options *o, bool encrypted)
{
    const unsigned connect_s = (unsigned)o->connect_timeout_s, io_s = (unsigned)o->io_timeout_s;
    const unsigned off = 0, protocol = set(o->socket) ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
    const unsigned long packet = PACKET_MAX;
    const my_bool no = 0, yes = 1;
    char init[128];
    int bad = 0;
    /* A wait for a row lock ends before the read time-out, which would end the connection. */
    snprintf(
        init, sizeof init,
        "SET SESSION sql_mode='STRICT_ALL_TABLES', wait_timeout=%d, innodb_lock_wait_timeout=%u",
        IDLE_MAX_S, io_s > 1 ? io_s - 1 : 1);
    bad |= mysql_options(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s);
    bad |= mysql_options(mysql, MYSQL_OPT_READ_TIMEOUT, &io_s);
    bad |= mysql_options(mysql, MYSQL_OPT_WRITE_TIMEOUT, &io_s);
    bad |= mysql_options(mysql, MYSQL_OPT_PROTOCOL, &protocol);
    bad |= mysql_options(mysql, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet);
    bad |= mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    bad |= mysql_options(mysql, MYSQL_INIT_COMMAND, init);
    /* A reconnect in secret would lose the session's locks; a server may ask for local files. */
    bad |= mysql_options(mysql, MYSQL_OPT_RECONNECT, &no);
    bad |= mysql_options(mysql, MYSQL_OPT_LOCAL_INFILE, &off);
    if (!encrypted)
        return bad ? -ENOMEM : 0;
    /* Each alone is not enough: ENFORCE accepts any certificate, and with a server that offers no
     * TLS it goes on in plain text. */
    bad |= mysql_options(mysql, MYSQL_OPT_SSL_ENFORCE, &yes);
    bad |= mysql_options(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &yes);
    bad |= mysql_options(mysql, MARIADB_OPT_TLS_VERSION, "TLSv1.2,TLSv1.3");
    if (set(o->ca_file))
        bad |= mysql_options(mysql, MYSQL_OPT_SSL_CA, o->ca_file);
    return bad ? -ENOMEM : 0;
}

/* Notes what the server or the library said; the result is what db.h documents. */
static int failed(struct db *db, unsigned code, const char *message)
{
    bool lost = false;
    int r = dberror_map(code, &lost);
    if (lost)
        db->lost = true;
    const int64_t took_ms = timing_mono_ms() - db->call_started_ms;
    char words[sizeof db->reason];
    dberror_words(code, message, words, sizeof words);
    if (r == -ENOTCONN && took_ms * 10 >= db->io_timeout_ms * 9) {
        snprintf(db->reason, sizeof db->reason, "no answer within %lld s: %.200s",
                 (long long)(db->io_timeout_ms / 1000), words);
        return -ETIMEDOUT;
    }
    memcpy(db->reason, words, sizeof words);
    return r;
}

static int connection_failed(struct db *db)
{
    return failed(db, mysql_errno(db->mysql), mysql_error(db->mysql));
}

/* The library keeps a copy of the password for reconnects, which we never ask for. */
static void wipe_password(MYSQL *mysql)
{
    if (mysql->passwd)
        explicit_bzero(mysql->passwd, strlen(mysql->passwd));
}

static int connect_server(struct db *db, const struct db_options *o, struct db_error *ret_error)
{
    const bool encrypted = o->tls == DB_TLS_REQUIRE || (o->tls == DB_TLS_AUTO && !is_local(o));
    const bool by_socket = set(o->socket);
    const char *host = set(o->host) ? o->host : "localhost";
    int r = set_options(db->mysql, o, encrypted);
    if (r < 0)
        return refuse(ret_error, r, "out of memory");
    db->call_started_ms = timing_mono_ms();
    db->io_timeout_ms = (int64_t)o->connect_timeout_s * 1000;
    MYSQL *connected =
        mysql_real_connect(db->mysql, by_socket ? NULL : host, o->user, o->password, o->name,
                           by_socket ? 0 : (unsigned)o->port, by_socket ? o->socket : NULL, 0);
    wipe_password(db->mysql);
    db->io_timeout_ms = (int64_t)o->io_timeout_s * 1000;
    if (!connected) {
        r = connection_failed(db);
        return refuse(ret_error, r, db->reason);
    }
    if (encrypted && !mysql_get_ssl_cipher(db->mysql))
        return refuse(ret_error, -EPROTO, "the server does not encrypt the connection");
    return 0;
}

int db_open(const struct db_options *options, struct db **ret_db, struct db_error *ret_error)
{
    int r = check_options(options, ret_error);
    if (r < 0)
        return r;
    db_prepare();
    struct db *db = calloc(1, sizeof *db);
    if (!db)
        return refuse(ret_error, -ENOMEM, "out of memory");
    db->socket = -1;
    snprintf(db->prefix, sizeof db->prefix, "%s", options->prefix ? options->prefix : "");
    mysql_thread_init();
    db->mysql = mysql_init(NULL);
    r = db->mysql ? connect_server(db, options, ret_error)
                  : refuse(ret_error, -ENOMEM, "out of memory");
    if (r < 0) {
        db_free(db);
        return r;
    }
    /* Its own descriptor: the library closes its one at a failure, and the number may be reused. */
    db->socket = fcntl(mysql_get_socket(db->mysql), F_DUPFD_CLOEXEC, 0);
    *ret_db = db;
    return 0;
}

void db_free(struct db *db)
{
    if (!db)
        return;
    if (db->mysql)
        mysql_close(db->mysql);
    if (db->socket >= 0)
        close(db->socket);
    mysql_thread_end();
    free(db);
}

/* Copies sql with every {name} as <prefix>name. A brace that opens no table name is our bug. */
static int expand(const struct db *db, const char *sql, struct buf *text)
{
    const char *open;
    for (; (open = strchr(sql, '{')); sql = strchr(open, '}') + 1) {
        size_t len = strspn(open + 1, "abcdefghijklmnopqrstuvwxyz0123456789_");
        if (!len || open[1 + len] != '}')
            return -EINVAL;
        buf_add(text, sql, (size_t)(open - sql));
        buf_adds(text, db->prefix);
        buf_add(text, open + 1, len);
    }
    buf_adds(text, sql);
    return buf_error(text);
}

static int statement_failed(struct db *db, MYSQL_STMT *stmt)
{
    return failed(db, mysql_stmt_errno(stmt), mysql_stmt_error(stmt));
}

static int bind_values(struct db *db, MYSQL_STMT *stmt, const struct db_value *values, size_t n)
{
    MYSQL_BIND *binds = calloc(n, sizeof *binds);
    if (!binds)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const struct db_value *v = &values[i];
        MYSQL_BIND *b = &binds[i];
        b->buffer_type = v->text ? MYSQL_TYPE_STRING : MYSQL_TYPE_LONGLONG;
        b->buffer = without_const(v->text ? (const void *)v->text : (const void *)&v->number);
        b->buffer_length = v->text ? v->len : sizeof v->number;
        if (v->null)
            b->buffer_type = MYSQL_TYPE_NULL;
    }
    /* The library copies the binds, not the values. */
    int r = mysql_stmt_bind_param(stmt, binds) ? statement_failed(db, stmt) : 0;
    free(binds);
    return r;
}

static int prepare(struct db *db, MYSQL_STMT *stmt, const char *sql, size_t n_values)
{
    struct buf text;
    buf_init(&text, STATEMENT_MAX);
    int r = expand(db, sql, &text);
    db->call_started_ms = timing_mono_ms();
    if (r == 0 && mysql_stmt_prepare(stmt, buf_text(&text), text.len))
        r = statement_failed(db, stmt);
    buf_release(&text);
    if (r == 0 && mysql_stmt_param_count(stmt) != n_values) {
        snprintf(db->reason, sizeof db->reason, "the statement wants %lu values, not %zu",
                 mysql_stmt_param_count(stmt), n_values);
        r = -EINVAL;
    }
    return r;
}

static int execute(struct db *db, MYSQL_STMT *stmt, db_on_row *on_row, void *context)
{
    db->call_started_ms = timing_mono_ms();
    if (mysql_stmt_execute(stmt))
        return statement_failed(db, stmt);
    if (!mysql_stmt_field_count(stmt))
        return 0;
    bool library_failed = false;
    int r = dbresult_read(stmt, on_row, context, &library_failed, &db->call_started_ms);
    return library_failed ? statement_failed(db, stmt) : r;
}

/* Seven arguments: most callers give NULL for one or two, a struct would hide which. */
// NOLINTNEXTLINE(readability-function-size)
int db_query(struct db *db, const char *sql, const struct db_value *values, size_t n_values,
             db_on_row *on_row, void *context, uint64_t *ret_affected)
{
    if (db->lost)
        return -ENOTCONN;
    snprintf(db->reason, sizeof db->reason, "out of memory or a statement that is not valid");
    MYSQL_STMT *stmt = mysql_stmt_init(db->mysql);
    if (!stmt)
        return -ENOMEM;
    int r = prepare(db, stmt, sql, n_values);
    if (r == 0 && n_values)
        r = bind_values(db, stmt, values, n_values);
    if (r == 0)
        r = execute(db, stmt, on_row, context);
    if (r == 0 && ret_affected)
        *ret_affected = mysql_stmt_affected_rows(stmt);
    mysql_stmt_close(stmt);
    return r;
}

/* As text: MySQL refuses to prepare START TRANSACTION. */
static int command(struct db *db, const char *sql)
{
    if (db->lost)
        return -ENOTCONN;
    db->call_started_ms = timing_mono_ms();
    return mysql_real_query(db->mysql, sql, strlen(sql)) ? connection_failed(db) : 0;
}

int db_snapshot_begin(struct db *db)
{
    /* A consistent snapshot exists at this isolation level only; it holds for one transaction. */
    int r = command(db, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
    return r < 0 ? r : command(db, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY");
}

int db_snapshot_end(struct db *db)
{
    return command(db, "COMMIT");
}

int db_begin(struct db *db)
{
    /* Servers may have another default. */
    int r = command(db, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
    return r < 0 ? r : command(db, "START TRANSACTION");
}

int db_commit(struct db *db)
{
    return command(db, "COMMIT");
}

int db_rollback(struct db *db, int result)
{
    char reason[sizeof db->reason];

    memcpy(reason, db->reason, sizeof reason);
    if (!db->lost && command(db, "ROLLBACK") < 0)
        db->lost = true; /* nobody may go on inside of it */
    memcpy(db->reason, reason, sizeof reason);
    return result;
}

const char *db_reason(const struct db *db)
{
    return db->reason;
}

bool db_lost(const struct db *db)
{
    return db->lost;
}

uint64_t db_connection_id(const struct db *db)
{
    return mysql_thread_id(db->mysql);
}

void db_interrupt(const struct db *db)
{
    shutdown(db->socket, SHUT_RDWR);
}

int64_t db_number(const struct db_row *row, size_t column, int64_t fallback)
{
    const char *text = column < row->n ? row->text[column] : NULL;
    char *end;
    if (!text || !*text)
        return fallback;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    return errno || *end ? fallback : value;
}

const char *db_text(const struct db_row *row, size_t column)
{
    return column < row->n && row->text[column] ? row->text[column] : "";
}
