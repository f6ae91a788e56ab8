#include "worker/replay_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const action_names[REPLAY_ACTIONS] = {
    [REPLAY_REPLAY] = "replay",
    [REPLAY_DISCARD] = "discard",
    [REPLAY_REINDEX] = "reindex",
};

#define COLUMNS                                                                                    \
    "id, action, mode, serviceid, ruleid, messageid, eventname, reason, timefrom, timeto, rate,"   \
    " maxcount, canary, stopafter, dryrun, state, matched, moved, failed, timestarted, error"

/* Refreshed for so long after their end, in seconds. */
#define REFRESHED "600"

const char *replay_action_name(enum replay_action action)
{
    return action_names[action];
}

static struct db_value text_or_null(const char *value)
{
    return (struct db_value){.text = *value ? value : NULL, .len = strlen(value), .null = !*value};
}

static void copy(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", from);
}

static void read_filter(struct replay_filter *f, const struct db_row *row)
{
    f->service_id = db_number(row, 3, 0);
    f->rule_id = db_number(row, 4, 0);
    copy(f->message_id, sizeof f->message_id, db_text(row, 5));
    copy(f->event_name, sizeof f->event_name, db_text(row, 6));
    copy(f->reason, sizeof f->reason, db_text(row, 7));
    f->from_s = db_number(row, 8, 0);
    f->to_s = db_number(row, 9, 0);
}

/* An action that nobody knows is none: the caller ends the row. */
static int on_replay(void *context, const struct db_row *row)
{
    struct replay *r = context;

    *r = (struct replay){.id = db_number(row, 0, 0), .action = REPLAY_ACTIONS};
    for (int i = 0; i < REPLAY_ACTIONS; i++)
        if (strcmp(db_text(row, 1), action_names[i]) == 0)
            r->action = (enum replay_action)i;
    r->as_sent = strcmp(db_text(row, 2), "render") != 0;
    read_filter(&r->filter, row);
    r->rate = db_number(row, 10, 0);
    if (r->rate <= 0)
        r->rate = REPLAY_RATE;
    r->max_count = db_number(row, 11, 0);
    r->canary = db_number(row, 12, 0) != 0;
    r->stop_after = db_number(row, 13, 0);
    r->dry_run = db_number(row, 14, 0) != 0;
    copy(r->state, sizeof r->state, db_text(row, 15));
    r->matched = db_number(row, 16, 0);
    r->moved = db_number(row, 17, 0);
    r->failed = db_number(row, 18, 0);
    r->started_s = db_number(row, 19, 0);
    copy(r->error, sizeof r->error, db_text(row, 20));
    return 0;
}

static int read_one(struct db *db, const char *sql, const struct db_value *values, size_t n,
                    struct replay *ret_replay)
{
    struct replay found = {.id = 0};
    int r = db_query(db, sql, values, n, on_replay, &found, NULL);

    if (r < 0)
        return r;
    if (found.id == 0)
        return 1;
    *ret_replay = found;
    return 0;
}

int replay_store_next(struct db *db, struct replay *ret_replay)
{
    return read_one(db,
                    "SELECT " COLUMNS " FROM {local_integrationhub_replay}"
                    " WHERE state IN ('running', 'requested') OR (state = 'stopped'"
                    " AND timestarted IS NOT NULL AND timeended IS NULL)"
                    " ORDER BY state <> 'requested' DESC, id LIMIT 1",
                    NULL, 0, ret_replay);
}

int replay_store_read(struct db *db, int64_t id, struct replay *ret_replay)
{
    const struct db_value values[] = {db_of_number(id)};

    return read_one(db, "SELECT " COLUMNS " FROM {local_integrationhub_replay} WHERE id = ?",
                    values, 1, ret_replay);
}

static int on_number(void *context, const struct db_row *row)
{
    int64_t *found = context;

    *found = db_number(row, 0, 0);
    return 0;
}

