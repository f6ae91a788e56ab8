/*
 * What a message of a replay carries besides its body: the replay's number, how it is to be sent,
 * and its earlier deaths. Comes in with the message, goes out with its retries and its next dead
 * letter.
 *
 * Mode `sent`: the body as last sent (for GET the pairs of the query), which is sent again byte for
 * byte; where the dead letter had none, because it was larger than REPLAYED_RENDERED_MAX or nothing
 * had been sent, it is rendered. Mode `render`, or no mode that is known: rendered by today's rule.
 *
 * A letter of no rule goes to every rule that wants it, and each retry is one rule's. That the
 * letter had none goes with the retries, as the header x-mih-ruleless: a delivery is told to the
 * letter's row of the index, which has no rule either. What dies again is a letter of its rule,
 * with a row of its own.
 */
#ifndef MIH_WORKER_REPLAYED_H
#define MIH_WORKER_REPLAYED_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bus.h"
#include "dispatcher/history.h"
#include "dispatcher/request.h"

enum { REPLAYED_RENDERED_MAX = 64 * 1024 };

struct replayed {
    int64_t id;    /* of the row of the table replay */
    bool ruleless; /* the letter had no rule */
    bool as_sent;
    bool has_payload;
    struct request_payload payload; /* in `bytes`, with a NUL behind */
    char history[HISTORY_SIZE];
    char bytes[];
};

/* Reads our headers; only for messages that come by the redeliver exchange. 0, with NULL when it
 * is no replay's; or -ENOMEM. The caller frees it with free(). */
int replayed_take(const struct bus_headers *headers, struct replayed **ret_replayed)
    __attribute__((warn_unused_result));

/* The value of x-mih-mode. */
const char *replayed_mode(const struct replayed *r);

#endif
