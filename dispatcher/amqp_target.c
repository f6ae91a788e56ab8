#include "dispatcher/amqp_target.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bus.h"
#include "common/utf8.h"

enum { MAX_URL = 8192 };

/* A piece of the base_url. */
struct span {
    const char *start;
    size_t len;
};

static int hex_digit(char c)
{
    const char digits[] = "0123456789abcdef";
    const char *at = c == '\0' ? NULL : strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c);

    return at != NULL ? (int)(at - digits) : -1;
}

bool amqp_url_decode(const char *text, size_t len, struct buf *out)
{
    for (size_t i = 0; i < len; i++) {
        int high = text[i] == '%' && i + 2 < len ? hex_digit(text[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
        if (text[i] != '%') {
            buf_addc(out, text[i]);
        } else if (low >= 0) {
            buf_addc(out, (char)(high * 16 + low));
            i += 2;
        } else {
            return false;
        }
    }
    return true;
}

/* In a query "+" is a space, too. */
static bool decode_query(struct span s, struct buf *out)
{
    while (s.len > 0) {
        const char *plus = memchr(s.start, '+', s.len);
        size_t len = plus != NULL ? (size_t)(plus - s.start) : s.len;
        if (!amqp_url_decode(s.start, len, out)) {
            return false;
        }
        if (plus != NULL) {
            buf_addc(out, ' ');
            len++;
        }
        s.start += len;
        s.len -= len;
    }
    return true;
}

void amqp_url_encode(const char *text, struct buf *out)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

    for (const char *p = text; *p != '\0'; p++) {
        if (strchr(plain, *p) != NULL) {
            buf_addc(out, *p);
        } else {
            buf_addf(out, "%%%02X", (unsigned char)*p);
        }
    }
}

bool amqp_url_password(const char *base_url, size_t *ret_at, size_t *ret_len)
{
    const char *scheme_end = strstr(base_url, "://");
    const char *user = scheme_end != NULL ? scheme_end + 3 : base_url;
    const char *at = memrchr(user, '@', strcspn(user, "/?#"));
    const char *colon = at != NULL ? memchr(user, ':', (size_t)(at - user)) : NULL;

    if (colon == NULL) {
        return false;
    }
    *ret_at = (size_t)(colon + 1 - base_url);
    *ret_len = (size_t)(at - colon) - 1;
    return true;
}

const char *amqp_name_fault(const char *text, size_t len)
{
    if (len > AMQP_MAX_NAME) {
        return "is longer than 255 bytes";
    }
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
            return "holds a control byte";
        }
    }
    return utf8_invalid_at(text, len) < len ? "is not UTF-8" : NULL;
}

static bool is(struct span s, const char *word)
{
    return s.len == strlen(word) && memcmp(s.start, word, s.len) == 0;
}

/* Takes the text up to the delimiter off the front of `rest`; all of it when there is none. */
static struct span cut(struct span *rest, char delimiter)
{
    const char *at = memchr(rest->start, delimiter, rest->len);
    struct span piece = {rest->start, at != NULL ? (size_t)(at - rest->start) : rest->len};
    size_t taken = piece.len + (at != NULL ? 1 : 0);

    rest->start += taken;
    rest->len -= taken;
    return piece;
}

static char **field_of(struct amqp_target *t, struct span name)
{
    const struct {
        const char *name;
        char **field;
    } fields[] = {{"exchange", &t->exchange},
                  {"routing_key", &t->routing_key},
                  {"queue_declare", &t->queue},
                  {"dlq", &t->dlq}};

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (is(name, fields[i].name)) {
            return fields[i].field;
        }
    }
    return NULL;
}

/* One name=value of the query; of several with the same name the last one counts. */
static int take_parameter(struct amqp_target *t, struct span pair, char *ret_reason, size_t size)
{
    struct span name = cut(&pair, '=');
    char **field = field_of(t, name);
    struct buf value;

    if (field == NULL) {
        return 0;
    }
    buf_init(&value, MAX_URL);
    bool sound = decode_query(pair, &value);
    const char *fault = sound ? amqp_name_fault(buf_text(&value), value.len)
                              : "is not percent-encoded as it should be";
    if (fault != NULL) {
        snprintf(ret_reason, size, "%.*s in base_url %s", (int)name.len, name.start, fault);
        buf_release(&value);
        return -EINVAL;
    }
    free(*field);
    *field = buf_error(&value) == 0 ? strdup(buf_text(&value)) : NULL;
    buf_release(&value);
    return *field != NULL ? 0 : -ENOMEM;
}

static int take_query(struct amqp_target *t, struct span query, char *ret_reason, size_t size)
{
    int r = 0;

    while (r == 0 && query.len > 0) {
        r = take_parameter(t, cut(&query, '&'), ret_reason, size);
    }
    return r;
}

static bool holds(struct span s, char c)
{
    return memchr(s.start, c, s.len) != NULL;
}

/*
 * The URL for the bus, which takes a list of them: commas are encoded, and so are slashes behind
 * the first one, which here belong to the virtual host. An "@" that is not where it should be may
 * come from a password with a "/" or "?" in it: nobody shall guess which is which.
 */
