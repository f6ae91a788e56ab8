/*
 * The URL of a request: a service's base_url and a rule's endpoint, joined as the existing
 * plugin does it (COMPAT 4.4) and checked so that no endpoint can leave the base.
 *
 * A base is http:// or https://, a host, perhaps a port and a path; no user info, no "#", no "\",
 * no ".." and no byte that is not visible. Joining puts exactly one "/" between base and
 * endpoint, so scheme, host, port and path prefix are the base's by construction; what could
 * climb out of the path again ("." and ".." segments, also as %2e, also behind %2f, %5c or
 * before ";") is refused. "@" and "//" after that "/" are ordinary path. Pure.
 */
#ifndef MIH_DISPATCHER_URL_H
#define MIH_DISPATCHER_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

/* 0, or -EINVAL with what is wrong in ret_reason, behind the name and a space. */
int url_check(const char *name, const char *url, char *ret_reason, size_t reason_size)
    __attribute__((warn_unused_result));

/* The same, of the base_url. */
int url_check_base(const char *base, char *ret_reason, size_t reason_size)
    __attribute__((warn_unused_result));

/* Appends the base without its trailing slashes, and one slash. */
void url_add_prefix(struct buf *out, const char *base);

/* True for bytes that no URL of ours may hold: controls, space, DEL, "\" and "#". */
bool url_is_unwanted(unsigned char byte);

/* True when the path (up to "?") has a segment that is "." or "..", however it is written. */
bool url_has_dot_segment(const char *path);

/* Copies host and port of a URL that url_check_base() accepted, or was built on one, cut to size;
 * for logs. */
void url_host(const char *url, char *ret_host, size_t size);

#endif
