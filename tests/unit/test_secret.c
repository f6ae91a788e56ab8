/* Secrets as Moodle stores them. The values were encrypted by \core\encryption of Moodle 4.5 (the
 * older method by what it did in 4.0), with the keys that write_keys() writes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/secret.h"

enum { KEY_SIZE = 32 };

static const char token[] = "sodium:dxcplZW7SAmM9p8vV2+ltxm8LN54RAEhZ793vN+DulQo7Prmox2+6i7zhHmZ";
static const char old_token[] = "openssl-aes-256-ctr:u6ZbUl5Axvl2aNzaRnD8eAz/"
                                "FZI3Qxt3yyMA/H5me6U3itSPxwBc1l4sTjwGdb7ut1sV5k46JNXyYTNR";

static char folder[] = "/tmp/mih-secret-XXXXXX";

static const char *path_of(const char *file)
{
    static char path[200];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, file);
    return path;
}

static void write_file(const char *file, const unsigned char *bytes, size_t len)
{
    FILE *f = fopen(path_of(file), "wbe");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    (void)fclose(f);
}

static int write_keys(void **state)
{
    (void)state;
    unsigned char sodium[KEY_SIZE + 1];
    unsigned char openssl[KEY_SIZE];
    for (int i = 0; i <= KEY_SIZE; i++) {
        sodium[i] = (unsigned char)(i * 7);
    }
    for (int i = 0; i < KEY_SIZE; i++) {
        openssl[i] = (unsigned char)(255 - i * 5);
    }
    assert_non_null(mkdtemp(folder));
    write_file("sodium.key", sodium, KEY_SIZE);
    write_file("openssl-aes-256-ctr.key", openssl, KEY_SIZE);
    write_file("long.key", sodium, KEY_SIZE + 1);
    write_file("short.key", sodium, KEY_SIZE - 1);
    write_file("other.key", openssl, KEY_SIZE);
    assert_int_equal(symlink("sodium.key", path_of("link.key")), 0);
    assert_int_equal(mkfifo(path_of("fifo.key"), 0600), 0);
    return 0;
}

static int remove_keys(void **state)
{
    (void)state;
    static const char *const files[] = {
        "sodium.key", "openssl-aes-256-ctr.key", "long.key", "short.key", "other.key", "link.key",
        "fifo.key"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        (void)unlink(path_of(files[i]));
    }
    return rmdir(folder);
}

static struct secret_keys *load(const char *file)
{
    struct secret_keys *keys = NULL;
    char reason[400] = "";
    if (secret_keys_load(path_of(file), &keys, reason, sizeof(reason)) != 0) {
        fail_msg("%s", reason);
    }
    return keys;
}

static void decrypts_what_moodle_encrypted(void **state)
{
    (void)state;
    char x100[101];
    memset(x100, 'x', 100);
    x100[100] = '\0';
    const struct {
        const char *stored;
        const char *text;
    } rows[] = {
        {token, "token"},
        {"sodium:s8/JRCbIRxRodX/cyPbV7uJQ1e9gvQzYfSvnfRpKaQJS1LGtNQlanNBUzcVwgxKI8zNd9n0b0UM64t7"
         "LkpoKcA==",
         "contrase\xc3\xb1"
         "a \xc3\xb1"
         "and\xc3\xba \xf0\x9f\x98\x80"},
        {"sodium:capnpIctLCs5o8IQ3U8JGf6+4gSPd/IHM98KfrBj4Hg/"
         "sZgownGbSLRICluqsqlscKYZbPw1M1Arth64FNSTRKuWBesZXrytIMlDy/"
         "GJ9eGKF3aoLDwRrh9McW7azoOBfm9WQ/NxZUCPRiR9PhWAQV4JE2ZUu8kV+NSyVSIcebZYhA5zglL6h/zfbEI=",
         x100},
        {"sodium:RDI8sAKIm1JyBlR91xhiDrH+DwfktOnsFcqmbAjnX/U8a8TM3Kt+URM=", "k"},
        {old_token, "an old token"},
    };
    struct secret_keys *keys = load("sodium.key");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *text = NULL;
        char reason[400] = "";
        assert_true(secret_is_encrypted(rows[i].stored));
        if (secret_decrypt(keys, rows[i].stored, &text, reason, sizeof(reason)) != 0) {
            fail_msg("%s: %s", rows[i].text, reason);
        }
        assert_string_equal(text, rows[i].text);
        secret_free(text);
    }
    secret_keys_free(keys);
}

static void check_refusal(const struct secret_keys *keys, const char *stored, const char *words)
{
    char *text = NULL;
    char reason[400] = "";
    if (secret_decrypt(keys, stored, &text, reason, sizeof(reason)) != -EBADMSG) {
        fail_msg("decrypted: %s", stored);
    }
    assert_null(text);
    if (!strstr(reason, words)) {
        fail_msg("%s: %s", stored, reason);
    }
}

/* Every bit of the encrypted part counts: each byte of both values is changed in turn. */
static void refuses_a_value_that_was_tampered_with(void **state)
{
    (void)state;
    static const char *const values[] = {token, old_token};
    struct secret_keys *keys = load("sodium.key");
    for (size_t v = 0; v < 2; v++) {
        char changed[200];
        size_t start = strcspn(values[v], ":") + 1;
        for (size_t i = start; values[v][i]; i++) {
            (void)snprintf(changed, sizeof(changed), "%s", values[v]);
            changed[i] = changed[i] == 'A' ? 'B' : 'A';
            check_refusal(keys, changed, "damaged or was encrypted with another key");
        }
    }
    secret_keys_free(keys);
}

