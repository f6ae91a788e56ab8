#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/statcells.h"

enum { NOON = 1700006400, MINUTES = 200 }; /* a whole hour */

/* A process's view, and what it has written: the sums of a table. */
struct world {
    struct statmemory *memory;
    struct statcells cells;
    uint64_t written[STAT_COUNTS];
    uint64_t rows;
    struct statbatch batch;
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    w->memory =
        mmap(NULL, sizeof *w->memory, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(statcells_open(w->memory, "0123456789abcdef0123456789abcdef", &w->cells));
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    munmap(w->memory, sizeof *w->memory);
    free(w);
    return 0;
}

static void add(struct world *w, const struct statbatch *batch)
{
    for (size_t i = 0; i < batch->n; i++)
        for (size_t k = 0; k < STAT_COUNTS; k++)
            w->written[k] += batch->rows[i].n[k];
    w->rows += batch->n;
}

static void write_all(struct world *w, int64_t now_s)
{
    while (statcells_batch(&w->cells, &w->batch)) {
        add(w, &w->batch);
        statcells_written(&w->cells, now_s);
    }
}

static void deliver(struct world *w, int64_t rule, int64_t now_s)
{
    statcells_count(&w->cells, 1, rule, now_s, STAT_DELIVERED);
    statcells_latency(&w->cells, 1, rule, now_s, 700);
}

static const struct {
    int64_t us;
    unsigned bucket;
} latencies[] = {
    {-5, 0},   {0, 0},    {500, 0},       {501, 1},       {1000, 1},       {1001, 2},
    {2000, 2}, {2001, 3}, {65536000, 17}, {65536001, 18}, {INT64_MAX, 18}, {32768000, 16},
};

static void each_latency_has_its_bucket(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof latencies / sizeof *latencies; i++)
        if (statcells_bucket(latencies[i].us) != latencies[i].bucket)
            fail_msg("%lld us: bucket %u, not %u", (long long)latencies[i].us,
                     statcells_bucket(latencies[i].us), latencies[i].bucket);
}

static void counts_go_into_the_row_of_their_service_rule_and_minute(void **state)
{
    struct world *w = *state;

    deliver(w, 7, NOON + 59);
    deliver(w, 7, NOON + 59);
    deliver(w, 7, NOON + 60);
    statcells_count(&w->cells, 1, 0, NOON, STAT_SKIPPED);
    statcells_latency(&w->cells, 1, 7, NOON, 123456);
    assert_true(statcells_batch(&w->cells, &w->batch));
    assert_int_equal(w->batch.n, 3);
    assert_int_equal(w->batch.number, 1);
    const struct statrow *of_none = &w->batch.rows[0];
    const struct statrow *first = &w->batch.rows[1];
    const struct statrow *second = &w->batch.rows[2];
    assert_int_equal(of_none->rule_id, 0);
    assert_int_equal(of_none->n[STAT_SKIPPED], 1);
    assert_int_equal(first->start_s, NOON);
    assert_int_equal(first->width_s, STAT_MINUTE);
    assert_int_equal(first->n[STAT_DELIVERED], 2);
    assert_int_equal(first->n[STAT_LATENCY_SUM], 2 * 700 + 123456);
    assert_int_equal(first->n[STAT_BUCKET + 1], 2);
    assert_int_equal(first->n[STAT_BUCKET + 8], 1);
    assert_int_equal(first->max_us, 123456);
    assert_int_equal(second->start_s, NOON + 60);
    assert_int_equal(second->n[STAT_DELIVERED], 1);
}

static void what_was_written_is_not_written_again(void **state)
{
    struct world *w = *state;

    deliver(w, 7, NOON);
    assert_true(statcells_batch(&w->cells, &w->batch));
    deliver(w, 7, NOON); /* while that one is on its way */
    statcells_written(&w->cells, NOON);
    assert_true(statcells_batch(&w->cells, &w->batch));
    assert_int_equal(w->batch.number, 2);
    assert_int_equal(w->batch.rows[0].n[STAT_DELIVERED], 1);
    statcells_written(&w->cells, NOON);
    assert_true(statcells_clean(&w->cells));
    assert_false(statcells_batch(&w->cells, &w->batch));
}

static void a_batch_stays_the_same_until_it_was_written(void **state)
{
    struct world *w = *state;
    static struct statbatch again;

    deliver(w, 7, NOON);
    assert_true(statcells_batch(&w->cells, &w->batch));
    deliver(w, 7, NOON);
    deliver(w, 8, NOON);
    assert_true(statcells_batch(&w->cells, &again));
    assert_memory_equal(&again, &w->batch, sizeof again);
    assert_false(statcells_clean(&w->cells));
}

