/*
 * The only file that acknowledges or rejects deliveries.
 *
 * A delivery is acknowledged only after its outcome is safe: delivered, skipped because no rule
 * wants it, or its dead letter confirmed by the broker. Acks are gathered: a flush follows when
 * a quarter of the prefetch window was settled, and 5 ms after the first settled one otherwise.
 * What lies behind a slow delivery is acknowledged when half of the window lies there, so that the
 * window never runs dry, and otherwise once the slow one has held it for 100 ms.
 *
 * Tags belong to one life of a channel. Each life has an epoch; a delivery that is settled after
 * its channel died is stale: the broker has given it to somebody again, and nothing is sent.
 */
#ifndef MIH_WORKER_SETTLE_H
#define MIH_WORKER_SETTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bus.h"
#include "worker/ackwindow.h"

struct event;
struct event_base;

/* After each flush, in the loop; result is negative when the connection is lost. */
typedef void settler_flushed(void *context, int result);

struct settler {
    struct bus *bus; /* borrowed; NULL while there is no channel */
    uint16_t channel;
    unsigned epoch;
    size_t batch;     /* flush at once when so many were settled since the last flush */
    size_t fresh;     /* settled since the last flush */
    uint64_t front;   /* the first open delivery, as the last flush left it */
    int64_t front_ms; /* since when it is the first */
    struct ackwindow window;
    struct event *timer;
    bool scheduled;
    settler_flushed *flushed;
    void *context;
};

int settler_init(struct settler *s, struct event_base *base, settler_flushed *flushed,
                 void *context) __attribute__((warn_unused_result));
void settler_release(struct settler *s);

/* A channel was opened. */
void settler_attach(struct settler *s, struct bus *bus, uint16_t channel, unsigned prefetch);

/* The consumer on the channel was started again with another prefetch. */
void settler_set_prefetch(struct settler *s, unsigned prefetch);

/* The channel is gone: what is open is stale from now on. */
void settler_detach(struct settler *s);

/* A delivery arrived. 0, or negative: the channel must be closed. */
int settler_took(struct settler *s, uint64_t tag) __attribute__((warn_unused_result));

bool settler_is_stale(const struct settler *s, unsigned epoch);

/* The outcome is safe: acknowledge. Stale ones are ignored. */
void settler_done(struct settler *s, unsigned epoch, uint64_t tag);

/* It has not begun and this process takes no work: back to its queue. */
void settler_give_back(struct settler *s, unsigned epoch, uint64_t tag);

/* Publishing is blocked: let the broker dead-letter it, at least once. Never requeues. */
void settler_reject(struct settler *s, unsigned epoch, uint64_t tag);

/* Sends all acks that may be sent, whatever they cost, now. */
int settler_flush_all(struct settler *s) __attribute__((warn_unused_result));

/* Acknowledges what is settled of a window that its caller keeps (the replayer's dead letters, that
 * are safe elsewhere, discarded or dropped): the run at the front, or all. */
int settle_window(struct bus *bus, uint16_t channel, struct ackwindow *window, bool all)
    __attribute__((warn_unused_result));

/* Acknowledges one message of a channel that needs no window (hints). */
int settle_hint(struct bus *bus, const struct bus_message *hint)
    __attribute__((warn_unused_result));

#endif
