#include "dispatcher/soap_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/timing.h"
#include "common/utf8.h"

enum {
    MAX_ENTRIES = 256,
    PAUSE_MS = 60000, /* after a fetch that failed, while there is an old one */
    LEAST_MS = 1,     /* curl takes 0 for no limit */
};

TAILQ_HEAD(waiters, soap_waiter);

struct soap_entry {
    TAILQ_ENTRY(soap_entry) link;
    struct soap_store *store;
    int64_t service_id;
    char *url;
    uint64_t secret; /* of the header that it was fetched with: another one may see another WSDL */
    struct soap_model *model; /* NULL: none yet */
    int64_t stale_ms;
    struct soap_waiter *owner;  /* who fetches; NULL: nobody */
    struct waiters waiters;     /* the others */
    struct wsdl_reader *reader; /* while it is fetched */
    struct request request;
    struct service stranger; /* stands in for the service where it is not to be known */
};

TAILQ_HEAD(entries, soap_entry);

struct soap_store {
    struct transport *http;
    char *folder; /* resolved; NULL: none */
    char *origins;
    int64_t max_age_ms;
    struct entries entries; /* the last used first */
    size_t n_entries;
};

static char accept_xml[] = "Accept: text/xml, application/xml, application/wsdl+xml, */*";

void soap_model_put(struct soap_model *model)
{
    if (model && --model->references == 0) {
        wsdl_free(model->wsdl);
        free(model);
    }
}

static struct soap_model *model_ref(struct soap_model *model)
{
    model->references++;
    return model;
}

struct soap_store *soap_store_new(struct transport *http, const struct soap_settings *settings)
{
    struct soap_store *store = calloc(1, sizeof(*store));
    if (!store) {
        return NULL;
    }
    TAILQ_INIT(&store->entries);
    store->http = http;
    store->max_age_ms = settings->max_age_ms;
    store->origins = strdup(settings->allow_origins);
    /* A folder that is not there allows nothing. */
    store->folder = *settings->wsdl_folder ? realpath(settings->wsdl_folder, NULL) : NULL;
    if (!store->origins) {
        soap_store_free(store);
        return NULL;
    }
    return store;
}

static void free_entry(struct soap_entry *entry)
{
    TAILQ_REMOVE(&entry->store->entries, entry, link);
    entry->store->n_entries--;
    soap_model_put(entry->model);
    wsdl_reader_free(entry->reader);
    request_release(&entry->request);
    free(entry->url);
    free(entry);
}

void soap_store_free(struct soap_store *store)
{
    if (!store) {
        return;
    }
    while (!TAILQ_EMPTY(&store->entries)) {
        free_entry(TAILQ_FIRST(&store->entries));
    }
    free(store->folder);
    free(store->origins);
    free(store);
}

/* FNV-1a: tells one secret from another, and does not give it away. */
static uint64_t digest(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (; text && *text; text++) {
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3;
    }
    return hash;
}

/* Room for one more: the one that was not used for longest, if nobody needs it now. */
static void drop_oldest(struct soap_store *store)
{
    struct soap_entry *entry = NULL;
    TAILQ_FOREACH_REVERSE(entry, &store->entries, entries, link)
    {
        if (!entry->owner && TAILQ_EMPTY(&entry->waiters)) {
            free_entry(entry);
            return;
        }
    }
}

static struct soap_entry *entry_of(struct soap_store *store, const struct service *service)
{
    uint64_t secret = digest(service->auth_header);
    struct soap_entry *entry = NULL;
    TAILQ_FOREACH(entry, &store->entries, link)
    {
        if (entry->service_id == service->id && entry->secret == secret &&
            strcmp(entry->url, service->base_url) == 0) {
            return entry;
        }
    }
    if (store->n_entries >= MAX_ENTRIES) {
        drop_oldest(store);
    }
    entry = calloc(1, sizeof(*entry));
    char *url = strdup(service->base_url);
    if (!entry || !url) {
        free(entry);
        free(url);
        return NULL;
    }
    entry->store = store;
    entry->service_id = service->id;
    entry->secret = secret;
    entry->url = url;
    TAILQ_INIT(&entry->waiters);
    request_init(&entry->request);
    TAILQ_INSERT_HEAD(&store->entries, entry, link);
    store->n_entries++;
    return entry;
}

static void fail(struct outcome *o, enum outcome_kind kind, const char *words)
{
    *o = (struct outcome){.kind = kind, .retry_after_s = -1};
    (void)snprintf(o->text, sizeof(o->text), "%.250s", words);
}

/* What is wrong with a WSDL may be mended there: it is tried again, like any garbled answer. */
static int fail_reading(int r, const char *reason, struct outcome *o)
{
    fail(o, r == -ENOMEM ? OUTCOME_LOCAL : OUTCOME_BROKEN, r == -ENOMEM ? "no memory" : reason);
    return -EBADMSG;
}

/* The file below the folder, symbolic links followed; NULL when it is none of those. */
static char *file_of(const struct soap_store *store, const char *url)
{
    char *path = store->folder ? realpath(url + strlen("file://"), NULL) : NULL;
    size_t len = store->folder ? strlen(store->folder) : 0;
    if (path && (strncmp(path, store->folder, len) != 0 || path[len] != '/')) {
        free(path);
        path = NULL;
    }
    return path;
}

