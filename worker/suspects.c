#include "worker/suspects.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"

static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "atomics work between processes");

/* Without shared memory everything is written down here, where nobody reads it. */
static struct suspects_memory nowhere;

static int map(int fd, struct suspects *s)
{
    void *memory = mmap(NULL, sizeof nowhere, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (memory == MAP_FAILED)
        return -errno;
    s->memory = memory;
    return 0;
}

static int make(struct suspects *s, int *ret_fd)
{
    int fd = memfd_create("mih-suspects", MFD_CLOEXEC);
    int r;

    if (fd < 0)
        return -errno;
    r = -posix_fallocate(fd, 0, sizeof nowhere);
    if (r == 0)
        r = map(fd, s);
    if (r == 0)
        *ret_fd = fd;
    else
        close(fd);
    return r;
}

void suspects_make(struct suspects *ret_suspects, int *ret_fd)
{
    int r;

    *ret_suspects = (struct suspects){.memory = &nowhere};
    *ret_fd = -1;
    r = make(ret_suspects, ret_fd);
    if (r < 0)
        log_warning("no memory for what the processes are working on", "error", strerror(-r),
                    "does", "leaves a message that kills them to the broker's limit", NULL);
}

void suspects_attach(struct suspects *ret_suspects, unsigned number)
{
    struct stat status;

    *ret_suspects = (struct suspects){.memory = &nowhere, .number = number % SUSPECT_SLOTS};
    if (fstat(SUSPECTS_FD, &status) < 0 || status.st_size != (off_t)sizeof nowhere)
        return;
    (void)map(SUSPECTS_FD, ret_suspects);
    close(SUSPECTS_FD);
}

void suspects_release(struct suspects *s)
{
    if (s->memory && s->memory != &nowhere)
        munmap(s->memory, sizeof nowhere);
    s->memory = &nowhere;
}

void suspect_key_make(int64_t service_id, const char *message_id, const char *body, size_t len,
                      struct suspect_key *ret_key)
{
    struct {
        int64_t service_id;
        unsigned char body[SHA256_DIGEST_LENGTH];
        char message_id[256]; /* as long as the protocol allows, and one */
    } message = {.service_id = service_id};
    unsigned char digest[SHA256_DIGEST_LENGTH];

    SHA256((const unsigned char *)body, len, message.body);
    memccpy(message.message_id, message_id, '\0', sizeof message.message_id);
    SHA256((const unsigned char *)&message, sizeof message, digest);
    memcpy(ret_key->word, digest, sizeof ret_key->word);
    ret_key->word[1] = (ret_key->word[1] & ~SUSPECT_WAITS) | 1; /* not all zero */
}

static bool is_noted(const struct suspects *s, size_t i, const struct suspect_key *key)
{
    const _Atomic uint64_t *word = s->memory->noted[i].word;

    return atomic_load_explicit(&word[0], memory_order_relaxed) == key->word[0] &&
           atomic_load_explicit(&word[1], memory_order_relaxed) == key->word[1];
}

bool suspects_is_poison(const struct suspects *s, const struct suspect_key *key, int64_t returns,
                        unsigned *ret_deaths)
{
    unsigned deaths = 0;

    for (size_t i = 0; i < SUSPECTS_MAX && key->word[1] != 0; i++)
        if (is_noted(s, i, key))
            deaths = atomic_load_explicit(&s->memory->noted[i].deaths, memory_order_acquire);
    if (deaths < (returns < SUSPECT_RETURNS ? SUSPECT_DEATHS : SUSPECT_DEATHS_RETURNED))
        return false;
    *ret_deaths = deaths;
    return true;
}

/* Its place, or else that of the one which killed longest ago. */
static size_t place_of(const struct suspects *s, const struct suspect_key *key)
{
    size_t oldest = 0;

    for (size_t i = 0; i < SUSPECTS_MAX; i++) {
        if (is_noted(s, i, key))
            return i;
        if (s->memory->noted[i].turn < s->memory->noted[oldest].turn)
            oldest = i;
    }
    return oldest;
}

static unsigned note_death(struct suspects *s, const struct suspect_key *key)
{
    size_t i = place_of(s, key);
    unsigned deaths = 0;

    if (is_noted(s, i, key)) {
        deaths = atomic_load_explicit(&s->memory->noted[i].deaths, memory_order_relaxed);
    } else {
        /* The deaths go first: they are never another message's. */
        atomic_store_explicit(&s->memory->noted[i].deaths, 0, memory_order_release);
        atomic_store_explicit(&s->memory->noted[i].word[0], key->word[0], memory_order_release);
        atomic_store_explicit(&s->memory->noted[i].word[1], key->word[1], memory_order_release);
    }
    s->memory->noted[i].turn = ++s->memory->turns;
    atomic_store_explicit(&s->memory->noted[i].deaths, deaths + 1, memory_order_release);
    return deaths + 1;
}

unsigned suspects_ended(struct suspects *s, unsigned number, enum suspect_end end, int64_t now_ms)
{
    _Atomic uint64_t *word = s->memory->now[number].word;
    struct suspect_key key = {{atomic_load_explicit(&word[0], memory_order_relaxed),
                               atomic_load_explicit(&word[1], memory_order_relaxed)}};
    int64_t until_ms = atomic_load_explicit(&s->memory->careful_until_ms, memory_order_relaxed);
    unsigned in_flight =
        atomic_exchange_explicit(&s->memory->now[number].in_flight, 0, memory_order_relaxed);
    bool waits = key.word[1] & SUSPECT_WAITS;

    atomic_store_explicit(&word[1], 0, memory_order_relaxed);
    key.word[1] &= ~SUSPECT_WAITS;
    if (end == SUSPECT_ASKED || (end == SUSPECT_KILLED && waits))
        return 0;
    if (end == SUSPECT_CRASHED && in_flight > 0 && (key.word[1] == 0 || now_ms < until_ms))
        atomic_store_explicit(&s->memory->careful_until_ms, now_ms + SUSPECT_CARE_MS,
                              memory_order_relaxed);
    return key.word[1] == 0 ? 0 : note_death(s, &key);
}
