#include "dispatcher/signing.h"

#include <sodium.h>
#include <string.h>

static const char prefix[] = "whsec_";

const char *signing_key_parse(const char *secret, struct signing_key *ret_key)
{
    unsigned char bytes[SIGNING_MAX_KEY + 1];
    size_t len = 0;
    if (strncmp(secret, prefix, strlen(prefix)) == 0) {
        secret += strlen(prefix);
    }
    if (sodium_base642bin(bytes, sizeof(bytes), secret, strlen(secret), NULL, &len, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0 ||
        len < SIGNING_MIN_KEY || len > SIGNING_MAX_KEY) {
        sodium_memzero(bytes, sizeof(bytes));
        return "is not whsec_ and base64 of 24 to 64 bytes";
    }
    memcpy(ret_key->bytes, bytes, len);
    ret_key->len = len;
    sodium_memzero(bytes, sizeof(bytes));
    return NULL;
}

static void add_one(struct buf *out, const struct signing_key *key, const struct signing_message *m)
{
    crypto_auth_hmacsha256_state state;
    unsigned char mac[crypto_auth_hmacsha256_BYTES];
    char code[sodium_base64_ENCODED_LEN(sizeof(mac), sodium_base64_VARIANT_ORIGINAL)];
    crypto_auth_hmacsha256_init(&state, key->bytes, key->len);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)m->id, strlen(m->id));
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)".", 1);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)m->timestamp,
                                  strlen(m->timestamp));
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)".", 1);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)m->body, m->body_len);
    crypto_auth_hmacsha256_final(&state, mac);
    sodium_memzero(&state, sizeof(state));
    sodium_bin2base64(code, sizeof(code), mac, sizeof(mac), sodium_base64_VARIANT_ORIGINAL);
    buf_adds(out, "v1,");
    buf_adds(out, code);
}

void signing_add(struct buf *out, const struct signing_key *keys, size_t n,
                 const struct signing_message *message)
{
    for (size_t i = 0; i < n; i++) {
        buf_adds(out, i > 0 ? " " : "");
        add_one(out, &keys[i], message);
    }
}
