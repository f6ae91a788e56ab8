/*
 * Opens the consuming connection on a short-lived thread, because name look-up, TCP, TLS and
 * log-in block. The opened bus is handed to the loop, which alone uses it from then on.
 *
 * On its way the thread prepares channel 1: a queue of this connection alone, bound to the
 * fanout exchange of hints (`<namespace>.control`).
 */
#ifndef MIH_WORKER_CONNECTOR_H
#define MIH_WORKER_CONNECTOR_H

#include "common/bus.h"

struct event_base;
struct connector;

enum { CONTROL_CHANNEL = 1 };

/* In the loop, once for each start: a bus (the callee owns it), or NULL and the reason. */
typedef void connector_done(void *context, struct bus *bus, const char *reason);

/* options' texts and control_exchange must outlive the connector. */
int connector_new(struct event_base *base, const struct bus_options *options,
                  const char *control_exchange, connector_done *done, void *context,
                  struct connector **ret_connector) __attribute__((warn_unused_result));

/* Starts an attempt at URL number `start` (modulo their number). 0, -EBUSY while one is under
 * way, or another negative errno. */
int connector_start(struct connector *c, unsigned start) __attribute__((warn_unused_result));

/* An attempt under way is left to end by itself and its connection is then closed. */
void connector_free(struct connector *c);

#endif
