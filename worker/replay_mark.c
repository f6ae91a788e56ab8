#include "worker/replay_mark.h"

/* No connection publishes 2^40 messages; numbers of others, which begin at 1, are of range 0. */
enum { SEQUENCE_BITS = 40, RANGES = 1 << 22 };

uint64_t replay_mark_base(int64_t replay_id)
{
    return ((uint64_t)replay_id % RANGES + 1) << SEQUENCE_BITS;
}

enum replay_mark replay_mark_of(int64_t replay_id, int64_t marker, uint64_t number)
{
    if (marker > 0)
        return marker == replay_id ? REPLAY_MARK_END : REPLAY_MARK_STALE;
    return number >> SEQUENCE_BITS == replay_mark_base(replay_id) >> SEQUENCE_BITS
               ? REPLAY_MARK_ROUND
               : REPLAY_MARK_LETTER;
}
