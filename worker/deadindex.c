#include "worker/deadindex.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "worker/deadtext.h"

enum {
    CHUNK_ROWS = 100,
    CHUNK_BYTES = 768 * 1024, /* of texts, in one statement: servers take 1 MiB at the least */
    STATEMENT_BYTES = 16 * 1024,
    COLUMNS = 15,
    ATTEMPTS_MAX = 8388607, /* MEDIUMINT */
};

enum text { EVENT, PAYLOAD, REASON, MESSAGE, ENDPOINT, METHOD, RESPONSE, TEXTS };

/* Where each text stands, and how many bytes its column takes in any case. */
static const struct {
    size_t offset;
    size_t max;
} texts[TEXTS] = {
    [EVENT] = {offsetof(struct dead_row, event_name), 255},
    [PAYLOAD] = {offsetof(struct dead_row, payload), DEADINDEX_PAYLOAD_MAX},
    [REASON] = {offsetof(struct dead_row, reason), 4096},
    [MESSAGE] = {offsetof(struct dead_row, message_id), 127},
    [ENDPOINT] = {offsetof(struct dead_row, endpoint), 1333},
    [METHOD] = {offsetof(struct dead_row, method), 10},
    [RESPONSE] = {offsetof(struct dead_row, response), DEADINDEX_RESPONSE_MAX},
};

/* A row on its way into the table: its texts as they will stand there. */
struct entry {
    const struct dead_row *row;
    char *text[TEXTS]; /* NULL: not known; in the chunk's arena */
    int64_t id;        /* of the row there is; 0: none */
    bool repeated;     /* a later entry has the same key and is the one to be added */
    bool updated;      /* with others of the same replay */
};

/* As many as one statement takes. */
struct chunk {
    struct entry entries[CHUNK_ROWS];
    size_t n;
    char *arena; /* owned */
};

/* One change of the table; its own fields are the same for every row. */
struct change {
    struct db *db;
    const char *state;
    int64_t replay_id; /* 0: each row's own */
    bool overtaken;    /* rows may have changed since */
    bool only_state;
};

static const char *source(const struct dead_row *row, enum text which)
{
    const char *text;

    memcpy(&text, (const char *)row + texts[which].offset, sizeof text);
    return text;
}

/* The endpoint is cut after it was stripped; it is copied whole. */
static size_t copied_length(enum text which, const char *text)
{
    return which == ENDPOINT ? strlen(text) : strnlen(text, texts[which].max + 4);
}

static size_t room_for(const struct dead_row *row)
{
    size_t room = 0;

    for (int i = 0; i < TEXTS; i++) {
        const char *text = source(row, (enum text)i);

        if (text)
            room += copied_length((enum text)i, text) + 1;
    }
    return room;
}

static char *fill_entry(struct entry *e, const struct dead_row *row, char *at)
{
    *e = (struct entry){.row = row};
    for (int i = 0; i < TEXTS; i++) {
        const char *text = source(row, (enum text)i);
        size_t len;

        if (!text)
            continue;
        len = copied_length((enum text)i, text);
        e->text[i] = at;
        at = deadtext_copy(at, text, len, i == ENDPOINT ? len : texts[i].max);
    }
    if (e->text[ENDPOINT]) {
        deadtext_strip_endpoint(e->text[ENDPOINT]);
        deadtext_cut(e->text[ENDPOINT], texts[ENDPOINT].max);
    }
    return at;
}

static bool same_key(const struct entry *e, const char *message_id, int64_t rule, int64_t service)
{
    return e->text[MESSAGE] && *e->text[MESSAGE] && strcmp(e->text[MESSAGE], message_id) == 0 &&
           e->row->rule_id == rule && e->row->service_id == service;
}

static void mark_repeats(struct chunk *c)
{
    for (size_t i = 0; i + 1 < c->n; i++) {
        struct entry *e = &c->entries[i];

        for (size_t k = i + 1; k < c->n && !e->repeated && e->text[MESSAGE]; k++)
            e->repeated =
                same_key(&c->entries[k], e->text[MESSAGE], e->row->rule_id, e->row->service_id);
    }
}

