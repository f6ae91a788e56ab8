#include "worker/stattidy.h"

#include <errno.h>

#include "common/buf.h"
#include "worker/statcells.h"
#include "worker/statrows.h"

enum { SQL_MAX = 16 * 1024, ROWS_AT_A_TIME = 1000, BATCHES_KEPT_S = 90 * STAT_DAY };

/* Which rows become which. part_s of them in one transaction, so that nobody waits for long. */
static const struct roll {
    int64_t from_s, to_s, after_s, part_s;
} rolls[] = {
    {STAT_MINUTE, STAT_HOUR, INT64_C(2) * STAT_DAY, 600},
    {STAT_HOUR, STAT_DAY, INT64_C(14) * STAT_DAY, INT64_C(6) * STAT_HOUR},
};

static int on_number(void *context, const struct db_row *row)
{
    int64_t *number = context;

    *number = db_number(row, 0, -1);
    return 0;
}

/* The time of the oldest row that is to be rolled up; -1: none. */
static int find_oldest(struct db *db, const struct roll *roll, int64_t *ret_start_s)
{
    const struct db_value values[] = {
        db_of_number(roll->from_s),
        db_of_number(roll->after_s),
        db_of_number(roll->after_s),
        db_of_number(roll->to_s),
    };

    *ret_start_s = -1;
    return db_query(db,
                    "SELECT MIN(timestart) FROM {local_integrationhub_stat} WHERE width = ? AND"
                    " timestart < UNIX_TIMESTAMP() - ? - (UNIX_TIMESTAMP() - ?) % ?",
                    values, 4, on_number, ret_start_s, NULL);
}

/* The rows are locked as they are read, with the gaps between them, until all is over. */
static int add_up(struct db *db, const struct roll *roll, int64_t start_s, int64_t end_s)
{
    const struct db_value values[] = {
        db_of_number(roll->to_s), db_of_number(start_s - start_s % roll->to_s),
        db_of_number(roll->from_s), db_of_number(start_s), db_of_number(end_s)};
    struct buf sql;
    int r;

    buf_init(&sql, SQL_MAX);
    buf_adds(&sql, "INSERT INTO {local_integrationhub_stat}"
                   " (serviceid, ruleid, width, timestart, latencymax, backlog, ");
    statrows_columns(&sql, "", "");
    buf_adds(&sql, ") SELECT serviceid, ruleid, ?, ?, MAX(latencymax), MAX(backlog), ");
    statrows_columns(&sql, "SUM(", ")");
    buf_adds(&sql, " FROM {local_integrationhub_stat} WHERE width = ? AND timestart >= ? AND"
                   " timestart < ? GROUP BY serviceid, ruleid");
    statrows_on_duplicate(&sql);
    r = buf_error(&sql);
    if (r == 0)
        r = db_query(db, buf_text(&sql), values, 5, NULL, NULL, NULL);
    buf_release(&sql);
    return r;
}

static int delete_range(struct db *db, const struct roll *roll, int64_t start_s, int64_t end_s)
{
    const struct db_value values[] = {db_of_number(roll->from_s), db_of_number(start_s),
                                      db_of_number(end_s)};

    return db_query(db,
                    "DELETE FROM {local_integrationhub_stat} WHERE width = ? AND timestart >= ?"
                    " AND timestart < ?",
                    values, 3, NULL, NULL, NULL);
}

static int roll_up(struct db *db, const struct roll *roll, bool *ret_more)
{
    int64_t start_s;
    int r = find_oldest(db, roll, &start_s);

    if (r < 0 || start_s < 0)
        return r;
    *ret_more = true;
    r = db_begin(db);
    if (r < 0)
        return r;
    /* Parts end with what they become, too. */
    const int64_t end_s = start_s - start_s % roll->part_s + roll->part_s;

    r = add_up(db, roll, start_s, end_s);
    if (r == 0)
        r = delete_range(db, roll, start_s, end_s);
    return r < 0 ? db_rollback(db, r) : db_commit(db);
}

