#include "worker/settings.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/netguard.h"
#include "dispatcher/proxyroute.h"
#include "dispatcher/seen.h"
#include "worker/scrape.h"

static const char *const tls_choices[] = {
    [DB_TLS_AUTO] = "auto", [DB_TLS_REQUIRE] = "require", [DB_TLS_OFF] = "off", NULL};
static const char *const level_choices[] = {[LOG_LEVEL_ERROR] = "error",
                                            [LOG_LEVEL_WARNING] = "warning",
                                            [LOG_LEVEL_INFO] = "info",
                                            [LOG_LEVEL_DEBUG] = "debug",
                                            NULL};

static int refuse(char *ret_reason, size_t size, const char *accepted)
{
    snprintf(ret_reason, size, "%s", accepted);
    return -EINVAL;
}

static int check_urls(const char *value, char *ret_reason, size_t size)
{
    struct bus_error error = {.text = ""};
    int r = bus_check_urls(value, &error);
    return r ? refuse(ret_reason, size, error.text) : 0;
}

static int check_filled(const char *value, char *ret_reason, size_t size)
{
    return *value ? 0 : refuse(ret_reason, size, "any text that is not empty");
}

/* Empty, or absolute: a relative path would depend on where the service was started. */
static int check_path(const char *value, char *ret_reason, size_t size)
{
    bool ok = !*value || (*value == '/' && strlen(value) < PATH_MAX);
    return ok ? 0 : refuse(ret_reason, size, "a path that starts with /, or nothing");
}

static bool consists_of(const char *value, size_t min, size_t max, const char *extra)
{
    size_t len = strlen(value);
    if (len < min || len > max)
        return false;
    for (const char *c = value; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr(extra, *c))
            return false;
    return true;
}

/* The prefix of exchanges and queues: it leaves room for ".service.<id>" in 255 bytes, and the
 * broker keeps "amq." for itself. */
static int check_namespace(const char *value, char *ret_reason, size_t size)
{
    if (consists_of(value, 1, 64, "._-") && strcmp(value, "amq") != 0 &&
        strncmp(value, "amq.", 4) != 0)
        return 0;
    return refuse(ret_reason, size, "1 to 64 letters, digits and . _ -, not amq.*");
}

static int check_exchange(const char *value, char *ret_reason, size_t size)
{
    if (consists_of(value, 1, 127, "._-:") && strncmp(value, "amq.", 4) != 0)
        return 0;
    return refuse(ret_reason, size, "1 to 127 letters, digits and . _ - :, not amq.*");
}

/* The prefix stands in statements as it is: nothing but what a table name may hold. */
static int check_prefix(const char *value, char *ret_reason, size_t size)
{
    if (consists_of(value, 0, 20, "_"))
        return 0;
    return refuse(ret_reason, size, "0 to 20 letters, digits and _");
}

static int check_networks(const char *value, char *ret_reason, size_t size)
{
    return netguard_parse(value, ret_reason, size);
}

#define MS(seconds) ((seconds)*INT64_C(1000))
#define FIELD(name) .offset = offsetof(struct settings, name)

