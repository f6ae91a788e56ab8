/*
 * Which services are called past the forward proxy: [http] no_proxy. Our own matching, because the
 * network guard has to know beforehand whose address it will see. Pure.
 */
#ifndef MIH_DISPATCHER_PROXYROUTE_H
#define MIH_DISPATCHER_PROXYROUTE_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the list names the host of the URL: hosts and addresses, separated by commas or spaces. A
 * host stands for all below it, too, with or without a leading dot; an address, without brackets,
 * for itself; "*" for all. */
bool proxyroute_is_direct(const char *no_proxy, const char *url);

/* 0, or -EINVAL with what is accepted: "http://" or "https://", a host and perhaps a user, a
 * password and a port. "" is no proxy. */
int proxyroute_check(const char *proxy, char *ret_reason, size_t size)
    __attribute__((warn_unused_result));

#endif
