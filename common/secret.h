/*
 * Secrets as Moodle stores them: `\core\encryption` writes "sodium:" and base64(nonce, secretbox),
 * older sites "openssl-aes-256-ctr:" and base64(iv, text, HMAC-SHA256). Decrypted with the key
 * files in Moodle's data folder (secret/key/sodium.key, and beside it openssl-aes-256-ctr.key),
 * each 32 raw bytes.
 *
 * A key is kept in memory that is not swapped out, and wiped when it is freed. A decrypted secret
 * is wiped by secret_free(). Reasons name what is wrong and never hold a byte of key or secret.
 */
#ifndef MIH_COMMON_SECRET_H
#define MIH_COMMON_SECRET_H

#include <stdbool.h>
#include <stddef.h>

enum { SECRET_MAX = 256 * 1024 }; /* bytes of a stored value */

struct secret_keys;

/* Where the key is: what the setting names; else the credential sodium.key that systemd passed
 * (systemd.exec(5), LoadCredential=), whose path is put into ret_path; else "", there is none. */
const char *secret_key_path(const char *setting, char *ret_path, size_t size);

/* Reads the key file, and the one of the older method where there is one beside it. 0, or a
 * negative errno with a reason that names the file (-EINVAL: it holds no key). */
int secret_keys_load(const char *path, struct secret_keys **ret_keys, char *ret_reason,
                     size_t reason_size) __attribute__((warn_unused_result));
void secret_keys_free(struct secret_keys *keys); /* NULL is allowed */

/* Whether a stored value is of Moodle's form; what is not counts as plain text. */
bool secret_is_encrypted(const char *stored);

/* Decrypts a value that secret_is_encrypted(). keys may be NULL. 0 and a text for secret_free();
 * -EBADMSG with a reason (no key, another key, damaged, holds a NUL); -ENOMEM. */
int secret_decrypt(const struct secret_keys *keys, const char *stored, char **ret_text,
                   char *ret_reason, size_t reason_size) __attribute__((warn_unused_result));

/* Wipe, and free where so named. NULL is allowed. */
void secret_wipe(void *bytes, size_t len);
void secret_free(char *text);

/* Keeps this process's memory out of core dumps and from other processes of its user, for good
 * until the next exec. */
void secret_protect_process(void);

#endif
