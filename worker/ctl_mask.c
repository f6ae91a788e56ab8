#include "worker/ctl_mask.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "dispatcher/catalog.h"

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

/* "Basic QWxh...": what is behind the scheme, or all of it when there is none. */
static const char *credential_of(const char *value)
{
    const char *space = strchr(value, ' ');

    return space ? space + 1 : value;
}

static bool is_at(const char *text, size_t len, const char *secret, size_t secret_len)
{
    return secret_len >= CTL_MIN_TOKEN && secret_len <= len &&
           memcmp(text, secret, secret_len) == 0;
}

/* Bytes of the secret that stands at the text's start; 0: none does. */
static size_t secret_at(const struct service *s, const char *text, size_t len)
{
    const char *token = s->auth_token ? s->auth_token : "";
    const char *made = s->auth_header ? credential_of(value_of(s->auth_header)) : "";

    if (is_at(text, len, token, strlen(token)))
        return strlen(token);
    return is_at(text, len, made, strlen(made)) ? strlen(made) : 0;
}

void ctl_mask_text(const struct service *s, const char *text, size_t len, struct buf *out)
{
    for (size_t i = 0; i < len;) {
        size_t n = secret_at(s, text + i, len - i);

        if (n > 0)
            buf_adds(out, CTL_MASK);
        else
            buf_addc(out, text[i]);
        i += n > 0 ? n : 1;
    }
}

void ctl_mask_header(const struct service *s, const char *header, struct buf *out)
{
    static const char *const credentials[] = {"Authorization", "Proxy-Authorization", "Cookie",
                                              "X-API-Key"};
    const char *value = value_of(header);
    bool secret = s->auth_header && same_name(header, s->auth_header);

    for (size_t i = 0; i < sizeof credentials / sizeof *credentials; i++)
        secret = secret || same_name(header, credentials[i]);
    if (!secret) {
        ctl_mask_text(s, value, strlen(value), out);
        return;
    }
    if (strncasecmp(value, "Bearer ", 7) == 0 || strncasecmp(value, "Basic ", 6) == 0)
        buf_add(out, value, (size_t)(credential_of(value) - value));
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
