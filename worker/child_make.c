/* The parts of a worker process: what they tell it, and how they are built and taken down. */
#include <errno.h>
#include <event2/event.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "common/log.h"
#include "common/netguard.h"
#include "common/secret.h"
#include "common/timing.h"
#include "worker/attempt.h"
#include "worker/backlog.h"
#include "worker/breakers.h"
#include "worker/catalog_loader.h"
#include "worker/child_impl.h"
#include "worker/deadnotes.h"
#include "worker/election.h"
#include "worker/enrich.h"
#include "worker/followup.h"
#include "worker/heartbeat.h"
#include "worker/intake.h"
#include "worker/job.h"
#include "worker/relay.h"
#include "worker/requestlog.h"
#include "worker/ruleoff.h"
#include "worker/statkeeper.h"
#include "worker/statmap.h"
#include "worker/stats.h"
#include "worker/store.h"
#include "worker/topology.h"

enum { STORE_GRACE_MS = 1000, TIDY_INTERVALS = 2 };

/* Hooks of the parts. */

static void on_store_state(void *context, bool connected, const char *text)
{
    struct child *c = context;

    if (connected) {
        log_info("database connected", "server", text, NULL);
        meter_add(&c->ctx.meter->n[METER_DATABASE_CONNECTS], 1);
    } else {
        log_warning("database away; deliveries go on with the rules at hand", "reason", text, NULL);
    }
}

static void on_publisher_state(void *context, bool connected, const char *text)
{
    struct child *c = context;

    if (!connected) {
        log_warning("no publishing connection to the broker", "reason", text, NULL);
        return;
    }
    log_info("publishing connection open", "broker", text, NULL);
    meter_add(&c->ctx.meter->n[METER_PUBLISHER_CONNECTS], 1);
    topology_changed(c->topology, NULL);
    followups_tick(c->letters);
    relay_poke(c->relay);
}

static void on_publisher_blocked(void *context, bool blocked, const char *reason)
{
    struct child *c = context;

    if (blocked) {
        log_warning("the broker blocks publishing; what fails is left to its dead-lettering",
                    "reason", reason, NULL);
        publisher_take_back(c->ctx.publisher);
    } else {
        log_info("the broker takes publications again", NULL);
    }
    followups_tick(c->letters);
}

static void on_catalog(void *context, struct catalog *catalog)
{
    struct child *c = context;

    c->has_rules = true;
    if (c->number == 0)
        plainsecrets_tell(&c->plain_secrets, catalog);
    log_info("rules read", "services", log_number((int64_t)catalog_service_count(catalog)), NULL);
    if (intake_update(c->intake, catalog) < 0)
        log_error("out of memory: some services are not consumed", NULL);
    meter_describe(c->ctx.meter, catalog);
    topology_changed(c->topology, catalog);
    relay_set_catalog(c->relay, catalog);
    backlog_set_catalog(c->backlog, catalog);
    catalog_unref(catalog);
}

/* From inside of a delivery: the lanes are moved from the loop. */
static void on_leave_changed(void *context)
{
    struct child *c = context;

    event_active(c->leave_changed, EV_TIMEOUT, 0);
}

static void move_lanes(evutil_socket_t fd, short what, void *context)
{
    struct child *c = context;

    (void)fd;
    (void)what;
    intake_refresh(c->intake);
}

static void on_fleet(void *context, unsigned processes)
{
    struct child *c = context;

    if (processes == c->ctx.processes)
        return;
    c->ctx.processes = processes;
    event_active(c->leave_changed, EV_TIMEOUT, 0); /* each has another share of the limits */
}

static void on_breakers(void *context, const struct breaker_row *rows, size_t n, int64_t began_ms)
{
    struct child *c = context;

    breakers_rows(c->ctx.breakers, rows, n, began_ms);
}

static void on_rules_checked(void *context, int64_t began_ms)
{
    struct child *c = context;

    c->ctx.rules_checked_ms = began_ms;
    relay_rules_checked(c->relay, began_ms);
    intake_rules_checked(c->intake);
}

