/*
 * Faults inside of a worker process, for the fault suite: preloaded into mih-worker (LD_PRELOAD),
 * armed by files in the folder MIH_FAULTS names. Who removes the file has the fault: exactly one
 * process.
 *
 *   hang     one child's event loop never comes back from its next wait
 *   badack   the next acknowledgement names a delivery that never was (channel error 406)
 *
 * And without a file: a request whose body holds MIH-CRASH kills the process that would send it,
 * one whose body holds MIH-ANSWER the process that reads its answer.
 */
#undef _FORTIFY_SOURCE /* it replaces functions that clang takes from there as inline ones */
#include <amqp.h>
#include <amqp_framing.h>
#include <curl/curl.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SHIM __attribute__((visibility("default")))

enum { WRONG_TAG = 1000000, MAX_FD = 1024 };

/* The library's own function: a name, looked up behind this library. */
static void *behind(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (!found)
        abort();
    return found;
}

/* True for the one process that removes the file. */
static bool takes(const char *fault)
{
    char path[PATH_MAX];
    const char *folder = getenv("MIH_FAULTS");
    return folder && snprintf(path, sizeof path, "%s/%s", folder, fault) < (int)sizeof path &&
           unlink(path) == 0;
}

/* The supervisor has a loop as well. */
static bool is_child(void)
{
    static int known = -1;
    if (known < 0) {
        char line[4096];
        int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof line);
        if (fd >= 0)
            close(fd);
        known = n > 0 && memmem(line, (size_t)n, "--child", strlen("--child")) != NULL;
    }
    return known == 1;
}

SHIM int epoll_wait(int epfd, struct epoll_event *events, int maxevents, int timeout)
{
    static int (*real)(int, struct epoll_event *, int, int);
    if (!real)
        *(void **)&real = behind("epoll_wait");
    while (is_child() && takes("hang"))
        for (;;)
            pause();
    return real(epfd, events, maxevents, timeout);
}

SHIM int amqp_send_method(amqp_connection_state_t state, amqp_channel_t channel,
                          amqp_method_number_t id, void *decoded)
{
    static int (*real)(amqp_connection_state_t, amqp_channel_t, amqp_method_number_t, void *);
    if (!real)
        *(void **)&real = behind("amqp_send_method");
    if (id == AMQP_BASIC_ACK_METHOD && takes("badack"))
        ((amqp_basic_ack_t *)decoded)->delivery_tag += WRONG_TAG;
    return real(state, channel, id, decoded);
}

/* Sockets on which a request was sent whose answer kills. */
static bool deadly[MAX_FD];

SHIM ssize_t send(int fd, const void *bytes, size_t len, int flags)
{
    static ssize_t (*real)(int, const void *, size_t, int);
    if (!real)
        *(void **)&real = behind("send");
    if (fd >= 0 && fd < MAX_FD)
        deadly[fd] = len > 5 && memcmp(bytes, "POST ", 5) == 0 &&
                     memmem(bytes, len, "MIH-ANSWER", strlen("MIH-ANSWER")) != NULL;
    return real(fd, bytes, len, flags);
}

SHIM ssize_t recv(int fd, void *bytes, size_t len, int flags)
{
    static ssize_t (*real)(int, void *, size_t, int);
    if (!real)
        *(void **)&real = behind("recv");
    ssize_t n = real(fd, bytes, len, flags);
    if (n > 0 && fd >= 0 && fd < MAX_FD && deadly[fd])
        abort();
    return n;
}

#undef curl_easy_setopt
SHIM CURLcode curl_easy_setopt(CURL *curl, CURLoption option, ...)
{
    static CURLcode (*real)(CURL *, CURLoption, ...);
    va_list list;
    if (!real)
        *(void **)&real = behind("curl_easy_setopt");
    /* Every kind of value (long, pointer, curl_off_t) is 64 bits wide on the machines tested on. */
    va_start(list, option);
    void *value = va_arg(list, void *);
    va_end(list);
    if (option == CURLOPT_POSTFIELDS && value && strstr(value, "MIH-CRASH"))
        abort();
    return real(curl, option, value);
}
