/*
 * The replayer's two connections to the broker, used by its one thread: `in` consumes dead letters
 * and hints and acks, `out` publishes with confirms. A broker under alarm stops reading from `out`
 * alone.
 *
 * One queue at a time is consumed, exclusively: two that turn the same queue would mix its order.
 * Hooks run inside deadlink_wait() and deadlink_close_queue() only.
 */
#ifndef MIH_WORKER_DEADLINK_H
#define MIH_WORKER_DEADLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bus.h"
#include "worker/ackwindow.h"
#include "worker/names.h"

/* At most so many letters are unacknowledged, and publications unconfirmed. */
enum { DEADLINK_WINDOW = 256 };

enum { DEADLINK_PUBLISH = 1, DEADLINK_ASK = 2, DEADLINK_CONTROL = 1, DEADLINK_LETTERS = 2 };

struct deadlink_hooks {
    void *context;
    void (*on_letter)(void *context, const struct bus_message *m);
    void (*on_confirm)(void *context, uint64_t number, bool safe); /* acked and not returned */
};

struct deadlink {
    struct bus *in;  /* NULL while closed */
    struct bus *out; /* channels DEADLINK_PUBLISH and DEADLINK_ASK */
    struct deadlink_hooks hooks;
    bool blocked; /* the broker takes no publications now */
    bool hinted;  /* a hint came: the caller resets it */
    bool held;    /* deadlink_hold() */

    bool consuming, cancelled, closed; /* of the queue's channel */
    unsigned turn;                     /* each consumer gets a tag of its own */
    char queue[NAME_SIZE];
    size_t prefetch, open;   /* letters that are not settled */
    int64_t came_ms;         /* the last one */
    struct ackwindow window; /* deliveries of the queue */
    int window_error;
    int publish_error;                  /* its channel was closed */
    uint64_t returned[DEADLINK_WINDOW]; /* publications that came back, whose confirm follows */
    size_t n_returned;
    char reason[512]; /* of the last failure */
};

/* Blocks. Connects both and listens to the hints. 0 or a negative errno with the reason. */
int deadlink_open(struct deadlink *d, const struct bus_options *options, const struct names *names)
    __attribute__((warn_unused_result));
void deadlink_close(struct deadlink *d);

/* Begins to consume. 0 or a negative errno. */
int deadlink_open_queue(struct deadlink *d, const char *queue, uint16_t prefetch,
                        const struct deadlink_hooks *hooks) __attribute__((warn_unused_result));

/* Ends it and waits until the broker has taken the acks; what is not acked goes back to the head of
 * the queue. The hooks are gone afterwards. 0 or a negative errno. */
int deadlink_close_queue(struct deadlink *d) __attribute__((warn_unused_result));

/* The letter is safe elsewhere, or to be gone. It is acknowledged before deadlink_wait() waits,
 * with all others in one frame: of a quorum queue RabbitMQ 3.10 holds back acks that come in more
 * than 32 frames at a time, and forgets them when the channel ends. */
void deadlink_settle(struct deadlink *d, uint64_t tag);

/* Waits for frames or for wake_fd (-1: none) to be readable, at most timeout_ms, and handles what
 * came. 0 or a negative errno: close it. -ENOENT: the queue cannot be consumed. */
int deadlink_wait(struct deadlink *d, int timeout_ms, int wake_fd)
    __attribute__((warn_unused_result));

/* While it holds no letter is taken: they wait at the broker and in the sockets. */
void deadlink_hold(struct deadlink *d, bool hold);

/* Blocks. Ready messages of a queue. 0, BUS_REFUSED (no such queue) or a negative errno. */
int deadlink_depth(struct deadlink *d, const char *queue, uint32_t *ret_messages)
    __attribute__((warn_unused_result));

/* Remembers the reason of a bus that failed, and returns result. */
int deadlink_failed(struct deadlink *d, const struct bus *bus, int result);

#endif