static void on_rules_failure(void *context, const char *reason)
{
    (void)context;
    log_error("rules could not be read; the ones at hand stay in force", "reason", reason, NULL);
}

static void on_looked_up(void *context)
{
    struct child *c = context;

    intake_looked_up(c->intake);
}

static void on_hint(void *context)
{
    struct child *c = context;

    loader_poke(c->loader);
}

void child_set_elected(struct child *c, bool elected)
{
    meter_set(&c->ctx.meter->gauge[METER_ELECTED], elected);
    topology_set_elected(c->topology, elected);
    relay_set_elected(c->relay, elected);
    heartbeat_set_elected(c->heartbeat, elected);
    statkeeper_set_elected(c->statkeeper, elected);
    backlog_set_elected(c->backlog, elected);
}

static void on_elected(void *context)
{
    log_info("elected: this process keeps bindings and outbox", NULL);
    child_set_elected(context, true);
}

static void on_dismissed(void *context, const char *reason)
{
    log_info("not elected any more", "reason", reason, NULL);
    child_set_elected(context, false);
}

static void on_election_failure(void *context, const char *reason)
{
    (void)context;
    log_error("no election possible: nobody keeps bindings and outbox", "reason", reason, NULL);
}

/* Building and taking down. */

static int make_loop(struct child *c)
{
    struct event_config *config = event_config_new();

    if (!config)
        return -ENOMEM;
    /* One thread uses the base; the others wake it through eventfds. */
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_NO_CACHE_TIME);
    c->ctx.base = event_base_new_with_config(config);
    event_config_free(config);
    return c->ctx.base ? 0 : -ENOMEM;
}

static int make_events(struct child *c)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGTSTP, SIGCONT, SIGHUP};
    static const struct timeval second = {.tv_sec = 1};

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        c->signals[i] = evsignal_new(c->ctx.base, numbers[i], child_on_signal, c);
        if (!c->signals[i] || event_add(c->signals[i], NULL) < 0)
            return -ENOMEM;
    }
    c->second = event_new(c->ctx.base, -1, EV_PERSIST, child_on_second, c);
    c->drain_look = event_new(c->ctx.base, -1, EV_PERSIST, child_look_at_drain, c);
    c->leave_changed = event_new(c->ctx.base, -1, 0, move_lanes, c);
    if (!c->second || !c->drain_look || !c->leave_changed || event_add(c->second, &second) < 0)
        return -ENOMEM;
    return 0;
}

static int make_context(struct child *c)
{
    const struct settings *s = c->settings;

    c->ctx.settings = s;
    c->ctx.limits = (struct envelope_limits){
        .max_bytes = (size_t)s->worker_max_event_bytes,
        .max_depth = ENVELOPE_MAX_DEPTH,
    };
    c->map = statmap_attach();
    c->ctx.meter = &c->map->meter;
    meter_open(c->ctx.meter, getpid());
    meter_set(&c->ctx.meter->gauge[METER_STARTED_S], timing_unix_s());
    seenmap_attach(&c->seen);
    c->ctx.seen = c->seen.seen;
    c->ctx.seen_owner = seen_owner(&c->ctx.seen, (unsigned)c->number);
    suspects_attach(&c->ctx.suspects, (unsigned)c->number);
    names_init(&c->ctx.names, s->broker_namespace, s->broker_events_exchange);
    snprintf(c->connection_name, sizeof c->connection_name, "mih-worker %d/%d", (int)getpid(),
             c->number);
    settings_bus_options(s, c->connection_name, &c->publish_options);
    c->consume_options = c->publish_options;
    settings_db_options(s, &c->db_options);
    return transports_make(&c->ctx.transports, c->ctx.base,
                           &(struct transport_settings){
                               .user_agent = "MoodleIntegrationHub/" MIH_VERSION,
                               .max_response_bytes = (size_t)s->worker_max_response_bytes,
                               .connect_timeout_ms = (long)s->worker_connect_timeout_ms,
                               .ca_file = s->worker_ca_file,
                               .proxy = s->http_proxy,
                               .no_proxy = s->http_no_proxy,
                               .guard = c->guard,
                           },
                           &(struct soap_settings){
                               .wsdl_folder = s->soap_wsdl_folder,
                               .allow_origins = s->soap_allow_origins,
                               .max_age_ms = s->soap_wsdl_max_age_ms,
                           });
}

