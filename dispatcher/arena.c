#include "dispatcher/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 16 * 1024 - 64, ALIGNMENT = 16 };

struct arena_block {
    struct arena_block *next;
    size_t used, size;
    _Alignas(ALIGNMENT) unsigned char bytes[];
};

void arena_init(struct arena *a, size_t max)
{
    *a = (struct arena){.max = max};
}

void arena_release(struct arena *a)
{
    struct arena_block *block = a->blocks;
    while (block) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
    arena_init(a, a->max);
}

static bool add_block(struct arena *a, size_t at_least)
{
    size_t size = at_least > BLOCK_BYTES ? at_least : BLOCK_BYTES;
    struct arena_block *block = calloc(1, sizeof(*block) + size);
    if (!block) {
        return false;
    }
    block->size = size;
    block->next = a->blocks;
    a->blocks = block;
    return true;
}

void *arena_get(struct arena *a, size_t size)
{
    if (size > SIZE_MAX / 2 || a->failed) {
        a->failed = true;
        return NULL;
    }
    size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    bool fits = a->blocks && a->blocks->size - a->blocks->used >= size;
    if (size > a->max - a->used || (!fits && !add_block(a, size))) {
        a->failed = true;
        return NULL;
    }
    void *piece = a->blocks->bytes + a->blocks->used;
    a->blocks->used += size;
    a->used += size;
    return piece;
}

char *arena_text(struct arena *a, const char *text, size_t len)
{
    char *copy = arena_get(a, len + 1);
    if (copy && len) {
        memcpy(copy, text, len);
    }
    return copy;
}

char *arena_format(struct arena *a, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return arena_text(a, text, strlen(text));
}
