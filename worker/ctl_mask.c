#include "worker/ctl_mask.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "dispatcher/catalog.h"
#include "dispatcher/mask.h"

static const char *value_of(const char *header)
{
    const char *colon = strchr(header, ':');

    if (!colon)
        return "";
    colon++;
    return colon + strspn(colon, " ");
}

static bool same_name(const char *header, const char *other)
{
    size_t len = strcspn(header, ":");

    return strncasecmp(header, other, len) == 0 && (other[len] == ':' || other[len] == '\0');
}

/* Headers of one's own are where a service's credentials stand that has its own way. */
static bool sounds_secret(const char *header)
{
    static const char *const words[] = {"auth",  "cookie", "apikey", "api-key",
                                        "token", "secret", "passw",  "credential"};
    char name[128];

    snprintf(name, sizeof name, "%.*s", (int)strcspn(header, ":"), header);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasestr(name, words[i]))
            return true;
    return false;
}

void ctl_mask_text(const struct service *s, const char *text, size_t len, struct buf *out)
{
    for (size_t i = 0; i < len;) {
        size_t n = mask_service_length(s, text + i, len - i);

        if (n > 0)
            buf_adds(out, CTL_MASK);
        else
            buf_addc(out, text[i]);
        i += n > 0 ? n : 1;
    }
}

void ctl_mask_header(const struct service *s, const char *header, struct buf *out)
{
    const char *value = value_of(header);

    if (!(s->auth_header && same_name(header, s->auth_header)) && !sounds_secret(header)) {
        ctl_mask_text(s, value, strlen(value), out);
        return;
    }
    if (strncasecmp(value, "Bearer ", 7) == 0 || strncasecmp(value, "Basic ", 6) == 0)
        buf_add(out, value, strcspn(value, " ") + 1);
    buf_adds(out, CTL_MASK);
}

void ctl_mask_body(const struct service *s, const char *body, size_t len, struct buf *out)
{
    static const char mark[] = "username-token-profile-1.0#Password"; /* its type, in the tag */
    const char *end = body + len;
    const char *at = NULL;
    bool secured = s->auth == AUTH_WSSE || s->auth == AUTH_WSSE_TEXT;

    while (secured && (at = memmem(body, (size_t)(end - body), mark, sizeof mark - 1))) {
        const char *text = memchr(at, '>', (size_t)(end - at));
        const char *after = text ? memchr(text, '<', (size_t)(end - text)) : NULL;

        if (!after)
            break;
        buf_add(out, body, (size_t)(text + 1 - body));
        buf_adds(out, CTL_MASK);
        body = after;
    }
    buf_add(out, body, (size_t)(end - body));
}
