#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/log.h"
#include "worker/settings.h"

static void every_default_parses_to_the_documented_value(void **state)
{
    (void)state;
    struct settings s = {.broker_url = NULL};
    struct conf_error error = {.text = ""};
    if (conf_load(&settings_table, &s, NULL, &error))
        fail_msg("%s", error.text);
    assert_string_equal(s.broker_namespace, "mih");
    assert_string_equal(s.broker_events_exchange, "moodle.events");
    assert_int_equal(s.broker_heartbeat_ms, 10000);
    assert_int_equal(s.broker_connect_timeout_ms, 10000);
    assert_int_equal(s.broker_rpc_timeout_ms, 3000);
    assert_int_equal(s.database_port, 3306);
    assert_string_equal(s.database_prefix, "mdl_");
    assert_int_equal(s.database_tls, DB_TLS_AUTO);
    assert_int_equal(s.database_io_timeout_ms, 3000);
    assert_int_equal(s.database_poll_interval_ms, 1000);
    assert_int_equal(s.worker_processes, 0);
    assert_int_equal(s.worker_drain_timeout_ms, 25000);
    assert_int_equal(s.worker_max_event_bytes, 1048576);
    assert_int_equal(s.worker_prefetch_factor, 4);
    assert_int_equal(s.worker_max_response_bytes, 65536);
    assert_string_equal(s.worker_seen_file, "");
    assert_int_equal(s.worker_seen_entries, 262144);
    assert_int_equal(s.relay_after_ms, 5000);
    assert_int_equal(s.relay_batch, 500);
    assert_int_equal(s.replayer_canary_wait_ms, 60000);
    assert_true(s.deadletters_max_age_ms == INT64_C(30) * 86400 * 1000);
    assert_int_equal(s.deadletters_max_number, 1000000);
    assert_int_equal(s.deadletters_check_interval_ms, 600000);
    assert_string_equal(s.http_proxy, "");
    assert_string_equal(s.http_no_proxy, "");
    assert_string_equal(s.security_moodle_key_file, "");
    assert_int_equal(s.enrichment_expiry_ms, 60000);
    assert_int_equal(s.enrichment_max_age_ms, 3600000);
    assert_int_equal(s.enrichment_cache_entries, 10000);
    assert_int_equal(s.enrichment_cache_bytes, 4194304);
    assert_int_equal(s.log_level, LOG_LEVEL_INFO);
    conf_release(&settings_table, &s);
}

static void every_row_is_complete_and_stands_with_its_section(void **state)
{
    (void)state;
    for (size_t i = 0; i < settings_table.n; i++) {
        const struct conf_setting *s = &settings_table.settings[i];
        size_t len = s->help ? strlen(s->help) : 0;
        if (!len || s->help[len - 1] != '.')
            fail_msg("%s.%s: the help is no sentence", s->section, s->key);
        for (size_t j = 0; j < i; j++) {
            const struct conf_setting *other = &settings_table.settings[j];
            bool same_section = strcmp(other->section, s->section) == 0;
            if (other->offset == s->offset || (same_section && strcmp(other->key, s->key) == 0))
                fail_msg("%s.%s and %s.%s are the same", s->section, s->key, other->section,
                         other->key);
            if (same_section && strcmp(settings_table.settings[i - 1].section, s->section) != 0)
                fail_msg("%s.%s stands apart from its section", s->section, s->key);
        }
    }
}

