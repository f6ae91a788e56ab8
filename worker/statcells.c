#include "worker/statcells.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT = 0x51A7 + (STAT_COUNTS << 16), NONE = -1, ROOM = STAT_CELLS / 4 };

/* The process may die between any two lines: what stands above is in the memory before what stands
 * below. */
static void in_order(void)
{
    atomic_signal_fence(memory_order_seq_cst);
}

struct key {
    int64_t service_id, rule_id, start_s, width_s;
};

static struct key key_of(const struct statcell *c)
{
    return (struct key){c->service_id, c->rule_id, c->start_s, c->width_s};
}

static bool has_key(const struct statcell *c, const struct key *k)
{
    return c->service_id == k->service_id && c->rule_id == k->rule_id && c->start_s == k->start_s &&
           c->width_s == k->width_s;
}

static size_t hash_of(const struct key *k)
{
    uint64_t h = (uint64_t)k->service_id * UINT64_C(0x9E3779B97F4A7C15);

    h = (h ^ (uint64_t)k->rule_id) * UINT64_C(0x9E3779B97F4A7C15);
    h = (h ^ (uint64_t)(k->start_s / STAT_MINUTE + k->width_s)) * UINT64_C(0x9E3779B97F4A7C15);
    return h >> 54; /* 10 bits: STAT_CELLS */
}

_Static_assert(STAT_CELLS == 1 << 10, "hash_of() gives 10 bits");

static size_t index_of(const struct statcells *s, const struct statcell *c)
{
    return (size_t)(c - s->memory->cells);
}

static void link_cell(struct statcells *s, size_t i)
{
    struct key key = key_of(&s->memory->cells[i]);
    size_t h = hash_of(&key);

    s->next[i] = s->first[h];
    s->first[h] = (int16_t)i;
}

static void unlink_cell(struct statcells *s, size_t i)
{
    struct key key = key_of(&s->memory->cells[i]);
    int16_t *at = &s->first[hash_of(&key)];

    while (*at != (int16_t)i)
        at = &s->next[*at];
    *at = s->next[i];
}

static void add_free(struct statcells *s, size_t i)
{
    s->next[i] = s->free;
    s->free = (int16_t)i;
    s->n_free++;
}

static void free_cell(struct statcells *s, size_t i)
{
    unlink_cell(s, i);
    s->memory->cells[i].width_s = 0;
    add_free(s, i);
}

static struct statcell *find(struct statcells *s, const struct key *key)
{
    for (int16_t i = s->first[hash_of(key)]; i != NONE; i = s->next[i])
        if (has_key(&s->memory->cells[i], key))
            return &s->memory->cells[i];
    return NULL;
}

static bool is_clean(const struct statcell *c)
{
    return memcmp(c->n, c->written, sizeof c->n) == 0 && c->max_us == c->written_max_us;
}

/* Adds what is not written of one cell to another, and frees it. */
static void merge(struct statcells *s, size_t from, size_t to)
{
    struct statmemory *m = s->memory;
    const struct statcell *source = &m->cells[from];
    struct statcell *target = &m->cells[to];

    m->journal.from = from;
    m->journal.to = to;
    m->journal.max_us = target->max_us;
    memcpy(m->journal.n, target->n, sizeof target->n);
    in_order();
    m->journal.open = true;
    in_order();
    for (size_t k = 0; k < STAT_COUNTS; k++)
        target->n[k] += source->n[k] - source->written[k];
    if (source->max_us > target->max_us)
        target->max_us = source->max_us;
    in_order();
    free_cell(s, from);
    in_order();
    m->journal.open = false;
}

/* A process died in merge(): as if that had not begun, or as if it had ended. */
static void recover(struct statmemory *m)
{
    if (!m->journal.open)
        return;
    if (m->journal.from < STAT_CELLS && m->journal.to < STAT_CELLS &&
        m->cells[m->journal.from].width_s != 0) {
        memcpy(m->cells[m->journal.to].n, m->journal.n, sizeof m->journal.n);
        m->cells[m->journal.to].max_us = m->journal.max_us;
    }
    in_order();
    m->journal.open = false;
}

/* Killed in the middle, it is of a minute that starts with the hour: as good. */
static void rename_cell(struct statcells *s, size_t i, const struct key *key)
{
    struct statcell *c = &s->memory->cells[i];

    unlink_cell(s, i);
    c->rule_id = key->rule_id;
    c->start_s = key->start_s;
    in_order();
    c->width_s = key->width_s;
    link_cell(s, i);
}

