#include "dispatcher/catalog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dispatcher/catalog_impl.h"

struct catalog {
    size_t references;
    uint64_t digest;
    size_t n_orphans;
    struct service *services; /* by id */
    size_t n_services;
};

/* A rule's row with texts of its own, until sealing knows its service. */
struct pending_rule {
    struct rule_row row;
    char *texts[5];
};

struct catalog_builder {
    uint64_t digest;
    const struct secret_keys *keys;
    struct service *services;
    size_t n_services;
    size_t cap_services;
    struct pending_rule *rules;
    size_t n_rules;
    size_t cap_rules;
};

struct catalog_builder *catalog_builder_new(void)
{
    return calloc(1, sizeof(struct catalog_builder));
}

void catalog_builder_set_keys(struct catalog_builder *b, const struct secret_keys *keys)
{
    b->keys = keys;
}

static void pending_release(struct pending_rule *p)
{
    for (size_t i = 0; i < sizeof(p->texts) / sizeof(p->texts[0]); i++) {
        free(p->texts[i]);
    }
}

void catalog_builder_free(struct catalog_builder *b)
{
    if (!b) {
        return;
    }
    for (size_t i = 0; i < b->n_services; i++) {
        service_release(&b->services[i]);
    }
    for (size_t i = 0; i < b->n_rules; i++) {
        pending_release(&b->rules[i]);
    }
    free(b->services);
    free(b->rules);
    free(b);
}

/* Makes room for one more item and returns the list, or NULL when memory is out. */
static void *grow(void *list, size_t n, size_t *cap, size_t item_size)
{
    if (n < *cap) {
        return list;
    }
    size_t wanted = *cap > 0 ? *cap * 2 : 16;
    void *larger = reallocarray(list, wanted, item_size);
    if (larger) {
        *cap = wanted;
    }
    return larger;
}

/* FNV-1a over fields, each with its length, so that no two rows read the same. */
static void digest_bytes(uint64_t *digest, const void *bytes, size_t len)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < len; i++) {
        *digest = (*digest ^ p[i]) * 0x100000001b3;
    }
}

static void digest_number(uint64_t *digest, int64_t number)
{
    digest_bytes(digest, &number, sizeof(number));
}

static void digest_text(uint64_t *digest, const char *text)
{
    digest_number(digest, text ? (int64_t)strlen(text) : -1);
    digest_bytes(digest, text ? text : "", text ? strlen(text) : 0);
}

/* Spreads a row's digest, so that their sum is as good as each (the finaliser of splitmix64). */
static uint64_t digest_spread(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

static uint64_t service_digest(const struct service_row *row)
{
    uint64_t digest = 0xcbf29ce484222325;
    const char *const texts[] = {
        "service",         row->name,         row->type,           row->base_url,
        row->auth_type,    row->auth_token,   row->auth_user,      row->auth_header,
        row->auth_url,     row->auth_scope,   row->client_cert,    row->headers,
        row->body_type,    row->content_type, row->signing_secret, row->signing_secret_old,
        row->soap_version, row->soap_headers};
    const int64_t numbers[] = {row->id,
                               row->timeout_s,
                               row->max_concurrency,
                               row->max_retries,
                               row->retry_backoff_s,
                               row->long_retries,
                               row->cb_failure_threshold,
                               row->cb_cooldown_s,
                               row->rate_limit,
                               row->enabled,
                               row->paused};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        digest_text(&digest, texts[i]);
    }
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        digest_number(&digest, numbers[i]);
    }
    return digest_spread(digest);
}

static uint64_t rule_digest(const struct rule_row *row)
{
    uint64_t digest = 0xcbf29ce484222325;
    const char *const texts[] = {"rule",           row->eventname,        row->endpoint,
                                 row->http_method, row->payload_template, row->filter};
    const int64_t numbers[] = {row->id, row->service_id, row->timemodified, row->enabled};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        digest_text(&digest, texts[i]);
    }
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        digest_number(&digest, numbers[i]);
    }
    return digest_spread(digest);
}

