#include "worker/ctl_render.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "common/db.h"
#include "dispatcher/condition.h"
#include "worker/enrich_cache.h"
#include "worker/enrich_rows.h"

void ctl_rendering_init(struct ctl_rendering *r)
{
    *r = (struct ctl_rendering){0};
    request_init(&r->request);
}

void ctl_rendering_release(struct ctl_rendering *r)
{
    request_release(&r->request);
    envelope_release(&r->event);
    for (unsigned root = 0; root < PATH_ROOTS; root++)
        enrich_entry_unref(r->entries[root]);
    catalog_unref(r->catalog);
}

int ctl_rendering_parse(struct ctl_rendering *r, size_t max_bytes, const char *message_id,
                        const char *body, size_t len)
{
    const struct envelope_limits limits = {.max_bytes = max_bytes, .max_depth = ENVELOPE_MAX_DEPTH};
    char reason[400] = "";
    int result = envelope_parse(&r->event, &limits, message_id, body, len, reason, sizeof reason);

    if (result < 0)
        snprintf(r->reason, sizeof r->reason, "poison: %s", reason);
    return result;
}

/* How one object is found: 0 and an entry, or negative with the reason. */
typedef int find_entry(void *where, enum enrichment_kind kind, int64_t id,
                       struct enrich_entry **ret_entry, struct ctl_rendering *r);

static int look_up(struct ctl_rendering *r, find_entry *find, void *where)
{
    for (unsigned root = ROOT_EVENT + 1; root < PATH_ROOTS; root++) {
        int64_t id;
        int result;

        if (!(r->rule->needs & ROOT_BIT(root)))
            continue;
        r->data.roots |= ROOT_BIT(root);
        id = enrichment_id(&r->event.view, (enum path_root)root);
        if (id <= 0)
            continue;
        result = find(where, enrichment_kind_of((enum path_root)root), id, &r->entries[root], r);
        if (result < 0)
            return result;
        r->data.views[root] = &r->entries[root]->view;
    }
    r->event.data = &r->data;
    return 0;
}

static int find_in_file(void *where, enum enrichment_kind kind, int64_t id,
                        struct enrich_entry **ret_entry, struct ctl_rendering *r)
{
    static const char *const names[ENRICHMENT_KINDS] = {"user", "profile", "course", "cm", "site"};
    struct json_object *objects = NULL;
    struct json_object *object = NULL;
    char key[24];
    char *text = NULL;

    snprintf(key, sizeof key, "%lld", (long long)id);
    if (json_object_object_get_ex(where, names[kind], &objects) &&
        json_object_object_get_ex(objects, key, &object) && object) {
        text = strdup(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
        if (!text)
            return -ENOMEM;
    }
    *ret_entry = enrich_entry_new(kind, id, text);
    if (*ret_entry)
        return 0;
    snprintf(r->reason, sizeof r->reason, "%s %s of the data cannot be used", names[kind], key);
    return -EBADMSG;
}

static int find_in_db(void *where, enum enrichment_kind kind, int64_t id,
                      struct enrich_entry **ret_entry, struct ctl_rendering *r)
{
    struct db *db = where;
    int result = enrich_read(db, kind, &id, 1, ret_entry, r->reason, sizeof r->reason);

    if (result < 0 && db_lost(db))
        snprintf(r->reason, sizeof r->reason, "%s", db_reason(db));
    if (result == 0 && !*ret_entry)
        result = -ENOMEM;
    return result;
}

int ctl_lookup_file(struct ctl_rendering *r, struct json_object *kinds)
{
    return kinds ? look_up(r, find_in_file, kinds) : 0;
}

int ctl_lookup_db(struct ctl_rendering *r, struct db *db)
{
    return look_up(r, find_in_db, db);
}

static int ask_filter(struct ctl_rendering *r)
{
    const struct path_source source = {&r->event.view, r->event.data};
    const struct rule *rule = r->rule;
    char what[440];
    bool wanted = true;
    int result;

    if (!rule->filter || rule->fault || rule->service->fault)
        return 0;
    result = condition_match(rule->filter, &source, &wanted, what, sizeof what);
    if (result == -ENOMEM)
        snprintf(r->reason, sizeof r->reason, "out of memory");
    else if (result < 0)
        snprintf(r->reason, sizeof r->reason, "policy: filter, %s (rule %lld, service %lld, %s)",
                 what, (long long)rule->id, (long long)rule->service->id, rule->service->name);
    return result < 0 ? result : wanted ? 0 : CTL_SKIPPED;
}

int ctl_rendering_build(struct ctl_rendering *r, int64_t now_s)
{
    int result = ask_filter(r);

    if (result != 0)
        return result;
    result = request_build(&r->request, r->service, r->rule, &r->event, now_s, r->reason,
                           sizeof r->reason);
    if (result == -ENOMEM)
        snprintf(r->reason, sizeof r->reason, "out of memory");
    return result;
}
