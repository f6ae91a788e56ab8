#include "worker/breakers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/timing.h"
#include "dispatcher/breaker.h"
#include "worker/hint.h"
#include "worker/store.h"

enum { RENEW_MS = 15000, CLAIM_AGAIN_MS = 1000, LEASE_LOOK_MS = 15000, MAX_CHANGES = 64 };

enum step { STEP_NONE, STEP_OPEN, STEP_CLAIM, STEP_RENEW, STEP_CLOSE, STEP_REOPEN, STEP_RELEASE };

struct entry {
    struct entry *next;
    int64_t service_id;
    struct breaker local; /* what this process has seen while closed */
    enum breaker_leave leave;
    bool half_open; /* in the table: somebody has the probe */
    int64_t trips;  /* in a row */
    int64_t retry_at_ms;
    int64_t changed_ms; /* of the leave */
    int64_t told_ms;    /* when this process last changed the row, or began to */
    int64_t renewed_ms; /* the probe */
    bool writing;
};

/* One statement under way. Outlives the breakers when they are freed meanwhile. */
struct change {
    struct store_job job; /* first: the store hands it back */
    struct breakers *owner;
    int64_t service_id;
    enum step step;
    int64_t failures;
    int64_t retry_in_s;
    char holder[BREAKER_HOLDER_SIZE];
    uint64_t changed; /* rows */
};

struct breakers {
    struct context *ctx;
    struct store *store;
    const char *instance;
    void (*on_change)(void *context);
    void *context;
    struct entry *entries;
    struct change *changes[MAX_CHANGES]; /* under way, to be told when the breakers are freed */
};

static struct entry *find(const struct breakers *b, int64_t service_id)
{
    for (struct entry *e = b->entries; e; e = e->next)
        if (e->service_id == service_id)
            return e;
    return NULL;
}

static struct entry *find_or_add(struct breakers *b, int64_t service_id)
{
    struct entry *e = find(b, service_id);

    if (e)
        return e;
    e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->service_id = service_id;
    breaker_init(&e->local);
    e->next = b->entries;
    b->entries = e;
    return e;
}

static int run_open(struct change *c, struct db *db)
{
    const struct db_value insert[] = {db_of_number(c->service_id)};
    const struct db_value update[] = {db_of_number(c->failures), db_of_number(c->retry_in_s),
                                      db_of_number(c->service_id)};
    int r = db_query(db, "INSERT IGNORE INTO {local_integrationhub_cb} (serviceid) VALUES (?)",
                     insert, 1, NULL, NULL, NULL);

    if (r < 0)
        return r;
    return db_query(db,
                    "UPDATE {local_integrationhub_cb} SET state = 'open', failure_count = ?,"
                    " last_failure = UNIX_TIMESTAMP(), trips = 1,"
                    " retryat = UNIX_TIMESTAMP() + ?, holder = NULL,"
                    " timemodified = UNIX_TIMESTAMP() WHERE serviceid = ? AND state = 'closed'",
                    update, 3, NULL, NULL, &c->changed);
}

static int run_claim(struct change *c, struct db *db)
{
    const struct db_value values[] = {db_of_text(c->holder), db_of_number(c->service_id),
                                      db_of_number(PROBE_LEASE_S)};

    return db_query(db,
                    "UPDATE {local_integrationhub_cb} SET state = 'halfopen', holder = ?,"
                    " timemodified = UNIX_TIMESTAMP() WHERE serviceid = ? AND"
                    " ((state = 'open' AND COALESCE(retryat, 0) <= UNIX_TIMESTAMP()) OR"
                    " (state = 'halfopen' AND timemodified < UNIX_TIMESTAMP() - ?))",
                    values, 3, NULL, NULL, &c->changed);
}

