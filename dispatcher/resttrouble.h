/*
 * What curl's result of a transfer means as an outcome: one table. A trouble of the peer, of the
 * way to it, and of our own machine must not be confused, for the breaker counts only the
 * first two.
 */
#ifndef MIH_DISPATCHER_RESTTROUBLE_H
#define MIH_DISPATCHER_RESTTROUBLE_H

#include <curl/curl.h>
#include <stdbool.h>

#include "dispatcher/verdict.h"

/* What the transport knows about a failed transfer beyond curl's code. */
struct resttrouble {
    CURLcode code;
    const char *words; /* curl's own words; "" when it had none */
    const char
        *refusal;      /* the network guard refused, and nothing was opened: its reason; or NULL */
    int local_errno;   /* set when a socket could not be opened, else 0 */
    bool stood_still;  /* this process did, during the call (stillness.h) */
    bool answer_began; /* at least one byte of the answer arrived */
    bool header_too_large; /* we ended it: more header bytes than are accepted */
    bool body_too_large;   /* we ended it: a larger body than is accepted */
};

/* Sets kind and text. The text never holds a URL's user or query, a header or a body. */
void resttrouble_explain(const struct resttrouble *trouble, struct outcome *ret_outcome);

/* The address that a redirect names, without user, query and fragment. */
void resttrouble_location(const char *location, char *ret_text, size_t size);

#endif
