/*
 * The names of the hub's objects at the broker, all built from [broker] namespace (DESIGN 3).
 * Several sites share one broker by having different namespaces and events exchanges.
 */
#ifndef MIH_WORKER_NAMES_H
#define MIH_WORKER_NAMES_H

#include <stdint.h>

enum { NAME_SIZE = 128 };

struct names {
    char events[NAME_SIZE];    /* topic exchange where Moodle publishes */
    char redeliver[NAME_SIZE]; /* direct exchange: service id -> service queue */
    char delay[NAME_SIZE];     /* direct exchange: step of the grid -> delay queue */
    char dead[NAME_SIZE];      /* direct exchange: service id -> dead-letter queue */
    char control[NAME_SIZE];   /* fanout exchange: hints to every process */
    char space[NAME_SIZE];
};

/* space is at most 64 bytes, events at most 127: the settings table checks both. */
void names_init(struct names *n, const char *space, const char *events_exchange);

/* `<space>.service.<id>`, `<space>.dead.<id>` and `<id>`. */
void names_service_queue(const struct names *n, int64_t service_id, char ret_name[NAME_SIZE]);
void names_dead_queue(const struct names *n, int64_t service_id, char ret_name[NAME_SIZE]);
void names_service_key(int64_t service_id, char ret_key[NAME_SIZE]);

/* `<space>.delay.<ms>` and `d<ms>`: no service's key, which is a number, is ever a step's. */
void names_delay_queue(const struct names *n, int64_t delay_ms, char ret_name[NAME_SIZE]);
void names_delay_key(int64_t delay_ms, char ret_key[NAME_SIZE]);

#endif