/* Rows of a section stand together. */
static const struct conf_setting settings[] = {
    {"broker", "url", CONF_URL_LIST, FIELD(broker_url),
     .fallback = "amqp://guest:guest@127.0.0.1:5672/", .check = check_urls,
     .help = "Broker to connect to; several, separated by commas, are tried in turn. amqps:// "
             "for TLS."},
    {"broker", "namespace", CONF_TEXT, FIELD(broker_namespace), .fallback = "mih",
     .check = check_namespace,
     .help = "First part of the names of all exchanges and queues; one per Moodle site on a "
             "shared broker."},
    {"broker", "events_exchange", CONF_TEXT, FIELD(broker_events_exchange),
     .fallback = "moodle.events", .check = check_exchange,
     .help = "Exchange to which Moodle publishes its events."},
    {"broker", "ca_file", CONF_TEXT, FIELD(broker_ca_file), .fallback = "", .check = check_path,
     .help = "PEM file of the authorities trusted for amqps; empty takes the system's."},
    {"broker", "heartbeat", CONF_DURATION, FIELD(broker_heartbeat_ms), .fallback = "10s",
     .min = MS(1), .max = MS(300),
     .help = "A broker that is silent for twice this long counts as gone; whole seconds."},
    {"broker", "connect_timeout", CONF_DURATION, FIELD(broker_connect_timeout_ms),
     .fallback = "10s", .min = 100, .max = MS(300),
     .help = "Longest wait for one broker URL to accept the connection."},
    {"broker", "rpc_timeout", CONF_DURATION, FIELD(broker_rpc_timeout_ms), .fallback = "3s",
     .min = 100, .max = MS(60), .help = "Longest wait for the broker's answer to one command."},

    {"database", "host", CONF_TEXT, FIELD(database_host), .fallback = "127.0.0.1",
     .check = check_filled, .help = "Host of Moodle's MySQL or MariaDB."},
    {"database", "port", CONF_NUMBER, FIELD(database_port), .fallback = "3306", .min = 1,
     .max = 65535, .help = "Its port."},
    {"database", "socket", CONF_TEXT, FIELD(database_socket), .fallback = "", .check = check_path,
     .help = "Unix socket of the server; used instead of host and port when set."},
    {"database", "user", CONF_TEXT, FIELD(database_user), .fallback = "mih", .check = check_filled,
     .help = "User to log in as; deploy/grants.sh gives what it needs."},
    {"database", "password", CONF_SECRET, FIELD(database_password), .fallback = "",
     .help = "Its password."},
    {"database", "name", CONF_TEXT, FIELD(database_name), .fallback = "moodle",
     .check = check_filled, .help = "Moodle's database."},
    {"database", "prefix", CONF_TEXT, FIELD(database_prefix), .fallback = "mdl_",
     .check = check_prefix, .help = "Prefix of Moodle's tables ($CFG->prefix)."},
    {"database", "tls", CONF_CHOICE, FIELD(database_tls), .fallback = "auto",
     .choices = tls_choices,
     .help = "auto requires TLS unless the server is on this machine; require always; off never."},
    {"database", "ca_file", CONF_TEXT, FIELD(database_ca_file), .fallback = "", .check = check_path,
     .help = "PEM file of the authorities trusted for the database; empty takes the system's."},
    {"database", "connect_timeout", CONF_DURATION, FIELD(database_connect_timeout_ms),
     .fallback = "10s", .min = MS(1), .max = MS(300),
     .help = "Longest wait for the connection; rounded up to seconds."},
    {"database", "io_timeout", CONF_DURATION, FIELD(database_io_timeout_ms), .fallback = "3s",
     .min = MS(1), .max = MS(300),
     .help = "Longest wait for the answer to a statement; rounded up to seconds."},
    {"database", "poll_interval", CONF_DURATION, FIELD(database_poll_interval_ms), .fallback = "1s",
     .min = 100, .max = MS(60), .reloadable = true,
     .help = "Services and rules are looked at this often, hints from Moodle aside."},

    {"worker", "processes", CONF_NUMBER, FIELD(worker_processes), .fallback = "0", .min = 0,
     .max = 512, .reloadable = true,
     .help = "Worker processes to run; 0 is one per processor core."},
    {"worker", "drain_timeout", CONF_DURATION, FIELD(worker_drain_timeout_ms), .fallback = "25s",
     .min = 0, .max = MS(3600), .reloadable = true,
     .help = "At SIGTERM, requests under way may finish for this long."},
    {"worker", "watchdog", CONF_DURATION, FIELD(worker_watchdog_ms), .fallback = "30s",
     .min = MS(2), .max = MS(3600), .reloadable = true,
     .help = "A process whose event loop is silent for this long is killed and started again."},
    {"worker", "ca_file", CONF_TEXT, FIELD(worker_ca_file), .fallback = "", .check = check_path,
     .help = "PEM file of the authorities trusted for https and amqps services; empty takes the "
             "system's."},
    {"worker", "max_event_bytes", CONF_BYTES, FIELD(worker_max_event_bytes), .fallback = "1M",
     .min = 1 << 10, .max = 16 << 20, .reloadable = true,
     .help = "Larger events become dead letters."},
    {"worker", "prefetch_factor", CONF_NUMBER, FIELD(worker_prefetch_factor), .fallback = "4",
     .min = 1, .max = 64,
     .help = "Messages held per service, as a multiple of its max_concurrency."},
    {"worker", "max_response_bytes", CONF_BYTES, FIELD(worker_max_response_bytes),
     .fallback = "64k", .min = 1 << 10, .max = 1 << 20,
     .help = "A service's answer is read up to this size."},
    {"worker", "connect_timeout", CONF_DURATION, FIELD(worker_connect_timeout_ms),
     .fallback = "10s", .min = 100, .max = MS(300),
     .help = "Longest wait for a service to accept a connection; never above its time-out."},
    {"worker", "seen_file", CONF_TEXT, FIELD(worker_seen_file), .fallback = "", .check = check_path,
     .help = "File that remembers what was delivered, best on a tmpfs, one for each mih-worker; "
             "empty keeps it in memory, until mih-worker ends."},
    {"worker", "seen_entries", CONF_NUMBER, FIELD(worker_seen_entries), .fallback = "262144",
     .min = SEEN_ENTRIES_MIN, .max = SEEN_ENTRIES_MAX,
     .help = "Deliveries remembered per host, of 24 bytes each, so that a redelivered message is "
             "not sent twice; rounded up to a power of two."},

    {"http", "proxy", CONF_URL, FIELD(http_proxy), .fallback = "", .check = proxyroute_check,
     .help = "Forward proxy for REST and SOAP services, http:// or https://; the environment's is "
             "never used. It needs [security] proxy_enforces_egress."},
    {"http", "no_proxy", CONF_TEXT, FIELD(http_no_proxy), .fallback = "",
     .help =
         "Hosts that are called without it, and all below them, separated by commas; * for all."},

    {"relay", "after", CONF_DURATION, FIELD(relay_after_ms), .fallback = "5s", .min = MS(1),
     .max = MS(3600), .reloadable = true,
     .help = "Events that Moodle kept in its outbox for longer are published by the fleet."},
    {"relay", "batch", CONF_NUMBER, FIELD(relay_batch), .fallback = "500", .min = 1, .max = 10000,
     .reloadable = true, .help = "Events that are read from the outbox at a time."},

    {"replayer", "canary_wait", CONF_DURATION, FIELD(replayer_canary_wait_ms), .fallback = "60s",
     .min = MS(1), .max = MS(86400), .reloadable = true,
     .help =
         "A replay with a canary goes on when its first message is delivered within this time."},

    {"deadletters", "max_age", CONF_DURATION, FIELD(deadletters_max_age_ms), .fallback = "30d",
     .min = MS(60), .max = MS(INT64_C(3650) * 86400), .reloadable = true,
     .help = "Dead letters older than this are dropped, after a warning, by mih-replayer."},
    {"deadletters", "max_number", CONF_NUMBER, FIELD(deadletters_max_number), .fallback = "1000000",
     .min = 1, .max = 100000000, .reloadable = true,
     .help =
         "Of each service so many dead letters are kept; the oldest above it are dropped, after "
         "a warning."},
    {"deadletters", "check_interval", CONF_DURATION, FIELD(deadletters_check_interval_ms),
     .fallback = "10m", .min = MS(1), .max = MS(86400), .reloadable = true,
     .help = "Age and number of dead letters are looked at this often."},

    {"soap", "wsdl_max_age", CONF_DURATION, FIELD(soap_wsdl_max_age_ms), .fallback = "1h",
     .min = MS(1), .max = MS(INT64_C(30) * 86400),
     .help = "A WSDL older than this is fetched again; until that succeeds, the old one serves."},
    {"soap", "wsdl_folder", CONF_TEXT, FIELD(soap_wsdl_folder), .fallback = "", .check = check_path,
     .help =
         "Folder on a local disk below which file: addresses of WSDLs may be; empty allows none."},
    {"soap", "allow_origins", CONF_TEXT, FIELD(soap_allow_origins), .fallback = "",
     .help = "Origins, such as https://schemas.example, that WSDLs of other origins may import "
             "documents from, and whose addresses they may name for calls with credentials."},

    {"security", "allow_networks", CONF_TEXT, FIELD(security_allow_networks), .fallback = "",
     .check = check_networks, .reloadable = true,
     .help = "Networks that services may live in though they are not of the public Internet, such "
             "as 10.1.0.0/16, ::1; empty refuses loopback, private, link-local and the like."},
    {"security", "proxy_enforces_egress", CONF_BOOL, FIELD(security_proxy_enforces_egress),
     .fallback = "no", .reloadable = true,
     .help = "Behind a forward proxy the guard sees no service's address: yes says that the proxy "
             "itself refuses internal ones; with no, a proxy is not used."},
    {"security", "moodle_key_file", CONF_TEXT, FIELD(security_moodle_key_file), .fallback = "",
     .check = check_path,
     .help = "Copy of Moodle's secret/key/sodium.key that the worker's user may read; with it the "
             "services' tokens are decrypted. Empty takes systemd's credential sodium.key, if "
             "there is one."},

    {"enrichment", "expiry", CONF_DURATION, FIELD(enrichment_expiry_ms), .fallback = "60s",
     .min = 0, .max = MS(86400),
     .help = "What was read of users, courses and activities for templates and filters is read "
             "anew after this time."},
    {"enrichment", "max_age", CONF_DURATION, FIELD(enrichment_max_age_ms), .fallback = "1h",
     .min = 0, .max = MS(INT64_C(30) * 86400),
     .help = "While the database does not answer, what was read serves up to this age; what needs "
             "more waits in the broker."},
    {"enrichment", "cache_entries", CONF_NUMBER, FIELD(enrichment_cache_entries),
     .fallback = "10000", .min = 16, .max = 1000000,
     .help = "Most users, profiles, courses and activities that a process remembers."},
    {"enrichment", "cache_bytes", CONF_BYTES, FIELD(enrichment_cache_bytes), .fallback = "4M",
     .min = 64 << 10, .max = 1 << 30, .help = "Most memory it takes for them."},

    {"statistics", "enabled", CONF_BOOL, FIELD(statistics_enabled), .fallback = "yes",
     .help = "Whether deliveries are counted and logged for Moodle's dashboard."},
    {"statistics", "interval", CONF_DURATION, FIELD(statistics_interval_ms), .fallback = "5s",
     .min = 100, .max = MS(300), .reloadable = true,
     .help = "What was counted is written to the database this often."},
    {"statistics", "keep", CONF_DURATION, FIELD(statistics_keep_ms), .fallback = "90d",
     .min = MS(INT64_C(15) * 86400), .max = MS(INT64_C(3650) * 86400), .reloadable = true,
     .help =
         "Statistics older than this are deleted; those of minutes become hours after two days, "
         "those of hours days after 14."},
    {"statistics", "backlog_interval", CONF_DURATION, FIELD(statistics_backlog_interval_ms),
     .fallback = "5s", .min = 100, .max = MS(3600), .reloadable = true,
     .help = "What waits at the broker for each service is looked at this often."},
    {"statistics", "log_rate", CONF_NUMBER, FIELD(statistics_log_rate), .fallback = "10", .min = 0,
     .max = 100000, .reloadable = true,
     .help = "Most requests that succeeded which a process writes to the log in a second; those "
             "that failed or were sent as a test are all written."},
    {"statistics", "max_log_entries", CONF_NUMBER, FIELD(statistics_max_log_entries),
     .fallback = "500", .min = 0, .max = 100000000, .reloadable = true,
     .help = "Requests kept in the log, 0 for all, in a database without Moodle; otherwise the "
             "plugin's setting of that name counts."},

    {"metrics", "listen", CONF_TEXT, FIELD(metrics_listen), .fallback = "",
     .check = scrape_check_address, .reloadable = true,
     .help = "Where mih-worker serves /metrics for Prometheus, /healthz and /readyz: a port of "
             "127.0.0.1, or an address and a port such as 10.0.0.7:9187; empty is nowhere."},

    {"log", "level", CONF_CHOICE, FIELD(log_level), .fallback = "info", .choices = level_choices,
     .reloadable = true, .help = "The least important lines that are still written."},
};

