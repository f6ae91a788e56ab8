#include "worker/statkeeper.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/timing.h"
#include "worker/complaint.h"
#include "worker/store.h"

/* One step. Outlives the keeper when that is freed meanwhile. */
struct step {
    struct store_job job; /* first: the store hands it back */
    struct statkeeper *owner;
    struct stattidy options;
    bool more;
};

struct statkeeper {
    struct store *store;
    struct event *timer;
    struct stattidy options;
    int64_t interval_ms;
    struct step *step; /* NULL: none is under way */
    bool elected;
    struct complaint complaint;
};

static void schedule(struct statkeeper *k, int64_t ms)
{
    const struct timeval after = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

    evtimer_add(k->timer, &after);
}

static int run(struct store_job *job, struct db *db)
{
    struct step *step = (struct step *)job;

    return stattidy_step(db, &step->options, &step->more);
}

static void complain(struct statkeeper *k, int result, const char *reason)
{
    if (complaint_due(&k->complaint, result, reason, timing_unix_s()))
        log_warning("the tables of statistics could not be tidied", "reason", reason, "does",
                    "tries again", NULL);
}

static void done(struct store_job *job, int result, const char *reason)
{
    struct step *step = (struct step *)job;
    struct statkeeper *k = step->owner;

    if (k) {
        k->step = NULL;
        complain(k, result, reason);
        schedule(k, result == 0 && step->more ? 0 : k->interval_ms);
    }
    free(step);
}

static void on_time(evutil_socket_t fd, short what, void *argument)
{
    struct statkeeper *k = argument;
    struct step *step;

    (void)fd;
    (void)what;
    if (k->step || !k->elected)
        return;
    step = calloc(1, sizeof *step);
    if (step) {
        step->job = (struct store_job){.run = run, .done = done};
        step->owner = k;
        step->options = k->options;
    }
    if (step && store_submit(k->store, &step->job) == 0) {
        k->step = step;
        return;
    }
    free(step);
    schedule(k, k->interval_ms);
}

int statkeeper_new(struct event_base *base, struct store *store, const struct stattidy *options,
                   int64_t interval_ms, struct statkeeper **ret_keeper)
{
    struct statkeeper *k = calloc(1, sizeof *k);

    if (!k)
        return -ENOMEM;
    k->store = store;
    k->options = *options;
    k->interval_ms = interval_ms;
    k->timer = evtimer_new(base, on_time, k);
    if (!k->timer) {
        free(k);
        return -ENOMEM;
    }
    *ret_keeper = k;
    return 0;
}

void statkeeper_set_elected(struct statkeeper *k, bool elected)
{
    if (!k)
        return;
    k->elected = elected;
    if (elected)
        schedule(k, 0);
}

void statkeeper_set_options(struct statkeeper *k, const struct stattidy *options,
                            int64_t interval_ms)
{
    if (!k)
        return;
    k->options = *options;
    k->interval_ms = interval_ms;
}

void statkeeper_free(struct statkeeper *k)
{
    if (!k)
        return;
    if (k->step)
        k->step->owner = NULL;
    event_free(k->timer);
    free(k);
}
