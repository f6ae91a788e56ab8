#include "worker/intake.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/timing.h"
#include "worker/breakers.h"
#include "worker/connector.h"
#include "worker/delivery.h"
#include "worker/hint.h"
#include "worker/lane.h"
#include "worker/selection.h"

enum {
    MAX_CHANNEL = 2047,
    MAX_ORPHANS = 16,
    ORPHAN_WAIT_MS = 30 * 60 * 1000, /* for the answer, before its lane tries another channel */
    TICK_MS = 100,
    RECONNECT_BASE_MS = 500,
    RECONNECT_CAP_MS = 15000,
};

struct intake {
    struct context *ctx;
    struct followups *letters;
    struct intake_hooks hooks;
    struct connector *connector;
    struct bus *bus; /* NULL while not connected */
    struct event *readable;
    struct event *tick;
    bool connecting;
    bool quiet;
    bool broken;       /* the connection is to be closed at the next opportunity */
    bool late;         /* ... because too many answers did not come */
    unsigned failures; /* connection attempts that failed in a row */
    unsigned next_url;
    int64_t connect_at_ms;
    int64_t bus_tick_at_ms;
    int64_t warned_s;
    struct catalog *catalog;
    struct lane **lanes;
    size_t n_lanes, cap_lanes;
    size_t turn; /* the lane that sends while the process is careful */
    struct lane *by_channel[MAX_CHANNEL + 1];
    /* Services whose lanes gave these channels up, for the broker did not answer; 0: none. A
     * channel whose queue has no leader does not even answer its close, so it is closed when it
     * answers the step that it owes. */
    int64_t orphan_of[MAX_CHANNEL + 1];
    int64_t orphan_since_ms[MAX_CHANNEL + 1];
    unsigned orphans;
};

static struct lane *find_lane(const struct intake *in, int64_t service_id)
{
    for (size_t i = 0; i < in->n_lanes; i++)
        if (in->lanes[i]->service_id == service_id)
            return in->lanes[i];
    return NULL;
}

static const char farewell[] = "shutting down";

static void kick(struct intake *in)
{
    if (in->bus && bus_pending(in->bus))
        event_active(in->readable, EV_READ, 0);
}

static void close_connection(struct intake *in, const char *reason)
{
    int64_t now = timing_mono_ms();

    log_write(reason == farewell ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING,
              reason == farewell ? "consuming connection closed" : "consuming connection lost",
              "reason", reason, NULL);
    for (size_t i = 0; i < in->n_lanes; i++) {
        lane_channel_gone(in->lanes[i], NULL, now);
        in->lanes[i]->retry_at_ms = now;
    }
    for (size_t i = 0; i <= MAX_CHANNEL; i++) {
        in->by_channel[i] = NULL;
        in->orphan_of[i] = 0;
    }
    in->orphans = 0;
    if (in->readable)
        event_free(in->readable);
    in->readable = NULL;
    bus_free(in->bus);
    in->bus = NULL;
    in->broken = in->late = false;
    in->failures++;
    in->connect_at_ms = now + timing_backoff_ms(in->failures, RECONNECT_BASE_MS, RECONNECT_CAP_MS,
                                                timing_random(1000));
}

/* Acks may have been sent from deep inside of the bus or a lane: close later, from the loop. */
static void on_flushed(void *context, int result)
{
    struct intake *in = context;

    if (result < 0)
        in->broken = true;
    kick(in);
}

/* 0: the broker allows no more channels. */
static uint16_t free_channel(struct intake *in)
{
    uint16_t max = in->bus ? bus_channel_max(in->bus) : 0;

    for (unsigned channel = CONTROL_CHANNEL + 1; channel <= MAX_CHANNEL && channel <= max;
         channel++)
        if (!in->by_channel[channel] && !in->orphan_of[channel])
            return (uint16_t)channel;
    if (in->bus && log_every(&in->warned_s, 60, timing_unix_s()))
        log_error("more services than the broker allows channels: some are not consumed",
                  "channel_max", log_number(max), NULL);
    return 0;
}

/* The other lanes go on; with too many such channels it is the connection that is useless. */
static void orphan(struct intake *in, struct lane *lane, int64_t now)
{
    uint16_t channel = lane->channel;

    if (in->orphans == MAX_ORPHANS) {
        in->broken = in->late = true;
        return;
    }
    in->by_channel[channel] = NULL;
    in->orphan_of[channel] = lane->service_id;
    in->orphan_since_ms[channel] = now;
    in->orphans++;
    lane_gave_up(lane, now);
}

