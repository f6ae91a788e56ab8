#include "worker/topology_plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int add(struct topology_plan *plan, enum topology_action action, int64_t service_id,
               const char *key)
{
    struct topology_item *item;

    if (plan->n == plan->cap) {
        size_t cap = plan->cap ? plan->cap * 2 : 32;
        struct topology_item *items = realloc(plan->items, cap * sizeof *items);

        if (!items)
            return -ENOMEM;
        plan->items = items;
        plan->cap = cap;
    }
    item = &plan->items[plan->n++];
    *item = (struct topology_item){.action = action, .service_id = service_id};
    snprintf(item->key, sizeof item->key, "%s", key);
    return 0;
}

static const struct binding_row *find_row(const struct binding_row *rows, size_t n_rows,
                                          int64_t service_id, const char *key)
{
    for (size_t i = 0; i < n_rows; i++)
        if (rows[i].service_id == service_id && strcmp(rows[i].key, key) == 0)
            return &rows[i];
    return NULL;
}

static bool wants(const struct service *s, const char *key)
{
    for (size_t i = 0; i < s->n_rules; i++)
        if (s->rules[i].enabled && s->rules[i].routing_key[0] &&
            strcmp(s->rules[i].routing_key, key) == 0)
            return true;
    return false;
}

/* Two rules of a service may want the same key: the first of them stands for both. */
static bool is_first_with_key(const struct service *s, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (s->rules[i].enabled &&
            strcmp(s->rules[i].routing_key, s->rules[index].routing_key) == 0)
            return false;
    return true;
}

static int add_recorded(struct topology_plan *plan, enum topology_action action,
                        const struct service *s, const char *key, const struct binding_row *row)
{
    int r;

    if (!row && !s->enabled)
        return 0;
    r = add(plan, action, s->id, key);
    if (r < 0)
        return r;
    plan->items[plan->n - 1].recorded = row;
    plan->items[plan->n - 1].bound = row && row->bound;
    return 0;
}

static int plan_service(struct topology_plan *plan, const struct service *s,
                        const struct binding_row *rows, size_t n_rows)
{
    int r = add_recorded(plan, TOPOLOGY_DECLARE, s, "", find_row(rows, n_rows, s->id, ""));

    for (size_t i = 0; r == 0 && i < s->n_rules; i++) {
        const struct rule *rule = &s->rules[i];

        if (rule->enabled && rule->routing_key[0] && is_first_with_key(s, i))
            r = add_recorded(plan, TOPOLOGY_BIND, s, rule->routing_key,
                             find_row(rows, n_rows, s->id, rule->routing_key));
    }
    return r;
}

static int plan_removal(struct topology_plan *plan, const struct catalog *catalog,
                        const struct binding_row *row)
{
    const struct service *s = catalog_service(catalog, row->service_id);
    int r;

    if (row->key[0] == '\0' || (s && wants(s, row->key)))
        return 0;
    r = add(plan, TOPOLOGY_UNBIND, row->service_id, row->key);
    if (r == 0)
        plan->items[plan->n - 1].recorded = true;
    return r;
}

int topology_plan_make(struct topology_plan *plan, const struct catalog *catalog,
                       const struct binding_row *rows, size_t n_rows)
{
    int r = 0;

    *plan = (struct topology_plan){0};
    for (size_t i = 0; r == 0 && i < catalog_service_count(catalog); i++)
        r = plan_service(plan, catalog_service_at(catalog, i), rows, n_rows);
    for (size_t i = 0; r == 0 && i < n_rows; i++)
        r = plan_removal(plan, catalog, &rows[i]);
    for (size_t i = 0; r == 0 && i < n_rows; i++)
        if (rows[i].key[0] == '\0' && !catalog_service(catalog, rows[i].service_id))
            r = add(plan, TOPOLOGY_RETIRE, rows[i].service_id, "");
    return r;
}

void topology_plan_keep_all(struct topology_plan *plan)
{
    size_t kept = 0;

    for (size_t i = 0; i < plan->n; i++)
        if (plan->items[i].action == TOPOLOGY_DECLARE || plan->items[i].action == TOPOLOGY_BIND)
            plan->items[kept++] = plan->items[i];
    plan->n = kept;
}

void topology_plan_release(struct topology_plan *plan)
{
    free(plan->items);
    *plan = (struct topology_plan){0};
}
