#include "worker/statmap.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"

static struct statmap own;

static struct statmap *map_of(int fd)
{
    void *memory = mmap(NULL, sizeof own, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

int statmap_make(struct statmap **ret_map)
{
    int fd = memfd_create("mih-statistics", MFD_CLOEXEC);
    int r = fd < 0 ? errno : posix_fallocate(fd, 0, sizeof own);

    *ret_map = r == 0 ? map_of(fd) : NULL;
    if (*ret_map)
        return fd;
    log_warning("no memory for a child's statistics", "error", strerror(r ? r : errno), "does",
                "shows no metrics of it, and loses what it has not written yet if it is killed",
                NULL);
    if (fd >= 0)
        close(fd);
    return -1;
}

void statmap_release(int fd, struct statmap *map)
{
    if (map)
        munmap(map, sizeof own);
    if (fd >= 0)
        close(fd);
}

struct statmap *statmap_attach(void)
{
    struct stat status;
    struct statmap *map;

    if (fstat(STATMAP_FD, &status) < 0 || status.st_size != (off_t)sizeof own)
        return &own;
    map = map_of(STATMAP_FD);
    close(STATMAP_FD);
    return map ? map : &own;
}
