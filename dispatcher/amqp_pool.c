/* The loop's side: which connections there are, and how their threads start and end. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "common/netguard.h"
#include "dispatcher/amqp_impl.h"
#include "dispatcher/amqp_target.h"

static bool is_for(const struct amqp_link *link, const struct service *service)
{
    const struct amqp_target *t = service->amqp;

    return link->service_id == service->id && strcmp(link->url, t->url) == 0 &&
           strcmp(link->queue, t->queue) == 0 && strcmp(link->dlq, t->dlq) == 0;
}

void amqp_link_wake(struct amqp_link *link)
{
    if (link->sleeping) {
        link->sleeping = false;
        eventfd_write(link->wake_fd, 1);
    }
}

/* Ends a link, once what it has is answered; the lock is held. */
void amqp_link_stop(struct amqp_link *link)
{
    link->stopping = link->ending = true;
    pthread_cond_broadcast(&link->hub->changed);
    amqp_link_wake(link);
}

/* A connection that was opened when the guard was another one; the lock is held. */
static bool is_refused(const struct amqp *a, const struct amqp_link *link)
{
    return link->bus != NULL &&
           netguard_check(a->guard, (const struct sockaddr *)&link->address) != NULL;
}

/* The link that takes messages of the service; the lock is held. */
struct amqp_link *amqp_pool_find(struct amqp *a, const struct service *service)
{
    struct amqp_link *link;

    for (link = TAILQ_FIRST(&a->links); link != NULL; link = TAILQ_NEXT(link, link)) {
        if (link->ending || !is_for(link, service)) {
            continue;
        }
        if (!is_refused(a, link)) {
            return link;
        }
        amqp_link_stop(link);
    }
    return NULL;
}

static int fill_link(struct amqp_link *link, const struct service *service)
{
    const struct amqp_target *t = service->amqp;

    link->service_id = service->id;
    link->url = strdup(t->url);
    link->shown = strdup(t->shown);
    link->host = strdup(t->host);
    link->queue = strdup(t->queue);
    link->dlq = strdup(t->dlq);
    if (asprintf(&link->name, "%s, service %lld", link->hub->name, (long long)service->id) < 0) {
        link->name = NULL;
    }
    if (link->url == NULL || link->shown == NULL || link->host == NULL || link->queue == NULL ||
        link->dlq == NULL || link->name == NULL) {
        return -ENOMEM;
    }
    link->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return link->wake_fd >= 0 ? 0 : -errno;
}

static int start_thread(struct amqp_link *link)
{
    struct amqp_hub *hub = link->hub;

    pthread_mutex_lock(&hub->lock);
    int r = -pthread_create(&link->thread, NULL, amqp_link_thread, link);
    hub->owners += r == 0;
    pthread_mutex_unlock(&hub->lock);
    return r;
}

int amqp_pool_add(struct amqp *a, const struct service *service, struct amqp_link **ret_link)
{
    struct amqp_link *link = calloc(1, sizeof(*link));

    if (link == NULL) {
        return -ENOMEM;
    }
    link->hub = a->hub;
    link->wake_fd = -1;
    int r = fill_link(link, service);
    if (r == 0) {
        r = start_thread(link);
    }
    if (r < 0) {
        amqp_link_free(link);
        return r;
    }
    TAILQ_INSERT_TAIL(&a->links, link, link);
    a->n_links++;
    *ret_link = link;
    return 0;
}

/* All connections are taken: the one that was idle the longest ends. */
void amqp_pool_make_room(struct amqp *a)
{
    struct amqp_link *idle = NULL;
    struct amqp_link *link;
    bool underway = false; /* one is about to end */

    pthread_mutex_lock(&a->hub->lock);
    for (link = TAILQ_FIRST(&a->links); link != NULL; link = TAILQ_NEXT(link, link)) {
        underway = underway || link->ending;
        if (!link->ending && link->n_open == 0 && (idle == NULL || link->used_ms < idle->used_ms)) {
            idle = link;
        }
    }
    if (idle != NULL && !underway) {
        amqp_link_stop(idle);
    }
    pthread_mutex_unlock(&a->hub->lock);
}

/* In the loop, for a thread that asks; the lock is held. */
static void answer_question(const struct amqp *a, struct amqp_link *link)
{
    const struct sockaddr *address = (const struct sockaddr *)&link->address;
    const char *kind = netguard_check(a->guard, address);
    char text[64];

    link->refusal[0] = '\0';
    if (kind != NULL) {
        netguard_print(address, text, sizeof(text));
        netguard_explain(kind, link->host, text, link->refusal, sizeof(link->refusal));
    }
    link->asks = false;
    pthread_cond_broadcast(&a->hub->changed);
}

/* Takes the links whose threads have ended out of the list; the lock is held. */
void amqp_pool_collect(struct amqp *a, struct amqp_links *ret_ended)
{
    struct amqp_link *next;

    for (struct amqp_link *link = TAILQ_FIRST(&a->links); link != NULL; link = next) {
        next = TAILQ_NEXT(link, link);
        if (link->asks) {
            answer_question(a, link);
        }
        if (link->exited) {
            TAILQ_REMOVE(&a->links, link, link);
            TAILQ_INSERT_TAIL(ret_ended, link, link);
            a->n_links--;
        }
    }
}

/* Waits for a moment, or for news of the threads; the lock is held. */
void amqp_hub_wait(struct amqp_hub *hub, int64_t ms)
{
    struct timespec end;

    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_nsec += ms * 1000000L;
    end.tv_sec += end.tv_nsec / 1000000000L;
    end.tv_nsec %= 1000000000L;
    pthread_cond_timedwait(&hub->changed, &hub->lock, &end);
}

/* Links that have not ended; breaks the connections of those that take too long. The lock is
 * held. */
size_t amqp_pool_running(struct amqp *a, bool impatient)
{
    struct amqp_link *link;
    size_t n = 0;

    for (link = TAILQ_FIRST(&a->links); link != NULL; link = TAILQ_NEXT(link, link)) {
        if (!link->exited && link->bus != NULL && impatient) {
            bus_interrupt(link->bus);
        }
        n += !link->exited;
    }
    return n;
}

struct amqp_hub *amqp_hub_new(const struct transport_settings *settings)
{
    struct amqp_hub *hub = calloc(1, sizeof(*hub));
    pthread_condattr_t attributes;

    if (hub == NULL) {
        return NULL;
    }
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&hub->lock, NULL);
    pthread_cond_init(&hub->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    hub->owners = 1;
    hub->connect_timeout_ms = (int)settings->connect_timeout_ms;
    hub->ca_file = strdup(settings->ca_file != NULL ? settings->ca_file : "");
    hub->name = strdup(settings->user_agent);
    hub->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (hub->ca_file == NULL || hub->name == NULL || hub->done_fd < 0) {
        amqp_hub_release(hub);
        return NULL;
    }
    return hub;
}
