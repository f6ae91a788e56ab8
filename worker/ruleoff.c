#include "worker/ruleoff.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/timing.h"
#include "dispatcher/url.h"
#include "dispatcher/verdict.h"
#include "worker/hint.h"
#include "worker/store.h"

enum {
    INTERVAL_S = 1,
    REMEMBERED_MS = 60 * 1000,
    /* Requests begun until so long after the change are of rules that were read before it. */
    SETTLED_MS = 5 * 1000,
    COMPLAIN_S = 60,
    /* Of the columns, at four bytes a character; what is longer is never the same. */
    ENDPOINT_SIZE = 255 * 4 + 1,
    URL_SIZE = 1333 * 4 + 1,
};

enum progress { WAITING, WRITING, DONE };

/* What the request was made by. Somebody may have mended it since, and then the answer says nothing
 * about what there is now. The address goes along with the time, which is in whole seconds and
 * which not everybody who changes a row sets. */
struct grounds {
    int64_t timemodified;
    char endpoint[ENDPOINT_SIZE];
    char base_url[URL_SIZE];
};

struct entry {
    struct entry *next;
    int64_t rule_id;
    struct grounds grounds;
    enum progress progress;
    int64_t done_ms;
    char reason[VERDICT_REASON_SIZE];
};

/* One statement under way. Outlives the list when that is freed meanwhile. */
struct change {
    struct store_job job; /* first: the store hands it back */
    struct ruleoff *owner;
    int64_t rule_id;
    struct grounds grounds;
    char reason[VERDICT_REASON_SIZE];
    uint64_t changed; /* rows */
};

struct ruleoff {
    struct context *ctx;
    struct store *store;
    struct event *timer;
    struct entry *entries;
    size_t n;
    struct change *change; /* NULL while none is under way */
    int64_t complained_s;
    int64_t full_s;
};

static struct entry *find(const struct ruleoff *o, int64_t rule_id)
{
    for (struct entry *e = o->entries; e; e = e->next)
        if (e->rule_id == rule_id)
            return e;
    return NULL;
}

static struct db_value text(const char *value)
{
    return (struct db_value){.text = value, .len = strlen(value)};
}

static int run_change(struct store_job *job, struct db *db)
{
    struct change *c = (struct change *)job;
    const struct db_value values[] = {
        text(c->reason),           {.number = c->rule_id},    {.number = c->grounds.timemodified},
        text(c->grounds.endpoint), text(c->grounds.base_url),
    };

    return db_query(db,
                    "UPDATE {local_integrationhub_rules} SET enabled = 0, disabledreason = ?,"
                    " timedisabled = UNIX_TIMESTAMP(), timemodified = UNIX_TIMESTAMP()"
                    " WHERE id = ? AND enabled = 1 AND timemodified = ?"
                    " AND COALESCE(endpoint, '') = BINARY ? AND EXISTS (SELECT 1"
                    " FROM {local_integrationhub_svc} s WHERE s.id = serviceid"
                    " AND s.base_url = BINARY ?)",
                    values, sizeof values / sizeof values[0], NULL, NULL, &c->changed);
}

static void settle(struct ruleoff *o, const struct change *c, int result, const char *reason)
{
    struct entry *e = find(o, c->rule_id);

    o->change = NULL;
    if (!e)
        return;
    e->progress = result < 0 ? WAITING : DONE;
    e->done_ms = timing_mono_ms();
    if (result >= 0 && c->changed > 0)
        hint_send(o->ctx, "rule", c->rule_id);
    else if (result >= 0)
        log_info("nothing left to disable: the rule was disabled or changed meanwhile", "rule",
                 log_number(c->rule_id), NULL);
    else if (log_every(&o->complained_s, COMPLAIN_S, timing_unix_s()))
        log_error("a rule that is gone for its service could not be disabled;"
                  " it will be tried again",
                  "rule", log_number(c->rule_id), "reason", reason, NULL);
}

static void submit(struct ruleoff *o);

static void change_done(struct store_job *job, int result, const char *reason)
{
    struct change *c = (struct change *)job;
    struct ruleoff *o = c->owner;

    if (o)
        settle(o, c, result, reason);
    free(c);
    if (o && result >= 0)
        submit(o);
}

