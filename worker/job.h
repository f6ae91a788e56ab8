/*
 * One message under work (struct job) and one rule's delivery of it (struct attempt).
 *
 * A job is made when a delivery arrives and belongs to its lane until every attempt has ended;
 * then it is settled (or, when its channel died or the process gives up, dropped unsettled, and
 * the broker gives it to somebody again). Both kinds are pooled: in steady state a message costs
 * no allocation here.
 */
#ifndef MIH_WORKER_JOB_H
#define MIH_WORKER_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bus.h"
#include "common/envelope.h"
#include "dispatcher/request.h"
#include "dispatcher/seen.h"
#include "dispatcher/verdict.h"
#include "worker/suspects.h"

struct catalog;
struct found;
struct lane;
struct replayed;

enum { JOB_TEXT_SIZE = 256 };

struct job {
    struct job *next; /* in the lane's waiting queue or in the pool */
    struct lane *lane;
    unsigned epoch;
    uint64_t tag;

    char *body; /* owned; stays with the pooled job when it is small */
    size_t body_room;
    size_t body_len;
    char message_id[ENVELOPE_ID_SIZE + 1]; /* as sent; one more, so that a longer one is refused */
    char type[JOB_TEXT_SIZE];
    char app_id[JOB_TEXT_SIZE];
    uint64_t timestamp;
    int64_t only_rule;          /* redelivered for one rule, or 0 */
    int64_t first_s;            /* first attempt, Unix seconds, or 0 */
    int64_t attempts;           /* counted so far */
    int64_t arrived_ms;         /* monotonic */
    struct replayed *replayed;  /* owned; NULL: not of a replay */
    int64_t returns;            /* how often the broker has counted it as returned to its queue */
    bool returned;              /* the broker gives it away once more */
    bool flagged;               /* that, or republished: may have been delivered before */
    bool test;                  /* somebody looks at the log for what becomes of it */
    struct suspect_key suspect; /* zero: not written down */

    bool parsed;
    struct envelope event;
    struct seen_id id;       /* of the event, when parsed */
    struct catalog *catalog; /* a reference; the rules point into it */
    const struct rule **rules;
    size_t n_rules, cap_rules; /* cap_rules stays with the pooled job */
    size_t next_rule;          /* the next one to start */
    bool particular;           /* some rule has a filter, or needs something looked up */
    struct found *found;       /* owned; what was looked up, or NULL */

    unsigned open;      /* attempts that have not ended */
    unsigned delivered; /* attempts that reached their service */
    unsigned followed;  /* attempts whose retry or dead letter is confirmed */
    bool abandoned;     /* must not be settled */
};

struct attempt {
    struct attempt *next; /* in the pool, or in the list of unsafe dead letters */
    struct job *job;
    const struct rule *rule; /* NULL: the message itself is at fault */
    struct request request;
    bool rendered; /* request holds what was sent */
    bool begun;    /* written down so in the store of delivered pairs */
    int64_t begun_ms;
    int64_t begun_us;   /* likewise */
    int64_t latency_us; /* of its request, which came to an end; -1: there was none */
    bool probe;         /* sent to see whether the service is back */
    struct verdict verdict;
    int64_t attempts; /* of this rule with this message, counted so far */
    int64_t retry_ms; /* the step of the grid that its retry waits for; 0: none, a dead letter */
    bool held;        /* that is no retry: nothing was sent, and nothing is counted */
    int64_t died_s;   /* of a dead letter, Unix seconds */
    char *response;   /* owned; of a dead letter: the beginning of the last answer, or NULL */
    bool republished; /* an earlier publication of that may be at the broker, unconfirmed */
};

/* How often a quorum queue has had the message returned to it. Above x-delivery-limit it becomes a
 * dead letter, whoever returned it and why. */
#define RETURNS_HEADER "x-delivery-count"

/* Fills a pooled or new job from a delivery, taking its body from the bus. Our own headers
 * count only in what comes by the redeliver exchange: anybody may set them on an event. NULL: no
 * memory. */
struct job *job_take(struct bus *bus, const struct bus_message *m, const char *redeliver);

/* The message's id: as sent, or else derived from its body; "" when there is neither. */
const char *job_message_id(const struct job *job);

/* The rule that a dead letter or retry of this attempt is for; 0: none. */
int64_t attempt_rule(const struct attempt *a);

/* Drops the references and gives the job back to the pool. */
void job_put(struct job *job);

/* Adds a rule to the job's list. 0 or -ENOMEM. */
int job_add_rule(struct job *job, const struct rule *rule) __attribute__((warn_unused_result));

struct attempt *attempt_take(struct job *job, const struct rule *rule);
void attempt_put(struct attempt *a);

/* Frees both pools. */
void job_pools_free(void);

#endif
