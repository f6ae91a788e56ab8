/*
 * No secret is left behind in memory that is given back: every block is searched before it is
 * freed. Blocks of libraries are not seen.
 */
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <event2/event.h>
#include <json-c/json.h>

#include "common/buf.h"
#include "dispatcher/amqp_target.h"
#include "dispatcher/oauth.h"
#include "dispatcher/request.h"
#include "dispatcher/transport.h"
#include "tests/unit/catalog_rows.h"
#include "worker/ctl_files.h"
#include "worker/settings.h"

#define CANARY "canary-9f3b"
#define CODED "Y2FuYXJ5LTlmM2" /* how its base64 begins */

static unsigned found;

void __real_free(void *block);
void *__real_realloc(void *block, size_t size);
void __wrap_free(void *block);
void *__wrap_realloc(void *block, size_t size);

static void search(void *block)
{
    size_t len = block ? malloc_usable_size(block) : 0;
    found += memmem(block, len, CANARY, strlen(CANARY)) != NULL ||
             memmem(block, len, CODED, strlen(CODED)) != NULL;
}

void __wrap_free(void *block)
{
    if (block)
        search(block);
    __real_free(block);
}

/* What grows may move, and is then given back by the library. */
void *__wrap_realloc(void *block, size_t size)
{
    if (block)
        search(block);
    return __real_realloc(block, size);
}

static int look_afresh(void **state)
{
    (void)state;
    found = 0;
    return 0;
}

static void finds_what_is_not_wiped(void **state)
{
    (void)state;
    struct buf plain;
    struct buf secret;
    buf_init(&plain, 1000);
    buf_init_secret(&secret, 1000);
    buf_adds(&plain, CANARY);
    buf_release(&plain);
    assert_int_equal(found, 1);
    buf_adds(&secret, CANARY);
    for (int i = 0; i < 20; i++)
        buf_adds(&secret, "0123456789");
    assert_int_equal(strncmp(buf_text(&secret), CANARY "0123", sizeof(CANARY "0123") - 1), 0);
    buf_release(&secret);
    buf_adds(&secret, CANARY); /* it is one for secrets still */
    for (int i = 0; i < 200; i++)
        buf_adds(&secret, "0123456789");
    assert_int_equal(buf_error(&secret), -EMSGSIZE);
    buf_release(&secret);
    assert_int_equal(found, 1);
}

static void services_leave_none(void **state)
{
    (void)state;
    static const char *const types[] = {"bearer", "apikey", "basic", "oauth2", "wssetext"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct catalog_builder *b = catalog_builder_new();
        struct catalog *catalog = NULL;
        struct service_row row = plain_service;
        row.type = i == 4 ? "soap" : "rest";
        row.auth_type = types[i];
        row.auth_token = CANARY " and more";
        row.auth_user = "ab";
        row.auth_url = "http://127.0.0.1/token";
        assert_int_equal(catalog_builder_service(b, &row), 0);
        row.id++;
        row.type = "amqp";
        row.base_url = "amqp://u:" CANARY "@127.0.0.1/v?exchange=e";
        assert_int_equal(catalog_builder_service(b, &row), 0);
        assert_int_equal(catalog_builder_seal(b, &catalog), 0);
        assert_null(catalog_service(catalog, row.id)->fault);
        catalog_unref(catalog);
    }
    assert_int_equal(found, 0);
}

static void access_tokens_leave_none(void **state)
{
    (void)state;
    static char name[] = "crm", url[] = "http://h/t", user[] = "ab", secret[] = CANARY,
                scope[] = "";
    static const char body[] = "{\"access_token\":\"" CANARY "\"}";
    const struct service service = {.name = name,
                                    .auth = AUTH_OAUTH2,
                                    .auth_url = url,
                                    .auth_user = user,
                                    .auth_token = secret,
                                    .auth_scope = scope};
    const struct outcome good = {.kind = OUTCOME_HTTP, .status = 200};
    struct outcome failure;
    struct oauth *o = oauth_new();
    struct oauth_token *t = oauth_get(o, &service);
    for (int i = 0; i < 3; i++) {
        assert_non_null(oauth_request(t, &service));
        assert_true(oauth_fetched(t, &good, body, strlen(body), i, &failure));
    }
    assert_non_null(oauth_request(t, &service));
    oauth_not_sent(t);
    assert_true(oauth_refused(t, oauth_number(t), 1));
    assert_non_null(oauth_request(t, &service));
    oauth_put(t);
    oauth_free(o);
    assert_int_equal(found, 0);
}

static void files_leave_none(void **state)
{
    (void)state;
    char path[] = "/tmp/test_wiped-XXXXXX";
    char reason[200];
    struct json_object *object = NULL;
    int fd = mkstemp(path);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    assert_non_null(file);
    fputs("{\"auth_token\":\"" CANARY "\",\"name\":\"", file);
    for (int i = 0; i < 5000; i++)
        fputs("0123456789", file);
    fputs("\"}", file);
    assert_int_equal(fclose(file), 0);
    found = 0; /* the stream's own buffer, of this test */
    int r = ctl_file_object(path, &object, reason, sizeof(reason));
    unlink(path);
    assert_int_equal(r, 0);
    assert_string_equal(ctl_row_text(object, "auth_token"), CANARY);
    assert_int_equal(found, 0);
    json_object_put(object);
}

static void settings_leave_none(void **state)
{
    (void)state;
    static struct settings settings;
    char path[] = "/tmp/test_wiped-XXXXXX";
    int fd = mkstemp(path);
    static const char text[] = "[broker]\nurl = amqp://u:" CANARY "@127.0.0.1/\n"
                               "[http]\nproxy = http://u:" CANARY "@127.0.0.1:1\n"
                               "[database]\npassword = " CANARY "\n";
    struct conf_error error;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    setenv("MIH_DATABASE_PASSWORD", CANARY "-2", 1);
    int r = conf_load(&settings_table, &settings, path, &error);
    unsetenv("MIH_DATABASE_PASSWORD");
    unlink(path);
    assert_int_equal(r, 0);
    assert_string_equal(settings.database_password, CANARY "-2");
    conf_release(&settings_table, &settings);
    assert_int_equal(found, 0);
}

static void the_transport_leaves_none(void **state)
{
    (void)state;
    struct event_base *base = event_base_new();
    struct transport *transport = NULL;
    const struct transport_settings settings = {.user_agent = "x",
                                                .max_response_bytes = 1000,
                                                .connect_timeout_ms = 1000,
                                                .proxy = "http://u:" CANARY "@127.0.0.1:1"};
    assert_int_equal(rest_transport_new(base, &settings, &transport), 0);
    transport->ops->free(transport);
    event_base_free(base);
    assert_int_equal(found, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, look_afresh)
    const struct CMUnitTest tests[] = {
        T(finds_what_is_not_wiped), T(services_leave_none), T(access_tokens_leave_none),
        T(files_leave_none),        T(settings_leave_none), T(the_transport_leaves_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
