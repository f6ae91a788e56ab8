/*
 * One replay (or discard, or making of the index) while it is carried out: how far it is, and
 * whether it still selects letters. Shared by its passes over the queues of its services.
 *
 * It ends early when its canary is not delivered, when as many as its row allows have failed again,
 * when somebody has set its row to another state, when the broker returns what it publishes, or
 * when its service has no queue. A pass that has begun goes on to its end even then, with every
 * letter staying, so that the rest keeps its order.
 *
 * A letter counts as matched when it was handled, not when it was taken: what was held when the
 * replay was interrupted comes again. Its limit holds for both together.
 */
#ifndef MIH_WORKER_REPLAY_WORK_H
#define MIH_WORKER_REPLAY_WORK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/db.h"
#include "dispatcher/tokenbucket.h"
#include "worker/deadlink.h"
#include "worker/letter.h"
#include "worker/names.h"
#include "worker/replay_store.h"

/* What a replay needs from its program; everything is borrowed. */
struct replay_tools {
    struct db *db;
    struct deadlink *link;
    const struct names *names;
    int64_t canary_wait_ms;
    int wake_fd; /* readable when stopping() is worth a call; -1: none */
    void *context;
    bool (*stopping)(void *context);                                   /* whether to end now */
    void (*on_selected)(void *context, const struct letter *l);        /* may be NULL */
    void (*on_progress)(void *context, const struct replay *progress); /* may be NULL */
};

enum canary_phase {
    CANARY_NONE,   /* none is wanted, or it was delivered */
    CANARY_FIRST,  /* the first letter will be it */
    CANARY_MOVING, /* published, not yet confirmed */
    CANARY_WAITS,  /* on its way to the service */
};

struct replay_work {
    const struct replay_tools *tools;
    struct replay *replay;
    struct tokenbucket bucket;
    bool resumed; /* it was interrupted before */
    bool selecting;
    int64_t held; /* letters that are selected, and neither matched nor moved yet */
    int64_t left; /* letters that could not be taken from their queue, and so were not looked at */
    const char *end_state; /* NULL: it was not ended early */
    char why[REPLAY_ERROR_SIZE];

    enum canary_phase canary;
    char canary_id[REPLAY_ID_SIZE];
    int64_t canary_rule, canary_service;
    int64_t canary_until_ms;
    int64_t ask_ms;      /* when the canary is looked for next */
    int64_t progress_ms; /* when progress is written next */
};

void replay_work_init(struct replay_work *w, const struct replay_tools *tools,
                      struct replay *replay);

/* It goes on after an interruption: finds in the index what it has moved, and its canary. From now
 * on letters that died after its start are not its own: nobody has seen them when it was asked for.
 * Of those that died in that second a discard leaves all, and a replay takes all. 0 or a negative
 * errno of the database. */
int replay_work_resume(struct replay_work *w) __attribute__((warn_unused_result));

/* Selects nothing from now on. state is that of the row at its end. The first reason counts. */
void replay_work_end(struct replay_work *w, const char *state, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Whether the letter is one to be moved. It is held from then on, until one of those below. */
bool replay_work_selects(struct replay_work *w, const struct letter *l);
void replay_work_stays(struct replay_work *w);   /* it was not one after all */
void replay_work_matched(struct replay_work *w); /* it was one, and was not to be moved */
void replay_work_moved(struct replay_work *w);   /* it is safe elsewhere, or discarded */

/* Whether it may select more. */
bool replay_work_wants_more(const struct replay_work *w);

/* Takes a place in the rate: 0, or the milliseconds to wait. */
int replay_work_wait_ms(struct replay_work *w);

/* The letter was published. */
void replay_work_moving(struct replay_work *w, const struct letter *l);

/* Whether the letter, which is selected, must wait for the canary. */
bool replay_work_waits(const struct replay_work *w, const struct letter *l);

/* What is due: progress every second, the canary. Call it some times a second. 0 or a negative
 * errno of the database. */
int replay_work_tick(struct replay_work *w) __attribute__((warn_unused_result));

#endif
