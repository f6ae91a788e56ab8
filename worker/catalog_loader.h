/*
 * Keeps the catalog equal to the tables of services and rules, and tells of their breakers: looks
 * at them every interval and when poked, in one consistent snapshot, on the store's thread. A
 * catalog is built only when something changed, also on that thread, and handed to the loop whole.
 *
 * While the database is away the catalog there is stays in use; loader_age_ms() tells for how
 * long. As soon as it is back it is looked at once.
 */
#ifndef MIH_WORKER_CATALOG_LOADER_H
#define MIH_WORKER_CATALOG_LOADER_H

#include <stddef.h>
#include <stdint.h>

struct breaker_row;
struct catalog;
struct event_base;
struct loader;
struct secret_keys;
struct store;

struct loader_hooks {
    void *context;
    /* What decrypts secrets, for as long as the store lives; NULL: nothing does. */
    const struct secret_keys *keys;
    /* A catalog that differs from the one before; the reference is the callee's. */
    void (*on_catalog)(void *context, struct catalog *take);
    /* The breakers, at each look that succeeded, after on_catalog; valid during the call. May be
     * NULL. */
    void (*on_breakers)(void *context, const struct breaker_row *rows, size_t n, int64_t began_ms);
    /* How many processes the fleet has, this one included, at each look that succeeded, before
     * on_breakers. May be NULL. */
    void (*on_fleet)(void *context, unsigned processes);
    /* A look that succeeded has ended, after on_catalog if it found a change; began_ms is when it
     * began, by timing_mono_ms(). May be NULL. */
    void (*on_checked)(void *context, int64_t began_ms);
    /* The tables could not be read. Called when it begins and when the reason changes. */
    void (*on_failure)(void *context, const char *reason);
};

/* The first look begins at once. hooks are copied. */
int loader_new(struct event_base *base, struct store *store, int64_t interval_ms,
               const struct loader_hooks *hooks, struct loader **ret_loader)
    __attribute__((warn_unused_result));

/* Looks now, or once more right after the look that is under way. */
void loader_poke(struct loader *l);

void loader_set_interval(struct loader *l, int64_t interval_ms);

/* Milliseconds since the last look that succeeded, changed or not; -1 before the first. */
int64_t loader_age_ms(const struct loader *l);

/* Before the store is freed. NULL is allowed. */
void loader_free(struct loader *l);

#endif
