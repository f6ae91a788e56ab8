/*
 * How the hub is now: what the tables say of processes, services, breakers, outbox and replays, and
 * what the broker says of queues. Each part is read as far as it can be; what could not has its
 * reason.
 */
#ifndef MIH_WORKER_CTL_STATE_H
#define MIH_WORKER_CTL_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ctl;

enum { CTL_SILENT_S = 10 }; /* a process whose row is older does not count as alive */

/* Times are ages, in seconds by the database's clock. */
struct ctl_worker {
    char host[256];
    char version[41];
    int64_t pid;
    int64_t up_s;
    int64_t seen_s;
    int64_t progress_s;
    int64_t in_flight;
    int64_t received, delivered, skipped, retried, dead;
    int64_t memory; /* bytes */
    bool elected;
};

struct ctl_service {
    int64_t id;
    char name[256];
    bool enabled;
    bool paused;
    char breaker[16]; /* closed, open, halfopen */
    int64_t trips;
    int64_t retry_in_s; /* while it is open */
    int64_t rules;      /* enabled ones */
    int64_t per_minute; /* delivered in the last whole minute */
    int64_t latency_us; /* mean of its requests; -1: there were none */
    int64_t oldest_s;   /* what waits has waited for at most so long; -1: not known */
    bool has_queue, has_dead;
    uint32_t ready, consumers; /* of its queue */
    uint32_t dead;             /* letters */
};

struct ctl_state {
    int64_t now_s;
    struct ctl_worker *workers;
    size_t n_workers, cap_workers;
    struct ctl_service *services;
    size_t n_services, cap_services;
    int64_t outbox_rows;
    int64_t outbox_oldest_s; /* its age; -1: none */
    int64_t replays;         /* requested or under way */
    bool replayer;           /* one works */
    uint64_t retries;        /* messages that wait for one, of all services */
    char broker[128];        /* which one answered; "": none */
    char db_reason[600];     /* "": the tables were read */
    char bus_reason[600];    /* "": the broker was asked */
};

/* Opens what is closed. Release the state in any case; what it cannot have is in its reasons. */
void ctl_state_read(struct ctl *c, struct ctl_state *ret_state);
void ctl_state_release(struct ctl_state *s);

#endif
