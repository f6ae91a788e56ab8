/*
 * A growing byte buffer that is born with a maximum.
 *
 * Appending never returns an error: the first failure (out of memory, or the maximum reached)
 * is remembered, empties the buffer, and every later append does nothing. Build the whole text
 * and ask buf_error() once. The data is always followed by a NUL byte that is not counted, so
 * it may be used as a C string when it holds no NUL of its own.
 *
 * The caller owns the struct; the buffer owns its bytes until buf_release() or buf_take().
 *
 * A buffer that holds secrets leaves none behind in memory that it gives back, also when it grows.
 * What was taken out is the caller's to wipe, and buf_reset() keeps bytes for the next use.
 */
#ifndef MIH_COMMON_BUF_H
#define MIH_COMMON_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct buf {
    char *data; /* NULL until the first append; NUL-terminated afterwards */
    size_t len; /* bytes in use, without the NUL */
    size_t cap; /* bytes allocated: more than len, at most max + 1; 0 while data is NULL */
    size_t max; /* most bytes it may ever hold, without the NUL */
    int error;  /* 0, -ENOMEM or -EMSGSIZE */
    bool secret;
};

/* Starts an empty buffer of at most max bytes. Allocates nothing. */
void buf_init(struct buf *b, size_t max);

/* The same for one that will hold secrets. */
void buf_init_secret(struct buf *b, size_t max);

/* Frees the bytes; the buffer is empty, without error, and usable again, for secrets if it was. */
void buf_release(struct buf *b);

/* Empties the buffer and clears its error, keeping the memory for the next use. */
void buf_reset(struct buf *b);

/* buf_add() when the bytes do not fit into what is allocated. */
void buf_add_growing(struct buf *b, const void *bytes, size_t len);

/* bytes may be NULL when len is 0. Inline, for it is called for every few bytes of a payload. */
static inline void buf_add(struct buf *b, const void *bytes, size_t len)
{
    if (len >= b->cap - b->len) {
        buf_add_growing(b, bytes, len);
        return;
    }
    if (len)
        memcpy(b->data + b->len, bytes, len);
    b->len += len;
    b->data[b->len] = '\0';
}

static inline void buf_addc(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_adds(struct buf *b, const char *text);
void buf_addf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* 0, -ENOMEM or -EMSGSIZE: the first thing that went wrong since init, reset or release. */
int buf_error(const struct buf *b) __attribute__((warn_unused_result));

/* The text so far; "" when nothing was appended. Never NULL. */
const char *buf_text(const struct buf *b);

/* Hands the bytes (NUL-terminated, malloc) to the caller and leaves the buffer empty; NULL when
 * the buffer has an error or memory is out. ret_len may be NULL. */
char *buf_take(struct buf *b, size_t *ret_len) __attribute__((warn_unused_result));

#endif