/* Takes rows until the chunk is full; ret_taken counts them. 0 or -ENOMEM. */
static int chunk_fill(struct chunk *c, const struct dead_row *rows, size_t n, size_t *ret_taken)
{
    size_t room = 0;
    size_t taken = 0;
    char *at;

    while (taken < n && taken < CHUNK_ROWS && (taken == 0 || room < CHUNK_BYTES))
        room += room_for(&rows[taken++]);
    free(c->arena);
    c->arena = malloc(room + 1);
    if (!c->arena)
        return -ENOMEM;
    at = c->arena;
    for (c->n = 0; c->n < taken; c->n++)
        at = fill_entry(&c->entries[c->n], &rows[c->n], at);
    mark_repeats(c);
    *ret_taken = taken;
    return 0;
}

static struct db_value text_or_empty(const char *text)
{
    return db_of_text(text ? text : "");
}

static int64_t clamped(int64_t attempts)
{
    return attempts < 0 ? 0 : attempts > ATTEMPTS_MAX ? ATTEMPTS_MAX : attempts;
}

/* In order of id, so that the newest of several is the one that stays. */
static int on_found(void *context, const struct db_row *row)
{
    struct chunk *c = context;

    for (size_t i = 0; i < c->n; i++)
        if (same_key(&c->entries[i], db_text(row, 1), db_number(row, 2, 0), db_number(row, 3, 0)))
            c->entries[i].id = db_number(row, 0, 0);
    return 0;
}

static int find_rows(struct chunk *c, struct db *db)
{
    struct db_value values[CHUNK_ROWS];
    struct buf sql;
    int r;

    buf_init(&sql, STATEMENT_BYTES);
    buf_adds(&sql, "SELECT id, messageid, ruleid, serviceid FROM {local_integrationhub_dlq}"
                   " WHERE messageid IN (");
    for (size_t i = 0; i < c->n; i++) {
        buf_adds(&sql, i > 0 ? ",?" : "?");
        values[i] = db_of_text(c->entries[i].text[MESSAGE]);
    }
    buf_adds(&sql, ") ORDER BY id");
    r = buf_error(&sql);
    if (r == 0)
        r = db_query(db, buf_text(&sql), values, c->n, on_found, c, NULL);
    buf_release(&sql);
    return r;
}

static int64_t replay_of(const struct change *change, const struct entry *e)
{
    return change->replay_id > 0 ? change->replay_id : e->row->replay_id;
}

/* In the order of the columns in insert_rows(). */
static void insert_values(const struct change *change, const struct entry *e,
                          struct db_value *ret_values)
{
    const struct dead_row *row = e->row;
    const struct db_value values[COLUMNS] = {
        text_or_empty(e->text[EVENT]),
        db_of_number(row->service_id),
        db_of_text(e->text[PAYLOAD]),
        db_of_text(e->text[REASON]),
        db_of_number_or_null(row->died_s),
        db_of_text(e->text[MESSAGE] && *e->text[MESSAGE] ? e->text[MESSAGE] : NULL),
        db_of_number_or_null(row->rule_id),
        db_of_text(e->text[ENDPOINT]),
        db_of_text(e->text[METHOD]),
        db_of_number(clamped(row->attempts)),
        db_of_number_or_null(row->status),
        db_of_text(e->text[RESPONSE]),
        db_of_text(change->state),
        db_of_number_or_null(row->first_s),
        db_of_number_or_null(replay_of(change, e)),
    };

    memcpy(ret_values, values, sizeof values);
}

static int insert_rows(const struct change *change, const struct chunk *c)
{
    struct db_value *values = calloc(c->n * COLUMNS, sizeof *values);
    size_t n = 0;
    struct buf sql;
    int r;

    if (!values)
        return -ENOMEM;
    buf_init(&sql, STATEMENT_BYTES);
    buf_adds(&sql, "INSERT INTO {local_integrationhub_dlq} (eventname, serviceid, payload,"
                   " error_message, timecreated, messageid, ruleid, endpoint, http_method,"
                   " attempts, http_status, response, state, timefirst, replayid, timemodified)"
                   " VALUES ");
    for (size_t i = 0; i < c->n; i++) {
        if (c->entries[i].id > 0 || c->entries[i].repeated)
            continue;
        buf_adds(&sql, n > 0 ? "," : "");
        buf_adds(&sql,
                 "(?,?,?,?,COALESCE(?,UNIX_TIMESTAMP()),?,?,?,?,?,?,?,?,?,?,UNIX_TIMESTAMP())");
        insert_values(change, &c->entries[i], values + COLUMNS * n++);
    }
    r = buf_error(&sql);
    if (r == 0 && n > 0)
        r = db_query(change->db, buf_text(&sql), values, n * COLUMNS, NULL, NULL, NULL);
    buf_release(&sql);
    free(values);
    return r;
}

