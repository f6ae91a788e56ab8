/* The loop's side: jobs go in, answers come out. */
#include "worker/publisher_impl.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { STOP_POLITELY_MS = 300, STOP_MS = 1000 };

void publisher_list_add(struct publisher_list *list, struct publisher_job *job)
{
    job->next = NULL;
    if (list->last != NULL) {
        list->last->next = job;
    } else {
        list->first = job;
    }
    list->last = job;
    list->count++;
    list->bytes += job->size;
}

struct publisher_job *publisher_list_take(struct publisher_list *list)
{
    struct publisher_job *job = list->first;

    if (job != NULL) {
        list->first = job->next;
        if (list->first == NULL) {
            list->last = NULL;
        }
        list->count--;
        list->bytes -= job->size;
        job->next = NULL;
    }
    return job;
}

void publisher_list_join(struct publisher_list *to, struct publisher_list *from)
{
    if (from->first == NULL) {
        return;
    }
    if (to->last != NULL) {
        to->last->next = from->first;
    } else {
        to->first = from->first;
    }
    to->last = from->last;
    to->count += from->count;
    to->bytes += from->bytes;
    *from = (struct publisher_list){0};
}

/* Tells the hooks what changed since they were told. */
static void tell_state(struct publisher *p, const struct publisher_state *now)
{
    const struct publisher_state before = p->told;
    const struct publisher_hooks *hooks = &p->hooks;

    p->told = *now;
    if (before.blocked && !now->blocked && hooks->on_blocked != NULL) {
        hooks->on_blocked(hooks->context, false, "");
    }
    if (now->changes != before.changes && hooks->on_state != NULL) {
        if (now->losses != before.losses && before.connected && now->connected) {
            hooks->on_state(hooks->context, false, now->lost_text);
        }
        hooks->on_state(hooks->context, now->connected, now->text);
    }
    if (!before.blocked && now->blocked && hooks->on_blocked != NULL) {
        hooks->on_blocked(hooks->context, true, now->blocked_reason);
    }
}

static void answer(struct publisher *p, struct publisher_job *job)
{
    if (job->call != NULL) {
        if (job->call_done != NULL) {
            job->call_done(job->context, job->call_result, job->reason);
        }
    } else {
        p->n_open--;
        if (job->done != NULL) {
            job->done(job->context, job->result, job->reason);
        }
    }
    free(job);
}

static void on_done(evutil_socket_t fd, short what, void *context)
{
    struct publisher *p = context;
    struct publisher_list finished;
    struct publisher_state state;
    struct publisher_job *job;
    eventfd_t count;

    (void)what;
    eventfd_read(fd, &count);
    pthread_mutex_lock(&p->lock);
    finished = p->finished;
    p->finished = (struct publisher_list){0};
    state = p->state;
    pthread_mutex_unlock(&p->lock);
    tell_state(p, &state);
    while ((job = publisher_list_take(&finished)) != NULL) {
        answer(p, job);
    }
}

static char *copy_text(char **at, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = memcpy(*at, text, size);

    *at += size;
    return copy;
}

/* With a NUL behind them. */
static char *copy_bytes(char **at, const char *bytes, size_t len)
{
    char *copy = memcpy(*at, bytes, len);

    copy[len] = '\0';
    *at += len + 1;
    return copy;
}

/* The strings of the options, in one allocation. */
static int copy_options(struct publisher *p, const struct bus_options *from)
{
    const char *ca_file = from->ca_file != NULL ? from->ca_file : "";
    size_t size = strlen(from->urls) + strlen(ca_file) + strlen(from->connection_name) + 3;
    char *at = malloc(size);

    if (at == NULL) {
        return -ENOMEM;
    }
    p->strings = at;
    p->options = *from;
    p->options.urls = copy_text(&at, from->urls);
    p->options.ca_file = copy_text(&at, ca_file);
    p->options.connection_name = copy_text(&at, from->connection_name);
    return 0;
}

void publisher_release(struct publisher *p)
{
    pthread_mutex_lock(&p->lock);
    unsigned left = --p->owners;
    pthread_mutex_unlock(&p->lock);
    if (left > 0) {
        return;
    }
    if (p->wake_fd >= 0) {
        close(p->wake_fd);
    }
    if (p->done_fd >= 0) {
        close(p->done_fd);
    }
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    if (p->strings != NULL) {
        explicit_bzero(p->strings, strlen(p->strings));
        free(p->strings);
    }
    free(p);
}

