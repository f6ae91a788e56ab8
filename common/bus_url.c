/* The list of broker URLs: amqp[s]://user:password@host:port/vhost, separated by commas. */
#include "common/bus_internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A piece of text that is not NUL-terminated. */
struct span {
    const char *start;
    size_t len;
};

static struct span trim(struct span s)
{
    while (s.len > 0 && isspace((unsigned char)s.start[0])) {
        s.start++;
        s.len--;
    }
    while (s.len > 0 && isspace((unsigned char)s.start[s.len - 1])) {
        s.len--;
    }
    return s;
}

/* Takes everything before the first `delimiter` off the front of `rest` (all when there is none;
 * then found is false). */
static struct span cut(struct span *rest, char delimiter, bool *ret_found)
{
    const char *at = rest->len > 0 ? memchr(rest->start, delimiter, rest->len) : NULL;
    size_t len = at != NULL ? (size_t)(at - rest->start) : rest->len;
    size_t taken = at != NULL ? len + 1 : len;
    struct span piece = {rest->start, len};

    rest->start += taken;
    rest->len -= taken;
    *ret_found = at != NULL;
    return piece;
}

/* Where the last `c` of s is, or -1. */
static long last_of(struct span s, char c)
{
    for (size_t i = s.len; i > 0; i--) {
        if (s.start[i - 1] == c) {
            return (long)(i - 1);
        }
    }
    return -1;
}