/* Adds nothing but a new second: a row that has it already counts as changed all the same. */
static int run_renew(struct change *c, struct db *db)
{
    const struct db_value values[] = {db_of_number(c->service_id), db_of_text(c->holder)};

    return db_query(db,
                    "UPDATE {local_integrationhub_cb} SET timemodified = UNIX_TIMESTAMP()"
                    " WHERE serviceid = ? AND holder = ? AND state = 'halfopen'",
                    values, 2, NULL, NULL, &c->changed);
}

static int run_close(struct change *c, struct db *db)
{
    const struct db_value values[] = {db_of_number(c->service_id), db_of_text(c->holder)};

    return db_query(db,
                    "UPDATE {local_integrationhub_cb} SET state = 'closed', failure_count = 0,"
                    " trips = 0, retryat = NULL, holder = NULL, timemodified = UNIX_TIMESTAMP()"
                    " WHERE serviceid = ? AND holder = ?",
                    values, 2, NULL, NULL, &c->changed);
}

static int run_reopen(struct change *c, struct db *db)
{
    const struct db_value values[] = {db_of_number(c->retry_in_s), db_of_number(c->service_id),
                                      db_of_text(c->holder)};

    return db_query(db,
                    "UPDATE {local_integrationhub_cb} SET state = 'open',"
                    " failure_count = failure_count + 1, last_failure = UNIX_TIMESTAMP(),"
                    " trips = trips + 1, retryat = UNIX_TIMESTAMP() + ?, holder = NULL,"
                    " timemodified = UNIX_TIMESTAMP() WHERE serviceid = ? AND holder = ?",
                    values, 3, NULL, NULL, &c->changed);
}

static int run_release(struct change *c, struct db *db)
{
    const struct db_value values[] = {db_of_number(c->service_id), db_of_text(c->holder)};

    return db_query(db,
                    "UPDATE {local_integrationhub_cb} SET state = 'open', holder = NULL,"
                    " retryat = UNIX_TIMESTAMP(), timemodified = UNIX_TIMESTAMP()"
                    " WHERE serviceid = ? AND holder = ? AND state = 'halfopen'",
                    values, 2, NULL, NULL, &c->changed);
}

static int run_change(struct store_job *job, struct db *db)
{
    struct change *c = (struct change *)job;

    switch (c->step) {
    case STEP_OPEN:
        return run_open(c, db);
    case STEP_CLAIM:
        return run_claim(c, db);
    case STEP_RENEW:
        return run_renew(c, db);
    case STEP_CLOSE:
        return run_close(c, db);
    case STEP_REOPEN:
        return run_reopen(c, db);
    case STEP_RELEASE:
        return run_release(c, db);
    case STEP_NONE:
        break;
    }
    return -EINVAL;
}

static void set_leave(struct breakers *b, struct entry *e, enum breaker_leave leave)
{
    if (e->leave == leave)
        return;
    e->leave = leave;
    e->changed_ms = timing_mono_ms();
    if (leave == BREAKER_LEAVE_ALL)
        breaker_init(&e->local);
    if (leave == BREAKER_LEAVE_ONE)
        e->renewed_ms = timing_mono_ms();
    b->on_change(b->context);
}

static void forget(struct breakers *b, const struct change *c)
{
    for (size_t i = 0; i < MAX_CHANGES; i++)
        if (b->changes[i] == c)
            b->changes[i] = NULL;
}

static void take_outcome(struct breakers *b, struct entry *e, const struct change *c, int result)
{
    int64_t now_ms = timing_mono_ms();

    e->writing = false;
    e->told_ms = now_ms;
    if (c->step == STEP_CLAIM) {
        e->retry_at_ms = now_ms + CLAIM_AGAIN_MS;
        /* Without the table each process decides for itself. */
        if (result < 0 || c->changed > 0) {
            log_info("breaker half-open: this process sends one request", "service_id",
                     log_number(e->service_id), NULL);
            set_leave(b, e, BREAKER_LEAVE_ONE);
        }
    }
    if (result == 0 && c->step != STEP_RENEW && c->changed > 0)
        hint_send(b->ctx, "breaker", e->service_id); /* the others look at the table */
}

