/*
 * What the two sides of the AMQP transport share, and nobody else includes: amqp.c runs in the
 * loop, amqp_link.c on a thread for each connection, amqp_job.c makes what goes between them.
 *
 * One lock for all: it is held for a few instructions at a time. A publication is made by the loop
 * and stands in its list of what is open until it is answered. Meanwhile the thread has it: in the
 * link's queue, from which the loop may take it back, then under way, then among what is finished.
 * Only who has it may free it.
 */
#ifndef MIH_DISPATCHER_AMQP_IMPL_H
#define MIH_DISPATCHER_AMQP_IMPL_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/bus.h"
#include "dispatcher/stillness.h"
#include "dispatcher/transport.h"

struct amqp;
struct amqp_link;
struct event;

enum {
    AMQP_LINKS_MAX = 64, /* connections, and with each a thread */
    AMQP_IDLE_MS = 60000,
    AMQP_HEARTBEAT_S = 10,
    AMQP_MAX_BODY = 16 * 1024 * 1024,   /* what RabbitMQ 4 takes unless told otherwise */
    AMQP_OPEN_BYTES = 64 * 1024 * 1024, /* copies of what is under way, of all connections */
};

/* One message. */
struct amqp_job {
    struct amqp_job *next; /* in the list of whoever has it */
    TAILQ_ENTRY(amqp_job) open;
    struct amqp *amqp;
    struct amqp_link *link; /* NULL: it is answered without being sent */
    size_t size;            /* bytes allocated */
    struct event *timer;
    transport_done *done;
    void *context;
    int64_t start_us;
    int64_t still_us; /* the stillness there had been by then */
    int64_t timeout_ms;
    bool answered;
    bool queued;   /* in the link's queue */
    bool finished; /* among the hub's finished: its outcome is there */
    enum outcome_kind kind;
    char text[OUTCOME_TEXT_SIZE];
    uint64_t number;
    struct bus_publication publication; /* everything it points to lies behind this struct */
};

TAILQ_HEAD(amqp_open, amqp_job);

struct amqp_list {
    struct amqp_job *first, *last;
    size_t count;
};

void amqp_list_add(struct amqp_list *list, struct amqp_job *job);
struct amqp_job *amqp_list_take(struct amqp_list *list);
/* Takes one out of the middle; `before` is the one before it, or NULL. */
void amqp_list_remove(struct amqp_list *list, struct amqp_job *before, struct amqp_job *job);

/* Copies what is to be sent; NULL: out of memory. */
struct amqp_job *amqp_job_new(const struct request *request);
void amqp_job_free(struct amqp_job *job); /* the timer must be gone */

/* Where the threads leave what they have done. Owned by the transport and the threads together. */
struct amqp_hub {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a thread has ended, or a question has its answer */
    int done_fd;            /* wakes the loop */
    struct amqp_list finished;
    unsigned owners;
    char *ca_file;
    char *name; /* of the connections, as the broker shows it */
    int connect_timeout_ms;
};

void amqp_hub_release(struct amqp_hub *hub);

/* One connection of one service, and its thread. */
struct amqp_link {
    TAILQ_ENTRY(amqp_link) link;
    struct amqp_hub *hub;

    /* Constant while the thread runs. */
    int64_t service_id;
    char *url;
    char *shown;
    char *host;
    char *queue;
    char *dlq;
    char *name;
    int wake_fd;

    /* Guarded by the lock. */
    struct amqp_list queued;
    struct bus *bus; /* for bus_interrupt() only */
    bool blocked;
    bool overdue; /* the loop has broken the connection, for want of a confirm */
    bool sleeping;
    bool stopping; /* it shall end */
    bool ending;   /* it takes nothing any more */
    bool exited;
    bool orphaned;                   /* nobody waits for it: it frees the link itself */
    bool asks;                       /* whether `address` may be connected to */
    struct sockaddr_storage address; /* asked about, then connected to */
    char refusal[OUTCOME_TEXT_SIZE]; /* the answer; "" for yes */
    char failure[OUTCOME_TEXT_SIZE]; /* of the last attempt to connect; "" when connected */
    char blocked_reason[80];

    /* The loop's own. */
    pthread_t thread;
    size_t n_open;
    int64_t used_ms;
};

TAILQ_HEAD(amqp_links, amqp_link);

void *amqp_link_thread(void *link);
void amqp_link_free(struct amqp_link *link);

/* Wakes its thread, when it sleeps; the lock is held. */
void amqp_link_wake(struct amqp_link *link);

/* It takes nothing more, and its thread ends; the lock is held. */
void amqp_link_stop(struct amqp_link *link);

struct amqp {
    struct transport transport; /* first: a transport is an amqp */
    struct event_base *base;
    struct event *done_event;
    struct stillness stillness;
    struct amqp_hub *hub;
    const struct netguard *guard;
    struct amqp_links links;
    size_t n_links;
    struct amqp_open open; /* the oldest first */
    size_t n_open, open_bytes;
};

/* amqp_pool.c, all in the loop. NULL: out of memory or descriptors. */
struct amqp_hub *amqp_hub_new(const struct transport_settings *settings);

/* Waits so long, or for news of the threads; the lock is held. */
void amqp_hub_wait(struct amqp_hub *hub, int64_t ms);

/* The link that takes messages of the service, or NULL; the lock is held. */
struct amqp_link *amqp_pool_find(struct amqp *a, const struct service *service);

/* Makes one, and starts its thread. 0 or negative errno. */
int amqp_pool_add(struct amqp *a, const struct service *service, struct amqp_link **ret_link)
    __attribute__((warn_unused_result));

/* All connections are taken: the one that was idle the longest ends. */
void amqp_pool_make_room(struct amqp *a);

/* Answers the threads' questions, and moves the links whose threads have ended; the lock is held.
 */
void amqp_pool_collect(struct amqp *a, struct amqp_links *ret_ended);

/* Links that have not ended; breaks the connections of those that take too long. The lock is
 * held. */
size_t amqp_pool_running(struct amqp *a, bool impatient);

#endif
