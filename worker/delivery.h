/*
 * From a message to its settlement: parse, match, start an attempt (attempt.h) for each rule,
 * settle. Works on a lane's waiting jobs within the lane's limit of requests at once.
 */
#ifndef MIH_WORKER_DELIVERY_H
#define MIH_WORKER_DELIVERY_H

#include <stdint.h>

struct job;
struct lane;

/*
 * Of returns to its queue, which the broker counts: at x-delivery-limit, 20, it takes the message
 * for poison. That counts whatever a process held that died or lost its connection, so it is the
 * last resort: poison is found by suspects.h, and sound messages never get there. With so many
 * returns a message is not given back any more, or not even worked on, but published anew through a
 * delay queue.
 */
enum { DELIVERY_MAX_RETURNS = 10, DELIVERY_LAST_RETURNS = 15 };

/* Puts a job at the end of the lane's waiting queue. */
void delivery_queue(struct lane *lane, struct job *job);

/* A job that was parked begins anew, before those that have not begun. */
void delivery_queue_again(struct lane *lane, struct job *job);

/* Takes the first one out of it. */
struct job *delivery_unqueue(struct lane *lane);

/* The message has no attempt under way any more and none to start: it is settled, unless it was
 * abandoned, and gone. */
void delivery_end(struct job *job);

/* A job that has just arrived, in no queue: waits for its turn, unless it is larger than events may
 * be or has killed too many processes (a dead letter at once), or is not to be worked on here. */
void delivery_accept(struct job *job);

/* A job that is out of its queue: starts nothing more, and drops the job unsettled when what is
 * under way has ended. */
void delivery_abandon(struct job *job);

/*
 * A job that is out of its queue and has not begun goes back to the broker: to the head of its
 * queue, or, when it was returned so often that it would soon be a dead letter, through a delay
 * queue, from which it comes as new.
 */
void delivery_give_back(struct job *job);

/* The rules were looked at: messages that no rule wanted are matched again or skipped. */
void delivery_recheck(struct lane *lane);

/* Ends the doubts that are too old: nobody could look at the rules for so long. */
void delivery_end_doubts(struct lane *lane, int64_t now_ms);

/* Starts as many attempts as the limit allows. */
void delivery_pump(struct lane *lane);

#endif