const struct conf_table settings_table = {settings, sizeof(settings) / sizeof(settings[0])};

void settings_bus_options(const struct settings *s, const char *connection_name,
                          struct bus_options *ret_options)
{
    *ret_options = (struct bus_options){
        .urls = s->broker_url,
        .ca_file = s->broker_ca_file,
        .connection_name = connection_name,
        .heartbeat_s = (int)(s->broker_heartbeat_ms / 1000),
        .connect_timeout_ms = (int)s->broker_connect_timeout_ms,
        .rpc_timeout_ms = (int)s->broker_rpc_timeout_ms,
    };
}

static int whole_seconds(int64_t ms)
{
    return (int)((ms + 999) / 1000);
}

void settings_db_options(const struct settings *s, struct db_options *ret_options)
{
    *ret_options = (struct db_options){
        .host = s->database_host,
        .port = (int)s->database_port,
        .socket = s->database_socket,
        .user = s->database_user,
        .password = s->database_password,
        .name = s->database_name,
        .prefix = s->database_prefix,
        .tls = (enum db_tls)s->database_tls,
        .ca_file = s->database_ca_file,
        .connect_timeout_s = whole_seconds(s->database_connect_timeout_ms),
        .io_timeout_s = whole_seconds(s->database_io_timeout_ms),
    };
}
