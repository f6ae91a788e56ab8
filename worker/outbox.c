#include "worker/outbox.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/envelope.h"

enum { STATEMENT_BYTES = 64 * 1024, IDS_AT_A_TIME = 1000 };

/* What the first, cheap look at a row tells. */
struct candidates {
    struct outbox_batch *batch;
    int64_t *ids;
    size_t n;
    size_t bytes;
    size_t looked;
};

static void set_aside(struct outbox_batch *batch, int64_t id, const char *reason)
{
    batch->aside++;
    batch->aside_id = id;
    batch->aside_reason = reason;
}

/* NULL, or why a row can never be published. */
static const char *unpublishable(const struct db_row *row)
{
    char key[sizeof((struct outbox_row *)0)->routing_key];
    const char *name = db_text(row, 1);
    if (strlen(name) > OUTBOX_NAME_MAX || envelope_routing_key(name, key, sizeof key) < 0)
        return "the event name is not one of a Moodle event";
    if (db_number(row, 2, INT64_MAX) > OUTBOX_PAYLOAD_MAX)
        return "the payload is larger than 16 MiB";
    return NULL;
}

/* A non-zero return ends the look: the batch is full. */
static int on_candidate(void *context, const struct db_row *row)
{
    struct candidates *c = context;
    const int64_t id = db_number(row, 0, 0);
    const char *why_not = unpublishable(row);
    const size_t bytes = why_not ? 0 : (size_t)db_number(row, 2, 0);
    if (c->n && c->bytes + bytes > OUTBOX_BATCH_BYTES) {
        c->batch->more = true;
        return 1;
    }
    c->looked++;
    c->batch->last_id = id;
    if (why_not) {
        set_aside(c->batch, id, why_not);
        return 0;
    }
    c->bytes += bytes;
    c->ids[c->n++] = id;
    return 0;
}

static int find_candidates(struct candidates *c, struct db *db)
{
    struct outbox_batch *batch = c->batch;
    const struct db_value values[] = {
        {.number = batch->cursor}, {.number = batch->after_s}, {.number = (int64_t)batch->limit}};
    int r = db_query(db,
                     "SELECT id, eventname, LENGTH(payload) FROM {local_integrationhub_outbox}"
                     " WHERE id > ? AND timecreated <= UNIX_TIMESTAMP() - ? ORDER BY id LIMIT ?",
                     values, 3, on_candidate, c, NULL);
    if (r < 0)
        return r;
    if (c->looked == batch->limit)
        batch->more = true;
    return 0;
}

static int on_full_row(void *context, const struct db_row *row)
{
    struct outbox_batch *batch = context;
    struct outbox_row *into = &batch->rows[batch->n];
    into->id = db_number(row, 0, 0);
    into->timecreated = db_number(row, 4, 0);
    into->message_id = strdup(db_text(row, 1));
    into->eventname = strdup(db_text(row, 2));
    into->payload_len = row->len[3];
    into->payload = malloc(into->payload_len + 1);
    batch->n++;
    if (!into->message_id || !into->eventname || !into->payload)
        return -ENOMEM;
    memcpy(into->payload, db_text(row, 3), into->payload_len);
    into->payload[into->payload_len] = '\0';
    if (envelope_routing_key(into->eventname, into->routing_key, sizeof into->routing_key) == 0)
        return 0;
    /* Changed since the look a moment ago: for the next one. */
    outbox_row_release(into);
    batch->n--;
    return 0;
}

/* Runs a statement that ends in " IN (" and the ids, in order of id where `order` says so. */
static int query_ids(struct db *db, const char *sql, const int64_t *ids, size_t n,
                     const char *order, struct outbox_batch *batch)
{
    struct buf text;
    struct db_value *values = calloc(n, sizeof *values);
    if (!values)
        return -ENOMEM;
    buf_init(&text, STATEMENT_BYTES);
    buf_adds(&text, sql);
    for (size_t i = 0; i < n; i++) {
        values[i].number = ids[i];
        buf_adds(&text, i ? ",?" : "?");
    }
    buf_adds(&text, order);
    int r = buf_error(&text);
    if (r == 0)
        r = db_query(db, buf_text(&text), values, n, batch ? on_full_row : NULL, batch, NULL);
    buf_release(&text);
    free(values);
    return r;
}

static int read_rows(struct outbox_batch *batch, struct db *db, const int64_t *ids, size_t n)
{
    batch->rows = calloc(n, sizeof *batch->rows);
    if (!batch->rows)
        return -ENOMEM;
    int r = 0;
    for (size_t at = 0; r == 0 && at < n; at += IDS_AT_A_TIME) {
        size_t count = n - at < IDS_AT_A_TIME ? n - at : IDS_AT_A_TIME;
        r = query_ids(db,
                      "SELECT id, messageid, eventname, payload, timecreated"
                      " FROM {local_integrationhub_outbox} WHERE id IN (",
                      ids + at, count, ") ORDER BY id", batch);
    }
    return r;
}

static int on_site_id(void *context, const struct db_row *row)
{
    struct outbox_batch *batch = context;
    if (row->len[0] < sizeof batch->site_id)
        snprintf(batch->site_id, sizeof batch->site_id, "%s", db_text(row, 0));
    return 0;
}

/* A database without Moodle has no settings, and an older grant does not show them. */
static int read_site_id(struct outbox_batch *batch, struct db *db)
{
    int r = db_query(db, "SELECT value FROM mih_{settings} WHERE name = 'siteid'", NULL, 0,
                     on_site_id, batch, NULL);
    return r == -ENOENT || r == -EPERM ? 0 : r;
}

int outbox_read(struct outbox_batch *batch, struct db *db)
{
    struct candidates c = {.batch = batch, .ids = calloc(batch->limit, sizeof *c.ids)};
    batch->last_id = batch->cursor;
    int r = c.ids ? find_candidates(&c, db) : -ENOMEM;
    if (r == 0 && c.n)
        r = read_rows(batch, db, c.ids, c.n);
    if (r == 0 && batch->want_site_id)
        r = read_site_id(batch, db);
    free(c.ids);
    if (r < 0)
        outbox_batch_release(batch);
    return r;
}

int outbox_delete(struct db *db, const int64_t *ids, size_t n)
{
    int r = 0;
    for (size_t at = 0; r == 0 && at < n; at += IDS_AT_A_TIME) {
        size_t count = n - at < IDS_AT_A_TIME ? n - at : IDS_AT_A_TIME;
        r = query_ids(db, "DELETE FROM {local_integrationhub_outbox} WHERE id IN (", ids + at,
                      count, ")", NULL);
    }
    return r;
}

void outbox_row_release(struct outbox_row *row)
{
    free(row->message_id);
    free(row->eventname);
    free(row->payload);
    *row = (struct outbox_row){0};
}

void outbox_batch_release(struct outbox_batch *batch)
{
    for (size_t i = 0; i < batch->n; i++)
        outbox_row_release(&batch->rows[i]);
    free(batch->rows);
    batch->rows = NULL;
    batch->n = 0;
}
