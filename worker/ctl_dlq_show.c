#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "common/utf8.h"
#include "worker/ctl_base.h"
#include "worker/ctl_command.h"
#include "worker/ctl_dlq.h"
#include "worker/ctl_print.h"

/* The columns, as they are shown, in the order of the statement. */
static const struct {
    const char *name;
    enum { TEXT, NUMBER, TIME, LONG } kind;
} columns[] = {
    {"message_id", TEXT}, {"service", NUMBER},  {"rule", NUMBER},   {"event", TEXT},
    {"state", TEXT},      {"replay", NUMBER},   {"first", TIME},    {"died", TIME},
    {"changed", TIME},    {"attempts", NUMBER}, {"status", NUMBER}, {"method", TEXT},
    {"endpoint", TEXT},   {"reason", LONG},     {"response", LONG}, {"payload", LONG},
};

enum { COLUMNS = sizeof columns / sizeof *columns };

struct showing {
    bool json;
    size_t n;
};

/* Many lines, indented. */
static void print_long(const char *name, const char *text, size_t len)
{
    char *copy = malloc(len + 1);

    if (!copy)
        return;
    utf8_copy_printable(copy, len + 1, text, len);
    printf("%s:\n", name);
    for (const char *at = copy; *at;) {
        size_t n = strcspn(at, "\n");

        printf("    %.*s\n", (int)n, at);
        at += n + (at[n] == '\n');
    }
    free(copy);
}

static void print_column(size_t i, const struct db_row *row)
{
    char at[CTL_TIME_SIZE];

    if (!row->text[i])
        return;
    if (columns[i].kind == LONG)
        print_long(columns[i].name, row->text[i], row->len[i]);
    else
        printf("%s: %s\n", columns[i].name,
               columns[i].kind == TIME ? ctl_time(db_number(row, i, 0), at)
                                       : ctl_safe(row->text[i]));
}

static void print_object(const struct db_row *row)
{
    struct json_object *object = json_object_new_object();

    for (size_t i = 0; i < COLUMNS; i++) {
        if (object && !row->text[i])
            json_object_object_add(object, columns[i].name, NULL);
        else if (columns[i].kind == TEXT || columns[i].kind == LONG)
            ctl_set_text(object, columns[i].name, row->text[i]);
        else
            ctl_set_number(object, columns[i].name, db_number(row, i, 0));
    }
    ctl_print_object(stdout, object);
}

static int on_letter(void *context, const struct db_row *row)
{
    struct showing *s = context;

    if (s->json) {
        print_object(row);
    } else {
        if (s->n > 0)
            putchar('\n');
        for (size_t i = 0; i < COLUMNS; i++)
            print_column(i, row);
    }
    s->n++;
    return 0;
}

int ctl_dlq_show(struct ctl *c)
{
    const char *id = c->command->dlq.replay.filter.message_id;
    const struct db_value values[] = {db_of_text(id)};
    struct showing showing = {.json = c->command->json};
    int r = db_query(c->db,
                     "SELECT messageid, serviceid, ruleid, eventname, state, replayid, timefirst,"
                     " timecreated, timemodified, attempts, http_status, http_method, endpoint,"
                     " error_message, response, payload FROM {local_integrationhub_dlq}"
                     " WHERE messageid = ? ORDER BY id",
                     values, 1, on_letter, &showing, NULL);

    if (r < 0)
        return ctl_db_failed(c, r);
    return showing.n > 0 ? EX_OK
                         : ctl_refuse(c, EX_DATAERR, "no dead letter has this message's id");
}
