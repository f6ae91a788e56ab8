/* AMQP services whose base_url is encrypted, as a whole or in its password. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "common/secret.h"
#include "dispatcher/amqp_target.h"
#include "dispatcher/catalog.h"

static unsigned char key[crypto_secretbox_KEYBYTES];
static struct secret_keys *keys;

static int make_keys(void **state)
{
    char path[] = "/tmp/mih-key-XXXXXX";
    char reason[300] = "";
    int fd = mkstemp(path);
    (void)state;
    if (sodium_init() < 0 || fd < 0) {
        return -1;
    }
    randombytes_buf(key, sizeof(key));
    ssize_t n = write(fd, key, sizeof(key));
    int r = secret_keys_load(path, &keys, reason, sizeof(reason));
    (void)close(fd);
    (void)unlink(path);
    return n == (ssize_t)sizeof(key) ? r : -1;
}

static int free_keys(void **state)
{
    (void)state;
    secret_keys_free(keys);
    return 0;
}

/* As Moodle stores it. */
static void encrypt(const char *text, char *ret_stored, size_t size)
{
    unsigned char bytes[512];
    size_t len = strlen(text);
    randombytes_buf(bytes, crypto_secretbox_NONCEBYTES);
    assert_int_equal(crypto_secretbox_easy(bytes + crypto_secretbox_NONCEBYTES,
                                           (const unsigned char *)text, len, bytes, key),
                     0);
    len += crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES;
    (void)snprintf(ret_stored, size, "sodium:");
    sodium_bin2base64(ret_stored + 7, size - 7, bytes, len, sodium_base64_VARIANT_ORIGINAL);
}

static struct catalog *catalog_of(const char *base_url, const struct secret_keys *with,
                                  const struct service **ret_service)
{
    const struct service_row row = {.id = 3,
                                    .name = "crm",
                                    .type = "amqp",
                                    .base_url = base_url,
                                    .auth_token = "in\r\nbound", /* none of its business */
                                    .signing_secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                                    .headers = "{\"X-Tenant\": \"t\"}",
                                    .enabled = true};
    struct catalog *c = NULL;
    struct catalog_builder *b = catalog_builder_new();
    assert_non_null(b);
    catalog_builder_set_keys(b, with);
    assert_int_equal(catalog_builder_service(b, &row), 0);
    assert_int_equal(catalog_builder_seal(b, &c), 0);
    *ret_service = catalog_service(c, 3);
    return c;
}

static void expect_url(const char *base_url, const char *wanted)
{
    const struct service *s = NULL;
    struct catalog *c = catalog_of(base_url, keys, &s);
    assert_null(s->fault);
    assert_string_equal(s->amqp->url, wanted);
    assert_non_null(s->headers);
    assert_int_equal(s->n_signing_keys, 1);
    catalog_unref(c);
}

static void password_in_url(char *ret_url, size_t size, const char *stored)
{
    struct buf encoded;
    buf_init(&encoded, 4096);
    amqp_url_encode(stored, &encoded);
    (void)snprintf(ret_url, size, "amqps://u:%s@h/v?exchange=e", buf_text(&encoded));
    buf_release(&encoded);
}

static void opens_a_password_and_a_whole_url(void **state)
{
    (void)state;
    char stored[1024];
    char url[2048];
    encrypt("p/w:@\xc3\xbc", stored, sizeof(stored));
    password_in_url(url, sizeof(url), stored);
    expect_url(url, "amqps://u:p%2Fw%3A%40%C3%BC@h/v");
    encrypt("amqp://u:p%2Fw@h:1/v?queue_declare=q", stored, sizeof(stored));
    expect_url(stored, "amqp://u:p%2Fw@h:1/v");
    expect_url("amqp://u:p%2Fw@h/", "amqp://u:p%2Fw@h/");
    expect_url("amqp://h/", "amqp://h/");
}

/* R-S12: never sent as ciphertext. */
static void cannot_be_used_when_it_cannot_be_opened(void **state)
{
    (void)state;
    char stored[1024];
    char urls[3][2048];
    encrypt("amqp://u:SECRET@h/", stored, sizeof(stored));
    (void)snprintf(urls[0], sizeof(urls[0]), "%s", stored);
    encrypt("SECRET", stored, sizeof(stored));
    password_in_url(urls[1], sizeof(urls[1]), stored);
    stored[20] = stored[20] == 'A' ? 'B' : 'A';
    password_in_url(urls[2], sizeof(urls[2]), stored);
    for (size_t i = 0; i < 3; i++) {
        const struct service *s = NULL;
        struct catalog *c = catalog_of(urls[i], i < 2 ? NULL : keys, &s);
        assert_non_null(s->fault);
        assert_non_null(strstr(s->fault, "base_url cannot be decrypted: "));
        assert_null(strstr(s->fault, "sodium:"));
        assert_null(s->amqp);
        catalog_unref(c);
    }
}

static void notes_what_lies_open(void **state)
{
    (void)state;
    static const struct {
        const char *base_url;
        bool plain;
    } rows[] = {{"amqp://u:p@h/", true}, {"amqp://h/", false}, {"amqp://u:@h/", false}};
    struct catalog *c = NULL;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct service_row row = {
            .id = 3, .name = "crm", .type = "amqp", .base_url = rows[i].base_url};
        struct catalog_builder *b = catalog_builder_new();
        catalog_builder_set_keys(b, keys);
        assert_int_equal(catalog_builder_service(b, &row), 0);
        assert_int_equal(catalog_builder_seal(b, &c), 0);
        assert_int_equal(catalog_service(c, 3)->plain_secrets, rows[i].plain);
        catalog_unref(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_a_password_and_a_whole_url),
        cmocka_unit_test(cannot_be_used_when_it_cannot_be_opened),
        cmocka_unit_test(notes_what_lies_open),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