int catalog_builder_service(struct catalog_builder *b, const struct service_row *row)
{
    struct service *list = grow(b->services, b->n_services, &b->cap_services, sizeof(*list));
    if (!list) {
        return -ENOMEM;
    }
    b->services = list;
    struct service *s = &list[b->n_services];
    *s = (struct service){0};
    int r = service_prepare(s, row, b->keys);
    if (r < 0) {
        service_release(s);
        return r;
    }
    b->n_services++;
    b->digest += service_digest(row);
    return 0;
}

/* Copies a text; NULL stays NULL. 0 or -ENOMEM. */
static int copy_text(char **ret_copy, const char *text)
{
    *ret_copy = text ? strdup(text) : NULL;
    return text && !*ret_copy ? -ENOMEM : 0;
}

int catalog_builder_rule(struct catalog_builder *b, const struct rule_row *row)
{
    struct pending_rule *list = grow(b->rules, b->n_rules, &b->cap_rules, sizeof(*list));
    if (!list) {
        return -ENOMEM;
    }
    b->rules = list;
    struct pending_rule *p = &list[b->n_rules];
    *p = (struct pending_rule){.row = *row};
    if (copy_text(&p->texts[0], row->eventname) < 0 || copy_text(&p->texts[1], row->endpoint) < 0 ||
        copy_text(&p->texts[2], row->http_method) < 0 ||
        copy_text(&p->texts[3], row->payload_template) < 0 ||
        copy_text(&p->texts[4], row->filter) < 0) {
        pending_release(p);
        return -ENOMEM;
    }
    p->row.eventname = p->texts[0];
    p->row.endpoint = p->texts[1];
    p->row.http_method = p->texts[2];
    p->row.payload_template = p->texts[3];
    p->row.filter = p->texts[4];
    b->n_rules++;
    b->digest += rule_digest(row);
    return 0;
}

uint64_t catalog_builder_digest(const struct catalog_builder *b)
{
    return b->digest;
}

