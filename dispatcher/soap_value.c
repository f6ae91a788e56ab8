/* Simple values: from JSON to the forms of XML Schema part 2. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/utf8.h"
#include "dispatcher/soap_impl.h"
#include "dispatcher/xmlsafe.h"

/* Unix time up to the year 9999. */
#define MAX_UNIX INT64_C(253402300799)

static bool is_digits(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!isdigit((unsigned char)text[i])) {
            return false;
        }
    }
    return len > 0;
}

static size_t sign_length(const char *text)
{
    return *text == '-' || *text == '+';
}

static bool is_integer(const char *text)
{
    text += sign_length(text);
    return is_digits(text, strlen(text));
}

/* -1, 0, 1 as a is below, at or above b; both integers. */
static int compare_integers(const char *a, const char *b)
{
    bool a_minus = *a == '-';
    bool b_minus = *b == '-';
    a += sign_length(a);
    b += sign_length(b);
    a += strspn(a, "0");
    b += strspn(b, "0");
    a_minus = a_minus && *a;
    b_minus = b_minus && *b;
    if (a_minus != b_minus) {
        return a_minus ? -1 : 1;
    }
    size_t a_len = strlen(a);
    size_t b_len = strlen(b);
    int order = strcmp(a, b);
    if (a_len != b_len) {
        order = a_len < b_len ? -1 : 1;
    }
    return a_minus ? -order : order;
}

static bool is_decimal(const char *text)
{
    text += sign_length(text);
    size_t whole = strspn(text, "0123456789");
    size_t part = text[whole] == '.' ? strspn(text + whole + 1, "0123456789") : 0;
    size_t len = whole + (text[whole] == '.' ? 1 + part : 0);
    return whole + part > 0 && text[len] == '\0';
}

static bool is_float(const char *text)
{
    char mantissa[512];
    if (strcmp(text, "INF") == 0 || strcmp(text, "-INF") == 0 || strcmp(text, "NaN") == 0) {
        return true;
    }
    size_t e = strcspn(text, "eE");
    if (e >= sizeof(mantissa)) {
        return false;
    }
    memcpy(mantissa, text, e);
    mantissa[e] = '\0';
    return is_decimal(mantissa) && (text[e] == '\0' || is_integer(text + e + 1));
}

/* "9" stands for any digit. */
static bool matches(const char *text, const char *form)
{
    for (; *form; form++, text++) {
        if (*form == '9' ? !isdigit((unsigned char)*text) : *text != *form) {
            return false;
        }
    }
    return true;
}

static unsigned number_at(const char *text)
{
    return (unsigned)(text[0] - '0') * 10 + (unsigned)(text[1] - '0');
}

static const char *skip_zone(const char *text)
{
    if (*text == 'Z') {
        return text + 1;
    }
    bool zone = (*text == '+' || *text == '-') && matches(text + 1, "99:99");
    return zone && number_at(text + 1) <= 14 && number_at(text + 4) <= 59 ? text + 6 : text;
}

/* Behind the date, or NULL. */
static const char *skip_date(const char *text)
{
    static const unsigned days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (!matches(text, "9999-99-99")) {
        return NULL;
    }
    unsigned year = number_at(text) * 100 + number_at(text + 2);
    unsigned month = number_at(text + 5);
    unsigned day = number_at(text + 8);
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (month < 1 || month > 12 || day < 1 || day > days[month - 1]) {
        return NULL;
    }
    return month == 2 && day == 29 && !leap ? NULL : text + 10;
}

static const char *skip_time(const char *text)
{
    if (!matches(text, "99:99:99") || number_at(text) > 23 || number_at(text + 3) > 59 ||
        number_at(text + 6) > 59) {
        return NULL;
    }
    text += 8;
    size_t part = *text == '.' ? strspn(text + 1, "0123456789") : 0;
    return part > 0 ? text + 1 + part : text;
}

static bool is_moment(const char *text, enum wsdl_value kind)
{
    if (kind != WSDL_TIME) {
        text = skip_date(text);
    }
    if (text && kind == WSDL_DATETIME) {
        text = *text == 'T' ? text + 1 : NULL;
    }
    if (text && kind != WSDL_DATE) {
        text = skip_time(text);
    }
    return text && *skip_zone(text) == '\0';
}

/* Unix time as a moment; false when it is none. */
static bool write_unix(struct buf *text, enum wsdl_value kind)
{
    const char *digits = buf_text(text);
    int64_t seconds = 0;
    struct tm tm;
    char moment[32];
    if (!is_digits(digits, text->len) || text->len > 12) {
        return false;
    }
    for (; *digits; digits++) {
        seconds = seconds * 10 + (*digits - '0');
    }
    time_t when = (time_t)seconds;
    if (seconds > MAX_UNIX || !gmtime_r(&when, &tm)) {
        return false;
    }
    size_t len = 0;
    if (kind == WSDL_DATE) {
        len = strftime(moment, sizeof(moment), "%Y-%m-%d", &tm);
    } else if (kind == WSDL_TIME) {
        len = strftime(moment, sizeof(moment), "%H:%M:%SZ", &tm);
    } else {
        len = strftime(moment, sizeof(moment), "%Y-%m-%dT%H:%M:%SZ", &tm);
    }
    buf_reset(text);
    buf_add(text, moment, len);
    return true;
}

static bool write_boolean(struct buf *text)
{
    static const char *const yes[] = {"true", "1"};
    static const char *const no[] = {"false", "0"};
    for (size_t i = 0; i < 2; i++) {
        bool is_yes = strcmp(buf_text(text), yes[i]) == 0;
        if (is_yes || strcmp(buf_text(text), no[i]) == 0) {
            buf_reset(text);
            buf_adds(text, is_yes ? "true" : "false");
            return true;
        }
    }
    return false;
}

