/* Broker URLs: a password is never in a masked text or an error, and what is refused stays so. */
#include <string.h>

#include "common/bus_internal.h"
#include "tests/fuzz/fuzz.h"

#define SECRET "S3CRET"

/* No part of a masked text or an error may hold SECRET. */
static void keep_secret(const char *urls)
{
    char masked[512];
    struct bus_error error;
    bus_mask_url(urls, masked, sizeof masked);
    PROPERTY(!strstr(masked, SECRET), "%s of %s", masked, urls);
    reason_clear(error.text, sizeof error.text);
    if (bus_check_urls(urls, &error) != 0) {
        reason_check(error.text, sizeof error.text);
        PROPERTY(!strstr(error.text, SECRET), "%s", error.text);
    }
}

/* A SECRET that stands where passwords do, with the input before or behind it. */
static void hide(const char *input)
{
    static const struct {
        const char *before, *after;
    } place[] = {{"amqp://u:" SECRET, "@h"},
                 {"amqps://:" SECRET, "@h/v"},
                 {"", ":" SECRET "@h"},
                 {"u:" SECRET "@", ""},
                 {"amqp://u:", SECRET "@[::1]:5672"}};
    if (strstr(input, SECRET) || strchr(input, ','))
        return;
    for (size_t i = 0; i < sizeof place / sizeof *place; i++) {
        struct buf urls;
        buf_init(&urls, (size_t)1 << 20);
        buf_adds(&urls, place[i].before);
        buf_adds(&urls, input);
        buf_adds(&urls, place[i].after);
        keep_secret(buf_text(&urls));
        buf_release(&urls);
    }
}

/* Masked, a list says the same, but for the passwords. */
static void keep_meaning(const char *urls)
{
    char masked[8192];
    struct bus_url is, was;
    struct bus_error error;
    bus_mask_url(urls, masked, sizeof masked);
    for (size_t i = 0; i < bus_url_count(urls) && strlen(urls) < sizeof masked / 2; i++) {
        PROPERTY(bus_url_parse(urls, i, &was, &error) == 0, "%s", error.text);
        PROPERTY(bus_url_parse(masked, i, &is, &error) == 0, "%s: %s", error.text, masked);
        PROPERTY(is.tls == was.tls && is.port == was.port && strcmp(is.user, was.user) == 0 &&
                     strcmp(is.host, was.host) == 0 && strcmp(is.vhost, was.vhost) == 0,
                 "%s", masked);
    }
}

/* What is accepted is understood in every part. */
static void check_parts(const char *urls)
{
    struct bus_error error;
    char masked[64];
    bool accepted = bus_check_urls(urls, &error) == 0;
    for (size_t i = 0; i < bus_url_count(urls) && i <= BUS_URLS_MAX; i++) {
        struct bus_url url;
        bool good = bus_url_parse(urls, i, &url, &error) == 0;
        PROPERTY(good || !accepted, "URL %zu of an accepted list: %s", i, error.text);
        if (good)
            PROPERTY(url.port > 0 && url.host[0] != '\0' && !strpbrk(url.host, " /@\r\n"), "%s",
                     url.host);
    }
    if (accepted)
        keep_meaning(urls);
    for (size_t size = 0; size <= sizeof masked; size += 13) {
        memset(masked, 0x7f, sizeof masked);
        bus_mask_url(urls, masked, size);
        PROPERTY(size == 0 || memchr(masked, '\0', size), "no end within %zu", size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fields f;
    fields_cut(&f, 1, data, size);
    hide(f.text[0]);
    check_parts(f.text[0]);
    fields_release(&f);
    return 0;
}