static void change_done(struct store_job *job, int result, const char *reason)
{
    struct change *c = (struct change *)job;
    struct breakers *b = c->owner;

    (void)reason; /* the store tells of connections; the next look tells what the table says */
    if (b) {
        struct entry *e = find(b, c->service_id);
        forget(b, c);
        if (e)
            take_outcome(b, e, c, result);
    }
    free(c);
}

static void write_change(struct breakers *b, struct entry *e, enum step step, int64_t failures,
                         int64_t retry_in_s)
{
    struct change *c;
    size_t slot = 0;

    while (slot < MAX_CHANGES && b->changes[slot])
        slot++;
    if (slot == MAX_CHANGES || !(c = calloc(1, sizeof *c)))
        return; /* the local state holds, and a later step or look sets it right */
    *c = (struct change){
        .job = {.run = run_change, .done = change_done},
        .owner = b,
        .service_id = e->service_id,
        .step = step,
        .failures = failures,
        .retry_in_s = retry_in_s,
    };
    snprintf(c->holder, sizeof c->holder, "%s", b->instance);
    b->changes[slot] = c;
    e->writing = true;
    e->told_ms = timing_mono_ms();
    if (store_submit(b->store, &c->job) < 0) {
        b->changes[slot] = NULL;
        e->writing = false;
        if (step == STEP_CLAIM)
            set_leave(b, e, BREAKER_LEAVE_ONE);
        free(c);
    }
}

static void open_breaker(struct breakers *b, struct entry *e, const struct service *s,
                         enum step step)
{
    int64_t failures = e->local.failures;
    int64_t cooldown_ms;

    e->trips++;
    cooldown_ms = breaker_cooldown_ms(s->cb_cooldown_ms, (unsigned)e->trips, timing_random(1000));
    e->retry_at_ms = timing_mono_ms() + cooldown_ms;
    log_warning("breaker open: the service is not called", "service", s->name, "failures",
                log_number(failures), "trips", log_number(e->trips), "probe_in_ms",
                log_number(cooldown_ms), NULL);
    set_leave(b, e, BREAKER_LEAVE_NONE);
    write_change(b, e, step, failures, (cooldown_ms + 999) / 1000);
}

void breakers_result(struct breakers *b, const struct service *service, bool probe,
                     enum verdict_breaker result, int64_t begun_ms)
{
    struct entry *e = find_or_add(b, service->id);

    if (!e)
        return; /* out of memory: this one is not counted */
    if (begun_ms < e->changed_ms)
        return; /* it tells of the time before */
    if (probe && e->leave == BREAKER_LEAVE_ONE && result != BREAKER_FAILURE) {
        log_info("breaker closed: the service answers again", "service", service->name, NULL);
        e->trips = 0;
        set_leave(b, e, BREAKER_LEAVE_ALL);
        write_change(b, e, STEP_CLOSE, 0, 0);
    } else if (probe && e->leave == BREAKER_LEAVE_ONE && result == BREAKER_FAILURE) {
        open_breaker(b, e, service, STEP_REOPEN);
    } else if (e->leave == BREAKER_LEAVE_ALL &&
               breaker_result(&e->local, service->cb_threshold, result, timing_mono_ms())) {
        open_breaker(b, e, service, STEP_OPEN);
    }
}

static void take_row(struct breakers *b, const struct breaker_row *row, int64_t began_ms)
{
    struct entry *e = find(b, row->service_id);
    bool closed = strcmp(row->state, "closed") == 0;
    int64_t now_ms = timing_mono_ms();

    if (!e && closed)
        return;
    if (!e && !(e = find_or_add(b, row->service_id)))
        return;
    /* A look that began before our own change was written knows less than we do. */
    if (e->writing || began_ms <= e->told_ms)
        return;
    e->half_open = strcmp(row->state, "halfopen") == 0;
    e->trips = closed ? 0 : row->trips;
    if (closed) {
        if (e->leave != BREAKER_LEAVE_ALL)
            log_info("breaker closed", "service_id", log_number(e->service_id), NULL);
        set_leave(b, e, BREAKER_LEAVE_ALL);
    } else if (e->half_open && strcmp(row->holder, b->instance) == 0) {
        set_leave(b, e, BREAKER_LEAVE_ONE);
    } else {
        e->retry_at_ms = now_ms + (e->half_open ? LEASE_LOOK_MS : row->retry_in_s * 1000);
        set_leave(b, e, BREAKER_LEAVE_NONE);
    }
}

