#include "worker/lane.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/timing.h"
#include "worker/delivery.h"
#include "worker/selection.h"
#include "worker/stats.h"

enum {
    PREFETCH_MAX = 2000,
    /* The broker takes a channel away when a delivery stays unacknowledged for 30 minutes, so the
     * last of the window must be done well before, however slow the service may be. */
    WINDOW_MAX_MS = 15 * 60 * 1000,
    SOON_S = 10,
    REOPEN_BASE_MS = 1000,
    REOPEN_CAP_MS = 30000,
    ORPHAN_BASE_MS = 30000,
    ORPHAN_CAP_MS = 600000,
    LINGER_MS = 500,
};

struct lane *lane_new(struct context *ctx, struct followups *letters, int64_t service_id,
                      settler_flushed *flushed, void *context)
{
    struct lane *lane = calloc(1, sizeof *lane);

    if (!lane)
        return NULL;
    lane->ctx = ctx;
    lane->letters = letters;
    pace_init(&lane->pace, 1);
    ratelimit_init(&lane->rate, 0, ctx->processes, timing_mono_us());
    retrybudget_init(&lane->budget, ctx->processes, timing_mono_us());
    lane->service_id = service_id;
    lane->meter = meter_service(ctx->meter, service_id);
    if (settler_init(&lane->settler, ctx->base, flushed, context) < 0) {
        free(lane);
        return NULL;
    }
    return lane;
}

void lane_free(struct lane *lane)
{
    assert(lane->state == LANE_OFF && lane->jobs == 0);
    settler_release(&lane->settler);
    catalog_unref(lane->catalog);
    free(lane);
}

void lane_count(struct lane *lane, int64_t rule_id, enum stat_count what)
{
    meter_add(&lane->meter->n[what], 1);
    stats_count(lane->ctx->stats, lane->service_id, rule_id, what);
}

void lane_latency(struct lane *lane, int64_t rule_id, int64_t us)
{
    meter_add(&lane->meter->n[STAT_BUCKET + statcells_bucket(us)], 1);
    meter_add(&lane->meter->n[STAT_LATENCY_SUM], us > 0 ? (uint64_t)us : 0);
    stats_latency(lane->ctx->stats, lane->service_id, rule_id, us);
}

void lane_meter(struct lane *lane)
{
    int64_t *gauge = lane->meter->gauge;
    bool consuming = lane->state == LANE_ON && lane->answered;

    meter_set(&gauge[METER_IN_FLIGHT], lane->active);
    meter_set(&gauge[METER_HELD], lane->jobs);
    meter_set(&gauge[METER_BREAKER], breakers_state(lane->ctx->breakers, lane->service_id));
    meter_set(&gauge[METER_WANTED], lane->wanted);
    meter_set(&gauge[METER_CONSUMING], consuming);
    meter_set(&gauge[METER_UNSERVED_S],
              lane->wanted && !consuming ? gauge[METER_UNSERVED_S] + 1 : 0);
}

static void enter(struct lane *lane, enum lane_state state, int64_t now_ms)
{
    lane->state = state;
    lane->since_ms = now_ms;
    lane->answered = false;
    lane->flushed_ms = 0;
}

/* A small multiple of the limit: the next request starts without a round trip to the broker. */
static unsigned prefetch_for(const struct lane *lane)
{
    assert(lane->service);
    uint64_t factor = (uint64_t)lane->ctx->settings->worker_prefetch_factor;
    uint64_t patience = (uint64_t)WINDOW_MAX_MS / (uint64_t)lane->service->timeout_ms;

    if (factor > patience)
        factor = patience > 1 ? patience : 1;
    if (lane->leave == BREAKER_LEAVE_ONE)
        return 1;
    uint64_t n = factor * lane->service->max_concurrency;
    uint64_t soon = (uint64_t)lane->service->rate_limit * SOON_S;

    if (soon > 0 && n > soon)
        n = soon; /* what must wait waits at the broker */
    return n < 1 ? 1 : n > PREFETCH_MAX ? PREFETCH_MAX : (unsigned)n;
}

/* A service that has just come back gets its backlog slowly. */
static void take_leave(struct lane *lane)
{
    enum breaker_leave leave = breakers_leave(lane->ctx->breakers, lane->service_id);

    if (leave == BREAKER_LEAVE_ALL && lane->leave != BREAKER_LEAVE_ALL)
        pace_restart(&lane->pace);
    lane->leave = leave;
}

unsigned lane_limit(const struct lane *lane)
{
    return lane->leave == BREAKER_LEAVE_ONE ? 1 : lane->pace.limit;
}

