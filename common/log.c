#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/utf8.h"

enum {
    LINE_SIZE = 4096, /* PIPE_BUF: a write of this size stays whole in a pipe, too */
    VALUE_MAX = 512,  /* bytes of a value that are shown */
    TAIL_SIZE = 48,   /* kept free for ` cut=yes lost_lines=<n>` and the line feed */
};

static const struct {
    const char *name;
    int priority; /* of sd-daemon(3) */
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", 3},
    [LOG_LEVEL_WARNING] = {"warning", 4},
    [LOG_LEVEL_INFO] = {"info", 6},
    [LOG_LEVEL_DEBUG] = {"debug", 7},
};

static const char *log_who = "mih";
static bool log_prefixed = true;
static atomic_int log_threshold = LOG_LEVEL_INFO;
static atomic_uint log_lost; /* lines that standard error did not take */

struct line {
    char text[LINE_SIZE];
    size_t len;
    bool cut;
};

void log_init(const char *who, enum log_level level)
{
    log_who = who;
    log_prefixed = !isatty(STDERR_FILENO);
    log_set_level(level);
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&log_threshold, (int)level, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&log_threshold, memory_order_relaxed);
}

/* Appends all of it or nothing. */
static bool add(struct line *l, const char *text, size_t len)
{
    if (l->cut || len > LINE_SIZE - TAIL_SIZE - l->len) {
        l->cut = true;
        return false;
    }
    memcpy(l->text + l->len, text, len);
    l->len += len;
    return true;
}

/* Length of the character outside ASCII at s, or 0 when it is not well-formed or not safe to show:
 * the C1 controls, the line separators and the marks that turn the direction of text. */
static size_t shown_character(const char *s, size_t len)
{
    uint32_t c;
    size_t n = utf8_decode(s, len, &c);
    bool unsafe = n && (c < 0xa0 || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069));
    return unsafe ? 0 : n;
}

/* One character of a quoted value; returns how many bytes it took from s. */
static size_t add_quoted_character(struct line *l, const unsigned char *s, size_t len)
{
    char escape[8];
    if (*s == '"' || *s == '\\') {
        add(l, (char[]){'\\', (char)*s}, 2);
        return 1;
    }
    if (*s >= 0x20 && *s < 0x7f) {
        add(l, (const char *)s, 1);
        return 1;
    }
    size_t n = shown_character((const char *)s, len);
    if (n) {
        add(l, (const char *)s, n);
        return n;
    }
    if (*s == '\n' || *s == '\r' || *s == '\t')
        snprintf(escape, sizeof(escape), "\\%c", *s == '\n' ? 'n' : *s == '\r' ? 'r' : 't');
    else if (*s < 0x80)
        snprintf(escape, sizeof(escape), "\\u%04x", *s);
    else
        snprintf(escape, sizeof(escape), "\\ufffd");
    add(l, escape, strlen(escape));
    return 1;
}

static void add_quoted(struct line *l, const char *value, size_t len, bool shortened)
{
    const unsigned char *s = (const unsigned char *)value;
    size_t start = l->len;
    add(l, "\"", 1);
    while (len) {
        size_t n = add_quoted_character(l, s, len);
        s += n;
        len -= n;
    }
    if (shortened)
        add(l, "...", 3);
    add(l, "\"", 1);
    if (l->cut) /* half a value would be an open quote */
        l->len = start;
}

static bool is_bare(const char *value, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)value[i];
        if (c <= 0x20 || c >= 0x7f || c == '"' || c == '=' || c == '\\')
            return false;
    }
    return len > 0;
}

/* How much of a long value is shown: VALUE_MAX bytes, not ending within a character. */
static size_t shown_length(const char *value, bool *ret_shortened)
{
    size_t len = strnlen(value, VALUE_MAX + 1);
    *ret_shortened = len > VALUE_MAX;
    if (!*ret_shortened)
        return len;
    len = VALUE_MAX;
    for (int i = 0; i < 3 && ((unsigned char)value[len] & 0xc0) == 0x80; i++)
        len--;
    return len;
}

static void add_field(struct line *l, const char *key, const char *value)
{
    size_t start = l->len;
    add(l, " ", 1);
    add(l, key, strlen(key));
    add(l, "=", 1);
    bool shortened;
    size_t len = shown_length(value, &shortened);
    if (!shortened && is_bare(value, len))
        add(l, value, len);
    else
        add_quoted(l, value, len, shortened);
    if (l->cut)
        l->len = start;
}

static void begin_line(struct line *l, enum log_level level, const char *message)
{
    char head[96];
    int n =
        snprintf(head, sizeof(head), "<%d>mih=%.40s level=%s pid=%d msg=", levels[level].priority,
                 log_who, levels[level].name, (int)getpid());
    size_t skip = log_prefixed ? 0 : 3;
    add(l, head + skip, (size_t)n - skip);
    bool shortened;
    size_t len = shown_length(message, &shortened);
    add_quoted(l, message, len, shortened);
}

static void end_line(struct line *l, unsigned lost)
{
    char tail[TAIL_SIZE] = "";
    size_t n = 0;
    if (l->cut)
        n += (size_t)snprintf(tail, sizeof(tail), " cut=yes");
    if (lost)
        n += (size_t)snprintf(tail + n, sizeof(tail) - n, " lost_lines=%u", lost);
    tail[n++] = '\n';
    memcpy(l->text + l->len, tail, n);
    l->len += n;
}

void log_write(enum log_level level, const char *message, ...)
{
    if (!log_enabled(level))
        return;
    int saved_errno = errno; /* a log line between a failure and its handling changes nothing */
    struct line l = {.len = 0};
    begin_line(&l, level, message);
    va_list args;
    va_start(args, message);
    for (const char *key = va_arg(args, const char *); key; key = va_arg(args, const char *)) {
        const char *value = va_arg(args, const char *);
        add_field(&l, key, value ? value : "");
    }
    va_end(args);
    unsigned lost = atomic_exchange_explicit(&log_lost, 0, memory_order_relaxed);
    end_line(&l, lost);
    ssize_t n;
    do {
        n = write(STDERR_FILENO, l.text, l.len);
    } while (n < 0 && errno == EINTR);
    if (n != (ssize_t)l.len) /* full disk or a reader that is gone: the next line tells how many */
        atomic_fetch_add_explicit(&log_lost, lost + 1, memory_order_relaxed);
    errno = saved_errno;
}

const char *log_number(int64_t value)
{
    static _Thread_local char texts[8][24];
    static _Thread_local unsigned next;
    char *text = texts[next++ % 8];
    snprintf(text, sizeof(texts[0]), "%" PRId64, value);
    return text;
}

bool log_every(int64_t *state, int64_t interval_s, int64_t now_s)
{
    /* A clock that was set back must not silence the site until it has caught up. */
    if (*state && now_s >= *state && now_s - *state < interval_s)
        return false;
    *state = now_s;
    return true;
}
