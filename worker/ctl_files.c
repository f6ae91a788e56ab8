#include "worker/ctl_files.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/secret.h"
#include "dispatcher/catalog.h"

enum { PART = 16 * 1024 };

static int fail(const char *path, const char *what, int error, char *ret_reason, size_t size)
{
    snprintf(ret_reason, size, "%.200s: %s", path, what);
    return error;
}

/* The whole stream, which is not buffered. NULL with errno. */
static char *read_all(FILE *stream, size_t *ret_len)
{
    char part[PART];
    struct buf text;
    char *taken = NULL;
    size_t n;

    buf_init_secret(&text, CTL_MAX_FILE);
    do {
        n = fread(part, 1, sizeof part, stream);
        buf_add(&text, part, n);
    } while (n > 0 && buf_error(&text) == 0);
    if (buf_error(&text) < 0)
        errno = buf_error(&text) == -EMSGSIZE ? EFBIG : ENOMEM;
    else if (!ferror(stream) && !(taken = buf_take(&text, ret_len)))
        errno = ENOMEM;
    secret_wipe(part, sizeof part);
    buf_release(&text);
    return taken;
}

int ctl_file_read(const char *path, char **ret_text, size_t *ret_len, char *ret_reason,
                  size_t reason_size)
{
    FILE *stream = fopen(path, "rbe");
    char *text;
    int error;

    if (!stream) {
        error = errno;
        return fail(path, strerror(error), -error, ret_reason, reason_size);
    }
    setvbuf(stream, NULL, _IONBF, 0);
    text = read_all(stream, ret_len);
    error = errno;
    fclose(stream);
    if (!text)
        return fail(path, strerror(error), -error, ret_reason, reason_size);
    *ret_text = text;
    return 0;
}

int ctl_file_object(const char *path, struct json_object **ret_object, char *ret_reason,
                    size_t reason_size)
{
    char *text = NULL;
    size_t len = 0;
    struct json_object *object;
    int r = ctl_file_read(path, &text, &len, ret_reason, reason_size);

    if (r < 0)
        return r;
    object = json_tokener_parse(text);
    secret_wipe(text, len);
    free(text);
    if (!json_object_is_type(object, json_type_object)) {
        json_object_put(object);
        return fail(path, "is not a JSON object", -EBADMSG, ret_reason, reason_size);
    }
    *ret_object = object;
    return 0;
}

const char *ctl_row_text(struct json_object *row, const char *column)
{
    struct json_object *value = NULL;

    return json_object_object_get_ex(row, column, &value) ? json_object_get_string(value) : NULL;
}

int64_t ctl_row_number(struct json_object *row, const char *column, int64_t missing)
{
    struct json_object *value = NULL;

    return json_object_object_get_ex(row, column, &value) ? json_object_get_int64(value) : missing;
}

static int add_service(struct catalog_builder *b, struct json_object *row)
{
    return catalog_builder_service(
        b, &(struct service_row){
               .id = ctl_row_number(row, "id", 0),
               .name = ctl_row_text(row, "name"),
               .type = ctl_row_text(row, "type"),
               .base_url = ctl_row_text(row, "base_url"),
               .auth_type = ctl_row_text(row, "auth_type"),
               .auth_token = ctl_row_text(row, "auth_token"),
               .auth_user = ctl_row_text(row, "auth_user"),
               .auth_header = ctl_row_text(row, "auth_header"),
               .auth_url = ctl_row_text(row, "auth_url"),
               .auth_scope = ctl_row_text(row, "auth_scope"),
               .client_cert = ctl_row_text(row, "client_cert"),
               .headers = ctl_row_text(row, "headers"),
               .body_type = ctl_row_text(row, "body_type"),
               .content_type = ctl_row_text(row, "content_type"),
               .signing_secret = ctl_row_text(row, "signing_secret"),
               .signing_secret_old = ctl_row_text(row, "signing_secret_old"),
               .soap_version = ctl_row_text(row, "soap_version"),
               .soap_headers = ctl_row_text(row, "soap_headers"),
               .timeout_s = ctl_row_number(row, "timeout", 5),
               .max_concurrency = ctl_row_number(row, "max_concurrency", 16),
               .enabled = ctl_row_number(row, "enabled", 1) != 0,
           });
}

static int add_rule(struct catalog_builder *b, struct json_object *row)
{
    return catalog_builder_rule(b, &(struct rule_row){
                                       .id = ctl_row_number(row, "id", 0),
                                       .service_id = ctl_row_number(row, "serviceid", 0),
                                       .eventname = ctl_row_text(row, "eventname"),
                                       .endpoint = ctl_row_text(row, "endpoint"),
                                       .http_method = ctl_row_text(row, "http_method"),
                                       .payload_template = ctl_row_text(row, "payload_template"),
                                       .filter = ctl_row_text(row, "filter"),
                                       .enabled = ctl_row_number(row, "enabled", 1) != 0,
                                   });
}

int ctl_rows_catalog(struct json_object *service, struct json_object *rule,
                     const struct secret_keys *keys, struct catalog **ret_catalog)
{
    struct catalog_builder *b = catalog_builder_new();
    struct catalog *catalog = NULL;
    int r;

    if (!b)
        return -ENOMEM;
    catalog_builder_set_keys(b, keys);
    r = add_service(b, service);
    if (r == 0)
        r = add_rule(b, rule);
    if (r < 0) {
        catalog_builder_free(b);
        return r;
    }
    r = catalog_builder_seal(b, &catalog);
    if (r < 0)
        return r;
    if (catalog_orphan_count(catalog) > 0) {
        catalog_unref(catalog);
        return -EINVAL;
    }
    *ret_catalog = catalog;
    return 0;
}
