/*
 * How a pass over a queue of dead letters finds its end, also after kill -9. Pure.
 *
 * A pass takes every letter from the head and puts what stays to the tail, so that after one turn
 * the rest stands in its old order. Before it begins it publishes a marker to the tail, a message
 * with the header x-mih-marker, the id `marker-<number>` and the body `{}`: when that arrives, the
 * turn is complete. What it puts to the tail carries numbers (bus_number_from()) of a range that
 * belongs to its replay.
 *
 * A replayer that was killed goes on where the queue is, without a marker for what it has not
 * begun. Its marker may have gone already, or may never have been published; then the turn is
 * complete when it meets a letter that itself has put to the tail, or nothing at all. What the
 * killed one had moved, but not acknowledged, comes again and is moved again: that is the window in
 * which a kill repeats.
 *
 * Numbers come from the replay's id and the second of its start: ids are used again by a database
 * that was lost. A pass that has not begun before has put nothing to the tail, so it takes no
 * letter for its own, whatever its number.
 */
#ifndef MIH_WORKER_REPLAY_MARK_H
#define MIH_WORKER_REPLAY_MARK_H

#include <stdbool.h>
#include <stdint.h>

#define REPLAY_MARK_HEADER "x-mih-marker"
#define REPLAY_MARK_BODY "{}"

enum { REPLAY_MARK_ID_SIZE = 32 };

enum replay_mark {
    REPLAY_MARK_LETTER, /* a dead letter to be looked at */
    REPLAY_MARK_END,    /* the marker of this replay */
    REPLAY_MARK_STALE,  /* a marker that another replay has left */
    REPLAY_MARK_ROUND,  /* a letter that this replay has put to the tail: it came round */
};

/* The number of a replay's marker; its publications are numbered above it. Fits an int64_t. */
uint64_t replay_mark_base(int64_t replay_id, int64_t started_s);

/* The message id of a marker. */
void replay_mark_id(uint64_t number, char ret_id[REPLAY_MARK_ID_SIZE]);

/* What a message is to the replay of that base, which has begun on this queue before unless fresh:
 * marker is the number of the marker that it is (0: none), number its publication's (0: none). */
enum replay_mark replay_mark_of(uint64_t base, bool fresh, uint64_t marker, uint64_t number);

#endif
