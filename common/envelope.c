#include "common/envelope.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
    DERIVED_ID_BYTES = 16,
    ROUTING_KEY_MAX = 255, /* a short string of AMQP 0-9-1 */
};

static int refuse(int error, char *ret_reason, size_t size, const char *reason)
{
    snprintf(ret_reason, size, "%s", reason);
    return error;
}

/* An id of our own for a message that came without one. It must be the same at each redelivery,
 * or the service would take a repeat for news; the body is all that is certain to stay. */
static void derive_id(const char *body, size_t len, char *ret_id, size_t size)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)body, len, digest);
    int n = snprintf(ret_id, size, "body-");
    for (int i = 0; i < DERIVED_ID_BYTES; i++)
        n += snprintf(ret_id + n, size - (size_t)n, "%02x", digest[i]);
}

static int take_id(struct envelope *e, const char *message_id, char *ret_reason, size_t size)
{
    if (!*message_id) {
        derive_id(e->body, e->body_len, e->message_id, sizeof(e->message_id));
        return 0;
    }
    size_t len = 0;
    for (const char *c = message_id; *c; c++, len++) {
        if (*c <= 0x20 || *c >= 0x7f || *c == '.')
            return refuse(-EBADMSG, ret_reason, size,
                          "the message_id holds a dot, a space or what is no visible ASCII");
        if (len == sizeof(e->message_id) - 1)
            return refuse(-EBADMSG, ret_reason, size,
                          "the message_id is longer than 127 characters");
    }
    memcpy(e->message_id, message_id, len + 1);
    return 0;
}

static int take_eventname(struct envelope *e, char *ret_reason, size_t size)
{
    const struct jsonview_node *name =
        jsonview_member(&e->view, jsonview_root(&e->view), "eventname");
    if (!name)
        return refuse(-EBADMSG, ret_reason, size, "the event has no eventname");
    if (name->type != JSONVIEW_STRING)
        return refuse(-EBADMSG, ret_reason, size, "eventname is not a text");
    if (!name->len)
        return refuse(-EBADMSG, ret_reason, size, "eventname is empty");
    struct buf text;
    buf_init(&text, sizeof(e->eventname) - 1);
    jsonview_decode(&e->view, name, &text);
    int r = buf_error(&text);
    if (r == -EMSGSIZE)
        r = refuse(-EBADMSG, ret_reason, size, "eventname is longer than 255 bytes");
    else if (r)
        r = refuse(r, ret_reason, size, "out of memory");
    else if (strlen(text.data) != text.len)
        r = refuse(-EBADMSG, ret_reason, size, "eventname holds a NUL character");
    else
        memcpy(e->eventname, text.data, text.len + 1);
    buf_release(&text);
    return r;
}

static int view_body(struct envelope *e, const struct envelope_limits *limits, char *ret_reason,
                     size_t size)
{
    if (e->body_len > limits->max_bytes) {
        snprintf(ret_reason, size, "the body has %zu bytes, more than the accepted %zu",
                 e->body_len, limits->max_bytes);
        return -EMSGSIZE;
    }
    unsigned depth =
        limits->max_depth < ENVELOPE_MAX_DEPTH ? limits->max_depth : (unsigned)ENVELOPE_MAX_DEPTH;
    char fault[128];
    int r = jsonview_parse(&e->view, e->body, e->body_len, depth, fault, sizeof(fault));
    if (r) {
        snprintf(ret_reason, size, "%s%s", r == -EBADMSG ? "not JSON: " : "", fault);
        return r;
    }
    if (jsonview_root(&e->view)->type != JSONVIEW_OBJECT)
        return refuse(-EBADMSG, ret_reason, size, "the body is not a JSON object");
    return 0;
}

/* Seven arguments: the body and the reason take two each. */
// NOLINTNEXTLINE(readability-function-size)
int envelope_parse(struct envelope *e, const struct envelope_limits *limits, const char *message_id,
                   const char *body, size_t body_len, char *ret_reason, size_t reason_size)
{
    envelope_reset(e);
    e->body = body;
    e->body_len = body_len;
    int r = view_body(e, limits, ret_reason, reason_size);
    if (!r)
        r = take_id(e, message_id, ret_reason, reason_size);
    if (!r)
        r = take_eventname(e, ret_reason, reason_size);
    if (r)
        jsonview_reset(&e->view);
    return r;
}

void envelope_reset(struct envelope *e)
{
    jsonview_reset(&e->view);
    e->message_id[0] = e->eventname[0] = '\0';
    e->body = NULL;
    e->body_len = 0;
    e->data = NULL;
}

void envelope_release(struct envelope *e)
{
    envelope_reset(e);
    jsonview_release(&e->view);
}

static bool is_name_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Copies the names of text, which are parted by backslashes, with dots between them; the last one
 * may be "*", which becomes "#". False when it is not of this form or does not fit. */
static bool copy_names(const char *text, char *ret_key, size_t size)
{
    size_t n = 0;
    for (bool name_starts = true; *text; text++) {
        bool wildcard = name_starts && text[0] == '*' && !text[1];
        bool separator = *text == '\\';
        if (separator ? name_starts : !wildcard && !is_name_character(*text))
            return false;
        if (n + 1 >= size)
            return false;
        ret_key[n++] = (char)(separator ? '.' : wildcard ? '#' : *text);
        name_starts = separator;
    }
    ret_key[n] = '\0';
    return n > 0 && ret_key[n - 1] != '.';
}

int envelope_routing_key(const char *eventname, char *ret_key, size_t size)
{
    static const char middle[] = "\\event\\";
    if (*eventname++ != '\\')
        return -EINVAL;
    const char *found = strstr(eventname, middle);
    if (!found || found == eventname)
        return -EINVAL;
    size_t component = (size_t)(found - eventname);
    size_t room = size < ROUTING_KEY_MAX + 1 ? size : ROUTING_KEY_MAX + 1;
    // cppcheck-suppress knownConditionTrueFalse; it takes room for nothing else than 0
    if (component + 1 >= room)
        return -EINVAL;
    for (size_t i = 0; i < component; i++)
        if (!is_name_character(eventname[i]))
            return -EINVAL;
    char key[ROUTING_KEY_MAX + 1];
    memcpy(key, eventname, component);
    key[component] = '.';
    if (!copy_names(found + sizeof(middle) - 1, key + component + 1, room - component - 1))
        return -EINVAL;
    memcpy(ret_key, key, strlen(key) + 1);
    return 0;
}
