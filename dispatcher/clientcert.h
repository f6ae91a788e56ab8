/*
 * A client certificate as an administrator pastes it: PEM with the certificate, those of the
 * authorities in between, and the private key, in any order. Checked when the service is loaded,
 * and taken apart, because curl copies certificates into its connections, where the key has no
 * place.
 */
#ifndef MIH_DISPATCHER_CLIENTCERT_H
#define MIH_DISPATCHER_CLIENTCERT_H

#include <stddef.h>

struct clientcert {
    char *chain; /* PEM: the client's certificate first */
    size_t chain_len;
    char *key; /* PEM, a secret */
    size_t key_len;
    unsigned references;
};

/* 0 with one reference; -EINVAL with what is wrong (no key, a key with a passphrase, a key of
 * another certificate) in ret_reason; -ENOMEM. */
int clientcert_new(const char *pem, struct clientcert **ret_cert, char *ret_reason,
                   size_t reason_size) __attribute__((warn_unused_result));
/* For who outlives the service that it came with. Of one thread; NULL is allowed. */
struct clientcert *clientcert_ref(struct clientcert *cert);
void clientcert_put(struct clientcert *cert); /* the last one wipes the key; NULL is allowed */

#endif
