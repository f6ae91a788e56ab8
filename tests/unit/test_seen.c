/* The store of delivered pairs: what it takes for the same, what it forgets, and four processes at
 * once. */
#include <inttypes.h>
#include <setjmp.h>
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

#include "dispatcher/seen.h"

#define ENTRIES UINT64_C(1024)
#define ID "01990000-1234-7abc-8def-0123456789ab"

enum { SETS = 1024 / SEEN_WAYS, RULE = 7 };

struct store {
    void *memory;
    struct seen seen;
};

/* Shared with processes that are forked later. */
static struct store new_store(void)
{
    const size_t size = seen_bytes(ENTRIES);
    struct store s = {
        .memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)};

    assert_ptr_not_equal(s.memory, MAP_FAILED);
    seen_format(s.memory, ENTRIES);
    assert_true(seen_open(s.memory, size, &s.seen));
    return s;
}

static void drop_store(struct store *s)
{
    munmap(s->memory, seen_bytes(ENTRIES));
}

static struct seen_key key_of(const char *text, int64_t rule)
{
    struct seen_id id;
    struct seen_key key;

    seen_id_parse(text, &id);
    assert_true(id.valid);
    seen_key_make(&id, rule, &key);
    return key;
}

static struct seen_key key_of_halves(uint64_t high, uint64_t low, int64_t rule)
{
    const struct seen_id id = {.high = high, .low = low, .valid = true};
    struct seen_key key;

    seen_key_make(&id, rule, &key);
    return key;
}

/* A number of its own for each n, spread over all bits; the variant bits are set right. */
static struct seen_key nth_key(uint64_t n)
{
    uint64_t spread = (n + 1) * UINT64_C(0x9e3779b97f4a7c15);

    return key_of_halves(spread, spread >> 3 | UINT64_C(1) << 63, RULE);
}

/* Where in the store the pair goes: the only set that is not empty in a new one. */
static size_t set_of(const struct seen_key *key)
{
    static struct store s;
    static const char nothing[1024];
    const size_t begin = seen_bytes(0);
    const size_t size = (seen_bytes(ENTRIES) - begin) / SETS;
    size_t set = 0;

    if (!s.memory)
        s = new_store();
    seen_delivered(&s.seen, key);
    assert_true(size <= sizeof nothing);
    while (set < SETS && memcmp((char *)s.memory + begin + set * size, nothing, size) == 0)
        set++;
    assert_true(set < SETS);
    memset((char *)s.memory + begin + set * size, 0, size);
    return set;
}

/* n pairs of one set. */
static void find_neighbours(struct seen_key *ret_keys, size_t n)
{
    const struct seen_key first = nth_key(0);
    const size_t set = set_of(&first);
    size_t found = 0;

    for (uint64_t i = 0; found < n; i++) {
        const struct seen_key key = nth_key(i);

        if (set_of(&key) == set)
            ret_keys[found++] = key;
    }
}

