/*
 * The origin of a URL, scheme, host and port, in one spelling, so that origins can be compared.
 * What a WSDL names (imports, the address of a port) is only followed, and only given
 * credentials, within the origin that the administrator entered, or those the operator lists.
 * Pure.
 */
#ifndef MIH_DISPATCHER_ORIGIN_H
#define MIH_DISPATCHER_ORIGIN_H

#include <stdbool.h>
#include <stddef.h>

enum { ORIGIN_SIZE = 300 };

/* Writes "scheme://host:port" in lower case for http and https, "file://" for a file: URL without
 * a host. False for anything else, for user info, and for what is too long. */
bool origin_of(const char *url, char ret_origin[ORIGIN_SIZE]);

/* True when both have an origin and it is the same. */
bool origin_same(const char *url, const char *other);

/* True when the origin of the URL is in the list: origins with blanks or commas between them. */
bool origin_listed(const char *list, const char *url);

#endif