static void refuses_what_is_no_secret_and_says_what_helps(void **state)
{
    (void)state;
    static const char *const damaged[] = {
        "sodium:",
        "sodium:QUJD",
        "sodium:!",
        "sodium:dxcplZW7SAmM9p8vV2+ltxm8LN54RAEhZ793vN8=",
        "openssl-aes-256-ctr:",
        "openssl-aes-256-ctr:QUJD",
        "sodium:dxcplZW7SAmM9p8vV2+ltxm8LN54RAEhZ793vN+DulQo7Prmox2+6i7zhHmZ ",
    };
    struct secret_keys *keys = load("sodium.key");
    struct secret_keys *other = load("other.key");
    for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
        check_refusal(keys, damaged[i], "save it in Moodle again");
    }
    check_refusal(other, token, "encrypted with another key");
    check_refusal(NULL, token, "set [security] moodle_key_file");
    check_refusal(
        keys, "sodium:zf2C2kbDHl8cZhSdnQLWKrSgiREdS6A3IHZ/HyQCuTBP5fuoAExcHtf38YKcLgetV24=", "NUL");
    assert_int_equal(unlink(path_of("openssl-aes-256-ctr.key")), 0);
    secret_keys_free(other);
    other = load("sodium.key");
    check_refusal(other, old_token, "openssl-aes-256-ctr.key");
    secret_keys_free(other);
    secret_keys_free(keys);
    assert_false(secret_is_encrypted("sodium"));
    assert_false(secret_is_encrypted(""));
    assert_false(secret_is_encrypted("Sodium:QUJD"));
}

static void refuses_a_file_that_is_no_key(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        int error;
        const char *words;
    } rows[] = {
        {"none.key", -ENOENT, "No such file"},   {"long.key", -EINVAL, "32 bytes"},
        {"short.key", -EINVAL, "32 bytes"},      {"fifo.key", -EINVAL, "32 bytes"},
        {"link.key", -ELOOP, "a symbolic link"}, {".", -EINVAL, "32 bytes"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct secret_keys *keys = NULL;
        char reason[400] = "";
        int r = secret_keys_load(path_of(rows[i].file), &keys, reason, sizeof(reason));
        if (r != rows[i].error || !strstr(reason, rows[i].words) || !strstr(reason, folder)) {
            fail_msg("%s: %d %s", rows[i].file, r, reason);
        }
        assert_null(keys);
    }
}

static void finds_the_key_that_systemd_passed(void **state)
{
    (void)state;
    char path[200];
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    assert_string_equal(secret_key_path("", path, sizeof(path)), "");
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "/nowhere", 1), 0);
    assert_string_equal(secret_key_path("", path, sizeof(path)), "");
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", folder, 1), 0);
    assert_string_equal(secret_key_path("", path, sizeof(path)), path_of("sodium.key"));
    assert_string_equal(secret_key_path("/the/setting", path, sizeof(path)), "/the/setting");
    assert_string_equal(secret_key_path("", path, strlen(folder)), "");
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
}

/* In a child, for it cannot be undone. */
static void keeps_the_memory_out_of_core_dumps(void **state)
{
    (void)state;
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = {1, 1};
        secret_protect_process();
        (void)getrlimit(RLIMIT_CORE, &limit);
#if defined(MIH_SANITIZE)
        _exit(limit.rlim_cur != 0);
#else
        _exit(limit.rlim_cur != 0 || prctl(PR_GET_DUMPABLE) != 0);
#endif
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decrypts_what_moodle_encrypted),
        cmocka_unit_test(refuses_a_value_that_was_tampered_with),
        cmocka_unit_test(refuses_what_is_no_secret_and_says_what_helps),
        cmocka_unit_test(refuses_a_file_that_is_no_key),
        cmocka_unit_test(finds_the_key_that_systemd_passed),
        cmocka_unit_test(keeps_the_memory_out_of_core_dumps),
    };
    return cmocka_run_group_tests(tests, write_keys, remove_keys);
}
