#include "worker/complaint.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"

enum { EVERY_S = 60 };

bool complaint_due(struct complaint *c, int result, const char *reason, int64_t now_s)
{
    char words[sizeof c->reason];

    if (result >= 0) {
        c->reason[0] = '\0';
        return false;
    }
    if (result == -ENOTCONN || result == -ETIMEDOUT || result == -EAGAIN || result == -ECANCELED)
        return false;
    snprintf(words, sizeof words, "%s", reason);
    if (strcmp(c->reason, words) == 0 || !log_every(&c->told_s, EVERY_S, now_s))
        return false;
    memcpy(c->reason, words, sizeof words);
    return true;
}