static void entries_are_a_power_of_two_within_the_limits(void **state)
{
    static const struct {
        int64_t wanted;
        uint64_t entries;
    } rows[] = {
        {-1, 1024},       {0, 1024},        {1024, 1024},       {1025, 2048},
        {262144, 262144}, {262145, 524288}, {4194304, 4194304}, {INT64_MAX, 4194304},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (seen_entries(rows[i].wanted) != rows[i].entries)
            fail_msg("%" PRId64 " gives %" PRIu64, rows[i].wanted, seen_entries(rows[i].wanted));
}

static void only_a_uuid_in_its_one_form_is_an_id(void **state)
{
    static const struct {
        const char *text;
        bool valid;
    } rows[] = {
        {ID, true},
        {"00000000-0000-0000-8000-000000000000", true},
        {"ffffffff-ffff-ffff-bfff-ffffffffffff", true},
        {"", false},
        {"body-0123456789abcdef0123456789abcdef", false},
        {"01990000-1234-7ABC-8def-0123456789ab", false}, /* the same UUID, another text */
        {"01990000-1234-7abc-7def-0123456789ab", false}, /* not the variant of RFC 9562 */
        {"01990000-1234-7abc-cdef-0123456789ab", false},
        {"00000000-0000-0000-0000-000000000000", false},
        {"01990000-1234-7abc-8def-0123456789a", false},
        {"01990000-1234-7abc-8def-0123456789abc", false},
        {"01990000-1234-7abc-8def-0123456789ag", false},
        {"019900001234-7abc-8def-0123456789ab-", false},
        {"019900001234-7abc8def-0123456789ab", false},
        {"{1990000-1234-7abc-8def-0123456789ab", false},
        {" 01990000-1234-7abc-8def-0123456789ab", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct seen_id id;

        seen_id_parse(rows[i].text, &id);
        if (id.valid != rows[i].valid)
            fail_msg("\"%s\" is %s", rows[i].text, id.valid ? "an id" : "no id");
    }
    struct seen_id id;

    seen_id_parse(ID, &id);
    assert_true(id.high == UINT64_C(0x0199000012347abc) && id.low == UINT64_C(0x8def0123456789ab));
}

static void what_is_no_uuid_is_never_seen(void **state)
{
    struct store s = new_store();
    struct seen_id id;
    struct seen_key key;

    (void)state;
    seen_id_parse("order-4711", &id);
    seen_key_make(&id, RULE, &key);
    seen_delivered(&s.seen, &key);
    assert_int_equal(seen_look(&s.seen, &key), SEEN_NOT);
    drop_store(&s);
}

static void look_alikes_are_not_taken_for_each_other(void **state)
{
    const struct seen_key key = key_of(ID, RULE);
    struct seen_id id;
    struct store s = new_store();
    const int64_t rules[] = {1, 6, 8, RULE << 1, RULE | INT64_C(1) << 32, INT64_MAX};

    (void)state;
    seen_id_parse(ID, &id);
    seen_delivered(&s.seen, &key);
    assert_int_equal(seen_look(&s.seen, &key), SEEN_DELIVERED);
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        const struct seen_key other = key_of(ID, rules[i]);

        if (seen_look(&s.seen, &other) != SEEN_NOT)
            fail_msg("rule %" PRId64 " was taken for %d", rules[i], RULE);
    }
    for (unsigned bit = 0; bit < 128; bit++) {
        const uint64_t one = UINT64_C(1) << bit % 64;
        const struct seen_key other = key_of_halves(bit < 64 ? id.high ^ one : id.high,
                                                    bit < 64 ? id.low : id.low ^ one, RULE);

        if (seen_look(&s.seen, &other) != SEEN_NOT)
            fail_msg("an id that differs in bit %u was taken for the other", bit);
    }
    const struct seen_key swapped = key_of_halves(id.low, id.high, RULE);

    assert_int_equal(seen_look(&s.seen, &swapped), SEEN_NOT);
    drop_store(&s);
}

/* All at once and in a store that holds them all: no two share a place or a name. */
static void ids_that_count_up_are_all_different(void **state)
{
    struct store s = new_store();
    const uint64_t high = UINT64_C(0x0199000000007000), low = UINT64_C(0x8000000000000000);

    (void)state;
    for (uint64_t i = 0; i < 256; i++) {
        const struct seen_key key = key_of_halves(high + i / 16, low + i % 16, 1 + (int64_t)i % 3);

        if (seen_look(&s.seen, &key) != SEEN_NOT)
            fail_msg("number %" PRIu64 " was taken for an earlier one", i);
        seen_delivered(&s.seen, &key);
    }
    drop_store(&s);
}

static void a_pair_is_begun_until_it_is_delivered_or_has_failed(void **state)
{
    struct store s = new_store();
    const struct seen_key key = key_of(ID, RULE);
    const uint32_t first = seen_owner(&s.seen, 0), second = seen_owner(&s.seen, 1);

    (void)state;
    assert_int_equal(seen_look(&s.seen, &key), SEEN_NOT);
    seen_begin(&s.seen, &key, first);
    assert_int_equal(seen_look(&s.seen, &key), SEEN_BEGUN);
    seen_forget(&s.seen, &key, second); /* not its own */
    assert_int_equal(seen_look(&s.seen, &key), SEEN_BEGUN);
    seen_forget(&s.seen, &key, first);
    assert_int_equal(seen_look(&s.seen, &key), SEEN_NOT);
    seen_begin(&s.seen, &key, second);
    seen_delivered(&s.seen, &key);
    assert_int_equal(seen_look(&s.seen, &key), SEEN_DELIVERED);
    seen_forget(&s.seen, &key, second); /* it is delivered, whatever else is tried */
    assert_int_equal(seen_look(&s.seen, &key), SEEN_DELIVERED);
    seen_begin(&s.seen, &key, first); /* sent once more on purpose */
    assert_int_equal(seen_look(&s.seen, &key), SEEN_BEGUN);
    drop_store(&s);
}

static void what_a_dead_process_had_begun_is_unknown_again(void **state)
{
    struct store s = new_store();
    const struct seen_key begun = key_of(ID, RULE), done = key_of(ID, RULE + 1);
    const unsigned last = SEEN_OWNERS - 1;

    (void)state;
    seen_begin(&s.seen, &begun, seen_owner(&s.seen, last));
    seen_begin(&s.seen, &done, seen_owner(&s.seen, last));
    seen_delivered(&s.seen, &done);
    seen_owner_ended(&s.seen, 0); /* another */
    assert_int_equal(seen_look(&s.seen, &begun), SEEN_BEGUN);
    seen_owner_ended(&s.seen, last);
    assert_int_equal(seen_look(&s.seen, &begun), SEEN_NOT);
    assert_int_equal(seen_look(&s.seen, &done), SEEN_DELIVERED);
    seen_begin(&s.seen, &begun, seen_owner(&s.seen, last)); /* its successor */
    assert_int_equal(seen_look(&s.seen, &begun), SEEN_BEGUN);
    drop_store(&s);
}

static void the_oldest_of_a_set_gives_way(void **state)
{
    enum { N = 4 * SEEN_WAYS };
    struct seen_key keys[N];
    struct store s = new_store();

    (void)state;
    find_neighbours(keys, N);
    for (size_t i = 0; i < N; i++) {
        seen_delivered(&s.seen, &keys[i]);
        for (size_t k = 0; k <= i; k++)
            if ((seen_look(&s.seen, &keys[k]) == SEEN_DELIVERED) != (k + SEEN_WAYS > i))
                fail_msg("after pair %zu: pair %zu is %s", i, k,
                         k + SEEN_WAYS > i ? "forgotten" : "still known");
    }
    drop_store(&s);
}

static void a_pair_that_is_delivered_again_takes_no_second_place(void **state)
{
    struct seen_key keys[SEEN_WAYS];
    struct store s = new_store();

    (void)state;
    find_neighbours(keys, SEEN_WAYS);
    for (size_t i = 0; i < (size_t)3 * SEEN_WAYS; i++)
        seen_delivered(&s.seen, &keys[i % SEEN_WAYS]);
    for (size_t i = 0; i < SEEN_WAYS; i++)
        assert_int_equal(seen_look(&s.seen, &keys[i]), SEEN_DELIVERED);
    drop_store(&s);
}

/* A service that fails all the time must not push out what others have delivered. */
static void what_failed_gives_way_first(void **state)
{
    struct seen_key keys[SEEN_WAYS + 20];
    struct store s = new_store();
    const uint32_t owner = seen_owner(&s.seen, 3);

    (void)state;
    find_neighbours(keys, SEEN_WAYS + 20);
    for (size_t i = 0; i < SEEN_WAYS - 1; i++)
        seen_delivered(&s.seen, &keys[i]);
    for (size_t i = SEEN_WAYS; i < SEEN_WAYS + 20; i++) {
        seen_begin(&s.seen, &keys[i], owner);
        seen_forget(&s.seen, &keys[i], owner);
    }
    for (size_t i = 0; i < SEEN_WAYS - 1; i++)
        assert_int_equal(seen_look(&s.seen, &keys[i]), SEEN_DELIVERED);
    drop_store(&s);
}

static void memory_that_is_no_store_is_refused(void **state)
{
    struct store s = new_store();
    const size_t size = seen_bytes(ENTRIES);
    struct seen seen;

    (void)state;
    assert_true(seen_open(s.memory, size, &seen));
    assert_false(seen_open(s.memory, size - 1, &seen));
    assert_false(seen_open(s.memory, size / 2, &seen));
    assert_false(seen_open(s.memory, 0, &seen));
    ((char *)s.memory)[0] ^= 1;
    assert_false(seen_open(s.memory, size, &seen));
    ((char *)s.memory)[0] ^= 1;
    assert_true(seen_open(s.memory, size, &seen));
    memset(s.memory, 0, size);
    assert_false(seen_open(s.memory, size, &seen));
    drop_store(&s);
}

static void without_a_store_nothing_is_seen(void **state)
{
    const struct seen none = {.slots = NULL};
    const struct seen_key key = key_of(ID, RULE);

    (void)state;
    seen_begin(&none, &key, seen_owner(&none, 0));
    seen_delivered(&none, &key);
    seen_forget(&none, &key, 1);
    seen_owner_ended(&none, 0);
    assert_int_equal(seen_look(&none, &key), SEEN_NOT);
}

/*
 * Four processes write pairs of one set as fast as they can, far more than it has places, and look
 * for the pairs that halves of two others would make: of two high halves and LOWS low ones, one
 * combination in two is written, and the other ones never.
 */
enum { LOWS = 6, OTHERS = 2 * SEEN_WAYS, PROCESSES = 4, ROUNDS = 400000 };

struct pool {
    struct seen_key real[LOWS + OTHERS], phantom[LOWS];
};

static void fill_pool(struct pool *pool)
{
    const uint64_t high[2] = {UINT64_C(0x0199000000007000), UINT64_C(0x0199000000007001)};
    const struct seen_key first = nth_key(0);
    const size_t set = set_of(&first);
    size_t found = 0;

    find_neighbours(pool->real + LOWS, OTHERS);
    for (uint64_t n = 0; found < LOWS; n++) {
        const uint64_t low = UINT64_C(1) << 63 | n;
        const struct seen_key one = key_of_halves(high[found % 2], low, RULE);
        const struct seen_key other = key_of_halves(high[1 - found % 2], low, RULE);

        if (set_of(&one) != set || set_of(&other) != set)
            continue;
        pool->real[found] = one;
        pool->phantom[found++] = other;
    }
}

/* The exit code: 0, or 1 when a pair was seen that nobody wrote. */
static int hammer(const struct seen *seen, const struct pool *pool, unsigned number)
{
    const uint32_t owner = seen_owner(seen, number);

    for (size_t round = 0; round < ROUNDS; round++) {
        const struct seen_key *mine =
            &pool->real[(round * 5 + (size_t)number * 3) % (LOWS + OTHERS)];

        seen_begin(seen, mine, owner);
        for (size_t i = 0; i < LOWS; i++)
            if (seen_look(seen, &pool->phantom[i]) != SEEN_NOT)
                return 1;
        if (round % 3 == 0)
            seen_forget(seen, mine, owner);
        else
            seen_delivered(seen, mine);
    }
    return 0;
}

static void four_processes_at_once_make_no_pair_that_nobody_wrote(void **state)
{
    static struct pool pool;
    struct store s = new_store();
    pid_t pids[PROCESSES];
    size_t known = 0;

    (void)state;
    fill_pool(&pool);
    for (unsigned n = 0; n < PROCESSES; n++) {
        pids[n] = fork();
        if (pids[n] == 0)
            _exit(hammer(&s.seen, &pool, n));
        assert_true(pids[n] > 0);
    }
    for (unsigned n = 0; n < PROCESSES; n++) {
        int status;

        assert_int_equal(waitpid(pids[n], &status, 0), pids[n]);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    for (size_t i = 0; i < LOWS; i++)
        assert_int_equal(seen_look(&s.seen, &pool.phantom[i]), SEEN_NOT);
    for (size_t i = 0; i < LOWS + OTHERS; i++)
        known += seen_look(&s.seen, &pool.real[i]) != SEEN_NOT;
    assert_true(known > 0 && known <= SEEN_WAYS);
    drop_store(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_a_power_of_two_within_the_limits),
        cmocka_unit_test(only_a_uuid_in_its_one_form_is_an_id),
        cmocka_unit_test(what_is_no_uuid_is_never_seen),
        cmocka_unit_test(look_alikes_are_not_taken_for_each_other),
        cmocka_unit_test(ids_that_count_up_are_all_different),
        cmocka_unit_test(a_pair_is_begun_until_it_is_delivered_or_has_failed),
        cmocka_unit_test(what_a_dead_process_had_begun_is_unknown_again),
        cmocka_unit_test(the_oldest_of_a_set_gives_way),
        cmocka_unit_test(a_pair_that_is_delivered_again_takes_no_second_place),
        cmocka_unit_test(what_failed_gives_way_first),
        cmocka_unit_test(memory_that_is_no_store_is_refused),
        cmocka_unit_test(without_a_store_nothing_is_seen),
        cmocka_unit_test(four_processes_at_once_make_no_pair_that_nobody_wrote),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