static void free_loop_side(struct publisher *p)
{
    if (p->done_event != NULL) {
        event_free(p->done_event);
    }
    publisher_release(p);
}

/* Everything but the thread. */
static int prepare(struct publisher *p, struct event_base *base, const struct bus_options *options)
{
    int rc = copy_options(p, options);

    if (rc < 0) {
        return rc;
    }
    p->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    p->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->wake_fd < 0 || p->done_fd < 0) {
        return -errno;
    }
    p->done_event = event_new(base, p->done_fd, EV_READ | EV_PERSIST, on_done, p);
    if (p->done_event == NULL || event_add(p->done_event, NULL) != 0) {
        return -ENOMEM;
    }
    return 0;
}

static void init_lock(struct publisher *p)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

int publisher_new(struct event_base *base, const struct bus_options *options,
                  const struct publisher_hooks *hooks, struct publisher **ret_publisher)
{
    struct publisher *p = calloc(1, sizeof(*p));

    if (p == NULL) {
        return -ENOMEM;
    }
    p->wake_fd = p->done_fd = -1;
    p->owners = 1;
    p->hooks = *hooks;
    init_lock(p);
    int rc = prepare(p, base, options);
    if (rc == 0) {
        p->owners = 2;
        rc = -pthread_create(&p->thread, NULL, publisher_thread, p);
        p->owners -= rc < 0;
    }
    if (rc < 0) {
        free_loop_side(p);
        return rc;
    }
    *ret_publisher = p;
    return 0;
}

static size_t text_size(const char *text)
{
    return strlen(text) + 1;
}

static size_t copied_size(const struct bus_publication *from)
{
    size_t size = from->n_fields * sizeof(struct bus_field) + from->body_len;

    size += text_size(from->exchange) + text_size(from->routing_key);
    size += text_size(from->message_id) + text_size(from->type);
    size += text_size(from->app_id) + text_size(from->content_type);
    size += from->second_key != NULL ? text_size(from->second_key) : 0;
    for (size_t i = 0; i < from->n_fields; i++) {
        const struct bus_field *f = &from->fields[i];
        size += text_size(f->name) + (f->text != NULL ? bus_field_len(f) + 1 : 0);
    }
    return size;
}

/* Copies everything behind the job. The fields come first: they need the alignment. */
static void copy_publication(struct publisher_job *job, const struct bus_publication *from)
{
    struct bus_field *fields = (struct bus_field *)(job + 1);
    struct bus_publication *to = &job->publication;
    char *at = (char *)(fields + from->n_fields);

    *to = *from;
    to->exchange = copy_text(&at, from->exchange);
    to->routing_key = copy_text(&at, from->routing_key);
    if (from->second_key != NULL) {
        to->second_key = copy_text(&at, from->second_key);
    }
    to->message_id = copy_text(&at, from->message_id);
    to->type = copy_text(&at, from->type);
    to->app_id = copy_text(&at, from->app_id);
    to->content_type = copy_text(&at, from->content_type);
    for (size_t i = 0; i < from->n_fields; i++) {
        fields[i] = from->fields[i];
        fields[i].name = copy_text(&at, from->fields[i].name);
        if (from->fields[i].text != NULL) {
            fields[i].text = copy_bytes(&at, from->fields[i].text, bus_field_len(&from->fields[i]));
        }
    }
    to->fields = fields;
    if (from->body_len > 0) {
        memcpy(at, from->body, from->body_len);
    }
    to->body = at;
}

static bool has_room(struct publisher *p, size_t size)
{
    pthread_mutex_lock(&p->lock);
    const struct publisher_list *q = &p->queued;
    bool room = q->count < PUBLISHER_QUEUED_MAX &&
                (q->count == 0 || q->bytes + size <= PUBLISHER_QUEUED_BYTES);
    pthread_mutex_unlock(&p->lock);
    return room;
}

/* Queues the job, or frees it when there is no room. */
static int enqueue(struct publisher *p, struct publisher_job *job)
{
    bool wake = false;
    int rc = 0;

    pthread_mutex_lock(&p->lock);
    const struct publisher_list *q = &p->queued;
    if (q->count >= PUBLISHER_QUEUED_MAX ||
        (q->count > 0 && q->bytes + job->size > PUBLISHER_QUEUED_BYTES)) {
        rc = -ENOBUFS;
    } else {
        publisher_list_add(&p->queued, job);
        wake = p->sleeping;
        p->sleeping = false;
    }
    pthread_mutex_unlock(&p->lock);
    if (rc < 0) {
        free(job);
    } else if (wake) {
        eventfd_write(p->wake_fd, 1);
    }
    return rc;
}

