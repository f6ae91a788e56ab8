#include "common/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 64 };

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_init_secret(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max, .secret = true};
}

static void drop(struct buf *b)
{
    if (b->secret && b->data)
        explicit_bzero(b->data, b->cap);
    free(b->data);
    b->data = NULL;
    b->len = b->cap = 0;
}

void buf_release(struct buf *b)
{
    drop(b);
    b->error = 0;
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->error = 0;
    if (b->data)
        b->data[0] = '\0';
}

static void fail(struct buf *b, int error)
{
    drop(b);
    b->error = error;
}

/* realloc(), which may leave a copy behind, but for secrets. */
static char *resize(const struct buf *b, size_t cap)
{
    if (!b->secret)
        return realloc(b->data, cap);
    char *data = malloc(cap);
    if (data && b->data) {
        memcpy(data, b->data, b->cap);
        explicit_bzero(b->data, b->cap);
        free(b->data);
    }
    return data;
}

/* Makes room for extra bytes and the NUL. False: the buffer has an error. */
static bool reserve(struct buf *b, size_t extra)
{
    if (b->error)
        return false;
    if (extra > b->max - b->len) {
        fail(b, -EMSGSIZE);
        return false;
    }
    size_t need = b->len + extra;
    if (need < b->cap)
        return true;
    size_t cap = b->cap ? b->cap : FIRST_CAPACITY;
    while (cap <= need && cap <= SIZE_MAX / 2)
        cap *= 2;
    if (cap <= need) {
        fail(b, -ENOMEM);
        return false;
    }
    if (cap - 1 > b->max) /* so that what fits into cap is within max */
        cap = b->max + 1;
    char *data = resize(b, cap);
    if (!data) {
        fail(b, -ENOMEM);
        return false;
    }
    b->data = data;
    b->cap = cap;
    return true;
}

void buf_add_growing(struct buf *b, const void *bytes, size_t len)
{
    if (reserve(b, len))
        buf_add(b, bytes, len);
}

void buf_adds(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}

void buf_addf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0) { /* only a broken multibyte %ls or more than INT_MAX bytes */
        fail(b, -EMSGSIZE);
        return;
    }
    if (!reserve(b, (size_t)n))
        return;
    va_start(args, format);
    vsnprintf(b->data + b->len, (size_t)n + 1, format, args);
    va_end(args);
    b->len += (size_t)n;
}

int buf_error(const struct buf *b)
{
    return b->error;
}

const char *buf_text(const struct buf *b)
{
    return b->data ? b->data : "";
}

char *buf_take(struct buf *b, size_t *ret_len)
{
    if (!reserve(b, 0))
        return NULL;
    char *data = b->data;
    size_t len = b->len;
    data[len] = '\0';
    b->data = NULL;
    b->len = b->cap = 0;
    if (ret_len)
        *ret_len = len;
    return data;
}