static void values_out_of_range_are_refused_with_what_is_accepted(void **state)
{
    (void)state;
    static const struct {
        const char *variable;
        const char *value;
        const char *expected;
    } rows[] = {
        {"MIH_BROKER_NAMESPACE", "amq.mine", "1 to 64 letters, digits and . _ -, not amq.*"},
        {"MIH_BROKER_NAMESPACE", "", "1 to 64 letters, digits and . _ -, not amq.*"},
        {"MIH_BROKER_EVENTS_EXCHANGE", "a b", "1 to 127 letters, digits and . _ - :, not amq.*"},
        {"MIH_BROKER_CA_FILE", "ca.pem", "a path that starts with /, or nothing"},
        {"MIH_BROKER_HEARTBEAT", "0", "1s to 5m (seconds, or with ms, s, m, h, d)"},
        {"MIH_DATABASE_HOST", "", "any text that is not empty"},
        {"MIH_DATABASE_PORT", "0", "1 to 65535"},
        {"MIH_DATABASE_PREFIX", "mdl_; --", "0 to 20 letters, digits and _"},
        {"MIH_DATABASE_TLS", "maybe", "auto, require, off"},
        {"MIH_WORKER_PROCESSES", "513", "0 to 512"},
        {"MIH_WORKER_MAX_EVENT_BYTES", "17M", "1k to 16M (bytes, or with k, M, G)"},
        {"MIH_RELAY_BATCH", "0", "1 to 10000"},
        {"MIH_DEADLETTERS_MAX_AGE", "59s", "1m to 3650d (seconds, or with ms, s, m, h, d)"},
        {"MIH_LOG_LEVEL", "chatty", "error, warning, info, debug"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct settings s = {.broker_url = NULL};
        struct conf_error error = {.text = ""};
        setenv(rows[i].variable, rows[i].value, 1);
        int r = conf_load(&settings_table, &s, NULL, &error);
        unsetenv(rows[i].variable);
        const char *accepted = strstr(error.text, "is not accepted: ");
        if (r != -EINVAL || !accepted ||
            strcmp(accepted + strlen("is not accepted: "), rows[i].expected) != 0)
            fail_msg("row %zu, %s: %d, %s", i, rows[i].variable, r, error.text);
    }
}

static void a_wrong_broker_url_is_refused_without_showing_its_password(void **state)
{
    (void)state;
    struct settings s = {.broker_url = NULL};
    struct conf_error error = {.text = ""};
    setenv("MIH_BROKER_URL", "http://u:hunter2@h/", 1);
    int r = conf_load(&settings_table, &s, NULL, &error);
    unsetenv("MIH_BROKER_URL");
    assert_int_equal(r, -EINVAL);
    assert_non_null(strstr(error.text, "MIH_BROKER_URL: broker.url: the value is not accepted: "));
    assert_null(strstr(error.text, "hunter2"));
}

static void options_for_the_libraries_are_in_their_units(void **state)
{
    (void)state;
    struct settings s = {.broker_url = NULL};
    struct conf_error error = {.text = ""};
    setenv("MIH_DATABASE_IO_TIMEOUT", "1001ms", 1);
    int r = conf_load(&settings_table, &s, NULL, &error);
    unsetenv("MIH_DATABASE_IO_TIMEOUT");
    assert_int_equal(r, 0);
    struct bus_options bus;
    struct db_options db;
    settings_bus_options(&s, "mih test", &bus);
    settings_db_options(&s, &db);
    assert_ptr_equal(bus.urls, s.broker_url);
    assert_string_equal(bus.connection_name, "mih test");
    assert_int_equal(bus.heartbeat_s, 10);
    assert_int_equal(bus.connect_timeout_ms, 10000);
    assert_int_equal(bus.rpc_timeout_ms, 3000);
    assert_int_equal(db.port, 3306);
    assert_string_equal(db.prefix, "mdl_");
    assert_int_equal(db.connect_timeout_s, 10);
    assert_int_equal(db.io_timeout_s, 2);
    conf_release(&settings_table, &s);
}

static void what_is_not_set_is_empty_in_a_dump(void **state)
{
    (void)state;
    struct settings s = {.broker_url = NULL};
    struct conf_error error = {.text = ""};
    char dump[16384] = "";
    FILE *out = fmemopen(dump, sizeof(dump), "w");
    assert_non_null(out);
    if (conf_load(&settings_table, &s, NULL, &error))
        fail_msg("%s", error.text);
    conf_dump(&settings_table, &s, out);
    fclose(out);
    assert_non_null(strstr(dump, "\nproxy =\n"));
    assert_non_null(strstr(dump, "\n[database]\n"));
    conf_release(&settings_table, &s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_default_parses_to_the_documented_value),
        cmocka_unit_test(every_row_is_complete_and_stands_with_its_section),
        cmocka_unit_test(values_out_of_range_are_refused_with_what_is_accepted),
        cmocka_unit_test(a_wrong_broker_url_is_refused_without_showing_its_password),
        cmocka_unit_test(options_for_the_libraries_are_in_their_units),
        cmocka_unit_test(what_is_not_set_is_empty_in_a_dump),
    };
    return cmocka_run_group_tests_name("settings", tests, NULL, NULL);
}
