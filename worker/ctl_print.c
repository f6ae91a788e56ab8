#include "worker/ctl_print.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "common/utf8.h"
#include "dispatcher/amqp_target.h"
#include "dispatcher/request.h"
#include "worker/ctl_mask.h"

enum {
    MAX_WORD = 64 * 1024, /* of a body; Linux takes 128 KiB */
    MAX_HEADER = 32 * 1024,
    MAX_OBJECT = 64 * 1024 * 1024,
};

static const char oauth2_header[] = "Authorization: Bearer " CTL_MASK;

void ctl_quote(struct buf *out, const char *text, size_t len)
{
    buf_addc(out, '\'');
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\'')
            buf_adds(out, "'\\''");
        else
            buf_addc(out, text[i]);
    }
    buf_addc(out, '\'');
}

/* What a terminal may obey, and NUL, which no word of a shell can hold. */
static bool is_control(char c)
{
    return ((unsigned char)c < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
}

/* As the format of printf(1), quoted: any byte can be written so, and any length. */
static void quote_format(struct buf *out, const char *text, size_t len)
{
    buf_addc(out, '\'');
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\'')
            buf_adds(out, "'\\''");
        else if (text[i] == '%' || text[i] == '\\')
            buf_addf(out, "%c%c", text[i], text[i]);
        else if (is_control(text[i]))
            buf_addf(out, "\\%03o", (unsigned)(unsigned char)text[i]);
        else
            buf_addc(out, text[i]);
    }
    buf_addc(out, '\'');
}

static bool has_header(const struct request *r, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < r->n_headers; i++)
        if (strncasecmp(r->headers[i], name, len) == 0 && r->headers[i][len] == ':')
            return true;
    return false;
}

static void add_option(struct buf *out, const char *option, const char *value, size_t len)
{
    buf_addf(out, " \\\n  %s ", option);
    ctl_quote(out, value, len);
}

static bool is_empty(const char *header)
{
    const char *value = header + strcspn(header, ":");

    return value[strspn(value, ": ")] == '\0';
}

/* curl takes "Name;" for a header without a value, and "Name:" for one not to be sent. */
static void add_header(const struct request *r, const char *header, struct buf *out)
{
    struct buf line;

    buf_init(&line, MAX_HEADER);
    buf_add(&line, header, strcspn(header, ":"));
    if (is_empty(header)) {
        buf_addc(&line, ';');
    } else {
        buf_adds(&line, ": ");
        ctl_mask_header(r->service, header, &line);
    }
    add_option(out, "--header", buf_text(&line), line.len);
    buf_release(&line);
}

/* Those that curl would make by itself and the worker does not are taken away. */
static void add_headers(const struct request *r, struct buf *out)
{
    static const char *const made_by_curl[] = {"Accept", "Content-Type"};
    char none[32];

    for (size_t i = 0; i < r->n_headers; i++)
        add_header(r, r->headers[i], out);
    if (r->service->auth == AUTH_OAUTH2)
        add_option(out, "--header", oauth2_header, strlen(oauth2_header));
    for (size_t i = 0; i < sizeof made_by_curl / sizeof *made_by_curl; i++) {
        if (!has_header(r, made_by_curl[i])) {
            snprintf(none, sizeof none, "%s:", made_by_curl[i]);
            add_option(out, "--header", none, strlen(none));
        }
    }
    add_option(out, "--header", "Expect:", strlen("Expect:"));
}

static bool has_control(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (is_control(text[i]))
            return true;
    return false;
}

static bool goes_as_word(const char *body, size_t len)
{
    return len <= MAX_WORD && !has_control(body, len);
}

/* The body as it may be shown; to release. */
static void mask_body(const struct request *r, struct buf *body)
{
    size_t len = 0;
    const char *bytes = request_body(r, &len);

    buf_init(body, len + MAX_WORD);
    ctl_mask_body(r->service, bytes, len, body);
}

