/*
 * What mihctl's commands share: database and broker as the workers have them, the hint that makes a
 * change work at once, and how a failure is told. No text is printed with bytes that a terminal
 * obeys.
 */
#ifndef MIH_WORKER_CTL_BASE_H
#define MIH_WORKER_CTL_BASE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/bus.h"
#include "common/db.h"
#include "worker/names.h"

struct buf;
struct ctl_command;
struct json_object;
struct settings;

enum { CTL_CHANNEL = 1 }; /* for topology calls */

struct ctl {
    const struct settings *settings;
    const struct ctl_command *command;
    struct names names;
    struct db *db;   /* NULL while closed */
    struct bus *bus; /* likewise */
    char reason[600];
};

void ctl_init(struct ctl *c, const struct settings *settings, const struct ctl_command *command);
void ctl_release(struct ctl *c);

/* Open what is not open; the channel CTL_CHANNEL with the broker. 0, or negative with the
 * reason. */
int ctl_open_db(struct ctl *c) __attribute__((warn_unused_result));
int ctl_open_bus(struct ctl *c) __attribute__((warn_unused_result));
void ctl_close_db(struct ctl *c);
void ctl_close_bus(struct ctl *c);

/* The reason without the word of the side that it is of, for where that stands already. */
const char *ctl_bare_reason(const struct ctl *c);

/* Tells the reason, on standard error or as {"error": ...}; returns the code. */
int ctl_fail(const struct ctl *c, int code);

/* The same with these words. */
int ctl_refuse(struct ctl *c, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A failed statement, told with what helps: EX_UNAVAILABLE. */
int ctl_db_failed(struct ctl *c, int result);

/* What became of a hint. */
enum ctl_hint {
    CTL_HINTED,       /* it is on its way to every process */
    CTL_NOBODY_HEARS, /* there are no processes */
    CTL_NOT_HINTED,   /* the broker cannot be reached, with the reason */
};

/* See hint.h. */
enum ctl_hint ctl_hint_send(struct ctl *c, const char *what, int64_t id);

/* A service as the command names it. */
struct ctl_service_row {
    int64_t id;
    char name[256];
    bool enabled;
    bool paused;
};

/* By id or name. 0; or an exit code, told. */
int ctl_find_service(struct ctl *c, const char *text, struct ctl_service_row *ret_row)
    __attribute__((warn_unused_result));

/* A copy of a text in one of a few turning buffers of 1 KiB, safe for a terminal. */
const char *ctl_safe(const char *text);

/* "2026-11-25T08:30:00Z", or "-", in the caller's storage. */
enum { CTL_TIME_SIZE = 32 };
const char *ctl_time(int64_t unix_s, char ret_text[CTL_TIME_SIZE]);

/* JSON's members. NULL objects are allowed, and take nothing. */
void ctl_set_text(struct json_object *object, const char *key, const char *text);
void ctl_set_number(struct json_object *object, const char *key, int64_t number);
void ctl_set_bool(struct json_object *object, const char *key, bool value);

#endif
