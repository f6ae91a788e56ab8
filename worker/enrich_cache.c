#include "worker/enrich_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 4, SLOTS_MIN = 64 };

struct enrich_entry *enrich_entry_new(enum enrichment_kind kind, int64_t id, char *text)
{
    struct enrich_entry *e = calloc(1, sizeof *e);
    char reason[100];

    if (e && text &&
        jsonview_parse(&e->view, text, strlen(text), MAX_DEPTH, reason, sizeof reason) < 0) {
        jsonview_release(&e->view);
        free(e);
        e = NULL;
    }
    if (!e) {
        free(text);
        return NULL;
    }
    e->kind = kind;
    e->id = id;
    e->text = text;
    e->references = 1;
    e->bytes = sizeof *e + (text ? strlen(text) + 1 : 0) + e->view.cap * sizeof *e->view.nodes;
    return e;
}

struct enrich_entry *enrich_entry_ref(struct enrich_entry *e)
{
    e->references++;
    return e;
}

void enrich_entry_unref(struct enrich_entry *e)
{
    if (!e || --e->references > 0)
        return;
    jsonview_release(&e->view);
    free(e->text);
    free(e);
}

int enrich_cache_init(struct enrich_cache *c, size_t max_entries, size_t max_bytes)
{
    size_t n = SLOTS_MIN;

    while (n < max_entries)
        n *= 2;
    *c = (struct enrich_cache){
        .n_slots = n,
        .max_entries = max_entries,
        .max_bytes = max_bytes,
        .slots = calloc(n, sizeof(struct enrich_entry *)),
    };
    return c->slots ? 0 : -ENOMEM;
}

static struct enrich_entry **slot_of(const struct enrich_cache *c, enum enrichment_kind kind,
                                     int64_t id)
{
    uint64_t hash = ((uint64_t)id * ENRICHMENT_KINDS + kind) * 0x9e3779b97f4a7c15;

    return &c->slots[(hash >> 32) & (c->n_slots - 1)];
}

/* Where the pointer to the entry is, or would be. */
static struct enrich_entry **place_of(const struct enrich_cache *c, enum enrichment_kind kind,
                                      int64_t id)
{
    struct enrich_entry **at = slot_of(c, kind, id);

    while (*at && ((*at)->kind != kind || (*at)->id != id))
        at = &(*at)->next;
    return at;
}

static void unlink_use(struct enrich_cache *c, struct enrich_entry *e)
{
    if (e->newer)
        e->newer->older = e->older;
    else
        c->newest = e->older;
    if (e->older)
        e->older->newer = e->newer;
    else
        c->oldest = e->newer;
    e->newer = e->older = NULL;
}

static void link_use(struct enrich_cache *c, struct enrich_entry *e)
{
    e->older = c->newest;
    if (c->newest)
        c->newest->newer = e;
    else
        c->oldest = e;
    c->newest = e;
}

/* An entry that is not in the order of use any more. */
static void forget(struct enrich_cache *c, struct enrich_entry *e)
{
    *place_of(c, e->kind, e->id) = e->next;
    e->next = NULL;
    c->entries--;
    c->bytes -= e->bytes;
    enrich_entry_unref(e);
}

static void forget_oldest(struct enrich_cache *c)
{
    struct enrich_entry *e = c->oldest;

    c->oldest = e->newer;
    if (c->oldest)
        c->oldest->older = NULL;
    else
        c->newest = NULL;
    e->newer = NULL;
    forget(c, e);
}

struct enrich_entry *enrich_cache_find(struct enrich_cache *c, enum enrichment_kind kind,
                                       int64_t id)
{
    struct enrich_entry *e = *place_of(c, kind, id);

    if (e && e != c->newest) {
        unlink_use(c, e);
        link_use(c, e);
    }
    return e;
}

void enrich_cache_put(struct enrich_cache *c, struct enrich_entry *e)
{
    struct enrich_entry *old = *place_of(c, e->kind, e->id);
    struct enrich_entry **slot = slot_of(c, e->kind, e->id);

    if (old) {
        unlink_use(c, old);
        forget(c, old);
    }
    e->next = *slot;
    *slot = e;
    link_use(c, e);
    c->entries++;
    c->bytes += e->bytes;
    /* The one that came last stays, however large it is: somebody waits for it. */
    while (c->oldest != c->newest && (c->entries > c->max_entries || c->bytes > c->max_bytes))
        forget_oldest(c);
}

void enrich_cache_release(struct enrich_cache *c)
{
    while (c->oldest)
        forget_oldest(c);
    free(c->slots);
    *c = (struct enrich_cache){0};
}