static int make_guard(struct child *c)
{
    char error[128];
    int r =
        netguard_new(c->settings->security_allow_networks,
                     c->settings->security_proxy_enforces_egress, &c->guard, error, sizeof error);

    if (r < 0)
        log_error("no network guard", "reason", error, NULL);
    return r;
}

static int make_broker_side(struct child *c)
{
    int r = publisher_new(c->ctx.base, &c->publish_options,
                          &(struct publisher_hooks){
                              .context = c,
                              .on_state = on_publisher_state,
                              .on_blocked = on_publisher_blocked,
                          },
                          &c->ctx.publisher);

    if (r == 0)
        r = followups_new(&c->ctx, attempt_followed, &c->letters);
    if (r == 0)
        r = intake_new(&c->ctx, &c->consume_options, c->letters,
                       &(struct intake_hooks){.context = c, .on_hint = on_hint}, &c->intake);
    return r;
}

static struct stattidy tidy_options(const struct settings *s)
{
    return (struct stattidy){
        .keep_s = s->statistics_keep_ms / 1000,
        .max_log_entries = s->statistics_max_log_entries,
    };
}

void child_set_statistics(struct child *c, const struct settings *settings)
{
    const struct stattidy tidy = tidy_options(settings);

    stats_set_interval(c->ctx.stats, settings->statistics_interval_ms);
    statkeeper_set_options(c->statkeeper, &tidy, TIDY_INTERVALS * settings->statistics_interval_ms);
    requestlog_set_rate(c->ctx.requestlog, settings->statistics_log_rate);
    backlog_set_interval(c->backlog, settings->statistics_backlog_interval_ms);
}

static int make_statistics(struct child *c)
{
    const struct settings *s = c->settings;
    const struct stattidy tidy = tidy_options(s);
    int r = stats_new(c->ctx.base, c->store, &c->map->statistics, s->statistics_interval_ms,
                      &c->ctx.stats);

    if (r == 0)
        r = statkeeper_new(c->ctx.base, c->store, &tidy, TIDY_INTERVALS * s->statistics_interval_ms,
                           &c->statkeeper);
    if (r == 0)
        r = requestlog_new(c->ctx.base, c->store, s->statistics_log_rate, &c->ctx.requestlog);
    return r;
}

