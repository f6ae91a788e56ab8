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

enum { PREFETCH_MAX = 2000, REOPEN_BASE_MS = 1000, REOPEN_CAP_MS = 30000 };

struct lane *lane_new(struct context *ctx, struct deadletters *letters, int64_t service_id,
                      settler_flushed *flushed, void *context)
{
    struct lane *lane = calloc(1, sizeof *lane);

    if (!lane)
        return NULL;
    lane->ctx = ctx;
    lane->letters = letters;
    lane->service_id = service_id;
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

/* A small multiple of the limit: the next request starts without a round trip to the broker. */
static unsigned prefetch_for(const struct lane *lane)
{
    uint64_t n = (uint64_t)lane->ctx->settings->worker_prefetch_factor * lane->limit;

    return n < 1 ? 1 : n > PREFETCH_MAX ? PREFETCH_MAX : (unsigned)n;
}

void lane_update(struct lane *lane, struct catalog *catalog, bool wanted)
{
    catalog_ref(catalog);
    catalog_unref(lane->catalog);
    lane->catalog = catalog;
    lane->service = catalog_service(catalog, lane->service_id);
    lane->wanted = wanted && lane->service;
    if (lane->service)
        lane->limit = lane->service->max_concurrency;
    if (lane->state == LANE_ON && lane->wanted && prefetch_for(lane) != lane->prefetch)
        lane->restart = true;
    delivery_pump(lane);
}

static int lane_open(struct lane *lane, struct bus *bus, uint16_t channel)
{
    char queue[NAME_SIZE];
    char tag[NAME_SIZE];
    int r;

    names_service_queue(&lane->ctx->names, lane->service_id, queue);
    names_service_key(lane->service_id, tag);
    lane->prefetch = prefetch_for(lane);
    lane->restart = false;
    r = bus_channel_open(bus, channel, false);
    if (r == 0)
        r = bus_qos(bus, channel, (uint16_t)lane->prefetch);
    if (r == 0)
        r = bus_consume(bus, channel, queue, tag, false);
    if (r < 0)
        return r;
    lane->channel = channel;
    lane->state = LANE_ON;
    settler_attach(&lane->settler, bus, channel, lane->prefetch);
    log_info("consuming", "service", lane->service->name, "queue", queue, "prefetch",
             log_number(lane->prefetch), "concurrency", log_number(lane->limit), NULL);
    return 0;
}

static void abandon_all(struct job *job)
{
    while (job) {
        struct job *next = job->next;

        job->next = NULL;
        delivery_abandon(job);
        job = next;
    }
}

/* Messages that have not begun go back to their queue when the channel closes. Only the first
 * one can have begun; it stays when keep_begun. */
static void drop_waiting(struct lane *lane, bool keep_begun)
{
    struct job *first = lane->waiting_first;
    struct job *kept = keep_begun && first && first->parsed ? first : NULL;

    abandon_all(kept ? kept->next : first);
    abandon_all(lane->doubtful);
    lane->doubtful = NULL;
    if (kept)
        kept->next = NULL;
    lane->waiting_first = lane->waiting_last = kept;
    lane->waiting = kept ? 1 : 0;
}

static int lane_stop(struct lane *lane, struct bus *bus)
{
    char tag[NAME_SIZE];

    names_service_key(lane->service_id, tag);
    drop_waiting(lane, true);
    lane->state = LANE_STOPPING;
    return bus_cancel(bus, lane->channel, tag);
}

/* All that has begun is settled: the acks first, then the close, in this order on the wire. */
static int lane_close(struct lane *lane, struct bus *bus)
{
    int r = settler_flush(&lane->settler);

    if (r == 0)
        r = settler_flush(&lane->settler); /* the second one tells what lies behind a gap */
    if (r < 0)
        return r;
    lane->state = LANE_CLOSING;
    return bus_channel_close(bus, lane->channel);
}

int lane_drive(struct lane *lane, struct bus *bus, uint16_t free_channel, int64_t now_ms)
{
    if (!bus)
        return 0;
    switch (lane->state) {
    case LANE_OFF:
        if (lane->wanted && free_channel && now_ms >= lane->retry_at_ms)
            return lane_open(lane, bus, free_channel);
        return 0;
    case LANE_ON:
        return lane->wanted && !lane->restart ? 0 : lane_stop(lane, bus);
    case LANE_STOPPING:
        return lane->jobs == 0 ? lane_close(lane, bus) : 0;
    case LANE_CLOSING:
        return 0;
    }
    return 0;
}

void lane_channel_gone(struct lane *lane, const char *reason, int64_t now_ms)
{
    if (lane->state == LANE_OFF)
        return;
    drop_waiting(lane, false);
    settler_detach(&lane->settler);
    lane->state = LANE_OFF;
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

void lane_cancelled(struct lane *lane, int64_t now_ms)
{
    if (lane->state != LANE_ON)
        return;
    log_warning("the broker ended the consumer: its queue was deleted or has no leader",
                "service_id", log_number(lane->service_id), NULL);
    lane->ctx->queues_doubted = true;
    drop_waiting(lane, true);
    lane->state = LANE_STOPPING;
    lane->retry_at_ms = now_ms + REOPEN_BASE_MS;
}

int lane_take(struct lane *lane, struct bus *bus, const struct bus_message *m)
{
    struct job *job;
    int r;

    if (lane->state != LANE_ON)
        return 0; /* it goes back to its queue when the channel closes */
    lane->failures = 0;
    r = settler_took(&lane->settler, m->tag);
    if (r < 0)
        return r;
    lane->ctx->counters.received++;
    if (m->body_too_large) {
        log_error("message larger than this worker can hold: left to the broker's dead-lettering",
                  "service_id", log_number(lane->service_id), "message_id", m->message_id, "bytes",
                  log_number((int64_t)m->body_len), NULL);
        lane->ctx->counters.dead++;
        settler_reject(&lane->settler, lane->settler.epoch, m->tag);
        return 0;
    }
    job = job_take(bus, m);
    if (!job)
        return -ENOMEM;
    job->lane = lane;
    job->epoch = lane->settler.epoch;
    job->arrived_ms = timing_mono_ms();
    lane->jobs++;
    delivery_queue(lane, job);
    delivery_pump(lane);
    return 0;
}
