#include "dispatcher/ratelimit.h"

enum { DEPTH_US = 100 * 1000 };

void ratelimit_init(struct ratelimit *r, unsigned per_s, unsigned processes, int64_t now_us)
{
    r->per_s = per_s;
    tokenbucket_init(&r->bucket, per_s, processes, DEPTH_US, now_us);
}

void ratelimit_change(struct ratelimit *r, unsigned per_s, unsigned processes, int64_t now_us)
{
    r->per_s = per_s;
    tokenbucket_change(&r->bucket, per_s, processes, DEPTH_US, now_us);
}

int64_t ratelimit_take(struct ratelimit *r, int64_t now_us)
{
    return r->per_s == 0 ? 0 : tokenbucket_take(&r->bucket, now_us);
}
