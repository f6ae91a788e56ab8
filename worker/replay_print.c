#include "worker/replay_print.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/jsontext.h"
#include "common/utf8.h"

enum { LINE_MAX_BYTES = 32 * 1024, SAFE_SIZE = 1024 };

static void iso(int64_t unix_s, char *ret_text, size_t size)
{
    time_t at = (time_t)unix_s;
    struct tm t;

    if (unix_s <= 0 || !gmtime_r(&at, &t) ||
        strftime(ret_text, size, "%Y-%m-%dT%H:%M:%SZ", &t) == 0)
        snprintf(ret_text, size, "-");
}

static void add_text(struct buf *line, const char *key, const char *text)
{
    buf_addf(line, "%s\"%s\":\"", line->len > 1 ? "," : "", key);
    jsontext_escape(line, text ? text : "", text ? strlen(text) : 0);
    buf_adds(line, "\"");
}

static void add_number(struct buf *line, const char *key, int64_t number)
{
    buf_addf(line, "%s\"%s\":%" PRId64, line->len > 1 ? "," : "", key, number);
}

static void print(FILE *out, struct buf *line)
{
    fprintf(out, "%s\n", buf_error(line) == 0 ? buf_text(line) : "{}");
    fflush(out);
    buf_release(line);
}

static void print_json_letter(FILE *out, const struct dead_row *row)
{
    struct buf line;

    buf_init(&line, LINE_MAX_BYTES);
    buf_adds(&line, "{");
    add_text(&line, "message_id", row->message_id);
    add_number(&line, "service", row->service_id);
    add_number(&line, "rule", row->rule_id);
    add_text(&line, "event", row->event_name);
    add_number(&line, "died", row->died_s);
    add_number(&line, "attempts", row->attempts);
    add_number(&line, "status", row->status);
    add_text(&line, "reason", row->reason);
    buf_adds(&line, "}");
    print(out, &line);
}

static const char *safe(char *ret_text, const char *text)
{
    utf8_copy_safe(ret_text, SAFE_SIZE, text ? text : "", text ? strlen(text) : 0);
    return ret_text;
}

void replay_print_letter(FILE *out, bool json, const struct dead_row *row)
{
    char died[32];
    char id[SAFE_SIZE];
    char event[SAFE_SIZE];
    char reason[SAFE_SIZE];

    if (json) {
        print_json_letter(out, row);
        return;
    }
    iso(row->died_s, died, sizeof died);
    fprintf(out, "%s  %s  service %" PRId64 "  rule %" PRId64 "  %s  %s\n", died,
            safe(id, row->message_id), row->service_id, row->rule_id, safe(event, row->event_name),
            safe(reason, row->reason));
}

static void print_json_progress(FILE *out, const struct replay *r)
{
    struct buf line;

    buf_init(&line, LINE_MAX_BYTES);
    buf_adds(&line, "{");
    add_number(&line, "replay", r->id);
    add_text(&line, "action", replay_action_name(r->action));
    buf_addf(&line, ",\"dry_run\":%s", r->dry_run ? "true" : "false");
    add_text(&line, "state", r->state);
    add_number(&line, "matched", r->matched);
    add_number(&line, "moved", r->moved);
    add_number(&line, "failed", r->failed);
    add_text(&line, "error", r->error);
    buf_adds(&line, "}");
    print(out, &line);
}

void replay_print_progress(FILE *out, bool json, const struct replay *r)
{
    char error[SAFE_SIZE];

    if (json) {
        print_json_progress(out, r);
        return;
    }
    fprintf(out,
            "%s %" PRId64 "%s: %s, %" PRId64 " selected, %" PRId64 " moved, %" PRId64
            " failed again%s%s\n",
            replay_action_name(r->action), r->id, r->dry_run ? " (dry run)" : "", r->state,
            r->matched, r->moved, r->failed, *r->error ? ": " : "", safe(error, r->error));
    fflush(out);
}
