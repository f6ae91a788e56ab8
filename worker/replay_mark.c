#include "worker/replay_mark.h"

#include <inttypes.h>
#include <stdio.h>

/* No connection publishes 2^36 messages; numbers of others, which begin at 1, are of range 0. */
enum { SEQUENCE_BITS = 36, RANGES = 1 << 25 };

/* Spreads bits over all of a number (the finalizer of splitmix64). */
static uint64_t spread(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

uint64_t replay_mark_base(int64_t replay_id, int64_t started_s)
{
    uint64_t mixed = spread((uint64_t)replay_id + spread((uint64_t)started_s));

    return (mixed % RANGES + 1) << SEQUENCE_BITS;
}

void replay_mark_id(uint64_t number, char ret_id[REPLAY_MARK_ID_SIZE])
{
    snprintf(ret_id, REPLAY_MARK_ID_SIZE, "marker-%" PRIu64, number);
}

enum replay_mark replay_mark_of(uint64_t base, bool fresh, uint64_t marker, uint64_t number)
{
    if (marker > 0)
        return marker == base ? REPLAY_MARK_END : REPLAY_MARK_STALE;
    return !fresh && number >> SEQUENCE_BITS == base >> SEQUENCE_BITS ? REPLAY_MARK_ROUND
                                                                      : REPLAY_MARK_LETTER;
}