static bool starts_with(struct span s, const char *prefix)
{
    size_t len = strlen(prefix);

    return s.len >= len && strncasecmp(s.start, prefix, len) == 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

/* Percent-decodes s. False: too long for AMQP, a broken escape, or a control byte. */
static bool decode(struct span s, bus_short ret_text)
{
    size_t n = 0;

    for (size_t i = 0; i < s.len; i++) {
        int byte = (unsigned char)s.start[i];
        if (byte == '%') {
            int high = i + 2 < s.len ? hex_digit(s.start[i + 1]) : -1;
            int low = i + 2 < s.len ? hex_digit(s.start[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            byte = high * 16 + low;
            i += 2;
        }
        if (byte < 0x20 || byte == 0x7f || n + 1 >= sizeof(bus_short)) {
            return false;
        }
        ret_text[n++] = (char)byte;
    }
    ret_text[n] = '\0';
    return true;
}

static bool parse_port(struct span s, uint16_t *ret_port)
{
    unsigned long port = 0;

    if (s.len == 0 || s.len > 5) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (!isdigit((unsigned char)s.start[i])) {
            return false;
        }
        port = port * 10 + (unsigned long)(s.start[i] - '0');
    }
    if (port == 0 || port > 65535) {
        return false;
    }
    *ret_port = (uint16_t)port;
    return true;
}

/* host, host:port, [v6] or [v6]:port; NULL or what is wrong. */
static const char *parse_host(struct span s, struct bus_url *url)
{
    struct span host;
    bool found;

    if (s.len > 0 && s.start[0] == '[') {
        struct span inner = {s.start + 1, s.len - 1};
        host = cut(&inner, ']', &found);
        if (!found || (inner.len > 0 && inner.start[0] != ':')) {
            return "the brackets around the address do not match";
        }
        found = inner.len > 0;
        s = (struct span){inner.start + (found ? 1 : 0), inner.len - (found ? 1 : 0)};
    } else {
        host = cut(&s, ':', &found);
    }
    if (host.len == 0 || !decode(host, url->host) || strpbrk(url->host, " /@\\") != NULL) {
        return "the host name is missing or not valid";
    }
    if (found && !parse_port(s, &url->port)) {
        return "the port must be a number from 1 to 65535";
    }
    return NULL;
}

static const char *parse_user(struct span s, struct bus_url *url)
{
    bool found;
    struct span user = cut(&s, ':', &found);

    if (!decode(user, url->user) || (found && !decode(s, url->password))) {
        return "user and password must be percent-encoded, 255 bytes at most";
    }
    if (!found) {
        url->password[0] = '\0';
    }
    return NULL;
}

/* Fills url from one URL; NULL or what is wrong, in words that quote nothing of it. */
static const char *parse(struct span s, struct bus_url *url)
{
    *url = (struct bus_url){.port = 5672, .user = "guest", .password = "guest", .vhost = "/"};
    if (starts_with(s, "amqps://")) {
        url->tls = true;
        url->port = 5671;
    } else if (!starts_with(s, "amqp://")) {
        return "it must start with amqp:// or amqps://";
    }
    s.start += url->tls ? 8 : 7;
    s.len -= url->tls ? 8 : 7;
    if (memchr(s.start, '?', s.len) != NULL || memchr(s.start, '#', s.len) != NULL) {
        return "parameters after ? or # are not supported (percent-encode them in a password)";
    }

    bool has_path;
    struct span authority = cut(&s, '/', &has_path);
    long at = last_of(authority, '@');
    const char *wrong = NULL;
    if (at >= 0) {
        wrong = parse_user((struct span){authority.start, (size_t)at}, url);
        authority.start += at + 1;
        authority.len -= (size_t)at + 1;
    }
    if (wrong == NULL) {
        wrong = parse_host(authority, url);
    }
    /* An "@" may come from a password with a "/" in it: nobody shall guess which is which. */
    if (wrong == NULL && s.len > 0 &&
        (memchr(s.start, '/', s.len) != NULL || memchr(s.start, '@', s.len) != NULL ||
         !decode(s, url->vhost))) {
        wrong =
            "the virtual host must be percent-encoded (%2F for /, %40 for @), 255 bytes at most";
    }
    return wrong;
}

static struct span nth(const char *urls, size_t index)
{
    struct span rest = {urls, strlen(urls)};
    struct span piece;
    bool found;

    do {
        piece = cut(&rest, ',', &found);
    } while (index-- > 0);
    return trim(piece);
}

size_t bus_url_count(const char *urls)
{
    size_t count = 1;

    for (const char *c = urls; *c != '\0'; c++) {
        count += *c == ',';
    }
    return count;
}

int bus_url_parse(const char *urls, size_t index, struct bus_url *ret_url,
                  struct bus_error *ret_error)
{
    const char *wrong = parse(nth(urls, index), ret_url);

    if (wrong != NULL) {
        snprintf(ret_error->text, sizeof(ret_error->text), "broker URL %zu: %s", index + 1, wrong);
        return -EINVAL;
    }
    return 0;
}

int bus_check_urls(const char *urls, struct bus_error *ret_error)
{
    size_t count = bus_url_count(urls);
    struct bus_url url;
    int rc = 0;

    if (count > BUS_URLS_MAX) {
        snprintf(ret_error->text, sizeof(ret_error->text), "more than %d broker URLs",
                 BUS_URLS_MAX);
        return -EINVAL;
    }
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = bus_url_parse(urls, i, &url, ret_error);
    }
    explicit_bzero(&url, sizeof(url));
    return rc;
}

/* Appends to a text of `size` bytes, `*used` of them in use; cuts what does not fit. */
static void append(char *text, size_t size, size_t *used, struct span s)
{
    for (size_t i = 0; i < s.len && *used + 1 < size; i++) {
        text[(*used)++] = s.start[i];
    }
    text[*used] = '\0';
}

/* Length of "letters://" at the start of s, or 0. */
static size_t scheme_length(struct span s)
{
    size_t n = 0;

    while (n < s.len && isalpha((unsigned char)s.start[n])) {
        n++;
    }
    return n > 0 && s.len - n >= 3 && memcmp(s.start + n, "://", 3) == 0 ? n + 3 : 0;
}

/* One URL, not necessarily a valid one: whatever may be part of a password is left out. */
static void mask_one(struct span s, char *ret_text, size_t size, size_t *used)
{
    const struct span stars = {":***", 4};
    size_t skip = scheme_length(s);
    struct span head = {s.start, skip};
    struct span rest = {s.start + skip, s.len - skip};
    long at = last_of(rest, '@');
    bool found;

    append(ret_text, size, used, head);
    if (at >= 0 && skip > 0) {
        struct span identity = {rest.start, (size_t)at};
        append(ret_text, size, used, cut(&identity, ':', &found));
        if (found) {
            append(ret_text, size, used, stars);
        }
        rest = (struct span){rest.start + at, rest.len - (size_t)at};
        append(ret_text, size, used, cut(&rest, '?', &found));
        return;
    }
    struct bus_url url;
    if (parse(s, &url) == NULL) {
        append(ret_text, size, used, rest);
    } else {
        append(ret_text, size, used, (struct span){"***", 3});
    }
}

void bus_mask_url(const char *url, char *ret_text, size_t size)
{
    size_t count = bus_url_count(url);
    size_t used = 0;

    if (size == 0) {
        return;
    }
    ret_text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            append(ret_text, size, &used, (struct span){",", 1});
        }
        mask_one(nth(url, i), ret_text, size, &used);
    }
}