/* Also when the process has died meanwhile. */
static void a_successor_goes_on_with_counts_and_batch(void **state)
{
    struct world *w = *state;
    static struct statbatch again;
    static struct statcells successor;

    deliver(w, 7, NOON);
    assert_true(statcells_batch(&w->cells, &w->batch));
    deliver(w, 8, NOON);
    assert_true(statcells_open(w->memory, "another", &successor));
    assert_true(statcells_batch(&successor, &again));
    assert_memory_equal(&again, &w->batch, sizeof again);
    statcells_written(&successor, NOON);
    assert_true(statcells_batch(&successor, &again));
    assert_int_equal(again.number, 2);
    assert_int_equal(again.n, 1);
    assert_int_equal(again.rows[0].rule_id, 8);
}

static void another_version_is_not_taken_up(void **state)
{
    struct world *w = *state;
    static struct statcells successor;

    w->memory->format++;
    assert_false(statcells_open(w->memory, "another", &successor));
}

static void a_minute_that_is_over_and_written_gives_its_cell_back(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < 10 * STAT_CELLS; i++) {
        deliver(w, 1 + i % 3, NOON + i * 60);
        write_all(w, NOON + i * 60);
        assert_in_range(statcells_used(&w->cells), 1, 4);
    }
    assert_int_equal(w->written[STAT_DELIVERED], 10 * STAT_CELLS);
    assert_int_equal(w->rows, 10 * STAT_CELLS);
}

/* An outage of the database: 20 rules for 200 minutes are more than there are cells. */
static void an_outage_makes_minutes_into_hours(void **state)
{
    struct world *w = *state;
    int64_t last_s = NOON + 60 * (MINUTES - 1);
    uint64_t hours = 0;

    for (int64_t now_s = NOON; now_s <= last_s; now_s += 60)
        for (int64_t rule = 1; rule <= 20; rule++)
            deliver(w, rule, now_s);
    while (statcells_batch(&w->cells, &w->batch)) {
        add(w, &w->batch);
        for (size_t i = 0; i < w->batch.n; i++) {
            hours += w->batch.rows[i].width_s == STAT_HOUR;
            assert_int_equal(w->batch.rows[i].start_s % w->batch.rows[i].width_s, 0);
            assert_int_not_equal(w->batch.rows[i].rule_id, 0);
            assert_int_not_equal(w->batch.rows[i].width_s, STAT_DAY);
        }
        statcells_written(&w->cells, last_s);
    }
    assert_in_range(hours, 20, 80);
    assert_int_equal(w->written[STAT_DELIVERED], 20 * MINUTES);
    assert_int_equal(w->written[STAT_BUCKET + 1], 20 * MINUTES);
    assert_int_equal(w->written[STAT_LATENCY_SUM], 700 * 20 * MINUTES);
    assert_int_equal(statcells_lost(&w->cells), 0);
}

/* The same, while a batch is on its way for all that time. */
static void an_open_batch_is_left_as_it_is(void **state)
{
    struct world *w = *state;
    static struct statbatch again;

    for (int64_t rule = 1; rule <= 200; rule++)
        deliver(w, rule, NOON);
    assert_true(statcells_batch(&w->cells, &w->batch));
    for (int64_t now_s = NOON; now_s < NOON + 60 * MINUTES; now_s += 60)
        for (int64_t rule = 1; rule <= 20; rule++)
            deliver(w, rule, now_s);
    assert_true(statcells_batch(&w->cells, &again));
    assert_memory_equal(&again, &w->batch, sizeof again);
    write_all(w, NOON + 60 * MINUTES);
    assert_int_equal(w->written[STAT_DELIVERED], 200 + 20 * MINUTES);
}

static void more_rules_than_cells_become_one_and_sums_stay_exact(void **state)
{
    struct world *w = *state;
    enum { RULES = 5 * STAT_CELLS };

    for (int64_t rule = 1; rule <= RULES; rule++)
        deliver(w, rule, NOON + rule / 100);
    write_all(w, NOON + 3600);
    assert_int_equal(w->written[STAT_DELIVERED], RULES);
    assert_int_equal(statcells_lost(&w->cells), 0);
}

static void more_services_than_cells_are_lost_and_counted(void **state)
{
    struct world *w = *state;
    enum { SERVICES = STAT_CELLS + 50 };

    for (int64_t service = 1; service <= SERVICES; service++)
        statcells_count(&w->cells, service, 1, NOON, STAT_DEAD);
    write_all(w, NOON);
    assert_int_equal(w->written[STAT_DEAD] + statcells_lost(&w->cells), SERVICES);
    assert_int_equal(statcells_lost(&w->cells), 50);
}

