/* The filters of placeholders, and the value that goes through them. */
#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/jsontext.h"
#include "dispatcher/template_impl.h"
#include "dispatcher/textcase.h"

/* Years 0 to 9999 in unix seconds: what four digits can say. */
static const int64_t first_second = -62167219200;
static const int64_t last_second = 253402300799;

static const struct {
    const char *name;
    enum filter_kind kind;
} filters[] = {
    {"default", FILTER_DEFAULT}, {"string", FILTER_STRING},       {"upper", FILTER_UPPER},
    {"lower", FILTER_LOWER},     {"urlencode", FILTER_URLENCODE}, {"iso8601", FILTER_ISO8601},
    {"sha256", FILTER_SHA256},   {"json", FILTER_JSON},
};

const char filter_names[] = "default, string, upper, lower, urlencode, iso8601, sha256, json";

int filter_find(const char *name, size_t len, enum filter_kind *ret_kind)
{
    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
        if (strlen(filters[i].name) == len && memcmp(filters[i].name, name, len) == 0) {
            *ret_kind = filters[i].kind;
            return 0;
        }
    }
    return -ENOENT;
}

void template_value_init(struct template_value *v, const struct jsonview *view,
                         const struct jsonview_node *node)
{
    *v = (struct template_value){.view = view, .node = node};
    buf_init(&v->own, TEMPLATE_MAX_VALUE);
}

void template_value_release(struct template_value *v)
{
    buf_release(&v->own);
}

bool template_value_is_null(const struct template_value *v)
{
    return !v->text && (!v->node || v->node->type == JSONVIEW_NULL);
}

/* What stands in the event already as it is wanted: numbers, words, strings without escapes. */
static bool is_text_as_it_stands(const struct template_value *v)
{
    const char *bytes = jsonview_bytes(v->view, v->node);
    switch ((enum jsonview_type)v->node->type) {
    case JSONVIEW_STRING:
        return !v->node->escaped;
    case JSONVIEW_NUMBER:
        return !(v->node->len == 2 && memcmp(bytes, "-0", 2) == 0);
    case JSONVIEW_TRUE:
    case JSONVIEW_FALSE:
        return true;
    case JSONVIEW_NULL:
    case JSONVIEW_ARRAY:
    case JSONVIEW_OBJECT:
        break;
    }
    return false;
}

int template_value_text(struct template_value *v, const char **ret_text, size_t *ret_len)
{
    int r = 0;
    if (v->text) {
        *ret_text = v->text;
        *ret_len = v->len;
        return 0;
    }
    if (template_value_is_null(v)) {
        *ret_text = "";
        *ret_len = 0;
        return 0;
    }
    if (is_text_as_it_stands(v)) {
        *ret_text = jsonview_bytes(v->view, v->node);
        *ret_len = v->node->len;
        return 0;
    }
    buf_reset(&v->own);
    if (v->node->type == JSONVIEW_STRING) {
        jsonview_decode(v->view, v->node, &v->own);
    } else {
        r = jsonview_print(v->view, v->node, &v->own);
    }
    *ret_text = buf_text(&v->own);
    *ret_len = v->own.len;
    return r < 0 ? r : buf_error(&v->own);
}

void filter_urlencode(struct buf *out, const char *text, size_t len)
{
    static const char hex[] = "0123456789ABCDEF";
    static const char unreserved[] = "-._~";
    size_t start = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)text[i];
        bool plain = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
                     (byte >= 'a' && byte <= 'z') || (byte && strchr(unreserved, byte));
        if (!plain) {
            const char code[3] = {'%', hex[byte >> 4], hex[byte & 15]};
            buf_add(out, text + start, i - start);
            buf_add(out, code, sizeof(code));
            start = i + 1;
        }
    }
    buf_add(out, text + start, len - start);
}

static void apply_default(const struct filter *f, struct template_value *v)
{
    bool is_empty_text =
        v->text ? v->len == 0 : v->node && v->node->type == JSONVIEW_STRING && v->node->len == 0;
    if (!is_empty_text && !template_value_is_null(v)) {
        return;
    }
    v->node = NULL;
    v->is_json = f->argument_is_json;
    v->is_string = false;
    v->text = buf_text(&f->argument);
    v->len = f->argument.len;
    if (f->argument_is_json && strcmp(v->text, "null") == 0) {
        v->text = NULL;
    }
}

