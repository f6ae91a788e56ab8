/* Headers that an administrator writes and an event fills: whatever both hold, no line can end
 * early, begin with another name, or be one that the worker makes. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "common/jsonview.h"
#include "dispatcher/headername.h"
#include "dispatcher/headerset.h"
#include "dispatcher/path.h"
#include "tests/fuzz/fuzz.h"

enum { MAX_OUT = 256 * 1024 };

static void check_line(const char *line, size_t len)
{
    const char *colon = strstr(line, ": ");
    char name[128];

    PROPERTY(colon && colon > line && (size_t)(colon - line) < sizeof name, "%s", line);
    memcpy(name, line, (size_t)(colon - line));
    name[colon - line] = '\0';
    PROPERTY(headername_fault(name) == NULL, "%s", name);
    PROPERTY(strncasecmp(line, "webhook-id:", 11) != 0, "%s", line);
    PROPERTY(headername_bad_value_at(line, len) == len, "%s", line);
    PROPERTY(!strpbrk(line, "\r\n"), "%s", line);
}

static void check_lines(const struct headerset *set, const struct buf *out)
{
    size_t n = 0;

    for (size_t at = 0; at < out->len; n++) {
        size_t len = strlen(out->data + at);
        check_line(out->data + at, len);
        at += len + 1;
    }
    PROPERTY(n == headerset_count(set), "%zu lines", n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fields f;
    struct headerset *set = NULL;
    struct jsonview event = {0};
    struct buf out;
    char reason[440];

    fields_cut(&f, 2, data, size);
    reason_clear(reason, sizeof reason);
    int r = headerset_new(f.text[0], &set, reason, sizeof reason);
    PROPERTY(r == 0 || r == -EINVAL, "%d", r);
    if (r < 0)
        reason_check(reason, sizeof reason);
    buf_init(&out, MAX_OUT);
    if (set && headerset_needs(set) == 0 &&
        jsonview_parse(&event, f.text[1], f.len[1], 32, reason, sizeof reason) == 0) {
        const struct path_source source = {&event, NULL};
        reason_clear(reason, sizeof reason);
        r = headerset_render(set, &source, &out, reason, sizeof reason);
        PROPERTY(r == 0 || r == -EBADMSG, "%d", r);
        if (r < 0)
            reason_check(reason, sizeof reason);
        else if (buf_error(&out) == 0)
            check_lines(set, &out);
    }
    buf_release(&out);
    jsonview_release(&event);
    headerset_free(set);
    fields_release(&f);
    return 0;
}
