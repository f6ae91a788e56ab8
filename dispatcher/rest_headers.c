/* The header list of a request, made of nodes that live in the call. */
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "dispatcher/mask.h"
#include "dispatcher/rest_impl.h"

enum {
    EXPECT_BYTES = 64 * 1024, /* curl asks before it sends a larger body; not ours */
};

static char no_expect[] = "Expect:";

static struct curl_slist *append(struct curl_slist *last, char *header)
{
    struct curl_slist *node = last + 1; /* they stand side by side in call->nodes */
    last->next = node;
    node->data = header;
    return node;
}

/* A header that curl makes itself unless it finds ours in the list. */
static bool replaces_one_of_curl(const char *header)
{
    char first = (char)(header[0] | 0x20);
    return (first == 'a' || first == 'c') && (strncasecmp(header, "Accept:", 7) == 0 ||
                                              strncasecmp(header, "Content-Type:", 13) == 0);
}

/*
 * curl compares every node of the list with a dozen names, again and again, and copies what it
 * finds as it stands. So all headers that it has no opinion of go into one node, as lines: half
 * a dozen nodes fewer are a tenth of a request's cost. request.c lets no CR or LF into a value.
 */
int rest_set_headers(struct call *call, const struct request *request)
{
    struct curl_slist *last = call->nodes;
    size_t len;
    (void)request_body(request, &len);
    buf_reset(&call->lines);
    buf_adds(&call->lines, call->rest->user_agent);
    for (size_t i = 0; i < request->n_headers; i++) {
        if (replaces_one_of_curl(request->headers[i])) {
            last = append(last, request->headers[i]);
        } else {
            buf_add(&call->lines, "\r\n", 2);
            buf_adds(&call->lines, request->headers[i]);
        }
    }
    if (call->token != NULL) {
        buf_add(&call->lines, "\r\n", 2);
        buf_adds(&call->lines, oauth_header(call->token));
    }
    if (len >= EXPECT_BYTES)
        last = append(last, no_expect);
    last->next = NULL;
    call->nodes[0].data = call->lines.data;
    return buf_error(&call->lines);
}

void rest_mask_token(struct call *call, struct outcome *o)
{
    static const char start[] = "\nAuthorization: Bearer ";
    const char *last = call->token != NULL ? strrchr(buf_text(&call->lines), '\n') : NULL;
    if (last == NULL || strncmp(last, start, strlen(start)) != 0)
        return;
    mask_secret(last + strlen(start), call->body.data, call->body.len);
    mask_secret(last + strlen(start), o->text, strlen(o->text)); /* where a redirect leads */
}
