#include "dispatcher/mask.h"

#include <string.h>

#include "dispatcher/catalog.h"

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Bytes of text that stand for the character; 0: they are of another one. */
static size_t bytes_of(const char *text, size_t len, char c)
{
    if (len > 1 && text[0] == '\\' && text[1] == c && strchr("/\"\\", c))
        return 2;
    if (len > 2 && text[0] == '%' && hex(text[1]) >= 0 && hex(text[2]) >= 0 &&
        hex(text[1]) * 16 + hex(text[2]) == (unsigned char)c)
        return 3;
    return len > 0 && text[0] == c ? 1 : 0;
}

size_t mask_length(const char *text, size_t len, const char *secret)
{
    size_t at = 0;

    if (strlen(secret) < MASK_MIN)
        return 0;
    for (; *secret; secret++) {
        size_t n = bytes_of(text + at, len - at, *secret);

        if (n == 0)
            return 0;
        at += n;
    }
    return at;
}

/* What is behind the scheme of an Authorization ("Basic QWxh..."), or all of the value. */
static const char *credential_of(const char *header)
{
    const char *value = strchr(header, ':');
    const char *space;

    if (!value)
        return "";
    value += 1 + strspn(value + 1, " ");
    space = strchr(value, ' ');
    return space ? space + 1 : value;
}

size_t mask_service_length(const struct service *s, const char *text, size_t len)
{
    size_t n = mask_length(text, len, s->auth_token ? s->auth_token : "");

    return n > 0 || !s->auth_header ? n : mask_length(text, len, credential_of(s->auth_header));
}

void mask_secret(const char *secret, char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t n = mask_length(text + i, len - i, secret);

        memset(text + i, '*', n);
        i += n > 0 ? n : 1;
    }
}

void mask_service(const struct service *s, char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t n = mask_service_length(s, text + i, len - i);

        memset(text + i, '*', n);
        i += n > 0 ? n : 1;
    }
}
