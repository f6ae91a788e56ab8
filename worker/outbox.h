/*
 * The rows of Moodle's outbox that are due, read in batches and deleted by id: the database side
 * of the relay. Everything here runs on the store's thread and touches the batch alone.
 *
 * A batch is bounded in rows and in bytes: first only ids and lengths are read, then the payloads
 * of as many rows as fit. Rows that can never be published are counted and named, and left where
 * they are: their payload is never read.
 */
#ifndef MIH_WORKER_OUTBOX_H
#define MIH_WORKER_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/db.h"

enum {
    OUTBOX_BATCH_BYTES = 4 * 1024 * 1024,  /* of payloads; a single row may be larger */
    OUTBOX_PAYLOAD_MAX = 16 * 1024 * 1024, /* larger than any setting of max_event_bytes */
    OUTBOX_NAME_MAX = 255,                 /* bytes of an event name: an AMQP short string */
    OUTBOX_SITE_ID_SIZE = 256,
};

struct outbox_row {
    int64_t id;
    char *message_id;
    char *eventname;
    char routing_key[256];
    char *payload;
    size_t payload_len;
    int64_t timecreated;
};

struct outbox_batch {
    /* Asked for. */
    int64_t after_s; /* age by the database's clock */
    int64_t cursor;  /* rows with a higher id */
    size_t limit;    /* rows looked at */
    bool want_site_id;

    /* Found. */
    struct outbox_row *rows;
    size_t n;
    bool more;                         /* there may be due rows above last_id */
    int64_t last_id;                   /* highest id looked at; cursor when there was none */
    size_t aside;                      /* rows that can never be published */
    int64_t aside_id;                  /* the last of them, 0: none */
    const char *aside_reason;          /* why */
    char site_id[OUTBOX_SITE_ID_SIZE]; /* when asked for; "" where it cannot be read */
};

/* 0 or a negative errno as of db_query(). After a failure the batch holds no rows. */
int outbox_read(struct outbox_batch *batch, struct db *db) __attribute__((warn_unused_result));

/* Deletes rows by id. Errors as of db_query(). */
int outbox_delete(struct db *db, const int64_t *ids, size_t n) __attribute__((warn_unused_result));

void outbox_row_release(struct outbox_row *row);
void outbox_batch_release(struct outbox_batch *batch);

#endif
