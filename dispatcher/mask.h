/*
 * Takes a service's secrets out of text that came back from it: services repeat what they were
 * sent, and answers are kept in dead-letter rows and shown to people.
 *
 * A secret is found as it is, as JSON writes it (\/ \" \\), and percent-encoded. Secrets of fewer
 * than MASK_MIN bytes are left where they stand: they are anywhere.
 */
#ifndef MIH_DISPATCHER_MASK_H
#define MIH_DISPATCHER_MASK_H

#include <stddef.h>

struct service;

enum { MASK_MIN = 6 };

/* Bytes of the secret that begins the text, in any of its forms; 0: it does not. */
size_t mask_length(const char *text, size_t len, const char *secret);

/* The same for the service's token and what its header made of it. */
size_t mask_service_length(const struct service *s, const char *text, size_t len);

/* Overwrites the secret in the text with '*'. */
void mask_secret(const char *secret, char *text, size_t len);

/* The same for the service's token and what its header made of it. */
void mask_service(const struct service *s, char *text, size_t len);

#endif