/* Makes cells that began before a time coarser: of this width, and of one rule. */
static void coarsen(struct statcells *s, int64_t width_s, int64_t before_s, bool one_rule)
{
    for (size_t i = 0; i < STAT_CELLS; i++) {
        const struct statcell *c = &s->memory->cells[i];
        const struct statcell *target;
        struct key key = key_of(c);

        if (c->width_s == 0 || s->held[i] || c->start_s >= before_s || c->width_s > width_s)
            continue;
        key.width_s = width_s;
        key.start_s -= key.start_s % width_s;
        key.rule_id = one_rule ? 0 : key.rule_id;
        if (has_key(c, &key))
            continue;
        target = find(s, &key);
        if (target)
            merge(s, i, index_of(s, target));
        else
            rename_cell(s, i, &key);
    }
}

static void free_clean(struct statcells *s, int64_t before_s)
{
    for (size_t i = 0; i < STAT_CELLS; i++) {
        const struct statcell *c = &s->memory->cells[i];

        if (c->width_s != 0 && !s->held[i] && c->start_s + c->width_s <= before_s && is_clean(c))
            free_cell(s, i);
    }
}

/* Each step only when those before it did not make enough room. */
static void make_room(struct statcells *s, int64_t now_s)
{
    const int64_t minute_s = now_s - now_s % STAT_MINUTE;

    free_clean(s, INT64_MAX);
    if (s->n_free < ROOM)
        coarsen(s, STAT_HOUR, minute_s, false);
    if (s->n_free < ROOM)
        coarsen(s, STAT_DAY, minute_s, false);
    if (s->n_free < ROOM)
        coarsen(s, STAT_DAY, INT64_MAX, false);
    if (s->n_free < ROOM)
        coarsen(s, STAT_DAY, INT64_MAX, true);
    if (s->n_free < ROOM)
        s->crowded_s = now_s;
}

static struct statcell *take(struct statcells *s, const struct key *key)
{
    struct statcell *c;
    int16_t i = s->free;

    if (i == NONE)
        return NULL;
    s->free = s->next[i];
    s->n_free--;
    c = &s->memory->cells[i];
    *c = (struct statcell){
        .service_id = key->service_id, .rule_id = key->rule_id, .start_s = key->start_s};
    in_order();
    c->width_s = key->width_s;
    link_cell(s, (size_t)i);
    return c;
}

/* The first choice is its minute; where everything is crowded, what there is of the service. */
static struct statcell *place(struct statcells *s, const struct key *key, int64_t now_s)
{
    struct key coarse = {key->service_id, 0, now_s - now_s % STAT_DAY, STAT_DAY};
    struct statcell *c = find(s, key);

    if (!c && s->n_free == 0 && s->crowded_s != now_s)
        make_room(s, now_s);
    if (!c && (s->n_free > ROOM / 2 || s->crowded_s != now_s))
        c = take(s, key);
    if (!c)
        c = find(s, &coarse);
    if (!c)
        c = take(s, &coarse);
    return c;
}

static struct statcell *cell_for(struct statcells *s, int64_t service_id, int64_t rule_id,
                                 int64_t now_s)
{
    const struct key key = {service_id, rule_id, now_s - now_s % STAT_MINUTE, STAT_MINUTE};

    if (!s->last || !has_key(s->last, &key))
        s->last = place(s, &key, now_s);
    if (!s->last)
        s->memory->lost++;
    return s->last;
}

void statcells_count(struct statcells *s, int64_t service_id, int64_t rule_id, int64_t now_s,
                     enum stat_count what)
{
    struct statcell *c = cell_for(s, service_id, rule_id, now_s);

    if (c)
        c->n[what]++;
}

unsigned statcells_bucket(int64_t us)
{
    uint64_t steps = us > 0 ? (uint64_t)(us - 1) / STAT_FIRST_BUCKET_US : 0;
    unsigned bucket = steps > 0 ? 64 - (unsigned)__builtin_clzll(steps) : 0;

    return bucket < STAT_BUCKETS ? bucket : STAT_BUCKETS - 1;
}

void statcells_latency(struct statcells *s, int64_t service_id, int64_t rule_id, int64_t now_s,
                       int64_t us)
{
    struct statcell *c = cell_for(s, service_id, rule_id, now_s);

    us = us > 0 ? us : 0;
    if (!c)
        return;
    c->n[STAT_BUCKET + statcells_bucket(us)]++;
    c->n[STAT_LATENCY_SUM] += (uint64_t)us;
    if ((uint64_t)us > c->max_us)
        c->max_us = (uint64_t)us;
}

static bool is_open(const struct statmemory *m)
{
    return m->batch.number > m->number;
}

