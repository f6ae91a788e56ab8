#include "dispatcher/url.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { MAX_PORT = 65535 };

bool url_is_unwanted(unsigned char byte)
{
    return byte <= 0x20 || byte == 0x7f || byte == '\\' || byte == '#';
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* Letters, digits, ".", "-", "_", and what IDN will encode. */
static bool is_host_char(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '.' ||
           c == '-' || c == '_' || (unsigned char)c >= 0x80;
}

/* Length of the host at the start of the authority, brackets included; 0 when there is none. */
static size_t host_length(const char *authority, size_t len)
{
    size_t n = 0;
    if (len > 0 && authority[0] == '[') {
        for (n = 1; n < len && (is_hex(authority[n]) || strchr(":.", authority[n]));) {
            n++;
        }
        return n > 2 && n < len && authority[n] == ']' ? n + 1 : 0;
    }
    while (n < len && is_host_char(authority[n])) {
        n++;
    }
    return n;
}

static bool is_port(const char *text, size_t len)
{
    unsigned port = 0;
    if (len == 0 || len > 5) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        port = port * 10 + (unsigned)(text[i] - '0');
    }
    return port > 0 && port <= MAX_PORT;
}

static const char *authority_fault(const char *authority, size_t len)
{
    size_t host = host_length(authority, len);
    if (memchr(authority, '@', len)) {
        return "must not hold a user name or password";
    }
    if (host == 0) {
        return "has no valid host";
    }
    if (host < len && (authority[host] != ':' || !is_port(authority + host + 1, len - host - 1))) {
        return "has no valid host and port";
    }
    return NULL;
}

/* Length of "http://" or "https://" at the start, or 0. */
static size_t scheme_length(const char *base)
{
    if (strncasecmp(base, "http://", 7) == 0) {
        return 7;
    }
    return strncasecmp(base, "https://", 8) == 0 ? 8 : 0;
}

int url_check(const char *name, const char *base, char *ret_reason, size_t reason_size)
{
    for (size_t i = 0; base[i]; i++) {
        if (url_is_unwanted((unsigned char)base[i])) {
            (void)snprintf(ret_reason, reason_size, "%s holds the byte 0x%02x at position %zu",
                           name, (unsigned char)base[i], i + 1);
            return -EINVAL;
        }
    }
    const char *fault = NULL;
    size_t scheme = scheme_length(base);
    const char *authority = base + scheme;
    size_t len = strcspn(authority, "/?");
    if (scheme == 0) {
        fault = "must begin with http:// or https://";
    } else {
        fault = authority_fault(authority, len);
    }
    if (!fault && url_has_dot_segment(authority + len)) {
        fault = "holds a \".\" or \"..\" segment";
    }
    if (fault) {
        (void)snprintf(ret_reason, reason_size, "%s %s", name, fault);
        return -EINVAL;
    }
    return 0;
}

int url_check_base(const char *base, char *ret_reason, size_t reason_size)
{
    return url_check("base_url", base, ret_reason, reason_size);
}

void url_add_prefix(struct buf *out, const char *base)
{
    size_t len = strlen(base);
    while (len > 0 && base[len - 1] == '/') {
        len--;
    }
    buf_add(out, base, len);
    buf_addc(out, '/');
}

/* The byte that stands at path, decoded; *ret_size says how many bytes it is written with. */
static char decoded(const char *path, size_t *ret_size)
{
    static const struct {
        const char *code;
        char byte;
    } codes[] = {{"%2e", '.'}, {"%2f", '/'}, {"%5c", '/'}, {"%3b", ';'}};
    *ret_size = 1;
    if (*path != '%') {
        return *path;
    }
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (strncasecmp(path, codes[i].code, 3) == 0) {
            *ret_size = 3;
            return codes[i].byte;
        }
    }
    return *path;
}

bool url_has_dot_segment(const char *path)
{
    size_t dots = 0;
    size_t others = 0;
    for (size_t size = 0;; path += size) {
        char c = decoded(path, &size);
        bool at_end = *path == '\0' || *path == '?';
        if (at_end || c == '/' || c == ';') {
            if (others == 0 && (dots == 1 || dots == 2)) {
                return true;
            }
            if (at_end) {
                return false;
            }
            dots = 0;
            others = c == ';'; /* what follows ";" is a parameter, not a name */
        } else if (c == '.') {
            dots++;
        } else {
            others++;
        }
    }
}

void url_host(const char *url, char *ret_host, size_t size)
{
    const char *authority = url + scheme_length(url);
    (void)snprintf(ret_host, size, "%.*s", (int)strcspn(authority, "/?#"), authority);
}
