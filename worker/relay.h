/*
 * Publishes what Moodle could not: rows that stay in the outbox for longer than `after_ms`. Only
 * the elected process relays, and only while the broker takes publications.
 *
 * A row is deleted when the broker confirmed its message, never before. One that came back
 * unroutable is deleted when no enabled rule wants the event any more (counted and logged), by
 * rules that were read after Moodle wrote the row, and otherwise stays: its queue is not bound yet.
 * Rows that can never be published (an event name that is none) stay and are named in a warning.
 * Whatever stays is tried again with growing pauses, up to a minute, while new rows go on being
 * looked at every 2 s; so nothing is lost, and nothing spins.
 *
 * A message may go out twice (a confirm that was lost, a crash before the deletion): it carries the
 * row's message id each time, and the header x-mih-republished.
 */
#ifndef MIH_WORKER_RELAY_H
#define MIH_WORKER_RELAY_H

#include <stdbool.h>
#include <stdint.h>

struct catalog;
struct event_base;
struct publisher;
struct relay;
struct store;

struct relay_options {
    const char *exchange; /* of the events; must outlive the relay */
    int64_t after_ms;
    int64_t batch; /* rows read at a time */
};

struct relay_stats {
    uint64_t published; /* confirmed and deleted */
    uint64_t unwanted;  /* deleted because no rule wanted them any more */
    uint64_t returned;  /* came back and stayed */
    uint64_t refused;   /* nacked, or without an answer; stayed */
};

int relay_new(struct event_base *base, struct store *store, struct publisher *publisher,
              const struct relay_options *options, struct relay **ret_relay)
    __attribute__((warn_unused_result));

void relay_set_elected(struct relay *r, bool elected);

/* Which events are wanted; takes a reference of its own. Until the first, all are. */
void relay_set_catalog(struct relay *r, struct catalog *catalog);

/* A look at the rules that began at this time (monotonic ms) has succeeded. */
void relay_rules_checked(struct relay *r, int64_t began_ms);

/* exchange is kept as it was. */
void relay_set_options(struct relay *r, int64_t after_ms, int64_t batch);

/* Looks at once: the broker is back, say. */
void relay_poke(struct relay *r);

/* True when nothing is under way. To end without repeats: relay_set_elected(false), wait for
 * idle, free. */
bool relay_is_idle(const struct relay *r);

const struct relay_stats *relay_get_stats(const struct relay *r);

/* Before store and publisher are freed. NULL is allowed. */
void relay_free(struct relay *r);

#endif
