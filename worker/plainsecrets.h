/*
 * Warns once of each service whose secrets stand in the table as plain text, as they do on sites
 * that were upgraded. They work; the warning says how to mend it. One process of a host warns.
 */
#ifndef MIH_WORKER_PLAINSECRETS_H
#define MIH_WORKER_PLAINSECRETS_H

#include <stddef.h>
#include <stdint.h>

struct catalog;

/* Zeroed at first. */
struct plainsecrets {
    int64_t *told; /* ids of services, owned */
    size_t n, cap;
};

/* Looks at the services of a new catalog. */
void plainsecrets_tell(struct plainsecrets *p, const struct catalog *catalog);
void plainsecrets_release(struct plainsecrets *p);

#endif
