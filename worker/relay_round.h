/*
 * Which rows of the outbox the relay looks at next, and when. Pure: time comes in.
 *
 * A round walks up the ids, batch by batch. A full one begins at the lowest id; while rows stay
 * behind, full rounds come with pauses that double from 2 s to a minute, and the rounds between
 * them look only at ids above those seen. A round that got something done starts the pauses over.
 */
#ifndef MIH_WORKER_RELAY_ROUND_H
#define MIH_WORKER_RELAY_ROUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ROUND_PAUSE_MIN_MS = 2000, ROUND_PAUSE_MAX_MS = 60000 };

struct round {
    bool running;
    bool full;
    bool progressed;    /* a row was settled */
    int64_t cursor;     /* the next batch has ids above this */
    int64_t seen_id;    /* highest id looked at */
    size_t kept;        /* rows that stayed: of the last full round, and of those since */
    int64_t pause_ms;   /* 0: no row stayed */
    int64_t full_at_ms; /* not before, while rows stay */
};

/* Begins a round unless one is running. */
void round_begin(struct round *r, int64_t now_ms);

/* A batch up to last_id is done; kept rows of it stayed. */
void round_advance(struct round *r, int64_t last_id, size_t kept, bool progressed);

void round_end(struct round *r, int64_t now_ms);

/* The next round is full: what stayed may have a chance now. */
void round_retry(struct round *r);

#endif
