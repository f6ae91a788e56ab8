#include "worker/relay.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/timing.h"
#include "dispatcher/catalog.h"
#include "worker/outbox.h"
#include "worker/publisher.h"
#include "worker/relay_round.h"
#include "worker/repeats.h"
#include "worker/store.h"

enum {
    LOOK_MS = 2000,     /* between looks for new rows, and at what hinders */
    FULL_MS = 100,      /* until a full publisher is tried again */
    SITE_ID_MS = 60000, /* the site identifier is read again after this long */
};

/*
 * One batch under way: read, then published, then what is safe deleted. Outlives the relay when
 * that is freed meanwhile; whoever ends the last thing under way frees it then.
 */
enum phase {
    READING, /* the store has the batch: found belongs to its thread */
    PUBLISHING,
    DELETING,  /* the store has it again */
    UNDELETED, /* the deletion failed and will be repeated */
};

struct batch {
    struct store_job job; /* first: the store hands it back */
    enum phase phase;
    struct relay *relay; /* NULL: freed */
    struct outbox_batch found;
    struct sent *sent; /* one for each row */
    size_t next;       /* row to submit */
    size_t open;       /* submitted, not answered */
    size_t kept;       /* rows that stay */
    size_t unwanted;
    int64_t *done_ids; /* to delete */
    size_t n_done;
    bool broken; /* submit no more: the connection was lost */
    bool submitting;
};

/* The context of one publication. */
struct sent {
    struct batch *batch;
    struct outbox_row *row;
};

struct relay {
    struct event *timer;
    struct store *store;
    struct publisher *publisher;
    struct relay_options options;
    struct catalog *catalog;
    int64_t checked_ms; /* when the last look at the rules that succeeded began */
    struct relay_stats stats;
    bool elected;
    struct batch *batch; /* NULL while none is under way */

    struct round round;
    int64_t aside_id; /* highest that was logged */
    char site_id[OUTBOX_SITE_ID_SIZE];
    int64_t site_id_at_ms; /* when it is read again */
    char reason[256];      /* last failure of the database logged */
};

static void begin_batch(struct relay *r);
static void submit_rows(struct batch *b);

static void schedule(struct relay *r, int64_t after_ms)
{
    const struct timeval after = {.tv_sec = after_ms / 1000,
                                  .tv_usec = (suseconds_t)(after_ms % 1000 * 1000)};
    evtimer_add(r->timer, &after);
}

static bool may_publish(const struct relay *r)
{
    return r->elected && publisher_connected(r->publisher) && !publisher_blocked(r->publisher);
}

static void batch_free(struct batch *b)
{
    outbox_batch_release(&b->found);
    free(b->sent);
    free(b->done_ids);
    free(b);
}

/* Leaves the batch; the next look is after `after_ms`. */
static void end_batch(struct batch *b, int64_t after_ms)
{
    b->relay->batch = NULL;
    schedule(b->relay, after_ms);
    batch_free(b);
}

static void log_failure(struct relay *r, int result, const char *what, const char *reason)
{
    /* The store tells of connections. */
    if (result == -ENOTCONN || result == -ETIMEDOUT || result == -ECANCELED ||
        strcmp(r->reason, reason) == 0)
        return;
    snprintf(r->reason, sizeof r->reason, "%s", reason);
    log_error(what, "reason", reason, NULL);
}

/* Each row once, or at most once in each election. */
static void log_aside(struct relay *r, const struct outbox_batch *found)
{
    if (found->aside_id <= r->aside_id)
        return;
    r->aside_id = found->aside_id;
    log_warning("outbox rows that cannot be published are kept", "rows",
                log_number((int64_t)found->aside), "last_id", log_number(found->aside_id), "reason",
                found->aside_reason, NULL);
}

/* What of the batch is safe is gone from the table: on to the next. */
static void batch_over(struct batch *b)
{
    struct relay *r = b->relay;
    round_advance(&r->round, b->found.last_id, b->kept, b->n_done > 0);
    bool more = b->found.more && !b->broken && may_publish(r);
    if (!more)
        round_end(&r->round, timing_mono_ms());
    end_batch(b, more ? 0 : LOOK_MS);
}

static int run_delete(struct store_job *job, struct db *db)
{
    struct batch *b = (struct batch *)job;
    return outbox_delete(db, b->done_ids, b->n_done);
}

static void delete_done(struct store_job *job, int result, const char *reason);

/* Until it succeeds nothing else is published: it would all be repeated. */
static void begin_delete(struct batch *b)
{
    b->job = (struct store_job){.run = run_delete, .done = delete_done, .waits = true};
    b->phase = store_submit(b->relay->store, &b->job) < 0 ? UNDELETED : DELETING;
    if (b->phase == UNDELETED)
        schedule(b->relay, LOOK_MS);
}

