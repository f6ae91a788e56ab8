#include "dispatcher/stillness.h"

#include <errno.h>
#include <sys/time.h>

#include "common/timing.h"

bool stillness_since(struct stillness *s, int64_t since_us, int64_t now_us)
{
    if (now_us - s->seen_us > (int64_t)(STILLNESS_PULSE_MS + STILLNESS_MS) * 1000) {
        s->ended_us = now_us;
        s->seen_us = now_us;
    }
    return since_us < s->ended_us;
}

void stillness_pulse(struct stillness *s, int64_t now_us)
{
    (void)stillness_since(s, now_us, now_us);
    s->seen_us = now_us;
}

static void on_pulse(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    stillness_pulse(context, timing_mono_us());
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
