/* AMQP tables, properties and bodies as JSON, and header options as AMQP tables. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rabbit.h"

enum { HEX_MAX = 128 * 1024 };

/* Two hexadecimal digits a byte. All options of one command share the room. */
static int bytes_from_hex(const char *hex, amqp_bytes_t *ret_bytes)
{
    static unsigned char room[HEX_MAX];
    static size_t used;
    size_t length = strlen(hex) / 2;
    unsigned char *bytes = room + used;
    if (length > HEX_MAX - used)
        return complain("headers in hexadecimal take more than %d bytes", HEX_MAX);
    for (size_t i = 0; i < length; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1]};
        char *end;
        bytes[i] = (unsigned char)strtoul(digits, &end, 16);
        if (*end)
            return complain("'%s' are no hexadecimal digits", digits);
    }
    used += length;
    *ret_bytes = (amqp_bytes_t){length, bytes};
    return 0;
}

static int entry_from_option(const char *option, amqp_table_entry_t *ret_entry)
{
    const char *equals = strchr(option, '=');
    if (!equals || equals == option)
        return complain("'%s' is not name=text, name:=number or name%%=hex", option);
    bool number = equals[-1] == ':';
    bool hex = equals[-1] == '%';
    size_t length = (size_t)(equals - option) - (number || hex ? 1 : 0);
    ret_entry->key = amqp_cstring_bytes(option);
    ret_entry->key.len = length;
    if (number) {
        char *end;
        errno = 0;
        ret_entry->value.kind = AMQP_FIELD_KIND_I64;
        ret_entry->value.value.i64 = strtoll(equals + 1, &end, 10);
        if (errno || *end || end == equals + 1)
            return complain("'%s' is not a number", equals + 1);
    } else {
        ret_entry->value.kind = AMQP_FIELD_KIND_UTF8;
        if (hex)
            return bytes_from_hex(equals + 1, &ret_entry->value.value.bytes);
        ret_entry->value.value.bytes = amqp_cstring_bytes(equals + 1);
    }
    return 0;
}

int table_from_list(const struct list *list, amqp_table_entry_t *entries, amqp_table_t *ret_table)
{
    for (size_t i = 0; i < list->count; i++)
        if (entry_from_option(list->item[i], &entries[i]))
            return -1;
    ret_table->num_entries = (int)list->count;
    ret_table->entries = entries;
    return 0;
}

/* The length of the UTF-8 sequence at p (RFC 3629), or 0 when there is no valid one. */
static size_t sequence_length(const unsigned char *p, size_t left)
{
    static const struct {
        unsigned char first_low, first_high, second_low, second_high, length;
    } row[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        if (p[0] < row[i].first_low || p[0] > row[i].first_high)
            continue;
        if (row[i].length > left)
            return 0;
        if (row[i].length > 1 && (p[1] < row[i].second_low || p[1] > row[i].second_high))
            return 0;
        for (size_t k = 2; k < row[i].length; k++)
            if ((p[k] & 0xc0) != 0x80)
                return 0;
        return row[i].length;
    }
    return 0;
}

static bool is_utf8(const unsigned char *p, size_t length)
{
    for (size_t at = 0; at < length;) {
        size_t step = sequence_length(p + at, length - at);
        if (step == 0)
            return false;
        at += step;
    }
    return true;
}

static struct json_object *base64(const unsigned char *p, size_t length)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = malloc((length + 2) / 3 * 4 + 1), *out = text;
    if (!text)
        return NULL;
    for (size_t i = 0; i < length; i += 3) {
        unsigned group = (unsigned)p[i] << 16;
        group |= i + 1 < length ? (unsigned)p[i + 1] << 8 : 0;
        group |= i + 2 < length ? p[i + 2] : 0;
        *out++ = digit[group >> 18];
        *out++ = digit[group >> 12 & 63];
        *out++ = (char)(i + 1 < length ? digit[group >> 6 & 63] : '=');
        *out++ = (char)(i + 2 < length ? digit[group & 63] : '=');
    }
    struct json_object *string = json_object_new_string_len(text, (int)(out - text));
    free(text);
    return string;
}

struct json_object *json_from_bytes(const void *bytes, size_t length)
{
    if (length == 0)
        return json_object_new_string("");
    if (is_utf8(bytes, length))
        return json_object_new_string_len(bytes, (int)length);
    struct json_object *object = json_object_new_object();
    json_object_object_add(object, "base64", base64(bytes, length));
    return object;
}

