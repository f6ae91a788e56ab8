#include "common/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_SIZE = 32, IV_SIZE = 16, MAC_SIZE = crypto_auth_hmacsha256_BYTES };

static const char sodium_prefix[] = "sodium:";
static const char openssl_prefix[] = "openssl-aes-256-ctr:";
static const char sodium_file[] = "sodium.key";
static const char openssl_file[] = "openssl-aes-256-ctr.key";

_Static_assert(crypto_secretbox_KEYBYTES == KEY_SIZE, "Moodle's key is one of secretbox");
_Static_assert(crypto_auth_hmacsha256_KEYBYTES == KEY_SIZE, "and of HMAC-SHA256");

/* Locked in memory as a whole. */
struct secret_keys {
    unsigned char sodium[KEY_SIZE];
    unsigned char openssl[KEY_SIZE];
    bool has_openssl;
};

static int refuse(char *ret_reason, size_t size, int error, const char *path, const char *what)
{
    snprintf(ret_reason, size, "%.300s: %s", path, what);
    return error;
}

/* -ENOENT and others from opening, -EINVAL for what is no key. */
static int read_key(const char *path, unsigned char *ret_key, char *ret_reason, size_t size)
{
    char words[128];
    struct stat st;
    unsigned char more;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        int error = errno;
        return refuse(ret_reason, size, -error, path,
                      error == ELOOP ? "is a symbolic link"
                                     : strerror_r(error, words, sizeof words));
    }
    bool good = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == KEY_SIZE &&
                read(fd, ret_key, KEY_SIZE) == KEY_SIZE && read(fd, &more, 1) == 0;
    close(fd);
    return good
               ? 0
               : refuse(ret_reason, size, -EINVAL, path, "is no key of Moodle: a file of 32 bytes");
}

/* The other key's file stands in the same folder. Many sites have none. */
static int read_openssl_key(const char *path, struct secret_keys *keys, char *ret_reason,
                            size_t size)
{
    char other[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash + 1 - path) : 0;
    if (snprintf(other, sizeof other, "%.*s%s", folder, path, openssl_file) >= (int)sizeof other)
        return refuse(ret_reason, size, -ENAMETOOLONG, path, "is too long a path");
    int r = read_key(other, keys->openssl, ret_reason, size);
    keys->has_openssl = r == 0;
    return r == -ENOENT ? 0 : r;
}

const char *secret_key_path(const char *setting, char *ret_path, size_t size)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    if (*setting || !folder || *folder != '/')
        return setting;
    int len = snprintf(ret_path, size, "%s/%s", folder, sodium_file);
    return len > 0 && (size_t)len < size && access(ret_path, F_OK) == 0 ? ret_path : "";
}

int secret_keys_load(const char *path, struct secret_keys **ret_keys, char *ret_reason,
                     size_t reason_size)
{
    struct secret_keys *keys = sodium_init() < 0 ? NULL : calloc(1, sizeof *keys);
    if (!keys)
        return refuse(ret_reason, reason_size, -ENOMEM, path, "out of memory");
    (void)sodium_mlock(keys, sizeof *keys); /* a limit of 0 locked pages is no reason to stop */
    int r = read_key(path, keys->sodium, ret_reason, reason_size);
    r = r < 0 ? r : read_openssl_key(path, keys, ret_reason, reason_size);
    if (r < 0) {
        secret_keys_free(keys);
        return r;
    }
    *ret_keys = keys;
    return 0;
}

void secret_keys_free(struct secret_keys *keys)
{
    if (!keys)
        return;
    sodium_munlock(keys, sizeof *keys); /* wipes */
    free(keys);
}

static bool begins_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

bool secret_is_encrypted(const char *stored)
{
    return begins_with(stored, sodium_prefix) || begins_with(stored, openssl_prefix);
}

/* Verified before it is decrypted, as Moodle does. False for what is damaged or of another key. */
static bool open_openssl(const unsigned char *key, const unsigned char *bytes, size_t len,
                         unsigned char *ret_text)
{
    size_t text_len = len - IV_SIZE - MAC_SIZE;
    int written = 0;
    if (crypto_auth_hmacsha256_verify(bytes + IV_SIZE + text_len, bytes, IV_SIZE + text_len, key) !=
        0)
        return false;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    bool good = context && EVP_DecryptInit_ex(context, EVP_aes_256_ctr(), NULL, key, bytes) == 1 &&
                EVP_DecryptUpdate(context, ret_text, &written, bytes + IV_SIZE, (int)text_len) == 1;
    EVP_CIPHER_CTX_free(context); /* wipes */
    return good && (size_t)written == text_len;
}