void lane_update(struct lane *lane, struct catalog *catalog, bool wanted)
{
    catalog_ref(catalog);
    catalog_unref(lane->catalog);
    lane->catalog = catalog;
    lane->service = catalog_service(catalog, lane->service_id);
    take_leave(lane);
    lane->wanted = wanted && lane->service && lane->leave != BREAKER_LEAVE_NONE;
    retrybudget_change(&lane->budget, lane->ctx->processes, timing_mono_us());
    if (lane->service) {
        pace_change(&lane->pace, lane->service->max_concurrency);
        ratelimit_change(&lane->rate, lane->service->rate_limit, lane->ctx->processes,
                         timing_mono_us());
    }
    if (lane->state == LANE_ON && lane->wanted && prefetch_for(lane) != lane->prefetch)
        lane->restart = true;
    delivery_pump(lane);
}

/*
 * A tag of its own for each turn: a quorum queue knows a consumer by channel and tag, and takes a
 * new one with an old tag for the old one. When that one's messages are not all settled yet, the
 * new one would seem to have missed them and be given them again.
 */
static void consumer_tag(const struct lane *lane, char ret_tag[NAME_SIZE])
{
    snprintf(ret_tag, NAME_SIZE, "%" PRId64 ".%u", lane->service_id, lane->turn);
}

static int consume(struct lane *lane, struct bus *bus, int64_t now_ms)
{
    char queue[NAME_SIZE];
    char tag[NAME_SIZE];
    int r;

    names_service_queue(&lane->ctx->names, lane->service_id, queue);
    lane->turn++;
    consumer_tag(lane, tag);
    lane->prefetch = prefetch_for(lane);
    lane->restart = false;
    r = bus_qos(bus, lane->channel, (uint16_t)lane->prefetch);
    if (r == 0)
        r = bus_consume(bus, lane->channel, queue, tag, false);
    if (r < 0)
        return r;
    enter(lane, LANE_ON, now_ms);
    settler_set_prefetch(&lane->settler, lane->prefetch);
    log_info("consuming", "service", lane->service->name, "queue", queue, "prefetch",
             log_number(lane->prefetch), "concurrency", log_number(lane_limit(lane)), NULL);
    return 0;
}

static int open_channel(struct lane *lane, struct bus *bus, uint16_t channel, int64_t now_ms)
{
    int r = bus_channel_open(bus, channel, false);

    if (r < 0)
        return r;
    lane->channel = channel;
    settler_attach(&lane->settler, bus, channel, 1);
    return consume(lane, bus, now_ms);
}

static void drop_all(struct job *job, bool give_back)
{
    while (job) {
        struct job *next = job->next;

        job->next = NULL;
        if (give_back)
            delivery_give_back(job);
        else
            delivery_abandon(job);
        job = next;
    }
}

/* What has not begun goes: back to its queue while there is a channel. Only the first one can
 * have begun; it stays when keep_begun. */
static void drop_waiting(struct lane *lane, bool keep_begun, bool give_back)
{
    struct job *first = lane->waiting_first;
    struct job *kept = keep_begun && first && first->parsed ? first : NULL;
    struct job *doubtful = lane->doubtful;

    lane->doubtful = NULL;
    lane->doubts = 0;
    drop_all(kept ? kept->next : first, give_back);
    drop_all(doubtful, give_back);
    drop_all(selection_take(lane), give_back);
    if (kept)
        kept->next = NULL;
    lane->waiting_first = lane->waiting_last = kept;
    lane->waiting = kept ? 1 : 0;
}

static int stop(struct lane *lane, struct bus *bus, int64_t now_ms)
{
    char tag[NAME_SIZE];

    consumer_tag(lane, tag);
    enter(lane, LANE_STOPPING, now_ms);
    return bus_cancel(bus, lane->channel, tag);
}

/* All that has begun is settled: the acks first, then the close, in this order on the wire. */
static int close_channel(struct lane *lane, struct bus *bus, int64_t now_ms)
{
    int r = settler_flush_all(&lane->settler);

    if (r < 0)
        return r;
    enter(lane, LANE_CLOSING, now_ms);
    return bus_channel_close(bus, lane->channel);
}

/*
 * The consumer has ended, and the channel is still there. It stays for a moment after the last
 * acks: while a quorum queue has 32 commands of a channel to carry out (and giving back is one for
 * each message), the broker's channel keeps further ones back, and forgets them when it is closed.
 * What had been delivered, or published for its retry, would come again.
 */
static int go_on_stopped(struct lane *lane, struct bus *bus, int64_t now_ms)
{
    if (lane->wanted)
        return now_ms >= lane->retry_at_ms ? consume(lane, bus, now_ms) : 0;
    drop_waiting(lane, true, true);
    if (lane->jobs > 0)
        return 0;
    if (lane->flushed_ms == 0) {
        lane->flushed_ms = now_ms;
        return settler_flush_all(&lane->settler);
    }
    return now_ms - lane->flushed_ms >= LINGER_MS ? close_channel(lane, bus, now_ms) : 0;
}