int replay_store_add(struct db *db, const struct replay *replay, int64_t *ret_id)
{
    const struct replay_filter *f = &replay->filter;
    const struct db_value values[] = {
        db_of_text(action_names[replay->action]),
        db_of_text(replay->as_sent ? "sent" : "render"),
        db_of_number_or_null(f->service_id),
        db_of_number_or_null(f->rule_id),
        text_or_null(f->message_id),
        text_or_null(f->event_name),
        text_or_null(f->reason),
        db_of_number_or_null(f->from_s),
        db_of_number_or_null(f->to_s),
        db_of_number(replay->rate),
        db_of_number_or_null(replay->max_count),
        db_of_number(replay->canary),
        db_of_number(replay->stop_after),
        db_of_number(replay->dry_run),
    };
    int r = db_query(db,
                     "INSERT INTO {local_integrationhub_replay} (action, mode, serviceid, ruleid,"
                     " messageid, eventname, reason, timefrom, timeto, rate, maxcount, canary,"
                     " stopafter, dryrun, timecreated, timemodified)"
                     " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,UNIX_TIMESTAMP(),UNIX_TIMESTAMP())",
                     values, sizeof values / sizeof values[0], NULL, NULL, NULL);

    return r < 0 ? r : db_query(db, "SELECT LAST_INSERT_ID()", NULL, 0, on_number, ret_id, NULL);
}

int replay_store_start(struct db *db, int64_t id)
{
    const struct db_value values[] = {db_of_number(id)};

    return db_query(db,
                    "UPDATE {local_integrationhub_replay} SET state = 'running',"
                    " timestarted = COALESCE(timestarted, UNIX_TIMESTAMP()),"
                    " timemodified = UNIX_TIMESTAMP() WHERE id = ?"
                    " AND state IN ('requested', 'running')",
                    values, 1, NULL, NULL, NULL);
}

int replay_store_withdraw(struct db *db, int64_t id)
{
    const struct db_value values[] = {db_of_number(id)};

    return db_query(db,
                    "UPDATE {local_integrationhub_replay} SET state = 'stopped',"
                    " error = 'withdrawn', timeended = IF(timestarted IS NULL, UNIX_TIMESTAMP(),"
                    " NULL), timemodified = UNIX_TIMESTAMP() WHERE id = ?"
                    " AND state IN ('requested', 'running')",
                    values, 1, NULL, NULL, NULL);
}

static int count_failed(struct db *db, int64_t id, int64_t *ret_failed)
{
    const struct db_value values[] = {db_of_number(id)};

    return db_query(db,
                    "SELECT COUNT(*) FROM {local_integrationhub_dlq}"
                    " WHERE replayid = ? AND state = 'dead'",
                    values, 1, on_number, ret_failed, NULL);
}

static int write_counts(struct db *db, const struct replay *r)
{
    const struct db_value values[] = {db_of_number(r->matched), db_of_number(r->moved),
                                      db_of_number(r->failed), db_of_number(r->id)};

    return db_query(db,
                    "UPDATE {local_integrationhub_replay} SET matched = ?, moved = ?, failed = ?,"
                    " timemodified = UNIX_TIMESTAMP() WHERE id = ?",
                    values, 4, NULL, NULL, NULL);
}

static int on_state(void *context, const struct db_row *row)
{
    struct replay *r = context;

    copy(r->state, sizeof r->state, db_text(row, 0));
    return 0;
}

int replay_store_progress(struct db *db, struct replay *replay)
{
    const struct db_value id[] = {db_of_number(replay->id)};
    int r = 0;

    if (replay->action == REPLAY_REPLAY)
        r = count_failed(db, replay->id, &replay->failed);
    if (r == 0)
        r = write_counts(db, replay);
    if (r == 0)
        r = db_query(db, "SELECT state FROM {local_integrationhub_replay} WHERE id = ?", id, 1,
                     on_state, replay, NULL);
    return r;
}

int replay_store_end(struct db *db, const struct replay *replay, const char *state,
                     const char *error)
{
    const struct db_value values[] = {db_of_text(state), text_or_null(error),
                                      db_of_number(replay->id)};
    int r = write_counts(db, replay);

    if (r < 0)
        return r;
    return db_query(db,
                    "UPDATE {local_integrationhub_replay} SET state = ?, error = ?,"
                    " timestarted = COALESCE(timestarted, UNIX_TIMESTAMP()),"
                    " timeended = UNIX_TIMESTAMP(), timemodified = UNIX_TIMESTAMP() WHERE id = ?",
                    values, 3, NULL, NULL, NULL);
}