/* Opens what was decoded into text of its own; the length of it, or -1. */
static ssize_t open_bytes(const struct secret_keys *keys, bool is_sodium,
                          const unsigned char *bytes, size_t len, unsigned char *ret_text)
{
    size_t around =
        is_sodium ? crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES : IV_SIZE + MAC_SIZE;
    if (len <= around)
        return -1;
    bool good = is_sodium
                    ? crypto_secretbox_open_easy(ret_text, bytes + crypto_secretbox_NONCEBYTES,
                                                 len - crypto_secretbox_NONCEBYTES, bytes,
                                                 keys->sodium) == 0
                    : open_openssl(keys->openssl, bytes, len, ret_text);
    return good ? (ssize_t)(len - around) : -1;
}

/* What keeps a value from being decrypted before it is looked at, or NULL. */
static const char *key_fault(const struct secret_keys *keys, bool is_sodium)
{
    if (!keys)
        return "this worker has no key; set [security] moodle_key_file to Moodle's "
               "secret/key/sodium.key and restart it";
    if (!is_sodium && !keys->has_openssl)
        return "it needs Moodle's openssl-aes-256-ctr.key beside [security] moodle_key_file; save "
               "it in Moodle again, or put the file there and restart this worker";
    return NULL;
}

static int say(char *ret_reason, size_t size, const char *fault)
{
    snprintf(ret_reason, size, "%s", fault);
    return -EBADMSG;
}

/* base64 to text, in buffers of size + 1 bytes. NULL, or what is wrong. */
static const char *decode(const struct secret_keys *keys, bool is_sodium, const char *base64,
                          size_t size, unsigned char *bytes, unsigned char *ret_text)
{
    ssize_t text_len = -1;
    size_t len = 0;
    if (sodium_base642bin(bytes, size + 1, base64, size, NULL, &len, NULL,
                          sodium_base64_VARIANT_ORIGINAL) == 0)
        text_len = open_bytes(keys, is_sodium, bytes, len, ret_text);
    if (text_len < 0)
        return "it is damaged or was encrypted with another key; save it in Moodle again, or set "
               "[security] moodle_key_file to this site's key and restart this worker";
    ret_text[text_len] = '\0';
    return memchr(ret_text, '\0', (size_t)text_len) ? "it holds a NUL byte" : NULL;
}

int secret_decrypt(const struct secret_keys *keys, const char *stored, char **ret_text,
                   char *ret_reason, size_t reason_size)
{
    bool is_sodium = begins_with(stored, sodium_prefix);
    const char *base64 = stored + (is_sodium ? strlen(sodium_prefix) : strlen(openssl_prefix));
    const char *fault = key_fault(keys, is_sodium);
    size_t size = strnlen(base64, SECRET_MAX + 1);
    if (!fault && size > SECRET_MAX)
        fault = "it is too long";
    if (fault)
        return say(ret_reason, reason_size, fault);
    unsigned char *bytes = malloc(size + 1);
    unsigned char *text = bytes ? malloc(size + 1) : NULL;
    if (!text) {
        free(bytes);
        return -ENOMEM;
    }
    fault = decode(keys, is_sodium, base64, size, bytes, text);
    free(bytes);
    if (fault) {
        sodium_memzero(text, size + 1);
        free(text);
        return say(ret_reason, reason_size, fault);
    }
    *ret_text = (char *)text;
    return 0;
}

void secret_wipe(void *bytes, size_t len)
{
    if (bytes)
        sodium_memzero(bytes, len);
}

void secret_free(char *text)
{
    if (!text)
        return;
    sodium_memzero(text, strlen(text));
    free(text);
}

/* The kernel neither dumps such a process, whatever core_pattern says, nor lets its user read its
 * memory. The limit is for kernels and containers where the first is not allowed. LeakSanitizer
 * has to look into its own process. */
void secret_protect_process(void)
{
    const struct rlimit none = {0, 0};
#if !defined(MIH_SANITIZE)
    prctl(PR_SET_DUMPABLE, 0);
#endif
    setrlimit(RLIMIT_CORE, &none);
}
