#include "worker/seenmap.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"

enum { OTHER_FORM = 1 };

static const struct seenmap none = {.fd = -1};

/* Takes fd, and closes it unless 0 is returned. format: it is new and holds zeroes. */
static int map_it(int fd, size_t size, uint64_t format, struct seenmap *ret_map)
{
    struct seenmap map = {.fd = fd, .size = size};

    map.memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map.memory == MAP_FAILED) {
        int r = -errno;

        close(fd);
        return r;
    }
    if (format)
        seen_format(map.memory, format);
    if (!seen_open(map.memory, size, &map.seen)) {
        seenmap_release(&map);
        return OTHER_FORM;
    }
    *ret_map = map;
    return 0;
}

/* 0, OTHER_FORM for a file that is to be replaced, or a negative errno. */
static int open_file(const char *path, size_t size, struct seenmap *ret_map)
{
    struct stat status;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    int r = 0;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) < 0)
        r = -errno;
    else if (!S_ISREG(status.st_mode))
        r = -EINVAL;
    else if (status.st_size != (off_t)size)
        r = OTHER_FORM;
    if (r == 0)
        return map_it(fd, size, 0, ret_map);
    close(fd);
    return r;
}

/* A new file takes the place of the old one as a whole; who still uses that goes on with it. */
static int make_file(const char *path, uint64_t entries, struct seenmap *ret_map)
{
    char fresh[PATH_MAX];
    const size_t size = seen_bytes(entries);
    int fd;
    int r;

    if (snprintf(fresh, sizeof fresh, "%s.new", path) >= (int)sizeof fresh)
        return -ENAMETOOLONG;
    unlink(fresh); /* of one that was killed in here */
    fd = open(fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    r = -posix_fallocate(fd, 0, (off_t)size);
    if (r < 0)
        close(fd);
    else
        r = map_it(fd, size, entries, ret_map);
    if (r == 0 && rename(fresh, path) < 0) {
        r = -errno;
        seenmap_release(ret_map);
    }
    if (r != 0)
        unlink(fresh);
    return r;
}

static int use_file(const char *path, uint64_t entries, struct seenmap *ret_map)
{
    int r = open_file(path, seen_bytes(entries), ret_map);

    if (r == OTHER_FORM)
        log_warning("the file of delivered messages has another size or form", "file", path, "does",
                    "replaces it", NULL);
    if (r == OTHER_FORM || r == -ENOENT)
        r = make_file(path, entries, ret_map);
    return r;
}

static int use_memory(uint64_t entries, struct seenmap *ret_map)
{
    const size_t size = seen_bytes(entries);
    int fd = memfd_create("mih-seen", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int r;

    if (fd < 0)
        return -errno;
    r = -posix_fallocate(fd, 0, (off_t)size);
    if (r == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        r = -errno;
    if (r == 0)
        return map_it(fd, size, entries, ret_map);
    close(fd);
    return r;
}

void seenmap_make(const char *path, int64_t entries, struct seenmap *ret_map)
{
    const uint64_t n = seen_entries(entries);
    bool in_file = *path != '\0';
    int r = 0;

    *ret_map = none;
    if (in_file) {
        r = use_file(path, n, ret_map);
        if (r != 0)
            log_warning("the file of delivered messages cannot be used", "file", path, "error",
                        strerror(-r), "does", "keeps them in memory until it ends", NULL);
    }
    if (!in_file || r != 0)
        r = use_memory(n, ret_map);
    if (r != 0)
        log_warning("no memory for delivered messages", "error", strerror(-r), "does",
                    "goes on without: what comes twice is sent twice", NULL);
    for (unsigned i = 0; i < SEEN_OWNERS; i++)
        seen_owner_ended(&ret_map->seen, i);
}

void seenmap_attach(struct seenmap *ret_map)
{
    struct stat status;

    *ret_map = none;
    if (fstat(SEENMAP_FD, &status) < 0)
        return;
    if (map_it(SEENMAP_FD, (size_t)status.st_size, 0, ret_map) != 0) {
        log_warning("the store of delivered messages cannot be used", "does",
                    "goes on without: what comes twice is sent twice", NULL);
        *ret_map = none;
        return;
    }
    close(ret_map->fd);
    ret_map->fd = -1;
    /* From now on the memory stays the same; where the kernel cannot do that, it grows with use. */
    (void)madvise(ret_map->memory, ret_map->size, MADV_POPULATE_WRITE);
}

void seenmap_release(struct seenmap *map)
{
    if (map->memory)
        munmap(map->memory, map->size);
    if (map->fd >= 0)
        close(map->fd);
    *map = none;
}