/* What the letter tells, but for its state. */
static int update_details(const struct change *change, const struct entry *e)
{
    const struct dead_row *row = e->row;
    const struct db_value values[] = {
        db_of_text(e->text[EVENT]),
        db_of_text(e->text[PAYLOAD]),
        db_of_text(e->text[REASON]),
        db_of_number_or_null(row->died_s),
        db_of_text(e->text[ENDPOINT]),
        db_of_text(e->text[METHOD]),
        db_of_number(clamped(row->attempts)),
        db_of_number_or_null(row->status),
        db_of_text(e->text[RESPONSE]),
        db_of_number_or_null(row->first_s),
        db_of_number(e->id),
        db_of_number(change->overtaken),
        db_of_number(row->died_s),
    };

    return db_query(change->db,
                    "UPDATE {local_integrationhub_dlq} SET eventname = COALESCE(?, eventname),"
                    " payload = COALESCE(?, payload), error_message = COALESCE(?, error_message),"
                    " timecreated = COALESCE(?, timecreated), endpoint = COALESCE(?, endpoint),"
                    " http_method = COALESCE(?, http_method), attempts = ?, http_status = ?,"
                    " response = COALESCE(?, response), timefirst = COALESCE(?, timefirst)"
                    " WHERE id = ? AND (? = 0 OR timecreated <= ?)",
                    values, sizeof values / sizeof values[0], NULL, NULL, NULL);
}

/* The change's state; of what may have been overtaken only where no later replay has set it since,
 * and retention has not dropped it since. */
static int update_state(const struct change *change, const struct entry *e)
{
    const int64_t replay = replay_of(change, e);
    const struct db_value values[] = {
        db_of_text(change->state),       db_of_number_or_null(replay), db_of_number(e->id),
        db_of_number(change->overtaken), db_of_number(e->row->died_s), db_of_number(replay),
    };

    return db_query(change->db,
                    "UPDATE {local_integrationhub_dlq} SET state = ?,"
                    " replayid = COALESCE(?, replayid), timemodified = UNIX_TIMESTAMP()"
                    " WHERE id = ? AND (? = 0 OR state = 'dead' OR timemodified < ?"
                    " OR (state <> 'dropped' AND COALESCE(replayid, 0) <= ?))",
                    values, sizeof values / sizeof values[0], NULL, NULL, NULL);
}

/* The change's state for all rows of the chunk that are there and have this replay. An outcome that
 * the letters' own replays had (the change names none) comes late when a later one has been told.
 */
static int update_states_of(const struct change *change, struct chunk *c, int64_t replay)
{
    struct db_value values[CHUNK_ROWS + 3];
    size_t n = 2;
    struct buf sql;
    int r;

    values[0] = db_of_text(change->state);
    values[1] = db_of_number_or_null(replay);
    buf_init(&sql, STATEMENT_BYTES);
    buf_adds(&sql, "UPDATE {local_integrationhub_dlq} SET state = ?,"
                   " replayid = COALESCE(?, replayid), timemodified = UNIX_TIMESTAMP()"
                   " WHERE id IN (");
    for (size_t i = 0; i < c->n; i++) {
        struct entry *e = &c->entries[i];

        if (e->id == 0 || e->updated || replay_of(change, e) != replay)
            continue;
        buf_adds(&sql, n > 2 ? ",?" : "?");
        values[n++] = db_of_number(e->id);
        e->updated = true;
    }
    buf_adds(&sql, ")");
    if (change->replay_id == 0 && replay > 0) {
        buf_adds(&sql, " AND COALESCE(replayid, 0) <= ?");
        values[n++] = db_of_number(replay);
    }
    r = buf_error(&sql);
    if (r == 0)
        r = db_query(change->db, buf_text(&sql), values, n, NULL, NULL, NULL);
    buf_release(&sql);
    return r;
}

