/* Retry-After: RFC 9110 section 10.2.3, and the three date formats of section 5.6.7. */
#include <stddef.h>
#include <string.h>
#include <time.h>

#include "dispatcher/verdict.h"

enum { SHORTEST_S = 1, LONGEST_S = 24 * 3600, NEVER = -1 };

/* A place in the header's value. */
struct cursor {
    const char *at;
};

static int64_t clamp(int64_t seconds)
{
    if (seconds < SHORTEST_S) {
        return SHORTEST_S;
    }
    return seconds > LONGEST_S ? LONGEST_S : seconds;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool take(struct cursor *c, const char *text)
{
    size_t n = strlen(text);
    if (strncmp(c->at, text, n) != 0) {
        return false;
    }
    c->at += n;
    return true;
}

/* Exactly n digits. */
static bool take_number(struct cursor *c, unsigned n, int *ret_number)
{
    int number = 0;
    for (unsigned i = 0; i < n; i++, c->at++) {
        if (!is_digit(*c->at)) {
            return false;
        }
        number = number * 10 + (*c->at - '0');
    }
    *ret_number = number;
    return true;
}

/* One of the n names; the index of it. */
static bool take_name(struct cursor *c, const char *const *names, int n, int *ret_index)
{
    for (int i = 0; i < n; i++) {
        if (take(c, names[i])) {
            *ret_index = i;
            return true;
        }
    }
    return false;
}

static bool take_month(struct cursor *c, struct tm *tm)
{
    static const char *const names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    return take_name(c, names, 12, &tm->tm_mon);
}

static bool take_day_name(struct cursor *c)
{
    static const char *const names[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    int day = 0;
    return take_name(c, names, 7, &day);
}

static bool take_long_day_name(struct cursor *c)
{
    static const char *const names[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                        "Thursday", "Friday", "Saturday"};
    int day = 0;
    return take_name(c, names, 7, &day);
}

static bool take_clock(struct cursor *c, struct tm *tm)
{
    return take_number(c, 2, &tm->tm_hour) && take(c, ":") && take_number(c, 2, &tm->tm_min) &&
           take(c, ":") && take_number(c, 2, &tm->tm_sec);
}

static bool take_year(struct cursor *c, struct tm *tm)
{
    bool ok = take_number(c, 4, &tm->tm_year);
    tm->tm_year -= 1900;
    return ok;
}

/* Sun, 06 Nov 1994 08:49:37 GMT */
static bool take_imf_date(struct cursor c, struct tm *tm)
{
    return take_day_name(&c) && take(&c, ", ") && take_number(&c, 2, &tm->tm_mday) &&
           take(&c, " ") && take_month(&c, tm) && take(&c, " ") && take_year(&c, tm) &&
           take(&c, " ") && take_clock(&c, tm) && take(&c, " GMT") && *c.at == '\0';
}

/* Sunday, 06-Nov-94 08:49:37 GMT; a year that seems more than 50 years ahead is in the past. */
static bool take_rfc850_date(struct cursor c, const struct tm *now, struct tm *tm)
{
    bool ok = take_long_day_name(&c) && take(&c, ", ") && take_number(&c, 2, &tm->tm_mday) &&
              take(&c, "-") && take_month(&c, tm) && take(&c, "-") &&
              take_number(&c, 2, &tm->tm_year) && take(&c, " ") && take_clock(&c, tm) &&
              take(&c, " GMT") && *c.at == '\0';
    tm->tm_year += now->tm_year - now->tm_year % 100;
    if (tm->tm_year < now->tm_year) {
        tm->tm_year += 100;
    }
    if (tm->tm_year > now->tm_year + 50) {
        tm->tm_year -= 100;
    }
    return ok;
}

/* Sun Nov  6 08:49:37 1994 */
static bool take_asctime_date(struct cursor c, struct tm *tm)
{
    return take_day_name(&c) && take(&c, " ") && take_month(&c, tm) && take(&c, " ") &&
           (take(&c, " ") ? take_number(&c, 1, &tm->tm_mday) : take_number(&c, 2, &tm->tm_mday)) &&
           take(&c, " ") && take_clock(&c, tm) && take(&c, " ") && take_year(&c, tm) &&
           *c.at == '\0';
}

/* Days and times that exist; a leap second is one. */
static bool is_possible(const struct tm *tm)
{
    static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return tm->tm_mday >= 1 && tm->tm_mday <= days[tm->tm_mon] && tm->tm_hour <= 23 &&
           tm->tm_min <= 59 && tm->tm_sec <= 60;
}

static int64_t parse_date(const char *value, int64_t now_s)
{
    struct cursor c = {value};
    struct tm tm = {0};
    struct tm now = {0};
    time_t now_time = (time_t)now_s;
    if (!gmtime_r(&now_time, &now)) {
        return NEVER;
    }
    bool ok = take_imf_date(c, &tm);
    if (!ok) {
        tm = (struct tm){0};
        ok = take_rfc850_date(c, &now, &tm);
    }
    if (!ok) {
        tm = (struct tm){0};
        ok = take_asctime_date(c, &tm);
    }
    if (!ok || !is_possible(&tm)) {
        return NEVER;
    }
    return clamp((int64_t)timegm(&tm) - now_s);
}

static int64_t parse_seconds(const char *value, size_t len)
{
    int64_t seconds = 0;
    for (size_t i = 0; i < len; i++) {
        if (!is_digit(value[i])) {
            return NEVER;
        }
        seconds = seconds * 10 + (value[i] - '0');
        seconds = seconds > LONGEST_S ? LONGEST_S : seconds;
    }
    return clamp(seconds);
}

int64_t verdict_retry_after(const char *value, int64_t now_s)
{
    char date[64];
    value += strspn(value, " \t");
    size_t len = strlen(value);
    while (len > 0 && strchr(" \t\r\n", value[len - 1])) {
        len--;
    }
    if (len > 0 && is_digit(value[0])) {
        return parse_seconds(value, len);
    }
    if (len == 0 || len >= sizeof(date)) {
        return NEVER;
    }
    memcpy(date, value, len);
    date[len] = '\0';
    return parse_date(date, now_s);
}
