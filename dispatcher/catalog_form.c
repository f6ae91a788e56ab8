/* From a service's row to the form that its requests have: the type of the body, headers of its
 * own, the signature. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/secret.h"
#include "dispatcher/catalog_impl.h"
#include "dispatcher/headername.h"
#include "dispatcher/headerset.h"
#include "dispatcher/signing.h"

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static int set_content_type(struct service *s, const char *type)
{
    char what[100];
    size_t len = strlen(type);
    size_t bad = headername_bad_value_at(type, len);
    if (bad < len) {
        (void)snprintf(what, sizeof(what), "the content type holds the byte 0x%02x at position %zu",
                       (unsigned char)type[bad], bad + 1);
        return service_fault(s, what);
    }
    if (asprintf(&s->content_header, "Content-Type: %s", type) < 0) {
        s->content_header = NULL;
        return -ENOMEM;
    }
    return 0;
}

static int prepare_body(struct service *s, const struct service_row *row)
{
    const char *type = or_empty(row->body_type);
    const char *content = or_empty(row->content_type);
    if (s->type != SERVICE_REST || *type == '\0' || strcmp(type, "json") == 0) {
        return 0;
    }
    if (strcmp(type, "form") == 0) {
        s->body = BODY_FORM;
        return set_content_type(s, "application/x-www-form-urlencoded");
    }
    if (strcmp(type, "raw") == 0) {
        s->body = BODY_RAW;
        return set_content_type(s, *content ? content : "text/plain; charset=utf-8");
    }
    return service_fault(s, "the type of the body is none of json, form and raw");
}

/* The header of its own that the service's authentication makes as well, or NULL. */
static const char *header_of_both(const struct service *s)
{
    static char name[128];
    (void)snprintf(name, sizeof(name), "%s", s->auth == AUTH_OAUTH2 ? "Authorization" : "");
    if (s->auth_header) {
        (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(s->auth_header, ":"),
                       s->auth_header);
    }
    return *name && headerset_has(s->headers, name) ? name : NULL;
}

static int prepare_headers(struct service *s, const struct service_row *row)
{
    char reason[440];
    int r = headerset_new(or_empty(row->headers), &s->headers, reason, sizeof(reason));
    if (r == -EINVAL) {
        return service_fault(s, reason);
    }
    const char *twice = r == 0 ? header_of_both(s) : NULL;
    if (twice) {
        (void)snprintf(reason, sizeof(reason), "header %s: the service's authentication makes it",
                       twice);
        return service_fault(s, reason);
    }
    s->own_accept = headerset_has(s->headers, "Accept");
    return r;
}

static int add_key(struct service *s, const struct secret_keys *keys, const char *name,
                   const char *stored)
{
    char *secret = NULL;
    char what[120];
    int r = service_open_secret(s, keys, name, stored, &secret);
    if (r == 0 && *secret) {
        const char *fault = signing_key_parse(secret, &s->signing_keys[s->n_signing_keys]);
        (void)snprintf(what, sizeof(what), "the %s %s", name, fault ? fault : "");
        s->n_signing_keys += !fault;
        r = fault ? service_fault(s, what) : 0;
    }
    secret_free(secret);
    return r;
}

static int prepare_signing(struct service *s, const struct service_row *row,
                           const struct secret_keys *keys)
{
    if (*or_empty(row->signing_secret) == '\0' && *or_empty(row->signing_secret_old) == '\0') {
        return 0;
    }
    s->signing_keys = calloc(2, sizeof(*s->signing_keys));
    if (!s->signing_keys) {
        return -ENOMEM;
    }
    int r = add_key(s, keys, "signing secret", row->signing_secret);
    return r < 0 ? r : add_key(s, keys, "old signing secret", row->signing_secret_old);
}

int service_prepare_form(struct service *s, const struct service_row *row,
                         const struct secret_keys *keys)
{
    int r = prepare_body(s, row);
    r = r < 0 ? r : prepare_headers(s, row);
    return r < 0 ? r : prepare_signing(s, row, keys);
}

void service_release_form(struct service *s)
{
    free(s->content_header);
    headerset_free(s->headers);
    secret_wipe(s->signing_keys, s->signing_keys ? 2 * sizeof(*s->signing_keys) : 0);
    free(s->signing_keys);
}
