/*
 * How a pass over a queue of dead letters finds its end, also after kill -9. Pure.
 *
 * A pass takes every letter from the head and puts what stays to the tail, so that after one turn
 * the rest stands in its old order. Before it begins it publishes a marker to the tail (header
 * x-mih-marker = number of the replay): when that arrives, the turn is complete. What it puts to
 * the tail carries numbers (bus_number_from()) of a range that belongs to its replay.
 *
 * A replayer that was killed goes on where the queue is. Its marker may have gone already, or may
 * never have been published; then the turn is complete when it meets a letter that itself has put
 * to the tail, or nothing at all. What the killed one had moved, but not acknowledged, comes again
 * and is moved again: that is the window in which a kill repeats.
 */
#ifndef MIH_WORKER_REPLAY_MARK_H
#define MIH_WORKER_REPLAY_MARK_H

#include <stdint.h>

#define REPLAY_MARK_HEADER "x-mih-marker"

enum replay_mark {
    REPLAY_MARK_LETTER, /* a dead letter to be looked at */
    REPLAY_MARK_END,    /* the marker of this replay */
    REPLAY_MARK_STALE,  /* a marker that an ended replay has left */
    REPLAY_MARK_ROUND,  /* a letter that this replay has put to the tail: it came round */
};

/* Publications of the replay are numbered above this. */
uint64_t replay_mark_base(int64_t replay_id);

/* What a message is to the replay: marker is its header's number (0: none), number its publication
 * number (0: none). */
enum replay_mark replay_mark_of(int64_t replay_id, int64_t marker, uint64_t number);

#endif
