/* From an AMQP service's row to where its messages go. Either the whole base_url or the password
 * in it may be encrypted. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/secret.h"
#include "dispatcher/amqp_target.h"
#include "dispatcher/catalog_impl.h"

enum { MAX_URL = 16 * 1024 };

/* The URL with its password as it is; NULL when that cannot be had, which is a fault. */
static int open_password(struct service *s, const struct secret_keys *keys, char **ret_url)
{
    const char *stored = s->base_url;
    size_t at = 0;
    size_t len = 0;
    struct buf text;
    char *password = NULL;
    if (!amqp_url_password(stored, &at, &len)) {
        *ret_url = strdup(stored);
        return *ret_url ? 0 : -ENOMEM;
    }
    buf_init_secret(&text, MAX_URL);
    bool sound = amqp_url_decode(stored + at, len, &text) && !memchr(buf_text(&text), 0, text.len);
    int r = service_open_secret(s, keys, "password in base_url", sound ? buf_text(&text) : "x",
                                &password);
    if (r == 0 && !s->fault) {
        buf_release(&text);
        buf_add(&text, stored, at);
        if (sound) {
            amqp_url_encode(password, &text);
        } else {
            buf_add(&text, stored + at, len); /* the parser says what is wrong */
        }
        buf_adds(&text, stored + at + len);
        *ret_url = buf_error(&text) == 0 ? strdup(buf_text(&text)) : NULL;
        r = *ret_url ? 0 : -ENOMEM;
    }
    secret_free(password);
    buf_release(&text);
    return r;
}

int service_prepare_amqp(struct service *s, const struct secret_keys *keys)
{
    char reason[300];
    char *url = NULL;
    bool whole = secret_is_encrypted(s->base_url);
    int r = whole ? service_open_secret(s, keys, "base_url", s->base_url, &url)
                  : open_password(s, keys, &url);
    if (r == 0 && !s->fault) {
        r = amqp_target_new(url, &s->amqp, reason, sizeof(reason));
    }
    secret_free(url);
    return r == -EINVAL ? service_fault(s, reason) : r;
}
