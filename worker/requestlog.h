/*
 * Recent requests, for the log that administrators read: the table log. Those that failed are all
 * written, and those of tests; of the others each process writes a number in each second and leaves
 * the rest out. What the log holds is purged by number (stattidy.h).
 *
 * Written on the store's thread, every second. No delivery ever waits for it: while the database is
 * away the newest are kept, in bounded number and memory, and the oldest are left out, counted and
 * logged. An answer that is lost may double some: the log is for people; sums are in the table
 * stat.
 *
 * No payload, no answer, no query of a URL: they may hold what not everybody may read.
 */
#ifndef MIH_WORKER_REQUESTLOG_H
#define MIH_WORKER_REQUESTLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct requestlog;
struct store;

enum {
    REQUESTLOG_BATCH = 200,
    REQUESTLOG_MAX = 4000,
    REQUESTLOG_BYTES = 2 * 1024 * 1024,
};

enum logged_text {
    LOGGED_ENDPOINT, /* URL or routing key */
    LOGGED_METHOD,
    LOGGED_ERROR,
    LOGGED_MESSAGE, /* its id */
    LOGGED_EVENT,   /* its name */
    LOGGED_TEXTS,
};

struct logged_request {
    int64_t service_id;
    int64_t rule_id;    /* 0: none */
    int64_t status;     /* 0: there was no answer */
    int64_t latency_us; /* -1: nothing was sent */
    int64_t attempts;
    int64_t time_s;
    bool success;
    const char *outcome;            /* a literal: delivered, retry or dead */
    const char *text[LOGGED_TEXTS]; /* NULL: not known */
};

/* rate: successes in a second. */
int requestlog_new(struct event_base *base, struct store *store, int64_t rate,
                   struct requestlog **ret_log) __attribute__((warn_unused_result));

/* In each, NULL logs nothing. */
void requestlog_set_rate(struct requestlog *l, int64_t rate);

/* Whether a request is to be added: always, unless it is one of those of which a number is enough.
 * Each true answer for one of these is one of its second. */
bool requestlog_wants(struct requestlog *l, bool sampled, int64_t now_s);

/* Copies it. */
void requestlog_add(struct requestlog *l, const struct logged_request *request);

/* Left out for want of room, or because they could not be written, since the start. NULL: none. */
uint64_t requestlog_dropped(const struct requestlog *l);

/* Hands what waits to the store, which writes it within its own grace. Before the store is freed.
 */
void requestlog_free(struct requestlog *l);

#endif
