#include "worker/replay_index.h"

#include <stdio.h>
#include <string.h>

#include "common/buf.h"

enum { SQL_MAX = 4096, FILTER_VALUES = 9 };

static int on_canary(void *context, const struct db_row *row)
{
    enum canary_state *state = context;

    if (strcmp(db_text(row, 0), "delivered") == 0)
        *state = CANARY_DELIVERED;
    else if (strcmp(db_text(row, 0), "dead") == 0)
        *state = CANARY_DEAD;
    return 0;
}

int replay_index_canary(struct db *db, const struct dead_row *row, int64_t replay_id,
                        enum canary_state *ret_state)
{
    const struct db_value values[] = {
        db_of_text(row->message_id), db_of_number_or_null(row->rule_id), db_of_number(row->rule_id),
        db_of_number(row->service_id), db_of_number(replay_id)};

    *ret_state = CANARY_UNDERWAY;
    return db_query(db,
                    "SELECT state FROM {local_integrationhub_dlq} WHERE messageid = ?"
                    " AND (ruleid <=> ? OR (? = 0 AND state = 'dead')) AND serviceid = ?"
                    " AND replayid = ? ORDER BY id DESC LIMIT 1",
                    values, 5, on_canary, ret_state, NULL);
}

int replay_index_undo(struct db *db, const struct dead_row *row, int64_t replay_id,
                      uint64_t *ret_rows)
{
    const struct db_value values[] = {
        db_of_number_or_null(row->replay_id), db_of_text(row->message_id),
        db_of_number_or_null(row->rule_id), db_of_number(row->service_id), db_of_number(replay_id)};

    return db_query(db,
                    "UPDATE {local_integrationhub_dlq} SET state = 'dead', replayid = ?,"
                    " timemodified = UNIX_TIMESTAMP() WHERE messageid = ? AND ruleid <=> ?"
                    " AND serviceid = ? AND replayid = ? AND state IN ('replayed', 'discarded')",
                    values, 5, NULL, NULL, ret_rows);
}

static int on_trace(void *context, const struct db_row *row)
{
    struct replay_trace *t = context;

    t->rows = db_number(row, 0, 0);
    t->delivered = db_number(row, 1, 0);
    snprintf(t->message_id, sizeof t->message_id, "%s", db_text(row, 2));
    t->rule_id = db_number(row, 3, 0);
    t->service_id = db_number(row, 4, 0);
    return 0;
}

/* Rows from before its start are of another replay with the same id, of a table that was lost. */
int replay_index_trace(struct db *db, int64_t replay_id, int64_t started_s,
                       struct replay_trace *ret_trace)
{
    const struct db_value values[] = {db_of_number(replay_id), db_of_number(started_s)};

    *ret_trace = (struct replay_trace){.rows = 0};
    return db_query(db,
                    "SELECT COUNT(*), SUM(state = 'delivered'), MAX(messageid), MAX(ruleid),"
                    " MAX(serviceid) FROM {local_integrationhub_dlq}"
                    " WHERE replayid = ? AND timemodified >= ?",
                    values, 2, on_trace, ret_trace, NULL);
}

int replay_index_mend(struct db *db, int64_t service_id, int64_t since_s, uint64_t *ret_rows)
{
    const struct db_value values[] = {db_of_number(service_id), db_of_number(since_s)};

    return db_query(db,
                    "UPDATE {local_integrationhub_dlq} SET state = 'dropped',"
                    " timemodified = UNIX_TIMESTAMP() WHERE serviceid = ? AND state = 'dead'"
                    " AND messageid IS NOT NULL AND timemodified < ? - 60",
                    values, 2, NULL, NULL, ret_rows);
}

struct listing {
    replay_index_on_row *on_row;
    void *context;
};

static int on_listed(void *context, const struct db_row *row)
{
    const struct listing *l = context;
    const struct dead_row found = {
        .service_id = db_number(row, 1, 0),
        .rule_id = db_number(row, 2, 0),
        .attempts = db_number(row, 6, 0),
        .status = db_number(row, 7, 0),
        .died_s = db_number(row, 8, 0),
        .message_id = db_text(row, 3),
        .event_name = db_text(row, 4),
        .reason = db_text(row, 5),
    };

    return l->on_row(l->context, db_number(row, 0, 0), &found);
}

/* An asterisk at the end stands for anything, as in replay_filter.h. */
static void add_event(struct buf *sql, struct db_value *values, size_t *n, const char *name)
{
    size_t len = strlen(name);

    if (len == 0)
        return;
    if (name[len - 1] == '*') {
        buf_adds(sql, " AND LEFT(eventname, ?) = ?");
        values[(*n)++] = db_of_number((int64_t)len - 1);
        values[(*n)++] = (struct db_value){.text = name, .len = len - 1};
    } else {
        buf_adds(sql, " AND eventname = ?");
        values[(*n)++] = db_of_text(name);
    }
}

static void add_number(struct buf *sql, struct db_value *values, size_t *n, const char *condition,
                       int64_t value)
{
    if (value == 0)
        return;
    buf_adds(sql, condition);
    values[(*n)++] = db_of_number(value);
}

static void add_text(struct buf *sql, struct db_value *values, size_t *n, const char *condition,
                     const char *value)
{
    if (!*value)
        return;
    buf_adds(sql, condition);
    values[(*n)++] = db_of_text(value);
}

int replay_index_list(struct db *db, const struct replay_filter *filter, int64_t limit,
                      replay_index_on_row *on_row, void *context)
{
    struct listing listing = {on_row, context};
    struct db_value values[FILTER_VALUES];
    struct buf sql;
    size_t n = 0;
    int r;

    buf_init(&sql, SQL_MAX);
    buf_adds(&sql, "SELECT id, serviceid, ruleid, messageid, eventname, error_message, attempts,"
                   " http_status, timecreated FROM {local_integrationhub_dlq}"
                   " WHERE state = 'dead'");
    add_number(&sql, values, &n, " AND serviceid = ?", filter->service_id);
    add_number(&sql, values, &n, " AND ruleid = ?", filter->rule_id);
    add_text(&sql, values, &n, " AND messageid = ?", filter->message_id);
    add_event(&sql, values, &n, filter->event_name);
    add_text(&sql, values, &n, " AND LOCATE(?, error_message) > 0", filter->reason);
    add_number(&sql, values, &n, " AND timecreated >= ?", filter->from_s);
    add_number(&sql, values, &n, " AND timecreated <= ?", filter->to_s);
    buf_adds(&sql, " ORDER BY id LIMIT ?");
    values[n++] = db_of_number(limit);
    r = buf_error(&sql);
    if (r == 0)
        r = db_query(db, buf_text(&sql), values, n, on_listed, &listing, NULL);
    buf_release(&sql);
    return r;
}
