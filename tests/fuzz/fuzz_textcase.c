/* Upper and lower case: valid stays valid, and a second time changes nothing. */
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"
#include "dispatcher/textcase.h"
#include "tests/fuzz/fuzz.h"

static void twice(void (*change)(struct buf *, const char *, size_t), const char *text, size_t len)
{
    struct buf once, again;
    buf_init(&once, (size_t)1 << 20);
    buf_init(&again, (size_t)1 << 20);
    change(&once, text, len);
    change(&again, buf_text(&once), once.len);
    if (buf_error(&once) == 0 && buf_error(&again) == 0) {
        bool valid = utf8_invalid_at(text, len) == len;
        PROPERTY(!valid || utf8_invalid_at(buf_text(&once), once.len) == once.len, "%s", once.data);
        PROPERTY(once.len == again.len && memcmp(buf_text(&once), buf_text(&again), once.len) == 0,
                 "%s and %s", buf_text(&once), buf_text(&again));
    }
    buf_release(&once);
    buf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size); /* without a NUL behind it: the length counts */
    if (!text)
        return 0;
    memcpy(text, data, size);
    twice(textcase_upper, text, size);
    twice(textcase_lower, text, size);
    free(text);
    return 0;
}