/* Two cells, of which the first was being added to the second; returns what the table gets. */
static uint64_t after_a_death_while_merging(struct world *w, uint64_t added, bool freed)
{
    struct statmemory *m = w->memory;

    deliver(w, 1, NOON);
    deliver(w, 1, NOON);
    deliver(w, 1, NOON + 60);
    struct statcell *from = m->cells[0].start_s == NOON ? &m->cells[0] : &m->cells[1];
    struct statcell *to = from == &m->cells[0] ? &m->cells[1] : &m->cells[0];

    m->journal.from = (size_t)(from - m->cells);
    m->journal.to = (size_t)(to - m->cells);
    m->journal.max_us = to->max_us;
    memcpy(m->journal.n, to->n, sizeof to->n);
    m->journal.open = true;
    to->n[STAT_DELIVERED] += added;
    if (freed)
        from->width_s = 0;
    assert_true(statcells_open(m, "successor", &w->cells));
    write_all(w, NOON);
    return w->written[STAT_DELIVERED];
}

static void a_death_before_the_end_of_a_merge_undoes_it(void **state)
{
    assert_int_equal(after_a_death_while_merging(*state, 2, false), 3);
}

static void a_death_after_the_end_of_a_merge_keeps_it(void **state)
{
    assert_int_equal(after_a_death_while_merging(*state, 2, true), 3);
}

static void a_death_while_a_batch_is_noted_keeps_it_open(void **state)
{
    struct world *w = *state;
    static struct statbatch again;
    static struct statcells successor;

    deliver(w, 7, NOON);
    deliver(w, 8, NOON);
    assert_true(statcells_batch(&w->cells, &w->batch));
    struct statcell *c = &w->memory->cells[w->memory->batch.rows[0].cell];
    memcpy(c->written, c->n, sizeof c->written);
    assert_true(statcells_open(w->memory, "successor", &successor));
    assert_true(statcells_batch(&successor, &again));
    assert_int_equal(again.number, w->batch.number); /* the table knows it */
    statcells_written(&successor, NOON);
    assert_true(statcells_clean(&successor));
}

/* What a database does: all of a batch or nothing of it, and none twice. */
struct table {
    struct {
        uint64_t number;
        uint64_t delivered;
    } state[2];
    volatile unsigned now;  /* the state in force */
    volatile uint64_t told; /* by the process: how many it is about to have counted */
};

static void commit(struct table *t, const struct statbatch *batch)
{
    unsigned next = !t->now;

    if (batch->number <= t->state[t->now].number)
        return;
    t->state[next].number = batch->number;
    t->state[next].delivered = t->state[t->now].delivered;
    for (size_t i = 0; i < batch->n; i++)
        t->state[next].delivered += batch->rows[i].n[STAT_DELIVERED];
    t->now = next;
}

/* What a process does until it is killed, with a database that hears from it now and then. */
static void work(struct world *w, struct table *t)
{
    for (int64_t i = 0;; i++) {
        int64_t now_s = NOON + i / 40 * 60;

        t->told++;
        statcells_count(&w->cells, 1, 1 + i % 40, now_s, STAT_DELIVERED);
        if (i % 700 == 0 && statcells_batch(&w->cells, &w->batch))
            commit(t, &w->batch);
        if (i % 2800 == 0)
            statcells_written(&w->cells, now_s);
    }
}

/* Wherever it is killed: counting, merging, making a batch, noting that it was written. */
static void a_kill_loses_at_most_the_one_that_is_being_counted(void **state)
{
    struct world *w = *state;
    struct table *t =
        mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    for (unsigned round = 0; round < 300; round++) {
        uint64_t before = t->state[t->now].delivered;
        pid_t pid;

        t->told = 0;
        pid = fork();
        if (pid == 0)
            work(w, t);
        usleep(200 + round * 37 % 3000);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        assert_true(statcells_open(w->memory, "successor", &w->cells));
        while (statcells_batch(&w->cells, &w->batch)) {
            commit(t, &w->batch);
            statcells_written(&w->cells, NOON);
        }
        uint64_t counted = t->state[t->now].delivered - before;
        assert_in_range(counted, t->told - (t->told > 0), t->told);
    }
    munmap(t, sizeof *t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_latency_has_its_bucket),
        cmocka_unit_test_setup_teardown(counts_go_into_the_row_of_their_service_rule_and_minute,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_written_is_not_written_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_batch_stays_the_same_until_it_was_written, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_successor_goes_on_with_counts_and_batch, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(another_version_is_not_taken_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_minute_that_is_over_and_written_gives_its_cell_back,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_outage_makes_minutes_into_hours, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_open_batch_is_left_as_it_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_rules_than_cells_become_one_and_sums_stay_exact,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_services_than_cells_are_lost_and_counted, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_death_before_the_end_of_a_merge_undoes_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_death_after_the_end_of_a_merge_keeps_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_death_while_a_batch_is_noted_keeps_it_open, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_kill_loses_at_most_the_one_that_is_being_counted, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