static int update_states(const struct change *change, struct chunk *c)
{
    int r = 0;

    for (size_t i = 0; i < c->n && r >= 0; i++)
        if (c->entries[i].id > 0 && !c->entries[i].updated)
            r = update_states_of(change, c, replay_of(change, &c->entries[i]));
    return r;
}

static int update_each(const struct change *change, const struct chunk *c)
{
    int r = 0;

    for (size_t i = 0; i < c->n && r >= 0; i++) {
        const struct entry *e = &c->entries[i];

        if (e->id == 0)
            continue;
        /* The state first: the details change the time of death. */
        r = update_state(change, e);
        if (r >= 0)
            r = update_details(change, e);
    }
    return r;
}

/* Letters without a rule are gone once something died under a rule that came of them. */
static int settle_ruleless(const struct change *change, const struct chunk *c)
{
    int r = 0;

    for (size_t i = 0; i < c->n && r >= 0; i++) {
        const struct entry *e = &c->entries[i];
        const struct db_value values[] = {
            db_of_text(e->text[MESSAGE]),
            db_of_number(e->row->service_id),
            db_of_number(e->row->replay_id),
        };

        if (change->overtaken && e->row->was_ruleless)
            r = db_query(change->db,
                         "UPDATE {local_integrationhub_dlq} SET state = 'dropped',"
                         " timemodified = UNIX_TIMESTAMP() WHERE messageid = ?"
                         " AND ruleid IS NULL AND serviceid = ? AND replayid = ?"
                         " AND state = 'replayed'",
                         values, sizeof values / sizeof values[0], NULL, NULL, NULL);
    }
    return r;
}

static int statement(struct db *db, const char *sql)
{
    return db_query(db, sql, NULL, 0, NULL, NULL, NULL);
}

static int write_found(const struct change *change, struct chunk *c)
{
    int r = change->only_state ? update_states(change, c) : update_each(change, c);

    return r < 0 ? r : insert_rows(change, c);
}

/* In one transaction: a commit for each row would cost the server a write to its disk each. */
static int write_chunk(const struct change *change, struct chunk *c)
{
    struct db *db = change->db;
    int r = settle_ruleless(change, c);
    int end;

    if (r >= 0)
        r = find_rows(c, db);
    if (r >= 0)
        r = statement(db, "SET autocommit = 0");
    if (r < 0)
        return r;
    r = write_found(change, c);
    if (db_lost(db))
        return r;
    end = statement(db, r < 0 ? "ROLLBACK" : "COMMIT");
    r = r < 0 ? r : end;
    end = db_lost(db) ? end : statement(db, "SET autocommit = 1");
    return r < 0 ? r : end;
}

static int write_rows(const struct change *change, const struct dead_row *rows, size_t n)
{
    struct chunk *c = calloc(1, sizeof *c);
    size_t taken = 0;
    int r = c ? 0 : -ENOMEM;

    for (; r >= 0 && n > 0; rows += taken, n -= taken) {
        r = chunk_fill(c, rows, n, &taken);
        if (r >= 0)
            r = write_chunk(change, c);
    }
    if (c)
        free(c->arena);
    free(c);
    return r;
}

int deadindex_put(struct db *db, const struct dead_row *rows, size_t n)
{
    return write_rows(&(struct change){.db = db, .state = "dead"}, rows, n);
}

int deadindex_died(struct db *db, const struct dead_row *rows, size_t n)
{
    return write_rows(&(struct change){.db = db, .state = "dead", .overtaken = true}, rows, n);
}

int deadindex_set(struct db *db, const struct dead_row *rows, size_t n, const char *state,
                  int64_t replay_id)
{
    return write_rows(
        &(struct change){
            .db = db,
            .state = state,
            .replay_id = replay_id,
            .only_state = true,
        },
        rows, n);
}
