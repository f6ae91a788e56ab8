#include "dispatcher/headername.h"

#include <string.h>
#include <strings.h>

enum { MAX_NAME = 100 };

static bool is_token_char(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_among(const char *name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcasecmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

const char *headername_fault(const char *name)
{
    /* RFC 9110 section 7.6.1, and what frames a message. */
    static const char *const of_the_connection[] = {"connection", "keep-alive",        "te",
                                                    "trailer",    "transfer-encoding", "upgrade",
                                                    "expect",     "http2-settings"};
    static const char *const ours[] = {
        "host",       "content-length",    "content-type",      "user-agent",
        "webhook-id", "webhook-timestamp", "webhook-signature", "traceparent",
        "soapaction"};
    size_t len = 0;
    while (is_token_char(name[len])) {
        len++;
    }
    if (len == 0 || name[len] != '\0') {
        return "is no header name";
    }
    if (len > MAX_NAME) {
        return "is too long a header name";
    }
    if (is_among(name, of_the_connection, sizeof(of_the_connection) / sizeof(char *)) ||
        strncasecmp(name, "proxy-", 6) == 0) {
        return "belongs to the connection";
    }
    if (is_among(name, ours, sizeof(ours) / sizeof(char *))) {
        return "is a header that the worker makes";
    }
    return NULL;
}

size_t headername_bad_value_at(const char *value, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((value[i] < 0x20 && value[i] != '\t') || value[i] > 0x7e) {
            return i;
        }
    }
    return len;
}