int lane_drive(struct lane *lane, struct bus *bus, uint16_t free_channel, int64_t now_ms)
{
    if (!bus)
        return 0;
    if (lane->state != LANE_OFF && !lane->answered)
        return now_ms - lane->since_ms > LANE_ANSWER_MS ? -ETIMEDOUT : 0;
    switch (lane->state) {
    case LANE_OFF:
        if (lane->wanted && free_channel && now_ms >= lane->retry_at_ms)
            return open_channel(lane, bus, free_channel, now_ms);
        break;
    case LANE_ON:
        if (!lane->wanted || lane->restart)
            return stop(lane, bus, now_ms);
        break;
    case LANE_STOPPING:
        return go_on_stopped(lane, bus, now_ms);
    case LANE_CLOSING:
        break;
    }
    return 0;
}

void lane_answered(struct lane *lane, enum lane_state state)
{
    if (lane->state == state)
        lane->answered = true;
}

void lane_channel_gone(struct lane *lane, const char *reason, int64_t now_ms)
{
    if (lane->state == LANE_OFF)
        return;
    drop_waiting(lane, false, false);
    settler_detach(&lane->settler);
    enter(lane, LANE_OFF, now_ms);
    lane->channel = 0;
    if (!reason) {
        lane->failures = 0;
        return;
    }
    lane->failures++;
    lane->ctx->queues_doubted = true;
    lane->retry_at_ms = now_ms + timing_backoff_ms(lane->failures, REOPEN_BASE_MS, REOPEN_CAP_MS,
                                                   timing_random(1000));
    /* The first time is ordinary: the queue of a new service may be about to be declared. */
    log_write(lane->failures > 1 ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
              "consumer stopped; it will be started again", "service_id",
              log_number(lane->service_id), "reason", reason, "retry_in_ms",
              log_number(lane->retry_at_ms - now_ms), NULL);
}

void lane_gave_up(struct lane *lane, int64_t now_ms)
{
    lane_channel_gone(lane, "the broker does not answer on its channel", now_ms);
    lane->retry_at_ms = now_ms + timing_backoff_ms(lane->failures, ORPHAN_BASE_MS, ORPHAN_CAP_MS,
                                                   timing_random(1000));
}

void lane_cancelled(struct lane *lane, int64_t now_ms)
{
    if (lane->state != LANE_ON)
        return;
    log_warning("the broker ended the consumer: its queue was deleted or has no leader",
                "service_id", log_number(lane->service_id), NULL);
    lane->ctx->queues_doubted = true;
    drop_waiting(lane, true, false);
    enter(lane, LANE_STOPPING, now_ms);
    lane->answered = true;
    lane->retry_at_ms = now_ms + REOPEN_BASE_MS;
}

/* Larger than this process keeps: nothing of it is here but its size. */
static int reject_unseen(struct lane *lane, const struct bus_message *m)
{
    if (log_every(&lane->reported_s, 1, timing_unix_s()))
        log_error("message larger than this worker can hold: left to the broker's dead-lettering",
                  "service_id", log_number(lane->service_id), "message_id", m->message_id, "bytes",
                  log_number((int64_t)m->body_len), NULL);
    lane->ctx->counters.dead++;
    lane_count(lane, 0, STAT_DEAD);
    settler_reject(&lane->settler, lane->settler.epoch, m->tag);
    return 0;
}

/* What is sent again has an old time, and a sender's clock may be wrong. */
static void note_time(struct lane *lane, const struct bus_message *m)
{
    if ((int64_t)m->timestamp > lane->taken_s && m->timestamp <= (uint64_t)timing_unix_s() &&
        strcmp(m->exchange, lane->ctx->names.redeliver) != 0)
        lane->taken_s = (int64_t)m->timestamp;
}

int lane_take(struct lane *lane, struct bus *bus, const struct bus_message *m)
{
    struct job *job;
    int r;

    if (lane->state == LANE_OFF || lane->state == LANE_CLOSING)
        return 0; /* it goes back to its queue with the channel */
    lane->failures = 0;
    r = settler_took(&lane->settler, m->tag);
    if (r < 0)
        return r;
    if (!lane->wanted && bus_header_number(m->headers, RETURNS_HEADER, 0) < DELIVERY_MAX_RETURNS) {
        settler_give_back(&lane->settler, lane->settler.epoch, m->tag);
        return 0;
    }
    lane->ctx->counters.received++;
    if (m->body_too_large)
        return reject_unseen(lane, m);
    job = job_take(bus, m, lane->ctx->names.redeliver);
    if (!job)
        return -ENOMEM;
    job->lane = lane;
    job->epoch = lane->settler.epoch;
    job->arrived_ms = timing_mono_ms();
    lane->jobs++;
    note_time(lane, m);
    delivery_accept(job);
    return 0;
}
