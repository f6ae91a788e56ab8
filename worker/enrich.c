#include "worker/enrich.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/timing.h"
#include "worker/enrich_cache.h"
#include "worker/enrich_rows.h"
#include "worker/store.h"

enum {
    MAX_WANTED = ENRICH_MAX_IDS, /* of each kind; what exceeds it asks again */
    AGAIN_MS = 250,              /* after a failure */
    PARTLY_EVERY_S = 60,
};

/* Ids of each kind. */
struct wanted {
    size_t n[ENRICHMENT_KINDS];
    int64_t ids[ENRICHMENT_KINDS][MAX_WANTED];
};

struct lookup {
    struct store_job job;
    struct enrich *enrich; /* NULL: it is gone, and nobody wants the answer */
    struct wanted wanted;
    int64_t submitted_ms;
    int64_t began_ms;
    struct enrich_entry *list; /* what was found */
    bool partly;               /* single objects cannot be had */
};

struct enrich {
    struct store *store;
    struct enrich_options options;
    struct enrich_cache cache;
    struct wanted wanted;  /* for the next look-up */
    struct lookup *lookup; /* under way, or NULL */
    bool away;             /* the last one failed */
    bool partly;           /* the last one found not all */
    int64_t failed_ms;     /* when */
    int64_t warned_s;      /* of what cannot be had */
};

int enrich_new(struct store *store, const struct enrich_options *options,
               struct enrich **ret_enrich)
{
    struct enrich *e = calloc(1, sizeof *e);

    if (!e)
        return -ENOMEM;
    e->store = store;
    e->options = *options;
    if (enrich_cache_init(&e->cache, options->max_entries, options->max_bytes) < 0) {
        free(e);
        return -ENOMEM;
    }
    *ret_enrich = e;
    return 0;
}

/* The database does not answer, or not soon. */
static bool is_slow(const struct enrich *e, int64_t now_ms, int64_t patience_ms)
{
    return e->away || (e->lookup && now_ms - e->lookup->submitted_ms > patience_ms);
}

static int run_lookup(struct store_job *job, struct db *db)
{
    struct lookup *l = (struct lookup *)job;
    int r = 0;

    l->began_ms = timing_mono_ms();
    for (unsigned kind = 0; r >= 0 && kind < ENRICHMENT_KINDS; kind++)
        if (l->wanted.n[kind] > 0) {
            r = enrich_read(db, (enum enrichment_kind)kind, l->wanted.ids[kind], l->wanted.n[kind],
                            &l->list, job->reason, sizeof job->reason);
            l->partly = l->partly || r == ENRICH_PARTLY;
        }
    return r < 0 ? r : 0;
}

/* What was read before a failure is good too. */
static void keep(struct enrich *e, struct lookup *l)
{
    while (l->list) {
        struct enrich_entry *entry = l->list;

        l->list = entry->next;
        entry->next = NULL;
        entry->began_ms = l->began_ms;
        if (e)
            enrich_cache_put(&e->cache, entry);
        else
            enrich_entry_unref(entry);
    }
}

static void note_end(struct enrich *e, int result, const char *reason)
{
    if (result < 0 && !e->away)
        log_warning("nothing can be looked up in Moodle's tables; what is known and not too old "
                    "serves, other deliveries that need it wait in the broker",
                    "reason", reason, NULL);
    if (result >= 0 && e->away)
        log_info("looking up in Moodle's tables works again", NULL);
    e->away = result < 0;
    e->failed_ms = timing_mono_ms();
}

static void lookup_done(struct store_job *job, int result, const char *reason)
{
    struct lookup *l = (struct lookup *)job;
    struct enrich *e = l->enrich;

    keep(e, l);
    if (e) {
        e->lookup = NULL;
        note_end(e, result, reason);
        e->partly = l->partly;
        if (l->partly && result >= 0 && log_every(&e->warned_s, PARTLY_EVERY_S, timing_unix_s()))
            log_warning("what a delivery needs cannot be looked up; it waits in the broker",
                        "reason", l->job.reason, NULL);
        e->options.on_found(e->options.context);
    }
    free(l); /* the reason is in it */
}

