#include "dispatcher/tokenbucket.h"

enum { US_PER_S = 1000 * 1000 };

static int64_t within(int64_t least, int64_t value, int64_t most)
{
    if (value < least)
        return least;
    return value < most ? value : most;
}

static void set_rate(struct tokenbucket *b, unsigned per_s, unsigned among, int64_t depth_us)
{
    const int64_t largest = TOKENBUCKET_TOKENS_MAX * TOKENBUCKET_TOKEN;
    int64_t rate = within(1, per_s, TOKENBUCKET_RATE_MAX) * (TOKENBUCKET_TOKEN / US_PER_S);
    b->per_us = within(1, rate / (among > 0 ? among : 1), rate);
    int64_t depth = within(0, depth_us, largest / b->per_us); /* so that the product fits */
    b->size = within(TOKENBUCKET_TOKEN, b->per_us * depth, largest);
    b->level = within(0, b->level, b->size);
}

void tokenbucket_init(struct tokenbucket *b, unsigned per_s, unsigned among, int64_t depth_us,
                      int64_t now_us)
{
    *b = (struct tokenbucket){.level = TOKENBUCKET_TOKEN, .at_us = now_us};
    set_rate(b, per_s, among, depth_us);
}

void tokenbucket_change(struct tokenbucket *b, unsigned per_s, unsigned among, int64_t depth_us,
                        int64_t now_us)
{
    tokenbucket_advance(b, now_us);
    set_rate(b, per_s, among, depth_us);
}

void tokenbucket_advance(struct tokenbucket *b, int64_t now_us)
{
    int64_t passed = now_us - b->at_us;
    if (passed <= 0)
        return;
    b->at_us = now_us;
    if (passed > (b->size - b->level) / b->per_us) /* before it is multiplied, it might overflow */
        b->level = b->size;
    else
        b->level += passed * b->per_us;
}

int64_t tokenbucket_take(struct tokenbucket *b, int64_t now_us)
{
    tokenbucket_advance(b, now_us);
    if (b->level < TOKENBUCKET_TOKEN)
        return (TOKENBUCKET_TOKEN - b->level + b->per_us - 1) / b->per_us;
    b->level -= TOKENBUCKET_TOKEN;
    return 0;
}
