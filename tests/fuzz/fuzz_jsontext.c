/* JSON text: what the check accepts json-c reads, and prints to the same again and again. */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/jsontext.h"
#include "common/utf8.h"
#include "tests/fuzz/fuzz.h"

enum { ROOM = 1 << 20 };

static int check(const char *text, size_t len, unsigned depth)
{
    char reason[200];
    reason_clear(reason, sizeof reason);
    int r = jsontext_check(text, len, depth, reason, sizeof reason);
    PROPERTY(r == 0 || r == -EBADMSG, "%d", r);
    if (r)
        reason_check(reason, sizeof reason);
    return r;
}

static void print_again(const char *text, size_t len, unsigned depth)
{
    struct buf once, twice;
    buf_init(&once, ROOM);
    buf_init(&twice, ROOM);
    struct json_object *value = json_of(text, len);
    jsontext_print(&once, value);
    json_object_put(value);
    if (buf_error(&once) == 0) {
        PROPERTY(is_plain(once.data, once.len), "%s", once.data);
        PROPERTY(check(once.data, once.len, depth) == 0, "%s", once.data);
        value = json_of(once.data, once.len);
        jsontext_print(&twice, value);
        json_object_put(value);
        PROPERTY(strcmp(once.data, buf_text(&twice)) == 0, "%s and %s", once.data, twice.data);
    }
    buf_release(&once);
    buf_release(&twice);
}

static void escape(const char *text, size_t len)
{
    struct buf out;
    buf_init(&out, ROOM);
    buf_addc(&out, '"');
    jsontext_escape(&out, text, len);
    buf_addc(&out, '"');
    if (buf_error(&out) == 0) {
        PROPERTY(check(out.data, out.len, 0) == 0, "%s", out.data);
        struct json_object *value = json_of(out.data, out.len);
        bool same = (size_t)json_object_get_string_len(value) == len &&
                    memcmp(json_object_get_string(value), text, len) == 0;
        PROPERTY(same || utf8_invalid_at(text, len) < len, "%s", out.data);
        json_object_put(value);
    }
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    unsigned depth = data[0];
    char *text = malloc(size - 1); /* without a NUL: the check knows the length */
    if (!text)
        return 0;
    memcpy(text, data + 1, size - 1);
    bool good = check(text, size - 1, depth) == 0;
    if (good)
        print_again(text, size - 1, depth);
    PROPERTY(!good || check(text, size - 1, JSONTEXT_MAX_DEPTH) == 0, "deeper is allowed");
    bool number = jsontext_is_number(text, size - 1);
    bool plain = size > 1 && (text[0] == '-' || (text[0] >= '0' && text[0] <= '9')) &&
                 !strchr(" \t\r\n", text[size - 2]);
    PROPERTY(!good || number == plain, "a number is one for both");
    PROPERTY(jsontext_is_safe_number(text, size - 1) ==
                 (number && check(text, size - 1, JSONTEXT_MAX_DEPTH) == 0),
             "a safe number is a number that passes the check");
    escape(text, size - 1);
    free(text);
    return 0;
}
