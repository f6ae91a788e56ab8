/*
 * mih-test-rabbit: what the tests and the demo do with a broker, straight on librabbitmq.
 *
 * It is an oracle for the programs under test and so shares no code with them. Every command
 * opens one connection, does its work, prints JSON on standard output and ends with a
 * sysexits.h code. Errors are one line on standard error.
 */
#ifndef MIH_TESTS_RABBIT_H
#define MIH_TESTS_RABBIT_H

#include <amqp.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LIST_MAX = 256 };

/* An option that may be given several times. */
struct list {
    const char *item[LIST_MAX];
    size_t count;
};

/* The command line; text fields are NULL where not given. */
struct options {
    const char *url;
    const char *exchange;
    const char *exchange_type;
    const char *key;
    const char *file;
    const char *log;
    const char *prefix;
    const char *id;
    const char *type;
    const char *app_id;
    const char *content_type;
    struct list queues;
    struct list headers;   /* name=text or name:=number */
    struct list arguments; /* likewise */
    struct list bindings;  /* exchange:routing key */
    uint64_t events;       /* 0 = as many as the file has */
    uint64_t rate;         /* per second; 0 = as fast as possible */
    uint64_t window;       /* publications open at most */
    uint64_t timestamp;
    uint64_t max;
    bool peek;
    bool follow;
    bool bare; /* raw: no property but those given */
};

/* ---- rabbit_link.c: the connection ---- */

struct link {
    amqp_connection_state_t connection;
};

/* Connects and logs in; channel 1 is open afterwards. 0, or -1 after a line on standard error. */
int link_open(struct link *link, const char *url) __attribute__((warn_unused_result));

/* Closes without waiting for unacknowledged deliveries, which go back to their queues. */
void link_close(struct link *link);

/* A new channel number after the broker closed one. 0 or -1, told. */
int link_channel(struct link *link, amqp_channel_t channel) __attribute__((warn_unused_result));

/* The outcome of the last call that waits for an answer: 0; -1 with the reason told as
 * "what: reason"; or 404 when the broker said NOT_FOUND, not told. */
int link_result(const struct link *link, const char *what) __attribute__((warn_unused_result));

/* Tells why the broker sent this method instead of the expected one; returns -1. */
int link_refused(const amqp_method_t *method, const char *what);

/* Tells "what: reason" for a status of the library that is not OK; returns -1 then, else 0. */
int link_status(int status, const char *what) __attribute__((warn_unused_result));

/* Prints one line on standard error and returns -1. */
int complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- rabbit_json.c: tables and messages as JSON ---- */

/* Fills an AMQP table from name=text and name:=number; entries points to list->count entries. */
int table_from_list(const struct list *list, amqp_table_entry_t *entries, amqp_table_t *ret_table)
    __attribute__((warn_unused_result));

struct json_object *json_from_table(const amqp_table_t *table);

/* A text, or, when it is not UTF-8, {"base64": "..."}. */
struct json_object *json_from_bytes(const void *bytes, size_t length);

struct json_object *json_from_properties(const amqp_basic_properties_t *properties);

/* Prints the object on one line, flushes, and frees it. */
void json_say(struct json_object *object);

/* ---- rabbit_raw.c ---- */

/* Room for "xxxxxxxx-xxxx-7xxx-xxxx-xxxxxxxxxxxx" and its NUL. */
enum { UUID_SIZE = 37 };

/* A version 7 UUID of the given unix milliseconds. */
void uuid7(uint64_t milliseconds, char ret_text[UUID_SIZE]);

uint64_t now_ms(void);

/* Reads a whole file, "-" for standard input; free() it. NULL after a line on standard error. */
char *read_whole(const char *path, size_t *ret_length);

/* ---- the commands ---- */

int command_publish(struct link *link, const struct options *options);
int command_raw(struct link *link, const struct options *options);
int command_drain(struct link *link, const struct options *options);
int command_count(struct link *link, const struct options *options);
int command_declare(struct link *link, const struct options *options);
int command_delete(struct link *link, const struct options *options);
int command_purge(struct link *link, const struct options *options);

#endif