/* An orphan has answered: the queue is at work again. */
static void close_orphan(struct intake *in, uint16_t channel)
{
    struct lane *lane = find_lane(in, in->orphan_of[channel]);

    if (lane)
        lane->retry_at_ms = timing_mono_ms();
    if (bus_channel_close(in->bus, channel) < 0)
        in->broken = true;
}

/* The broker owes the lane an answer on a channel that it gave up: asking on another one would only
 * add to them. */
static bool is_owed(const struct intake *in, const struct lane *lane, int64_t now)
{
    for (size_t i = 0; in->orphans > 0 && i <= MAX_CHANNEL; i++)
        if (in->orphan_of[i] == lane->service_id && now - in->orphan_since_ms[i] < ORPHAN_WAIT_MS)
            return true;
    return false;
}

static void drive_lane(struct intake *in, struct lane *lane, int64_t now)
{
    bool off = lane->state == LANE_OFF;

    if (off && is_owed(in, lane, now))
        return;
    uint16_t channel = off && lane->wanted ? free_channel(in) : 0;

    int r = lane_drive(lane, in->bus, channel, now);

    if (r == -ETIMEDOUT) {
        orphan(in, lane, now);
    } else if (r < 0) {
        in->broken = true;
    } else if (off && lane->state == LANE_ON) {
        in->by_channel[channel] = lane;
    }
}

static const char *why_broken(const struct intake *in)
{
    return in->late ? "the broker does not answer on too many channels" : bus_reason(in->bus);
}

static void drop_gone_lanes(struct intake *in)
{
    size_t kept = 0;

    for (size_t i = 0; i < in->n_lanes; i++) {
        struct lane *lane = in->lanes[i];

        if (!lane->service && lane->state == LANE_OFF && lane->jobs == 0)
            lane_free(lane);
        else
            in->lanes[kept++] = lane;
    }
    in->n_lanes = kept;
}

static void drive(struct intake *in)
{
    int64_t now = timing_mono_ms();

    if (in->bus && in->broken)
        close_connection(in, why_broken(in));
    for (size_t i = 0; i < in->n_lanes && !in->broken; i++)
        drive_lane(in, in->lanes[i], now);
    if (in->bus && in->broken)
        close_connection(in, why_broken(in));
    drop_gone_lanes(in);
}

static void on_delivery(void *context, const struct bus_message *m)
{
    struct intake *in = context;
    struct lane *lane = in->by_channel[m->channel];
    int r = 0;

    if (m->channel == CONTROL_CHANNEL) {
        r = settle_hint(in->bus, m);
        in->ctx->queues_doubted |= strcmp(m->type, HINT_TOPOLOGY) == 0;
        in->hooks.on_hint(in->hooks.context);
    } else if (lane) {
        r = lane_take(lane, in->bus, m);
    }
    if (r < 0)
        in->broken = true;
}

static void on_cancelled(void *context, uint16_t channel, const char *consumer_tag)
{
    struct intake *in = context;
    struct lane *lane = in->by_channel[channel];

    (void)consumer_tag;
    if (lane)
        lane_cancelled(lane, timing_mono_ms());
}

static void on_consuming(void *context, uint16_t channel)
{
    struct intake *in = context;

    if (in->by_channel[channel])
        lane_answered(in->by_channel[channel], LANE_ON);
    else if (in->orphan_of[channel])
        close_orphan(in, channel);
}

static void on_consumer_ended(void *context, uint16_t channel)
{
    struct intake *in = context;

    if (in->by_channel[channel])
        lane_answered(in->by_channel[channel], LANE_STOPPING);
    else if (in->orphan_of[channel])
        close_orphan(in, channel);
}

static void on_channel_closed(void *context, uint16_t channel, int code, const char *text)
{
    struct intake *in = context;
    struct lane *lane = in->by_channel[channel];

    if (channel == CONTROL_CHANNEL) {
        log_warning("the broker closed the channel of hints; changes are found by polling",
                    "reason", text, NULL);
        return;
    }
    if (in->orphan_of[channel]) {
        in->orphan_of[channel] = 0;
        in->orphans--;
    }
    if (!lane)
        return;
    in->by_channel[channel] = NULL;
    lane_channel_gone(lane, code ? text : NULL, timing_mono_ms());
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
    struct intake *in = context;

    (void)fd;
    (void)what;
    if (bus_drain(in->bus) < 0)
        in->broken = true;
    if (in->broken)
        drive(in);
    kick(in);
}

