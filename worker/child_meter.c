/* What a worker process shows of itself in the metrics (meter.h), once a second. */
#include "common/timing.h"
#include "worker/child_impl.h"
#include "worker/intake.h"
#include "worker/ownprocess.h"
#include "worker/relay.h"
#include "worker/requestlog.h"
#include "worker/stats.h"
#include "worker/store.h"

static void show_gauges(const struct child *c)
{
    const struct counters *n = &c->ctx.counters;
    int64_t *gauge = c->ctx.meter->gauge;
    int64_t idle_s = n->progress_ms ? (timing_mono_ms() - n->progress_ms) / 1000 : 0;

    if (n->progress_ms)
        meter_set(&gauge[METER_PROGRESS_S], timing_unix_s() - idle_s);
    meter_set(&gauge[METER_CONSUMER_CONNECTED], intake_connected(c->intake));
    meter_set(&gauge[METER_PUBLISHER_CONNECTED], publisher_connected(c->ctx.publisher));
    meter_set(&gauge[METER_PUBLISHER_BLOCKED], publisher_blocked(c->ctx.publisher));
    meter_set(&gauge[METER_DATABASE_CONNECTED], store_connected(c->store));
    meter_set(&gauge[METER_RESIDENT_BYTES], ownprocess_resident_bytes());
}

static void follow(struct child *c, enum meter_count which, uint64_t now)
{
    meter_follow(&c->ctx.meter->n[which], &c->metered[which], now);
}

void child_meter(struct child *c)
{
    const struct relay_stats *relay = relay_get_stats(c->relay);

    show_gauges(c);
    intake_meter(c->intake);
    follow(c, METER_RECEIVED, c->ctx.counters.received);
    follow(c, METER_REPEATS, c->ctx.counters.repeats);
    follow(c, METER_OUTBOX_PUBLISHED, relay->published);
    follow(c, METER_OUTBOX_UNWANTED, relay->unwanted);
    follow(c, METER_OUTBOX_RETURNED, relay->returned);
    follow(c, METER_OUTBOX_REFUSED, relay->refused);
    follow(c, METER_LOG_LEFT_OUT, requestlog_dropped(c->ctx.requestlog));
    follow(c, METER_NOT_COUNTED, stats_not_counted(c->ctx.stats));
    follow(c, METER_CPU_US, ownprocess_cpu_us());
}
