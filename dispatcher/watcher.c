#include "dispatcher/watcher.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/netguard.h"
#include "common/timing.h"

enum { NO_DEADLINE = -1 };

/* One descriptor that curl waits for. Owned by the table until curl closes or drops it. */
struct watched {
    struct event event;
    struct watcher *watcher;
    int fd;
    bool ours;     /* opened by open_socket(): closed by close_socket() */
    short wanted;  /* what curl waits for: EV_READ, EV_WRITE; 0 while it lies in the cache */
    short watched; /* what the loop waits for */
};

struct watcher {
    struct event_base *base;
    CURLM *multi;
    watcher_worked *worked;
    void *context;
    struct event kick; /* curl wants to be called at once */
    struct event work; /* curl was called: see run_curl() */
    struct event timer;
    int64_t deadline_ms; /* when curl wants to be called */
    int64_t armed_ms;    /* when the timer fires */
    struct watched **by_fd;
    size_t n_fds;
};

/*
 * What has ended is taken up when every socket that is ready now was read: so the requests that
 * follow are sent one after the other, and the receiver, once woken, finds many. One by one, each
 * would wake it, and on a machine that is shared with it, take the processor away from us.
 */
static void run_curl(struct watcher *w, curl_socket_t fd, int mask)
{
    int running;
    /* It only fails for a handle that is no multi handle, or when one of our callbacks failed. */
    (void)curl_multi_socket_action(w->multi, fd, mask, &running);
    event_active(&w->work, EV_TIMEOUT, 0); /* behind all events that are active already */
}

static void on_work(evutil_socket_t fd, short what, void *argument)
{
    struct watcher *w = argument;
    (void)fd;
    (void)what;
    w->worked(w->context);
}

static int grow(struct watcher *w, int fd)
{
    size_t n = w->n_fds == 0 ? 64 : w->n_fds;
    while (n <= (size_t)fd)
        n *= 2;
    struct watched **grown = reallocarray(w->by_fd, n, sizeof(struct watched *));
    if (grown == NULL)
        return -ENOMEM;
    for (size_t i = w->n_fds; i < n; i++)
        grown[i] = NULL;
    w->by_fd = grown;
    w->n_fds = n;
    return 0;
}

static struct watched *find(const struct watcher *w, int fd)
{
    return (size_t)fd < w->n_fds ? w->by_fd[fd] : NULL;
}

static void unwatch(struct watched *s)
{
    if (s->watched != 0)
        event_del(&s->event);
    s->watched = 0;
}

static void drop(struct watched *s)
{
    unwatch(s);
    s->watcher->by_fd[s->fd] = NULL;
    free(s);
}

static struct watched *enter(struct watcher *w, int fd, bool ours)
{
    if ((size_t)fd >= w->n_fds && grow(w, fd) != 0)
        return NULL;
    if (w->by_fd[fd] != NULL)
        drop(w->by_fd[fd]);
    struct watched *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->watcher = w;
    s->fd = fd;
    s->ours = ours;
    w->by_fd[fd] = s;
    return s;
}

static void on_socket(evutil_socket_t fd, short what, void *argument)
{
    struct watched *s = argument;
    struct watcher *w = s->watcher;
    int mask = 0;
    if (s->wanted == 0) { /* closed by the peer while idle: curl finds out when it wants it */
        unwatch(s);
        return;
    }
    if (what & EV_READ)
        mask |= CURL_CSELECT_IN;
    if (what & EV_WRITE)
        mask |= CURL_CSELECT_OUT;
    run_curl(w, fd, mask); /* may free s */
}

static int watch(struct watched *s, short wanted)
{
    s->wanted = wanted;
    /* Waiting for less than is watched is harmless, but for room to write: there nearly always
     * is some, and the loop would spin. */
    if ((s->watched & wanted) == wanted && !(s->watched & ~wanted & EV_WRITE))
        return 0;
    unwatch(s);
    if (event_assign(&s->event, s->watcher->base, s->fd, (short)(wanted | EV_PERSIST), on_socket,
                     s) != 0 ||
        event_add(&s->event, NULL) != 0)
        return -ENOMEM;
    s->watched = wanted;
    return 0;
}

static short wanted_of(int what)
{
    short wanted = 0;
    if (what & CURL_POLL_IN)
        wanted |= EV_READ;
    if (what & CURL_POLL_OUT)
        wanted |= EV_WRITE;
    return wanted;
}

/* CURLMOPT_SOCKETFUNCTION. It must not fail: curl would give up every transfer for ever. One
 * whose socket cannot be watched (memory is out) ends by its time-out. */
static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *unused)
{
    struct watcher *w = context;
    struct watched *s = find(w, fd);
    (void)easy;
    (void)unused;
    if (what == CURL_POLL_REMOVE) {
        /* One that is still being connected, and so is watched for room to write, curl closes
         * without telling; the loop would take the next socket of this number for watched. */
        if (s != NULL && s->ours && !(s->watched & EV_WRITE))
            s->wanted = 0;
        else if (s != NULL)
            drop(s);
        return 0;
    }
    if (s == NULL)
        s = enter(w, fd, false);
    if (s != NULL)
        (void)watch(s, wanted_of(what));
    return 0;
}

static void note_refusal(struct watcher_sockets *sockets, const char *kind,
                         const struct sockaddr *address)
{
    sockets->refused = kind;
    netguard_print(address, sockets->address, sizeof sockets->address);
}

