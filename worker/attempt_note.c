#include "worker/attempt_note.h"

#include <stdlib.h>
#include <string.h>

#include "common/timing.h"
#include "common/utf8.h"
#include "dispatcher/mask.h"
#include "worker/lane.h"
#include "worker/replayed.h"
#include "worker/requestlog.h"

/* The rule that the letter at the broker tells: replayer and retention find the row by it. */
static int64_t rule_of(const struct attempt *a, enum attempt_news news)
{
    const struct job *job = a->job;

    switch (news) {
    case ATTEMPT_DELIVERED:
        return job->replayed && job->replayed->ruleless ? 0 : attempt_rule(a);
    case ATTEMPT_REJECTED:
        return job->only_rule > 0 ? job->only_rule : 0;
    case ATTEMPT_DIED:
        break;
    }
    return attempt_rule(a);
}

/* Of AMQP the routing key, as it stands in a rule's endpoint: the service tells the rest. */
static const char *endpoint_of(const struct attempt *a)
{
    const struct request *r = &a->request;

    if (!a->rendered)
        return NULL;
    return buf_text(r->service->type == SERVICE_AMQP ? &r->routing_key : &r->url);
}

static const char *event_name_of(const struct job *job)
{
    return *job->event.eventname ? job->event.eventname : job->type;
}

void attempt_log(const struct attempt *a)
{
    const struct job *job = a->job;
    struct requestlog *log = job->lane->ctx->requestlog;
    bool success = a->verdict.kind == VERDICT_DELIVERED;
    int64_t now_s = timing_unix_s();

    if (!requestlog_wants(log, success && !job->test, now_s))
        return;
    requestlog_add(log, &(struct logged_request){
                            .service_id = job->lane->service_id,
                            .rule_id = attempt_rule(a),
                            .status = a->verdict.status,
                            .latency_us = a->latency_us,
                            .attempts = a->attempts,
                            .time_s = now_s,
                            .success = success,
                            .outcome = success           ? "delivered"
                                       : a->retry_ms > 0 ? "retry"
                                                         : "dead",
                            .text[LOGGED_ENDPOINT] = endpoint_of(a),
                            .text[LOGGED_METHOD] = a->rendered ? a->request.method : NULL,
                            .text[LOGGED_ERROR] = success ? NULL : a->verdict.reason,
                            .text[LOGGED_MESSAGE] = job_message_id(job),
                            .text[LOGGED_EVENT] = event_name_of(job),
                        });
}

void attempt_note(const struct attempt *a, enum attempt_news news)
{
    enum deadnote what = news == ATTEMPT_DELIVERED ? DEADNOTE_DELIVERED : DEADNOTE_DIED;
    const struct job *job = a->job;
    struct request_payload payload = {job->body, job->body_len};

    if (a->rendered)
        payload = request_payload(&a->request);
    else if (job->replayed && job->replayed->has_payload)
        payload = job->replayed->payload;
    deadnotes_add(job->lane->ctx->deadnotes, what,
                  &(struct dead_row){
                      .service_id = job->lane->service_id,
                      .rule_id = rule_of(a, news),
                      .attempts = a->attempts,
                      .status = a->verdict.status,
                      .first_s = job->first_s,
                      .died_s = a->died_s,
                      .replay_id = job->replayed ? job->replayed->id : 0,
                      .was_ruleless = news == ATTEMPT_DIED && job->replayed &&
                                      job->replayed->ruleless && attempt_rule(a) > 0,
                      .message_id = job_message_id(job),
                      .event_name = event_name_of(job),
                      .reason = a->verdict.reason,
                      .payload = payload.bytes,
                      .endpoint = endpoint_of(a),
                      .method = a->rendered ? a->request.method : NULL,
                      .response = a->response ? a->response : "",
                  },
                  payload.len);
}

void attempt_keep_response(struct attempt *a, const char *body, size_t body_len)
{
    size_t size = (body_len < DEADINDEX_RESPONSE_MAX ? body_len : DEADINDEX_RESPONSE_MAX) + 1;
    char *whole = body_len > 0 ? malloc(body_len) : NULL; /* half a secret would not be found */

    free(a->response);
    a->response = whole ? malloc(size) : NULL;
    if (a->response) {
        memcpy(whole, body, body_len);
        mask_service(a->request.service, whole, body_len);
        utf8_copy_printable(a->response, size, whole, body_len);
    }
    free(whole);
}
