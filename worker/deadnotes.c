#include "worker/deadnotes.h"

#include <errno.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/timing.h"
#include "worker/store.h"

enum { INTERVAL_S = 1, REPORT_S = 10, COMPLAIN_S = 60, REASON_MAX = 1024, URL_MAX = 8192 };

/* One row to be written; its texts lie behind it. */
struct note {
    struct note *next;
    enum deadnote what;
    size_t size;
    struct dead_row row;
};

struct notes {
    struct note *first, *last;
    size_t n, bytes;
};

/* Notes on their way into the table. Outlives the deadnotes when those are freed meanwhile. */
struct batch {
    struct store_job job; /* first: the store hands it back */
    struct deadnotes *owner;
    struct notes notes;
};

struct deadnotes {
    struct store *store;
    struct event *timer;
    struct notes notes;  /* not handed to the store */
    struct batch *batch; /* NULL while none is under way */
    uint64_t dropped;
    uint64_t told; /* of dropped, as last logged */
    int64_t reported_s;
    int64_t complained_s;
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

/* Puts `front` before everything in the list. */
static void put_back(struct notes *list, struct notes *front)
{
    while (list->first)
        append(front, take_first(list));
    *list = *front;
    *front = (struct notes){0};
}

static void report_dropped(struct deadnotes *d)
{
    if (d->dropped == d->told || !log_every(&d->reported_s, REPORT_S, timing_unix_s()))
        return;
    log_warning("the index of dead letters lacks some of them, the broker has them all:"
                " run mih-replayer reindex",
                "left_out", log_number((int64_t)(d->dropped - d->told)), "since_start",
                log_number((int64_t)d->dropped), "waiting",
                log_number((int64_t)deadnotes_waiting(d)), NULL);
    d->told = d->dropped;
}

static void drop(struct deadnotes *d, size_t n)
{
    d->dropped += n;
    report_dropped(d);
}

/* Runs of the same kind go in one call; the order of the rest is kept. */
static int write_notes(const struct notes *notes, struct db *db)
{
    struct dead_row rows[DEADNOTES_BATCH];
    const struct note *note = notes->first;
    int r = 0;

    while (note && r >= 0) {
        enum deadnote what = note->what;
        size_t n = 0;

        for (; note && note->what == what && n < DEADNOTES_BATCH; note = note->next)
            rows[n++] = note->row;
        r = what == DEADNOTE_DIED ? deadindex_died(db, rows, n)
                                  : deadindex_set(db, rows, n, "delivered", 0);
    }
    return r;
}

static int run_batch(struct store_job *job, struct db *db)
{
    const struct batch *b = (const struct batch *)job;

    return write_notes(&b->notes, db);
}

/* True for failures that pass, or that an administrator can mend without the notes being lost. */
static bool may_repeat(int result)
{
    return result == -ENOTCONN || result == -ETIMEDOUT || result == -EAGAIN || result == -ENOMEM ||
           result == -EPERM || result == -ENOENT;
}

static void submit(struct deadnotes *d);

static void settle_batch(struct deadnotes *d, struct batch *b, int result, const char *reason)
{
    d->batch = NULL;
    if (result >= 0)
        return;
    if (result != -ENOTCONN && result != -ETIMEDOUT && result != -EAGAIN &&
        log_every(&d->complained_s, COMPLAIN_S, timing_unix_s()))
        log_error("the index of dead letters could not be written", "reason", reason,
                  "will_be_tried_again", may_repeat(result) ? "yes" : "no", NULL);
    if (may_repeat(result))
        put_back(&d->notes, &b->notes);
    else
        drop(d, b->notes.n);
}

static void batch_done(struct store_job *job, int result, const char *reason)
{
    struct batch *b = (struct batch *)job;
    struct deadnotes *d = b->owner;

    if (d)
        settle_batch(d, b, result, reason);
    else if (result < 0)
        log_warning("the index of dead letters lacks some of them, the broker has them all:"
                    " run mih-replayer reindex",
                    "left_out", log_number((int64_t)b->notes.n), "reason",
                    result == -ECANCELED ? "the process ends and the database is away" : reason,
                    NULL);
    free_notes(&b->notes);
    free(b);
    if (d && result >= 0 && d->notes.n >= DEADNOTES_BATCH)
        submit(d);
}

/* Hands the oldest ones to the store. False when there is none, or no room or memory for it. */
static bool submit_batch(struct deadnotes *d, struct deadnotes *owner)
{
    struct batch *b = d->notes.n > 0 ? calloc(1, sizeof *b) : NULL;

    if (!b)
        return false;
    b->job = (struct store_job){.run = run_batch, .done = batch_done, .waits = true};
    b->owner = owner;
    while (d->notes.n > 0 && b->notes.n < DEADNOTES_BATCH)
        append(&b->notes, take_first(&d->notes));
    if (store_submit(d->store, &b->job) < 0) {
        put_back(&d->notes, &b->notes);
        free(b);
        return false;
    }
    d->batch = owner ? b : NULL;
    return true;
}

static void submit(struct deadnotes *d)
{
    if (!d->batch)
        (void)submit_batch(d, d);
}

static void on_time(evutil_socket_t fd, short what, void *context)
{
    struct deadnotes *d = context;

    (void)fd;
    (void)what;
    submit(d);
    report_dropped(d);
}

/* Copies a text of len bytes to *at and moves that behind it; NULL stays NULL. */
static const char *place(char **at, const char *text, size_t len)
{
    char *copy = *at;

    if (!text)
        return NULL;
    memcpy(copy, text, len);
    copy[len] = '\0';
    *at += len + 1;
    return copy;
}

/* How much of each text is kept; deadindex cuts it to the column's size. */
static size_t kept(const char *text, size_t max)
{
    return text ? strnlen(text, max) : 0;
}

static struct note *note_new(enum deadnote what, const struct dead_row *row, size_t payload_len)
{
    size_t lens[] = {
        kept(row->message_id, URL_MAX), kept(row->event_name, URL_MAX),
        kept(row->reason, REASON_MAX),  kept(row->endpoint, URL_MAX),
        kept(row->method, URL_MAX),     kept(row->response, DEADINDEX_RESPONSE_MAX),
    };
    size_t size = sizeof(struct note) + payload_len + 7;
    struct note *note;
    char *at;

    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++)
        size += lens[i];
    note = malloc(size);
    if (!note)
        return NULL;
    *note = (struct note){.what = what, .size = size, .row = *row};
    at = (char *)(note + 1);
    note->row.message_id = place(&at, row->message_id, lens[0]);
    note->row.event_name = place(&at, row->event_name, lens[1]);
    note->row.reason = place(&at, row->reason, lens[2]);
    note->row.endpoint = place(&at, row->endpoint, lens[3]);
    note->row.method = place(&at, row->method, lens[4]);
    note->row.response = place(&at, row->response, lens[5]);
    /* The table is for people: a NUL becomes "?" there; the letter itself has it. */
    note->row.payload = place(&at, row->payload, payload_len);
    for (char *c = at - payload_len - 1; row->payload && c < at - 1; c++)
        if (!*c)
            *c = '?';
    return note;
}

