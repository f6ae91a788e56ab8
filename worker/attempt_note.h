/*
 * What the tables are told of an attempt: makes the row of deadindex.h for the index of dead
 * letters, and that of requestlog.h, from what the job and the attempt hold. In the loop; the row
 * is copied, and written later.
 */
#ifndef MIH_WORKER_ATTEMPT_NOTE_H
#define MIH_WORKER_ATTEMPT_NOTE_H

#include <stddef.h>

#include "worker/deadnotes.h"
#include "worker/job.h"

enum attempt_news {
    ATTEMPT_DIED,      /* its dead letter is safe at the broker */
    ATTEMPT_REJECTED,  /* the broker made the dead letter, of the message as it came */
    ATTEMPT_DELIVERED, /* a message of a replay */
};

void attempt_note(const struct attempt *a, enum attempt_news news);

/* For the log: it was delivered, or it was not, and what follows is known. */
void attempt_log(const struct attempt *a);

/* Keeps the beginning of the last answer for the note of an attempt that becomes a dead letter. Out
 * of memory: without. */
void attempt_keep_response(struct attempt *a, const char *body, size_t body_len);

#endif
