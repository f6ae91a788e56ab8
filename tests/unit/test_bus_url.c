/* Broker URLs: what is understood, what is refused, what a log may show. */
#include "common/buf.h"
#include "common/bus_internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct good {
    const char *urls;
    size_t index;
    bool tls;
    uint16_t port;
    const char *user, *password, *host, *vhost;
};

static const struct good good[] = {
    {"amqp://h", 0, false, 5672, "guest", "guest", "h", "/"},
    {"AMQPS://h", 0, true, 5671, "guest", "guest", "h", "/"},
    {"amqp://h/", 0, false, 5672, "guest", "guest", "h", "/"},
    {"amqp://h/%2F", 0, false, 5672, "guest", "guest", "h", "/"},
    {"amqp://h/v", 0, false, 5672, "guest", "guest", "h", "v"},
    {"amqp://u:p@h:1/v", 0, false, 1, "u", "p", "h", "v"},
    {"amqp://u@h", 0, false, 5672, "u", "", "h", "/"},
    {"amqp://u:@h", 0, false, 5672, "u", "", "h", "/"},
    {"amqp://u:p:q@h", 0, false, 5672, "u", "p:q", "h", "/"},
    {"amqp://u:p@q@h", 0, false, 5672, "u", "p@q", "h", "/"},
    {"amqp://u:%40%2f%3A%25%c3%bc@h", 0, false, 5672, "u", "@/:%\xc3\xbc", "h", "/"},
    {"amqps://u:p@[::1]:5671/a%2Fb", 0, true, 5671, "u", "p", "::1", "a/b"},
    {"amqp://[fe80::1%25eth0]", 0, false, 5672, "guest", "guest", "fe80::1%eth0", "/"},
    {" amqp://a , amqp://b:65535 ", 0, false, 5672, "guest", "guest", "a", "/"},
    {" amqp://a , amqp://b:65535 ", 1, false, 65535, "guest", "guest", "b", "/"},
};

static void understands_every_form(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        const struct good *row = &good[i];
        struct bus_error error = {""};
        struct bus_url url;
        print_message("%s\n", row->urls);
        assert_int_equal(bus_url_parse(row->urls, row->index, &url, &error), 0);
        assert_int_equal(url.tls, row->tls);
        assert_int_equal(url.port, row->port);
        assert_string_equal(url.user, row->user);
        assert_string_equal(url.password, row->password);
        assert_string_equal(url.host, row->host);
        assert_string_equal(url.vhost, row->vhost);
        assert_int_equal(bus_check_urls(row->urls, &error), 0);
    }
}

static const char *const bad[] = {
    "",
    " ",
    "h",
    "http://u:secret@h",
    "amqp:/h",
    "amqp://",
    "amqp://u:secret@",
    "amqp://u:secret@/v",
    "amqp://:5672",
    "amqp://u:secret@h:",
    "amqp://u:secret@h:0",
    "amqp://u:secret@h:65536",
    "amqp://u:secret@h:99999999999",
    "amqp://u:secret@h:56x",
    "amqp://h:-1",
    "amqp://u:secret@h/a/b",
    "amqp://u:secret@h/a@b",
    "amqp://u:5672/secret@h",
    "amqp://u:secret@h/v?heartbeat=5",
    "amqp://u:secret#1@h/v",
    "amqp://u:secret%zz@h",
    "amqp://u:secret%4@h",
    "amqp://u:secret%00@h",
    "amqp://u:secret%0a@h",
    "amqp://u:secret@h\x01",
    "amqp://u:secret@a b",
    "amqp://u:secret@[::1",
    "amqp://u:secret@[::1]5672",
    "amqp://u:secret/x@h/v",
    "amqp://a,,amqp://b",
    "amqp://a,",
    "amqp://u:sec,ret@h",
};

static void refuses_what_is_not_a_url_without_showing_the_password(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct bus_error error = {""};
        char masked[300];
        print_message("%s\n", bad[i]);
        assert_int_equal(bus_check_urls(bad[i], &error), -EINVAL);
        assert_true(strlen(error.text) > 10);
        assert_null(strstr(error.text, "secret"));
        bus_mask_url(bad[i], masked, sizeof(masked));
        assert_null(strstr(masked, "secret"));
    }
}

static void refuses_texts_longer_than_amqp_allows(void **state)
{
    char url[700];
    struct bus_error error;

    (void)state;
    snprintf(url, sizeof(url), "amqp://u:%0255d@h", 0);
    assert_int_equal(bus_check_urls(url, &error), 0);
    snprintf(url, sizeof(url), "amqp://u:%0256d@h", 0);
    assert_int_equal(bus_check_urls(url, &error), -EINVAL);
    snprintf(url, sizeof(url), "amqp://h/%0256d", 0);
    assert_int_equal(bus_check_urls(url, &error), -EINVAL);
}

static void refuses_too_many_urls(void **state)
{
    struct buf urls;
    struct bus_error error;

    (void)state;
    buf_init(&urls, 4096);
    buf_adds(&urls, "amqp://h");
    for (int i = 1; i < BUS_URLS_MAX; i++) {
        buf_adds(&urls, ",amqp://h");
    }
    assert_int_equal(bus_url_count(buf_text(&urls)), BUS_URLS_MAX);
    assert_int_equal(bus_check_urls(buf_text(&urls), &error), 0);
    buf_adds(&urls, ",amqp://h");
    assert_int_equal(bus_check_urls(buf_text(&urls), &error), -EINVAL);
    buf_release(&urls);
}

static void masks_passwords(void **state)
{
    static const struct {
        const char *url, *masked;
    } row[] = {
        {"amqp://h", "amqp://h"},
        {"amqp://h:5672/v", "amqp://h:5672/v"},
        {"amqp://u@h", "amqp://u@h"},
        {"amqp://u:secret@h:5672/v", "amqp://u:***@h:5672/v"},
        {"amqps://u:se@cr:et@h", "amqps://u:***@h"},
        {"amqp://u:secret/x@h/v", "amqp://u:***@h/v"},
        {"amqp://u:secret@h/v?password=secret", "amqp://u:***@h/v"},
        {"amqp://a:secret@h, amqps://b:secret@i", "amqp://a:***@h,amqps://b:***@i"},
        {"amqp://u:secret", "amqp://***"},
        {"secret", "***"},
        {"u:secret@amqp://h", "***"},
        {"amqp://u:sec,ret@h", "amqp://***,***"},
        {"", "***"},
    };
    char text[100];

    (void)state;
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        bus_mask_url(row[i].url, text, sizeof(text));
        assert_string_equal(text, row[i].masked);
    }
    bus_mask_url("amqp://u:secret@h:5672/v", text, 12);
    assert_string_equal(text, "amqp://u:**");
    bus_mask_url("amqp://u:secret@h", text, 1);
    assert_string_equal(text, "");
    bus_mask_url("amqp://u:secret@h", NULL, 0);
}

static void a_missing_header_is_empty(void **state)
{
    (void)state;
    assert_string_equal(bus_header_text(NULL, "x"), "");
    assert_int_equal(bus_header_number(NULL, "x", -7), -7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(understands_every_form),
        cmocka_unit_test(refuses_what_is_not_a_url_without_showing_the_password),
        cmocka_unit_test(refuses_texts_longer_than_amqp_allows),
        cmocka_unit_test(refuses_too_many_urls),
        cmocka_unit_test(masks_passwords),
        cmocka_unit_test(a_missing_header_is_empty),
    };

    return cmocka_run_group_tests_name("bus_url", tests, NULL, NULL);
}
