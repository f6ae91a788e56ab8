/*
 * mih-bench-seen: what the store of delivered pairs costs, in nanoseconds of CPU for one message
 * and rule. Random ids in a store of the default size that is full, so that nearly every step goes
 * to memory that is in no cache, as it is between requests.
 */
#include <err.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sysexits.h>
#include <time.h>

#include "dispatcher/seen.h"

enum { ENTRIES = 262144, ROUNDS = 1000000, RULE = 12, ID_SIZE = 37 };

static char ids[ENTRIES][ID_SIZE];

static uint64_t cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void make_ids(void)
{
    for (size_t i = 0; i < ENTRIES; i++) {
        uint64_t r[2];

        if (getrandom(r, sizeof r, 0) != (ssize_t)sizeof r)
            err(EX_OSERR, "getrandom");
        snprintf(ids[i], ID_SIZE, "%08x-%04x-7%03x-%04x-%012llx", (unsigned)(r[0] >> 32),
                 (unsigned)(r[0] >> 16 & 0xffff), (unsigned)(r[0] & 0xfff),
                 (unsigned)(r[1] >> 48 & 0x3fff) | 0x8000,
                 (unsigned long long)(r[1] & 0xffffffffffff));
    }
}

struct step {
    const char *name;
    bool look, begin, deliver;
};

static void run(const struct seen *seen, const struct step *step)
{
    const uint32_t owner = seen_owner(seen, 0);
    unsigned found = 0;
    uint64_t began = cpu_ns();

    for (size_t i = 0; i < ROUNDS; i++) {
        struct seen_id id;
        struct seen_key key;

        seen_id_parse(ids[i % ENTRIES], &id);
        seen_key_make(&id, RULE + (int64_t)(i / ENTRIES), &key);
        if (step->look)
            found += seen_look(seen, &key) == SEEN_DELIVERED;
        if (step->begin)
            seen_begin(seen, &key, owner);
        if (step->deliver)
            seen_delivered(seen, &key);
    }
    printf("%-58s %6.1f ns", step->name, (double)(cpu_ns() - began) / ROUNDS);
    if (step->look)
        printf("   (%u %% of them delivered before)", (unsigned)(100ULL * found / ROUNDS));
    printf("\n");
}

int main(void)
{
    static const struct step steps[] = {
        {.name = "reading the id and making the key"},
        {.name = "a message: begun, delivered", .begin = true, .deliver = true},
        {.name = "a look"},
        {.name = "a flagged message, sent: look, begun, delivered", .begin = true, .deliver = true},
    };
    const size_t size = seen_bytes(ENTRIES);
    void *memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    struct seen seen;

    if (memory == MAP_FAILED)
        err(EX_OSERR, "mmap");
    seen_format(memory, ENTRIES);
    if (!seen_open(memory, size, &seen))
        errx(EX_SOFTWARE, "the store cannot be opened");
    make_ids();
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct step step = steps[i];

        step.look = i >= 2;
        run(&seen, &step);
    }
    printf("store of %d entries: %.1f MiB\n", ENTRIES, (double)size / (1 << 20));
    return EX_OK;
}
