#include "common/dbresult.h"

#include <errno.h>
#include <stdlib.h>

#include "common/secret.h"
#include "common/timing.h"

enum { COLUMN_START = 64 }; /* bytes; a number always fits */

struct column {
    char *data;
    unsigned long capacity; /* without the NUL */
    unsigned long len;      /* of the value, which may be more than fits */
    my_bool null;
    my_bool truncated;
};

/* A result under way: a buffer for each column, and what on_row gets to see. */
struct result {
    MYSQL_STMT *stmt;
    size_t n;
    struct column *columns;
    MYSQL_BIND *binds;
    const char **text;
    size_t *len;
};

/* A service's row has secrets that are not encrypted. */
static void column_free(struct column *c)
{
    secret_wipe(c->data, c->data ? c->capacity + 1 : 0);
    free(c->data);
}

static void result_release(struct result *r)
{
    for (size_t i = 0; r->columns && i < r->n; i++)
        column_free(&r->columns[i]);
    free(r->columns);
    free(r->binds);
    free(r->text);
    free(r->len);
}

static int column_grow(struct column *c, MYSQL_BIND *bind, unsigned long capacity)
{
    char *data = malloc(capacity + 1);
    if (!data)
        return -ENOMEM;
    column_free(c);
    c->data = data;
    c->capacity = capacity;
    bind->buffer = data;
    bind->buffer_length = capacity;
    return 0;
}

static int result_init(struct result *r, MYSQL_STMT *stmt)
{
    r->stmt = stmt;
    r->n = mysql_stmt_field_count(stmt);
    r->columns = calloc(r->n, sizeof *r->columns);
    r->binds = calloc(r->n, sizeof *r->binds);
    r->text = calloc(r->n, sizeof *r->text);
    r->len = calloc(r->n, sizeof *r->len);
    if (!r->columns || !r->binds || !r->text || !r->len)
        return -ENOMEM;
    for (size_t i = 0; i < r->n; i++) {
        r->binds[i].buffer_type = MYSQL_TYPE_STRING;
        r->binds[i].length = &r->columns[i].len;
        r->binds[i].is_null = &r->columns[i].null;
        r->binds[i].error = &r->columns[i].truncated;
        if (column_grow(&r->columns[i], &r->binds[i], COLUMN_START) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* Fetches the columns again that did not fit. 1: the library failed. */
static int complete_row(struct result *r)
{
    bool grown = false;
    for (size_t i = 0; i < r->n; i++) {
        struct column *c = &r->columns[i];
        if (c->null || c->len <= c->capacity)
            continue;
        if (column_grow(c, &r->binds[i], c->len) < 0)
            return -ENOMEM;
        if (mysql_stmt_fetch_column(r->stmt, &r->binds[i], (unsigned)i, 0))
            return 1;
        grown = true;
    }
    /* The library holds a copy of the binds with the old buffers. */
    return grown && mysql_stmt_bind_result(r->stmt, r->binds) ? 1 : 0;
}

static int hand_over(struct result *r, db_on_row *on_row, void *context)
{
    for (size_t i = 0; i < r->n; i++) {
        struct column *c = &r->columns[i];
        r->text[i] = c->null ? NULL : c->data;
        r->len[i] = c->null ? 0 : c->len;
        if (!c->null)
            c->data[c->len] = '\0';
    }
    const struct db_row row = {.n = r->n, .text = r->text, .len = r->len};
    return on_row ? on_row(context, &row) : 0;
}

static int read_rows(struct result *r, db_on_row *on_row, void *context, bool *ret_failed,
                     int64_t *ret_started_ms)
{
    if (mysql_stmt_bind_result(r->stmt, r->binds)) {
        *ret_failed = true;
        return 0;
    }
    for (;;) {
        *ret_started_ms = timing_mono_ms();
        int fetched = mysql_stmt_fetch(r->stmt);
        if (fetched == MYSQL_NO_DATA)
            return 0;
        int status = fetched && fetched != MYSQL_DATA_TRUNCATED ? 1 : complete_row(r);
        if (status) {
            *ret_failed = status > 0;
            return status < 0 ? status : 0;
        }
        int answer = hand_over(r, on_row, context);
        if (answer)
            return answer;
    }
}

int dbresult_read(MYSQL_STMT *stmt, db_on_row *on_row, void *context, bool *ret_failed,
                  int64_t *ret_started_ms)
{
    struct result r = {0};
    int status = result_init(&r, stmt);
    if (status == 0)
        status = read_rows(&r, on_row, context, ret_failed, ret_started_ms);
    result_release(&r);
    return status;
}
