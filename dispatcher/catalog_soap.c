/* From a row to what only SOAP services have: the WSDL's address, and headers of the message. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "dispatcher/catalog_impl.h"
#include "dispatcher/template.h"
#include "dispatcher/url.h"

/* The operation stands behind the "#", in rule->constant_url or request->url. */
static int prepare_address(struct service *s)
{
    char reason[160];
    int r = 0;
    bool file = strncasecmp(s->base_url, "file:///", 8) == 0;
    for (size_t i = 0; file && s->base_url[i] && r == 0; i++) {
        if (url_is_unwanted((unsigned char)s->base_url[i])) {
            r = service_fault(s, "base_url holds a byte that no address can hold");
            break;
        }
    }
    if (!file && url_check_base(s->base_url, reason, sizeof(reason)) < 0) {
        r = service_fault(s, reason);
    }
    if (r == 0 && asprintf(&s->url_prefix, "%s#", s->base_url) < 0) {
        s->url_prefix = NULL;
        r = -ENOMEM;
    }
    return r;
}

static int prepare_headers(struct service *s)
{
    char reason[200];
    char what[240];
    if (s->soap_headers[strspn(s->soap_headers, " \t\r\n")] == '\0') {
        return 0;
    }
    int r =
        template_compile(TEMPLATE_JSON, s->soap_headers, &s->soap_template, reason, sizeof(reason));
    if (r == -EINVAL) {
        (void)snprintf(what, sizeof(what), "SOAP headers, %s", reason);
        return service_fault(s, what);
    }
    return r;
}

static int check_version(struct service *s)
{
    const char *v = s->soap_version;
    if (*v == '\0' || strcmp(v, "1.1") == 0 || strcmp(v, "1.2") == 0) {
        return 0;
    }
    return service_fault(s, "the SOAP version is neither 1.1 nor 1.2");
}

static int prepare_token(struct service *s, const char *type)
{
    if (strcmp(type, "wsse") == 0) {
        s->auth = AUTH_WSSE;
    } else if (strcmp(type, "wssetext") == 0) {
        s->auth = AUTH_WSSE_TEXT;
    } else {
        return 0;
    }
    return *s->auth_user ? 0 : service_fault(s, "WS-Security needs a user name");
}

int service_prepare_soap(struct service *s, const struct service_row *row)
{
    int r = prepare_address(s);
    r = r < 0 ? r : prepare_headers(s);
    r = r < 0 ? r : check_version(s);
    return r < 0 ? r : prepare_token(s, row->auth_type ? row->auth_type : "");
}
