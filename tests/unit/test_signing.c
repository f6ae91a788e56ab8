/* Standard Webhooks signatures. The vector is the specification's own; openssl gives the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dispatcher/signing.h"

static void signs_as_the_specification_does(void **state)
{
    (void)state;
    struct signing_key keys[2];
    struct buf out;
    const struct signing_message m = {.id = "msg_p5jXN8AQM9LWM0D4loKWxJek",
                                      .timestamp = "1614265330",
                                      .body = "{\"test\": 2432232314}",
                                      .body_len = 20};
    assert_null(signing_key_parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &keys[0]));
    assert_null(signing_key_parse("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &keys[1]));
    buf_init(&out, 1000);
    signing_add(&out, keys, 1, &m);
    assert_string_equal(buf_text(&out), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    buf_reset(&out);
    signing_add(&out, keys, 2, &m);
    assert_string_equal(buf_text(&out), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= "
                                        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    buf_release(&out);
}

static void accepts_keys_of_24_to_64_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *secret;
        size_t len; /* 0: refused */
    } rows[] = {
        {"whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRY=", 0},
        {"whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX", 24},
        {"whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0"
         "+Pw==",
         64},
        {"whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0"
         "+P0A=",
         0},
        {"whsec_", 0},
        {"", 0},
        {"whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRY*", 0},
        {"whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX ", 0},
        {"whpk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX", 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct signing_key key = {.len = 0};
        const char *fault = signing_key_parse(rows[i].secret, &key);
        if ((fault == NULL) != (rows[i].len > 0) || key.len != rows[i].len) {
            fail_msg("%s: %s, %zu bytes", rows[i].secret, fault ? fault : "accepted", key.len);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_as_the_specification_does),
        cmocka_unit_test(accepts_keys_of_24_to_64_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