static const char *take_address(struct span address, struct span query, struct buf *url)
{
    const char *colon = memmem(address.start, address.len, "://", 3);
    size_t host_at = colon != NULL ? (size_t)(colon - address.start) + 3 : 0;
    struct span rest = {address.start + host_at, address.len - host_at};
    struct span authority = cut(&rest, '/');

    if (holds(rest, '@') || (holds(query, '@') && !holds(authority, '@'))) {
        return "user, password and virtual host must be percent-encoded";
    }
    for (const char *p = address.start; p < address.start + address.len; p++) {
        if (*p == ',' || (*p == '/' && p >= rest.start)) {
            buf_addf(url, "%%%02X", (unsigned char)*p);
        } else {
            buf_addc(url, *p);
        }
    }
    return NULL;
}

/* The words of the bus, without which one of its list it was. */
static int check_address(const char *url, char *ret_reason, size_t size)
{
    struct bus_error error = {""};

    if (bus_check_urls(url, &error) == 0) {
        return 0;
    }
    const char *words = strstr(error.text, ": ");
    snprintf(ret_reason, size, "base_url: %s", words != NULL ? words + 2 : error.text);
    return -EINVAL;
}

/* A URL that the bus takes: everything behind its user and password, if any. */
static int set_shown(struct amqp_target *t)
{
    const char *host = strstr(t->url, "://") + 3;
    size_t scheme_len = (size_t)(host - t->url);
    const char *at = memrchr(host, '@', strcspn(host, "/"));

    host = at != NULL ? at + 1 : host;
    bool bracket = *host == '[';
    if (asprintf(&t->shown, "%.*s%s", (int)scheme_len, t->url, host) < 0) {
        t->shown = NULL;
        return -ENOMEM;
    }
    t->host =
        bracket ? strndup(host + 1, strcspn(host + 1, "]")) : strndup(host, strcspn(host, ":/"));
    return t->host != NULL ? 0 : -ENOMEM;
}

/* The first byte that must be percent-encoded, or NULL. */
static const char *unwanted_at(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text <= 0x20 || *text == 0x7f || *text == '#') {
            return text;
        }
    }
    return NULL;
}

static int fill(struct amqp_target *t, const char *base_url, char *ret_reason, size_t size)
{
    struct span query = {base_url, strlen(base_url)};
    struct span address = cut(&query, '?');
    struct buf url;

    const char *unwanted = unwanted_at(base_url);
    if (unwanted != NULL) {
        snprintf(ret_reason, size, "base_url holds the byte 0x%02x at position %zu",
                 (unsigned char)*unwanted, (size_t)(unwanted - base_url) + 1);
        return -EINVAL;
    }
    if (utf8_invalid_at(base_url, strlen(base_url)) < strlen(base_url)) {
        snprintf(ret_reason, size, "base_url is not UTF-8");
        return -EINVAL;
    }
    buf_init_secret(&url, MAX_URL);
    const char *fault = take_address(address, query, &url);
    int r = buf_error(&url);
    if (fault != NULL || r == -EMSGSIZE) {
        snprintf(ret_reason, size, "base_url: %s", fault != NULL ? fault : "it is too long");
        r = -EINVAL;
    }
    r = r < 0 ? r : check_address(buf_text(&url), ret_reason, size);
    if (r == 0) {
        t->url = strdup(buf_text(&url));
        r = t->url != NULL ? set_shown(t) : -ENOMEM;
    }
    buf_release(&url);
    return r < 0 ? r : take_query(t, query, ret_reason, size);
}

static int set_missing(char **field)
{
    *field = *field != NULL ? *field : strdup("");
    return *field != NULL ? 0 : -ENOMEM;
}

int amqp_target_new(const char *base_url, struct amqp_target **ret_target, char *ret_reason,
                    size_t reason_size)
{
    struct amqp_target *t = calloc(1, sizeof(*t));
    int r = t != NULL ? fill(t, base_url, ret_reason, reason_size) : -ENOMEM;

    if (r == 0 && (set_missing(&t->exchange) < 0 || set_missing(&t->routing_key) < 0 ||
                   set_missing(&t->queue) < 0 || set_missing(&t->dlq) < 0)) {
        r = -ENOMEM;
    }
    if (r < 0) {
        amqp_target_free(t);
        return r;
    }
    *ret_target = t;
    return 0;
}

void amqp_target_free(struct amqp_target *t)
{
    if (t == NULL) {
        return;
    }
    if (t->url != NULL) {
        explicit_bzero(t->url, strlen(t->url));
    }
    free(t->url);
    free(t->shown);
    free(t->host);
    free(t->exchange);
    free(t->routing_key);
    free(t->queue);
    free(t->dlq);
    free(t);
}

const char *amqp_target_key(const struct amqp_target *t, const char *endpoint, size_t endpoint_len,
                            struct buf *ret_key)
{
    while (endpoint_len > 0 && *endpoint == '/') {
        endpoint++;
        endpoint_len--;
    }
    const char *fault = amqp_name_fault(endpoint, endpoint_len);
    if (fault != NULL) {
        return fault;
    }
    if (endpoint_len > 0) {
        buf_add(ret_key, endpoint, endpoint_len);
    } else if (t->routing_key[0] != '\0' || t->exchange[0] != '\0') {
        buf_adds(ret_key, t->routing_key);
    } else if (t->queue[0] != '\0') {
        buf_adds(ret_key, t->queue);
    } else {
        return "is empty, and base_url has neither exchange nor routing_key nor queue_declare";
    }
    return NULL;
}

void amqp_target_show(const struct amqp_target *t, const char *routing_key, struct buf *out)
{
    buf_adds(out, t->shown);
    buf_adds(out, "?exchange=");
    amqp_url_encode(t->exchange, out);
    buf_adds(out, "&routing_key=");
    amqp_url_encode(routing_key, out);
}
