/*
 * The WSDLs of the services, read once and kept for a while. One fetch at a time for each
 * service; who needs the same WSDL meanwhile waits for it, bounded by its own time.
 *
 * When a kept WSDL has grown too old, the next call that needs it fetches it again; others go on
 * with the old one, and so does that call when the fetch fails: a WSDL that once worked is better
 * than none. After a failed fetch the old one is left alone for a minute.
 *
 * Documents come through the HTTP transport, with all its safety, or, if the operator allows a
 * folder, from files in it. Those are read in the event loop, which is bounded: regular files, of
 * WSDL_MAX_BYTES and WSDL_MAX_DOCUMENTS together, once in max_age_ms. Taking them apart, which all
 * documents have to go through, takes longer; only a disk that hangs could hold up the loop. The
 * service's credentials go along to its own origin only. Who fetches waits for the end of it: the
 * transport uses the service that it came with.
 */
#ifndef MIH_DISPATCHER_SOAP_STORE_H
#define MIH_DISPATCHER_SOAP_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "dispatcher/transport.h"
#include "dispatcher/wsdl.h"

struct soap_entry;
struct soap_store;

/* A WSDL and how many use it. */
struct soap_model {
    struct wsdl *wsdl;
    unsigned references;
};

void soap_model_put(struct soap_model *model); /* NULL is allowed */

/* One who needs a WSDL. The caller's; in an entry's list while it waits. */
struct soap_waiter {
    TAILQ_ENTRY(soap_waiter) link;
    struct soap_entry *entry; /* NULL: does not wait */
    /* Called from the loop, never inside of soap_store_take(): model is set, or failure is. */
    void (*ready)(struct soap_waiter *waiter, const struct outcome *failure);
    const struct service *service;
    int64_t deadline_us;
    int64_t token_us;         /* of one that fetches: until there was an access token */
    struct soap_model *model; /* a reference, which becomes the caller's */
    void *owner;              /* for ready() */
    bool fetches;             /* it may not be left: it ends with its fetch */
};

struct soap_settings {
    const char *wsdl_folder;   /* file: is allowed below it; "" nowhere */
    const char *allow_origins; /* as origin_listed() takes them */
    int64_t max_age_ms;
};

/* Borrows the transport; copies the settings. NULL: no memory. */
struct soap_store *soap_store_new(struct transport *http, const struct soap_settings *settings);

/* 0: waiter->model is set. 1: it waits. -EBADMSG: no WSDL, with the outcome; -ENOMEM. */
int soap_store_take(struct soap_store *store, struct soap_waiter *waiter,
                    struct outcome *ret_failure) __attribute__((warn_unused_result));

/* Ends the waiting of one that does not fetch. */
void soap_store_leave(struct soap_waiter *waiter);

/* When nothing is fetched any more. NULL is allowed. */
void soap_store_free(struct soap_store *store);

#endif
