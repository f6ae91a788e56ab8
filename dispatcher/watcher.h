/*
 * Lets libevent wait for what a curl multi handle waits for: its sockets and its one timer.
 *
 * Made for many short requests over kept-alive connections. Telling the kernel about each turn
 * of a socket would cost two system calls a request, so a socket that curl opened through the
 * watcher stays watched while it lies idle in curl's cache; it is dropped from the loop when
 * something happens on it that curl did not ask for, or when curl closes it. Sockets that are
 * not ours (the resolver's), or not connected yet, are dropped the moment curl says so, because
 * curl closes them itself. The timer is moved only when curl wants to be called earlier than it
 * would be.
 *
 * Requests added to the multi handle start from the loop, all of a turn together.
 */
#ifndef MIH_DISPATCHER_WATCHER_H
#define MIH_DISPATCHER_WATCHER_H

#include <curl/curl.h>

struct event_base;
struct netguard;
struct watcher;

enum { WATCHER_ADDRESS_SIZE = 64 };

/* How the sockets of one easy handle get opened. The guard is set by the caller; what happened is
 * cleared by watcher_sockets_reset(). */
struct watcher_sockets {
    const struct netguard *guard; /* asked about each address; refuses what it does not like */
    unsigned opened;
    int error;                          /* errno of a socket that could not be opened */
    const char *refused;                /* the kind of the last address that was refused, or NULL */
    char address[WATCHER_ADDRESS_SIZE]; /* that address */
};

/* Called in the loop each time curl has worked: look for finished transfers. */
typedef void watcher_worked(void *context);

/* Installs itself in the multi handle, which stays the caller's. 0 or -ENOMEM. */
int watcher_new(struct event_base *base, CURLM *multi, watcher_worked *worked, void *context,
                struct watcher **ret_watcher) __attribute__((warn_unused_result));

/* Makes an easy handle open and close its sockets through the watcher, where its guard lets it.
 * `sockets` must live as long as the handle. CURLE_OK or curl's fault. */
CURLcode watcher_adopt(struct watcher *w, CURL *easy, struct watcher_sockets *sockets)
    __attribute__((warn_unused_result));

/* Forgets what happened in the transfer before. */
void watcher_sockets_reset(struct watcher_sockets *sockets);

/* Frees it; NULL is allowed. Only after the multi handle is gone, which closes the sockets. */
void watcher_free(struct watcher *w);

#endif
