/*
 * Which message kills the processes that work on it.
 *
 * A process that dies returns all the messages it held, and the broker counts each of them as
 * returned: its count cannot tell the one that is to blame from its neighbours. So each process
 * writes down, in memory that it shares with the supervisor and that survives it, the message that
 * it is working on at this very moment (parsing, rendering, sending, judging an answer, publishing
 * a retry or dead letter). When a process dies, the supervisor notes that message's death. A
 * message that comes back after SUSPECT_DEATHS of them is a dead letter, `poison`, before anything
 * is done with it; where the broker has counted SUSPECT_RETURNS, because the message went round
 * among several hosts, two deaths on this host are enough (not one: breakers, pauses and lost
 * connections return messages, too). Neighbours that are returned often are
 * published anew before the broker's limit, which stays as the last resort (delivery.h).
 *
 * Not every crash happens there: curl, for one, reads answers of many requests in turn. When a
 * process has crashed with requests under way and was working on no message, all processes are
 * careful for SUSPECT_CARE_MS: each has one request under way at a time, and as long as that is so,
 * it is the message worked on. One that crashes before it sends anything, or that the watchdog
 * aborts, makes nobody careful.
 *
 * What it rests on: a sound message is blamed by chance only, when the same one is being worked on
 * at three deaths. Work on a message takes some microseconds, so a kill -9, by an operator or
 * because memory ran out, counts like a crash while a message is worked on; while its one request
 * is merely under way, which may take long, it counts for nothing. A bug elsewhere
 * that kills again and again while the same slow request is under way, carefully, looks the same;
 * its message is then a dead letter that can be replayed.
 *
 * A message is known by service, id and body, so that ids that are empty or used twice do no harm.
 * Only those that the broker gives away once more are written down (and, carefully, all): to the
 * others it costs four moves in memory. A message that is published anew, such as a replay, is
 * tried once before its earlier deaths count. With the supervisor all of it is forgotten.
 */
#ifndef MIH_WORKER_SUSPECTS_H
#define MIH_WORKER_SUSPECTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/timing.h"
#include "worker/seenmap.h"

enum {
    SUSPECTS_FD = SEENMAP_FD + 1, /* where a child inherits the memory, when there is any */
    SUSPECTS_MAX = 64,            /* messages noted; the one that killed longest ago gives way */
    SUSPECT_SLOTS = 512,          /* processes, numbered from 0 */
    SUSPECT_DEATHS = 3,
    SUSPECT_DEATHS_RETURNED = 2,
    SUSPECT_RETURNS = 10,
    SUSPECT_CARE_MS = 30000,
};

/* A message; all zero: none, or one that is not written down. */
struct suspect_key {
    uint64_t word[2]; /* of the second the lowest bit is set, and the next one is not */
};

/* That other bit, where a key is written down: its request is merely under way. */
#define SUSPECT_WAITS UINT64_C(2)

struct suspects_memory {
    struct {
        _Alignas(64) _Atomic uint64_t word[2]; /* what this process is working on */
        _Atomic unsigned in_flight;            /* its requests under way */
    } now[SUSPECT_SLOTS];
    _Alignas(64) _Atomic int64_t careful_until_ms; /* monotonic; 0: never yet */
    struct {
        _Atomic uint64_t word[2];
        _Atomic unsigned deaths; /* 0: not in use */
        uint64_t turn;           /* the supervisor's: the order of their last deaths */
    } noted[SUSPECTS_MAX];
    uint64_t turns;
};

struct suspects {
    struct suspects_memory *memory;
    unsigned number;              /* of this process */
    struct suspect_key doing;     /* between suspects_enter() and suspects_leave() */
    struct suspect_key under_way; /* the one request, when careful */
};

/* What is known of a process's end. */
enum suspect_end {
    SUSPECT_ASKED,   /* it was told to end */
    SUSPECT_KILLED,  /* kill -9, or something like it */
    SUSPECT_CRASHED, /* its own doing */
};

/* The supervisor's part. Never fails: without shared memory, nobody is ever blamed, and the log
 * says so. ret_fd is close-on-exec, or -1. */
void suspects_make(struct suspects *ret_suspects, int *ret_fd);

/* Process `number` has ended. Returns the deaths noted, with this one, of the message that it was
 * working on; 0: none is to blame. */
unsigned suspects_ended(struct suspects *s, unsigned number, enum suspect_end end, int64_t now_ms);

/* A process's part: takes the descriptor SUSPECTS_FD, if there is one. */
void suspects_attach(struct suspects *ret_suspects, unsigned number);

void suspects_release(struct suspects *s);

void suspect_key_make(int64_t service_id, const char *message_id, const char *body, size_t len,
                      struct suspect_key *ret_key);

/* True when the message, which the broker has counted as returned so often, is poison; with the
 * deaths noted of it. */
bool suspects_is_poison(const struct suspects *s, const struct suspect_key *key, int64_t returns,
                        unsigned *ret_deaths);

/* Whether requests go one at a time now. */
static inline bool suspects_careful(const struct suspects *s)
{
    int64_t until_ms = atomic_load_explicit(&s->memory->careful_until_ms, memory_order_relaxed);

    return until_ms != 0 && timing_mono_ms() < until_ms;
}

/* Not to be called by others. */
static inline void suspects_write(const struct suspects *s, struct suspect_key key)
{
    _Atomic uint64_t *word = s->memory->now[s->number].word;

    atomic_store_explicit(&word[0], key.word[0], memory_order_relaxed);
    atomic_store_explicit(&word[1], key.word[1], memory_order_relaxed);
}

/* How many requests of this process are under way now. */
static inline void suspects_in_flight(const struct suspects *s, unsigned n)
{
    atomic_store_explicit(&s->memory->now[s->number].in_flight, n, memory_order_relaxed);
}

/* The work on a message begins; returns what suspects_leave() gets. Pairs may be nested. */
static inline struct suspect_key suspects_enter(struct suspects *s, struct suspect_key key)
{
    struct suspect_key before = s->doing;

    s->doing = key;
    suspects_write(s, key);
    return before;
}

static inline void suspects_leave(struct suspects *s, struct suspect_key before)
{
    s->doing = before;
    if (s->under_way.word[1] != 0 && !suspects_careful(s))
        s->under_way = (struct suspect_key){{0, 0}}; /* others may be under way beside it now */
    if (before.word[1] == 0 && s->under_way.word[1] != 0)
        suspects_write(
            s, (struct suspect_key){{s->under_way.word[0], s->under_way.word[1] | SUSPECT_WAITS}});
    else
        suspects_write(s, before);
}

#endif
