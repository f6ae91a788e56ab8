#include "worker/ackwindow.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum { TAG_OPEN, TAG_SETTLED, TAG_TOLD };
enum { FIRST_CAP = 64 };

static uint8_t *slot(const struct ackwindow *w, uint64_t tag)
{
    return &w->state[tag & (w->cap - 1)];
}

void ackwindow_init(struct ackwindow *w)
{
    *w = (struct ackwindow){0};
}

void ackwindow_release(struct ackwindow *w)
{
    free(w->state);
    ackwindow_init(w);
}

void ackwindow_restart(struct ackwindow *w)
{
    w->first = w->next = w->lowest = 0;
    w->settled = 0;
}

static int grow(struct ackwindow *w)
{
    size_t cap = w->cap ? w->cap * 2 : FIRST_CAP;
    uint8_t *state = malloc(cap);

    if (!state)
        return -ENOMEM;
    for (uint64_t tag = w->first; tag != w->next; tag++)
        state[tag & (cap - 1)] = *slot(w, tag);
    free(w->state);
    w->state = state;
    w->cap = cap;
    return 0;
}

int ackwindow_delivered(struct ackwindow *w, uint64_t tag)
{
    if (w->first == 0)
        w->first = w->next = tag;
    if (tag != w->next)
        return -EPROTO;
    if (w->next - w->first == w->cap) {
        int r = w->cap < ACKWINDOW_SPAN_MAX ? grow(w) : -EOVERFLOW;

        if (r < 0)
            return r;
    }
    *slot(w, tag) = TAG_OPEN;
    w->next++;
    return 0;
}

void ackwindow_settled(struct ackwindow *w, uint64_t tag)
{
    assert(tag >= w->first && tag < w->next && *slot(w, tag) == TAG_OPEN);
    *slot(w, tag) = TAG_SETTLED;
    w->settled++;
    if (w->lowest == 0 || tag < w->lowest)
        w->lowest = tag;
}

void ackwindow_told(struct ackwindow *w, uint64_t tag)
{
    assert(tag >= w->first && tag < w->next && *slot(w, tag) == TAG_OPEN);
    *slot(w, tag) = TAG_TOLD;
    if (tag == w->first)
        while (w->first != w->next && *slot(w, w->first) == TAG_TOLD)
            w->first++;
}

/* One frame for the unbroken run at the front. */
static int flush_front(struct ackwindow *w, ackwindow_send *send, void *context)
{
    uint64_t last_settled = 0;
    uint64_t tag = w->first;
    size_t settled = 0;

    for (; tag != w->next && *slot(w, tag) != TAG_OPEN; tag++) {
        if (*slot(w, tag) == TAG_SETTLED) {
            last_settled = tag;
            settled++;
        }
    }
    w->first = tag;
    w->settled -= settled;
    if (settled == 0)
        return 0;
    return send(context, last_settled, settled > 1);
}

static int flush_behind(struct ackwindow *w, ackwindow_send *send, void *context)
{
    uint64_t start = w->lowest > w->first ? w->lowest : w->first;

    for (uint64_t tag = start; tag != w->next && w->settled > 0; tag++) {
        int r;

        if (*slot(w, tag) != TAG_SETTLED)
            continue;
        *slot(w, tag) = TAG_TOLD;
        w->settled--;
        r = send(context, tag, false);
        if (r < 0)
            return r;
    }
    return 0;
}

int ackwindow_flush(struct ackwindow *w, bool behind, ackwindow_send *send, void *context)
{
    int r = flush_front(w, send, context);

    if (r == 0 && behind && w->settled > 0)
        r = flush_behind(w, send, context);
    if (w->settled == 0)
        w->lowest = 0;
    return r;
}
