/*
 * An AMQP service's base_url: a password is never in a reason or in what is shown, what is
 * accepted is one URL for the bus, and no endpoint makes a routing key that AMQP cannot carry.
 */
#include <errno.h>
#include <string.h>

#include "common/bus_internal.h"
#include "common/utf8.h"
#include "dispatcher/amqp_target.h"
#include "tests/fuzz/fuzz.h"

#define SECRET "S3CRET"

static void check_key(const struct amqp_target *t, const char *endpoint, size_t len)
{
    struct buf key, shown;
    buf_init(&key, AMQP_MAX_NAME);
    buf_init(&shown, 8192);
    const char *fault = amqp_target_key(t, endpoint, len, &key);
    PROPERTY(buf_error(&key) == 0, "%d", buf_error(&key));
    if (fault == NULL) {
        PROPERTY(amqp_name_fault(buf_text(&key), key.len) == NULL, "%s", buf_text(&key));
        PROPERTY(key.len > 0 || t->exchange[0] != '\0', "no key for the default exchange");
        amqp_target_show(t, buf_text(&key), &shown);
        PROPERTY(buf_error(&shown) == 0 && strchr(buf_text(&shown), '@') == NULL, "%s",
                 buf_text(&shown));
        const char *query = strstr(buf_text(&shown), "?exchange=");
        PROPERTY(query != NULL && is_plain(query, strlen(query)), "%s", buf_text(&shown));
    }
    buf_release(&key);
    buf_release(&shown);
}

static void check_parts(const struct amqp_target *t)
{
    struct bus_error error = {""};
    struct bus_url url;
    PROPERTY(bus_url_count(t->url) == 1 && bus_url_parse(t->url, 0, &url, &error) == 0, "%s",
             error.text);
    PROPERTY(utf8_invalid_at(t->shown, strlen(t->shown)) == strlen(t->shown), "%s", t->shown);
    PROPERTY(t->host[0] != '\0' && strchr(t->shown, '@') == NULL, "%s of %s", t->host, t->shown);
    const char *const names[] = {t->exchange, t->routing_key, t->queue, t->dlq};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        PROPERTY(amqp_name_fault(names[i], strlen(names[i])) == NULL, "%s", names[i]);
}

static void check(const char *base_url, bool secret, const char *endpoint, size_t len)
{
    struct amqp_target *t = NULL;
    char reason[300];
    reason_clear(reason, sizeof reason);
    int r = amqp_target_new(base_url, &t, reason, sizeof reason);
    PROPERTY(r == 0 || r == -EINVAL, "%d", r);
    if (r < 0) {
        reason_check(reason, sizeof reason);
        PROPERTY(!secret || !strstr(reason, SECRET), "%s", reason);
        return;
    }
    PROPERTY(!secret || !strstr(t->shown, SECRET), "%s", t->shown);
    check_parts(t);
    check_key(t, endpoint, len);
    amqp_target_free(t);
}

/* A SECRET where passwords stand, with the input before or behind it. */
static void hide(const char *input, const char *endpoint, size_t len)
{
    static const struct {
        const char *before, *after;
    } place[] = {{"amqp://u:" SECRET, "@h"}, {"amqps://u:", SECRET "@h/v?exchange=e"}};
    if (strstr(input, SECRET))
        return;
    for (size_t i = 0; i < sizeof place / sizeof *place; i++) {
        struct buf url;
        buf_init(&url, (size_t)1 << 20);
        buf_adds(&url, place[i].before);
        buf_adds(&url, input);
        buf_adds(&url, place[i].after);
        check(buf_text(&url), true, endpoint, len);
        buf_release(&url);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fields f;
    fields_cut(&f, 2, data, size);
    check(f.text[0], false, f.text[1], f.len[1]);
    hide(f.text[0], f.text[1], f.len[1]);
    fields_release(&f);
    return 0;
}
