#include "dispatcher/retrybudget.h"

#include <string.h>

enum { US_PER_S = 1000 * 1000, FLOOR_PER_S = 10, DEPTH_US = RETRYBUDGET_SECONDS * US_PER_S };

/* A fifth of a token. */
static const int64_t per_request = TOKENBUCKET_TOKEN / 5;
/* In a second, so that no number of requests overflows anything. */
static const int64_t earned_max = TOKENBUCKET_TOKENS_MAX / RETRYBUDGET_SECONDS * TOKENBUCKET_TOKEN;

/* The bucket holds what came in the last ten seconds. */
static void resize(struct retrybudget *b)
{
    int64_t size = b->floor_size;
    for (int i = 0; i < RETRYBUDGET_SECONDS; i++)
        size += b->earned[i];
    b->bucket.size = size;
    if (b->bucket.level > size)
        b->bucket.level = size;
}

/* Forgets what was earned more than ten seconds ago. */
static void roll(struct retrybudget *b, int64_t now_us)
{
    int64_t second = now_us / US_PER_S;
    tokenbucket_advance(&b->bucket, now_us);
    if (second <= b->second)
        return;
    if (second - b->second >= RETRYBUDGET_SECONDS)
        memset(b->earned, 0, sizeof b->earned);
    else
        for (int64_t s = b->second + 1; s <= second; s++)
            b->earned[s % RETRYBUDGET_SECONDS] = 0;
    b->second = second;
    resize(b);
}

void retrybudget_init(struct retrybudget *b, unsigned processes, int64_t now_us)
{
    *b = (struct retrybudget){.second = now_us / US_PER_S};
    tokenbucket_init(&b->bucket, FLOOR_PER_S, processes, DEPTH_US, now_us);
    b->floor_size = b->bucket.size;
}

void retrybudget_change(struct retrybudget *b, unsigned processes, int64_t now_us)
{
    int64_t level = 0;
    roll(b, now_us);
    level = b->bucket.level; /* what requests earned is not the floor's to cut */
    tokenbucket_change(&b->bucket, FLOOR_PER_S, processes, DEPTH_US, now_us);
    b->floor_size = b->bucket.size;
    b->bucket.level = level;
    resize(b);
}

void retrybudget_request(struct retrybudget *b, int64_t now_us)
{
    roll(b, now_us);
    int64_t *earned = &b->earned[b->second % RETRYBUDGET_SECONDS];
    int64_t income = *earned + per_request <= earned_max ? per_request : 0;
    *earned += income;
    b->bucket.size += income;
    b->bucket.level += income;
}

int64_t retrybudget_take(struct retrybudget *b, int64_t now_us)
{
    roll(b, now_us);
    return tokenbucket_take(&b->bucket, now_us);
}
