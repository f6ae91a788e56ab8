/*
 * Signatures as Standard Webhooks has them (version 1 of its symmetric kind): HMAC-SHA256 over
 * "id.timestamp.body", exactly as sent. While a secret is being rotated there are two, and both
 * signatures stand in the header, the new one first. Pure.
 */
#ifndef MIH_DISPATCHER_SIGNING_H
#define MIH_DISPATCHER_SIGNING_H

#include <stddef.h>

#include "common/buf.h"

enum { SIGNING_MIN_KEY = 24, SIGNING_MAX_KEY = 64 };

struct signing_key {
    unsigned char bytes[SIGNING_MAX_KEY];
    size_t len;
};

struct signing_message {
    const char *id;        /* must hold no "." */
    const char *timestamp; /* Unix seconds in decimal digits */
    const char *body;
    size_t body_len;
};

/* Reads "whsec_" and base64 of 24 to 64 bytes; the prefix may be missing. NULL, or what is wrong
 * with it, which never holds a byte of it. */
const char *signing_key_parse(const char *secret, struct signing_key *ret_key);

/* Appends "v1,<base64>" for each key, with spaces between them. */
void signing_add(struct buf *out, const struct signing_key *keys, size_t n,
                 const struct signing_message *message);

#endif
