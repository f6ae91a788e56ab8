/* From a service's row to what its requests prove with who calls. Faults name the field and what
 * is wrong with it, never a byte of a secret that could be sent. */
#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/secret.h"
#include "dispatcher/catalog_impl.h"
#include "dispatcher/clientcert.h"
#include "dispatcher/headername.h"
#include "dispatcher/url.h"

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static int faultf(struct service *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int faultf(struct service *s, const char *format, ...)
{
    char what[400];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    return service_fault(s, what);
}

static int prepare_type(struct service *s, const char *type)
{
    static const struct {
        const char *name;
        enum service_auth auth;
    } types[] = {{"bearer", AUTH_BEARER}, {"apikey", AUTH_APIKEY}, {"basic", AUTH_BASIC},
                 {"oauth2", AUTH_OAUTH2}, {"wsse", AUTH_WSSE},     {"wssetext", AUTH_WSSE_TEXT}};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(type, types[i].name) == 0) {
            s->auth = types[i].auth;
        }
    }
    if (s->type == SERVICE_REST && (s->auth == AUTH_WSSE || s->auth == AUTH_WSSE_TEXT)) {
        return service_fault(s, "the auth type wsse is for SOAP services only");
    }
    return 0;
}

int service_open_secret(struct service *s, const struct secret_keys *keys, const char *name,
                        const char *stored, char **ret_text)
{
    char reason[300];
    int r = 0;
    if (stored && secret_is_encrypted(stored)) {
        r = secret_decrypt(keys, stored, ret_text, reason, sizeof(reason));
        if (r == 0 || r == -ENOMEM) {
            return r;
        }
        r = faultf(s, "the %s cannot be decrypted: %s", name, reason);
        stored = "";
    }
    s->plain_secrets = s->plain_secrets || *or_empty(stored) != '\0';
    *ret_text = strdup(or_empty(stored));
    return r < 0 || *ret_text ? r : -ENOMEM;
}

/* A header may hold neither control bytes nor DEL. */
static int check_bytes(struct service *s, const char *name, const char *text)
{
    for (size_t i = 0; text[i]; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte < 0x20 || byte == 0x7f) {
            return faultf(s, "the %s holds the byte 0x%02x at position %zu", name, byte, i + 1);
        }
    }
    return 0;
}

static int keep_header(struct service *s, int written)
{
    if (written < 0) {
        s->auth_header = NULL;
        return -ENOMEM;
    }
    return 0;
}

/* RFC 7617. */
static int make_basic(struct service *s)
{
    char *pair = NULL;
    if (strchr(s->auth_user, ':')) {
        return service_fault(s, "the user name of basic authentication holds a \":\"");
    }
    int len = asprintf(&pair, "%s:%s", s->auth_user, s->auth_token);
    if (len < 0) {
        return -ENOMEM;
    }
    size_t size = sodium_base64_ENCODED_LEN((size_t)len, sodium_base64_VARIANT_ORIGINAL);
    char *code = malloc(size);
    if (code) {
        sodium_bin2base64(code, size, (const unsigned char *)pair, (size_t)len,
                          sodium_base64_VARIANT_ORIGINAL);
    }
    int r =
        code ? keep_header(s, asprintf(&s->auth_header, "Authorization: Basic %s", code)) : -ENOMEM;
    secret_free(code);
    secret_free(pair);
    return r;
}

static int make_api_key(struct service *s, const char *name)
{
    const char *fault = NULL;
    if (*name == '\0') {
        name = "X-API-Key";
    } else if (strcasecmp(name, "Authorization") != 0) {
        fault = headername_fault(name);
    }
    if (fault) {
        return faultf(s, "the name of the API key's header %s", fault);
    }
    return keep_header(s, asprintf(&s->auth_header, "%s: %s", name, s->auth_token));
}

static int make_header(struct service *s, const struct service_row *row)
{
    bool has_token = *s->auth_token != '\0';
    if (s->fault) {
        return 0;
    }
    if (s->auth == AUTH_BEARER && has_token) {
        return keep_header(s, asprintf(&s->auth_header, "Authorization: Bearer %s", s->auth_token));
    }
    if (s->auth == AUTH_APIKEY && has_token) {
        return make_api_key(s, or_empty(row->auth_header));
    }
    if (s->auth == AUTH_BASIC && (has_token || *s->auth_user)) {
        return make_basic(s);
    }
    return 0;
}

static int prepare_oauth(struct service *s, const struct service_row *row)
{
    char reason[200];
    s->auth_scope = strdup(or_empty(row->auth_scope));
    if (!s->auth_scope) {
        return -ENOMEM;
    }
    if (s->auth != AUTH_OAUTH2) {
        return 0;
    }
    s->auth_url = strdup(or_empty(row->auth_url));
    if (!s->auth_url) {
        return -ENOMEM;
    }
    if (url_check("the token endpoint (auth_url)", s->auth_url, reason, sizeof(reason)) < 0) {
        return service_fault(s, reason);
    }
    if (*s->auth_user == '\0' || *s->auth_token == '\0') {
        return service_fault(s, "OAuth 2.0 needs a client id (auth_user) and a client secret "
                                "(auth_token)");
    }
    return 0;
}

static int prepare_cert(struct service *s, const struct service_row *row,
                        const struct secret_keys *keys)
{
    char *pem = NULL;
    char reason[200];
    int r = service_open_secret(s, keys, "client certificate", row->client_cert, &pem);
    if (r == 0 && pem[strspn(pem, " \t\r\n")] != '\0') {
        r = clientcert_new(pem, &s->cert, reason, sizeof(reason));
        r = r == -EINVAL ? faultf(s, "the client certificate cannot be used: %s", reason) : r;
    }
    secret_free(pem);
    return r;
}

int service_prepare_auth(struct service *s, const struct service_row *row,
                         const struct secret_keys *keys)
{
    int r = prepare_type(s, or_empty(row->auth_type));
    const char *stored = s->auth == AUTH_NONE ? NULL : row->auth_token;
    s->auth_user = strdup(or_empty(row->auth_user));
    if (!s->auth_user) {
        return -ENOMEM;
    }
    r = r < 0 ? r : service_open_secret(s, keys, "token", stored, &s->auth_token);
    r = r < 0 ? r : check_bytes(s, "token", s->auth_token);
    r = r < 0 ? r : check_bytes(s, "user name", s->auth_user);
    r = r < 0 ? r : make_header(s, row);
    r = r < 0 ? r : prepare_oauth(s, row);
    return r < 0 ? r : prepare_cert(s, row, keys);
}

void service_release_auth(struct service *s)
{
    free(s->auth_user);
    secret_free(s->auth_token);
    secret_free(s->auth_header);
    free(s->auth_url);
    free(s->auth_scope);
    clientcert_put(s->cert);
}
