/* Query strings: pairs of unreserved and percent-encoded bytes, whatever the payload holds. */
#include <json-c/json.h>
#include <string.h>

#include "common/jsontext.h"
#include "dispatcher/query.h"
#include "tests/fuzz/fuzz.h"

static void check_pairs(const char *query)
{
    for (const char *pair = query; *pair;) {
        size_t len = strcspn(pair, "&");
        size_t key = strcspn(pair, "=&");
        PROPERTY(key < len, "a pair without =: %s", pair);
        PROPERTY(!memchr(pair + key + 1, '=', len - key - 1), "two =: %s", pair);
        PROPERTY(pair[len] != '&' || pair[len + 1], "it ends in &: %s", query);
        pair += pair[len] ? len + 1 : len;
    }
}

static void check_bytes(const char *query)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789-._+%=&";
    size_t good = strspn(query, allowed);
    PROPERTY(query[good] == '\0', "%c in %s", query[good], query);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fields f;
    struct buf out;
    char reason[200];
    fields_cut(&f, 1, data, size);
    buf_init(&out, (size_t)1 << 20);
    if (jsontext_check(f.text[0], f.len[0], 32, reason, sizeof reason) == 0) {
        struct json_object *payload = json_of(f.text[0], f.len[0]);
        PROPERTY(query_add(&out, payload) == 0, "out of memory");
        if (buf_error(&out) == 0) {
            check_bytes(buf_text(&out));
            check_pairs(buf_text(&out));
        }
        json_object_put(payload);
    }
    buf_release(&out);
    fields_release(&f);
    return 0;
}
