/*
 * Which (message, rule) pairs were delivered lately: a store in memory that several processes
 * share.
 *
 * A pair is written down twice: as begun when its request is about to be sent, by whom, and as
 * delivered when it has succeeded. What was flagged as a possible repeat is looked up; the store
 * forgets the oldest pairs, and then a repeat is sent once more. It never takes one message for
 * another: a message whose id is no UUID in the form of RFC 9562 is not written down, and two ids
 * with one rule, or one id with two rules, never look alike.
 *
 * Sets of SEEN_WAYS slots, chosen by the pair; the oldest slot of a set gives way. Each slot is
 * guarded by its stamp, which is odd while it is written, so a reader never sees halves of two
 * pairs. A process that is killed within the few nanoseconds of that leaves a slot unused for good.
 * There are no locks, so it can hold nobody up.
 *
 * Pure: memory comes from the caller (seenmap.h maps it), and no clock is read: age is the order.
 */
#ifndef MIH_DISPATCHER_SEEN_H
#define MIH_DISPATCHER_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SEEN_WAYS = 8,
    SEEN_OWNERS = 512, /* processes that share a store, numbered from 0 */
    SEEN_ENTRIES_MIN = 1024,
    SEEN_ENTRIES_MAX = 4 * 1024 * 1024,
};

struct seen_header;
struct seen_slot;

/* A process's view of the store; the memory stays the caller's. Zeroed: no store, which all calls
 * below take for one that knows nothing. */
struct seen {
    struct seen_header *header;
    struct seen_slot *slots;
    uint64_t set_mask;
};

struct seen_id {
    uint64_t high, low; /* the UUID; low is never 0, but when valid is false */
    bool valid;
};

struct seen_key {
    uint64_t word[2]; /* word[1] 0: a pair that is not written down */
};

enum seen_state {
    SEEN_NOT,   /* unknown, failed, or begun by a process that has died */
    SEEN_BEGUN, /* by a process that lives: its outcome is open */
    SEEN_DELIVERED,
};

/* The next power of two within the limits. */
uint64_t seen_entries(int64_t wanted);

/* Bytes that so many entries take; entries as seen_entries() gives them. */
size_t seen_bytes(uint64_t entries);

/* Makes an empty store in memory that is zeroed, seen_bytes(entries) long and aligned to 64. */
void seen_format(void *memory, uint64_t entries);

/* False when the memory holds no store of this form that fills exactly `size` bytes. */
bool seen_open(void *memory, size_t size, struct seen *ret_seen)
    __attribute__((warn_unused_result));

/* valid only for 8-4-4-4-12 lower-case hexadecimal digits with the variant of RFC 9562. */
void seen_id_parse(const char *text, struct seen_id *ret_id);

/* rule_id is positive. */
void seen_key_make(const struct seen_id *id, int64_t rule_id, struct seen_key *ret_key);

/* The name that process `number` (below SEEN_OWNERS) begins its pairs with until it ends. */
uint32_t seen_owner(const struct seen *s, unsigned number);

/* Process `number` has ended: what it had begun and not finished is unknown again. */
void seen_owner_ended(const struct seen *s, unsigned number);

enum seen_state seen_look(const struct seen *s, const struct seen_key *key);

/* Its request is about to be sent, whatever was known of the pair before. */
void seen_begin(const struct seen *s, const struct seen_key *key, uint32_t owner);

/* The pair is delivered. Call it before anything tells the broker so. */
void seen_delivered(const struct seen *s, const struct seen_key *key);

/* The owner's request failed, or was not sent after all. */
void seen_forget(const struct seen *s, const struct seen_key *key, uint32_t owner);

#endif
