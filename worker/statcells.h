/*
 * What became of deliveries: the counters of one worker process, per service, rule and minute,
 * until they stand in the table stat. Pure: no clock, no I/O.
 *
 * They live in memory that the supervisor keeps, so that the death of a process loses none: its
 * successor goes on with them (statmap.h). At every single instruction that memory can be taken up:
 * counters only grow, what was written is noted beside them by assignment, and what takes several
 * steps is journalled. Between what a delivery does and its being counted lie some instructions: a
 * process that is killed just there has delivered one that is not counted.
 *
 * What is to be written goes in batches, each with a number that grows by one. A batch stays the
 * same, also for a successor, until somebody says that it was written; the table of batches tells
 * whether it was, when the answer was lost (statrows.h).
 *
 * The number of cells is fixed. A cell is free again when its minute is over and written. When the
 * database is away for so long that none is free, minutes become hours, then days, and at last the
 * rules of a service one: sums stay exact, they only get coarser. With more services than cells,
 * what finds no place is lost, and counted as lost.
 *
 * Latencies are of requests that came to an end, well or not, in microseconds. Histogram: bucket k
 * counts those of at most 500 us * 2^k and more than the bucket before; the last one all above.
 */
#ifndef MIH_WORKER_STATCELLS_H
#define MIH_WORKER_STATCELLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    STAT_BUCKETS = 19,
    STAT_FIRST_BUCKET_US = 500,
    STAT_CELLS = 1024,
    STAT_BATCH_ROWS = 128,
    STAT_WRITER_SIZE = 33, /* hexadecimal digits and the end */
    STAT_MINUTE = 60,
    STAT_HOUR = 3600,
    STAT_DAY = 86400,
};

enum stat_count {
    STAT_DELIVERED,
    STAT_RETRIED,
    STAT_DEAD,
    STAT_SKIPPED,
    STAT_HELD,
    STAT_LATENCY_SUM,
    STAT_BUCKET, /* the first of STAT_BUCKETS */
    STAT_COUNTS = STAT_BUCKET + STAT_BUCKETS,
};

/* What is added to a row of the table; the row's max becomes max_us when that is greater. */
struct statrow {
    int64_t service_id;
    int64_t rule_id; /* 0: of no rule */
    int64_t start_s;
    int64_t width_s;
    uint64_t max_us;
    uint64_t n[STAT_COUNTS];
};

struct statbatch {
    char writer[STAT_WRITER_SIZE];
    uint64_t number; /* of this writer, from 1 */
    size_t n;
    struct statrow rows[STAT_BATCH_ROWS]; /* in the order of their keys: no deadlocks */
};

/* In the shared memory. */
struct statcell {
    int64_t service_id;
    int64_t rule_id;
    int64_t start_s;
    int64_t width_s; /* 0: the cell is free */
    uint64_t max_us;
    uint64_t written_max_us;
    uint64_t n[STAT_COUNTS];
    uint64_t written[STAT_COUNTS];
};

struct statmemory {
    uint64_t format; /* 0: new */
    char writer[STAT_WRITER_SIZE];
    uint64_t lost;
    uint64_t number; /* of the last batch that was written */
    struct {
        uint64_t number; /* above the one that was written: it is open */
        size_t n;
        struct {
            size_t cell;
            uint64_t max_us;
            uint64_t n[STAT_COUNTS]; /* of the cell when the batch was made */
        } rows[STAT_BATCH_ROWS];
    } batch;
    struct { /* of one cell that is added to another */
        bool open;
        size_t from, to;
        uint64_t max_us;
        uint64_t n[STAT_COUNTS]; /* of `to` before */
    } journal;
    struct statcell cells[STAT_CELLS];
};

/* This process's view. */
struct statcells {
    struct statmemory *memory;
    struct statcell *last;     /* as used last */
    int16_t first[STAT_CELLS]; /* by hash; -1: none */
    int16_t next[STAT_CELLS];  /* with the same hash, or free; -1: none */
    int16_t free;              /* -1: none */
    size_t n_free;
    bool held[STAT_CELLS]; /* in the open batch */
    int64_t crowded_s;     /* when there was no room last, though some was made */
};

/* Takes up what an earlier process left. writer names the memory when that is new, all zero: a text
 * that no other one has. False: the memory is of another version, and the view is of no use. */
bool statcells_open(struct statmemory *memory, const char *writer, struct statcells *ret_cells)
    __attribute__((warn_unused_result));

/* Some nanoseconds, mostly; never fails, never waits. */
void statcells_count(struct statcells *s, int64_t service_id, int64_t rule_id, int64_t now_s,
                     enum stat_count what);
void statcells_latency(struct statcells *s, int64_t service_id, int64_t rule_id, int64_t now_s,
                       int64_t us);

/* Copies the open batch, or else makes one of what is not written. False: all is. */
bool statcells_batch(struct statcells *s, struct statbatch *ret_batch);

/* The open batch stands in the table. */
void statcells_written(struct statcells *s, int64_t now_s);

/* Whether nothing is left to be written. */
bool statcells_clean(const struct statcells *s);

size_t statcells_used(const struct statcells *s);

/* What found no place; since the memory was made. */
uint64_t statcells_lost(const struct statcells *s);

/* The bucket of a latency. */
unsigned statcells_bucket(int64_t us);

#endif