/* CURLOPT_OPENSOCKETFUNCTION. After a refusal curl takes the next address of the name. */
static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct watcher_sockets *sockets = context;
    const char *kind = netguard_check(sockets->guard, &address->addr);
    (void)purpose;
    if (kind != NULL) {
        note_refusal(sockets, kind, &address->addr);
        return CURL_SOCKET_BAD;
    }
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                    address->protocol);
    if (fd < 0)
        sockets->error = errno;
    else
        sockets->opened++;
    return fd;
}

/* CURLOPT_PREREQFUNCTION: a kept connection is asked about again, for it may have been opened
 * when the guard was another one. */
static int before_request(void *context, char *address, char *local_address, int port,
                          int local_port)
{
    struct watcher_sockets *sockets = context;
    const char *kind = netguard_check_text(sockets->guard, address);
    (void)local_address;
    (void)port;
    (void)local_port;
    if (kind == NULL)
        return CURL_PREREQFUNC_OK;
    sockets->refused = kind;
    snprintf(sockets->address, sizeof sockets->address, "%s", address);
    return CURL_PREREQFUNC_ABORT;
}

/* CURLOPT_SOCKOPTFUNCTION: the first call that knows both the watcher and the new socket. */
static int enter_socket(void *context, curl_socket_t fd, curlsocktype purpose)
{
    (void)purpose;
    return enter(context, fd, true) == NULL ? CURL_SOCKOPT_ERROR : CURL_SOCKOPT_OK;
}

static int close_socket(void *context, curl_socket_t fd)
{
    struct watched *s = find(context, fd);
    if (s != NULL)
        drop(s);
    return close(fd);
}

static void arm(struct watcher *w, int64_t now_ms)
{
    int64_t left = w->deadline_ms > now_ms ? w->deadline_ms - now_ms : 0;
    struct timeval delay = {.tv_sec = left / 1000, .tv_usec = (left % 1000) * 1000};
    if (event_add(&w->timer, &delay) == 0)
        w->armed_ms = w->deadline_ms;
}

/* CURLMOPT_TIMERFUNCTION */
static int on_curl_timer(CURLM *multi, long timeout_ms, void *context)
{
    struct watcher *w = context;
    (void)multi;
    if (timeout_ms == 0) {
        event_active(&w->kick, EV_TIMEOUT, 0);
        return 0;
    }
    if (timeout_ms < 0) {
        w->deadline_ms = NO_DEADLINE;
        return 0;
    }
    int64_t now_ms = timing_mono_ms();
    w->deadline_ms = now_ms + timeout_ms;
    if (w->armed_ms == NO_DEADLINE || w->deadline_ms < w->armed_ms)
        arm(w, now_ms);
    return 0;
}

static void on_kick(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    run_curl(argument, CURL_SOCKET_TIMEOUT, 0);
}

static void on_timer(evutil_socket_t fd, short what, void *argument)
{
    struct watcher *w = argument;
    (void)fd;
    (void)what;
    w->armed_ms = NO_DEADLINE;
    if (w->deadline_ms == NO_DEADLINE)
        return;
    if (timing_mono_ms() < w->deadline_ms) {
        arm(w, timing_mono_ms());
        return;
    }
    w->deadline_ms = NO_DEADLINE;
    run_curl(w, CURL_SOCKET_TIMEOUT, 0);
}

int watcher_new(struct event_base *base, CURLM *multi, watcher_worked *worked, void *context,
                struct watcher **ret_watcher)
{
    struct watcher *w = calloc(1, sizeof *w);
    if (w == NULL)
        return -ENOMEM;
    w->base = base;
    w->multi = multi;
    w->worked = worked;
    w->context = context;
    w->deadline_ms = NO_DEADLINE;
    w->armed_ms = NO_DEADLINE;
    if (event_assign(&w->kick, base, -1, 0, on_kick, w) != 0 ||
        event_assign(&w->work, base, -1, 0, on_work, w) != 0 ||
        event_assign(&w->timer, base, -1, 0, on_timer, w) != 0 ||
        curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket) != CURLM_OK ||
        curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, w) != CURLM_OK ||
        curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_curl_timer) != CURLM_OK ||
        curl_multi_setopt(multi, CURLMOPT_TIMERDATA, w) != CURLM_OK) {
        free(w);
        return -ENOMEM;
    }
    *ret_watcher = w;
    return 0;
}

CURLcode watcher_adopt(struct watcher *w, CURL *easy, struct watcher_sockets *sockets)
{
    CURLcode code = curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    if (code == CURLE_OK)
        code = curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, sockets);
    if (code == CURLE_OK)
        code = curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, before_request);
    if (code == CURLE_OK)
        code = curl_easy_setopt(easy, CURLOPT_PREREQDATA, sockets);
    if (code == CURLE_OK)
        code = curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, enter_socket);
    if (code == CURLE_OK)
        code = curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, w);
    if (code == CURLE_OK)
        code = curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    if (code == CURLE_OK)
        code = curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, w);
    return code;
}

void watcher_sockets_reset(struct watcher_sockets *sockets)
{
    sockets->opened = 0;
    sockets->error = 0;
    sockets->refused = NULL;
}

void watcher_free(struct watcher *w)
{
    if (w == NULL)
        return;
    event_del(&w->kick);
    event_del(&w->work);
    event_del(&w->timer);
    for (size_t fd = 0; fd < w->n_fds; fd++)
        if (w->by_fd[fd] != NULL)
            drop(w->by_fd[fd]);
    free(w->by_fd);
    free(w);
}
