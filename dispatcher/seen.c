#include "dispatcher/seen.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

enum {
    HEADER_BYTES = 4096,
    NUMBER_BITS = 10, /* of an owner: number and one; the rest is its life */
    STAMP_BITS = 32,
    UUID_LENGTH = 36,
};

/* Owners that are no processes. */
enum { OWNER_DELIVERED = 0, OWNER_FAILED = 1 << NUMBER_BITS };

/* Changes with the form of the memory. */
static const uint64_t magic = UINT64_C(0x4d494853454e3031); /* "MIHSEN01" */

struct seen_header {
    uint64_t magic;
    uint64_t entries;
    _Atomic uint32_t life[SEEN_OWNERS]; /* how often each process has ended */
};

/* meta: the owner above, the stamp below. The stamp tells the order of writing; it is 0 in a slot
 * that was never used, and odd while word[] is written. */
struct seen_slot {
    _Atomic uint64_t meta;
    _Atomic uint64_t word[2];
};

static_assert(sizeof(struct seen_header) <= HEADER_BYTES, "the header has a page");
static_assert(sizeof(struct seen_slot) * SEEN_WAYS == 192, "a set is three cache lines");
static_assert(SEEN_OWNERS < (1 << NUMBER_BITS), "every number fits into an owner");
static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "atomics work between processes");

uint64_t seen_entries(int64_t wanted)
{
    uint64_t n = SEEN_ENTRIES_MIN;

    while (n < SEEN_ENTRIES_MAX && n < (uint64_t)(wanted > 0 ? wanted : 0))
        n *= 2;
    return n;
}

size_t seen_bytes(uint64_t entries)
{
    return HEADER_BYTES + (size_t)entries * sizeof(struct seen_slot);
}

void seen_format(void *memory, uint64_t entries)
{
    struct seen_header *header = memory;

    header->entries = entries;
    header->magic = magic;
}

bool seen_open(void *memory, size_t size, struct seen *ret_seen)
{
    struct seen_header *header = memory;

    if (size < HEADER_BYTES || header->magic != magic || header->entries < SEEN_ENTRIES_MIN ||
        header->entries > SEEN_ENTRIES_MAX || (header->entries & (header->entries - 1)) != 0 ||
        seen_bytes(header->entries) != size)
        return false;
    *ret_seen = (struct seen){
        .header = header,
        .slots = (struct seen_slot *)(void *)((char *)memory + HEADER_BYTES),
        .set_mask = header->entries / SEEN_WAYS - 1,
    };
    return true;
}

enum { DIGIT = 0x10 };

/* A table, because the digits of an id are random: a branch for each would be guessed wrong half of
 * the time. */
static const unsigned char digits[256] = {
    ['0'] = DIGIT,      ['1'] = DIGIT | 1,  ['2'] = DIGIT | 2,  ['3'] = DIGIT | 3,
    ['4'] = DIGIT | 4,  ['5'] = DIGIT | 5,  ['6'] = DIGIT | 6,  ['7'] = DIGIT | 7,
    ['8'] = DIGIT | 8,  ['9'] = DIGIT | 9,  ['a'] = DIGIT | 10, ['b'] = DIGIT | 11,
    ['c'] = DIGIT | 12, ['d'] = DIGIT | 13, ['e'] = DIGIT | 14, ['f'] = DIGIT | 15,
};

/* Appends n digits to the number; what is no digit clears good. */
static uint64_t read_digits(uint64_t number, const char *text, unsigned n, unsigned *good)
{
    for (unsigned i = 0; i < n; i++) {
        unsigned digit = digits[(unsigned char)text[i]];

        *good &= digit;
        number = number << 4 | (digit & (DIGIT - 1));
    }
    return number;
}

void seen_id_parse(const char *text, struct seen_id *ret_id)
{
    uint64_t high, low;
    unsigned good = DIGIT;

    *ret_id = (struct seen_id){.valid = false};
    if (strnlen(text, UUID_LENGTH + 1) != UUID_LENGTH || text[8] != '-' || text[13] != '-' ||
        text[18] != '-' || text[23] != '-')
        return;
    high = read_digits(0, text, 8, &good);
    high = read_digits(high, text + 9, 4, &good);
    high = read_digits(high, text + 14, 4, &good);
    low = read_digits(0, text + 19, 4, &good);
    low = read_digits(low, text + 24, 12, &good);
    if (good & DIGIT && low >> 62 == 2)
        *ret_id = (struct seen_id){.high = high, .low = low, .valid = true};
}

/* A bijection of 64 bits in which each bit of the result depends on each of the argument: the
 * finalizer of SplitMix64 (Steele, Lea and Flood 2014). */
static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

void seen_key_make(const struct seen_id *id, int64_t rule_id, struct seen_key *ret_key)
{
    *ret_key = (struct seen_key){{id->high ^ mix((uint64_t)rule_id), id->valid ? id->low : 0}};
}

static bool is_written_down(const struct seen *s, const struct seen_key *key)
{
    return s->slots && key->word[1] != 0;
}

static struct seen_slot *set_of(const struct seen *s, const struct seen_key *key)
{
    return s->slots + (mix(key->word[0] ^ mix(key->word[1])) & s->set_mask) * SEEN_WAYS;
}

static uint32_t stamp_of(uint64_t meta)
{
    return (uint32_t)meta;
}

static uint32_t owner_of(uint64_t meta)
{
    return (uint32_t)(meta >> STAMP_BITS);
}

static uint64_t meta_of(uint32_t owner, uint32_t stamp)
{
    return (uint64_t)owner << STAMP_BITS | stamp;
}

