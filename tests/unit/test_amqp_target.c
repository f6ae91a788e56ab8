/* What an AMQP service's base_url says, and what it may not say. */
#include "dispatcher/amqp_target.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/bus_internal.h"

struct good {
    const char *base_url;
    const char *user, *password, *vhost;
    const char *shown, *host, *exchange, *routing_key, *queue, *dlq;
};

static const struct good good[] = {
    {"amqp://h", "guest", "guest", "/", "amqp://h", "h", "", "", "", ""},
    {"amqp://h/?", "guest", "guest", "/", "amqp://h/", "h", "", "", "", ""},
    /* D14: the existing plugin takes "p%2Fw" for the password. */
    {"amqps://u%40x:p%2Fw@h:1/v%2Fh?exchange=e", "u@x", "p/w", "v/h", "amqps://h:1/v%2Fh", "h", "e",
     "", "", ""},
    {"amqp://u:p@q@h/v", "u", "p@q", "v", "amqp://h/v", "h", "", "", "", ""},
    {"amqp://u:p,w@h", "u", "p,w", "/", "amqp://h", "h", "", "", "", ""},
    {"amqp://h//", "guest", "guest", "/", "amqp://h/%2F", "h", "", "", "", ""},
    {"amqp://h/a/b", "guest", "guest", "a/b", "amqp://h/a%2Fb", "h", "", "", "", ""},
    {"amqp://u:p@[::1]:5/", "u", "p", "/", "amqp://[::1]:5/", "::1", "", "", "", ""},
    {"amqp://h/v?exchange=a%20b&routing_key=k.%23&queue_declare=q+r&dlq=%C3%BC", "guest", "guest",
     "v", "amqp://h/v", "h", "a b", "k.#", "q r", "\xc3\xbc"},
    {"amqp://h?x=1&&=&exchange&routing_key=a=b&routing_key=c&y", "guest", "guest", "/", "amqp://h",
     "h", "", "c", "", ""},
    {"amqp://u:p@h/?routing_key=a@b", "u", "p", "/", "amqp://h/", "h", "", "a@b", "", ""},
};

static struct amqp_target *target(const char *base_url)
{
    struct amqp_target *t = NULL;
    char reason[300] = "";
    if (amqp_target_new(base_url, &t, reason, sizeof(reason)) != 0) {
        fail_msg("%s: %s", base_url, reason);
    }
    return t;
}

static void understands_every_part(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        const struct good *row = &good[i];
        struct amqp_target *t = target(row->base_url);
        struct bus_error error = {""};
        struct bus_url url;
        print_message("%s\n", row->base_url);
        assert_int_equal(bus_url_count(t->url), 1);
        assert_int_equal(bus_url_parse(t->url, 0, &url, &error), 0);
        assert_string_equal(url.user, row->user);
        assert_string_equal(url.password, row->password);
        assert_string_equal(url.vhost, row->vhost);
        assert_string_equal(url.host, row->host);
        assert_string_equal(t->shown, row->shown);
        assert_string_equal(t->host, row->host);
        assert_string_equal(t->exchange, row->exchange);
        assert_string_equal(t->routing_key, row->routing_key);
        assert_string_equal(t->queue, row->queue);
        assert_string_equal(t->dlq, row->dlq);
        amqp_target_free(t);
    }
}

