#include "worker/catalog_rows.h"

#include <errno.h>
#include <stdio.h>

#include "common/db.h"
#include "dispatcher/catalog.h"

static int on_service(void *context, const struct db_row *row)
{
    const struct service_row service = {
        .id = db_number(row, 0, 0),
        .name = row->text[1],
        .type = row->text[2],
        .base_url = row->text[3],
        .auth_type = row->text[4],
        .auth_token = row->text[5],
        .timeout_s = db_number(row, 6, 5),
        .max_concurrency = db_number(row, 7, 16),
        .max_retries = db_number(row, 8, 3),
        .retry_backoff_s = db_number(row, 9, 1),
        .long_retries = db_number(row, 10, 1) != 0,
        .cb_failure_threshold = db_number(row, 11, 5),
        .cb_cooldown_s = db_number(row, 12, 30),
        .enabled = db_number(row, 13, 0) != 0,
        .paused = db_number(row, 14, 0) != 0,
        .rate_limit = db_number(row, 15, 0),
        .auth_user = row->text[16],
        .auth_header = row->text[17],
        .auth_url = row->text[18],
        .auth_scope = row->text[19],
        .client_cert = row->text[20],
        .headers = row->text[21],
        .body_type = row->text[22],
        .content_type = row->text[23],
        .signing_secret = row->text[24],
        .signing_secret_old = row->text[25],
        .soap_version = row->text[26],
        .soap_headers = row->text[27],
    };
    return catalog_builder_service(context, &service);
}

static int on_rule(void *context, const struct db_row *row)
{
    const struct rule_row rule = {
        .id = db_number(row, 0, 0),
        .service_id = db_number(row, 1, 0),
        .eventname = row->text[2],
        .endpoint = row->text[3],
        .http_method = row->text[4],
        .payload_template = row->text[5],
        .enabled = db_number(row, 6, 0) != 0,
        .timemodified = db_number(row, 7, 0),
        .filter = row->text[8],
    };
    return catalog_builder_rule(context, &rule);
}

int catalog_table_read(struct db *db, const struct catalog_table *t, void *context,
                       char *ret_reason, size_t reason_size)
{
    int r = db_query(db, t->sql, NULL, 0, t->on_row, context, NULL);
    if (r < 0 && !db_lost(db))
        snprintf(ret_reason, reason_size, "%s: %.180s%s", t->name,
                 r == -ENOMEM ? "out of memory" : db_reason(db),
                 r == -ENOENT ? "; has Moodle's upgrade of the plugin run?" : "");
    return r;
}

static const struct catalog_table services = {
    "local_integrationhub_svc",
    "SELECT id, name, type, base_url, auth_type, auth_token, timeout,"
    " max_concurrency, max_retries, retry_backoff, long_retries,"
    " cb_failure_threshold, cb_cooldown, enabled, paused, rate_limit, auth_user,"
    " auth_header, auth_url, auth_scope, client_cert, headers, body_type,"
    " content_type, signing_secret, signing_secret_old, soap_version,"
    " soap_headers FROM {local_integrationhub_svc} ORDER BY id",
    on_service,
};

static const struct catalog_table rules = {
    "local_integrationhub_rules",
    "SELECT id, serviceid, eventname, endpoint, http_method, payload_template,"
    " enabled, timemodified, filter FROM {local_integrationhub_rules} ORDER BY id",
    on_rule,
};

int catalog_rows_read(struct db *db, struct catalog_builder *b, char *ret_reason,
                      size_t reason_size)
{
    int r = catalog_table_read(db, &services, b, ret_reason, reason_size);
    return r < 0 ? r : catalog_table_read(db, &rules, b, ret_reason, reason_size);
}