static int watch(struct intake *in)
{
    in->readable = event_new(in->ctx->base, bus_fd(in->bus), EV_READ | EV_PERSIST, on_readable, in);
    if (!in->readable || event_add(in->readable, NULL) < 0)
        return -ENOMEM;
    return 0;
}

static void connect_later(struct intake *in, const char *reason)
{
    in->failures++;
    in->next_url++;
    in->connect_at_ms = timing_mono_ms() + timing_backoff_ms(in->failures, RECONNECT_BASE_MS,
                                                             RECONNECT_CAP_MS, timing_random(1000));
    log_warning("no consuming connection to the broker", "reason", reason, "retry_in_ms",
                log_number(in->connect_at_ms - timing_mono_ms()), NULL);
}

static void on_connected(void *context, struct bus *bus, const char *reason)
{
    struct intake *in = context;

    in->connecting = false;
    if (!bus) {
        connect_later(in, reason);
        return;
    }
    in->bus = bus;
    if (watch(in) < 0) {
        close_connection(in, "out of memory");
        return;
    }
    intake_limits_changed(in);
    bus_set_handlers(bus, &(struct bus_handlers){
                              .context = in,
                              .on_delivery = on_delivery,
                              .on_consuming = on_consuming,
                              .on_consumer_ended = on_consumer_ended,
                              .on_cancelled = on_cancelled,
                              .on_channel_closed = on_channel_closed,
                          });
    in->failures = 0;
    meter_add(&in->ctx->meter->n[METER_CONSUMER_CONNECTS], 1);
    in->bus_tick_at_ms = timing_mono_ms() + 1000;
    log_info("consuming connection open", "broker", bus_peer(bus), NULL);
    drive(in);
    kick(in);
}

/* Larger events than allowed are still taken, within reason, so that their dead letter can say
 * why. */
void intake_limits_changed(struct intake *in)
{
    if (in->bus)
        bus_set_max_body(in->bus, in->ctx->limits.max_bytes * 2 + 65536);
}

static void connect_if_due(struct intake *in, int64_t now)
{
    int r;

    if (in->bus || in->connecting || now < in->connect_at_ms)
        return;
    r = connector_start(in->connector, in->next_url);
    if (r == 0)
        in->connecting = true;
    else
        connect_later(in, "the connecting thread could not be started");
}

/* Gives the turn to the next lane that has work, when the one that has it could make use of it:
 * while another one's request is under way it cannot. */
static void pass_turn(struct intake *in)
{
    if (!in->ctx->careful_served)
        return;
    in->ctx->careful_served = false;
    for (size_t i = 0; i < in->n_lanes; i++) {
        in->turn = (in->turn + 1) % in->n_lanes;
        if (in->lanes[in->turn]->waiting > 0)
            break;
    }
    if (in->n_lanes > 0)
        in->ctx->careful_service = in->lanes[in->turn]->service_id;
}

static void on_tick(evutil_socket_t fd, short what, void *context)
{
    struct intake *in = context;
    int64_t now = timing_mono_ms();

    (void)fd;
    (void)what;
    connect_if_due(in, now);
    if (in->bus && !in->quiet)
        breakers_tick(in->ctx->breakers, in->catalog);
    else
        breakers_release(in->ctx->breakers);
    if (in->ctx->rules_doubted)
        in->hooks.on_hint(in->hooks.context);
    if (suspects_careful(&in->ctx->suspects))
        pass_turn(in);
    in->ctx->rules_doubted = false; /* should that look fail, the next poll follows soon */
    for (size_t i = 0; i < in->n_lanes; i++) {
        if (in->lanes[i]->doubts > 0)
            delivery_end_doubts(in->lanes[i], now);
        selection_tick(in->lanes[i], now);
        delivery_pump(in->lanes[i]); /* a rate limit lets more through with time */
    }
    if (in->ctx->counters.inflight == 0)
        in->ctx->careful_served = true; /* nothing keeps it, but its own limits */
    if (in->bus && now >= in->bus_tick_at_ms) {
        in->bus_tick_at_ms = now + 1000;
        if (bus_tick(in->bus) < 0)
            in->broken = true;
    }
    drive(in);
    kick(in);
}

