#include "dispatcher/history.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/utf8.h"

enum { LINE_SIZE = HISTORY_REASON_MAX + 100, STAMP_SIZE = 21 };

static const int64_t last_second = 253402300799; /* of the year 9999 */

/* Copies the characters that fit, what is not safe as "?"; returns the bytes written, without NUL.
 */
static size_t copy_safe(char *target, size_t max, const char *text, size_t len)
{
    size_t used = 0;

    for (size_t at = 0; at < len;) {
        uint32_t c = 0;
        size_t width = utf8_decode(text + at, len - at, &c);
        bool safe = width > 0 && c >= 0x20 && (c < 0x7f || c > 0x9f);
        size_t bytes = safe ? width : 1;

        if (used + bytes > max)
            break;
        memcpy(target + used, safe ? text + at : "?", bytes);
        used += bytes;
        at += width > 0 ? width : 1;
    }
    target[used] = '\0';
    return used;
}

/* Puts a line, without its line feed, in front of what stands from `at` on. False when the room
 * before it is too small. */
static bool put_before(char *text, size_t *at, const char *line, size_t len)
{
    if (len + 1 > *at)
        return false;
    *at -= len + 1;
    (void)copy_safe(text + *at, len, line, len);
    /* What was not safe became shorter: close the gap. */
    size_t used = strlen(text + *at);

    memmove(text + *at + (len - used), text + *at, used);
    *at += len - used;
    text[*at + used] = '\n';
    return true;
}

void history_copy(char *ret_text, const char *text, size_t len)
{
    size_t at = HISTORY_MAX;
    size_t end = len;

    ret_text[HISTORY_MAX] = '\0';
    while (end > 0) {
        size_t begin;

        if (text[end - 1] == '\n') {
            end--;
            continue;
        }
        begin = end;
        while (begin > 0 && text[begin - 1] != '\n')
            begin--;
        if (!put_before(ret_text, &at, text + begin, end - begin))
            break;
        end = begin;
    }
    memmove(ret_text, ret_text + at, HISTORY_MAX - at + 1);
}

static void stamp(int64_t second, char *ret_text)
{
    time_t when = (time_t)(second < 0 ? 0 : second > last_second ? last_second : second);
    struct tm tm = {0};

    (void)gmtime_r(&when, &tm);
    (void)strftime(ret_text, STAMP_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void history_add(char *text, const struct history_death *death)
{
    char line[LINE_SIZE];
    char when[STAMP_SIZE];
    size_t used = strlen(text);
    size_t len;
    size_t drop = 0;
    int n;

    stamp(death->died_s, when);
    n = snprintf(line, sizeof line, "%s attempts=%" PRId64 " status=%" PRId64 " ", when,
                 death->attempts, death->status);
    len = (size_t)n;
    len += copy_safe(line + len, HISTORY_REASON_MAX, death->reason, strlen(death->reason));
    line[len++] = '\n';
    while (used - drop + len > HISTORY_MAX) {
        const char *end = strchr(text + drop, '\n');

        drop = end ? (size_t)(end - text) + 1 : used;
    }
    memmove(text, text + drop, used - drop);
    memcpy(text + used - drop, line, len);
    text[used - drop + len] = '\0';
}
