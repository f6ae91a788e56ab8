#include "dispatcher/decimal.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static const int64_t MAX_EXPONENT = INT64_C(1000000000000000);

/* 0.d1d2d3... * 10^magnitude, d1 not 0; or zero, without digits. */
struct decimal {
    bool negative;
    int64_t magnitude;
    const char *at, *end; /* its significant digits, maybe with the point among them */
};

static int64_t exponent_of(const char *at, const char *end)
{
    int64_t exponent = 0;
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+')) {
        at++;
    }
    for (; at < end; at++) {
        exponent = exponent < MAX_EXPONENT ? exponent * 10 + (*at - '0') : MAX_EXPONENT;
    }
    return negative ? -exponent : exponent;
}

static const char *find(const char *at, const char *end, const char *any)
{
    while (at < end && !strchr(any, *at)) {
        at++;
    }
    return at;
}

static struct decimal decimal_of(const char *text, size_t len)
{
    struct decimal d = {.negative = *text == '-'};
    const char *at = text + d.negative;
    const char *all = text + len;
    const char *end = find(at, all, "eE");
    const char *point = find(at, end, ".");
    if (end < all) {
        d.magnitude = exponent_of(end + 1, all);
    }
    while (at < end && (*at == '0' || *at == '.')) {
        at++;
    }
    while (end > at && (end[-1] == '0' || end[-1] == '.')) {
        end--;
    }
    d.magnitude += at <= point ? point - at : point - at + 1;
    d.at = at;
    d.end = end;
    if (at == end) {
        d.negative = false;
        d.magnitude = 0;
    }
    return d;
}

static int next_digit(struct decimal *d)
{
    if (d->at < d->end && *d->at == '.') {
        d->at++;
    }
    return d->at < d->end ? *d->at++ : '0';
}

/* Of two numbers that are not zero, without their signs. */
static int compare_sizes(struct decimal *a, struct decimal *b)
{
    if (a->magnitude != b->magnitude) {
        return a->magnitude < b->magnitude ? -1 : 1;
    }
    while (a->at < a->end || b->at < b->end) {
        int difference = next_digit(a) - next_digit(b);
        if (difference != 0) {
            return difference;
        }
    }
    return 0;
}

int decimal_compare(const char *a, size_t a_len, const char *b, size_t b_len)
{
    struct decimal x = decimal_of(a, a_len);
    struct decimal y = decimal_of(b, b_len);
    bool x_zero = x.at == x.end;
    bool y_zero = y.at == y.end;
    if (x_zero || y_zero) {
        int x_sign = x_zero ? 0 : x.negative ? -1 : 1;
        int y_sign = y_zero ? 0 : y.negative ? -1 : 1;
        return x_sign - y_sign;
    }
    if (x.negative != y.negative) {
        return x.negative ? -1 : 1;
    }
    return x.negative ? -compare_sizes(&x, &y) : compare_sizes(&x, &y);
}