int intake_new(struct context *ctx, const struct bus_options *options, struct followups *letters,
               const struct intake_hooks *hooks, struct intake **ret_intake)
{
    static const struct timeval interval = {.tv_usec = TICK_MS * 1000L};
    struct intake *in = calloc(1, sizeof *in);
    int r;

    if (!in)
        return -ENOMEM;
    in->ctx = ctx;
    in->letters = letters;
    in->hooks = *hooks;
    in->next_url = timing_random(1000);
    in->tick = event_new(ctx->base, -1, EV_PERSIST, on_tick, in);
    r = in->tick && event_add(in->tick, &interval) == 0 ? 0 : -ENOMEM;
    if (r == 0)
        r = connector_new(ctx->base, options, ctx->names.control, on_connected, in, &in->connector);
    if (r < 0) {
        intake_free(in);
        return r;
    }
    *ret_intake = in;
    return 0;
}

static int add_lane(struct intake *in, int64_t service_id)
{
    struct lane *lane;

    if (in->n_lanes == in->cap_lanes) {
        size_t cap = in->cap_lanes ? in->cap_lanes * 2 : 16;
        struct lane **lanes = realloc(in->lanes, cap * sizeof(struct lane *));

        if (!lanes)
            return -ENOMEM;
        in->lanes = lanes;
        in->cap_lanes = cap;
    }
    lane = lane_new(in->ctx, in->letters, service_id, on_flushed, in);
    if (!lane)
        return -ENOMEM;
    in->lanes[in->n_lanes++] = lane;
    return 0;
}

static void update_lanes(struct intake *in)
{
    if (!in->catalog)
        return;
    for (size_t i = 0; i < in->n_lanes; i++) {
        const struct service *s = catalog_service(in->catalog, in->lanes[i]->service_id);

        lane_update(in->lanes[i], in->catalog, s && s->enabled && !s->paused && !in->quiet);
    }
    drive(in);
}

int intake_update(struct intake *in, struct catalog *catalog)
{
    catalog_ref(catalog);
    catalog_unref(in->catalog);
    in->catalog = catalog;
    for (size_t i = 0; i < catalog_service_count(catalog); i++) {
        const struct service *s = catalog_service_at(catalog, i);

        if (s->enabled && !find_lane(in, s->id)) {
            int r = add_lane(in, s->id);

            if (r < 0)
                return r;
        }
    }
    update_lanes(in);
    return 0;
}

void intake_rules_checked(struct intake *in)
{
    for (size_t i = 0; i < in->n_lanes; i++)
        delivery_recheck(in->lanes[i]);
}

void intake_looked_up(struct intake *in)
{
    for (size_t i = 0; i < in->n_lanes; i++)
        selection_recheck(in->lanes[i]);
}

void intake_refresh(struct intake *in)
{
    update_lanes(in);
}

void intake_set_quiet(struct intake *in, bool quiet)
{
    in->quiet = quiet;
    update_lanes(in);
}

void intake_meter(const struct intake *in)
{
    for (size_t i = 0; i < in->n_lanes; i++)
        lane_meter(in->lanes[i]);
}

int64_t intake_taken(const struct intake *in, int64_t service_id)
{
    const struct lane *lane = find_lane(in, service_id);

    return lane ? lane->taken_s : 0;
}

bool intake_connected(const struct intake *in)
{
    return in->bus;
}

bool intake_is_idle(const struct intake *in)
{
    for (size_t i = 0; i < in->n_lanes; i++)
        if (in->lanes[i]->state != LANE_OFF || in->lanes[i]->jobs > 0)
            return false;
    return true;
}

void intake_lanes(const struct intake *in, size_t *ret_on, size_t *ret_wanted)
{
    *ret_on = *ret_wanted = 0;
    for (size_t i = 0; i < in->n_lanes; i++) {
        *ret_on += in->lanes[i]->state == LANE_ON;
        *ret_wanted += in->lanes[i]->wanted;
    }
}

size_t intake_held(const struct intake *in)
{
    size_t held = 0;

    for (size_t i = 0; i < in->n_lanes; i++)
        held += in->lanes[i]->jobs;
    return held;
}

size_t intake_doubts(const struct intake *in)
{
    size_t doubts = 0;

    for (size_t i = 0; i < in->n_lanes; i++)
        doubts += in->lanes[i]->doubts;
    return doubts;
}

void intake_free(struct intake *in)
{
    if (!in)
        return;
    connector_free(in->connector);
    if (in->bus)
        close_connection(in, farewell);
    if (in->tick)
        event_free(in->tick);
    for (size_t i = 0; i < in->n_lanes; i++)
        if (in->lanes[i]->jobs == 0)
            lane_free(in->lanes[i]);
    catalog_unref(in->catalog);
    free(in->lanes);
    free(in);
}
