#include "dispatcher/clientcert.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/secret.h"

enum { MAX_CERTIFICATES = 10 };

/* Never asks at a terminal. */
static int no_passphrase(char *buffer, int size, int writing, void *context)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

static int refuse(char *ret_reason, size_t size, const char *what)
{
    ERR_clear_error();
    (void)snprintf(ret_reason, size, "%s", what);
    return -EINVAL;
}

/* The bytes of a memory BIO, with a NUL. NULL when memory is out. */
static char *take_text(BIO *bio, size_t *ret_len)
{
    char *bytes = NULL;
    long len = BIO_get_mem_data(bio, &bytes);
    char *text = len > 0 ? malloc((size_t)len + 1) : NULL;
    if (text) {
        memcpy(text, bytes, (size_t)len);
        text[len] = '\0';
        *ret_len = (size_t)len;
    }
    return text;
}

static EVP_PKEY *read_key(const char *pem)
{
    BIO *in = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, no_passphrase, NULL) : NULL;
    BIO_free(in);
    return key;
}

/* Copies every certificate, and keeps the one that belongs to the key apart, to be the first. */
static int read_chain(const char *pem, EVP_PKEY *key, BIO *own, BIO *others)
{
    BIO *in = BIO_new_mem_buf(pem, -1);
    X509 *certificate = NULL;
    int n = 0;
    int matches = 0;
    while (in && n < MAX_CERTIFICATES &&
           (certificate = PEM_read_bio_X509(in, NULL, no_passphrase, NULL)) != NULL) {
        int is_own = matches == 0 && X509_check_private_key(certificate, key) == 1;
        matches += is_own;
        n += PEM_write_bio_X509(is_own ? own : others, certificate) == 1;
        X509_free(certificate);
    }
    ERR_clear_error();
    BIO_free(in);
    return n == 0 ? 0 : matches + 1;
}

static int fill(struct clientcert *cert, EVP_PKEY *key, BIO *own, BIO *others)
{
    BIO *out = BIO_new(BIO_s_secmem());
    char *bytes = NULL;
    long len = BIO_get_mem_data(others, &bytes);
    if (len > 0 && BIO_write(own, bytes, (int)len) != len) {
        BIO_free(out);
        return -ENOMEM;
    }
    cert->chain = take_text(own, &cert->chain_len);
    if (out && PEM_write_bio_PKCS8PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) == 1) {
        cert->key = take_text(out, &cert->key_len);
    }
    BIO_free(out);
    return cert->chain && cert->key ? 0 : -ENOMEM;
}

static int split(struct clientcert *cert, const char *pem, EVP_PKEY *key, char *ret_reason,
                 size_t size)
{
    BIO *own = BIO_new(BIO_s_mem());
    BIO *others = BIO_new(BIO_s_mem());
    int found = own && others ? read_chain(pem, key, own, others) : -1;
    int r = 0;
    if (found < 0) {
        r = -ENOMEM;
    } else if (found == 0) {
        r = refuse(ret_reason, size, "it holds no certificate");
    } else if (found == 1) {
        r = refuse(ret_reason, size, "its private key belongs to none of its certificates");
    } else {
        r = fill(cert, key, own, others);
    }
    BIO_free(own);
    BIO_free(others);
    return r;
}

static void release(struct clientcert *cert)
{
    if (cert) {
        secret_free(cert->key);
        free(cert->chain);
    }
    free(cert);
}

int clientcert_new(const char *pem, struct clientcert **ret_cert, char *ret_reason,
                   size_t reason_size)
{
    EVP_PKEY *key = read_key(pem);
    if (!key) {
        return refuse(ret_reason, reason_size,
                      strstr(pem, "ENCRYPTED") ? "its private key has a passphrase"
                                               : "it holds no private key");
    }
    struct clientcert *cert = calloc(1, sizeof(*cert));
    int r = cert ? split(cert, pem, key, ret_reason, reason_size) : -ENOMEM;
    EVP_PKEY_free(key);
    if (r < 0) {
        release(cert);
        return r;
    }
    cert->references = 1;
    *ret_cert = cert;
    return 0;
}

struct clientcert *clientcert_ref(struct clientcert *cert)
{
    if (cert) {
        cert->references++;
    }
    return cert;
}

void clientcert_put(struct clientcert *cert)
{
    if (cert && --cert->references == 0) {
        release(cert);
    }
}
