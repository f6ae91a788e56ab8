/*
 * Texts for people, with credentials as "***": headers that say who calls, and where a header or
 * an answer repeats a service's own token. What an administrator has written into a template or an
 * address is no secret here, as it is none in the tables.
 */
#ifndef MIH_WORKER_CTL_MASK_H
#define MIH_WORKER_CTL_MASK_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

struct service;

#define CTL_MASK "***"

/* Appends the text with the service's token, or what its header has made of it, as "***", as
 * dispatcher/mask.h finds it. */
void ctl_mask_text(const struct service *s, const char *text, size_t len, struct buf *out);

/* Appends the value of a header "Name: value": "***" for one that is a credential, behind the
 * scheme of an Authorization ("Bearer ***"). */
void ctl_mask_header(const struct service *s, const char *header, struct buf *out);

/* Appends the body of a request: of a message with a UsernameToken (WS-Security), "***" for the
 * password or its digest. */
void ctl_mask_body(const struct service *s, const char *body, size_t len, struct buf *out);

#endif