static bool submit_entry(struct ruleoff *o, struct entry *e, struct ruleoff *owner)
{
    struct change *c = calloc(1, sizeof *c);

    if (!c)
        return false;
    c->job = (struct store_job){.run = run_change, .done = change_done, .waits = true};
    c->owner = owner;
    c->rule_id = e->rule_id;
    c->grounds = e->grounds;
    snprintf(c->reason, sizeof c->reason, "%s", e->reason);
    if (store_submit(o->store, &c->job) < 0) {
        free(c);
        return false;
    }
    e->progress = WRITING;
    o->change = owner ? c : NULL;
    return true;
}

/* One at a time: the store's queue is for everybody. */
static void submit(struct ruleoff *o)
{
    struct entry *e = o->entries;

    while (e && e->progress != WAITING)
        e = e->next;
    if (e && !o->change)
        (void)submit_entry(o, e, o);
}

static void forget_old(struct ruleoff *o)
{
    int64_t now_ms = timing_mono_ms();
    struct entry **at = &o->entries;

    while (*at) {
        struct entry *e = *at;

        if (e->progress == DONE && now_ms - e->done_ms > REMEMBERED_MS) {
            *at = e->next;
            free(e);
            o->n--;
        } else {
            at = &e->next;
        }
    }
}

static void on_time(evutil_socket_t fd, short what, void *context)
{
    struct ruleoff *o = context;

    (void)fd;
    (void)what;
    forget_old(o);
    submit(o);
}

static void report(const struct rule *rule, const char *url, const char *reason)
{
    char host[256];

    url_host(url, host, sizeof host);
    log_error("rule disabled: its service says that the address is gone for good", "rule",
              log_number(rule->id), "service_id", log_number(rule->service->id), "service",
              rule->service->name, "host", host, "reason", reason, NULL);
}

static struct entry *add_entry(struct ruleoff *o, int64_t rule_id)
{
    struct entry *e = o->n < RULEOFF_MAX ? calloc(1, sizeof *e) : NULL;

    if (!e)
        return NULL;
    e->rule_id = rule_id;
    e->next = o->entries;
    o->entries = e;
    o->n++;
    return e;
}

static void note_grounds(struct grounds *g, const struct rule *rule)
{
    g->timemodified = rule->timemodified;
    snprintf(g->endpoint, sizeof g->endpoint, "%s", rule->endpoint_text);
    snprintf(g->base_url, sizeof g->base_url, "%s", rule->service->base_url);
}

void ruleoff_add(struct ruleoff *o, const struct rule *rule, const char *url, const char *reason,
                 int64_t begun_ms)
{
    struct entry *e = find(o, rule->id);

    if (e && (e->progress != DONE || begun_ms - e->done_ms < SETTLED_MS))
        return;
    if (!e)
        e = add_entry(o, rule->id);
    if (!e) {
        if (log_every(&o->full_s, COMPLAIN_S, timing_unix_s()))
            log_error("a rule that is gone for its service stays enabled for now:"
                      " too many wait to be disabled",
                      "rule", log_number(rule->id), NULL);
        return; /* its next message tells it again */
    }
    e->progress = WAITING;
    note_grounds(&e->grounds, rule);
    snprintf(e->reason, sizeof e->reason, "%s", reason);
    report(rule, url, reason);
    submit(o);
}

int ruleoff_new(struct context *ctx, struct store *store, struct ruleoff **ret_ruleoff)
{
    static const struct timeval interval = {.tv_sec = INTERVAL_S};
    struct ruleoff *o = calloc(1, sizeof *o);

    if (!o)
        return -ENOMEM;
    o->ctx = ctx;
    o->store = store;
    o->timer = event_new(ctx->base, -1, EV_PERSIST, on_time, o);
    if (!o->timer || event_add(o->timer, &interval) < 0) {
        if (o->timer)
            event_free(o->timer);
        free(o);
        return -ENOMEM;
    }
    *ret_ruleoff = o;
    return 0;
}

void ruleoff_free(struct ruleoff *o)
{
    if (!o)
        return;
    if (o->change)
        o->change->owner = NULL;
    for (struct entry *e = o->entries; e; e = e->next)
        if (e->progress == WAITING && !submit_entry(o, e, NULL))
            break; /* the rule's next message tells it again */
    while (o->entries) {
        struct entry *e = o->entries;

        o->entries = e->next;
        free(e);
    }
    event_free(o->timer);
    free(o);
}
