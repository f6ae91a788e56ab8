#include "worker/ownprocess.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

int64_t ownprocess_resident_bytes(void)
{
    char line[128];
    char *end = line;
    long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "re");

    if (!statm)
        return 0;
    if (fgets(line, sizeof line, statm)) {
        (void)strtol(line, &end, 10); /* the whole size comes first */
        pages = strtol(end, NULL, 10);
    }
    fclose(statm);
    return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

static uint64_t microseconds(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * 1000000 + (uint64_t)time->tv_usec;
}

uint64_t ownprocess_cpu_us(void)
{
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage) < 0)
        return 0;
    return microseconds(&usage.ru_utime) + microseconds(&usage.ru_stime);
}

int64_t ownprocess_open_files(void)
{
    DIR *folder = opendir("/proc/self/fd");
    int64_t n = -1; /* the folder's own */

    if (!folder)
        return -1;
    for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder))
        n += entry->d_name[0] != '.';
    closedir(folder);
    return n;
}

int64_t ownprocess_max_files(void)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (int64_t)limit.rlim_cur : -1;
}
