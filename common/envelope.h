/*
 * One Moodle event as it came from the broker: its properties and its parsed body.
 *
 * Pure. envelope_parse() refuses (with a reason that names the fault and the place, and never
 * quotes the body) what is not one JSON object with a text `eventname`, is larger or deeper than
 * the limits, or is not valid UTF-8. It never alters a value: what json-c would change is refused
 * (see jsontext.h).
 *
 * A publisher that keeps the contract sets a message_id. For a message without one the id is
 * `body-` and the first 32 hexadecimal digits of the body's SHA-256: the same at every redelivery
 * and retry, so that a repeat carries the same webhook-id; two such messages with the same body
 * cannot be told apart by their receiver.
 *
 * The envelope borrows the body and copies id and name; it owns the view of the body and keeps its
 * memory for the next event. `body` and `body_len`
 * are set even when parsing failed, so that a dead letter can carry the body as it came.
 */
#ifndef MIH_COMMON_ENVELOPE_H
#define MIH_COMMON_ENVELOPE_H

#include <stddef.h>
#include <stdint.h>

#include "common/jsonview.h"

/* Event names are at most 255 bytes, as in Moodle's tables. */
enum { ENVELOPE_MAX_DEPTH = 32, ENVELOPE_ID_SIZE = 128, ENVELOPE_NAME_SIZE = 256 };

struct enrichment;

struct envelope {
    char message_id[ENVELOPE_ID_SIZE]; /* as sent; derived from the body when there was none */
    char eventname[ENVELOPE_NAME_SIZE];
    const char *body;
    size_t body_len;
    struct jsonview view;
    const struct enrichment *data; /* what was looked up for it (dispatcher/enrichment.h), borrowed
                                      from whoever set it; NULL: nothing */
};

struct envelope_limits {
    size_t max_bytes;
    unsigned max_depth; /* levels of objects and lists; above ENVELOPE_MAX_DEPTH is that */
};

/* The envelope is zeroed before its first use, and released after its last, however parsing ended.
 * 0; -EBADMSG, -EMSGSIZE or -ENOMEM with ret_reason filled (at most reason_size). message_id may be
 * ""; one that holds anything but visible ASCII, or
 * ".", or is too long is -EBADMSG. The body must stay valid until envelope_release(). */
int envelope_parse(struct envelope *e, const struct envelope_limits *limits, const char *message_id,
                   const char *body, size_t body_len, char *ret_reason, size_t reason_size)
    __attribute__((warn_unused_result));

/* Forgets the event and keeps the memory of the view. */
void envelope_reset(struct envelope *e);

/* Frees all. May be called again, and after a failed parse. */
void envelope_release(struct envelope *e);

/* `\core\event\user_created` -> `core.user_created`; `\mod_quiz\event\*` -> `mod_quiz.#`; other
 * backslashes after `\event\` become dots. 0 or -EINVAL (no event class name with its leading
 * backslash, a key of more than 255 bytes or than fit into size). */
int envelope_routing_key(const char *eventname, char *ret_key, size_t size)
    __attribute__((warn_unused_result));

#endif
