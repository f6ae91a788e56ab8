/*
 * What mihctl sends with: an event loop, and the worker's transports with the network guard and
 * the settings that a worker would give them.
 */
#ifndef MIH_WORKER_CTL_HOUSE_H
#define MIH_WORKER_CTL_HOUSE_H

#include <stddef.h>

#include "dispatcher/soap_store.h"
#include "worker/transports.h"

struct event_base;
struct netguard;
struct settings;

struct ctl_house {
    struct event_base *base;
    struct netguard *guard;
    struct transports transports;
};

/* The settings are borrowed for the call. 0, or negative with the reason; to be closed in both
 * cases. */
int ctl_house_open(struct ctl_house *h, const struct settings *settings, char *ret_reason,
                   size_t size) __attribute__((warn_unused_result));
void ctl_house_close(struct ctl_house *h);

/* The settings of SOAP; they borrow. */
struct soap_settings ctl_soap_settings(const struct settings *settings);

#endif