/* True, and the meta under which the key was read, when the slot holds it. */
static bool holds(struct seen_slot *slot, const struct seen_key *key, uint64_t *ret_meta)
{
    uint64_t before = atomic_load_explicit(&slot->meta, memory_order_acquire);
    uint64_t first = atomic_load_explicit(&slot->word[0], memory_order_relaxed);
    uint64_t second = atomic_load_explicit(&slot->word[1], memory_order_relaxed);

    if (first != key->word[0] || second != key->word[1])
        return false;
    /* The owner may change while it is read; the words do not without the stamp. */
    atomic_thread_fence(memory_order_acquire);
    *ret_meta = atomic_load_explicit(&slot->meta, memory_order_relaxed);
    return stamp_of(before) % 2 == 0 && stamp_of(before) == stamp_of(*ret_meta);
}

static bool lives(const struct seen *s, uint32_t owner)
{
    uint32_t number = owner & ((1U << NUMBER_BITS) - 1);

    return number > 0 && number <= SEEN_OWNERS && seen_owner(s, number - 1) == owner;
}

uint32_t seen_owner(const struct seen *s, unsigned number)
{
    uint32_t life = s->header ? atomic_load(&s->header->life[number]) : 0;

    return life << NUMBER_BITS | (number + 1);
}

void seen_owner_ended(const struct seen *s, unsigned number)
{
    if (s->header)
        atomic_fetch_add(&s->header->life[number], 1);
}

static enum seen_state state_of(const struct seen *s, uint64_t meta)
{
    if (owner_of(meta) == OWNER_DELIVERED)
        return SEEN_DELIVERED;
    return lives(s, owner_of(meta)) ? SEEN_BEGUN : SEEN_NOT;
}

enum seen_state seen_look(const struct seen *s, const struct seen_key *key)
{
    enum seen_state found = SEEN_NOT;
    struct seen_slot *set;
    uint64_t meta;

    if (!is_written_down(s, key))
        return SEEN_NOT;
    set = set_of(s, key);
    /* Two processes that begin one pair at the same moment may use two slots for it. */
    for (unsigned i = 0; i < SEEN_WAYS; i++) {
        if (holds(&set[i], key, &meta)) {
            enum seen_state state = state_of(s, meta);

            found = state > found ? state : found;
        }
    }
    return found;
}

/* Changes the owner of the slot that holds the key. False: no slot does. */
static bool change_owner(struct seen_slot *set, const struct seen_key *key, uint32_t owner)
{
    uint64_t meta;

    for (unsigned i = 0; i < SEEN_WAYS; i++) {
        while (holds(&set[i], key, &meta)) {
            uint64_t changed = meta_of(owner, stamp_of(meta));

            if (atomic_compare_exchange_strong(&set[i].meta, &meta, changed))
                return true;
        }
    }
    return false;
}

/* True when the first stamp is older, also after the counter has gone round. */
static bool is_older(uint32_t stamp, uint32_t than)
{
    return (int32_t)(stamp - than) < 0;
}

/* The slot to be overwritten, claimed: one that failed, or else the oldest. NULL: others were
 * quicker, or all are being written. */
static struct seen_slot *claim(struct seen_slot *set, uint32_t owner, uint32_t *ret_stamp)
{
    struct seen_slot *slot = NULL;
    uint64_t meta = 0;
    uint32_t newest = 0;

    for (unsigned i = 0; i < SEEN_WAYS; i++) {
        uint64_t m = atomic_load_explicit(&set[i].meta, memory_order_relaxed);

        if (i == 0 || is_older(newest, stamp_of(m)))
            newest = stamp_of(m);
        if (stamp_of(m) % 2 == 1 || (slot && owner_of(meta) == OWNER_FAILED))
            continue;
        if (!slot || owner_of(m) == OWNER_FAILED || is_older(stamp_of(m), stamp_of(meta))) {
            slot = &set[i];
            meta = m;
        }
    }
    *ret_stamp = (newest | 1) + 1;
    if (!slot ||
        !atomic_compare_exchange_strong(&slot->meta, &meta, meta_of(owner, *ret_stamp | 1)))
        return NULL;
    return slot;
}

static void insert(struct seen_slot *set, const struct seen_key *key, uint32_t owner)
{
    struct seen_slot *slot = NULL;
    uint32_t stamp = 0;

    for (unsigned tries = 0; !slot && tries < SEEN_WAYS; tries++)
        slot = claim(set, owner, &stamp);
    if (!slot)
        return; /* the pair stays unknown */
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&slot->word[0], key->word[0], memory_order_relaxed);
    atomic_store_explicit(&slot->word[1], key->word[1], memory_order_relaxed);
    atomic_store_explicit(&slot->meta, meta_of(owner, stamp), memory_order_release);
}

static void write_down(const struct seen *s, const struct seen_key *key, uint32_t owner)
{
    struct seen_slot *set;

    if (!is_written_down(s, key))
        return;
    set = set_of(s, key);
    if (!change_owner(set, key, owner))
        insert(set, key, owner);
}

void seen_begin(const struct seen *s, const struct seen_key *key, uint32_t owner)
{
    write_down(s, key, owner);
}

void seen_delivered(const struct seen *s, const struct seen_key *key)
{
    write_down(s, key, OWNER_DELIVERED);
}

void seen_forget(const struct seen *s, const struct seen_key *key, uint32_t owner)
{
    struct seen_slot *set;
    uint64_t meta;

    if (!is_written_down(s, key))
        return;
    set = set_of(s, key);
    for (unsigned i = 0; i < SEEN_WAYS; i++) {
        uint64_t failed;

        if (!holds(&set[i], key, &meta) || owner_of(meta) != owner)
            continue;
        failed = meta_of(OWNER_FAILED, stamp_of(meta));
        /* When that fails somebody else has written here, and knows better. */
        (void)atomic_compare_exchange_strong(&set[i].meta, &meta, failed);
    }
}
