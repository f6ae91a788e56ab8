#include "worker/requestlog.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/timing.h"
#include "worker/complaint.h"
#include "worker/deadtext.h"
#include "worker/store.h"

enum {
    REPORT_S = 10,
    SQL_MAX = 32 * 1024,
    COLUMNS = 14,
    ATTEMPTS_MAX = 32767, /* SMALLINT */
    ENDPOINT_MAX = 1333,
};

/* Bytes of each that are copied; the endpoint is cut to its column when it is stripped. */
static const size_t kept[LOGGED_TEXTS] = {[LOGGED_ENDPOINT] = 8192,
                                          [LOGGED_METHOD] = 10,
                                          [LOGGED_ERROR] = 4096,
                                          [LOGGED_MESSAGE] = 127,
                                          [LOGGED_EVENT] = 255};

struct note {
    struct note *next;
    size_t size;
    struct logged_request request; /* its texts lie behind it */
};

struct notes {
    struct note *first, *last;
    size_t n, bytes;
};

/* On its way into the table. Outlives the log when that is freed meanwhile. */
struct batch {
    struct store_job job; /* first: the store hands it back */
    struct requestlog *owner;
    struct notes notes;
};

struct requestlog {
    struct store *store;
    struct event *timer;
    int64_t rate;
    int64_t second; /* the one that `left` is of */
    int64_t left;   /* successes that may still be added */
    struct notes notes;
    struct batch *batch; /* NULL: none is under way */
    uint64_t dropped, told;
    int64_t reported_s;
    struct complaint complaint;
};

static void append(struct notes *list, struct note *note)
{
    note->next = NULL;
    if (list->last)
        list->last->next = note;
    else
        list->first = note;
    list->last = note;
    list->n++;
    list->bytes += note->size;
}

static struct note *take_first(struct notes *list)
{
    struct note *note = list->first;

    list->first = note->next;
    if (!list->first)
        list->last = NULL;
    list->n--;
    list->bytes -= note->size;
    return note;
}

static void free_notes(struct notes *list)
{
    while (list->first)
        free(take_first(list));
}

/* Makes room by leaving out the oldest: the log keeps the newest, too. */
static void trim(struct requestlog *l)
{
    while (l->notes.first && (l->notes.n > REQUESTLOG_MAX || l->notes.bytes > REQUESTLOG_BYTES)) {
        free(take_first(&l->notes));
        l->dropped++;
    }
}

static void put_back(struct requestlog *l, struct notes *front)
{
    while (l->notes.first)
        append(front, take_first(&l->notes));
    l->notes = *front;
    *front = (struct notes){0};
    trim(l);
}