static int compare_ids(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int compare_services(const void *a, const void *b)
{
    const struct service *left = a;
    const struct service *right = b;
    return compare_ids(left->id, right->id);
}

/* Exact names first, by name; wildcards after them; equal ones by id. */
static int compare_rules(const void *a, const void *b)
{
    const struct rule *left = a;
    const struct rule *right = b;
    if (left->wildcard != right->wildcard) {
        return left->wildcard ? 1 : -1;
    }
    int order = left->wildcard ? 0 : strcmp(left->eventname, right->eventname);
    return order != 0 ? order : compare_ids(left->id, right->id);
}

static int compare_rule_ids(const void *a, const void *b)
{
    const struct rule *const *left = a;
    const struct rule *const *right = b;
    return compare_ids((*left)->id, (*right)->id);
}

static struct service *find_service(struct service *services, size_t n, int64_t id)
{
    size_t low = 0;
    size_t high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (services[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < n && services[low].id == id ? &services[low] : NULL;
}

/* Gives each service the memory for its rules; counts those that have no service. */
static int allot_rules(struct catalog *c, const struct catalog_builder *b)
{
    for (size_t i = 0; i < b->n_rules; i++) {
        struct service *s = find_service(c->services, c->n_services, b->rules[i].row.service_id);
        if (s) {
            s->n_rules++;
        } else {
            c->n_orphans++;
        }
    }
    int r = 0;
    for (size_t i = 0; i < c->n_services; i++) {
        struct service *s = &c->services[i];
        size_t n = s->n_rules;
        s->n_rules = 0; /* counts up again as they are filled; also when memory is out */
        s->rules = calloc(n + 1, sizeof(*s->rules));
        s->rules_by_id = calloc(n + 1, sizeof(struct rule *));
        if (!s->rules || !s->rules_by_id) {
            r = -ENOMEM;
        }
    }
    return r;
}

static int fill_rules(struct catalog *c, const struct catalog_builder *b)
{
    for (size_t i = 0; i < b->n_rules; i++) {
        const struct rule_row *row = &b->rules[i].row;
        struct service *s = find_service(c->services, c->n_services, row->service_id);
        if (!s) {
            continue;
        }
        int r = rule_prepare(&s->rules[s->n_rules++], s, row);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

static void index_rules(struct service *s)
{
    qsort(s->rules, s->n_rules, sizeof(*s->rules), compare_rules);
    for (size_t i = 0; i < s->n_rules; i++) {
        s->n_exact += !s->rules[i].wildcard;
        s->rules_by_id[i] = &s->rules[i];
    }
    qsort(s->rules_by_id, s->n_rules, sizeof(struct rule *), compare_rule_ids);
}

int catalog_builder_seal(struct catalog_builder *b, struct catalog **ret_catalog)
{
    struct catalog *c = calloc(1, sizeof(*c));
    if (!c) {
        catalog_builder_free(b);
        return -ENOMEM;
    }
    c->references = 1;
    c->digest = b->digest;
    c->services = b->services;
    c->n_services = b->n_services;
    b->services = NULL;
    b->n_services = 0;
    if (c->n_services > 0) {
        qsort(c->services, c->n_services, sizeof(*c->services), compare_services);
    }
    int r = allot_rules(c, b);
    r = r < 0 ? r : fill_rules(c, b);
    catalog_builder_free(b);
    if (r < 0) {
        catalog_unref(c);
        return r;
    }
    for (size_t i = 0; i < c->n_services; i++) {
        index_rules(&c->services[i]);
    }
    *ret_catalog = c;
    return 0;
}

struct catalog *catalog_ref(struct catalog *c)
{
    c->references++;
    return c;
}

void catalog_unref(struct catalog *c)
{
    if (!c || --c->references > 0) {
        return;
    }
    for (size_t i = 0; i < c->n_services; i++) {
        service_release(&c->services[i]);
    }
    free(c->services);
    free(c);
}

uint64_t catalog_digest(const struct catalog *c)
{
    return c->digest;
}

size_t catalog_orphan_count(const struct catalog *c)
{
    return c->n_orphans;
}

size_t catalog_service_count(const struct catalog *c)
{
    return c->n_services;
}

const struct service *catalog_service_at(const struct catalog *c, size_t index)
{
    return index < c->n_services ? &c->services[index] : NULL;
}

const struct service *catalog_service(const struct catalog *c, int64_t service_id)
{
    return find_service(c->services, c->n_services, service_id);
}

const struct rule *service_rule(const struct service *s, int64_t rule_id)
{
    size_t low = 0;
    size_t high = s->n_rules;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->rules_by_id[middle]->id < rule_id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < s->n_rules && s->rules_by_id[low]->id == rule_id ? s->rules_by_id[low] : NULL;
}

/* Index of the first exact rule whose name is not before eventname. */
static size_t first_exact(const struct service *s, const char *eventname)
{
    size_t low = 0;
    size_t high = s->n_exact;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(s->rules[middle].eventname, eventname) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

size_t service_match(const struct service *s, const char *eventname, catalog_on_match *on_match,
                     void *context)
{
    size_t matches = 0;
    for (size_t i = first_exact(s, eventname);
         i < s->n_exact && strcmp(s->rules[i].eventname, eventname) == 0; i++) {
        if (s->rules[i].enabled) {
            on_match(context, &s->rules[i]);
            matches++;
        }
    }
    for (size_t i = s->n_exact; i < s->n_rules; i++) {
        const struct rule *rule = &s->rules[i];
        if (rule->enabled && strncmp(eventname, rule->eventname, rule->prefix_len) == 0 &&
            eventname[rule->prefix_len] != '\0') {
            on_match(context, rule);
            matches++;
        }
    }
    return matches;
}
