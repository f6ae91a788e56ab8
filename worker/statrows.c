#include "worker/statrows.h"

#include <errno.h>
#include <stdlib.h>

#include "common/buf.h"

enum { SQL_MAX = 64 * 1024, KEYS = 5, COLUMNS = KEYS + STAT_COUNTS };

static const char *const names[] = {
    [STAT_DELIVERED] = "delivered", [STAT_RETRIED] = "retried", [STAT_DEAD] = "dead",
    [STAT_SKIPPED] = "skipped",     [STAT_HELD] = "held",       [STAT_LATENCY_SUM] = "latencysum",
};

static void add_name(struct buf *sql, size_t column)
{
    if (column < STAT_BUCKET)
        buf_adds(sql, names[column]);
    else
        buf_addf(sql, "h%zu", column - STAT_BUCKET);
}

void statrows_columns(struct buf *sql, const char *before, const char *behind)
{
    for (size_t i = 0; i < STAT_COUNTS; i++) {
        buf_adds(sql, i > 0 ? ", " : "");
        buf_adds(sql, before);
        add_name(sql, i);
        buf_adds(sql, behind);
    }
}

void statrows_on_duplicate(struct buf *sql)
{
    buf_adds(sql, " ON DUPLICATE KEY UPDATE latencymax = GREATEST(latencymax, VALUES(latencymax)),"
                  " backlog = GREATEST(backlog, VALUES(backlog))");
    for (size_t i = 0; i < STAT_COUNTS; i++) {
        buf_adds(sql, ", ");
        add_name(sql, i);
        buf_adds(sql, " = ");
        add_name(sql, i);
        buf_adds(sql, " + VALUES(");
        add_name(sql, i);
        buf_adds(sql, ")");
    }
}

static void statement_of(struct buf *sql, size_t rows)
{
    buf_adds(sql, "INSERT INTO {local_integrationhub_stat}"
                  " (serviceid, ruleid, width, timestart, latencymax, ");
    statrows_columns(sql, "", "");
    buf_adds(sql, ") VALUES ");
    for (size_t i = 0; i < rows; i++) {
        buf_adds(sql, i > 0 ? ", (?" : "(?");
        for (size_t k = 1; k < COLUMNS; k++)
            buf_adds(sql, ", ?");
        buf_adds(sql, ")");
    }
    statrows_on_duplicate(sql);
}

static void values_of(const struct statrow *row, struct db_value values[COLUMNS])
{
    values[0] = db_of_number(row->service_id);
    values[1] = db_of_number(row->rule_id);
    values[2] = db_of_number(row->width_s);
    values[3] = db_of_number(row->start_s);
    values[4] = db_of_number((int64_t)row->max_us);
    for (size_t k = 0; k < STAT_COUNTS; k++)
        values[KEYS + k] = db_of_number((int64_t)row->n[k]);
}

static int add_rows(struct db *db, const struct statbatch *batch)
{
    struct db_value *values = calloc(batch->n * COLUMNS, sizeof *values);
    struct buf sql;
    int r;

    if (!values)
        return -ENOMEM;
    buf_init(&sql, SQL_MAX);
    statement_of(&sql, batch->n);
    for (size_t i = 0; i < batch->n; i++)
        values_of(&batch->rows[i], values + i * COLUMNS);
    r = buf_error(&sql);
    if (r == 0)
        r = db_query(db, buf_text(&sql), values, batch->n * COLUMNS, NULL, NULL, NULL);
    buf_release(&sql);
    free(values);
    return r;
}

static int on_number(void *context, const struct db_row *row)
{
    int64_t *number = context;

    *number = db_number(row, 0, 0);
    return 0;
}

/* Takes the batch's number. ret_mine: false when it was taken before, and all of the batch with it.
 */
static int claim(struct db *db, const struct statbatch *batch, bool *ret_mine)
{
    const int64_t number = (int64_t)batch->number;
    const struct db_value change[] = {db_of_number(number), db_of_text(batch->writer),
                                      db_of_number(number)};
    int64_t found = -1;
    uint64_t changed = 0;
    int r =
        db_query(db,
                 "UPDATE {local_integrationhub_batch}"
                 " SET number = ?, timemodified = UNIX_TIMESTAMP() WHERE writer = ? AND number < ?",
                 change, 3, NULL, NULL, &changed);

    if (r == 0 && changed == 0)
        r = db_query(db, "SELECT number FROM {local_integrationhub_batch} WHERE writer = ?",
                     &change[1], 1, on_number, &found, NULL);
    if (r == 0 && changed == 0 && found < 0)
        r = db_query(db,
                     "INSERT INTO {local_integrationhub_batch} (number, writer, timemodified)"
                     " VALUES (?, ?, UNIX_TIMESTAMP())",
                     change, 2, NULL, NULL, NULL);
    *ret_mine = changed > 0 || found < 0;
    return r == -EEXIST ? -EAGAIN : r; /* the lost one has just come through */
}

int statrows_write(struct db *db, const struct statbatch *batch)
{
    bool mine = false;
    int r = db_begin(db);

    if (r < 0)
        return r;
    r = claim(db, batch, &mine);
    if (r == 0 && mine)
        r = add_rows(db, batch);
    return r < 0 ? db_rollback(db, r) : db_commit(db);
}