static bool is_base64(const char *text)
{
    size_t n = 0;
    for (; *text && *text != '='; text++) {
        bool blank = strchr(" \t\r\n", *text) != NULL;
        if (!blank && !isalnum((unsigned char)*text) && *text != '+' && *text != '/') {
            return false;
        }
        n += !blank;
    }
    size_t padding = strspn(text, "=");
    return padding <= 2 && text[padding] == '\0' && (n + padding) % 4 == 0;
}

static bool is_hex(const char *text, size_t len)
{
    return len % 2 == 0 && strspn(text, "0123456789abcdefABCDEF") == len;
}

static bool is_in_range(const struct wsdl_builtin *b, const char *text)
{
    return is_integer(text) && (!*b->min || compare_integers(text, b->min) >= 0) &&
           (!*b->max || compare_integers(text, b->max) <= 0);
}

/* Whether the text is one of the type, or could be made one. */
static bool fits(const struct wsdl_builtin *b, struct buf *text)
{
    switch (b->value) {
    case WSDL_TEXT:
        return true;
    case WSDL_BOOLEAN:
        return write_boolean(text);
    case WSDL_INTEGER:
        return is_in_range(b, buf_text(text));
    case WSDL_DECIMAL:
        return is_decimal(buf_text(text));
    case WSDL_FLOAT:
        return is_float(buf_text(text));
    case WSDL_DATETIME:
    case WSDL_DATE:
    case WSDL_TIME:
        return is_moment(buf_text(text), b->value) || write_unix(text, b->value);
    case WSDL_BASE64:
        return is_base64(buf_text(text));
    case WSDL_HEX:
        return is_hex(buf_text(text), text->len);
    }
    return false;
}

static size_t count_characters(const char *text)
{
    size_t n = 0;
    for (; *text; text++) {
        n += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return n;
}

static int check_facets(struct soap_writer *w, const struct wsdl_type *type, const char *text)
{
    size_t n = type->min_length > 0 || type->max_length != SIZE_MAX ? count_characters(text) : 0;
    if (n < type->min_length) {
        return soap_refuse(w, "it is shorter than %zu characters", type->min_length);
    }
    if (n > type->max_length) {
        return soap_refuse(w, "it is longer than %zu characters", type->max_length);
    }
    for (size_t i = 0; i < type->n_values; i++) {
        if (strcmp(type->values[i], text) == 0) {
            return 0;
        }
    }
    return type->n_values == 0 ? 0 : soap_refuse(w, "it is none of the values that it may have");
}

/* Appends one scalar as it stands. */
static int add_scalar(struct soap_writer *w, const struct jsonview_node *value, struct buf *out)
{
    switch ((enum jsonview_type)value->type) {
    case JSONVIEW_STRING:
        jsonview_decode(&w->view, value, out);
        break;
    case JSONVIEW_NUMBER:
        buf_add(out, jsonview_bytes(&w->view, value), value->len);
        break;
    case JSONVIEW_TRUE:
        buf_adds(out, "true");
        break;
    case JSONVIEW_FALSE:
        buf_adds(out, "false");
        break;
    case JSONVIEW_NULL:
        return soap_refuse(w, "it is null");
    case JSONVIEW_ARRAY:
        return soap_refuse(w, "it is an array, but only one value may stand there");
    case JSONVIEW_OBJECT:
        return soap_refuse(w, "it is an object, but a simple value is wanted");
    }
    if (buf_error(out) < 0) {
        return buf_error(out) == -ENOMEM ? -ENOMEM : soap_refuse(w, "it is too long");
    }
    return xmlsafe_is_text(buf_text(out), out->len)
               ? 0
               : soap_refuse(w, "it holds a byte that XML cannot hold");
}

static const char *name_of(const struct wsdl_type *type)
{
    return type->name && !type->builtin ? type->name : type->builtin->name;
}

static int one_value(struct soap_writer *w, const struct wsdl_type *type,
                     const struct jsonview_node *value, struct buf *out)
{
    int r = add_scalar(w, value, out);
    if (r < 0 || !type->builtin) {
        return r;
    }
    if (!fits(type->builtin, out)) {
        return soap_refuse(w, "it is no %s", name_of(type));
    }
    return check_facets(w, type, buf_text(out));
}

/* The values of a list, with blanks between them. */
static int list_value(struct soap_writer *w, const struct wsdl_type *item,
                      const struct jsonview_node *array)
{
    struct buf one;
    int r = 0;
    buf_init(&one, w->text.max);
    const struct jsonview_node *nodes = w->view.nodes;
    size_t index = 0;
    for (uint32_t i = (uint32_t)(array - nodes) + 1; i < array->end && r == 0; i = nodes[i].end) {
        size_t length = soap_enter_index(w, index++);
        buf_reset(&one);
        r = one_value(w, item, &nodes[i], &one);
        if (r == 0 && one.len > 0) {
            buf_adds(&w->text, w->text.len > 0 ? " " : "");
            buf_add(&w->text, buf_text(&one), one.len);
        }
        soap_leave(w, length);
    }
    buf_release(&one);
    return r < 0 ? r : buf_error(&w->text);
}

int soap_simple(struct soap_writer *w, const struct wsdl_type *type,
                const struct jsonview_node *value)
{
    bool list = type->list_item || (type->builtin && type->builtin->list);
    buf_reset(&w->text);
    if (list && value->type == JSONVIEW_ARRAY) {
        return list_value(w, type->list_item ? type->list_item : type, value);
    }
    if (list) {
        return add_scalar(w, value, &w->text);
    }
    return one_value(w, type, value, &w->text);
}