void deadnotes_add(struct deadnotes *d, enum deadnote what, const struct dead_row *row,
                   size_t payload_len)
{
    size_t max = (size_t)DEADINDEX_PAYLOAD_MAX + 4; /* the cut is made between two characters */
    struct note *note = note_new(what, row, payload_len < max ? payload_len : max);
    size_t bytes = d->notes.bytes + (d->batch ? d->batch->notes.bytes : 0);

    if (!note || deadnotes_waiting(d) >= DEADNOTES_MAX || bytes + note->size > DEADNOTES_BYTES) {
        free(note);
        drop(d, 1);
        return;
    }
    append(&d->notes, note);
    if (d->notes.n >= DEADNOTES_BATCH)
        submit(d);
}

size_t deadnotes_waiting(const struct deadnotes *d)
{
    return d->notes.n + (d->batch ? d->batch->notes.n : 0);
}

uint64_t deadnotes_dropped(const struct deadnotes *d)
{
    return d->dropped;
}

int deadnotes_new(struct event_base *base, struct store *store, struct deadnotes **ret_notes)
{
    static const struct timeval interval = {.tv_sec = INTERVAL_S};
    struct deadnotes *d = calloc(1, sizeof *d);

    if (!d)
        return -ENOMEM;
    d->store = store;
    d->timer = event_new(base, -1, EV_PERSIST, on_time, d);
    if (!d->timer || event_add(d->timer, &interval) < 0) {
        if (d->timer)
            event_free(d->timer);
        free(d);
        return -ENOMEM;
    }
    *ret_notes = d;
    return 0;
}

void deadnotes_free(struct deadnotes *d)
{
    if (!d)
        return;
    if (d->batch)
        d->batch->owner = NULL;
    while (submit_batch(d, NULL))
        ;
    if (d->notes.n > 0)
        drop(d, d->notes.n);
    d->reported_s = 0; /* the last word */
    report_dropped(d);
    free_notes(&d->notes);
    event_free(d->timer);
    free(d);
}
