/*
 * What the two sides of the publisher share, and nobody else includes: publisher.c runs in the
 * loop, publisher_thread.c on the thread.
 */
#ifndef MIH_WORKER_PUBLISHER_IMPL_H
#define MIH_WORKER_PUBLISHER_IMPL_H

#include "worker/publisher.h"

#include <pthread.h>

struct event;

enum {
    PUBLISHER_QUEUED_MAX = 10000,
    PUBLISHER_QUEUED_BYTES = 16 * 1024 * 1024,
    PUBLISHER_OPEN_MAX = 1000,
    PUBLISHER_OPEN_BYTES = 8 * 1024 * 1024,
    PUBLISHER_CONFIRM_MS = 10000,
    PUBLISHER_REASON = 240,
};

/* A publication or a call. Belongs to one list at a time: queued, under way, or finished. */
struct publisher_job {
    struct publisher_job *next;
    size_t size; /* bytes allocated */

    publisher_call *call; /* NULL: a publication */
    void *argument;
    publisher_call_done *call_done;
    int call_result;

    struct bus_publication publication; /* everything it points to lies behind this struct */
    publish_done *done;
    enum publish_result result;
    uint64_t number;
    int64_t sent_ms;

    void *context;
    char reason[PUBLISHER_REASON];
};

struct publisher_list {
    struct publisher_job *first, *last;
    size_t count, bytes;
};

/* What the thread tells about its connection. */
struct publisher_state {
    bool connected;
    bool blocked;
    unsigned changes;            /* counts what on_state should tell */
    unsigned losses;             /* a loss is told even when the next connection came at once */
    char text[PUBLISHER_REASON]; /* peer, or why not */
    char lost_text[PUBLISHER_REASON]; /* why the last connection was lost */
    char blocked_reason[PUBLISHER_REASON];
};

struct publisher {
    /* Constant while the thread runs. */
    struct bus_options options;
    char *strings; /* what options point to */
    int wake_fd;   /* wakes the thread */
    int done_fd;   /* wakes the loop */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct publisher_list queued;
    struct publisher_list finished;
    struct publisher_state state;
    struct bus *bus; /* for bus_interrupt() only */
    bool sleeping;
    bool stopping;
    bool exited;
    unsigned owners; /* loop and thread: the last one frees */

    /* The loop's own. */
    pthread_t thread;
    struct event *done_event;
    struct publisher_hooks hooks;
    struct publisher_state told;
    size_t n_open;
};

void publisher_list_add(struct publisher_list *list, struct publisher_job *job);
struct publisher_job *publisher_list_take(struct publisher_list *list);

/* Moves all of `from` to the end of `to`. */
void publisher_list_join(struct publisher_list *to, struct publisher_list *from);

void *publisher_thread(void *publisher);

/* Gives up one owner's share. */
void publisher_release(struct publisher *p);

#endif
