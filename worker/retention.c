#include "worker/retention.h"

enum { NOTICE_S = 24 * 3600, LOOK_AGAIN_S = 3600 };

static int64_t notice_s(const struct retention *r)
{
    return r->max_age_s / 2 < NOTICE_S ? r->max_age_s / 2 : NOTICE_S;
}

bool retention_expired(const struct retention *r, int64_t died_s, int64_t now_s)
{
    return died_s > 0 && now_s - died_s > r->max_age_s;
}

void retention_decide(const struct retention *r, const struct retention_view *view, int64_t now_s,
                      struct retention_decision *ret_decision)
{
    int64_t notice_at_s = view->oldest_s + r->max_age_s - notice_s(r);
    bool aged = view->letters > 0 && view->oldest_s > 0;

    *ret_decision = (struct retention_decision){
        .warn_number = view->letters >= r->max_number - r->max_number / 5,
        .warn_age = aged && now_s >= notice_at_s,
        .look_s = aged ? notice_at_s : now_s + LOOK_AGAIN_S,
    };
    if (!view->warned)
        return;
    if (view->letters > r->max_number)
        ret_decision->surplus = view->letters - r->max_number;
    ret_decision->drop_old = aged && retention_expired(r, view->oldest_s, now_s);
}