/* Integers of every width; false when the field is none. */
static bool field_integer(const amqp_field_value_t *field, int64_t *ret_value)
{
    switch (field->kind) {
    case AMQP_FIELD_KIND_I8:
        *ret_value = (int64_t)field->value.i8;
        return true;
    case AMQP_FIELD_KIND_U8:
        *ret_value = field->value.u8;
        return true;
    case AMQP_FIELD_KIND_I16:
        *ret_value = field->value.i16;
        return true;
    case AMQP_FIELD_KIND_U16:
        *ret_value = field->value.u16;
        return true;
    case AMQP_FIELD_KIND_I32:
        *ret_value = field->value.i32;
        return true;
    case AMQP_FIELD_KIND_U32:
        *ret_value = field->value.u32;
        return true;
    case AMQP_FIELD_KIND_I64:
        *ret_value = field->value.i64;
        return true;
    case AMQP_FIELD_KIND_U64:
    case AMQP_FIELD_KIND_TIMESTAMP:
        *ret_value = (int64_t)field->value.u64;
        return true;
    default:
        return false;
    }
}

static struct json_object *json_from_field(const amqp_field_value_t *field);

static struct json_object *json_from_array(const amqp_array_t *array)
{
    struct json_object *out = json_object_new_array();
    for (int i = 0; i < array->num_entries; i++)
        json_object_array_add(out, json_from_field(&array->entries[i]));
    return out;
}

static struct json_object *json_from_field(const amqp_field_value_t *field)
{
    int64_t number;
    if (field_integer(field, &number))
        return json_object_new_int64(number);
    switch (field->kind) {
    case AMQP_FIELD_KIND_BOOLEAN:
        return json_object_new_boolean(field->value.boolean);
    case AMQP_FIELD_KIND_F32:
        return json_object_new_double((double)field->value.f32);
    case AMQP_FIELD_KIND_F64:
        return json_object_new_double(field->value.f64);
    case AMQP_FIELD_KIND_UTF8:
    case AMQP_FIELD_KIND_BYTES:
        return json_from_bytes(field->value.bytes.bytes, field->value.bytes.len);
    case AMQP_FIELD_KIND_ARRAY:
        return json_from_array(&field->value.array);
    case AMQP_FIELD_KIND_TABLE:
        return json_from_table(&field->value.table);
    default:
        return NULL;
    }
}

struct json_object *json_from_table(const amqp_table_t *table)
{
    struct json_object *out = json_object_new_object();
    for (int i = 0; i < table->num_entries; i++) {
        const amqp_table_entry_t *entry = &table->entries[i];
        char *name = strndup(entry->key.bytes, entry->key.len);
        if (name)
            json_object_object_add(out, name, json_from_field(&entry->value));
        free(name);
    }
    return out;
}

struct json_object *json_from_properties(const amqp_basic_properties_t *properties)
{
    const struct {
        amqp_flags_t flag;
        const char *name;
        amqp_bytes_t value;
    } text[] = {
        {AMQP_BASIC_MESSAGE_ID_FLAG, "message_id", properties->message_id},
        {AMQP_BASIC_TYPE_FLAG, "type", properties->type},
        {AMQP_BASIC_APP_ID_FLAG, "app_id", properties->app_id},
        {AMQP_BASIC_CONTENT_TYPE_FLAG, "content_type", properties->content_type},
        {AMQP_BASIC_CORRELATION_ID_FLAG, "correlation_id", properties->correlation_id},
        {AMQP_BASIC_EXPIRATION_FLAG, "expiration", properties->expiration},
    };
    struct json_object *out = json_object_new_object();
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++)
        if (properties->_flags & text[i].flag)
            json_object_object_add(out, text[i].name,
                                   json_from_bytes(text[i].value.bytes, text[i].value.len));
    if (properties->_flags & AMQP_BASIC_TIMESTAMP_FLAG)
        json_object_object_add(out, "timestamp",
                               json_object_new_int64((int64_t)properties->timestamp));
    if (properties->_flags & AMQP_BASIC_DELIVERY_MODE_FLAG)
        json_object_object_add(out, "delivery_mode",
                               json_object_new_int(properties->delivery_mode));
    return out;
}

void json_say(struct json_object *object)
{
    puts(json_object_to_json_string_ext(object,
                                        JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    fflush(stdout);
    json_object_put(object);
}