static void delete_done(struct store_job *job, int result, const char *reason)
{
    struct batch *b = (struct batch *)job;
    struct relay *r = b->relay;
    if (!r) {
        batch_free(b);
        return;
    }
    if (result < 0) {
        log_failure(r, result, "published events cannot be deleted from the outbox", reason);
        b->phase = UNDELETED;
        schedule(r, LOOK_MS);
        return;
    }
    r->stats.published += b->n_done - b->unwanted;
    r->stats.unwanted += b->unwanted;
    r->reason[0] = '\0';
    if (b->unwanted)
        log_info("outbox events that no rule wants any more were dropped", "events",
                 log_number((int64_t)b->unwanted), NULL);
    if (b->n_done > b->unwanted)
        log_info("events of the outbox were published", "events",
                 log_number((int64_t)(b->n_done - b->unwanted)), NULL);
    batch_over(b);
}

/* Every submitted row is answered, and no more will be submitted. */
static void batch_answered(struct batch *b)
{
    struct relay *r = b->relay;
    if (!r) {
        batch_free(b);
        return;
    }
    b->kept += b->found.n - b->next;
    if (b->n_done)
        begin_delete(b);
    else
        batch_over(b);
}

static void ignore_match(void *context, const struct rule *rule)
{
    (void)context, (void)rule;
}

static bool is_wanted(const struct relay *r, const char *eventname)
{
    if (!r->catalog)
        return true;
    for (size_t i = 0; i < catalog_service_count(r->catalog); i++) {
        const struct service *s = catalog_service_at(r->catalog, i);
        if (s->enabled && service_match(s, eventname, ignore_match, NULL))
            return true;
    }
    return false;
}

/* Some rule wanted the event when Moodle wrote the row: only rules that were read since can tell
 * that none does any more. */
static bool is_known_unwanted(const struct relay *r, const struct outbox_row *row)
{
    int64_t row_age_s = timing_unix_s() - row->timecreated;
    int64_t rules_age_ms = timing_mono_ms() - r->checked_ms;
    return r->checked_ms > 0 && rules_age_ms / 1000 < row_age_s && !is_wanted(r, row->eventname);
}

static void judge(struct batch *b, const struct outbox_row *row, enum publish_result result)
{
    struct relay *r = b->relay;
    switch (result) {
    case PUBLISH_CONFIRMED:
        b->done_ids[b->n_done++] = row->id;
        return;
    case PUBLISH_RETURNED:
        if (is_known_unwanted(r, row)) {
            b->done_ids[b->n_done++] = row->id;
            b->unwanted++;
            return;
        }
        r->stats.returned++;
        break;
    case PUBLISH_LOST:
    case PUBLISH_UNSENT:
        b->broken = true;
        r->stats.refused++;
        break;
    case PUBLISH_NACKED:
        r->stats.refused++;
        break;
    }
    b->kept++;
}

static void on_published(void *context, enum publish_result result, const char *reason)
{
    (void)reason; /* the publisher tells of connections */
    struct sent *sent = context;
    struct batch *b = sent->batch;
    b->open--;
    if (b->relay)
        judge(b, sent->row, result);
    if (!b->submitting)
        submit_rows(b);
}

static int submit_row(struct batch *b, struct outbox_row *row)
{
    static const struct bus_field republished = {.name = REPUBLISHED_HEADER, .number = 1};
    struct relay *r = b->relay;
    const struct bus_publication publication = {
        .exchange = r->options.exchange,
        .routing_key = row->routing_key,
        .message_id = row->message_id,
        .type = row->eventname,
        .app_id = r->site_id,
        .content_type = "application/json",
        .timestamp = row->timecreated > 0 ? (uint64_t)row->timecreated : 0,
        .body = row->payload,
        .body_len = row->payload_len,
        .fields = &republished,
        .n_fields = 1,
    };
    struct sent *sent = &b->sent[b->next];
    *sent = (struct sent){.batch = b, .row = row};
    int submitted = publisher_submit(r->publisher, &publication, on_published, sent);
    if (submitted < 0)
        return submitted;
    /* The publisher has a copy. */
    free(row->payload);
    row->payload = NULL;
    return 0;
}

