#include "worker/relay_round.h"

void round_begin(struct round *r, int64_t now_ms)
{
    if (r->running)
        return;
    r->running = true;
    r->progressed = false;
    r->full = !r->kept || now_ms >= r->full_at_ms;
    r->cursor = r->full ? 0 : r->seen_id;
    if (r->full)
        r->kept = 0;
}

void round_advance(struct round *r, int64_t last_id, size_t kept, bool progressed)
{
    r->cursor = last_id;
    if (last_id > r->seen_id)
        r->seen_id = last_id;
    r->kept += kept;
    r->progressed |= progressed;
}

void round_end(struct round *r, int64_t now_ms)
{
    r->running = false;
    if (!r->kept) {
        r->pause_ms = 0;
        return;
    }
    if (!r->full && r->pause_ms)
        return;
    r->pause_ms = r->progressed || !r->pause_ms ? ROUND_PAUSE_MIN_MS : 2 * r->pause_ms;
    if (r->pause_ms > ROUND_PAUSE_MAX_MS)
        r->pause_ms = ROUND_PAUSE_MAX_MS;
    r->full_at_ms = now_ms + r->pause_ms;
}

void round_retry(struct round *r)
{
    r->pause_ms = 0;
    r->full_at_ms = 0;
}
