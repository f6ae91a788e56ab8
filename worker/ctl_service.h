/*
 * `mihctl pause`, `resume` and `breaker`: a service waits or goes on, and what its breaker says.
 * The change is made in the tables, and a hint has every process look at once; without a broker
 * they look by themselves.
 */
#ifndef MIH_WORKER_CTL_SERVICE_H
#define MIH_WORKER_CTL_SERVICE_H

struct ctl;

/* The exit code. */
int ctl_service_pause(struct ctl *c);
int ctl_service_breaker(struct ctl *c);

#endif