static bool has_row(const struct breaker_row *rows, size_t n, int64_t service_id)
{
    for (size_t i = 0; i < n; i++)
        if (rows[i].service_id == service_id)
            return true;
    return false;
}

void breakers_rows(struct breakers *b, const struct breaker_row *rows, size_t n, int64_t began_ms)
{
    for (size_t i = 0; i < n; i++)
        take_row(b, &rows[i], began_ms);
    /* A breaker without a row is closed, whatever this process believed. */
    for (struct entry *e = b->entries; e; e = e->next)
        if (e->leave != BREAKER_LEAVE_ALL && !e->writing && began_ms > e->told_ms &&
            !has_row(rows, n, e->service_id))
            set_leave(b, e, BREAKER_LEAVE_ALL);
}

enum breaker_state breakers_state(const struct breakers *b, int64_t service_id)
{
    const struct entry *e = find(b, service_id);

    if (!e || e->leave == BREAKER_LEAVE_ALL)
        return BREAKER_CLOSED;
    return e->half_open || e->leave == BREAKER_LEAVE_ONE ? BREAKER_HALF_OPEN : BREAKER_OPEN;
}

enum breaker_leave breakers_leave(const struct breakers *b, int64_t service_id)
{
    const struct entry *e = find(b, service_id);

    return e ? e->leave : BREAKER_LEAVE_ALL;
}

static void release(struct breakers *b, struct entry *e)
{
    set_leave(b, e, BREAKER_LEAVE_NONE);
    e->retry_at_ms = timing_mono_ms() + CLAIM_AGAIN_MS;
    write_change(b, e, STEP_RELEASE, 0, 0);
}

void breakers_release(struct breakers *b)
{
    for (struct entry *e = b->entries; e; e = e->next)
        if (e->leave == BREAKER_LEAVE_ONE)
            release(b, e);
}

void breakers_tick(struct breakers *b, struct catalog *catalog)
{
    int64_t now_ms = timing_mono_ms();

    for (struct entry *e = b->entries; e; e = e->next) {
        const struct service *s = catalog ? catalog_service(catalog, e->service_id) : NULL;

        if (e->writing)
            continue;
        if (!s || !s->enabled || s->paused) {
            if (e->leave == BREAKER_LEAVE_ONE)
                release(b, e);
            continue;
        }
        if (e->leave == BREAKER_LEAVE_NONE && now_ms >= e->retry_at_ms) {
            write_change(b, e, STEP_CLAIM, 0, 0);
        } else if (e->leave == BREAKER_LEAVE_ONE && now_ms - e->renewed_ms > RENEW_MS) {
            e->renewed_ms = now_ms;
            write_change(b, e, STEP_RENEW, 0, 0);
        }
    }
}

void breakers_free(struct breakers *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < MAX_CHANGES; i++)
        if (b->changes[i])
            b->changes[i]->owner = NULL;
    while (b->entries) {
        struct entry *e = b->entries;

        b->entries = e->next;
        free(e);
    }
    free(b);
}

int breakers_new(struct context *ctx, struct store *store, const char *instance,
                 void (*on_change)(void *context), void *context, struct breakers **ret_breakers)
{
    struct breakers *b = calloc(1, sizeof *b);

    if (!b)
        return -ENOMEM;
    b->ctx = ctx;
    b->store = store;
    b->instance = instance;
    b->on_change = on_change;
    b->context = context;
    *ret_breakers = b;
    return 0;
}
