#include "common/conf_value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/bus.h"
#include "common/secret.h"

enum { ACCEPTED_MAX = 400, URL_MASKED_MAX = 1024 };

struct unit {
    const char *name;
    int64_t factor;
};

/* Largest first: printing takes the first one that divides the value. */
static const struct unit byte_units[] = {
    {"G", 1 << 30}, {"M", 1 << 20}, {"k", 1 << 10}, {"", 1}, {NULL, 0}};
static const struct unit duration_units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000},
                                             {"s", 1000},     {"ms", 1},      {NULL, 0}};

static const char *const bool_words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};

static void *field(const struct conf_setting *s, void *settings)
{
    return (char *)settings + s->offset;
}

static const void *const_field(const struct conf_setting *s, const void *settings)
{
    return (const char *)settings + s->offset;
}

static const struct unit *units_of(const struct conf_setting *s)
{
    return s->type == CONF_BYTES ? byte_units : duration_units;
}

/* Whole text is one decimal number, optionally followed by a unit; bare_factor is what a number
 * without unit is multiplied by. False: not so, or it does not fit. */
static bool parse_number(const char *text, const struct unit *units, int64_t bare_factor,
                         int64_t *ret_value)
{
    const char *digits = *text == '-' ? text + 1 : text;
    if (*digits < '0' || *digits > '9') /* strtoll would take spaces and "+" */
        return false;
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (errno)
        return false;
    int64_t factor = *end ? 0 : bare_factor;
    for (const struct unit *u = units; *end && u && u->name && !factor; u++)
        if (strcasecmp(end, u->name) == 0)
            factor = u->factor;
    return factor && !__builtin_mul_overflow((int64_t)n, factor, ret_value);
}

static bool parse_whole(const struct conf_setting *s, const char *text, int64_t *ret_value)
{
    int64_t value;
    bool ok;
    if (s->type == CONF_NUMBER)
        ok = parse_number(text, NULL, 1, &value);
    else
        ok = parse_number(text, units_of(s), s->type == CONF_BYTES ? 1 : 1000, &value);
    bool bounded = s->min || s->max;
    if (!ok || (bounded && (value < s->min || value > s->max)))
        return false;
    *ret_value = value;
    return true;
}

/* Index of text in the words, or -1. */
static int find_word(const char *const *words, size_t n, const char *text)
{
    for (size_t i = 0; i < n && words[i]; i++)
        if (strcasecmp(words[i], text) == 0)
            return (int)i;
    return -1;
}

static int set_text(const struct conf_setting *s, char **field, const char *text,
                    char *ret_accepted, size_t size)
{
    int r = s->check ? s->check(text, ret_accepted, size) : 0;
    if (r)
        return r;
    char *copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    secret_free(*field);
    *field = copy;
    return 0;
}

static bool set_plain(const struct conf_setting *s, void *field, const char *text)
{
    int word;
    switch (s->type) {
    case CONF_NUMBER:
    case CONF_BYTES:
    case CONF_DURATION:
        return parse_whole(s, text, field);
    case CONF_BOOL:
        word = find_word(bool_words, sizeof(bool_words) / sizeof(bool_words[0]), text);
        if (word >= 0)
            *(bool *)field = word % 2;
        return word >= 0;
    case CONF_CHOICE:
        word = find_word(s->choices, SIZE_MAX, text);
        if (word >= 0)
            *(int *)field = word;
        return word >= 0;
    case CONF_TEXT:
    case CONF_SECRET:
    case CONF_URL:
    case CONF_URL_LIST:
        break;
    }
    return false;
}

int conf_value_set(const struct conf_setting *s, void *settings, const char *text,
                   char *ret_accepted, size_t size)
{
    if (conf_value_is_text(s))
        return set_text(s, field(s, settings), text, ret_accepted, size);
    if (set_plain(s, field(s, settings), text))
        return 0;
    struct buf accepted;
    buf_init(&accepted, ACCEPTED_MAX);
    conf_value_accepted(s, &accepted);
    snprintf(ret_accepted, size, "%s", buf_text(&accepted));
    buf_release(&accepted);
    return -EINVAL;
}

