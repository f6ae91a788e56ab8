/*
 * The lane of one service in one process: its consumer, its window of deliveries, its limit of
 * requests at once. A slow or dead service fills its own lane and no other (bulkhead).
 *
 * States: OFF (no channel), ON (consuming), STOPPING (consumer cancelled), CLOSING (channel close
 * sent). lane_drive() moves the lane towards what is wanted; it is called at every change and
 * every tick, and is cheap. A lane that stops because the service is not wanted gives back what
 * has not begun and finishes the rest; one that only needs another prefetch goes on working and
 * consumes again on the same channel.
 *
 * Each step waits for the broker's answer to the one before: RabbitMQ 3.10 never answers a channel
 * that is cancelled and closed before it has said consume-ok. When an answer does not come
 * within LANE_ANSWER_MS, the queue has no leader or the broker is ill: the lane gives its channel
 * up (intake.c keeps an eye on it) and tries another one, after a while that grows.
 */
#ifndef MIH_WORKER_LANE_H
#define MIH_WORKER_LANE_H

#include <stdbool.h>
#include <stdint.h>

#include "dispatcher/catalog.h"
#include "dispatcher/pace.h"
#include "dispatcher/ratelimit.h"
#include "dispatcher/retrybudget.h"
#include "worker/breakers.h"
#include "worker/context.h"
#include "worker/followup.h"
#include "worker/job.h"
#include "worker/meter.h"
#include "worker/settle.h"

enum lane_state { LANE_OFF, LANE_ON, LANE_STOPPING, LANE_CLOSING };

enum { LANE_ANSWER_MS = 10000 };

struct lane {
    struct context *ctx;
    struct followups *letters;
    int64_t service_id;
    struct meter_service *meter;   /* its place in the metrics */
    struct catalog *catalog;       /* a reference: the snapshot that jobs start with */
    const struct service *service; /* in catalog; NULL when the service is gone */
    enum lane_state state;
    int64_t since_ms;   /* of the state */
    bool answered;      /* the broker has answered the step that led to the state */
    int64_t flushed_ms; /* STOPPING: when all had ended and its acks were sent; 0 before */
    bool wanted;
    bool restart;     /* the prefetch changed, or memory ran out: consume anew */
    uint16_t channel; /* 0 when OFF */
    unsigned turn;    /* how often it has begun to consume: part of the consumer's tag */
    unsigned prefetch;
    enum breaker_leave leave;
    struct pace pace; /* how many requests at once */
    struct ratelimit rate;
    struct retrybudget budget;
    int64_t retry_at_ms; /* do not consume before */
    unsigned failures;   /* in a row, for the back-off */
    struct settler settler;
    struct job *waiting_first, *waiting_last;
    struct job *doubtful; /* no rule wants them, but the rules may be newer than we know */
    unsigned doubts;      /* how many they are */
    struct job *parked;   /* they wait for a look-up in Moodle's tables (selection.h) */
    unsigned parked_jobs; /* how many they are */
    unsigned waiting;     /* messages that have not begun */
    unsigned active;      /* attempts on their way to the service */
    unsigned jobs;        /* all messages held: waiting, active, or being dead-lettered */
    int64_t taken_s;      /* when the newest of the events taken was sent; 0: none */
    int64_t reported_s;   /* when a failure was logged last */
    int64_t unreported;   /* failures since then */
};

struct lane *lane_new(struct context *ctx, struct followups *letters, int64_t service_id,
                      settler_flushed *flushed, void *context);

/* Only when OFF and without jobs. */
void lane_free(struct lane *lane);

/* A new snapshot, or the breaker's leave has changed. wanted: the service is enabled and the
 * process takes work. */
void lane_update(struct lane *lane, struct catalog *catalog, bool wanted);

/* What became of a delivery, or of a message, and how long a request took: for the tables and for
 * the metrics. rule_id 0: of no rule. */
void lane_count(struct lane *lane, int64_t rule_id, enum stat_count what);
void lane_latency(struct lane *lane, int64_t rule_id, int64_t us);

/* Shows how it is, once a second. */
void lane_meter(struct lane *lane);

/* How many requests may be under way at once. */
unsigned lane_limit(const struct lane *lane);

/* Moves towards what is wanted. bus is NULL without connection. free_channel is used when a
 * channel is opened. 0; -ETIMEDOUT: an answer has not come; or negative: the connection is lost. */
int lane_drive(struct lane *lane, struct bus *bus, uint16_t free_channel, int64_t now_ms)
    __attribute__((warn_unused_result));

/* The broker answered: it consumes, or it has stopped to. */
void lane_answered(struct lane *lane, enum lane_state state);

/* The channel is gone (as asked, by an error, or with the connection). reason is NULL when it was
 * asked for. */
void lane_channel_gone(struct lane *lane, const char *reason, int64_t now_ms);

/* No answer came on the channel, which the lane leaves to the caller. */
void lane_gave_up(struct lane *lane, int64_t now_ms);

/* The broker cancelled the consumer: its queue is gone or has no leader. */
void lane_cancelled(struct lane *lane, int64_t now_ms);

/* A delivery for this lane. 0, or negative: close the connection. */
int lane_take(struct lane *lane, struct bus *bus, const struct bus_message *m)
    __attribute__((warn_unused_result));

#endif
