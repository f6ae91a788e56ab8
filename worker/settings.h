/*
 * The settings of mih-worker, mih-replayer and mihctl: one struct, one table (settings.c), so that
 * one file serves all.
 */
#ifndef MIH_WORKER_SETTINGS_H
#define MIH_WORKER_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bus.h"
#include "common/conf.h"
#include "common/db.h"

struct settings {
    char *broker_url;
    char *broker_namespace;
    char *broker_events_exchange;
    char *broker_ca_file;
    int64_t broker_heartbeat_ms;
    int64_t broker_connect_timeout_ms;
    int64_t broker_rpc_timeout_ms;

    char *database_host;
    int64_t database_port;
    char *database_socket;
    char *database_user;
    char *database_password;
    char *database_name;
    char *database_prefix;
    int database_tls; /* enum db_tls */
    char *database_ca_file;
    int64_t database_connect_timeout_ms;
    int64_t database_io_timeout_ms;
    int64_t database_poll_interval_ms; /* catalog and bindings are looked at this often */

    int64_t worker_processes;
    int64_t worker_drain_timeout_ms;
    int64_t worker_watchdog_ms; /* a child without a report for so long is killed */
    char *worker_ca_file;       /* for https services */
    int64_t worker_max_event_bytes;
    int64_t worker_prefetch_factor; /* prefetch = factor * max_concurrency */
    int64_t worker_max_response_bytes;
    int64_t worker_connect_timeout_ms;
    char *worker_seen_file; /* store of delivered pairs; "" memory without a name */
    int64_t worker_seen_entries;

    int64_t relay_after_ms; /* outbox rows older than this are published by the fleet */
    int64_t relay_batch;

    int64_t replayer_canary_wait_ms;

    int64_t deadletters_max_age_ms;
    int64_t deadletters_max_number; /* for each service */
    int64_t deadletters_check_interval_ms;

    char *soap_wsdl_folder;
    char *soap_allow_origins;
    int64_t soap_wsdl_max_age_ms;

    char *security_allow_networks; /* see netguard.h */
    bool security_proxy_enforces_egress;
    char *http_proxy; /* "" none; may hold a password */
    char *http_no_proxy;

    char *security_moodle_key_file;

    int64_t enrichment_expiry_ms;
    int64_t enrichment_max_age_ms; /* while the database does not answer */
    int64_t enrichment_cache_entries;
    int64_t enrichment_cache_bytes;

    bool statistics_enabled;
    int64_t statistics_interval_ms;
    int64_t statistics_keep_ms;
    int64_t statistics_backlog_interval_ms;
    int64_t statistics_log_rate; /* successes in the log, per second and process */
    int64_t statistics_max_log_entries;

    char *metrics_listen; /* "" nowhere; see scrape.h */

    int log_level; /* enum log_level */
};

extern const struct conf_table settings_table;

/* The parts that libraries want; the texts stay owned by settings. */
void settings_bus_options(const struct settings *s, const char *connection_name,
                          struct bus_options *ret_options);
void settings_db_options(const struct settings *s, struct db_options *ret_options);

#endif
