#include "worker/deadtext.h"

#include <string.h>

#include "common/utf8.h"

void deadtext_strip_endpoint(char *url)
{
    size_t end = strcspn(url, "?#");
    const char *fragment = url + end + strcspn(url + end, "#");
    char *authority;
    char *last_at = NULL;

    memmove(url + end, fragment, strlen(fragment) + 1);
    authority = strstr(url, "://");
    authority = authority && authority < url + end ? authority + 3 : url;
    for (char *c = authority; *c && *c != '/' && *c != '#'; c++)
        if (*c == '@')
            last_at = c;
    if (last_at)
        memmove(authority, last_at + 1, strlen(last_at + 1) + 1);
}

char *deadtext_copy(char *target, const char *text, size_t len, size_t max)
{
    for (size_t at = 0; at < len;) {
        size_t width = utf8_decode(text + at, len - at, NULL);
        size_t used = width > 0 ? width : 1;

        if (used > max)
            break;
        if (width > 0)
            memcpy(target, text + at, width);
        else
            *target = '?';
        target += used;
        max -= used;
        at += used;
    }
    *target = '\0';
    return target + 1;
}

void deadtext_cut(char *text, size_t max)
{
    if (strlen(text) <= max)
        return;
    while (max > 0 && ((unsigned char)text[max] & 0xc0U) == 0x80)
        max--;
    text[max] = '\0';
}