static int print_curl(const struct request *r, struct buf *out)
{
    struct buf body;
    bool has_body = strcmp(r->method, "GET") != 0;
    bool piped;
    int error;

    mask_body(r, &body);
    piped = has_body && !goes_as_word(buf_text(&body), body.len);
    if (piped) {
        buf_adds(out, "printf -- ");
        quote_format(out, buf_text(&body), body.len);
        buf_adds(out, " | ");
    }
    buf_adds(out, "curl --globoff --path-as-is");
    add_option(out, "--request", r->method, strlen(r->method));
    add_option(out, "--user-agent", "MoodleIntegrationHub/" MIH_VERSION,
               strlen("MoodleIntegrationHub/" MIH_VERSION));
    if (r->service->cert)
        add_option(out, "--cert", CTL_MASK, strlen(CTL_MASK));
    add_headers(r, out);
    if (piped)
        buf_adds(out, " \\\n  --data-binary @-");
    else if (has_body)
        add_option(out, "--data-raw", buf_text(&body), body.len);
    buf_adds(out, " \\\n  ");
    ctl_quote(out, buf_text(&r->url), r->url.len);
    buf_addc(out, '\n');
    error = buf_error(&body);
    buf_release(&body);
    return error;
}

static void print_field(struct buf *out, const char *name, const char *text, size_t len)
{
    buf_addf(out, "%s: ", name);
    if (has_control(text, len))
        quote_format(out, text, len);
    else
        ctl_quote(out, text, len);
    buf_addc(out, '\n');
}

static void print_amqp(const struct request *r, struct buf *out)
{
    size_t len = 0;
    const char *body = request_body(r, &len);
    const struct amqp_target *target = r->service->amqp;

    print_field(out, "AMQP broker", target->shown, strlen(target->shown));
    print_field(out, "exchange", target->exchange, strlen(target->exchange));
    print_field(out, "routing key", buf_text(&r->routing_key), r->routing_key.len);
    for (size_t i = 0; i < r->n_headers; i++)
        print_field(out, "header", r->headers[i], strlen(r->headers[i]));
    print_field(out, "body", body, len);
}

int ctl_print_command(const struct request *r, struct buf *out)
{
    int error = 0;

    if (r->service->type == SERVICE_AMQP)
        print_amqp(r, out);
    else
        error = print_curl(r, out);
    return error < 0 ? error : buf_error(out);
}

static void set_text(struct json_object *object, const char *key, const char *text, size_t len)
{
    json_object_object_add(object, key, json_object_new_string_len(text, (int)len));
}

static struct json_object *headers_object(const struct request *r)
{
    struct json_object *headers = json_object_new_object();
    struct buf name;
    struct buf value;

    buf_init(&name, MAX_HEADER);
    buf_init(&value, MAX_HEADER);
    for (size_t i = 0; headers && i < r->n_headers; i++) {
        buf_reset(&name);
        buf_reset(&value);
        buf_add(&name, r->headers[i], strcspn(r->headers[i], ":"));
        ctl_mask_header(r->service, r->headers[i], &value);
        set_text(headers, buf_text(&name), buf_text(&value), value.len);
    }
    if (headers && r->service->auth == AUTH_OAUTH2)
        json_object_object_add(headers, "Authorization",
                               json_object_new_string("Bearer " CTL_MASK));
    buf_release(&name);
    buf_release(&value);
    return headers;
}

struct json_object *ctl_request_object(const struct request *r)
{
    struct json_object *object = json_object_new_object();
    struct buf body;

    if (!object)
        return NULL;
    mask_body(r, &body);
    set_text(object, "method", r->method, strlen(r->method));
    set_text(object, "url", buf_text(&r->url), r->url.len);
    json_object_object_add(object, "headers", headers_object(r));
    set_text(object, "body", buf_text(&body), body.len);
    buf_release(&body);
    if (r->service->type == SERVICE_AMQP) {
        json_object_object_add(object, "exchange",
                               json_object_new_string(r->service->amqp->exchange));
        set_text(object, "routing_key", buf_text(&r->routing_key), r->routing_key.len);
    }
    return object;
}

/* In JSON's own spelling what json-c leaves as it is and a terminal may obey. All of it stands in
 * strings. */
static void escape_controls(struct buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        uint32_t c = 0xfffd;
        size_t n = utf8_decode(text + i, len - i, &c);

        if (n == 0 || (c >= 0x7f && c <= 0x9f))
            buf_addf(out, "\\u%04x", (unsigned)c);
        else
            buf_add(out, text + i, n);
        i += n > 0 ? n : 1;
    }
}

void ctl_print_object(FILE *out, struct json_object *take)
{
    const char *text = take ? json_object_to_json_string_ext(
                                  take, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)
                            : NULL;
    struct buf line;

    buf_init(&line, MAX_OBJECT);
    if (text)
        escape_controls(&line, text, strlen(text));
    fprintf(out, "%s\n",
            text && buf_error(&line) == 0 ? buf_text(&line) : "{\"error\":\"out of memory\"}");
    buf_release(&line);
    json_object_put(take);
}
