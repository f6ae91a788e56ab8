/* The address of a redirect: no user, no query, no fragment, and nothing added. */
#include <stdlib.h>
#include <string.h>

#include "dispatcher/resttrouble.h"
#include "tests/fuzz/fuzz.h"

#define SECRET "S3CRET"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const before[] = {"http://u:" SECRET, "https://" SECRET, "//u:" SECRET,
                                         "http://a@" SECRET};
    struct fields f;
    char text[200];
    fields_cut(&f, 1, data, size);
    memset(text, 0x7f, sizeof text);
    resttrouble_location(f.text[0], text, sizeof text);
    PROPERTY(memchr(text, '\0', sizeof text), "no end");
    PROPERTY(!strpbrk(text, "?#"), "%s", text);
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        struct buf location;
        /* The secret is a user's only when the first authority holds an "@". */
        size_t authority = strcspn(f.text[0], "/?#");
        if (!memchr(f.text[0], '@', authority) || strstr(f.text[0], SECRET))
            continue;
        buf_init(&location, (size_t)1 << 20);
        buf_adds(&location, before[i]);
        buf_adds(&location, f.text[0]);
        resttrouble_location(buf_text(&location), text, sizeof text);
        PROPERTY(!strstr(text, SECRET), "%s of %s", text, buf_text(&location));
        buf_release(&location);
    }
    fields_release(&f);
    return 0;
}
