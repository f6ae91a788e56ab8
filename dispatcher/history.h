/*
 * The history of a message that has died more than once: the text of the header x-mih-history, a
 * line for each earlier death, oldest first:
 *
 *   2026-11-25T02:11:09Z attempts=13 status=503 HTTP 503 Service Unavailable
 *
 * Whoever publishes a dead letter anew (the replayer) adds the line of the death that it takes the
 * message from; the worker carries the text through retries into the next dead letter, whose own
 * death is in its other headers. At most HISTORY_MAX bytes: the oldest lines go first. Texts from
 * outside are made safe: UTF-8 without control bytes. Pure.
 */
#ifndef MIH_DISPATCHER_HISTORY_H
#define MIH_DISPATCHER_HISTORY_H

#include <stddef.h>
#include <stdint.h>

enum { HISTORY_MAX = 4096, HISTORY_SIZE = HISTORY_MAX + 1, HISTORY_REASON_MAX = 200 };

struct history_death {
    int64_t died_s; /* Unix seconds */
    int64_t attempts;
    int64_t status; /* HTTP status, 0 without one */
    const char *reason;
};

/* Copies a history (len bytes, as it came from a header) into ret_text of HISTORY_SIZE bytes: whole
 * lines, the newest ones that fit, what is not safe replaced by "?", without empty lines. Ends with
 * a NUL and, unless it is empty, with a line feed before it. A single line that does not fit is
 * left out. */
void history_copy(char *ret_text, const char *text, size_t len);

/* Adds a death to a history in a buffer of HISTORY_SIZE bytes that holds a text of history_copy(),
 * or "". */
void history_add(char *text, const struct history_death *death);

#endif