/* Starts a look-up for what is wanted, unless one is under way. */
static void look_up(struct enrich *e, int64_t now_ms)
{
    if (e->lookup || ((e->away || e->partly) && now_ms - e->failed_ms < AGAIN_MS))
        return;
    struct lookup *l = calloc(1, sizeof *l);
    if (l) {
        l->job = (struct store_job){.run = run_lookup, .done = lookup_done};
        l->enrich = e;
        l->wanted = e->wanted;
        l->submitted_ms = now_ms;
    }
    int r = l ? store_submit(e->store, &l->job) : -ENOMEM;
    if (r < 0) {
        free(l);
        note_end(e, r, r == -ENOMEM ? "out of memory" : "too much waits for the database");
        return;
    }
    e->lookup = l;
    memset(e->wanted.n, 0, sizeof e->wanted.n);
}

static void want(struct enrich *e, enum enrichment_kind kind, int64_t id)
{
    size_t *n = &e->wanted.n[kind];

    for (size_t i = 0; i < *n; i++)
        if (e->wanted.ids[kind][i] == id)
            return;
    if (*n < MAX_WANTED)
        e->wanted.ids[kind][(*n)++] = id;
}

static void hold(struct found *f, enum path_root root, struct enrich_entry *entry)
{
    f->data.roots |= ROOT_BIT(root);
    f->missing &= ~ROOT_BIT(root);
    if (!entry)
        return;
    f->entries[root] = enrich_entry_ref(entry);
    f->data.views[root] = &entry->view;
}

/* One root. True: it is there. */
static bool find(struct enrich *e, struct found *f, const struct enrich_question *q,
                 enum path_root root, int64_t now_ms, bool settle)
{
    enum enrichment_kind kind = enrichment_kind_of(root);
    int64_t id = enrichment_id(q->event, root);
    struct enrich_entry *entry = id ? enrich_cache_find(&e->cache, kind, id) : NULL;

    if (id == 0) {
        hold(f, root, NULL);
        return true;
    }
    if (entry && entry->began_ms <= q->arrived_ms && enrichment_is_changed(q->event, root))
        entry = NULL;
    if (entry && now_ms - entry->began_ms < e->options.expiry_ms) {
        hold(f, root, entry);
        return true;
    }
    want(e, kind, id);
    if (settle && entry && now_ms - entry->began_ms < e->options.max_age_ms)
        hold(f, root, entry);
    else
        f->missing |= ROOT_BIT(root);
    return settle;
}

bool enrich_find(struct enrich *e, struct found *f, const struct enrich_question *q)
{
    int64_t now = timing_mono_ms();
    bool settle = is_slow(e, now, q->patience_ms);
    bool complete = true;

    if (f->since_ms == 0)
        f->since_ms = now;
    settle = settle || f->hurried;
    for (unsigned root = ROOT_EVENT + 1; root < PATH_ROOTS; root++)
        if (q->needs & ~f->data.roots & ROOT_BIT(root))
            complete = find(e, f, q, (enum path_root)root, now, settle) && complete;
    for (unsigned kind = 0; kind < ENRICHMENT_KINDS; kind++)
        if (e->wanted.n[kind] > 0) {
            look_up(e, now);
            break;
        }
    return complete;
}

void enrich_found_release(struct found *f)
{
    for (unsigned root = 0; root < PATH_ROOTS; root++)
        enrich_entry_unref(f->entries[root]);
    *f = (struct found){0};
}

void enrich_free(struct enrich *e)
{
    if (!e)
        return;
    if (e->lookup)
        e->lookup->enrich = NULL;
    enrich_cache_release(&e->cache);
    free(e);
}