static const struct {
    const char *base_url;
    const char *reason;
} bad[] = {
    {"", "base_url: it must start with amqp:// or amqps://"},
    {"http://u:secret@h/", "base_url: it must start with amqp:// or amqps://"},
    {"amqp://", "base_url: the host name is missing or not valid"},
    {"amqp://u:secret@/v", "base_url: the host name is missing or not valid"},
    {"amqp://u:secret@h:0/", "base_url: the port must be a number from 1 to 65535"},
    {"amqp://u:secret%zz@h/",
     "base_url: user and password must be percent-encoded, 255 bytes at most"},
    {"amqp://u:5672/secret@h/",
     "base_url: user, password and virtual host must be percent-encoded"},
    {"amqp://u:5672?secret@h/",
     "base_url: user, password and virtual host must be percent-encoded"},
    {"amqp://u:secret#x@h/", "base_url holds the byte 0x23 at position 16"},
    {"amqp://u:secret@h/ v", "base_url holds the byte 0x20 at position 19"},
    {"amqp://h\xff/", "base_url is not UTF-8"},
    {"amqp://h/v\r\n", "base_url holds the byte 0x0d at position 11"},
    {"amqp://h/?exchange=secret%0a", "exchange in base_url holds a control byte"},
    {"amqp://h/?dlq=%00", "dlq in base_url holds a control byte"},
    {"amqp://h/?routing_key=%ff", "routing_key in base_url is not UTF-8"},
    {"amqp://h/?queue_declare=secret%2",
     "queue_declare in base_url is not percent-encoded as it should be"},
};

static void says_what_is_wrong_and_quotes_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct amqp_target *t = NULL;
        char reason[300] = "";
        print_message("%s\n", bad[i].base_url);
        assert_int_equal(amqp_target_new(bad[i].base_url, &t, reason, sizeof(reason)), -EINVAL);
        assert_null(t);
        assert_string_equal(reason, bad[i].reason);
        assert_null(strstr(reason, "secret"));
    }
}

static void refuses_names_that_amqp_cannot_carry(void **state)
{
    (void)state;
    char url[600] = "amqp://h/?exchange=";
    char reason[300] = "";
    struct amqp_target *t = NULL;
    size_t len = strlen(url);
    memset(url + len, 'x', 255);
    t = target(url);
    amqp_target_free(t);
    t = NULL;
    url[len + 255] = 'x';
    assert_int_equal(amqp_target_new(url, &t, reason, sizeof(reason)), -EINVAL);
    assert_string_equal(reason, "exchange in base_url is longer than 255 bytes");
    assert_null(amqp_name_fault("a b\xc3\xbc", 5));
    assert_string_equal(amqp_name_fault("a\0b", 3), "holds a control byte");
    assert_string_equal(amqp_name_fault("\x7f", 1), "holds a control byte");
    assert_string_equal(amqp_name_fault("\xc3", 1), "is not UTF-8");
}

static const struct {
    const char *base_url, *endpoint;
    const char *key; /* or NULL: none */
    const char *shown;
} keys[] = {
    {"amqp://h/?routing_key=r&queue_declare=q", "///a/b", "a/b",
     "amqp://h/?exchange=&routing_key=a%2Fb"},
    {"amqp://h/?routing_key=r&queue_declare=q", "/", "r", "amqp://h/?exchange=&routing_key=r"},
    {"amqp://h/?queue_declare=q", "", "q", "amqp://h/?exchange=&routing_key=q"},
    {"amqp://h/?exchange=e&queue_declare=q", "", "", "amqp://h/?exchange=e&routing_key="},
    {"amqp://h/", "", NULL, NULL},
    {"amqp://h/", "a\nb", NULL, NULL},
};

static void finds_the_routing_key(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct amqp_target *t = target(keys[i].base_url);
        struct buf key, shown;
        buf_init(&key, AMQP_MAX_NAME);
        buf_init(&shown, 2000);
        const char *fault = amqp_target_key(t, keys[i].endpoint, strlen(keys[i].endpoint), &key);
        assert_int_equal(fault == NULL, keys[i].key != NULL);
        if (fault == NULL) {
            assert_string_equal(buf_text(&key), keys[i].key);
            amqp_target_show(t, buf_text(&key), &shown);
            assert_string_equal(buf_text(&shown), keys[i].shown);
        }
        buf_release(&key);
        buf_release(&shown);
        amqp_target_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(understands_every_part),
        cmocka_unit_test(says_what_is_wrong_and_quotes_nothing),
        cmocka_unit_test(refuses_names_that_amqp_cannot_carry),
        cmocka_unit_test(finds_the_routing_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
