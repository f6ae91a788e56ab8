#include "worker/hint.h"

#include <inttypes.h>
#include <stdio.h>

static void hint_sent(void *context, enum publish_result result, const char *reason)
{
    (void)context, (void)result, (void)reason;
}

void hint_send(const struct context *ctx, const char *what, int64_t id)
{
    char body[80];
    int n = snprintf(body, sizeof body, "{\"%.30s\":%" PRId64 "}", what, id);

    (void)!publisher_submit(ctx->publisher,
                            &(struct bus_publication){
                                .exchange = ctx->names.control,
                                .routing_key = "",
                                .message_id = "",
                                .type = what,
                                .app_id = "",
                                .content_type = "application/json",
                                .body = body,
                                .body_len = (size_t)n,
                            },
                            hint_sent, NULL);
}