static int delete_old(struct db *db, int64_t width_s, int64_t keep_s, bool *ret_more)
{
    const struct db_value values[] = {db_of_number(width_s), db_of_number(keep_s)};
    uint64_t n = 0;
    int r = db_query(db,
                     "DELETE FROM {local_integrationhub_stat} WHERE width = ? AND"
                     " timestart < UNIX_TIMESTAMP() - ? LIMIT 1000",
                     values, 2, NULL, NULL, &n);

    *ret_more = *ret_more || n >= ROWS_AT_A_TIME;
    return r;
}

/* Of services that are gone: the plugin deletes what stands there then, and the fleet may count on
 * for some seconds. */
static int delete_gone(struct db *db, bool *ret_more)
{
    int64_t id = -1;
    uint64_t n = 0;
    int r = db_query(db,
                     "SELECT s.serviceid FROM (SELECT DISTINCT serviceid FROM"
                     " {local_integrationhub_stat}) s LEFT JOIN {local_integrationhub_svc} v"
                     " ON v.id = s.serviceid WHERE v.id IS NULL LIMIT 1",
                     NULL, 0, on_number, &id, NULL);
    const struct db_value gone = db_of_number(id);

    if (r == 0 && id >= 0)
        r = db_query(db, "DELETE FROM {local_integrationhub_stat} WHERE serviceid = ? LIMIT 1000",
                     &gone, 1, NULL, NULL, &n);
    *ret_more = *ret_more || n > 0;
    if (r < 0)
        return r;
    return db_query(db,
                    "DELETE FROM {local_integrationhub_backlog}"
                    " WHERE serviceid NOT IN (SELECT id FROM {local_integrationhub_svc})",
                    NULL, 0, NULL, NULL, NULL);
}

/* Of writers that are long gone; none can have a batch whose fate it does not know. */
static int delete_writers(struct db *db)
{
    const struct db_value keep = db_of_number(BATCHES_KEPT_S);

    return db_query(db,
                    "DELETE FROM {local_integrationhub_batch}"
                    " WHERE timemodified < UNIX_TIMESTAMP() - ? LIMIT 1000",
                    &keep, 1, NULL, NULL, NULL);
}

/* A database without Moodle has no settings, and an older grant does not show them. */
static int read_max_entries(struct db *db, int64_t *max)
{
    int r = db_query(db, "SELECT value FROM mih_{settings} WHERE name = 'max_log_entries'", NULL, 0,
                     on_number, max, NULL);

    return r == -ENOENT || r == -EPERM ? 0 : r;
}

struct newest {
    int64_t id, step;
};

static int on_newest(void *context, const struct db_row *row)
{
    struct newest *newest = context;

    newest->id = db_number(row, 0, 0);
    newest->step = db_number(row, 1, 1);
    return 0;
}

/* By ids, which nobody has to count: those that a failed insertion skipped count as entries. */
static int delete_log(struct db *db, int64_t max, bool *ret_more)
{
    struct newest newest = {0, 1};
    uint64_t n = 0;
    int r = read_max_entries(db, &max);

    if (r < 0 || max <= 0)
        return r;
    r = db_query(db, "SELECT MAX(id), @@auto_increment_increment FROM {local_integrationhub_log}",
                 NULL, 0, on_newest, &newest, NULL);
    const struct db_value last = db_of_number(newest.id - max * newest.step);
    if (r == 0 && last.number > 0)
        r = db_query(db,
                     "DELETE FROM {local_integrationhub_log} WHERE id <= ? ORDER BY id LIMIT 1000",
                     &last, 1, NULL, NULL, &n);
    *ret_more = *ret_more || n >= ROWS_AT_A_TIME;
    return r;
}

int stattidy_step(struct db *db, const struct stattidy *options, bool *ret_more)
{
    static const int64_t widths[] = {STAT_MINUTE, STAT_HOUR, STAT_DAY};
    bool more = false;
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof widths / sizeof *widths; i++)
        r = delete_old(db, widths[i], options->keep_s, &more);
    for (size_t i = 0; r == 0 && i < sizeof rolls / sizeof *rolls; i++)
        r = roll_up(db, &rolls[i], &more);
    if (r == 0)
        r = delete_gone(db, &more);
    if (r == 0)
        r = delete_writers(db);
    if (r == 0)
        r = delete_log(db, options->max_log_entries, &more);
    *ret_more = more;
    return r;
}
