#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "worker/ctl_base.h"
#include "worker/ctl_command.h"
#include "worker/ctl_trace_impl.h"

static int on_outbox(void *context, const struct db_row *row)
{
    struct trace_step *s = ctl_trace_add(context, db_number(row, 1, 0), "outbox");

    if (!s)
        return -ENOMEM;
    snprintf(s->text, sizeof s->text, "%.300s waits in Moodle's outbox for the broker",
             db_text(row, 0));
    return 0;
}

/* A request, as the log of it says. */
static int on_request(void *context, const struct db_row *row)
{
    const char *outcome = db_text(row, 9);
    int64_t status = db_number(row, 4, 0);
    struct trace_step *s = ctl_trace_add(context, db_number(row, 8, 0), "request");
    int n;

    if (!s)
        return -ENOMEM;
    if (*outcome)
        snprintf(s->what, sizeof s->what, "%s", outcome);
    s->service_id = db_number(row, 0, 0);
    s->rule_id = db_number(row, 1, 0);
    n = snprintf(s->text, sizeof s->text, "attempt %" PRId64 ": %.10s %.400s", db_number(row, 6, 0),
                 db_text(row, 3), db_text(row, 2));
    if (status > 0)
        n += snprintf(s->text + n, sizeof s->text - (size_t)n, ", %" PRId64 " after %" PRId64 " ms",
                      status, db_number(row, 5, 0));
    if (*db_text(row, 7))
        snprintf(s->text + n, sizeof s->text - (size_t)n, ": %.400s", db_text(row, 7));
    return 0;
}

/* One dead letter is up to three steps: its first attempt, its death, and what became of it. */
static int on_letter(void *context, const struct db_row *row)
{
    const char *state = db_text(row, 8);
    struct trace_step *s;

    if (db_number(row, 6, 0) > 0) {
        s = ctl_trace_add(context, db_number(row, 6, 0), "first");
        if (!s)
            return -ENOMEM;
        s->service_id = db_number(row, 0, 0);
        s->rule_id = db_number(row, 1, 0);
        snprintf(s->text, sizeof s->text, "first attempt of %.300s", db_text(row, 2));
    }
    s = ctl_trace_add(context, db_number(row, 5, 0), "died");
    if (!s)
        return -ENOMEM;
    s->service_id = db_number(row, 0, 0);
    s->rule_id = db_number(row, 1, 0);
    snprintf(s->text, sizeof s->text, "after %" PRId64 " attempts, %.10s %.300s: %.500s",
             db_number(row, 4, 0), db_text(row, 10), db_text(row, 9), db_text(row, 3));
    if (strcmp(state, "dead") == 0)
        return 0;
    s = ctl_trace_add(context, db_number(row, 7, 0), state);
    if (!s)
        return -ENOMEM;
    s->service_id = db_number(row, 0, 0);
    s->rule_id = db_number(row, 1, 0);
    if (db_number(row, 11, 0) > 0)
        snprintf(s->text, sizeof s->text, "the dead letter, by replay %" PRId64,
                 db_number(row, 11, 0));
    else
        snprintf(s->text, sizeof s->text, "the dead letter");
    return 0;
}

static int add_replay(void *context, const struct db_row *row, size_t time, const char *what)
{
    struct trace_step *s;

    if (db_number(row, time, 0) <= 0)
        return 0;
    s = ctl_trace_add(context, db_number(row, time, 0), what);
    if (!s)
        return -ENOMEM;
    snprintf(s->text, sizeof s->text, "%.10s %" PRId64 "%s%.400s", db_text(row, 1),
             db_number(row, 0, 0), *db_text(row, 6) && time == 4 ? ": " : "",
             time == 4 ? db_text(row, 6) : "");
    return 0;
}

static int on_replay(void *context, const struct db_row *row)
{
    int r = add_replay(context, row, 2, "asked for");

    if (r == 0)
        r = add_replay(context, row, 3, "started");
    return r == 0 ? add_replay(context, row, 4, db_text(row, 5)) : r;
}

/* A database of an earlier version, or one whose grants are: the rest is worth being told. */
static int read_log(struct ctl *c, struct trace *t)
{
    const struct db_value id = db_of_text(c->command->subject);
    int r = db_query(c->db,
                     "SELECT serviceid, ruleid, endpoint, http_method, http_status, latency_ms,"
                     " attempt_count, error_message, timecreated, outcome"
                     " FROM {local_integrationhub_log} WHERE messageid = ? ORDER BY id",
                     &id, 1, on_request, t, NULL);

    if (r != -EPERM && r != -ENOENT)
        return r;
    fprintf(stderr, "mihctl: without the log of requests: %s\n", ctl_safe(db_reason(c->db)));
    return 0;
}

int ctl_trace_read(struct ctl *c, struct trace *t)
{
    const char *id = c->command->subject;
    const struct db_value values[] = {db_of_text(id), db_of_text(id)};
    int r = db_query(c->db,
                     "SELECT eventname, timecreated FROM {local_integrationhub_outbox}"
                     " WHERE messageid = ?",
                     values, 1, on_outbox, t, NULL);

    if (r == 0)
        r = read_log(c, t);
    if (r == 0)
        r = db_query(c->db,
                     "SELECT serviceid, ruleid, eventname, error_message, attempts, timecreated,"
                     " timefirst, timemodified, state, endpoint, http_method, replayid"
                     " FROM {local_integrationhub_dlq} WHERE messageid = ? ORDER BY id",
                     values, 1, on_letter, t, NULL);
    if (r == 0)
        r = db_query(c->db,
                     "SELECT id, action, timecreated, timestarted, timeended, state, error"
                     " FROM {local_integrationhub_replay} WHERE messageid = ? OR id IN (SELECT"
                     " replayid FROM {local_integrationhub_dlq} WHERE messageid = ?) ORDER BY id",
                     values, 2, on_replay, t, NULL);
    return r;
}
