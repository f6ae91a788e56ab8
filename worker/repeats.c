#include "worker/repeats.h"

#include "dispatcher/catalog.h"
#include "worker/lane.h"

static const struct seen *store_of(const struct attempt *a)
{
    return &a->job->lane->ctx->seen;
}

static void key_of(const struct attempt *a, struct seen_key *ret_key)
{
    seen_key_make(&a->job->id, a->rule->id, ret_key);
}

enum seen_state repeats_look(const struct attempt *a)
{
    struct seen_key key;

    if (!a->job->flagged)
        return SEEN_NOT;
    key_of(a, &key);
    return seen_look(store_of(a), &key);
}

void repeats_begin(struct attempt *a)
{
    struct seen_key key;

    key_of(a, &key);
    seen_begin(store_of(a), &key, a->job->lane->ctx->seen_owner);
    a->begun = true;
}

void repeats_delivered(struct attempt *a)
{
    struct seen_key key;

    key_of(a, &key);
    seen_delivered(store_of(a), &key);
    a->begun = false;
}

void repeats_end(struct attempt *a)
{
    struct seen_key key;

    if (!a->begun)
        return;
    key_of(a, &key);
    seen_forget(store_of(a), &key, a->job->lane->ctx->seen_owner);
    a->begun = false;
}
