/*
 * How long dead letters are kept, by age and by number: decided, not done. Pure.
 *
 * Only the oldest go, from the head of the queue. The look that finds the need for the first time
 * warns and drops nothing: at 80 % of the number, and 24 hours before the age is reached (or at
 * half of it, when it is less than two days). A letter whose death nobody noted has no age.
 */
#ifndef MIH_WORKER_RETENTION_H
#define MIH_WORKER_RETENTION_H

#include <stdbool.h>
#include <stdint.h>

struct retention {
    int64_t max_age_s;
    int64_t max_number; /* for each service */
};

/* What is known of a queue. */
struct retention_view {
    int64_t letters;  /* in the queue */
    int64_t oldest_s; /* when the letter at the head died; 0: not known */
    bool warned;      /* an earlier look has warned */
};

struct retention_decision {
    bool warn_number, warn_age; /* letters will be dropped, soon or now */
    int64_t surplus;            /* so many are to be dropped for their number */
    bool drop_old;              /* those at the head that are too old are to be dropped */
    int64_t look_s;             /* when the head is to be looked at again */
};

void retention_decide(const struct retention *r, const struct retention_view *view, int64_t now_s,
                      struct retention_decision *ret_decision);

/* Whether the letter at the head, which died then (0: not known), is to be dropped for its age. */
bool retention_expired(const struct retention *r, int64_t died_s, int64_t now_s);

#endif