static char *read_file(const char *path, size_t *ret_len)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    char *bytes = NULL;
    size_t len = 0;
    if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
        status.st_size <= WSDL_MAX_BYTES) {
        bytes = malloc((size_t)status.st_size + 1);
    }
    while (bytes && len < (size_t)status.st_size) {
        ssize_t n = read(fd, bytes + len, (size_t)status.st_size - len);
        if (n <= 0) {
            break;
        }
        len += (size_t)n;
    }
    if (fd >= 0) {
        close(fd);
    }
    *ret_len = len;
    return bytes;
}

static int give_file(struct soap_entry *entry, const char *url, struct outcome *ret_failure)
{
    char reason[WSDL_REASON_SIZE];
    size_t len = 0;
    char *path = file_of(entry->store, url);
    char *bytes = path ? read_file(path, &len) : NULL;
    int r = -EBADMSG;
    if (!path) {
        fail(ret_failure, OUTCOME_INVALID,
             "the WSDL is a file that is not in the folder of [soap] wsdl_folder");
    } else if (!bytes) {
        fail(ret_failure, OUTCOME_LOCAL, "the WSDL's file cannot be read");
    } else {
        r = wsdl_reader_give(entry->reader, bytes, len, reason, sizeof(reason));
        r = r < 0 ? fail_reading(r, reason, ret_failure) : 0;
    }
    free(bytes);
    free(path);
    return r;
}

static void on_document(void *context, const struct outcome *outcome, const char *body,
                        size_t body_len);

/* Asks for the wanted document, with what is left of the owner's time. */
static int request_document(struct soap_entry *entry, const char *url, struct outcome *ret_failure)
{
    const struct soap_waiter *owner = entry->owner;
    struct request *request = &entry->request;
    int64_t left_ms = (owner->deadline_us - timing_mono_us()) / 1000;
    if (entry->model) {
        left_ms /= 2; /* the rest is for the call with the old one, if this fails */
    }
    if (left_ms < LEAST_MS) {
        fail(ret_failure, OUTCOME_TIMEOUT, "the WSDL did not come in time");
        ret_failure->latency_us = owner->service->timeout_ms * 1000;
        return -EBADMSG;
    }
    request_reset(request);
    request->service = owner->service;
    if (!wsdl_reader_trusts(entry->reader)) {
        /* Neither token nor certificate: what stands in for the service has none. */
        entry->stranger = (struct service){.id = owner->service->id,
                                           .name = owner->service->name,
                                           .base_url = owner->service->base_url,
                                           .timeout_ms = owner->service->timeout_ms};
        request->service = &entry->stranger;
    }
    memcpy(request->method, "GET", sizeof("GET"));
    buf_adds(&request->url, url);
    request->headers[request->n_headers++] = accept_xml;
    if (request->service->auth_header) {
        request->headers[request->n_headers++] = request->service->auth_header;
    }
    request->max_answer = WSDL_MAX_BYTES;
    request->timeout_ms = left_ms;
    if (buf_error(&request->url) < 0 ||
        entry->store->http->ops->send(entry->store->http, request, on_document, entry) < 0) {
        fail(ret_failure, OUTCOME_LOCAL, "the WSDL's request could not be started");
        return -EBADMSG;
    }
    return 1;
}

/* Goes on until something must be waited for. 0: read; 1: under way; -EBADMSG: failed. */
static int advance(struct soap_entry *entry, struct outcome *ret_failure)
{
    char reason[WSDL_REASON_SIZE];
    const char *url;
    struct wsdl *wsdl = NULL;
    while ((url = wsdl_reader_wants(entry->reader)) != NULL) {
        if (strncasecmp(url, "file:", 5) != 0) {
            return request_document(entry, url, ret_failure);
        }
        if (give_file(entry, url, ret_failure) < 0) {
            return -EBADMSG;
        }
    }
    int r = wsdl_reader_finish(entry->reader, &wsdl, reason, sizeof(reason));
    if (r < 0) {
        return fail_reading(r, reason, ret_failure);
    }
    struct soap_model *model = malloc(sizeof(*model));
    if (!model) {
        wsdl_free(wsdl);
        return fail_reading(-ENOMEM, "", ret_failure);
    }
    *model = (struct soap_model){.wsdl = wsdl, .references = 1};
    soap_model_put(entry->model);
    entry->model = model;
    entry->stale_ms = timing_mono_ms() + entry->store->max_age_ms;
    return 0;
}

/* Takes the fetch down; what comes of it is in the model, or not. */
static void end_fetch(struct soap_entry *entry, bool failed)
{
    wsdl_reader_free(entry->reader);
    entry->reader = NULL;
    entry->owner = NULL;
    if (failed && entry->model) {
        entry->stale_ms = timing_mono_ms() + PAUSE_MS;
    }
}