static void print_number(const struct conf_setting *s, int64_t value, struct buf *out)
{
    if (s->type == CONF_NUMBER) {
        buf_addf(out, "%" PRId64, value);
        return;
    }
    const struct unit *u = units_of(s);
    if (value == 0) { /* every unit divides it: 0, or 0s */
        buf_adds(out, s->type == CONF_BYTES ? "0" : "0s");
        return;
    }
    while (value % u->factor)
        u++;
    buf_addf(out, "%" PRId64 "%s", value / u->factor, u->name);
}

static void add_range(const struct conf_setting *s, struct buf *out)
{
    static const char *const kinds[] = {
        [CONF_NUMBER] = "a whole number",
        [CONF_BYTES] = "bytes, or with k, M, G",
        [CONF_DURATION] = "seconds, or with ms, s, m, h, d",
    };
    if (s->min || s->max) {
        print_number(s, s->min, out);
        buf_adds(out, " to ");
        print_number(s, s->max, out);
        if (s->type == CONF_NUMBER)
            return;
        buf_addf(out, " (%s)", kinds[s->type]);
        return;
    }
    buf_adds(out, kinds[s->type]);
}

void conf_value_accepted(const struct conf_setting *s, struct buf *out)
{
    switch (s->type) {
    case CONF_NUMBER:
    case CONF_BYTES:
    case CONF_DURATION:
        add_range(s, out);
        break;
    case CONF_BOOL:
        buf_adds(out, "yes, no");
        break;
    case CONF_CHOICE:
        for (size_t i = 0; s->choices[i]; i++)
            buf_addf(out, "%s%s", i ? ", " : "", s->choices[i]);
        break;
    case CONF_TEXT:
    case CONF_SECRET:
        buf_adds(out, "text");
        break;
    case CONF_URL:
        buf_adds(out, "URL");
        break;
    case CONF_URL_LIST:
        buf_adds(out, "URLs, separated by commas");
        break;
    }
}

static void print_urls(const char *urls, struct buf *out)
{
    const char *start = urls;
    for (;;) {
        size_t len = strcspn(start, ",");
        char *url = strndup(start, len);
        char masked[URL_MASKED_MAX] = "***";
        if (url)
            bus_mask_url(url, masked, sizeof(masked));
        secret_free(url);
        buf_adds(out, masked);
        if (!start[len])
            break;
        buf_addc(out, ',');
        start += len + 1;
    }
}

/* Text as it may be shown: secrets are masked, but an unset one is not. */
static void print_text(const struct conf_setting *s, const char *text, struct buf *out)
{
    if (!text || !*text)
        return;
    if (s->type == CONF_TEXT)
        buf_adds(out, text);
    else if (s->type == CONF_SECRET)
        buf_adds(out, "***");
    else
        print_urls(text, out);
}

void conf_value_print(const struct conf_setting *s, const void *settings, struct buf *out)
{
    const void *value = const_field(s, settings);
    switch (s->type) {
    case CONF_NUMBER:
    case CONF_BYTES:
    case CONF_DURATION:
        print_number(s, *(const int64_t *)value, out);
        break;
    case CONF_BOOL:
        buf_adds(out, *(const bool *)value ? "yes" : "no");
        break;
    case CONF_CHOICE:
        buf_adds(out, s->choices[*(const int *)value]);
        break;
    case CONF_TEXT:
    case CONF_SECRET:
    case CONF_URL:
    case CONF_URL_LIST:
        print_text(s, *(char *const *)value, out);
        break;
    }
}

bool conf_value_is_secret(const struct conf_setting *s)
{
    return s->type == CONF_SECRET || s->type == CONF_URL || s->type == CONF_URL_LIST;
}

bool conf_value_is_text(const struct conf_setting *s)
{
    return s->type == CONF_TEXT || conf_value_is_secret(s);
}