int publisher_submit(struct publisher *p, const struct bus_publication *publication,
                     publish_done *done, void *context)
{
    size_t size = sizeof(struct publisher_job) + copied_size(publication);
    if (!has_room(p, size)) {
        return -ENOBUFS; /* before the copy: it may be large */
    }
    struct publisher_job *job = malloc(size);

    if (job == NULL) {
        return -ENOMEM;
    }
    *job = (struct publisher_job){.size = size, .done = done, .context = context};
    copy_publication(job, publication);
    int rc = enqueue(p, job);
    p->n_open += rc == 0;
    return rc;
}

int publisher_run(struct publisher *p, publisher_call *call, void *argument,
                  publisher_call_done *done, void *context)
{
    struct publisher_job *job = malloc(sizeof(*job));

    if (job == NULL) {
        return -ENOMEM;
    }
    *job = (struct publisher_job){
        .size = sizeof(*job),
        .call = call,
        .argument = argument,
        .call_done = done,
        .context = context,
    };
    return enqueue(p, job);
}

void publisher_take_back(struct publisher *p)
{
    struct publisher_list queued;
    struct publisher_list calls = {0};
    struct publisher_job *job;

    pthread_mutex_lock(&p->lock);
    queued = p->queued;
    p->queued = (struct publisher_list){0};
    pthread_mutex_unlock(&p->lock);
    struct publisher_list unsent = {0};
    while ((job = publisher_list_take(&queued)) != NULL) {
        publisher_list_add(job->call != NULL ? &calls : &unsent, job);
    }
    pthread_mutex_lock(&p->lock);
    publisher_list_join(&p->queued, &calls);
    pthread_mutex_unlock(&p->lock);
    while ((job = publisher_list_take(&unsent)) != NULL) {
        job->result = PUBLISH_UNSENT;
        answer(p, job);
    }
}

bool publisher_connected(const struct publisher *p)
{
    return p->told.connected;
}

bool publisher_blocked(const struct publisher *p)
{
    return p->told.blocked;
}

size_t publisher_open_count(const struct publisher *p)
{
    return p->n_open;
}

/* Waits for the end of the thread; the lock is held. */
static bool wait_exited(struct publisher *p, int ms)
{
    struct timespec end;

    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += ms / 1000;
    end.tv_nsec += (ms % 1000) * 1000000L;
    if (end.tv_nsec >= 1000000000L) {
        end.tv_sec++;
        end.tv_nsec -= 1000000000L;
    }
    while (!p->exited && pthread_cond_timedwait(&p->changed, &p->lock, &end) == 0) {
    }
    return p->exited;
}

/* True when the thread has ended; false: it is in bus_open(), holds no job, and ends later. */
static bool stop_thread(struct publisher *p)
{
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    eventfd_write(p->wake_fd, 1);
    bool ended = wait_exited(p, STOP_POLITELY_MS);
    for (int ms = STOP_POLITELY_MS; !ended && (ms < STOP_MS || p->bus != NULL); ms += 100) {
        if (p->bus != NULL) {
            bus_interrupt(p->bus);
        }
        ended = wait_exited(p, 100);
    }
    pthread_mutex_unlock(&p->lock);
    return ended;
}

void publisher_free(struct publisher *p)
{
    struct publisher_job *job;

    if (p == NULL) {
        return;
    }
    if (stop_thread(p)) {
        pthread_join(p->thread, NULL);
    } else {
        pthread_detach(p->thread);
    }
    pthread_mutex_lock(&p->lock);
    struct publisher_list finished = p->finished;
    struct publisher_list queued = p->queued;
    p->finished = p->queued = (struct publisher_list){0};
    pthread_mutex_unlock(&p->lock);
    while ((job = publisher_list_take(&finished)) != NULL) {
        answer(p, job);
    }
    while ((job = publisher_list_take(&queued)) != NULL) {
        job->result = PUBLISH_LOST;
        job->call_result = -ECANCELED;
        snprintf(job->reason, sizeof(job->reason), "the publisher stops");
        answer(p, job);
    }
    free_loop_side(p);
}
