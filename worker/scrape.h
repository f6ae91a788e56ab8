/*
 * A small HTTP server for a loop that has more important things to do: text on a few paths, for
 * those who watch. One request for each connection, SCRAPE_CONNECTIONS at a time, the others wait
 * in the kernel; whoever has not asked and taken the answer within SCRAPE_DEADLINE_MS is cut off.
 * It never blocks, and its memory is bounded. (evhttp of libevent 2.1 takes any number of
 * connections and keeps those that dawdle.)
 *
 * Where it cannot listen it tells the log and tries again, every SCRAPE_AGAIN_S.
 */
#ifndef MIH_WORKER_SCRAPE_H
#define MIH_WORKER_SCRAPE_H

#include <stddef.h>

#include "common/buf.h"

struct event_base;
struct scrape;

enum {
    SCRAPE_CONNECTIONS = 16,
    SCRAPE_DEADLINE_MS = 10000,
    SCRAPE_AGAIN_S = 5,
    SCRAPE_ANSWER_MAX = 32 * 1024 * 1024,
};

struct scrape_answer {
    int status; /* 200 or 503; 404: no such path */
    const char *content_type;
    struct buf body; /* of at most SCRAPE_ANSWER_MAX */
};

/* Fills an answer that is all zero but for the empty body. */
typedef void scrape_ask(void *context, const char *path, struct scrape_answer *answer);

/* A port, an IPv4 address and a port, or an IPv6 address in brackets and a port. A port alone is
 * one of the loopback address 127.0.0.1. Empty is none. For the table of settings: 0, or -EINVAL
 * with what is accepted. */
int scrape_check_address(const char *text, char *ret_reason, size_t size);

/* Listens nowhere yet. 0 or a negative errno. */
int scrape_new(struct event_base *base, scrape_ask *ask, void *context, struct scrape **ret_scrape)
    __attribute__((warn_unused_result));

/* From now on there; "": nowhere. A good address. */
void scrape_set_address(struct scrape *s, const char *address);

/* NULL is allowed. */
void scrape_free(struct scrape *s);

#endif
