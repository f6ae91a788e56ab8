/*
 * A queue of store jobs, first in, first out. Only store.c uses it; the caller's lock guards it.
 */
#ifndef MIH_WORKER_JOBLIST_H
#define MIH_WORKER_JOBLIST_H

#include "worker/store.h"

struct joblist {
    struct store_job *first;
    struct store_job *last; /* of use while n > 0 */
    size_t n;
};

static inline void joblist_append(struct joblist *list, struct store_job *job)
{
    job->next = NULL;
    if (list->n++)
        list->last->next = job;
    else
        list->first = job;
    list->last = job;
}

/* The list must not be empty. */
static inline struct store_job *joblist_pop(struct joblist *list)
{
    struct store_job *job = list->first;
    list->first = job->next;
    list->n--;
    return job;
}

static inline struct joblist joblist_take(struct joblist *from)
{
    struct joblist all = *from;
    *from = (struct joblist){0};
    return all;
}

#endif