static void statement_of(struct buf *sql, size_t rows)
{
    buf_adds(sql, "INSERT INTO {local_integrationhub_log} (serviceid, ruleid, http_status,"
                  " latency_ms, attempt_count, timecreated, success, direction, outcome, endpoint,"
                  " http_method, error_message, messageid, eventname) VALUES ");
    for (size_t i = 0; i < rows; i++)
        buf_adds(sql, i > 0 ? ", (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                            : "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
}

static struct db_value text_or_null(const char *text)
{
    return db_of_text(text && *text ? text : NULL);
}

static void values_of(const struct logged_request *r, struct db_value values[COLUMNS])
{
    const struct db_value all[COLUMNS] = {
        db_of_number(r->service_id),
        db_of_number_or_null(r->rule_id),
        db_of_number_or_null(r->status),
        {.number = r->latency_us / 1000, .null = r->latency_us < 0},
        db_of_number(r->attempts < ATTEMPTS_MAX ? r->attempts : ATTEMPTS_MAX),
        db_of_number(r->time_s),
        db_of_number(r->success),
        db_of_text("outbound"),
        db_of_text(r->outcome),
        db_of_text(r->text[LOGGED_ENDPOINT] ? r->text[LOGGED_ENDPOINT] : ""),
        db_of_text(r->text[LOGGED_METHOD] ? r->text[LOGGED_METHOD] : ""),
        text_or_null(r->text[LOGGED_ERROR]),
        text_or_null(r->text[LOGGED_MESSAGE]),
        text_or_null(r->text[LOGGED_EVENT]),
    };

    memcpy(values, all, sizeof all);
}

static int run(struct store_job *job, struct db *db)
{
    const struct notes *notes = &((struct batch *)job)->notes;
    struct db_value *values = calloc(notes->n * COLUMNS, sizeof *values);
    struct buf sql;
    size_t n = 0;
    int r;

    if (!values)
        return -ENOMEM;
    for (const struct note *note = notes->first; note; note = note->next)
        values_of(&note->request, values + n++ * COLUMNS);
    buf_init(&sql, SQL_MAX);
    statement_of(&sql, n);
    r = buf_error(&sql);
    if (r == 0)
        r = db_query(db, buf_text(&sql), values, n * COLUMNS, NULL, NULL, NULL);
    buf_release(&sql);
    free(values);
    return r;
}

static bool passes(int result)
{
    return result == -ENOTCONN || result == -ETIMEDOUT || result == -EAGAIN || result == -ENOMEM;
}

static void submit(struct requestlog *l);

static void settle(struct requestlog *l, struct batch *b, int result, const char *reason)
{
    bool due = complaint_due(&l->complaint, result, reason, timing_unix_s());

    l->batch = NULL;
    if (result == 0) {
        if (l->notes.n >= REQUESTLOG_BATCH)
            submit(l);
        return;
    }
    if (passes(result)) {
        put_back(l, &b->notes);
        return;
    }
    l->dropped += b->notes.n;
    l->told += b->notes.n; /* not one by one: as often as the reason */
    if (due)
        log_warning("the log of requests could not be written", "reason", reason, "does",
                    "leaves them out until it can", NULL);
}

static void done(struct store_job *job, int result, const char *reason)
{
    struct batch *b = (struct batch *)job;

    if (b->owner)
        settle(b->owner, b, result, reason);
    free_notes(&b->notes);
    free(b);
}

/* False: nothing waits, or there is no room for it. */
static bool hand_over(struct requestlog *l, struct requestlog *owner)
{
    struct batch *b = l->notes.n > 0 ? calloc(1, sizeof *b) : NULL;

    if (!b)
        return false;
    b->job = (struct store_job){.run = run, .done = done, .waits = true};
    b->owner = owner;
    while (l->notes.n > 0 && b->notes.n < REQUESTLOG_BATCH)
        append(&b->notes, take_first(&l->notes));
    if (store_submit(l->store, &b->job) < 0) {
        put_back(l, &b->notes);
        free(b);
        return false;
    }
    l->batch = owner ? b : NULL;
    return true;
}

static void submit(struct requestlog *l)
{
    if (!l->batch)
        (void)hand_over(l, l);
}

static void on_time(evutil_socket_t fd, short what, void *argument)
{
    struct requestlog *l = argument;

    (void)fd;
    (void)what;
    submit(l);
    if (l->dropped == l->told || !log_every(&l->reported_s, REPORT_S, timing_unix_s()))
        return;
    log_warning("the log of requests lacks some", "left_out",
                log_number((int64_t)(l->dropped - l->told)), "since_start",
                log_number((int64_t)l->dropped), NULL);
    l->told = l->dropped;
}

void requestlog_set_rate(struct requestlog *l, int64_t rate)
{
    if (l)
        l->rate = rate;
}

bool requestlog_wants(struct requestlog *l, bool sampled, int64_t now_s)
{
    if (!l)
        return false;
    if (!sampled)
        return true;
    if (l->second != now_s) {
        l->second = now_s;
        l->left = l->rate;
    }
    return l->left > 0 && l->left-- > 0;
}

/* Copies a text to `at` and lets it point there; returns what follows the copy. */
static char *place(const char **text, size_t which, char *at)
{
    char *end;

    if (!*text)
        return at;
    end = deadtext_copy(at, *text, strnlen(*text, kept[which]), kept[which]);
    if (which == LOGGED_ENDPOINT) {
        deadtext_strip_endpoint(at);
        deadtext_cut(at, ENDPOINT_MAX);
    }
    *text = at;
    return end;
}

static struct note *note_new(const struct logged_request *r)
{
    size_t size = sizeof(struct note);
    struct note *note;
    char *at;

    for (size_t i = 0; i < LOGGED_TEXTS; i++)
        size += r->text[i] ? strnlen(r->text[i], kept[i]) + 1 : 0;
    note = malloc(size);
    if (!note)
        return NULL;
    *note = (struct note){.size = size, .request = *r};
    at = (char *)(note + 1);
    for (size_t i = 0; i < LOGGED_TEXTS; i++)
        at = place(&note->request.text[i], i, at);
    return note;
}

void requestlog_add(struct requestlog *l, const struct logged_request *request)
{
    struct note *note = note_new(request);

    if (!note) {
        l->dropped++;
        return;
    }
    append(&l->notes, note);
    trim(l);
}

uint64_t requestlog_dropped(const struct requestlog *l)
{
    return l ? l->dropped : 0;
}

int requestlog_new(struct event_base *base, struct store *store, int64_t rate,
                   struct requestlog **ret_log)
{
    static const struct timeval second = {.tv_sec = 1};
    struct requestlog *l = calloc(1, sizeof *l);

    if (!l)
        return -ENOMEM;
    l->store = store;
    l->rate = rate;
    l->timer = event_new(base, -1, EV_PERSIST, on_time, l);
    if (!l->timer || event_add(l->timer, &second) < 0) {
        if (l->timer)
            event_free(l->timer);
        free(l);
        return -ENOMEM;
    }
    *ret_log = l;
    return 0;
}

void requestlog_free(struct requestlog *l)
{
    if (!l)
        return;
    if (l->batch)
        l->batch->owner = NULL;
    while (hand_over(l, NULL))
        ;
    if (l->notes.n > 0)
        log_warning("the log of requests lacks some", "left_out", log_number((int64_t)l->notes.n),
                    NULL);
    free_notes(&l->notes);
    event_free(l->timer);
    free(l);
}
