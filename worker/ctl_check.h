/*
 * `mihctl check`: whether a fleet of this version, with this configuration, would find what it
 * needs. It changes nothing at the database and declares nothing that is not there already, so it
 * may run beside a fleet at work, before that is replaced.
 *
 * ctl_check.c asks one after another; what needs the database is in ctl_check_tables.c, what needs
 * the broker in ctl_check_broker.c.
 */
#ifndef MIH_WORKER_CTL_CHECK_H
#define MIH_WORKER_CTL_CHECK_H

struct catalog;
struct ctl;
struct ctl_report;

/* The exit code. The configuration was read already, and its finding is the report's first. */
int ctl_check(struct ctl *c, struct ctl_report *report);

/* Each table with its columns, and the rights to it: statements that the workers and mihctl make,
 * with a condition that no row meets. */
void ctl_check_tables(struct ctl *c, struct ctl_report *report);

/* Exchanges, queues and rights. Queues of services that a fleet would make are looked for when the
 * catalog is there; it may be NULL. */
void ctl_check_broker(struct ctl *c, struct ctl_report *report, const struct catalog *catalog);

#endif