int replay_store_refresh(struct db *db)
{
    return db_query(db,
                    "UPDATE {local_integrationhub_replay} r SET r.failed = (SELECT COUNT(*)"
                    " FROM {local_integrationhub_dlq} d WHERE d.replayid = r.id"
                    " AND d.state = 'dead')"
                    " WHERE r.state IN ('done', 'stopped') AND r.action = 'replay'"
                    " AND r.timeended > UNIX_TIMESTAMP() - " REFRESHED,
                    NULL, 0, NULL, NULL, NULL);
}

struct service_search {
    int64_t id;
    size_t n;
};

static int on_service(void *context, const struct db_row *row)
{
    struct service_search *s = context;

    s->id = db_number(row, 0, 0);
    s->n++;
    return 0;
}

static bool is_number(const char *words)
{
    return *words && strspn(words, "0123456789") == strlen(words);
}

struct id_list {
    int64_t *ids;
    size_t n, cap;
};

static int on_id(void *context, const struct db_row *row)
{
    struct id_list *list = context;

    if (list->n == list->cap) {
        size_t cap = list->cap ? 2 * list->cap : 16;
        int64_t *ids = reallocarray(list->ids, cap, sizeof *ids);
        if (!ids)
            return -ENOMEM;
        list->ids = ids;
        list->cap = cap;
    }
    list->ids[list->n++] = db_number(row, 0, 0);
    return 0;
}

int replay_store_services(struct db *db, int64_t **ret_ids, size_t *ret_n)
{
    struct id_list list = {NULL, 0, 0};
    int r = db_query(db,
                     "SELECT id FROM {local_integrationhub_svc}"
                     " UNION SELECT serviceid FROM {local_integrationhub_binding}"
                     " UNION SELECT serviceid FROM {local_integrationhub_dlq} WHERE state = 'dead'"
                     " ORDER BY 1",
                     NULL, 0, on_id, &list, NULL);

    if (r < 0) {
        free(list.ids);
        return r;
    }
    *ret_ids = list.ids;
    *ret_n = list.n;
    return 0;
}

/* Also of a service that is gone: its dead letters may still be there. */
static int find_id(struct db *db, int64_t id, int64_t *ret_id)
{
    int64_t *ids = NULL;
    size_t n = 0;
    bool known = false;
    int r = replay_store_services(db, &ids, &n);

    for (size_t i = 0; i < n; i++)
        known = known || ids[i] == id;
    free(ids);
    if (known)
        *ret_id = id;
    return r < 0 ? r : known ? 0 : 1;
}

int replay_store_service(struct db *db, const char *words, int64_t *ret_id)
{
    const struct db_value values[] = {db_of_text(words)};
    struct service_search found = {0};
    int r = db_query(db, "SELECT id FROM {local_integrationhub_svc} WHERE name = ?", values, 1,
                     on_service, &found, NULL);

    if (r < 0)
        return r;
    if (is_number(words) && found.n == 0)
        return find_id(db, strtoll(words, NULL, 10), ret_id);
    if (found.n != 1)
        return 1;
    *ret_id = found.id;
    return 0;
}

/* As in election.c: locks are common to all databases of a server, and names are at most 64 long.
 */
#define LOCK_TEXT "CONCAT('mih.', DATABASE(), '.{hub}.replayer/', ?)"

int replay_store_lock(struct db *db, const char *space)
{
    const struct db_value values[] = {db_of_text(space)};
    int64_t held = 0;
    int r = db_query(db,
                     "SELECT IF(IS_USED_LOCK(name) <=> CONNECTION_ID(), 1, GET_LOCK(name, 0))"
                     " FROM (SELECT CONCAT('mih.', SHA1(" LOCK_TEXT ")) AS name) AS l",
                     values, 1, on_number, &held, NULL);

    return r < 0 ? r : held == 1 ? 0 : 1;
}

int replay_store_works(struct db *db, const char *space, bool *ret_works)
{
    const struct db_value values[] = {db_of_text(space)};
    int64_t held = 0;
    int r = db_query(db, "SELECT IS_USED_LOCK(CONCAT('mih.', SHA1(" LOCK_TEXT "))) IS NOT NULL",
                     values, 1, on_number, &held, NULL);

    *ret_works = held != 0;
    return r;
}
