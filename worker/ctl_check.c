#include "worker/ctl_check.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "common/secret.h"
#include "dispatcher/catalog.h"
#include "worker/catalog_rows.h"
#include "worker/ctl_base.h"
#include "worker/ctl_report.h"
#include "worker/settings.h"

/* The keys, or NULL. */
static struct secret_keys *check_key(struct ctl *c, struct ctl_report *report)
{
    char credential[PATH_MAX];
    const char *path =
        secret_key_path(c->settings->security_moodle_key_file, credential, sizeof credential);
    struct secret_keys *keys = NULL;

    if (!*path)
        ctl_report_add(report, CTL_OK, "key file", "none is set");
    else if (secret_keys_load(path, &keys, c->reason, sizeof c->reason) < 0)
        ctl_report_add(report, CTL_WRONG, "key file", "no secret can be decrypted: %s", c->reason);
    else
        ctl_report_add(report, CTL_OK, "key file", "%s", path);
    return keys;
}

static int on_server(void *context, const struct db_row *row)
{
    ctl_report_add(context, CTL_OK, "database", "%s as %s, server %s", db_text(row, 0),
                   db_text(row, 1), db_text(row, 2));
    return 0;
}

static int check_database(struct ctl *c, struct ctl_report *report)
{
    int r = ctl_open_db(c);

    if (r == 0) {
        r = db_query(c->db, "SELECT DATABASE(), CURRENT_USER(), VERSION()", NULL, 0, on_server,
                     report, NULL);
        if (r < 0)
            snprintf(c->reason, sizeof c->reason, "%s", db_reason(c->db));
    }
    if (r < 0)
        ctl_report_add(report, CTL_DOWN, "database", "%s", ctl_bare_reason(c));
    return r;
}

static int on_fleet(void *context, const struct db_row *row)
{
    int64_t n = db_number(row, 1, 0);

    ctl_report_add(context, CTL_OK, "fleet",
                   "%" PRId64 " %s of version %s %s; this is " MIH_VERSION, n,
                   n == 1 ? "process" : "processes", db_text(row, 0), n == 1 ? "works" : "work");
    return 0;
}

/* No finding when none works: that is how it is before the first start. */
static void check_fleet(struct ctl *c, struct ctl_report *report)
{
    int r = db_query(c->db,
                     "SELECT version, COUNT(*) FROM {local_integrationhub_worker}"
                     " WHERE timeseen >= UNIX_TIMESTAMP() - 10 GROUP BY version",
                     NULL, 0, on_fleet, report, NULL);

    (void)r; /* its table was told of */
}

static struct catalog *read_catalog(struct ctl *c, struct ctl_report *report,
                                    const struct secret_keys *keys)
{
    struct catalog_builder *b = catalog_builder_new();
    struct catalog *catalog = NULL;
    int r = -ENOMEM;

    snprintf(c->reason, sizeof c->reason, "out of memory");
    if (b) {
        catalog_builder_set_keys(b, keys);
        r = catalog_rows_read(c->db, b, c->reason, sizeof c->reason);
    }
    if (r < 0 && c->db && db_lost(c->db))
        snprintf(c->reason, sizeof c->reason, "%s", db_reason(c->db));
    if (r < 0)
        catalog_builder_free(b);
    else
        r = catalog_builder_seal(b, &catalog);
    if (r < 0)
        ctl_report_add(report, CTL_DOWN, "services and rules", "%s", c->reason);
    return catalog;
}

/* A fault of the service is one of all its rules. */
static unsigned check_rules(struct ctl_report *report, const struct service *s, unsigned *faults)
{
    unsigned n = 0;
    char what[64];

    for (size_t i = 0; i < s->n_rules; i++) {
        if (!s->rules[i].enabled)
            continue;
        n++;
        if (!s->rules[i].fault || s->fault)
            continue;
        (*faults)++;
        snprintf(what, sizeof what, "rule %" PRId64, s->rules[i].id);
        ctl_report_add(report, CTL_WRONG, what, "%s", s->rules[i].fault);
    }
    return n;
}

static void check_service(struct ctl_report *report, const struct service *s, unsigned *faults)
{
    char what[64];

    snprintf(what, sizeof what, "service %" PRId64, s->id);
    if (s->fault) {
        (*faults)++;
        ctl_report_add(report, CTL_WRONG, what, "%s", s->fault);
    } else if (s->plain_secrets) {
        ctl_report_add(report, CTL_WARN, what,
                       "%s: a secret is not encrypted in the database; it works, and"
                       " cli/service.php --encrypt of the plugin mends it",
                       s->name);
    }
}

static void check_catalog(struct ctl_report *report, const struct catalog *catalog)
{
    unsigned services = 0;
    unsigned rules = 0;
    unsigned faults = 0;

    for (size_t i = 0; i < catalog_service_count(catalog); i++) {
        const struct service *s = catalog_service_at(catalog, i);

        if (!s->enabled)
            continue;
        services++;
        check_service(report, s, &faults);
        rules += check_rules(report, s, &faults);
    }
    if (catalog_orphan_count(catalog) > 0)
        ctl_report_add(report, CTL_WARN, "services and rules", "%zu rules are of no service",
                       catalog_orphan_count(catalog));
    if (faults == 0)
        ctl_report_add(report, CTL_OK, "services and rules",
                       "%u enabled services with %u enabled rules compile", services, rules);
}

int ctl_check(struct ctl *c, struct ctl_report *report)
{
    struct secret_keys *keys = check_key(c, report);
    struct catalog *catalog = NULL;

    if (check_database(c, report) == 0) {
        ctl_check_tables(c, report);
        check_fleet(c, report);
        catalog = read_catalog(c, report, keys);
    }
    if (catalog)
        check_catalog(report, catalog);
    ctl_check_broker(c, report, catalog);
    catalog_unref(catalog);
    secret_keys_free(keys);
    return ctl_report_end(report);
}
