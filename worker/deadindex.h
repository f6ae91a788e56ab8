/*
 * The index of dead letters, table dlq: one row for each, so that the plugin can search and show
 * what lies in the broker's dead-letter queues. The broker has the letters; the index may be lost
 * and made again.
 *
 * The table has no unique key but its id. A row is found by message, rule (none is a value of its
 * own) and service, and of several the newest is the one; a letter without a message id has no
 * key and gets a new row each time. Texts are cut between two characters to what their columns
 * take (the payload to DEADINDEX_PAYLOAD_MAX), and bytes that are not UTF-8 become "?". Of the
 * endpoint neither user and password nor the query are kept: they may be secrets.
 *
 * Everything here blocks and may be repeated after a failure: it belongs on the store's thread, or
 * in a program of its own. Rows are written in transactions of up to a hundred, so there must be no
 * transaction under way.
 */
#ifndef MIH_WORKER_DEADINDEX_H
#define MIH_WORKER_DEADINDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/db.h"

enum { DEADINDEX_PAYLOAD_MAX = 64 * 1024, DEADINDEX_RESPONSE_MAX = 2048 };

/* Times in Unix seconds, 0: not known. status 0: there was no answer. Of event_name, reason,
 * payload, endpoint, method and response NULL means not known, and what a row has stays; "" means
 * that there was none. */
struct dead_row {
    int64_t service_id;
    int64_t rule_id; /* 0: none */
    int64_t attempts;
    int64_t status;
    int64_t first_s;
    int64_t died_s;
    int64_t replay_id; /* 0: none, and what a row has stays */
    bool was_ruleless; /* it was replayed as a letter of no rule, and has died as one of rule_id */
    const char *message_id;
    const char *event_name;
    const char *reason;
    const char *payload; /* the body as last sent; the event's when nothing was sent */
    const char *endpoint;
    const char *method;
    const char *response;
};

/* Adds or updates (state 'dead') the rows of these dead letters, which lie in the broker now. 0 or
 * a negative errno of db_query() or -ENOMEM. */
int deadindex_put(struct db *db, const struct dead_row *rows, size_t n)
    __attribute__((warn_unused_result));

/* The same for letters that have died a moment ago, and that a replay or a later death may have
 * overtaken since: a row keeps its state when it was changed since the death for a later replay
 * than the letter's or by retention, and all of it when it tells of a later death. The row of a
 * replayed letter without a rule is 'dropped' when it dies again under a rule: that is another
 * letter, with a row of its own. */
int deadindex_died(struct db *db, const struct dead_row *rows, size_t n)
    __attribute__((warn_unused_result));

/* Sets state and replay id of rows (adds those that are missing: the index may have been lost), and
 * nothing else of those that are there. state: "replayed", "delivered", "discarded", "dropped".
 * replay_id 0: of each row its own, or else what the table has. Errors as above. */
int deadindex_set(struct db *db, const struct dead_row *rows, size_t n, const char *state,
                  int64_t replay_id) __attribute__((warn_unused_result));

#endif
