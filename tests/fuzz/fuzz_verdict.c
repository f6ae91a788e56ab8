/* What services answer: Retry-After is a wait between a second and a day, a reason is clean. */
#include <string.h>

#include "common/timing.h"
#include "dispatcher/verdict.h"
#include "tests/fuzz/fuzz.h"

static void check_retry_after(const char *value, int64_t now_s)
{
    int64_t wait = verdict_retry_after(value, now_s);
    PROPERTY(wait == -1 || (wait >= 1 && wait <= 86400), "%lld", (long long)wait);
}

static void check_reason(const struct fields *f, int64_t number)
{
    struct outcome o = {.kind = (enum outcome_kind)(number & 15),
                        .status = (int)(number >> 8 & 0x3ff),
                        .retry_after_s = number,
                        .latency_us = number};
    struct verdict v;
    size_t len = f->len[1] < sizeof o.text ? f->len[1] : sizeof o.text;
    memcpy(o.text, f->text[1], len); /* not always NUL-terminated */
    if (o.kind > OUTCOME_ACCESS)
        o.kind = OUTCOME_HTTP;
    reason_clear(v.reason, sizeof v.reason);
    verdict_of(&o, &v);
    if (v.kind == VERDICT_DELIVERED)
        PROPERTY(v.reason[0] == '\0', "%.20s", v.reason);
    else
        reason_check(v.reason, sizeof v.reason);
    PROPERTY(v.kind <= VERDICT_REJECT && v.not_before_s >= 0, "kind %d", (int)v.kind);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fields f;
    int64_t number[3] = {0};
    if (size > sizeof number)
        memcpy(number, data + size - sizeof number, sizeof number);
    fields_cut(&f, 2, data, size);
    check_retry_after(f.text[0], 1795348440);
    check_retry_after(f.text[0], number[0]);
    check_reason(&f, number[1]);

    int64_t base = number[1] & INT64_MAX, cap = number[2] & INT64_MAX;
    int64_t delay = timing_backoff_ms((unsigned)number[0], base, cap, (unsigned)size % 1000);
    PROPERTY(delay >= 0 && delay <= cap, "%lld of %lld", (long long)delay, (long long)cap);
    fields_release(&f);
    return 0;
}