static int make_database_side(struct child *c)
{
    int r = store_new(c->ctx.base, &c->db_options,
                      &(struct store_hooks){.context = c, .on_state = on_store_state}, &c->store);

    if (r == 0 && c->settings->statistics_enabled)
        r = make_statistics(c);
    if (r == 0)
        r = backlog_new(&c->ctx, c->store, c->intake,
                        &(struct backlog_options){
                            .shows = c->number == 0,
                            .writes = c->settings->statistics_enabled,
                            .interval_ms = c->settings->statistics_backlog_interval_ms,
                        },
                        &c->backlog);
    if (r == 0)
        r = topology_new(&c->ctx, c->store, &c->topology);
    if (r == 0)
        r = relay_new(c->ctx.base, c->store, c->ctx.publisher,
                      &(struct relay_options){
                          .exchange = c->ctx.names.events,
                          .after_ms = c->settings->relay_after_ms,
                          .batch = c->settings->relay_batch,
                      },
                      &c->relay);
    if (r == 0)
        r = heartbeat_new(c->ctx.base, c->store, &c->ctx.counters, &c->heartbeat);
    if (r == 0)
        r = deadnotes_new(c->ctx.base, c->store, &c->ctx.deadnotes);
    if (r == 0)
        r = ruleoff_new(&c->ctx, c->store, &c->ctx.ruleoff);
    if (r == 0)
        r = enrich_new(c->store,
                       &(struct enrich_options){
                           .expiry_ms = c->settings->enrichment_expiry_ms,
                           .max_age_ms = c->settings->enrichment_max_age_ms,
                           .max_entries = (size_t)c->settings->enrichment_cache_entries,
                           .max_bytes = (size_t)c->settings->enrichment_cache_bytes,
                           .context = c,
                           .on_found = on_looked_up,
                       },
                       &c->ctx.enrich);
    if (r == 0)
        r = breakers_new(&c->ctx, c->store, heartbeat_instance(c->heartbeat), on_leave_changed, c,
                         &c->ctx.breakers);
    if (r == 0)
        r = loader_new(c->ctx.base, c->store, c->settings->database_poll_interval_ms,
                       &(struct loader_hooks){
                           .context = c,
                           .keys = c->keys,
                           .on_catalog = on_catalog,
                           .on_breakers = on_breakers,
                           .on_fleet = on_fleet,
                           .on_checked = on_rules_checked,
                           .on_failure = on_rules_failure,
                       },
                       &c->loader);
    if (r == 0)
        r = election_new(c->ctx.base, c->store, c->ctx.names.space,
                         &(struct election_hooks){
                             .context = c,
                             .on_elected = on_elected,
                             .on_dismissed = on_dismissed,
                             .on_failure = on_election_failure,
                         },
                         &c->election);
    return r;
}

/* Without the keys other services are delivered to; the faults of those with a secret tell. */
static void load_keys(struct child *c)
{
    char credential[PATH_MAX], reason[400];
    const char *path =
        secret_key_path(c->settings->security_moodle_key_file, credential, sizeof credential);

    if (*path && secret_keys_load(path, &c->keys, reason, sizeof reason) < 0)
        log_error("no secret can be decrypted", "reason", reason, NULL);
}

int child_make(struct child *c)
{
    int r = make_loop(c);

    load_keys(c);

    if (r == 0)
        r = make_guard(c);
    if (r == 0)
        r = make_context(c);
    if (r == 0)
        r = make_broker_side(c);
    if (r == 0)
        r = make_database_side(c);
    if (r == 0)
        r = make_events(c);
    return r;
}

/* Those who get answers go after those who give them. The topology gets answers of store and
 * publisher and asks each of them in turn, so it is told to stop first. */
void child_unmake(struct child *c)
{
    topology_stop(c->topology);
    backlog_free(c->backlog);
    for (size_t i = 0; i < sizeof c->signals / sizeof(struct event *); i++)
        if (c->signals[i])
            event_free(c->signals[i]);
    if (c->second)
        event_free(c->second);
    if (c->drain_look)
        event_free(c->drain_look);
    transports_free(&c->ctx.transports);
    breakers_free(c->ctx.breakers);
    if (c->leave_changed)
        event_free(c->leave_changed);
    relay_free(c->relay);
    publisher_free(c->ctx.publisher);
    heartbeat_free(c->heartbeat);
    election_free(c->election);
    loader_free(c->loader);
    enrich_free(c->ctx.enrich);
    ruleoff_free(c->ctx.ruleoff);
    deadnotes_free(c->ctx.deadnotes);
    statkeeper_free(c->statkeeper);
    stats_free(c->ctx.stats);
    requestlog_free(c->ctx.requestlog);
    c->ctx.stats = NULL; /* followups, which end below, are not counted any more */
    c->ctx.requestlog = NULL;
    store_free(c->store, STORE_GRACE_MS);
    topology_free(c->topology);
    followups_free(c->letters);
    intake_free(c->intake);
    job_pools_free();
    seenmap_release(&c->seen);
    netguard_free(c->guard);
    plainsecrets_release(&c->plain_secrets);
    if (c->ctx.base)
        event_base_free(c->ctx.base);
}
