/*
 * Catalogs from rows as no table would hold them: wrong types, NULLs, dangling ids. Nothing
 * vanishes, the order of rows does not matter, and a rule is found by the events that it names.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/envelope.h"
#include "dispatcher/catalog.h"
#include "tests/fuzz/fuzz.h"

enum { ROWS = 6, PER_ROW = 5 };

/* A row of five texts; its first one starts with kind and numbers. */
struct row {
    const char *text[PER_ROW];
    char *copy;
    unsigned char kind, id, service, flags;
};

static unsigned char byte_at(const char *text, size_t i)
{
    return strlen(text) > i ? (unsigned char)text[i] : 0;
}

/* Lines are rows, \2 parts their texts, \1 is NULL. */
static size_t read_rows(struct row *rows, const char *input)
{
    size_t n = 0;
    for (; *input && n < ROWS; n++) {
        struct row *r = &rows[n];
        size_t len = strcspn(input, "\3");
        char *rest = r->copy = strndup(input, len);
        input += input[len] ? len + 1 : len;
        r->kind = byte_at(rest, 0);
        r->id = byte_at(rest, 1);
        r->service = byte_at(rest, 2) % 3;
        r->flags = byte_at(rest, 3);
        rest += strnlen(rest, 4);
        for (size_t i = 0; i < PER_ROW; i++) {
            char *text = rest ? strsep(&rest, "\2") : NULL;
            r->text[i] = text && strcmp(text, "\1") == 0 ? NULL : text;
        }
    }
    return n;
}

static bool is_service(const struct row *r)
{
    return r->kind % 2 == 0;
}

/* Ids are unique, as the tables' keys are: the place of the row makes them so. */
static int64_t id_of(const struct row *rows, size_t i)
{
    return is_service(&rows[i]) ? (int64_t)i % 3 : (int64_t)rows[i].id * ROWS + (int64_t)i;
}

static bool is_repeated(const struct row *rows, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (is_service(&rows[i]) && is_service(&rows[k]) && id_of(rows, k) == id_of(rows, i))
            return true;
    return false;
}

static void add(struct catalog_builder *b, const struct row *rows, size_t i)
{
    const struct row *r = &rows[i];
    int failed;
    if (is_repeated(rows, i))
        return;
    if (is_service(r)) {
        const int64_t number = (int64_t)r->id * (r->flags & 2 ? -1000000007 : 1);
        const struct service_row row = {.id = id_of(rows, i),
                                        .name = r->text[0],
                                        .type = r->text[1],
                                        .base_url = r->text[2],
                                        .auth_type = r->text[3],
                                        .auth_token = r->text[4],
                                        .timeout_s = number,
                                        .max_concurrency = number * 3,
                                        .enabled = r->flags & 1};
        failed = catalog_builder_service(b, &row);
    } else {
        const struct rule_row row = {.id = id_of(rows, i),
                                     .service_id = r->service,
                                     .eventname = r->text[0],
                                     .endpoint = r->text[1],
                                     .http_method = r->text[2],
                                     .payload_template = r->text[3],
                                     .enabled = r->flags & 1};
        failed = catalog_builder_rule(b, &row);
    }
    PROPERTY(failed == 0, "%d", failed);
}

static void on_match(void *context, const struct rule *rule)
{
    const struct rule **wanted = context;
    if (rule == *wanted)
        *wanted = NULL;
}

static bool matches(const struct service *s, const struct rule *rule, const char *eventname)
{
    const struct rule *wanted = rule;
    service_match(s, eventname, on_match, &wanted);
    return wanted == NULL;
}

static void check_rule(const struct service *s, const struct rule *rule)
{
    char key[256], example[600];
    PROPERTY(rule->service == s && service_rule(s, rule->id) == rule, "rule %lld",
             (long long)rule->id);
    PROPERTY(rule->fault || (rule->routing_key[0] && rule->endpoint), "no fault, and no key");
    if (rule->fault) {
        bool known =
            strncmp(rule->fault, "policy: ", 8) == 0 || strncmp(rule->fault, "template: ", 10) == 0;
        PROPERTY(known, "%s", rule->fault);
        reason_check(rule->fault, strlen(rule->fault) + 1);
    }
    if (!rule->routing_key[0])
        return;
    PROPERTY(envelope_routing_key(rule->eventname, key, sizeof key) == 0, "%s", rule->eventname);
    PROPERTY(strcmp(key, rule->routing_key) == 0, "%s and %s", key, rule->routing_key);
    size_t len = rule->wildcard ? rule->prefix_len : strlen(rule->eventname);
    if (len > 500)
        return;
    memcpy(example, rule->eventname, len);
    memcpy(example + len, "viewed", 7);
    example[rule->wildcard ? len + 6 : len] = '\0';
    PROPERTY(matches(s, rule, example) == rule->enabled, "%s for %s", rule->eventname, example);
}

static void check(const struct catalog *c, size_t n_rules)
{
    size_t found = 0;
    for (size_t i = 0; i < catalog_service_count(c); i++) {
        const struct service *s = catalog_service_at(c, i);
        PROPERTY(catalog_service(c, s->id) == s, "service %lld", (long long)s->id);
        PROPERTY(s->timeout_ms > 0 && s->timeout_ms <= SERVICE_MAX_TIMEOUT_S * 1000LL, "%lld",
                 (long long)s->timeout_ms);
        PROPERTY(s->max_concurrency >= 1 && s->max_concurrency <= SERVICE_MAX_CONCURRENCY, "%u",
                 s->max_concurrency);
        for (size_t k = 0; k < s->n_rules; k++)
            check_rule(s, &s->rules[k]);
        found += s->n_rules;
    }
    PROPERTY(found + catalog_orphan_count(c) == n_rules, "%zu of %zu rules", found, n_rules);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct row rows[ROWS] = {0};
    struct fields f;
    struct catalog_builder *forth = catalog_builder_new(), *back = catalog_builder_new();
    struct catalog *c = NULL;
    size_t n_rules = 0;
    fields_cut(&f, 1, data, size);
    size_t n = read_rows(rows, f.text[0]);
    for (size_t i = 0; i < n; i++)
        add(forth, rows, i);
    for (size_t i = n; i > 0; i--) {
        add(back, rows, i - 1);
        n_rules += !is_service(&rows[i - 1]);
    }
    uint64_t digest = catalog_builder_digest(forth);
    PROPERTY(digest == catalog_builder_digest(back), "the order of rows counts");
    catalog_builder_free(back);
    PROPERTY(catalog_builder_seal(forth, &c) == 0, "out of memory");
    PROPERTY(catalog_digest(c) == digest, "another digest");
    check(c, n_rules);
    catalog_unref(c);
    for (size_t i = 0; i < n; i++)
        free(rows[i].copy);
    fields_release(&f);
    return 0;
}
