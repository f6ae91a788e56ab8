/* Client certificates as they are pasted. The keys and certificates are made by OpenSSL here. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "dispatcher/clientcert.h"

enum { TEXT = 8192 };

static EVP_PKEY *keys[2];
static char certificates[2][TEXT];
static char plain_keys[2][TEXT];
static char locked_key[TEXT];

static void read_out(BIO *bio, char *text)
{
    int n = BIO_read(bio, text, TEXT - 1);
    assert_true(n > 0);
    text[n] = '\0';
    BIO_free(bio);
}

static void make_certificate(EVP_PKEY *key, char *text)
{
    X509 *x = X509_new();
    X509_NAME *name = X509_get_subject_name(x);
    BIO *bio = BIO_new(BIO_s_mem());
    assert_true(ASN1_INTEGER_set(X509_get_serialNumber(x), 1) == 1 &&
                X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"mih",
                                           -1, -1, 0) == 1 &&
                X509_set_issuer_name(x, name) == 1 && X509_set_pubkey(x, key) == 1);
    X509_gmtime_adj(X509_getm_notBefore(x), 0);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0 && PEM_write_bio_X509(bio, x) == 1);
    read_out(bio, text);
    X509_free(x);
}

static int make(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        BIO *bio = BIO_new(BIO_s_mem());
        keys[i] = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
        assert_non_null(keys[i]);
        make_certificate(keys[i], certificates[i]);
        assert_int_equal(PEM_write_bio_PrivateKey(bio, keys[i], NULL, NULL, 0, NULL, NULL), 1);
        read_out(bio, plain_keys[i]);
    }
    BIO *bio = BIO_new(BIO_s_mem());
    char phrase[] = "phrase";
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, keys[0], EVP_aes_128_cbc(), phrase,
                                                   (int)strlen(phrase), NULL, NULL),
                     1);
    read_out(bio, locked_key);
    return 0;
}

static int forget(void **state)
{
    (void)state;
    EVP_PKEY_free(keys[0]);
    EVP_PKEY_free(keys[1]);
    return 0;
}

static void takes_chain_and_key_apart_in_any_order(void **state)
{
    (void)state;
    const struct {
        const char *first, *second, *third;
        size_t n_certificates;
    } rows[] = {
        {certificates[0], plain_keys[0], "", 1},
        {plain_keys[0], certificates[0], "", 1},
        {certificates[1], certificates[0], plain_keys[0], 2},
        {"a comment\n", plain_keys[0], certificates[0], 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char pem[3 * TEXT];
        char reason[200] = "";
        struct clientcert *cert = NULL;
        (void)snprintf(pem, sizeof(pem), "%s%s%s", rows[i].first, rows[i].second, rows[i].third);
        if (clientcert_new(pem, &cert, reason, sizeof(reason)) != 0) {
            fail_msg("%s", reason);
        }
        /* The key's own certificate comes first, and no key is in the chain. */
        assert_memory_equal(cert->chain, certificates[0], strlen(certificates[0]));
        assert_int_equal(cert->chain_len, strlen(cert->chain));
        assert_true((cert->chain_len > strlen(certificates[0])) == (rows[i].n_certificates > 1));
        assert_null(strstr(cert->chain, "PRIVATE"));
        assert_string_equal(cert->key, plain_keys[0]);
        assert_int_equal(cert->key_len, strlen(cert->key));
        clientcert_put(cert);
    }
}

static void says_what_is_missing(void **state)
{
    (void)state;
    const struct {
        const char *first, *second, *words;
    } rows[] = {
        {certificates[0], "", "no private key"},
        {plain_keys[0], "", "no certificate"},
        {certificates[0], plain_keys[1], "belongs to none of its certificates"},
        {certificates[0], locked_key, "has a passphrase"},
        {"nonsense", "", "no private key"},
        {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", plain_keys[0],
         "no certificate"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char pem[2 * TEXT];
        char reason[200] = "";
        struct clientcert *cert = NULL;
        (void)snprintf(pem, sizeof(pem), "%s%s", rows[i].first, rows[i].second);
        assert_int_equal(clientcert_new(pem, &cert, reason, sizeof(reason)), -EINVAL);
        assert_null(cert);
        if (!strstr(reason, rows[i].words)) {
            fail_msg("%zu: %s", i, reason);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_chain_and_key_apart_in_any_order),
        cmocka_unit_test(says_what_is_missing),
    };
    return cmocka_run_group_tests(tests, make, forget);
}
