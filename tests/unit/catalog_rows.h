/*
 * A service and a rule as the tests of the catalog begin with them: each test copies the row and
 * changes what it is about.
 */
#ifndef MIH_TESTS_CATALOG_ROWS_H
#define MIH_TESTS_CATALOG_ROWS_H

#include "dispatcher/catalog.h"

static const struct service_row plain_service = {
    .id = 3,
    .name = "crm",
    .type = "rest",
    .base_url = "https://crm.example/api",
    .auth_type = "bearer",
    .auth_token = "T",
    .timeout_s = 5,
    .max_concurrency = 16,
    .enabled = true,
};

static const struct rule_row plain_rule = {
    .id = 7,
    .service_id = 3,
    .eventname = "\\core\\event\\user_created",
    .endpoint = "/users",
    .http_method = "POST",
    .enabled = true,
};

#endif