/* Begins a fetch for its owner. As advance(). */
static int begin(struct soap_entry *entry, struct soap_waiter *owner, struct outcome *ret_failure)
{
    entry->owner = owner;
    entry->reader = wsdl_reader_new(entry->url, entry->store->origins);
    int r = entry->reader ? advance(entry, ret_failure) : fail_reading(-ENOMEM, "", ret_failure);
    owner->fetches = r == 1;
    if (r != 1) {
        end_fetch(entry, r < 0);
    }
    return r;
}

static void answer(struct soap_model *model, struct soap_waiter *waiter,
                   const struct outcome *failure)
{
    waiter->entry = NULL;
    waiter->fetches = false;
    waiter->model = model ? model_ref(model) : NULL;
    waiter->ready(waiter, model ? NULL : failure);
}

/* The owner's time was over, but others may have more: the next one fetches. True: it is under
 * way. Its own end does not wait for the others'. */
static bool pass_on(struct soap_entry *entry, const struct outcome *failure)
{
    struct soap_waiter *next = TAILQ_FIRST(&entry->waiters);
    struct outcome ignored;
    if (failure->kind != OUTCOME_TIMEOUT || entry->model || !next ||
        next->deadline_us - timing_mono_us() < LEAST_MS * INT64_C(1000)) {
        return false;
    }
    TAILQ_REMOVE(&entry->waiters, next, link);
    int r = begin(entry, next, &ignored);
    if (r != 1) {
        TAILQ_INSERT_HEAD(&entry->waiters, next, link);
    }
    return r == 1;
}

static void take_all(struct waiters *from, struct waiters *to)
{
    TAILQ_CONCAT(to, from, link);
}

/* Tells all who wait now, who may ask again from within, and cause the entry to be dropped. Who is
 * cancelled must not go on with an old WSDL either. */
static void settle(struct soap_entry *entry, struct soap_waiter *owner,
                   const struct outcome *failure)
{
    struct waiters told = TAILQ_HEAD_INITIALIZER(told);
    bool cancelled = failure && failure->kind == OUTCOME_CANCELLED;
    struct soap_model *model = entry->model && !cancelled ? model_ref(entry->model) : NULL;
    if (!failure || !pass_on(entry, failure)) {
        take_all(&entry->waiters, &told);
    }
    TAILQ_INSERT_HEAD(&told, owner, link);
    while (!TAILQ_EMPTY(&told)) {
        struct soap_waiter *waiter = TAILQ_FIRST(&told);
        TAILQ_REMOVE(&told, waiter, link);
        answer(model, waiter, failure);
    }
    soap_model_put(model);
}

static bool is_success(const struct outcome *outcome)
{
    return outcome->kind == OUTCOME_HTTP && outcome->status >= 200 && outcome->status < 300;
}

/* The words say that it was the WSDL. A redirect's text is where it leads to. */
static void blame_wsdl(struct outcome *o)
{
    char text[OUTCOME_TEXT_SIZE];
    bool redirect = o->kind == OUTCOME_HTTP && o->status >= 300 && o->status < 400;
    if (redirect) {
        return;
    }
    (void)snprintf(text, sizeof(text), "fetching the WSDL%s%.220s", *o->text ? ": " : "", o->text);
    memcpy(o->text, text, sizeof(text));
}

static void on_document(void *context, const struct outcome *outcome, const char *body,
                        size_t body_len)
{
    struct soap_entry *entry = context;
    struct soap_waiter *owner = entry->owner;
    struct outcome failure = *outcome;
    char reason[WSDL_REASON_SIZE];
    int r = -EBADMSG;
    owner->token_us += outcome->token_us;
    failure.token_us = 0;
    if (is_success(outcome)) {
        r = wsdl_reader_give(entry->reader, body, body_len, reason, sizeof(reason));
        r = r < 0 ? fail_reading(r, reason, &failure) : advance(entry, &failure);
    } else {
        blame_wsdl(&failure);
    }
    if (r == 1) {
        return;
    }
    end_fetch(entry, r < 0);
    settle(entry, owner, r < 0 ? &failure : NULL);
}

int soap_store_take(struct soap_store *store, struct soap_waiter *waiter,
                    struct outcome *ret_failure)
{
    struct soap_entry *entry = entry_of(store, waiter->service);
    if (!entry) {
        return -ENOMEM;
    }
    TAILQ_REMOVE(&store->entries, entry, link);
    TAILQ_INSERT_HEAD(&store->entries, entry, link);
    bool fresh = entry->model && timing_mono_ms() < entry->stale_ms;
    waiter->fetches = false;
    int r = 0;
    if (entry->owner && !entry->model) {
        TAILQ_INSERT_TAIL(&entry->waiters, waiter, link);
        r = 1;
    } else if (!fresh && !entry->owner) {
        r = begin(entry, waiter, ret_failure);
    }
    if (r == 1) {
        waiter->entry = entry;
        return 1;
    }
    waiter->entry = NULL;
    waiter->model = entry->model ? model_ref(entry->model) : NULL;
    return waiter->model ? 0 : r;
}

void soap_store_leave(struct soap_waiter *waiter)
{
    TAILQ_REMOVE(&waiter->entry->waiters, waiter, link);
    waiter->entry = NULL;
}
