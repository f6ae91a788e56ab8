#include "dispatcher/proxyroute.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "dispatcher/url.h"

static const char separators[] = ", \t";

/* Host of the URL without port and brackets. */
static const char *host_of(const char *url, size_t *ret_len)
{
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    if (*host == '[') {
        *ret_len = strcspn(host + 1, "]");
        return host + 1;
    }
    *ret_len = strcspn(host, ":/?#");
    return host;
}

static bool matches(const char *entry, size_t entry_len, const char *host, size_t len)
{
    if (entry_len > 0 && entry[0] == '.') {
        entry++;
        entry_len--;
    }
    if (entry_len == 0 || entry_len > len ||
        strncasecmp(host + len - entry_len, entry, entry_len) != 0) {
        return false;
    }
    return entry_len == len || host[len - entry_len - 1] == '.';
}

bool proxyroute_is_direct(const char *no_proxy, const char *url)
{
    size_t host_len = 0;
    const char *host = host_of(url, &host_len);
    if (host_len > 0 && host[host_len - 1] == '.') {
        host_len--;
    }
    for (const char *entry = no_proxy + strspn(no_proxy, separators); *entry;) {
        size_t len = strcspn(entry, separators);
        if ((len == 1 && *entry == '*') || matches(entry, len, host, host_len)) {
            return true;
        }
        entry += len;
        entry += strspn(entry, separators);
    }
    return false;
}

int proxyroute_check(const char *proxy, char *ret_reason, size_t size)
{
    char without[1024];
    char reason[200];
    const char *authority = strstr(proxy, "://");
    const char *at = strrchr(proxy, '@');
    if (*proxy == '\0') {
        return 0;
    }
    authority = authority ? authority + 3 : proxy;
    at = at && at > authority ? at + 1 : authority;
    /* What would end the user and password, for the one who reads it next, must be encoded. */
    if (at > authority && strcspn(authority, "/?#\\, \t@") + 1 != (size_t)(at - authority)) {
        (void)snprintf(ret_reason, size,
                       "http://user:password@host:port with / ? # @ \\ , and blanks of user and "
                       "password as %%2F and so on");
        return -EINVAL;
    }
    /* Nothing but a slash may follow the host and port. */
    size_t host_len = strcspn(at, "/?#");
    int n = snprintf(without, sizeof(without), "%.*s%s", (int)(authority - proxy), proxy, at);
    if (n < (int)sizeof(without) && (at[host_len] == '\0' || strcmp(at + host_len, "/") == 0) &&
        url_check("it", without, reason, sizeof(reason)) == 0) {
        return 0;
    }
    (void)snprintf(ret_reason, size,
                   "http://host:port or https://host:port, with user:password@ before the host if "
                   "need be, or nothing");
    return -EINVAL;
}
