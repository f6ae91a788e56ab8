/* The head of a request for metrics: in whatever pieces it comes, the answer is the same. */
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "worker/httpget.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = malloc(size ? size : 1); /* of the very size: each byte beyond is seen */
    struct httpget_request whole, part;
    enum httpget result;

    memcpy(bytes, data, size);
    memset(&whole, 0x7f, sizeof whole);
    result = httpget_parse(bytes, size, &whole);
    free(bytes);
    if (result == HTTPGET_OK) {
        PROPERTY(memchr(whole.path, '\0', sizeof whole.path), "no end");
        PROPERTY(whole.path[0] == '/' && !strchr(whole.path, '?'), "%s", whole.path);
    }
    PROPERTY(result != HTTPGET_MORE || size < HTTPGET_MAX, "%zu bytes are not enough", size);
    for (size_t len = 0; len <= size && len < 512; len++) {
        char *piece = malloc(len ? len : 1);
        enum httpget early;

        memcpy(piece, data, len);
        early = httpget_parse(piece, len, &part);
        free(piece);
        if (early == HTTPGET_MORE)
            continue;
        PROPERTY(early == result, "%d after %zu bytes, %d after %zu", (int)early, len, (int)result,
                 size);
        PROPERTY(result != HTTPGET_OK || strcmp(part.path, whole.path) == 0, "%s", part.path);
        break;
    }
    return 0;
}
