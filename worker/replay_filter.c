#include "worker/replay_filter.h"

#include <string.h>

static bool event_fits(const char *wanted, const char *name)
{
    size_t len = strlen(wanted);

    if (len > 0 && wanted[len - 1] == '*')
        return strncmp(wanted, name, len - 1) == 0;
    return len == 0 || strcmp(wanted, name) == 0;
}

static bool time_fits(const struct replay_filter *f, int64_t died_s)
{
    if (f->from_s == 0 && f->to_s == 0)
        return true;
    return died_s > 0 && died_s >= f->from_s && (f->to_s == 0 || died_s <= f->to_s);
}

bool replay_filter_matches(const struct replay_filter *filter, const struct replay_subject *letter)
{
    return (filter->service_id == 0 || filter->service_id == letter->service_id) &&
           (filter->rule_id == 0 || filter->rule_id == letter->rule_id) &&
           (!*filter->message_id || strcmp(filter->message_id, letter->message_id) == 0) &&
           event_fits(filter->event_name, letter->event_name) &&
           (!*filter->reason || strcasestr(letter->reason, filter->reason) != NULL) &&
           time_fits(filter, letter->died_s);
}

bool replay_filter_is_empty(const struct replay_filter *filter)
{
    return filter->service_id == 0 && filter->rule_id == 0 && filter->from_s == 0 &&
           filter->to_s == 0 && !*filter->message_id && !*filter->event_name && !*filter->reason;
}