/* Unix seconds from a whole number, or from a string that is one. */
static int seconds_of(struct template_value *v, int64_t *ret_seconds)
{
    const char *text = NULL;
    size_t len = 0;
    int r = template_value_text(v, &text, &len);
    if (r < 0) {
        return r;
    }
    char digits[32] = ""; /* the text does not end in NUL */
    size_t sign = len > 0 && text[0] == '-' ? 1 : 0;
    for (size_t i = sign; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return -EBADMSG;
        }
    }
    if (len == sign) {
        return -EBADMSG;
    }
    if (len >= sizeof(digits)) {
        return -ERANGE;
    }
    memcpy(digits, text, len);
    errno = 0;
    *ret_seconds = strtoll(digits, NULL, 10);
    return errno || *ret_seconds < first_second || *ret_seconds > last_second ? -ERANGE : 0;
}

static int apply_iso8601(struct template_value *v, struct buf *out, char *ret_reason,
                         size_t reason_size)
{
    int64_t seconds = 0;
    struct tm tm = {0};
    int r = seconds_of(v, &seconds);
    time_t when = (time_t)seconds;
    if (r == 0 && !gmtime_r(&when, &tm)) {
        r = -ERANGE;
    }
    if (r == -EBADMSG || r == -ERANGE) {
        (void)snprintf(ret_reason, reason_size, "iso8601 takes unix seconds, and this is %s",
                       r == -ERANGE ? "outside of the years 0 to 9999" : "no whole number");
        return -EBADMSG;
    }
    if (r < 0) {
        return r;
    }
    buf_addf(out, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
             tm.tm_hour, tm.tm_min, tm.tm_sec);
    return 0;
}

static void add_sha256(struct buf *out, const char *text, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)text, len, digest);
    for (size_t i = 0; i < sizeof(digest); i++) {
        buf_addc(out, hex[digest[i] >> 4]);
        buf_addc(out, hex[digest[i] & 15]);
    }
}

/* The value's JSON text: a text becomes a quoted string. */
static int apply_json(struct template_value *v, struct buf *out)
{
    if (!v->text) {
        return jsonview_print(v->view, v->node, out);
    }
    if (v->is_json) {
        buf_add(out, v->text, v->len);
    } else {
        buf_addc(out, '"');
        jsontext_escape(out, v->text, v->len);
        buf_addc(out, '"');
    }
    return 0;
}

/* Appends the text in its new form to out. */
static int apply_text(enum filter_kind kind, struct template_value *v, struct buf *out)
{
    const char *text = NULL;
    size_t len = 0;
    int r = template_value_text(v, &text, &len);
    if (r < 0) {
        return r;
    }
    switch (kind) {
    case FILTER_UPPER:
        textcase_upper(out, text, len);
        break;
    case FILTER_LOWER:
        textcase_lower(out, text, len);
        break;
    case FILTER_URLENCODE:
        filter_urlencode(out, text, len);
        break;
    case FILTER_SHA256:
        add_sha256(out, text, len);
        break;
    case FILTER_STRING:
    case FILTER_DEFAULT:
    case FILTER_ISO8601:
    case FILTER_JSON:
        buf_add(out, text, len);
        break;
    }
    return 0;
}

int filter_apply(const struct filter *f, struct template_value *v, char *ret_reason,
                 size_t reason_size)
{
    if (f->kind == FILTER_DEFAULT) {
        apply_default(f, v);
        return 0;
    }
    if (template_value_is_null(v) && f->kind != FILTER_JSON) {
        return 0;
    }
    struct buf out;
    buf_init(&out, TEMPLATE_MAX_VALUE);
    int r = 0;
    if (f->kind == FILTER_ISO8601) {
        r = apply_iso8601(v, &out, ret_reason, reason_size);
    } else if (f->kind == FILTER_JSON) {
        r = apply_json(v, &out);
    } else {
        r = apply_text(f->kind, v, &out);
    }
    if (r == 0) {
        r = buf_error(&out);
    }
    if (r == -EMSGSIZE) {
        (void)snprintf(ret_reason, reason_size, "the value is too large");
        r = -EBADMSG;
    }
    if (r < 0) {
        buf_release(&out);
        return r;
    }
    buf_release(&v->own);
    v->own = out;
    v->node = NULL;
    v->text = buf_text(&v->own);
    v->len = v->own.len;
    v->is_json = f->kind == FILTER_JSON;
    v->is_string = f->kind == FILTER_STRING || f->kind == FILTER_SHA256 ||
                   (v->is_string && f->kind != FILTER_JSON);
    v->url_safe = f->kind == FILTER_URLENCODE;
    return 0;
}
