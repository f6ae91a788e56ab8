#include "dispatcher/origin.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static void lower(char *text)
{
    for (; *text; text++) {
        if (*text >= 'A' && *text <= 'Z') {
            *text = (char)(*text | 0x20);
        }
    }
}

bool origin_of(const char *url, char ret_origin[ORIGIN_SIZE])
{
    bool tls = strncasecmp(url, "https://", 8) == 0;
    if (strncasecmp(url, "file:///", 8) == 0) {
        (void)snprintf(ret_origin, ORIGIN_SIZE, "file://");
        return true;
    }
    if (!tls && strncasecmp(url, "http://", 7) != 0) {
        return false;
    }
    const char *host = url + (tls ? 8 : 7);
    size_t len = strcspn(host, "/?#\\");
    if (len == 0 || len > ORIGIN_SIZE - 20 || memchr(host, '@', len)) {
        return false;
    }
    const char *bracket = memchr(host, ']', len);
    const char *after = bracket ? bracket : host;
    bool has_port = memchr(after, ':', len - (size_t)(after - host)) != NULL;
    const char *port = "";
    if (!has_port) {
        port = tls ? ":443" : ":80";
    }
    (void)snprintf(ret_origin, ORIGIN_SIZE, "%s://%.*s%s", tls ? "https" : "http", (int)len, host,
                   port);
    lower(ret_origin);
    return true;
}

bool origin_same(const char *url, const char *other)
{
    char a[ORIGIN_SIZE];
    char b[ORIGIN_SIZE];
    return origin_of(url, a) && origin_of(other, b) && strcmp(a, b) == 0;
}

bool origin_listed(const char *list, const char *url)
{
    static const char separators[] = " \t,";
    for (const char *at = list + strspn(list, separators); *at;) {
        char one[ORIGIN_SIZE];
        size_t len = strcspn(at, separators);
        if (len < sizeof(one)) {
            memcpy(one, at, len);
            one[len] = '\0';
            if (origin_same(one, url)) {
                return true;
            }
        }
        at += len;
        at += strspn(at, separators);
    }
    return false;
}