static void submit_rows(struct batch *b)
{
    struct relay *r = b->relay;
    int result = 0;
    b->submitting = true;
    while (r && !b->broken && b->next < b->found.n && may_publish(r)) {
        result = submit_row(b, &b->found.rows[b->next]);
        if (result < 0)
            break;
        b->next++;
        b->open++;
    }
    b->submitting = false;
    if (b->open)
        return; /* its answers bring us back here */
    if (result < 0)
        schedule(r, FULL_MS);
    else
        batch_answered(b);
}

static int run_read(struct store_job *job, struct db *db)
{
    struct batch *b = (struct batch *)job;
    int r = outbox_read(&b->found, db);
    if (r < 0)
        return r;
    const size_t n = b->found.n ? b->found.n : 1;
    b->sent = calloc(n, sizeof *b->sent);
    b->done_ids = calloc(n, sizeof *b->done_ids);
    if (b->sent && b->done_ids)
        return 0;
    snprintf(job->reason, sizeof job->reason, "out of memory");
    return -ENOMEM;
}

static void read_done(struct store_job *job, int result, const char *reason)
{
    struct batch *b = (struct batch *)job;
    struct relay *r = b->relay;
    if (!r) {
        batch_free(b);
        return;
    }
    if (result < 0) {
        log_failure(r, result, "the outbox cannot be read", reason);
        round_end(&r->round, timing_mono_ms());
        end_batch(b, LOOK_MS);
        return;
    }
    r->reason[0] = '\0';
    log_aside(r, &b->found);
    if (b->found.want_site_id) {
        memcpy(r->site_id, b->found.site_id, sizeof r->site_id);
        r->site_id_at_ms = timing_mono_ms() + SITE_ID_MS;
    }
    b->phase = PUBLISHING;
    submit_rows(b);
}

static void begin_batch(struct relay *r)
{
    struct batch *b = calloc(1, sizeof *b);
    if (!b) {
        schedule(r, LOOK_MS);
        return;
    }
    round_begin(&r->round, timing_mono_ms());
    b->job = (struct store_job){.run = run_read, .done = read_done};
    b->relay = r;
    b->found.after_s = (r->options.after_ms + 999) / 1000;
    b->found.cursor = r->round.cursor;
    b->found.limit = (size_t)r->options.batch;
    b->found.want_site_id = timing_mono_ms() >= r->site_id_at_ms;
    r->batch = b;
    if (store_submit(r->store, &b->job) < 0)
        end_batch(b, LOOK_MS);
}

static void on_time(evutil_socket_t fd, short what, void *argument)
{
    (void)fd, (void)what;
    struct relay *r = argument;
    struct batch *b = r->batch;
    if (!b && may_publish(r))
        begin_batch(r);
    else if (!b)
        schedule(r, LOOK_MS);
    else if (b->phase == UNDELETED)
        begin_delete(b);
    else if (b->phase == PUBLISHING && !b->open)
        submit_rows(b);
}

int relay_new(struct event_base *base, struct store *store, struct publisher *publisher,
              const struct relay_options *options, struct relay **ret_relay)
{
    struct relay *r = calloc(1, sizeof *r);
    if (!r)
        return -ENOMEM;
    r->store = store;
    r->publisher = publisher;
    r->options = *options;
    r->timer = evtimer_new(base, on_time, r);
    if (!r->timer) {
        free(r);
        return -ENOMEM;
    }
    *ret_relay = r;
    return 0;
}

void relay_set_elected(struct relay *r, bool elected)
{
    r->elected = elected;
    r->round.seen_id = 0;
    r->aside_id = 0;
    if (elected)
        relay_poke(r);
}

void relay_set_catalog(struct relay *r, struct catalog *catalog)
{
    catalog_unref(r->catalog);
    r->catalog = catalog_ref(catalog);
    relay_poke(r);
}

void relay_rules_checked(struct relay *r, int64_t began_ms)
{
    r->checked_ms = began_ms;
}

void relay_set_options(struct relay *r, int64_t after_ms, int64_t batch)
{
    r->options.after_ms = after_ms;
    r->options.batch = batch;
}

void relay_poke(struct relay *r)
{
    round_retry(&r->round);
    if (!r->batch)
        schedule(r, 0);
}

bool relay_is_idle(const struct relay *r)
{
    return !r->batch;
}

const struct relay_stats *relay_get_stats(const struct relay *r)
{
    return &r->stats;
}

void relay_free(struct relay *r)
{
    if (!r)
        return;
    struct batch *b = r->batch;
    if (b) {
        b->relay = NULL;
        /* Otherwise the store or the publisher has it and hands it back. */
        if (b->phase == UNDELETED || (b->phase == PUBLISHING && !b->open))
            batch_free(b);
    }
    catalog_unref(r->catalog);
    event_free(r->timer);
    free(r);
}
