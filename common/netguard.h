/*
 * Which addresses a service may live at: the guard against requests that are made to reach the
 * inside of a network (SSRF).
 *
 * It judges the address that is about to be connected to, never a name or the text of a URL, so
 * that neither a spelling (127.1, 0x7f000001) nor a name server that changes its mind gets past
 * it. Refused is what does not belong to the public Internet: loopback, private, link-local (the
 * metadata services of clouds), multicast, documentation, reserved. An IPv6 address that stands
 * for an IPv4 one (::ffff:7f00:1) is judged as that one. Networks that the operator allows in
 * [security] allow_networks win; for an address behind NAT64, the IPv4 one must be in order too.
 *
 * Pure: no names are looked up. A missing guard (NULL) is one that allows no network by itself.
 * A guard is used and changed in one thread.
 */
#ifndef MIH_COMMON_NETGUARD_H
#define MIH_COMMON_NETGUARD_H

#include <stdbool.h>
#include <stddef.h>

struct sockaddr;
struct netguard;

/* Makes a guard from the settings: networks such as "10.0.0.0/8, fd00::/8, ::1", separated by
 * commas or spaces; "" allows none. 0; -EINVAL with a text that names the entry that is not
 * right; -ENOMEM. */
int netguard_new(const char *allow_networks, bool proxy_enforces_egress,
                 struct netguard **ret_guard, char *ret_error, size_t size)
    __attribute__((warn_unused_result));

/* Whether netguard_new() takes the text: 0, -EINVAL with the reason, -ENOMEM. */
int netguard_parse(const char *allow_networks, char *ret_error, size_t size)
    __attribute__((warn_unused_result));

/* Takes other settings, for all who hold the guard; on failure nothing is changed. As
 * netguard_new(). */
int netguard_change(struct netguard *guard, const char *allow_networks, bool proxy_enforces_egress,
                    char *ret_error, size_t size) __attribute__((warn_unused_result));

/* NULL: may be connected to. Else what kind of address it is, such as "loopback": a word of the
 * guard's own that lives for ever. */
const char *netguard_check(const struct netguard *guard, const struct sockaddr *address);

/* The same for an address as text, "127.0.0.1" or "::1". What is no address is refused, and so is
 * one with a zone (fe80::1%eth0): curl tells none, and no network of the settings has one. */
const char *netguard_check_text(const struct netguard *guard, const char *address);

/* The guard to hold connections to a forward proxy against, whose address hides the service's:
 * one that allows everything when the operator says that the proxy refuses what this guard would
 * ([security] proxy_enforces_egress). Else NULL, which is no guard here: the proxy must not be
 * used, and NETGUARD_PROXY_REFUSED says so. */
const struct netguard *netguard_for_proxy(const struct netguard *guard);

#define NETGUARD_PROXY_REFUSED                                                                     \
    "policy: behind a proxy the network guard sees no service's address; "                         \
    "[security] proxy_enforces_egress = yes says that the proxy guards instead"

/* The address as text, "127.0.0.1" or "::1"; at most 45 bytes. */
void netguard_print(const struct sockaddr *address, char *ret_text, size_t size);

/* The reason of a dead letter, in at most 255 bytes: the service's host as its URL says, the kind
 * of the refused address, the address as text, and the setting to change. It begins with
 * "policy: ". */
void netguard_explain(const char *kind, const char *host, const char *address, char *ret_text,
                      size_t size);

/* NULL is allowed. */
void netguard_free(struct netguard *guard);

#endif
