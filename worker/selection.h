/*
 * Which of the matched rules want an event after all, and what they need of Moodle's tables.
 *
 * Only messages come here for which some rule has a filter, or needs something looked up. Filters
 * that say no take their rule out of the message: skipped, counted, nothing sent. While a look-up
 * is on its way the message is parked, in no queue, and others go on. What cannot be looked up in
 * time holds the rules that need it, each by itself, in a delay queue: nothing is counted, and
 * the other rules of the message go ahead.
 */
#ifndef MIH_WORKER_SELECTION_H
#define MIH_WORKER_SELECTION_H

#include <stdbool.h>
#include <stdint.h>

struct attempt;
struct job;
struct lane;

/* A job that was parsed and matched, is in no queue, and of which nothing has begun. True: its
 * rules may start. False: it has ended, is parked, or waits for a dead letter. */
bool selection_begin(struct job *job);

/* True: the attempt needs what cannot be looked up now, and waits in the broker. */
bool selection_hold(struct attempt *a);

/* Parked messages begin again: all of them, or those that have waited long enough. */
void selection_recheck(struct lane *lane);
void selection_tick(struct lane *lane, int64_t now_ms);

/* Takes all parked messages out: a list. */
struct job *selection_take(struct lane *lane);

#endif
