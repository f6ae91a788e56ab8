/* Event envelopes: what is refused says why, what is accepted is an object with a name. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/envelope.h"
#include "common/jsontext.h"
#include "tests/fuzz/fuzz.h"

static void check_accepted(const struct envelope *e, const struct envelope_limits *limits)
{
    PROPERTY(e->body_len <= limits->max_bytes, "%zu bytes", e->body_len);
    const struct jsonview_node *root = jsonview_root(&e->view);
    PROPERTY(root && root->type == JSONVIEW_OBJECT, "no object");
    const struct jsonview_node *name = jsonview_member(&e->view, root, "eventname");
    PROPERTY(name && name->type == JSONVIEW_STRING && e->eventname[0], "no eventname");
    PROPERTY(strnlen(e->eventname, ENVELOPE_NAME_SIZE) < ENVELOPE_NAME_SIZE, "a long eventname");
    size_t len = strlen(e->message_id);
    PROPERTY(len > 0 && len < ENVELOPE_ID_SIZE, "message id of %zu bytes", len);
    PROPERTY(is_plain(e->message_id, len) && !strpbrk(e->message_id, " ."), "id %s", e->message_id);

    struct buf out;
    char reason[200];
    buf_init(&out, (size_t)1 << 20);
    PROPERTY(jsonview_print(&e->view, root, &out) == 0, "out of memory");
    if (buf_error(&out) == 0)
        PROPERTY(jsontext_check(out.data, out.len, limits->max_depth, reason, sizeof reason) == 0,
                 "%s in %s", reason, out.data);
    buf_release(&out);
}

static void check_routing_key(const char *eventname, size_t room)
{
    char key[300];
    memset(key, 0x7f, sizeof key);
    int r = envelope_routing_key(eventname, key, room);
    PROPERTY(r == 0 || r == -EINVAL, "%d", r);
    PROPERTY(key[room] == 0x7f, "past the end");
    if (r != 0)
        return;
    size_t len = strlen(key);
    PROPERTY(len > 0 && len < room && len <= 255, "%zu bytes in %zu", len, room);
    const char *hash = strchr(key, '#');
    PROPERTY(!strchr(key, '*') && (!hash || (hash[1] == '\0' && hash[-1] == '.')), "key %s", key);
    PROPERTY(is_plain(key, len) && strchr(key, '.'), "key %s", key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct envelope e; /* used again and again, as a worker does */
    struct fields f;
    fields_cut(&f, 3, data, size);
    struct envelope_limits limits = {.max_bytes = f.len[0] ? (size_t)f.text[0][0] * 64 : 1 << 20,
                                     .max_depth = f.len[0] > 1 ? (unsigned)f.text[0][1] : 32};
    limits.max_bytes = limits.max_bytes > 1 << 20 ? 1 << 20 : limits.max_bytes;
    char *body = malloc(f.len[2]); /* without a NUL behind it */
    memcpy(body, f.text[2], f.len[2]);

    char reason[160];
    reason_clear(reason, sizeof reason);
    int r = envelope_parse(&e, &limits, f.text[1], body, f.len[2], reason, sizeof reason);
    PROPERTY(e.body == body && e.body_len == f.len[2], "the body is kept");
    if (r == 0) {
        check_accepted(&e, &limits);
        check_routing_key(e.eventname, 256);
    } else {
        PROPERTY(r == -EBADMSG || r == -EMSGSIZE, "%d", r);
        reason_check(reason, sizeof reason);
    }
    if (size % 3 == 0)
        envelope_release(&e);
    else
        envelope_reset(&e);
    check_routing_key(f.text[2], 1 + size % 255);
    free(body);
    fields_release(&f);
    return 0;
}
