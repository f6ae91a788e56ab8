#include "common/envelope.h"

#include <errno.h>
#include <json-c/json.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/jsontext.h"

enum {
    /* json-c counts a plain value as a level of its own. */
    PARSER_DEPTH = ENVELOPE_MAX_DEPTH + 1,
    DERIVED_ID_BYTES = 16,
    ROUTING_KEY_MAX = 255, /* a short string of AMQP 0-9-1 */
};

static int refuse(int error, char *ret_reason, size_t size, const char *reason)
{
    snprintf(ret_reason, size, "%s", reason);
    return error;
}

struct json_tokener *envelope_parser_new(void)
{
    struct json_tokener *parser = json_tokener_new_ex(PARSER_DEPTH);
    if (parser)
        json_tokener_set_flags(parser, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    return parser;
}

void envelope_parser_free(struct json_tokener *parser)
{
    if (parser)
        json_tokener_free(parser);
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

/* The text was checked: json-c can only fail for want of memory, or where it is stricter. */
static int parse_tree(struct envelope *e, struct json_tokener *parser, char *ret_reason,
                      size_t size)
{
    size_t len = e->body_len;
    while (len && e->body[len - 1] != '}') /* only white space can follow */
        len--;
    json_tokener_reset(parser);
    e->root = json_tokener_parse_ex(parser, e->body, (int)len);
    if (e->root)
        return 0;
    enum json_tokener_error error = json_tokener_get_error(parser);
    if (error == json_tokener_success || error == json_tokener_continue)
        return refuse(-ENOMEM, ret_reason, size, "out of memory");
    snprintf(ret_reason, size, "not JSON: %s, at byte %zu", json_tokener_error_desc(error),
             json_tokener_get_parse_end(parser));
    return -EBADMSG;
}

static int take_eventname(struct envelope *e, char *ret_reason, size_t size)
{
    struct json_object *name;
    if (!json_object_object_get_ex(e->root, "eventname", &name))
        return refuse(-EBADMSG, ret_reason, size, "the event has no eventname");
    if (!json_object_is_type(name, json_type_string))
        return refuse(-EBADMSG, ret_reason, size, "eventname is not a text");
    size_t len = (size_t)json_object_get_string_len(name);
    e->eventname = json_object_get_string(name);
    if (!len)
        return refuse(-EBADMSG, ret_reason, size, "eventname is empty");
    if (strlen(e->eventname) != len)
        return refuse(-EBADMSG, ret_reason, size, "eventname holds a NUL character");
    return 0;
}

static int check_body(const char *body, size_t len, const struct envelope_limits *limits,
                      char *ret_reason, size_t size)
{
    if (len > limits->max_bytes) {
        snprintf(ret_reason, size, "the body has %zu bytes, more than the accepted %zu", len,
                 limits->max_bytes);
        return -EMSGSIZE;
    }
    unsigned depth =
        limits->max_depth < ENVELOPE_MAX_DEPTH ? limits->max_depth : (unsigned)ENVELOPE_MAX_DEPTH;
    char fault[128];
    if (jsontext_check(body, len, depth, fault, sizeof(fault))) {
        snprintf(ret_reason, size, "not JSON: %s", fault);
        return -EBADMSG;
    }
    size_t first = 0;
    while (strchr(" \t\r\n", body[first])) /* the check has found a value behind them */
        first++;
    if (body[first] != '{')
        return refuse(-EBADMSG, ret_reason, size, "the body is not a JSON object");
    return 0;
}

int envelope_parse(struct envelope *e, struct json_tokener *parser,
                   const struct envelope_limits *limits, const char *message_id, const char *body,
                   size_t body_len, char *ret_reason, size_t reason_size)
{
    *e = (struct envelope){.body = body, .body_len = body_len};
    int r = check_body(body, body_len, limits, ret_reason, reason_size);
    if (!r)
        r = take_id(e, message_id, ret_reason, reason_size);
    if (!r)
        r = parse_tree(e, parser, ret_reason, reason_size);
    if (!r)
        r = take_eventname(e, ret_reason, reason_size);
    if (r)
        envelope_release(e);
    return r;
}

void envelope_release(struct envelope *e)
{
    json_object_put(e->root);
    e->root = NULL;
    e->eventname = NULL;
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
        ret_key[n++] = separator ? '.' : wildcard ? '#' : *text;
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