static bool format(struct statmemory *m, const char *writer)
{
    if (m->format == 0) {
        strncpy(m->writer, writer, sizeof m->writer - 1);
        in_order();
        m->format = FORMAT;
    }
    return m->format == FORMAT && m->writer[STAT_WRITER_SIZE - 1] == '\0' &&
           m->batch.n <= STAT_BATCH_ROWS;
}

bool statcells_open(struct statmemory *memory, const char *writer, struct statcells *ret_cells)
{
    if (!format(memory, writer))
        return false;
    recover(memory);
    *ret_cells = (struct statcells){.memory = memory, .free = NONE, .crowded_s = -1};
    for (size_t i = 0; i < STAT_CELLS; i++)
        ret_cells->first[i] = NONE;
    for (size_t i = STAT_CELLS; i-- > 0;) {
        if (memory->cells[i].width_s == 0)
            add_free(ret_cells, i);
        else
            link_cell(ret_cells, i);
    }
    for (size_t i = 0; is_open(memory) && i < memory->batch.n; i++)
        ret_cells->held[memory->batch.rows[i].cell % STAT_CELLS] = true;
    return true;
}

/* Notes what the cells hold now. */
static void make_batch(struct statcells *s)
{
    struct statmemory *m = s->memory;
    size_t n = 0;

    for (size_t i = 0; i < STAT_CELLS && n < STAT_BATCH_ROWS; i++) {
        const struct statcell *c = &m->cells[i];

        if (c->width_s == 0 || is_clean(c))
            continue;
        m->batch.rows[n].cell = i;
        m->batch.rows[n].max_us = c->max_us;
        memcpy(m->batch.rows[n].n, c->n, sizeof c->n);
        s->held[i] = true;
        n++;
    }
    m->batch.n = n;
    in_order();
    m->batch.number = m->number + (n > 0);
}

static int by_key(const void *a, const void *b)
{
    const struct statrow *x = a;
    const struct statrow *y = b;
    const int64_t one[] = {x->width_s, x->start_s, x->service_id, x->rule_id};
    const int64_t other[] = {y->width_s, y->start_s, y->service_id, y->rule_id};

    for (size_t i = 0; i < sizeof one / sizeof *one; i++)
        if (one[i] != other[i])
            return one[i] < other[i] ? -1 : 1;
    return 0;
}

static void copy_row(const struct statmemory *m, size_t i, struct statrow *row)
{
    const struct statcell *c = &m->cells[m->batch.rows[i].cell % STAT_CELLS];

    *row = (struct statrow){
        .service_id = c->service_id,
        .rule_id = c->rule_id,
        .start_s = c->start_s,
        .width_s = c->width_s,
        .max_us = m->batch.rows[i].max_us,
    };
    for (size_t k = 0; k < STAT_COUNTS; k++)
        row->n[k] = m->batch.rows[i].n[k] - c->written[k];
}

bool statcells_batch(struct statcells *s, struct statbatch *ret_batch)
{
    const struct statmemory *m = s->memory;

    if (!is_open(m))
        make_batch(s);
    if (!is_open(m))
        return false;
    memcpy(ret_batch->writer, m->writer, sizeof m->writer);
    ret_batch->number = m->batch.number;
    ret_batch->n = m->batch.n;
    for (size_t i = 0; i < m->batch.n; i++)
        copy_row(m, i, &ret_batch->rows[i]);
    qsort(ret_batch->rows, ret_batch->n, sizeof *ret_batch->rows, by_key);
    return true;
}

/* Killed in the middle, the batch is still open: the table of batches tells that it was written,
 * and all of it is assigned again. */
void statcells_written(struct statcells *s, int64_t now_s)
{
    struct statmemory *m = s->memory;

    if (!is_open(m))
        return;
    for (size_t i = 0; i < m->batch.n; i++) {
        struct statcell *c = &m->cells[m->batch.rows[i].cell % STAT_CELLS];

        memcpy(c->written, m->batch.rows[i].n, sizeof c->written);
        c->written_max_us = m->batch.rows[i].max_us;
    }
    in_order();
    m->number = m->batch.number;
    memset(s->held, 0, sizeof s->held);
    free_clean(s, now_s);
}

bool statcells_clean(const struct statcells *s)
{
    if (is_open(s->memory))
        return false;
    for (size_t i = 0; i < STAT_CELLS; i++)
        if (s->memory->cells[i].width_s != 0 && !is_clean(&s->memory->cells[i]))
            return false;
    return true;
}

size_t statcells_used(const struct statcells *s)
{
    return STAT_CELLS - s->n_free;
}

uint64_t statcells_lost(const struct statcells *s)
{
    return s->memory->lost;
}
