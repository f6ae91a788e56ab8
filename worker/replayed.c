#include "worker/replayed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int replayed_take(const struct bus_headers *headers, struct replayed **ret_replayed)
{
    int64_t id = bus_header_number(headers, "x-mih-replay", 0);
    bool as_sent = strcmp(bus_header_text(headers, "x-mih-mode"), "sent") == 0;
    size_t history_len = 0;
    size_t len = 0;
    const char *history = bus_header_bytes(headers, "x-mih-history", &history_len);
    const char *bytes = as_sent ? bus_header_bytes(headers, "x-mih-rendered", &len) : NULL;
    struct replayed *r;

    *ret_replayed = NULL;
    if (id <= 0)
        return 0;
    if (len > REPLAYED_RENDERED_MAX)
        bytes = NULL;
    r = calloc(1, sizeof *r + (bytes ? len : 0) + 1);
    if (!r)
        return -ENOMEM;
    r->id = id;
    r->ruleless = !*bus_header_text(headers, "x-mih-rule") ||
                  bus_header_number(headers, "x-mih-ruleless", 0) > 0;
    r->as_sent = as_sent;
    r->has_payload = bytes != NULL;
    if (bytes)
        memcpy(r->bytes, bytes, len);
    r->payload = (struct request_payload){r->bytes, bytes ? len : 0};
    history_copy(r->history, history ? history : "", history_len);
    *ret_replayed = r;
    return 0;
}

const char *replayed_mode(const struct replayed *r)
{
    return r->as_sent ? "sent" : "render";
}
