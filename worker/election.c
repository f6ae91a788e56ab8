#include "worker/election.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/store.h"

enum { INTERVAL_S = 2, NAME_MAX_BYTES = 128 };

/*
 * The name of the lock, made by the server: locks are common to all its databases, so database
 * and prefix are in it; longer than the 64 characters MySQL allows it is replaced by its digest.
 * A name in braces gets the prefix of the tables in texts, too.
 */
#define LOCK_TEXT "CONCAT('mih.', DATABASE(), '.{hub}.', ?)"
#define LOCK_NAME                                                                                  \
    "IF(CHAR_LENGTH(" LOCK_TEXT ") <= 64, " LOCK_TEXT ", CONCAT('mih.', SHA1(" LOCK_TEXT ")))"

/* Locks are counted: one that is held already must not be asked for again. */
static const char *const ask_sql = "SELECT IF(IS_USED_LOCK(name) <=> CONNECTION_ID(), 1,"
                                   " GET_LOCK(name, 0)) FROM (SELECT " LOCK_NAME " AS name) AS l";
static const char *const release_sql = "SELECT RELEASE_LOCK(" LOCK_NAME ")";

/* Asks for the lock or releases it. Outlives the election when that is freed meanwhile. */
struct ballot {
    struct store_job job; /* first: the store hands it back */
    struct election *election;
    const char *sql;
    char name[NAME_MAX_BYTES];
    bool held;
};

struct election {
    struct event *timer;
    struct store *store;
    struct store_watch watch;
    struct election_hooks hooks;
    struct ballot *ballot; /* NULL while none is under way */
    bool elected;
    char name[NAME_MAX_BYTES];
    char reason[256]; /* last failure told */
};

static int on_answer(void *context, const struct db_row *row)
{
    struct ballot *ballot = context;
    ballot->held = db_number(row, 0, 0) == 1;
    return 0;
}

static int run_ballot(struct store_job *job, struct db *db)
{
    struct ballot *ballot = (struct ballot *)job;
    const struct db_value name = {.text = ballot->name, .len = strlen(ballot->name)};
    const struct db_value names[] = {name, name, name};
    return db_query(db, ballot->sql, names, 3, on_answer, ballot, NULL);
}

static void schedule(struct election *e, int after_s)
{
    const struct timeval after = {.tv_sec = after_s};
    evtimer_add(e->timer, &after);
}

static void set_elected(struct election *e, bool elected, const char *reason)
{
    if (e->elected == elected)
        return;
    e->elected = elected;
    if (elected)
        e->hooks.on_elected(e->hooks.context);
    else
        e->hooks.on_dismissed(e->hooks.context, reason);
}

static void note_failure(struct election *e, int result, const char *reason)
{
    /* The store tells of connections. */
    if (result == -ENOTCONN || result == -ETIMEDOUT || strcmp(e->reason, reason) == 0)
        return;
    snprintf(e->reason, sizeof e->reason, "%s", reason);
    e->hooks.on_failure(e->hooks.context, e->reason);
}

static void ballot_done(struct store_job *job, int result, const char *reason)
{
    struct ballot *ballot = (struct ballot *)job;
    struct election *e = ballot->election;
    if (e) {
        e->ballot = NULL;
        schedule(e, INTERVAL_S);
        if (result < 0)
            note_failure(e, result, reason);
        else
            e->reason[0] = '\0';
        set_elected(e, result == 0 && ballot->held,
                    result < 0 ? reason : "the lock is another process's");
    }
    free(ballot);
}

static int submit(struct election *e, const char *sql, struct election *owner)
{
    struct ballot *ballot = calloc(1, sizeof *ballot);
    if (!ballot)
        return -ENOMEM;
    ballot->job = (struct store_job){.run = run_ballot, .done = ballot_done};
    ballot->election = owner;
    ballot->sql = sql;
    memcpy(ballot->name, e->name, sizeof ballot->name);
    int r = store_submit(e->store, &ballot->job);
    if (r < 0)
        free(ballot);
    else if (owner)
        e->ballot = ballot;
    return r;
}

static void on_time(evutil_socket_t fd, short what, void *argument)
{
    (void)fd, (void)what;
    struct election *e = argument;
    if (e->ballot)
        return;
    int r = submit(e, ask_sql, e);
    if (r < 0) {
        note_failure(e, r, strerror(-r));
        schedule(e, INTERVAL_S);
    }
}

static void on_state(void *context, bool connected, const char *text)
{
    struct election *e = context;
    if (connected)
        schedule(e, 0);
    else
        set_elected(e, false, text);
}

int election_new(struct event_base *base, struct store *store, const char *name,
                 const struct election_hooks *hooks, struct election **ret_election)
{
    struct election *e = calloc(1, sizeof *e);
    if (!e)
        return -ENOMEM;
    if (strlen(name) >= sizeof e->name) {
        free(e);
        return -EINVAL;
    }
    snprintf(e->name, sizeof e->name, "%s", name);
    e->store = store;
    e->hooks = *hooks;
    e->timer = evtimer_new(base, on_time, e);
    if (!e->timer) {
        free(e);
        return -ENOMEM;
    }
    e->watch.hooks = (struct store_hooks){.context = e, .on_state = on_state};
    store_watch(store, &e->watch);
    schedule(e, 0);
    *ret_election = e;
    return 0;
}

bool election_is_elected(const struct election *e)
{
    return e->elected;
}

void election_free(struct election *e)
{
    if (!e)
        return;
    if (e->ballot)
        e->ballot->election = NULL;
    /* Also with a ballot under way, which may win. When it cannot be queued, the end of the
     * connection releases the lock. */
    int r = submit(e, release_sql, NULL);
    (void)r;
    store_unwatch(e->store, &e->watch);
    event_free(e->timer);
    free(e);
}
