#include "worker/ctl_send.h"

#include <errno.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "common/utf8.h"
#include "dispatcher/mask.h"
#include "worker/ctl_house.h"
#include "worker/ctl_mask.h"

static const char *const verdict_names[] = {"delivered", "retry", "reject"};

struct sending {
    struct ctl_house house;
    const struct request *request;
    struct ctl_answer *answer;
    bool answered;
};

static void keep_body(struct ctl_answer *a, const struct service *s, const char *body, size_t len)
{
    struct buf masked;

    buf_init(&masked, len);
    ctl_mask_text(s, body, len, &masked); /* all of it: half a token would not be found */
    utf8_copy_printable(a->body, sizeof a->body, buf_text(&masked), masked.len);
    buf_release(&masked);
}

static void on_answer(void *context, const struct outcome *outcome, const char *body, size_t len)
{
    struct sending *s = context;

    s->answer->outcome = *outcome;
    verdict_of(outcome, &s->answer->verdict);
    mask_service(s->request->service, s->answer->verdict.reason, strlen(s->answer->verdict.reason));
    keep_body(s->answer, s->request->service, body, len);
    s->answered = true;
    event_base_loopbreak(s->house.base);
}

static int wait_for_answer(struct sending *s)
{
    int r = transports_send(&s->house.transports, s->request, on_answer, s);

    if (r < 0)
        return r;
    while (!s->answered)
        if (event_base_loop(s->house.base, 0) != 0)
            return -EIO; /* no event is left: a fault of ours */
    return 0;
}

int ctl_send(const struct settings *settings, const struct request *request,
             struct ctl_answer *ret_answer, char *ret_reason, size_t reason_size)
{
    struct sending s = {.request = request, .answer = ret_answer};
    int r;

    *ret_answer = (struct ctl_answer){0};
    r = ctl_house_open(&s.house, settings, ret_reason, reason_size);
    if (r == 0)
        r = wait_for_answer(&s);
    if (r < 0 && *ret_reason == '\0')
        snprintf(ret_reason, reason_size, "local: the request could not be started: %s",
                 strerror(-r));
    ctl_house_close(&s.house);
    return r;
}

struct json_object *ctl_answer_object(const struct ctl_answer *a)
{
    struct json_object *object = json_object_new_object();

    if (!object)
        return NULL;
    json_object_object_add(object, "verdict",
                           json_object_new_string(verdict_names[a->verdict.kind]));
    json_object_object_add(object, "status", json_object_new_int(a->outcome.status));
    json_object_object_add(object, "time_ms",
                           json_object_new_double((double)a->outcome.latency_us / 1000));
    json_object_object_add(object, "token_ms",
                           json_object_new_double((double)a->outcome.token_us / 1000));
    json_object_object_add(object, "reason", json_object_new_string(a->verdict.reason));
    json_object_object_add(object, "body", json_object_new_string(a->body));
    return object;
}

void ctl_answer_print(const struct ctl_answer *a, struct buf *out)
{
    buf_addf(out, "verdict: %s\n", verdict_names[a->verdict.kind]);
    if (a->outcome.status)
        buf_addf(out, "status: %d\n", a->outcome.status);
    buf_addf(out, "time: %.1f ms", (double)a->outcome.latency_us / 1000);
    if (a->outcome.token_us)
        buf_addf(out, ", %.1f ms of it for the access token", (double)a->outcome.token_us / 1000);
    buf_addc(out, '\n');
    if (a->verdict.reason[0])
        buf_addf(out, "reason: %s\n", a->verdict.reason);
    if (a->body[0])
        buf_addf(out, "body: %s\n", a->body);
}

int ctl_answer_code(const struct ctl_answer *a)
{
    static const int codes[] = {EX_OK, EX_TEMPFAIL, EX_DATAERR};

    return codes[a->verdict.kind];
}
