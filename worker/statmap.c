#include "worker/statmap.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"

static struct statmemory own;

int statmap_make(void)
{
    int fd = memfd_create("mih-statistics", MFD_CLOEXEC);
    int r = fd < 0 ? errno : posix_fallocate(fd, 0, sizeof own);

    if (r == 0)
        return fd;
    log_warning("no memory for a child's statistics", "error", strerror(r), "does",
                "loses what it has not written yet if it is killed", NULL);
    if (fd >= 0)
        close(fd);
    return -1;
}

struct statmemory *statmap_attach(void)
{
    struct stat status;
    void *memory;

    if (fstat(STATMAP_FD, &status) < 0 || status.st_size != (off_t)sizeof own)
        return &own;
    memory = mmap(NULL, sizeof own, PROT_READ | PROT_WRITE, MAP_SHARED, STATMAP_FD, 0);
    close(STATMAP_FD);
    return memory == MAP_FAILED ? &own : memory;
}
