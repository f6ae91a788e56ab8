/*
 * Which deliveries of one channel are settled, and how to tell the broker with few frames.
 *
 * The deliveries of a channel have tags that count up by one; they are settled in any order.
 * The window keeps a state for each tag from the first unsettled one on. Acknowledging with
 * "multiple" up to a tag is safe only when every tag below it is settled, so a flush takes the
 * unbroken run of settled tags at the front in one frame. What is settled behind an open one
 * (one slow delivery holds everything behind it) costs a frame each, and is told only when the
 * flush is asked to.
 *
 * A delivery that stays open while ACKWINDOW_SPAN_MAX others pass it is refused with -EOVERFLOW by
 * ackwindow_delivered(): the channel must be opened anew.
 *
 * Pure: it decides; settle.c sends.
 */
#ifndef MIH_WORKER_ACKWINDOW_H
#define MIH_WORKER_ACKWINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ACKWINDOW_SPAN_MAX = 4 * 1024 * 1024 };

struct ackwindow {
    uint8_t *state;  /* ring, one byte a tag */
    size_t cap;      /* a power of two */
    uint64_t first;  /* lowest tag that is not settled and told; 0: none came yet */
    uint64_t next;   /* the tag the next delivery will have */
    uint64_t lowest; /* lowest tag that was settled and perhaps not told; 0: none */
    size_t settled;  /* settled and not yet told */
};

/* What to send: ack `tag`, and all before it when multiple. */
typedef int ackwindow_send(void *context, uint64_t tag, bool multiple);

void ackwindow_init(struct ackwindow *w);
void ackwindow_release(struct ackwindow *w);

/* Forgets everything: the next delivery's tag is the first. For a channel opened anew. */
void ackwindow_restart(struct ackwindow *w);

/* A delivery with this tag arrived. 0; -ENOMEM; -EOVERFLOW; -EPROTO when it is not the next
 * tag. */
int ackwindow_delivered(struct ackwindow *w, uint64_t tag) __attribute__((warn_unused_result));

/* The delivery's outcome is safe: it may be acknowledged at the next flush. */
void ackwindow_settled(struct ackwindow *w, uint64_t tag);

/* The delivery was told to the broker in another way (rejected): never acknowledge it. */
void ackwindow_told(struct ackwindow *w, uint64_t tag);

/* Calls send for the run at the front, and, when asked, for each settled one behind it. Stops at
 * the first negative value and returns it. */
int ackwindow_flush(struct ackwindow *w, bool behind, ackwindow_send *send, void *context)
    __attribute__((warn_unused_result));

#endif
