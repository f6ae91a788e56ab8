#include "worker/httpget.h"

#include <string.h>

/* Whether the empty line is there that ends a head; the CR of line ends may be missing. */
static bool is_complete(const char *bytes, size_t len)
{
    for (size_t i = 0; i + 1 < len; i++) {
        if (bytes[i] != '\n')
            continue;
        if (bytes[i + 1] == '\n')
            return true;
        if (i + 2 < len && bytes[i + 1] == '\r' && bytes[i + 2] == '\n')
            return true;
    }
    return false;
}

/* The next word of the line, ended by a space or the line's end; NULL: there is none. */
static const char *word(const char **at, const char *end, size_t *ret_len)
{
    const char *begin = *at;
    const char *p = begin;

    while (p < end && *p != ' ')
        p++;
    *ret_len = (size_t)(p - begin);
    *at = p < end ? p + 1 : p;
    return *ret_len > 0 ? begin : NULL;
}

static bool equals(const char *bytes, size_t len, const char *text)
{
    return bytes && len == strlen(text) && memcmp(bytes, text, len) == 0;
}

static void copy_path(const char *target, size_t len, char ret_path[HTTPGET_PATH_SIZE])
{
    size_t n = 0;

    while (n < len && n < HTTPGET_PATH_SIZE - 1 && target[n] != '?' && target[n] != '\0')
        n++;
    memcpy(ret_path, target, n);
    ret_path[n] = '\0';
}

enum httpget httpget_parse(const char *bytes, size_t len, struct httpget_request *ret_request)
{
    const char *end = len > 0 ? memchr(bytes, '\n', len) : NULL;
    const char *at = bytes;
    size_t method_len, target_len, version_len;

    if (!is_complete(bytes, len))
        return len < HTTPGET_MAX ? HTTPGET_MORE : HTTPGET_INVALID;
    if (end > bytes && end[-1] == '\r')
        end--;
    const char *method = word(&at, end, &method_len);
    const char *target = word(&at, end, &target_len);
    const char *version = word(&at, end, &version_len);
    if (!target || target[0] != '/' || at != end ||
        !(equals(version, version_len, "HTTP/1.1") || equals(version, version_len, "HTTP/1.0")))
        return HTTPGET_INVALID;
    if (!equals(method, method_len, "GET") && !equals(method, method_len, "HEAD"))
        return HTTPGET_METHOD;
    ret_request->head_only = method_len == strlen("HEAD");
    copy_path(target, target_len, ret_request->path);
    return HTTPGET_OK;
}
