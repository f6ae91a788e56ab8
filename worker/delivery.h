/*
 * From a message to its settlement: parse, match, render, send, judge, settle or dead-letter.
 * Works on a lane's waiting jobs within the lane's limit of requests at once.
 */
#ifndef MIH_WORKER_DELIVERY_H
#define MIH_WORKER_DELIVERY_H

struct job;
struct lane;

/* Puts a job at the end of the lane's waiting queue. */
void delivery_queue(struct lane *lane, struct job *job);

/* A job that is out of its queue: starts nothing more, and drops the job unsettled when what is
 * under way has ended. */
void delivery_abandon(struct job *job);

/* The rules were looked at: messages that no rule wanted are matched again or skipped. */
void delivery_recheck(struct lane *lane);

/* Starts as many attempts as the limit allows. */
void delivery_pump(struct lane *lane);

#endif
