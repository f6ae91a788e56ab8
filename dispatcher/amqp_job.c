/* Messages between loop and thread, and what both sides hold together. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "dispatcher/amqp_impl.h"
#include "dispatcher/amqp_target.h"

void amqp_list_add(struct amqp_list *list, struct amqp_job *job)
{
    job->next = NULL;
    if (list->last != NULL) {
        list->last->next = job;
    } else {
        list->first = job;
    }
    list->last = job;
    list->count++;
}

void amqp_list_remove(struct amqp_list *list, struct amqp_job *before, struct amqp_job *job)
{
    if (before != NULL) {
        before->next = job->next;
    } else {
        list->first = job->next;
    }
    if (list->last == job) {
        list->last = before;
    }
    list->count--;
    job->next = NULL;
}

struct amqp_job *amqp_list_take(struct amqp_list *list)
{
    struct amqp_job *job = list->first;

    if (job != NULL) {
        amqp_list_remove(list, NULL, job);
    }
    return job;
}

static const char *copy(char **at, const char *bytes, size_t len)
{
    char *start = *at;

    memcpy(start, bytes, len);
    start[len] = '\0';
    *at += len + 1;
    return start;
}

/* The content type is a property of its own; every other header is a field. */
static void copy_headers(struct amqp_job *job, const struct request *r, struct bus_field *fields,
                         char **at)
{
    struct bus_publication *p = &job->publication;

    p->content_type = "";
    p->fields = fields;
    for (size_t i = 0; i < r->n_headers; i++) {
        const char *header = r->headers[i];
        size_t name_len = strcspn(header, ":");
        const char *value = header[name_len] == ':' ? header + name_len + 1 : header + name_len;
        value += strspn(value, " ");
        if (name_len == strlen("Content-Type") &&
            strncasecmp(header, "Content-Type", name_len) == 0) {
            p->content_type = copy(at, value, strlen(value));
            continue;
        }
        struct bus_field *field = &fields[p->n_fields++];
        *field = (struct bus_field){.name = copy(at, header, name_len)};
        field->text = copy(at, value, strlen(value));
    }
}

static size_t copied_size(const struct request *r, size_t body_len)
{
    size_t size = r->n_headers * sizeof(struct bus_field) + body_len + 1;

    size += strlen(r->service->amqp->exchange) + r->routing_key.len + strlen(r->webhook_id) + 3;
    for (size_t i = 0; i < r->n_headers; i++) {
        size += strlen(r->headers[i]) + 2;
    }
    return size;
}

struct amqp_job *amqp_job_new(const struct request *request)
{
    const char *exchange = request->service->amqp->exchange;
    size_t body_len;
    const char *body = request_body(request, &body_len);
    size_t size = sizeof(struct amqp_job) + copied_size(request, body_len);
    struct amqp_job *job = malloc(size);

    if (job == NULL) {
        return NULL;
    }
    *job = (struct amqp_job){
        .size = size, .timeout_ms = request->service->timeout_ms, .kind = OUTCOME_CONFIRMED};
    struct bus_field *fields = (struct bus_field *)(job + 1);
    char *at = (char *)(fields + request->n_headers);
    struct bus_publication *p = &job->publication;
    *p = (struct bus_publication){.type = "", .app_id = "", .body_len = body_len};
    p->exchange = copy(&at, exchange, strlen(exchange));
    p->routing_key = copy(&at, buf_text(&request->routing_key), request->routing_key.len);
    p->message_id = copy(&at, request->webhook_id, strlen(request->webhook_id));
    copy_headers(job, request, fields, &at);
    p->body = copy(&at, body, body_len);
    return job;
}

void amqp_job_free(struct amqp_job *job)
{
    free(job);
}

void amqp_hub_release(struct amqp_hub *hub)
{
    pthread_mutex_lock(&hub->lock);
    unsigned left = --hub->owners;
    pthread_mutex_unlock(&hub->lock);
    if (left > 0) {
        return;
    }
    pthread_cond_destroy(&hub->changed);
    pthread_mutex_destroy(&hub->lock);
    if (hub->done_fd >= 0) {
        close(hub->done_fd);
    }
    free(hub->ca_file);
    free(hub->name);
    free(hub);
}

void amqp_link_free(struct amqp_link *link)
{
    if (link->url != NULL) {
        explicit_bzero(link->url, strlen(link->url));
    }
    free(link->url);
    free(link->shown);
    free(link->host);
    free(link->queue);
    free(link->dlq);
    free(link->name);
    if (link->wake_fd >= 0) {
        close(link->wake_fd);
    }
    free(link);
}
