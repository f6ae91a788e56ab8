#include "dispatcher/stillness.h"

#include <errno.h>
#include <sys/time.h>

#include "common/timing.h"

int64_t stillness_total_us(struct stillness *s, int64_t now_us)
{
    int64_t gap_us = now_us - s->seen_us - STILLNESS_PULSE_MS * INT64_C(1000);
    if (gap_us > STILLNESS_MS * INT64_C(1000)) {
        s->total_us += gap_us;
        s->seen_us = now_us;
    }
    return s->total_us;
}

bool stillness_excuses(struct stillness *s, int64_t total_at_start_us, int64_t timeout_ms,
                       int64_t now_us)
{
    int64_t still_us = stillness_total_us(s, now_us) - total_at_start_us;
    return still_us > 0 && still_us >= timeout_ms * 500;
}

static void on_pulse(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct stillness *s = context;
    int64_t now_us = timing_mono_us();
    (void)stillness_total_us(s, now_us);
    s->seen_us = now_us;
}

int stillness_start(struct stillness *s, struct event_base *base, int64_t now_us)
{
    const struct timeval interval = {.tv_usec = STILLNESS_PULSE_MS * 1000L};
    *s = (struct stillness){.seen_us = now_us};
    if (event_assign(&s->pulse, base, -1, EV_PERSIST, on_pulse, s) != 0 ||
        event_add(&s->pulse, &interval) != 0)
        return -ENOMEM;
    s->is_started = true;
    return 0;
}

void stillness_stop(struct stillness *s)
{
    if (s->is_started)
        event_del(&s->pulse);
    s->is_started = false;
}
